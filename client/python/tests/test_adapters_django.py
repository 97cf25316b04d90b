"""The adapter of Django, beyond Django's own tests: `.ci/adapters` runs both."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any, Callable, Iterator

import pytest

pytest.importorskip("django")

from cyberdb_fast import Server, connect
from cyberdb_fast.adapters.caching import shared_table
from cyberdb_fast.adapters.django import CyberDBCache
from cyberdb_fast.errors import ServerUnreachable

PASSWORD = "correct horse"


_made: list[CyberDBCache] = []


def make(server: Server, **options: Any) -> CyberDBCache:
    _made.append(CyberDBCache(server.url, {"OPTIONS": {"password": PASSWORD, **options}}))
    return _made[-1]


@pytest.fixture(autouse=True, scope="module")
def close() -> Iterator[None]:
    """Closes what a process keeps until it ends."""
    yield
    shared_table.cache_clear()
    for cache in _made:
        cache._entries.close()


@pytest.fixture
def cache(server: Server) -> CyberDBCache:
    cache = make(server)
    cache.clear()
    return cache


def test_each_method_is_one_request(server: Server, sent: Counter[str]) -> None:
    cache = make(server, table="counted")
    cache.clear()  # creates the table
    calls: list[tuple[Callable[[], Any], dict[str, int]]] = [
        (lambda: cache.set("a", 1), {"perform": 1}),
        (lambda: cache.get("a"), {"perform": 1}),
        (lambda: cache.add("a", 1), {"perform": 1}),
        (lambda: cache.touch("a", 9), {"perform": 1}),
        (lambda: cache.touch("a", None), {"perform": 1}),
        (lambda: "a" in cache, {"perform": 1}),
        (lambda: cache.set_many({"a": 1, "b": 2}), {"perform": 1}),
        (lambda: cache.get_many(["a", "b"]), {"perform": 1}),
        (lambda: cache.incr("a"), {"perform": 1}),
        (lambda: cache.decr("a"), {"perform": 1}),
        (lambda: cache.delete_many(["a", "b"]), {"perform": 1}),
        (lambda: cache.delete("a"), {"perform": 1}),
        (lambda: asyncio.run(cache.aset_many({"a": 1, "b": 2})), {"perform": 1}),
        (lambda: asyncio.run(cache.aget_many(["a", "b"])), {"perform": 1}),
        (lambda: asyncio.run(cache.ahas_key("a")), {"perform": 1}),
        (lambda: asyncio.run(cache.adelete_many(["a", "b"])), {"perform": 1}),
        (lambda: cache.clear(), {"perform": 1}),
    ]
    for call, expected in calls:
        sent.clear()
        call()
        assert sent == expected


def test_asynchronous_methods(cache: CyberDBCache) -> None:
    async def use() -> None:
        await cache.aset("a", (1,))
        assert await cache.aget("a") == (1,)
        assert not await cache.aadd("a", 2)
        assert await cache.aset_many({"b": 2, "c": 3}, version=2) == []
        assert await cache.aget_many(["a", "b", "c"], version=2) == {"b": 2, "c": 3}
        assert await cache.aincr("b", 40, version=2) == 42
        assert await cache.adecr("b", 2, version=2) == 40
        assert await cache.ahas_key("a")
        await cache.adelete_many(["a", "b"])
        assert not await cache.ahas_key("a")
        assert await cache.ahas_key("b", version=2)
        assert await cache.aget_or_set("d", lambda: 4) == 4
        with pytest.raises(ValueError, match="'nothing' not found"):
            await cache.aincr("nothing")
        await cache.aclear()
        assert not await cache.ahas_key("d")

    asyncio.run(use())


def test_caches_of_threads_share_connections_and_lose_no_increment(server: Server, cache: CyberDBCache) -> None:
    cache.set("n", 0)
    seen: list[Any] = []

    def work() -> None:
        own = make(server)
        seen.append(own._entries)
        for _ in range(50):
            own.incr("n")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 200
    assert all(entries is cache._entries for entries in seen)


@pytest.mark.parametrize("pickle", [False, True])
def test_numbers_are_added_to(server: Server, pickle: bool) -> None:
    cache = make(server, table="numbers", pickle=pickle)
    cache.set_many({"int": 40, "float": 1.5, "text": "t"}, timeout=60)
    assert cache.incr("int", 2) == cache.get("int") == 42
    assert cache.decr("float") == cache.get("float") == 0.5
    assert cache.incr("int", 2**70) == cache.get("int") == 2**70 + 42
    with pytest.raises(TypeError):
        cache.incr("text")
    for call in (cache.incr, cache.decr):
        with pytest.raises(ValueError, match="'absent' not found"):
            call("absent")
    assert "absent" not in cache


def test_timeouts(server: Server, cache: CyberDBCache) -> None:
    cache.set("default", 1)
    cache.set("n", 1, timeout=100)
    cache.incr("n")
    cache.set("ever", 1, timeout=None)
    cache.touch("ever", 60)
    cache.touch("default", None)
    with connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        entries = proxy.get_cyberdict("cache")
        assert 99 < entries.ttl(":1:n") <= 100
        assert 59 < entries.ttl(":1:ever") <= 60
        assert entries.ttl(":1:default") is None


def test_the_server_may_be_away_at_start() -> None:
    cache = CyberDBCache("cyberdb://127.0.0.1:1", {"OPTIONS": {"password": PASSWORD}})
    with pytest.raises(ServerUnreachable):
        cache.get("a")


def test_a_lost_table_is_made_again(server: Server, cache: CyberDBCache) -> None:
    cache.set("a", 1)
    with connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        proxy.delete_table("cache")
        assert cache.get("a") is None
        proxy.delete_table("cache")
        with pytest.raises(ValueError, match="not found"):
            cache.incr("a")
