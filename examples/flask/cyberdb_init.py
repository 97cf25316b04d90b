"""Creates the tutorial's table and saves it to data.cdb. A second run overwrites the file."""

import cyberdb_fast as cyberdb

db = cyberdb.Server()
db.start(host="127.0.0.1", port=9980, password="123456")

with cyberdb.connect(host="127.0.0.1", port=9980, password="123456") as client, client.get_proxy() as proxy:
    proxy.create_cyberdict("centre")
    centre = proxy.get_cyberdict("centre")
    centre["content"] = "Hello CyberDB!"

db.save_db("data.cdb")
