"""The adapter of Starlette, beyond Starlette's own tests: `.ci/adapters` runs both."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any, Callable, ContextManager, Iterator

import pytest

pytest.importorskip("starlette")
pytest.importorskip("fastapi")

from fastapi import FastAPI, Request, WebSocket
from starlette.testclient import TestClient

from conftest import PASSWORD
from cyberdb_fast import CyberDict, Proxy, Server, aio
from cyberdb_fast.adapters.starlette import SessionMiddleware
from cyberdb_fast.errors import DisconCyberDBError, ServerUnreachable

MONTH = 30 * 24 * 60 * 60


def app_of(url: str, **options: Any) -> FastAPI:
    """An application with a page for each use of a session."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, server=url, password=PASSWORD, max_age=MONTH, **options)

    @app.get("/read")
    async def read(request: Request) -> str:
        return repr(dict(request.session))

    @app.get("/ignore")
    async def ignore() -> str:
        return "nothing"

    @app.get("/write/{value}")
    async def write(request: Request, value: int) -> None:
        request.session["value"] = (value, {1: b"x"})

    @app.get("/login")
    async def login(request: Request) -> None:
        request.session.regenerate()
        request.session["user"] = "ada"

    @app.get("/clear")
    async def clear(request: Request, then: str = "") -> None:
        request.session.clear()
        request.session.update({"then": then} if then else {})

    @app.get("/object")
    async def store_object(request: Request) -> None:
        request.session["pattern"] = re.compile("a")

    @app.get("/slow")
    async def slow(request: Request) -> None:
        request.session["slow"] = True
        app.state.arrived.set()
        await app.state.go.wait()

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(repr(dict(socket.session)))
        await socket.close()

    return app


@pytest.fixture
def entries(proxy: Proxy) -> CyberDict[str, Any]:
    sessions = proxy.create_cyberdict("sessions", exist_ok=True)
    sessions.clear()
    return sessions


@pytest.fixture
def browser(
    server: Server, entries: CyberDict[str, Any], leaks_nothing: Callable[[], ContextManager[None]]
) -> Iterator[TestClient]:
    with leaks_nothing(), TestClient(app_of(server.url)) as browser:
        yield browser


def test_the_cookie_has_an_id_and_the_server_the_values(browser: TestClient, entries: CyberDict[str, Any]) -> None:
    browser.get("/write/1")
    (session_id,) = entries
    assert browser.cookies["session"] == session_id
    assert len(session_id) == 43
    assert entries[session_id] == {"value": (1, {1: b"x"})}
    assert MONTH - 60 < entries.ttl(session_id) <= MONTH
    assert browser.get("/read").json() == repr(entries[session_id])
    browser.get("/write/2")
    assert entries.copy() == {session_id: {"value": (2, {1: b"x"})}}


def test_an_id_of_the_client_begins_no_session(browser: TestClient, entries: CyberDict[str, Any]) -> None:
    for chosen in ("x" * 43, "x", "value", "-" * 10_000):
        browser.cookies.clear()
        browser.cookies.set("session", chosen)
        assert browser.get("/read").json() == "{}"
        browser.get("/write/1")
        assert chosen not in entries
    assert len(entries) == 4


def test_a_new_id_ends_the_old_one(browser: TestClient, entries: CyberDict[str, Any]) -> None:
    browser.get("/write/1")
    (first,) = entries
    browser.get("/login")
    (second,) = entries
    assert entries[second] == {"value": (1, {1: b"x"}), "user": "ada"}
    browser.get("/clear?then=new")
    (third,) = entries
    assert entries[third] == {"then": "new"}
    assert len({first, second, third}) == 3
    assert browser.cookies["session"] == third
    browser.get("/clear")
    assert not entries
    assert "session" not in browser.cookies
    browser.get("/write/1")
    assert third not in entries


def test_a_session_is_renewed_while_it_is_used(browser: TestClient, entries: CyberDict[str, Any]) -> None:
    browser.get("/write/1")
    (session_id,) = entries
    entries.expire(session_id, MONTH * 0.95)
    assert "set-cookie" not in browser.get("/read").headers
    assert entries.ttl(session_id) < MONTH * 0.95
    entries.expire(session_id, MONTH * 0.85)
    assert "set-cookie" not in browser.get("/ignore").headers
    assert f"session={session_id}; Max-Age={MONTH};" in browser.get("/read").headers["set-cookie"]
    assert entries.ttl(session_id) > MONTH * 0.99
    del entries[session_id]  # as if it expired
    assert browser.get("/read").json() == "{}"


