"""get_or_compute and cached: one computes, the others wait or get the old value."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, DisconCyberDBError, LockLost, LockTimeout, Proxy, Server, aio
from test_concurrency import run
from test_subscriptions import Start, settle


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


def test_the_error_of_the_function_is_raised_even_if_the_server_has_gone(start: Start) -> None:
    server = start()

    def fail() -> int:
        server.stop()
        raise ZeroDivisionError

    async def fail_too() -> int:
        return fail()

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            d = await proxy.create_cyberdict("d")
            with pytest.raises(ZeroDivisionError):
                await d.get_or_compute("k", fail_too)

    asyncio.run(story())
    server.start(port=0, password=PASSWORD)
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        with pytest.raises(ZeroDivisionError):
            proxy.create_cyberdict("d", exist_ok=True).get_or_compute("other", fail)


def test_a_value_is_stored_if_the_server_was_restarted_meanwhile(start: Start) -> None:
    server = start()
    port = int(server.url.rpartition(":")[2])

    def compute() -> int:
        server.stop()
        server.start(port=port, password=PASSWORD)
        return 1

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            d = await proxy.get_cyberdict("d")
            assert await d.get_or_compute("of a task", compute) == 1
            assert await d["of a task"] == 1
            assert await asyncio.wait_for(d.get_or_compute("next", lambda: 2), 5) == 2

    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d")
        assert d.get_or_compute("k", compute) == 1
        assert d["k"] == 1
        asyncio.run(story())


def test_a_task_whose_proxy_is_closed_meanwhile_ends_its_lease(server: Server, d: CyberDict[Any, Any]) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            own = await proxy.get_cyberdict(d.table_name)
            with pytest.raises(DisconCyberDBError):
                await own.get_or_compute("k", proxy.close)
            assert d.get_or_compute("k", lambda: 1, wait=5) == 1

    asyncio.run(story())


def test_a_wait_for_the_value_ends(d: CyberDict[Any, Any], server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as other:
            table = await other.get_cyberdict(d.table_name)
            for wait in (0, 0.2):
                with pytest.raises(LockTimeout, match="'k' was not computed within"):
                    await table.get_or_compute("k", pytest.fail, wait=wait)

    end = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        computing = threads.submit(d.get_or_compute, "k", lambda: end.wait(20))
        settle(lambda: not _is_free(d))
        began = time.monotonic()
        with pytest.raises(LockTimeout, match="'k' was not computed within 0.2 s"):
            d.get_or_compute("k", pytest.fail, wait=0.2)
        assert 0.2 <= time.monotonic() - began < 2
        asyncio.run(story())
        end.set()
        assert computing.result()
    assert d.get_or_compute("k", pytest.fail, wait=0)
    with pytest.raises(ValueError, match="wait"):
        d.get_or_compute("k", pytest.fail, wait=-1)


def _is_free(d: CyberDict[Any, Any]) -> bool:
    """Whether nobody computes the key k."""
    try:
        d.get_or_compute("k", lambda: 1 / 0, wait=0)
    except ZeroDivisionError:
        return True
    except LockTimeout:
        return False
    return True


def test_a_function_that_asks_for_its_own_result(d: CyberDict[Any, Any], server: Server) -> None:
    def outer() -> Any:
        return d.get_or_compute("inner", lambda: d.get_or_compute(1.0, pytest.fail))

    with pytest.raises(RuntimeError, match=r"the computation of 1.0 asks for its own result"):
        d.get_or_compute(1, outer)
    assert d.get_or_compute(1, lambda: d.get_or_compute(2, lambda: 3)) == 3
    # The old value may be asked for.
    d.get_or_compute("k", lambda: 1, ttl=0.1, stale=60)
    time.sleep(0.2)

    def again() -> int:
        return 1 + int(d.get_or_compute("k", pytest.fail, ttl=60, stale=60))

    assert d.get_or_compute("k", again, ttl=60, stale=60) == 2

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            table = await proxy.get_cyberdict(d.table_name)

            async def ask() -> Any:
                return await table.get_or_compute("of a task", pytest.fail)

            with pytest.raises(RuntimeError, match="'of a task' asks for its own result"):
                await table.get_or_compute("of a task", ask)

            async def ask_by_others() -> Any:
                return await asyncio.wait_for(asyncio.gather(*[ask(), asyncio.ensure_future(ask())]), 20)

            with pytest.raises(RuntimeError, match="'of a task' asks for its own result"):
                await table.get_or_compute("of a task", ask_by_others)
            # A task that goes on after the computation may ask.
            over = asyncio.Event()

            async def ask_later() -> Any:
                await over.wait()
                return await table.get_or_compute("later", pytest.fail)

            later: List[Any] = []
            started: Any = lambda: later.append(asyncio.ensure_future(ask_later()))  # noqa: E731
            assert await table.get_or_compute("later", lambda: started() or 1) == 1
            over.set()
            assert await later[0] == 1

    asyncio.run(story())


@pytest.mark.skipif(not hasattr(asyncio, "to_thread"), reason="contexts do not come along")
def test_a_function_that_asks_for_its_own_result_in_a_thread(d: CyberDict[Any, Any]) -> None:
    def ask() -> Any:
        return asyncio.run(asyncio.to_thread(d.get_or_compute, "k", pytest.fail))

    with pytest.raises(RuntimeError, match="'k' asks for its own result"):
        d.get_or_compute("k", ask)


def test_the_default_ttl_of_a_dict_counts(proxy: Proxy, new_name: Callable[[], str]) -> None:
    d = proxy.create_cyberdict(new_name(), ttl=60)
    d.get_or_compute("k", lambda: 1)
    assert 59 < (d.ttl("k") or 0) <= 60


def test_a_fenced_handle_computes_while_its_lock_is_held(
    d: CyberDict[Any, Any], proxy: Proxy, server: Server, new_name: Callable[[], str]
) -> None:
    name = new_name()

    def late() -> int:
        time.sleep(0.5)
        return 1

    with proxy.lock(name) as lock, proxy.lock(new_name()) as other_lock:
        with pytest.raises(ValueError, match="the fence of one lock"):
            d.fenced(lock).durable.fenced(other_lock)
        assert d.fenced(lock).get_or_compute("k", lambda: 1, ttl=60) == 1
        assert d.durable.fenced(lock).get_or_compute("durable", lambda: 1) == 1
    assert (d["k"], d["durable"]) == (1, 1)
    lost = proxy.lock(name, ttl=0.3, renew=False)
    lost.acquire()
    with pytest.raises(LockLost):
        d.fenced(lost).get_or_compute("late", late)
    began = time.monotonic()
    assert d.get_or_compute("late", lambda: 2) == 2
    assert time.monotonic() - began < 5  # the lease has ended with the error

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as other:
            table = await other.get_cyberdict(d.table_name)
            async with other.lock(name) as lock:
                with pytest.raises(ValueError, match="the fence of one lock"):
                    table.fenced(lock).fenced(lock)
                assert await table.fenced(lock).get_or_compute("of a task", lambda: 1) == 1
            lost = other.lock(name, ttl=0.3, renew=False)
            await lost.acquire()
            with pytest.raises(LockLost):
                await table.fenced(lost).get_or_compute("late task", late)
            assert await asyncio.wait_for(table.get_or_compute("late task", lambda: 2), 5) == 2

    asyncio.run(story())


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


def test_functions_whose_keys_are_equal_do_not_share_values(client: Client, new_name: Callable[[], str]) -> None:
    def profile(user: int) -> str:
        return f"profile of {user}"

    def rights(user: int) -> str:
        return f"rights of {user}"

    by_user = cyberdb_fast.cached(client, table=new_name(), key=lambda user: user)
    assert (by_user(profile)(1), by_user(rights)(1)) == ("profile of 1", "rights of 1")
    assert by_user(functools.partial(rights))(1) == "rights of 1"


def test_cached_functions_have_the_methods_of_lru_cache(
    server: Server, client: Client, new_name: Callable[[], str]
) -> None:
    name = new_name()

    @cyberdb_fast.cached(client, table=name)
    def double(n: int) -> int:
        return 2 * n

    by_user = cyberdb_fast.cached(client, table=name, key=lambda user: user)(lambda user: user)
    assert double.cache_info() == (0, 0, None, 0)
    assert [double(1), double(1), double(2), by_user(1)] == [2, 2, 4, 1]
    with client.get_proxy() as proxy:
        proxy.get_cyberdict(name)["key of another kind"] = 1
    assert double.cache_info() == (1, 2, None, 2)
    assert double.cache_info().misses == 2
    assert by_user.cache_info() == (0, 1, None, 1)
    double.cache_clear()
    assert double.cache_info() == (0, 0, None, 0)
    assert by_user.cache_info() == (0, 1, None, 1)
    assert double(1) == 2
    assert double.cache_info() == (0, 1, None, 1)

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client:

            @cyberdb_fast.cached(client, table=name)
            async def triple(n: int) -> int:
                return 3 * n

            assert await asyncio.gather(triple(1), triple(1), triple(2)) == [3, 3, 6]
            assert await triple.cache_info() == (1, 2, None, 2)
            await triple.cache_clear()
            assert await triple.cache_info() == (0, 0, None, 0)

    asyncio.run(story())
    assert double.cache_info().currsize == 1


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
