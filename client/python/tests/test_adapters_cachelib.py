"""The adapter of cachelib, beyond cachelib's own tests: `.ci/adapters` runs both."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, ContextManager, Iterator

import pytest

pytest.importorskip("cachelib")

import cyberdb_fast
from cyberdb_fast import Client, Server
from cyberdb_fast.adapters.cachelib import CyberDBCache
from cyberdb_fast.errors import DisconCyberDBError, ServerUnreachable, TooLarge

PASSWORD = "correct horse"


class Unregistered:
    """A class that tables cannot store."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Unregistered

    __hash__ = None


@pytest.fixture
def cache(client: Client) -> CyberDBCache:
    cache = CyberDBCache(client)
    cache.clear()
    return cache


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: "a", (2, 3): {4}},
        b"\x80\x04",
        2**70,
        1.5,
        None,
        datetime(2024, 1, 2, tzinfo=timezone.utc),
        [(True,)],
    ],
    ids=repr,
)
@pytest.mark.parametrize("pickled", [False, True])
def test_values_keep_their_types(client: Client, value: Any, pickled: bool) -> None:
    cache = CyberDBCache(client, pickle=pickled)
    cache.set("k", value)
    assert repr(cache.get("k")) == repr(value)
    assert repr(cache.get_dict("k", "absent")) == repr({"k": value, "absent": None})


def test_objects_need_pickle(client: Client, cache: CyberDBCache) -> None:
    with pytest.raises(TypeError, match="Unregistered"):
        cache.set("k", Unregistered())
    assert not cache.has("k")
    with_pickle = CyberDBCache(client, pickle=True)
    with_pickle.set("k", Unregistered())
    assert with_pickle.get("k") == Unregistered()


def test_nothing_is_unpickled_unless_asked_for(cache: CyberDBCache) -> None:
    data = pickle.dumps(Unregistered())
    cache.set("k", data)
    assert cache.get("k") == data


def test_each_method_is_one_request(server: Server, sent: Counter[str]) -> None:
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client:
        cache = CyberDBCache(client)
        cache.get("a")  # creates the table
        calls: list[Callable[[], Any]] = [
            lambda: cache.set("a", 1),
            lambda: cache.get("a"),
            lambda: cache.add("a", 1),
            lambda: cache.inc("a"),
            lambda: cache.dec("a"),
            lambda: cache.has("a"),
            lambda: cache.delete("a"),
            lambda: cache.set_many({"a": 1, "b": 2}),
            lambda: cache.get_many("a", "b"),
            lambda: cache.delete_many("a", "b"),
            lambda: cache.clear(),
        ]
        for call in calls:
            sent.clear()
            call()
            assert sent == {"perform": 1}


@pytest.mark.parametrize("key", [1, b"a", None, ("a",)])
def test_keys_are_strings(key: Any) -> None:
    cache = CyberDBCache("127.0.0.1:1", password=PASSWORD)  # nothing is sent
    calls: list[Callable[[], Any]] = [
        lambda: cache.get(key),
        lambda: cache.set(key, 1),
        lambda: cache.add(key, 1),
        lambda: cache.delete(key),
        lambda: cache.has(key),
        lambda: cache.inc(key),
        lambda: cache.get_many("a", key),
        lambda: cache.set_many({key: 1}),
        lambda: cache.delete_many("a", key),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=f"a cache key must be a str, got {type(key).__name__}"):
            call()


def test_the_server_may_be_away_at_start(start: Callable[..., Server], free_port: int) -> None:
    cache = CyberDBCache(f"cyberdb://127.0.0.1:{free_port}", password=PASSWORD)
    with pytest.raises(ServerUnreachable):
        cache.get("a")
    start(port=free_port)
    assert cache.add("a", 1)
    cache.close()
    with pytest.raises(DisconCyberDBError):
        cache.get("a")


def test_nothing_is_left(
    server: Server, cache: CyberDBCache, leaks_nothing: Callable[[], ContextManager[None]], free_port: int
) -> None:
    with leaks_nothing():
        for _ in range(3):
            own = CyberDBCache(server.url, password=PASSWORD)
            with pytest.raises(TooLarge):
                own.set("large", bytes(33 << 20))
            with pytest.raises(TypeError, match="Unregistered"):
                own.set_many({"a": 1, "b": Unregistered()})
            assert own.get_many("large", "a") == [None, None]
            own.close()
            away = CyberDBCache(f"cyberdb://127.0.0.1:{free_port}", password=PASSWORD)
            with pytest.raises(ServerUnreachable):
                away.get("a")
            away.close()


def test_a_lost_table_is_made_again(client: Client, cache: CyberDBCache) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: cache.get("a"),
        lambda: cache.set("a", 1),
        lambda: cache.inc("a"),
        lambda: cache.delete("a"),
        lambda: cache.delete_many("a", "b"),
        lambda: cache.clear(),
    ]
    with client.get_proxy() as proxy:
        for call in calls:
            proxy.delete_table("cache")
            call()
            assert proxy.exists("cache")


def test_timeouts(client: Client, cache: CyberDBCache) -> None:
    cache.set("default", 1)
    cache.set("none", 1, timeout=0)
    cache.set("as with Redis", 1, timeout=-1)
    cache.set_many({"delta": 1}, timedelta(minutes=1))
    assert cache.add("added", 1, timeout=60)
    assert cache.inc("counted") == 1
    with client.get_proxy() as proxy:
        entries = proxy.get_cyberdict("cache")
        assert 299 < entries.ttl("default") <= 300
        assert entries.ttl("as with Redis") is None
        assert entries.ttl("none") is None
        assert 59 < entries.ttl("delta") <= 60
        assert 59 < entries.ttl("added") <= 60
        assert 299 < entries.ttl("counted") <= 300
        cache.inc("added")
        assert entries.ttl("added") <= 60
    with pytest.raises(ValueError, match="ttl must be above 0"):
        cache.set("k", 1, timeout=-5)


def test_one_add_wins_and_no_inc_is_lost(cache: CyberDBCache) -> None:
    added: list[bool] = []

    def work() -> None:
        added.append(cache.add("k", 0))
        for _ in range(100):
            cache.inc("n")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [False] * 7 + [True]
    assert cache.get("n") == 800


@pytest.fixture
def bounded(client: Client) -> Iterator[CyberDBCache]:
    yield CyberDBCache(client, table="bounded", max_entries=10)
    with client.get_proxy() as proxy:
        proxy.delete_table("bounded")


def test_max_entries(client: Client, bounded: CyberDBCache) -> None:
    for i in range(100):
        bounded.set(f"k{i}", i)
    with client.get_proxy() as proxy:
        assert len(proxy.get_cyberdict("bounded")) == 10


def test_a_client_has_its_options(client: Client) -> None:
    with pytest.raises(TypeError, match="a client has its options already: encrypt, password"):
        CyberDBCache(client, password="x", encrypt=True)
    cache = CyberDBCache(client)
    cache.close()
    client.check()  # it is open still
