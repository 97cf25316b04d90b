"""The tutorial's database server: keeps every change, saves every 300 seconds and at its end."""

import cyberdb_fast as cyberdb

db = cyberdb.Server()
db.load_db("data.cdb")
db.set_backup("data.cdb", cycle=300)
db.run(
    host="127.0.0.1",
    port=9980,
    password="hWjYvVdqRC",
    max_con=10000,
    encrypt=True,
    print_log=False,
)
