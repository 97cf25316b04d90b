"""The tutorial's application, with a path that writes."""

import os

import cyberdb
from flask import Flask, g

client = cyberdb.connect(host="127.0.0.1", port=int(os.environ["CYBERDB_PORT"]), password="hWjYvVdqRC", encrypt=True)
app = Flask(__name__)


@app.before_request
def before_request():
    g.proxy = client.get_proxy()
    g.proxy.connect()


@app.get("/")
def hello_world():
    centre = g.proxy.get_cyberdict("centre")
    return {"code": 1, "content": centre["content"]}


@app.get("/visit/<int:n>")
def visit(n):
    g.proxy.get_cyberlist("visits").append(n)
    return {"code": 1}


@app.teardown_request
def teardown_request(error=None):
    g.proxy.close()


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=8000)
