"""Flask-Session on the adapter of cachelib. It publishes no tests: scenarios of users."""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Iterator

import pytest

pytest.importorskip("flask_session")

from flask import Flask, current_app, session
from flask.testing import FlaskClient
from flask_session import Session

from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, Proxy, Server
from cyberdb_fast.adapters.cachelib import CyberDBCache
from cyberdb_fast.errors import ServerUnreachable


def app_of(cache: CyberDBCache) -> Flask:
    app = Flask(__name__)
    app.config.update(TESTING=True, SESSION_TYPE="cachelib", SESSION_CACHELIB=cache, PERMANENT_SESSION_LIFETIME=3600)
    Session(app)

    @app.get("/read")
    def read() -> str:
        return repr(session.get("value"))

    @app.get("/write")
    def write() -> str:
        session["value"] = (1, {2: b"x"})
        return ""

    @app.get("/login")
    def login() -> str:
        current_app.session_interface.regenerate(session)  # type: ignore[attr-defined]
        return ""

    @app.get("/clear")
    def clear() -> str:
        session.clear()
        return ""

    @app.get("/object")
    def store_object() -> str:
        session["value"] = object()
        return ""

    return app


@pytest.fixture
def entries(proxy: Proxy) -> CyberDict[str, Any]:
    sessions = proxy.create_cyberdict("flask sessions", exist_ok=True)
    sessions.clear()
    return sessions


@pytest.fixture
def browser(client: Client, entries: CyberDict[str, Any]) -> FlaskClient:
    return app_of(CyberDBCache(client, table="flask sessions")).test_client()


def test_a_session(browser: FlaskClient, entries: CyberDict[str, Any]) -> None:
    assert browser.get("/read").text == "None"
    assert not entries
    browser.get("/write")
    assert browser.get("/read").text == "(1, {2: b'x'})"
    (key,) = entries
    assert key.startswith("session:")
    assert entries[key]["value"] == (1, {2: b"x"})
    assert 3500 < entries.ttl(key) <= 3600
    entries.expire(key, 60)
    browser.get("/read")
    assert entries.ttl(key) > 3500  # each use renews it
    browser.get("/clear")
    assert not entries
    assert browser.get("/read").text == "None"


def test_processes_share_sessions(server: Server, browser: FlaskClient) -> None:
    """Each has its own application, cache and connections."""
    browser.get("/write")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    cache = CyberDBCache(server.url, password=PASSWORD, table="flask sessions")
    other = app_of(cache).test_client()
    other.set_cookie("session", cookie.value)
    assert other.get("/read").text == "(1, {2: b'x'})"
    other.get("/clear")
    assert browser.get("/read").text == "None"
    cache.close()


def test_a_new_id_ends_the_old_one(browser: FlaskClient, entries: CyberDict[str, Any]) -> None:
    browser.get("/write")
    (before,) = entries
    browser.get("/login")
    (after,) = entries
    assert before != after
    assert browser.get("/read").text == "(1, {2: b'x'})"


def test_objects_are_refused(browser: FlaskClient, entries: CyberDict[str, Any]) -> None:
    with pytest.raises(TypeError, match="object"):
        browser.get("/object")
    assert not entries


@pytest.fixture
def elsewhere(free_port: int) -> Iterator[CyberDBCache]:
    cache = CyberDBCache(f"cyberdb://127.0.0.1:{free_port}", password=PASSWORD)
    yield cache
    cache.close()


def test_the_server_may_be_away_at_start(
    start: Callable[..., Server],
    free_port: int,
    elsewhere: CyberDBCache,
    leaks_nothing: Callable[[], ContextManager[None]],
) -> None:
    with leaks_nothing():
        browser = app_of(elsewhere).test_client()
        with pytest.raises(ServerUnreachable):
            browser.get("/write")
        start(port=free_port)
        browser.get("/write")
        assert browser.get("/read").text == "(1, {2: b'x'})"
        elsewhere.close()