def test_requests(browser: TestClient, sent: Counter[str]) -> None:
    browser.get("/write/0")  # creates the table
    read, change = {"exchange_all": 1}, {"exchange": 1}
    for path, expected in (
        ("/read", read),
        ("/ignore", read),
        ("/write/1", {**read, **change}),
        ("/login", {**read, "exchange": 2}),
        ("/clear", {**read, **change}),
        ("/read", {}),
        ("/write/1", change),
    ):
        sent.clear()
        browser.get(path)
        assert sent == expected, path


def test_a_session_that_ended_does_not_come_back(server: Server, entries: CyberDict[str, Any]) -> None:
    """A request that began before the user logged out ends after it."""
    app = app_of(server.url)

    async def get(path: str, cookie: str = "") -> str:
        answer: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            answer.append(message)

        headers = [(b"cookie", f"session={cookie}".encode())]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        return dict(answer[0]["headers"]).get(b"set-cookie", b"").decode()

    async def race(end: str) -> str:
        app.state.arrived, app.state.go = asyncio.Event(), asyncio.Event()
        session_id = (await get("/write/1")).partition("=")[2].partition(";")[0]
        slow = asyncio.ensure_future(get("/slow", session_id))
        await app.state.arrived.wait()
        await get(end, session_id)
        app.state.go.set()
        return await slow

    assert asyncio.run(race("/clear")) == ""
    assert not entries
    assert asyncio.run(race("/write/2")) != ""
    assert [value["value"][0] for value in entries.values()] == [1]  # the last one wins


def test_a_websocket_reads_the_session(browser: TestClient) -> None:
    browser.get("/write/1")
    with browser.websocket_connect("/socket") as socket:
        assert socket.receive_text() == "{'value': (1, {1: b'x'})}"


def test_objects_are_refused(browser: TestClient, entries: CyberDict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Pattern"):
        browser.get("/object")
    assert not entries


def test_what_is_no_session_is_none(browser: TestClient, entries: CyberDict[str, Any]) -> None:
    entries["y" * 43] = "text"
    browser.cookies.set("session", "y" * 43)
    assert browser.get("/read").json() == "{}"


def test_without_max_age(server: Server, entries: CyberDict[str, Any]) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, server=server.url, password=PASSWORD, max_age=None)

    @app.get("/")
    async def write(request: Request) -> None:
        request.session["a"] = 1

    with TestClient(app) as browser:
        assert "max-age" not in browser.get("/").headers["set-cookie"].lower()
    (session_id,) = entries
    assert entries.ttl(session_id) > 1_000_000


def test_the_server_may_be_away_at_start(
    start: Callable[..., Server], free_port: int, leaks_nothing: Callable[[], ContextManager[None]]
) -> None:
    with leaks_nothing(), TestClient(app_of(f"cyberdb://127.0.0.1:{free_port}")) as browser:
        assert browser.get("/read").json() == "{}"
        with pytest.raises(ServerUnreachable):
            browser.get("/write/1")
    start(port=free_port)
    with leaks_nothing(), TestClient(app_of(f"cyberdb://127.0.0.1:{free_port}")) as browser:
        browser.get("/write/1")
        assert browser.get("/read").json() == "{'value': (1, {1: b'x'})}"


def test_a_client_is_left_open(server: Server, entries: CyberDict[str, Any]) -> None:
    """It is closed by the program that has made it; then a request is an error."""

    async def scene() -> None:
        async def page(scope: Any, _: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope["session"]["a"] = 1
                await send({"type": "http.response.start", "status": 200})

        async def nothing(*_: Any) -> Any:
            pass

        async with await aio.connect(server.url, password=PASSWORD) as client:
            app = SessionMiddleware(page, client)
            await app({"type": "lifespan"}, nothing, nothing)
            await app({"type": "http", "headers": []}, nothing, nothing)
            assert len(entries) == 1
        with pytest.raises(DisconCyberDBError):
            await app({"type": "http", "headers": []}, nothing, nothing)

    asyncio.run(scene())


def test_bad_arguments_are_errors_at_the_start(server: Server) -> None:
    async def nothing(*_: Any) -> None:
        pass

    with pytest.raises(TypeError, match="secret_key"):
        SessionMiddleware(nothing, server.url, secret_key="x")
