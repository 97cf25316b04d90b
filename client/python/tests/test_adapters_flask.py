"""Tables in the JSON of Flask."""

from __future__ import annotations

import datetime
from typing import Any, Callable

import pytest

pytest.importorskip("flask")

import flask

from cyberdb_fast import CyberDict
from cyberdb_fast.adapters.flask import CyberDBJSONProvider


def test_tables_are_json(d: CyberDict[Any, Any], new_list: Callable[..., Any]) -> None:
    d.update(b=[1, {"c": None}], a="\u00e4")
    items = new_list([datetime.date(2026, 1, 2), (1, 2)])
    app = flask.Flask(__name__)
    app.json = CyberDBJSONProvider(app)
    app.add_url_rule("/", "table", view_func=lambda: flask.jsonify(d))
    app.add_url_rule("/both", "both", view_func=lambda: {"table": d, "items": items})
    with app.test_client() as browser:
        assert browser.get("/").json == {"a": "\u00e4", "b": [1, {"c": None}]}
        both = browser.get("/both").json
    assert both == {"table": d.copy(), "items": ["Fri, 02 Jan 2026 00:00:00 GMT", [1, 2]]}
    with pytest.raises(TypeError, match="object is not JSON serializable"):
        app.json.dumps(object())
