"""Locks and semaphores: what a user of threading.Lock relies on, and fences."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List

import pytest

from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, LockLost, LockTimeout, Proxy, Server, aio
from test_subscriptions import settle

Start = Callable[..., Server]
NewName = Callable[[], str]


# ---- as threading.Lock


def test_it_is_used_as_a_lock_of_threading(proxy: Proxy, new_name: NewName) -> None:
    lock, other = (proxy.lock(name) for name in [new_name()] * 2)
    assert not lock.locked()
    assert lock.acquire()
    assert lock.locked()
    assert other.locked()
    assert not other.acquire(blocking=False)
    assert not other.acquire(False)
    began = time.monotonic()
    assert not other.acquire(timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 2
    lock.release()
    with other:
        assert lock.locked()
    assert not lock.locked()
    with pytest.raises(RuntimeError, match="is not held"):
        lock.release()
    with pytest.raises(ValueError, match="timeout"):
        lock.acquire(False, 1)


def test_threads_share_one_lock(client: Client, proxy: Proxy, new_name: NewName) -> None:
    lock, inside, most, fences = proxy.lock(new_name()), [0], [0], []

    def work(_: int) -> None:
        for _ in range(20):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                fences.append(lock.fence)
                inside[0] -= 1

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))
    assert most[0] == 1
    assert fences == sorted(set(fences))
    assert len(fences) == 320
    assert lock.fence is None
    assert not lock.locked()


def test_with_raises_when_the_wait_ends(proxy: Proxy, new_name: NewName) -> None:
    name = new_name()
    with proxy.lock(name), pytest.raises(LockTimeout, match=f"'{name}' did not become free within 0.1 s") as e:
        with proxy.lock(name, wait=0.1):
            raise AssertionError
    assert isinstance(e.value, TimeoutError)


def test_a_reentrant_lock(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), reentrant=True)
    with lock:
        fence = lock.fence
        with lock:
            assert lock.fence == fence
            with ThreadPoolExecutor(1) as threads:  # another thread is another owner
                assert not threads.submit(lock.acquire, timeout=0.1).result()
        assert lock.locked()
    assert not lock.locked()
    with pytest.raises(RuntimeError):
        lock.release()


def test_a_reentrant_lock_that_was_lost_is_not_entered_again(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), ttl=0.1, renew=False, reentrant=True)
    lock.acquire()
    time.sleep(0.2)
    with pytest.raises(LockLost, match="release it first"):
        lock.acquire()
    with pytest.raises(LockLost):
        lock.release()
    with lock:
        assert not lock.lost


def test_a_semaphore_is_shared_by_threads(proxy: Proxy, new_name: NewName) -> None:
    semaphore, inside, most = proxy.semaphore(new_name(), 3), [], [0]

    def work(n: int) -> None:
        for _ in range(10):
            with semaphore:
                inside.append(n)
                most[0] = max(most[0], len(inside))
                time.sleep(0.001)
                inside.remove(n)

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(work, range(10)))
    assert most[0] == 3
    assert not semaphore.locked()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ttl": 0}, ValueError, "ttl"),
        ({"ttl": -1}, ValueError, "ttl"),
        ({"ttl": float("nan")}, ValueError, "ttl"),
        ({"ttl": True}, ValueError, "ttl"),
        ({"ttl": "30"}, TypeError, "ttl"),
        ({"ttl": float("inf")}, ValueError, "ttl"),
        ({"wait": -1}, ValueError, "wait"),
        ({"wait": float("nan")}, ValueError, "wait"),
        ({"wait": False}, ValueError, "wait"),
        ({"wait": "1"}, TypeError, "wait"),
        ({"max_hold": 0}, ValueError, "max_hold"),
        ({"max_hold": "1"}, TypeError, "max_hold"),
    ],
)
def test_bad_arguments(proxy: Proxy, options: Dict[str, Any], error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        proxy.lock("bad", **options)


def test_bad_names_and_numbers(proxy: Proxy) -> None:
    bad: List[Any] = [(1, TypeError), (b"x", TypeError), *((s, ValueError) for s in ("", "x" * 1025, "\ud800"))]
    for name, error in bad:
        with pytest.raises(error, match="lock"):
            proxy.lock(name)
    for n, error in ((0, ValueError), (1025, ValueError), (True, TypeError), (1.0, TypeError)):
        with pytest.raises(error, match="n "):
            proxy.semaphore("bad", n)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        proxy.lock("bad").acquire(timeout=-2)
    assert not proxy.lock("bad").locked()


def test_the_error_of_the_body_is_never_hidden(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), ttl=0.05, renew=False)
    with pytest.raises(LockLost, match="was lost before it was released"), lock:
        time.sleep(0.1)
    with pytest.raises(KeyError) as e, lock:
        time.sleep(0.1)
        raise KeyError("body")
    assert isinstance(e.value.__cause__, LockLost)
    assert lock.fence is None


# ---- fences


def test_fenced_tables(d: CyberDict[Any, Any], proxy: Proxy, new_list: Any, new_name: NewName) -> None:
    lock, elements = proxy.lock(new_name(), ttl=4, renew=False), new_list()
    with pytest.raises(LockLost, match="is not held by the caller"):
        d.fenced(lock)
    lock.acquire()
    fenced, late_list = d.fenced(lock), elements.fenced(lock)
    fenced["k"] = 1
    assert fenced["k"] == 1
    assert list(fenced) == ["k"]
    fenced.durable.set("k", 2, ttl=60)
    d.durable.fenced(lock).set("k", 3)
    fenced.modify("k", lambda v: v + 1)
    late_list.append(1)
    with proxy.pipeline() as pipe:
        first = pipe.on(fenced).increment("k")
        second = pipe.on(elements.fenced(lock)).pop()
    assert (first.value, second.value) == (5, 1)
    assert d["k"] == 5
    settle(lambda: not lock.locked())
    for request in (
        lambda: fenced.set("k", 9),
        lambda: fenced["k"],
        lambda: list(fenced),
        lambda: fenced.modify("k", lambda v: 9),
        lambda: late_list.append(9),
    ):
        with pytest.raises(LockLost) as e:
            request()
        assert e.value.fence == 0
    with proxy.pipeline() as pipe:
        late = pipe.on(fenced).increment("k")
    assert isinstance(late.error, LockLost)
    with proxy.lock(lock.name) as other:
        with pytest.raises(LockLost) as e:
            fenced["k"] = 9
        assert e.value.fence == other.fence
    assert (d["k"], list(elements)) == (5, [])
    with pytest.raises(LockLost):
        lock.release()


def test_a_fenced_table_has_the_fence_of_one_hold(d: CyberDict[Any, Any], proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name())
    with lock:
        first = d.fenced(lock)
        with ThreadPoolExecutor(1) as threads:  # that another thread may use
            threads.submit(first.set, "k", 1).result()
    with lock:
        with pytest.raises(LockLost) as e:
            first["k"] = 2
        assert e.value.fence == lock.fence
        d.fenced(lock)["k"] = 3
    with proxy.lock(lock.name), pytest.raises(LockLost):
        first["k"] = 4
    assert d["k"] == 3


def test_no_fenced_write_of_a_former_owner_comes_after_one_of_the_next(proxy: Proxy, new_name: NewName) -> None:
    """Owners hold on beyond their leases: the fences of their writes still only grow."""
    log, name = proxy.create_cyberlist(new_name()), new_name()
    over = time.monotonic() + 3

    def work(seed: int) -> None:
        dice = random.Random(seed)
        while time.monotonic() < over:
            lock = proxy.lock(name, ttl=0.02, renew=False)
            try:
                with lock:
                    for _ in range(4):
                        time.sleep(dice.random() * 0.02)
                        log.fenced(lock).append(lock.fence)
            except LockLost:
                pass

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    written = log.copy()
    assert written == sorted(written)
    assert len(set(written)) > 20


# ---- asyncio


def test_tasks_that_are_cancelled_at_every_moment_leave_nothing(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            tasks = len(asyncio.all_tasks())

            async def use() -> None:
                async with proxy.lock("cancelled", ttl=60) as lock:
                    assert lock.fence
                    await asyncio.sleep(0)

            for held in (False, True):
                for steps in range(60):
                    holder = proxy.lock("cancelled", ttl=60)
                    if held:
                        await holder.acquire()
                    task = asyncio.ensure_future(use())
                    for n in range(steps):
                        await asyncio.sleep(0 if n % 5 else 0.0005)
                        if held and n == steps // 2:
                            await holder.release()
                    task.cancel()
                    await asyncio.wait([task])
                    if holder.fence is not None:
                        await holder.release()
                    async with proxy.lock("cancelled", wait=5):
                        pass
            while (await proxy.info())["waiting_requests"]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert len(asyncio.all_tasks()) <= tasks

    asyncio.run(story())


def test_tasks_share_a_connection_to_wait(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            lock, got = proxy.lock("of tasks", reentrant=True), []
            await lock.acquire()
            async with lock:
                assert lock.fence

            async def use(n: int) -> None:
                async with lock:
                    got.append(n)

            tasks = [asyncio.ensure_future(use(n)) for n in range(2000)]
            while (await proxy.info())["waiting_requests"] < 2000:
                await asyncio.sleep(0.01)
            await lock.release()
            await asyncio.gather(*tasks)
            assert got == list(range(2000))
            assert not await lock.locked()
            assert not lock.lost

    asyncio.run(story())


def test_the_lock_of_a_task_that_has_ended_is_not_renewed(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            gone, mine = proxy.lock("of a task that is gone", ttl=0.6), proxy.lock("of this task", ttl=0.6)

            async def acquire() -> None:
                await gone.acquire()

            await asyncio.ensure_future(acquire())
            await mine.acquire()
            assert await gone.locked()
            async with proxy.lock(gone.name, wait=5):
                assert not mine.lost
            await asyncio.sleep(1)
            assert not mine.lost
            await mine.release()
            with pytest.raises(RuntimeError, match="not held by the caller"):
                await gone.release()
            with pytest.raises(KeyError) as e:
                async with proxy.lock("short", ttl=0.05, renew=False):
                    await asyncio.sleep(0.1)
                    raise KeyError
            assert isinstance(e.value.__cause__, LockLost)
            with pytest.raises(asyncio.TimeoutError):
                async with mine:
                    await asyncio.wait_for(proxy.lock(mine.name).acquire(), 0.1)
            assert not await mine.locked()

    asyncio.run(story())


def test_a_renewal_without_a_reply_delays_no_others(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            keeper, hangs = client.keeper, asyncio.Event()
            connection = keeper._connection

            async def first_hangs() -> Any:
                if not hangs.is_set():
                    hangs.set()
                    await asyncio.Event().wait()
                return await connection()

            monkeypatch.setattr(keeper, "_connection", first_hangs)
            first, second = proxy.lock("without a reply", ttl=0.5), proxy.lock("beside it", ttl=1)
            await first.acquire()
            await hangs.wait()
            await second.acquire()
            await asyncio.sleep(2)
            assert first.lost
            assert not second.lost
            await second.release()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_the_owner_is_the_task_that_calls(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            first, second, third = (proxy.lock(f"called {n}", ttl=0.6) for n in range(3))
            assert await asyncio.wait_for(first.acquire(), 5)
            assert await asyncio.gather(second.acquire(), asyncio.ensure_future(third.acquire())) == [True, True]
            await asyncio.sleep(1.2)
            for lock in (first, second, third):
                assert lock.fence is not None
                assert not lock.lost
                assert await lock.locked()

                async def use(lock: aio.Lock = lock) -> None:
                    assert not await lock.acquire(timeout=0.05)
                    await lock.release()

                with pytest.raises(RuntimeError, match="not held by the caller"):
                    await asyncio.ensure_future(use())
                await asyncio.wait_for(lock.release(), 5)
                assert not await lock.locked()

    asyncio.run(story())


def test_an_event_loop_that_runs_nothing_else_acquires_a_lock(server: Server) -> None:
    async def made() -> aio.Client:
        return await aio.connect(server.url, password=PASSWORD)

    loop = asyncio.new_event_loop()
    try:
        client = loop.run_until_complete(made())
        proxy = client.get_proxy()
        loop.run_until_complete(proxy.connect())
        lock = proxy.lock("of a loop", ttl=0.5)
        assert loop.run_until_complete(lock.acquire())  # without a task that calls
        assert loop.run_until_complete(lock.locked())
        loop.run_until_complete(client.close())
    finally:
        loop.close()
