"""Sentences of docs/WAITING.md that no scenario tests: renewal, waits, what is no time, keys."""

from __future__ import annotations

import asyncio
import socket
import time
import types
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import CyberDict, LockLost, Overloaded, Proxy, Server, aio
from cyberdb_fast.computing import default_key
from test_lock_leases import Relay
from test_subscriptions import settle

NewName = Callable[[], str]
NAN = float("nan")


def left_at_renewal(lock: Any) -> float:
    """The time, in seconds, that the lease of a lock has left when it is renewed."""
    left = float("inf")
    until = time.monotonic() + 10
    while (now := lock._holders().held[0][1]) <= left:
        assert time.monotonic() < until
        left = now
        time.sleep(0.02)
    return left


def test_a_lock_is_renewed_at_a_third_of_its_ttl(server: Server, proxy: Proxy, new_name: NewName) -> None:
    async def task() -> float:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as other:
            async with other.lock(name, ttl=6):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(None, left_at_renewal, proxy.lock(name))

    name = new_name()
    with ThreadPoolExecutor(1) as threads, proxy.lock(new_name(), ttl=6) as lock:
        tasks = threads.submit(lambda: asyncio.run(task()))
        for left in (left_at_renewal(lock), tasks.result()):
            assert 1.5 < left < 5  # 4 s, but for what the machine delays


def test_a_lock_that_an_operator_drops_is_lost_at_its_next_renewal(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), ttl=6)
    lock.acquire()
    began = time.monotonic()
    proxy.delete_table("cyberdb:locks")
    assert not lock.locked()
    settle(lambda: lock.lost)
    assert time.monotonic() - began < 5  # 2 s, but for what the machine delays
    with pytest.raises(LockLost):
        lock.release()


def test_a_table_has_the_fence_of_one_lock(
    server: Server, d: CyberDict[Any, Any], proxy: Proxy, new_name: NewName
) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as other:
            table = await other.get_cyberdict(d.table_name)
            async with other.lock(new_name()) as first, other.lock(new_name()) as second:
                with pytest.raises(ValueError, match="fence of one lock"):
                    table.fenced(first).fenced(second)

    with proxy.lock(new_name()) as first, proxy.lock(new_name()) as second:
        with pytest.raises(ValueError, match="fence of one lock"):
            d.fenced(first).fenced(second)
        with pytest.raises(ValueError, match="fence of one lock"):
            d.fenced(first).durable.fenced(first)
    asyncio.run(story())


class Cable(Relay):
    """A relay whose connections can be cut while nothing is sent."""

    def _pass_on(self, source: socket.socket, sink: socket.socket, checks: bool) -> None:
        self.__dict__.setdefault("sockets", []).append(source)
        super()._pass_on(source, sink, checks)

    def cut(self) -> None:
        for one in self.__dict__.pop("sockets"):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_a_wait_ends_in_its_time_though_its_connection_is_lost(server: Server, proxy: Proxy, new_name: NewName) -> None:
    """It asks again for the time that is left."""

    async def task() -> float:
        async with await aio.connect(relay.url, password=PASSWORD) as client, client.get_proxy() as other:
            began = time.monotonic()
            assert not await other.lock(name, wait=2).acquire()
            return time.monotonic() - began

    def thread() -> float:
        with cyberdb_fast.connect(relay.url, password=PASSWORD) as client, client.get_proxy() as other:
            began = time.monotonic()
            assert other.create_cyberlist(new_name()).take(wait=2) is None
            return time.monotonic() - began

    name = new_name()
    with Cable(server) as relay, ThreadPoolExecutor(2) as threads, proxy.lock(name):
        took = [threads.submit(thread), threads.submit(lambda: asyncio.run(task()))]
        settle(lambda: proxy.info()["waiting_requests"] == 2)
        time.sleep(1.7)
        relay.cut()
        for one in took:
            assert 2 <= one.result() < 3.6
    assert proxy.info()["waiting_requests"] == 0


