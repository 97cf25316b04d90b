"""The web application of the tutorial. Run these three commands, the last two in terminals of their own:

python cyberdb_init.py
python cyberdb_serve.py
gunicorn -w 4 -k gevent -b 127.0.0.1:8000 app:app
"""

from flask import Flask, g

import cyberdb_fast as cyberdb

# check=False lets a worker start while the database is down. Its requests fail until the database is up.
client = cyberdb.connect(host="127.0.0.1", port=9980, password="hWjYvVdqRC", encrypt=True, check=False)

app = Flask(__name__)


@app.before_request
def get_proxy():
    """Gives each request a proxy, which takes connections from the worker's pool as needed."""
    g.proxy = client.get_proxy()
    g.proxy.connect()


@app.get("/")
def hello_world():
    """Returns what cyberdb_init.py has stored."""
    centre = g.proxy.get_cyberdict("centre")
    return {"code": 1, "content": centre["content"]}


@app.errorhandler(cyberdb.CyberDBError)
def no_database(error):
    """Answers 503 while the database is down. The worker connects again with its next request."""
    app.logger.warning("no database: %s", error)
    return {"code": 0, "content": "the database is not available"}, 503


@app.teardown_request
def close_proxy(error):
    """Closes the proxy, also after an error."""
    g.proxy.close()


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=8000)
