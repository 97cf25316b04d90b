"""The adapter of starsessions, which publishes no tests: scenarios of users."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, ContextManager, Iterator

import pytest

pytest.importorskip("starsessions")
pytest.importorskip("fastapi")

from fastapi import FastAPI, Request
from starlette.testclient import TestClient
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, regenerate_session_id

from conftest import PASSWORD
from cyberdb_fast import CyberDict, Proxy, Server
from cyberdb_fast.adapters.starsessions import CyberDBStore, OwnTypes
from cyberdb_fast.errors import ServerUnreachable


def app_of(store: CyberDBStore, **options: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionAutoloadMiddleware)
    app.add_middleware(SessionMiddleware, store=store, cookie_https_only=False, **options)

    @app.get("/read")
    async def read(request: Request) -> str:
        return repr(dict(request.session))

    @app.get("/write")
    async def write(request: Request) -> None:
        request.session["value"] = (1, 2)

    @app.get("/login")
    async def login(request: Request) -> None:
        regenerate_session_id(request)

    @app.get("/clear")
    async def clear(request: Request) -> None:
        request.session.clear()

    @app.get("/object")
    async def store_object(request: Request) -> None:
        request.session["value"] = object()

    return app


@pytest.fixture
def entries(proxy: Proxy) -> CyberDict[str, Any]:
    sessions = proxy.create_cyberdict("sessions", exist_ok=True)
    sessions.clear()
    return sessions


@pytest.fixture
def store(server: Server, leaks_nothing: Callable[[], ContextManager[None]]) -> Iterator[CyberDBStore]:
    with leaks_nothing():
        store = CyberDBStore(server.url, password=PASSWORD)
        yield store
        asyncio.run(store.close())


def test_a_session(store: CyberDBStore, entries: CyberDict[str, Any]) -> None:
    with TestClient(app_of(store, lifetime=3600, serializer=OwnTypes())) as browser:
        assert browser.get("/read").json() == "{}"
        assert not entries
        browser.get("/write")
        assert browser.get("/read").json() == "{'value': (1, 2)}"
        (session_id,) = entries
        assert entries[session_id]["value"] == (1, 2)
        assert 3500 < entries.ttl(session_id) <= 3600
        browser.get("/clear")
        assert not entries
        assert browser.get("/read").json() == "{}"


def test_a_new_id(store: CyberDBStore, entries: CyberDict[str, Any]) -> None:
    with TestClient(app_of(store, lifetime=3600, serializer=OwnTypes())) as browser:
        browser.get("/write")
        before = browser.cookies["session"]
        browser.get("/login")
        after = browser.cookies["session"]
        assert before != after
        assert entries[after]["value"] == (1, 2)


def test_the_serializer_of_starsessions(store: CyberDBStore, entries: CyberDict[str, Any]) -> None:
    with TestClient(app_of(store)) as browser:
        browser.get("/write")
        assert browser.get("/read").json() == "{'value': [1, 2]}"
        (session_id,) = entries
        assert type(entries[session_id]) is bytes
        assert entries.ttl(session_id) > 1_000_000  # it has no lifetime
        other = TestClient(app_of(store, serializer=OwnTypes()), cookies={"session": session_id})
        assert other.get("/read").json() == "{}"


def test_objects_are_refused(store: CyberDBStore, entries: CyberDict[str, Any]) -> None:
    with TestClient(app_of(store, serializer=OwnTypes())) as browser:
        with pytest.raises(TypeError, match="object"):
            browser.get("/object")
        assert not entries


def test_the_server_may_be_away_at_start(
    start: Callable[..., Server], free_port: int, leaks_nothing: Callable[[], ContextManager[None]]
) -> None:
    with leaks_nothing():
        store = CyberDBStore(f"cyberdb://127.0.0.1:{free_port}", password=PASSWORD)

        async def scene() -> None:
            with pytest.raises(ServerUnreachable):
                await store.read("id", 0)
            start(port=free_port)
            assert await store.read("id", 0) == b""
            assert await store.write("id", b"data", 0, 0) == "id"
            assert await store.read("id", 0) == b"data"
            await store.remove("id")
            await store.remove("id")
            await store.close()

        asyncio.run(scene())
