"""The web application of the tutorial.

python cyberdb_init.py
python cyberdb_serve.py
gunicorn -w 4 -k gevent -b 127.0.0.1:8000 app:app
"""

from flask import Flask, g

import cyberdb_fast as cyberdb

# check=False: a worker may start while the database is down. Requests get an error page then.
client = cyberdb.connect(host="127.0.0.1", port=9980, password="hWjYvVdqRC", encrypt=True, check=False)

app = Flask(__name__)


@app.before_request
def get_proxy():
    """One proxy per request; it takes connections from the worker's pool as it needs them."""
    g.proxy = client.get_proxy()
    g.proxy.connect()


@app.get("/")
def hello_world():
    """Shows what cyberdb_init.py has stored."""
    centre = g.proxy.get_cyberdict("centre")
    return {"code": 1, "content": centre["content"]}


@app.errorhandler(cyberdb.CyberDBError)
def no_database(error):
    """Answers with an error page while the database is down; the worker reconnects by itself."""
    app.logger.warning("no database: %s", error)
    return {"code": 0, "content": "the database is not available"}, 503


@app.teardown_request
def close_proxy(error):
    """Returns the proxy's connection, also after an error."""
    g.proxy.close()


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=8000)
