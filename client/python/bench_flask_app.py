"""The application of bench_flask.py: a Flask page that shows one entry of a database.

SCENE is KIND:PORT; KIND says which database and how it is used. Run by gunicorn.
"""

from __future__ import annotations

import os
from typing import Any, Dict

from bench_worker import PASSWORD
from flask import Flask, g

kind, _, port = os.environ["SCENE"].partition(":")
app = Flask(__name__)


def page(content: Any) -> Dict[str, Any]:
    return {"code": 1, "content": content}


if kind == "none":

    @app.get("/")
    def constant() -> Dict[str, Any]:
        return page("Hello CyberDB!")

elif kind == "redis":
    import redis

    store = redis.Redis(port=int(port), decode_responses=True)

    @app.get("/")
    def from_redis() -> Dict[str, Any]:
        return page(store.get("content"))

elif kind == "fast":
    import cyberdb_fast

    proxy = cyberdb_fast.connect(f"cyberdbs://127.0.0.1:{port}", password=PASSWORD).get_proxy()
    proxy.connect()
    table = proxy.get_cyberdict("centre")

    @app.get("/")
    def from_table() -> Dict[str, Any]:
        return page(table["content"])

else:  # the code of the tutorial
    if kind == "tutorial":
        import cyberdb_fast as cyberdb
    else:
        import cyberdb  # type: ignore[import-not-found,no-redef,unused-ignore]

    client: Any = cyberdb.connect(host="127.0.0.1", port=int(port), password=PASSWORD, encrypt=True)

    @app.before_request
    def get_proxy() -> None:
        g.proxy = client.get_proxy()
        g.proxy.connect()

    @app.get("/")
    def from_proxy() -> Dict[str, Any]:
        centre = g.proxy.get_cyberdict("centre")
        return page(centre["content"])

    @app.teardown_request
    def close_proxy(_: Any) -> None:
        g.proxy.close()