def test_asyncio_refuses_what_is_no_time(server: Server, new_name: NewName) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            queue, d = await proxy.create_cyberlist(new_name(), [1]), await proxy.create_cyberdict(new_name())
            messages = proxy.subscribe(new_name())
            item: Any = await queue.take()
            requests: List[Callable[[Any], Any]] = [
                lambda t: proxy.lock("l", wait=t).acquire(),
                lambda t: proxy.lock("l", ttl=t).acquire(),
                lambda t: proxy.lock("l", max_hold=t).acquire(),
                lambda t: proxy.lock("l").acquire(timeout=t),
                lambda t: queue.take(wait=t),
                lambda t: queue.take(lease=t),
                lambda t: queue.pop(wait=t),
                lambda t: queue.popleft(wait=t),
                lambda t: queue.put(2, delay=t),
                lambda t: queue.nack(item, delay=t),
                lambda t: queue.extend_lease(item, t),
                lambda t: d.get_or_compute("k", lambda: 1, ttl=t),
                lambda t: d.get_or_compute("k", lambda: 1, ttl=1, stale=t),
                lambda t: d.get_or_compute("k", lambda: 1, lease=t),
                lambda t: d.get_or_compute("k", lambda: 1, wait=t),
                lambda t: messages.receive(wait=t),
            ]
            for i, request in enumerate(requests):
                for bad, error in ((-2, ValueError), (NAN, ValueError), ("1", TypeError), (True, ValueError)):
                    with pytest.raises(error):
                        await request(bad)
                        raise AssertionError(f"request {i} with {bad!r}")
            await queue.ack(item)
            assert (await queue.copy(), await d.copy(), await proxy.lock("l").locked()) == ([], {}, False)

    asyncio.run(story())


def test_asyncio_refuses_too_many_subscriptions(server: Server, new_name: NewName) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            name = new_name()
            held = [await proxy.subscribe(name).__aenter__() for _ in range(64)]
            with pytest.raises(Overloaded):
                await proxy.subscribe(name).__aenter__()
            await held.pop().close()
            held.append(await proxy.subscribe(name).__aenter__())
            assert await proxy.publish(name, 1) == 64

    asyncio.run(story())


def test_a_value_without_its_lease_is_returned_and_not_stored(
    server: Server, d: CyberDict[Any, Any], proxy: Proxy
) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as other:
            table = await other.get_cyberdict(d.table_name)
            assert await table.get_or_compute("task", lambda: late("task")) == "late"

    def late(key: str) -> str:
        proxy.delete_table("cyberdb:locks")
        d[key] = "newer"
        return "late"

    assert d.get_or_compute("thread", lambda: late("thread")) == "late"
    asyncio.run(story())
    assert d.copy() == {"thread": "newer", "task": "newer"}


# ---- cached


def key_of(function: Callable[..., Any], *arguments: Any) -> Any:
    return default_key(function)(arguments, {})


def test_functions_that_differ_in_operators_or_attributes_have_different_keys() -> None:
    assert key_of(lambda a, b: a + b, 1, 2) != key_of(lambda a, b: a - b, 1, 2)
    assert key_of(lambda s: s.upper(), "a") != key_of(lambda s: s.lower(), "a")
    assert key_of(lambda a, b: a + b, 1, 2) == key_of(lambda a, b: a + b, 1, 2)


def test_equal_functions_of_other_modules_and_names_have_different_keys() -> None:
    def function() -> int:
        return 1

    def copy(**names: str) -> Any:
        made = types.FunctionType(function.__code__, globals(), function.__name__)
        for name in ("__module__", "__qualname__"):
            setattr(made, name, names.get(name, getattr(function, name)))
        return made

    assert key_of(copy()) == key_of(function)
    assert key_of(copy(__module__="other")) != key_of(function)
    assert key_of(copy(__qualname__="other")) != key_of(function)


def test_the_closure_counts_as_of_the_decoration() -> None:
    factor = 2
    decorated = default_key(lambda a: a * factor)
    before = decorated((1,), {})
    factor = 3
    assert decorated((1,), {}) == before
    assert key_of(lambda a: a * factor, 1) != before
