"""The adapter of aiocache, beyond aiocache's own tests: `.ci/adapters` runs both."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any, Awaitable, Callable, ContextManager, Coroutine

import pytest

pytest.importorskip("aiocache")

from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
from aiocache.serializers import JsonSerializer, PickleSerializer, StringSerializer

from conftest import PASSWORD
from cyberdb_fast import Proxy, Server, aio
from cyberdb_fast.adapters.aiocache import CyberDBCache
from cyberdb_fast.errors import DisconCyberDBError, ServerUnreachable, TooLarge

Scene = Callable[[CyberDBCache], Coroutine[Any, Any, None]]


@pytest.fixture
def run(server: Server, proxy: Proxy, leaks_nothing: Callable[[], ContextManager[None]]) -> Callable[..., None]:
    """A function that runs a scene with an empty cache, and closes that."""
    proxy.create_cyberdict("cache", exist_ok=True).clear()

    def run(scene: Scene, **options: Any) -> None:
        async def play() -> None:
            async with CyberDBCache(server.url, password=PASSWORD, **options) as cache:
                await scene(cache)
                others = asyncio.all_tasks() - {asyncio.current_task()}
            for _ in range(100):  # tasks of the closed connections end
                if all(task.done() for task in others):
                    return
                await asyncio.sleep(0.01)
            raise AssertionError(f"tasks run on: {others}")

        with leaks_nothing():
            asyncio.run(play())

    return run


@pytest.mark.parametrize("value", [(1, 2), {1: "a", (2, 3): {4}}, b"\x80\x04", 2**70, [(True,)]], ids=repr)
def test_values_keep_their_types(run: Callable[..., None], value: Any) -> None:
    async def scene(cache: CyberDBCache) -> None:
        await cache.set("k", value)
        assert repr(await cache.get("k")) == repr(value)
        assert repr(await cache.multi_get(["k", "absent"])) == repr([value, None])

    run(scene)


def test_objects_need_pickle(run: Callable[..., None]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        with pytest.raises(TypeError, match="Pattern"):
            await cache.set("k", re.compile("a"))
        assert not await cache.exists("k")

    async def pickled(cache: CyberDBCache) -> None:
        await cache.set("k", re.compile("a"))
        assert await cache.get("k") == re.compile("a")

    run(scene)
    run(pickled, serializer=PickleSerializer())


def test_each_method_is_one_request(run: Callable[..., None], sent: Counter[str]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        await cache.get("a")  # connects
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: cache.set("a", 1),
            lambda: cache.get("a"),
            lambda: cache.add("b", 1),
            lambda: cache.increment("a"),
            lambda: cache.expire("a", 9),
            lambda: cache.expire("a", 0),
            lambda: cache.exists("a"),
            lambda: cache.multi_set([("a", 1), ("b", 2)], ttl=9),
            lambda: cache.multi_get(["a", "b"]),
            lambda: cache.delete("a"),
            lambda: cache.raw("keys"),
            lambda: cache._redlock_release("b", 2),
            lambda: cache.clear(),
        ]
        for call in calls:
            sent.clear()
            await call()
            assert sum(sent.values()) <= 1, sent

    run(scene)


@pytest.mark.parametrize("key", [1, b"a", None, ("a",)], ids=repr)
@pytest.mark.parametrize("namespace", [None, "n"])
def test_keys_are_strings(run: Callable[..., None], key: Any, namespace: Any) -> None:
    async def scene(cache: CyberDBCache) -> None:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: cache.get(key),
            lambda: cache.set(key, 1),
            lambda: cache.add(key, 1),
            lambda: cache.increment(key),
            lambda: cache.expire(key, 1),
            lambda: cache.exists(key),
            lambda: cache.multi_set([(key, 1)]),
            lambda: cache.multi_get(["a", key]),
            lambda: cache.delete(key),
        ]
        for call in calls:
            with pytest.raises(TypeError, match=f"a cache key must be a str, got {type(key).__name__}"):
                await call()

    run(scene, namespace=namespace)


def test_numbers_of_a_serializer_are_incremented(run: Callable[..., None]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        await cache.set("k", 40, ttl=60)
        assert await cache.increment("k", 2) == 42
        assert await cache.get("k") in (42, "42")
        assert await cache.increment("new", 2) == 2
        assert await cache.get("new") in (2, "2")
        assert await cache.increment("new", 2) == 4
        ttl = await cache.raw("ttl", "k")
        assert 59 < ttl <= 60
        await cache.set("text", "many")
        with pytest.raises(TypeError, match="'text' is not an integer"):
            await cache.increment("text")

    run(scene, serializer=JsonSerializer())
    run(scene, serializer=StringSerializer(), table="strings")


def test_clear_of_a_namespace(run: Callable[..., None]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        await cache.set("a", 1)
        await cache.set("a", 2, namespace="apple")
        await cache.set("a", 3, namespace="other")
        await cache.clear()
        assert await cache.raw("keys") == ["apple:a", "other:a"]
        await cache.clear(namespace="other")
        assert await cache.raw("keys") == ["apple:a"]
        await cache.clear(namespace="")
        assert await cache.raw("len") == 0

    run(scene, namespace="app")


def test_locks(run: Callable[..., None]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        async with RedLock(cache, "k", lease=60):
            assert 59 < await cache.raw("ttl", "k-lock") <= 60
            assert await cache._redlock_release("k-lock", "another's token") == 0
            assert await cache.exists("k-lock")
        assert not await cache.exists("k-lock")
        await cache.set("k", (1,))
        async with OptimisticLock(cache, "k") as lock:
            await cache.set("k", (1, 2))
            with pytest.raises(OptimisticLockError):
                await lock.cas((3,))
        assert await cache.get("k") == (1, 2)

    run(scene)


def test_no_increment_is_lost(run: Callable[..., None]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        await asyncio.gather(*(cache.increment("n") for _ in range(200)))
        assert await cache.get("n") == 200

    run(scene)


def test_the_server_may_be_away_at_start(
    start: Callable[..., Server], free_port: int, leaks_nothing: Callable[[], ContextManager[None]]
) -> None:
    cache = CyberDBCache(f"cyberdb://127.0.0.1:{free_port}", password=PASSWORD)  # in no event loop

    async def away() -> None:
        with pytest.raises(ServerUnreachable):
            await cache.get("a")

    async def there() -> None:
        assert await cache.add("a", 1)
        await cache.close()
        assert await cache.get("a") == 1
        await cache.close()

    with leaks_nothing():
        asyncio.run(away())
    start(port=free_port)
    with leaks_nothing():
        asyncio.run(there())
        asyncio.run(there_again(cache))


async def there_again(cache: CyberDBCache) -> None:
    """In another event loop."""
    assert await cache.delete("a") == 1
    await cache.close()


def test_a_lost_table_is_made_again(run: Callable[..., None], proxy: Proxy) -> None:
    async def scene(cache: CyberDBCache) -> None:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: cache.get("a"),
            lambda: cache.set("a", 1),
            lambda: cache.increment("a"),
            lambda: cache.delete("a"),
            lambda: cache.clear(),
            lambda: cache.raw("keys"),
        ]
        for call in calls:
            proxy.delete_table("cache")
            await call()
            assert proxy.exists("cache")

    proxy.create_cyberdict("cache", exist_ok=True)
    run(scene)


def test_cancelled_and_refused_requests_leave_the_cache_usable(run: Callable[..., None]) -> None:
    async def scene(cache: CyberDBCache) -> None:
        await cache.set("a", 1)
        for _ in range(20):
            task = asyncio.ensure_future(cache.increment("a"))
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(TooLarge):
            await cache.set("b", bytes(33 << 20))
        with pytest.raises(ValueError, match="ttl must be above 0"):
            await cache.set("b", 1, ttl=-1)
        assert await cache.get("b") is None

    run(scene)


def test_a_client_has_its_options(server: Server) -> None:
    async def scene() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client:
            with pytest.raises(TypeError, match="a client has its options already: password"):
                CyberDBCache(client, password="x")
            async with CyberDBCache(client) as cache:
                await cache.set("a", 1)
            await client.check()  # it is open still
        with pytest.raises(DisconCyberDBError):
            await cache.get("a")

    asyncio.run(scene())
