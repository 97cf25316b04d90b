"""get_or_compute and cached: one computes, the others wait or get the old value."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, Proxy, Server, aio
from test_concurrency import run
from test_subscriptions import settle


def test_of_many_callers_one_computes(d: CyberDict[Any, Any]) -> None:
    calls: List[int] = []

    def compute() -> str:
        calls.append(1)
        time.sleep(0.2)
        return "value"

    with ThreadPoolExecutor(50) as threads:
        results = list(threads.map(lambda _: d.get_or_compute("k", compute, ttl=60), range(50)))
    assert results == ["value"] * 50
    assert len(calls) == 1
    assert 59 < (d.ttl("k") or 0) <= 60
    assert d.get_or_compute("k", pytest.fail) == "value"
    assert d.get_or_compute("none", lambda: None) is None
    assert d.get_or_compute("none", pytest.fail) is None  # None is a value
    assert d.ttl("none") is None


def test_ten_thousand_tasks_compute_once(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            d, calls = await proxy.create_cyberdict("ten thousand"), []

            async def compute() -> int:
                calls.append(1)
                while (await proxy.info())["waiting_requests"] < 9_999:
                    await asyncio.sleep(0.05)
                return 7

            tasks = [asyncio.ensure_future(d.get_or_compute("k", compute)) for _ in range(10_000)]
            assert set(await asyncio.gather(*tasks)) == {7}
            assert len(calls) == 1
            assert (await proxy.info())["waiting_requests"] == 0

    asyncio.run(story())


def test_errors_are_raised_and_not_kept(d: CyberDict[Any, Any], proxy: Proxy) -> None:
    def fail() -> int:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            d.get_or_compute("k", fail)
    assert "k" not in d
    began = time.monotonic()
    assert d.get_or_compute("k", lambda: 1) == 1
    assert time.monotonic() - began < 2  # the lease has ended with the error
    for bad in (set(), [], {}):
        with pytest.raises(TypeError):
            d.get_or_compute(bad, lambda: 1)
    with pytest.raises(TypeError):
        d.get_or_compute("object", object)  # no value of a table
    assert d.get_or_compute("object", lambda: 2) == 2


def test_the_old_value_is_served_while_it_is_computed_anew(d: CyberDict[Any, Any]) -> None:
    assert d.get_or_compute("k", lambda: 1, ttl=0.2, stale=60) == 1
    time.sleep(0.3)
    begun, end = threading.Event(), threading.Event()

    def compute() -> int:
        begun.set()
        end.wait(20)
        return 2

    with ThreadPoolExecutor(1) as threads:
        computing = threads.submit(d.get_or_compute, "k", compute, ttl=60, stale=60)
        begun.wait(20)
        for _ in range(5):
            assert d.get_or_compute("k", pytest.fail, ttl=60, stale=60) == 1
        end.set()
        assert computing.result() == 2
    assert d.get_or_compute("k", pytest.fail, ttl=60, stale=60) == 2


def test_a_long_computation_keeps_its_lease(d: CyberDict[Any, Any]) -> None:
    def compute() -> int:
        time.sleep(1.2)
        return 1

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(d.get_or_compute, "k", compute, lease=0.4)
        time.sleep(0.2)
        assert d.get_or_compute("k", pytest.fail, lease=0.4) == 1
        assert first.result() == 1


def test_a_value_that_comes_after_the_lease_does_not_replace_a_newer_one(
    d: CyberDict[Any, Any], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cyberdb_fast.background.Background, "renew", lambda *_: None)

    def compute() -> int:
        time.sleep(0.6)
        return 1

    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(d.get_or_compute, "k", compute, lease=0.2)
        time.sleep(0.1)
        assert d.get_or_compute("k", lambda: 2) == 2
        assert late.result() == 1
    assert d["k"] == 2


def test_cached(client: Client, proxy: Proxy, new_name: Callable[[], str]) -> None:
    calls: List[Any] = []
    name = new_name()

    @cyberdb_fast.cached(client, ttl=60, table=name)
    def area(width: int, height: int = 2, **more: int) -> int:
        """Says how large it is."""
        calls.append((width, height))
        return width * height

    assert [area(3), area(3, 2), area(width=3, height=2), area(4), area(3, a=1, b=2), area(3, b=2, a=1)] == [
        6,
        6,
        6,
        8,
        6,
        6,
    ]
    assert calls == [(3, 2), (4, 2), (3, 2)]
    assert area.__name__ == "area"
    assert len(proxy.get_cyberdict(name)) == 3
    with pytest.raises(TypeError, match="unhashable"):
        area([])  # type: ignore[arg-type]
    proxy.delete_table(name)
    assert area(3) == 6
    assert len(calls) == 4
    n = 5
    adding = cyberdb_fast.cached(client, table=name)(lambda x: x + n)
    assert (adding(1), adding(1)) == (6, 6)
    by_first = cyberdb_fast.cached(client, table=name, key=lambda first, _: first)(lambda first, second: second)
    assert (by_first(1, 2), by_first(1, 3)) == (2, 2)


def test_cached_coroutines(server: Server) -> None:
    async def story() -> None:
        client = await aio.connect(server.url, password=PASSWORD)
        calls: List[int] = []

        @cyberdb_fast.cached(client, ttl=60, table="cached coroutines")
        async def double(n: int) -> int:
            calls.append(n)
            await asyncio.sleep(0.05)
            if n < 0:
                raise ValueError(n)
            return 2 * n

        assert await asyncio.gather(*[double(n % 5) for n in range(100)]) == [2 * (n % 5) for n in range(100)]
        assert sorted(calls) == list(range(5))
        for _ in range(2):
            with pytest.raises(ValueError, match="-1"):
                await double(-1)
        # A caller that is cancelled while it computes gives the lease back.
        async with client.get_proxy() as proxy:
            d = await proxy.get_cyberdict("cached coroutines")
            task = asyncio.ensure_future(d.get_or_compute("slow", lambda: asyncio.sleep(20, 1)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.wait_for(d.get_or_compute("slow", lambda: 2), 5) == 2
        await client.close()

    asyncio.run(story())


FORKED = """
import os, sys, time
import cyberdb_fast
client = cyberdb_fast.connect(sys.argv[1])
proxy = client.get_proxy()
proxy.connect()
counter = proxy.create_cyberdict("counter")

@cyberdb_fast.cached(client, ttl=60)
def slow(n):
    counter.increment(n)
    time.sleep(0.3)
    return n * n

children = []
for _ in range(6):
    pid = os.fork()
    if not pid:
        os._exit(not (slow(3) == 9 and slow(4) == 16))
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
assert dict(counter) == {3: 1, 4: 1}, dict(counter)
client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_workers_compute_once(start: Callable[..., Server]) -> None:
    run(FORKED, start())


def test_an_interrupted_wait_leaves_no_waiter(d: CyberDict[Any, Any], proxy: Proxy, server: Server) -> None:
    end = threading.Event()

    def compute() -> int:
        end.wait(20)
        return 1

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as other:
            table = await other.get_cyberdict(d.table_name)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(table.get_or_compute("k", pytest.fail), 0.2)
            while (await other.info())["waiting_requests"]:
                await asyncio.sleep(0.01)

    with ThreadPoolExecutor(1) as threads:
        computing = threads.submit(d.get_or_compute, "k", compute)
        time.sleep(0.1)
        asyncio.run(story())
        end.set()
        assert computing.result() == 1
    settle(lambda: proxy.info()["waiting_requests"] == 0)
