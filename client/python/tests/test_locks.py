"""Locks and semaphores: what a user of threading.Lock relies on, and what a lease adds to it."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import Any, Callable, Dict, List

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import Client, CyberDict, LockLost, LockTimeout, Proxy, Server, aio
from test_concurrency import run
from test_subscriptions import settle

Start = Callable[..., Server]
NewName = Callable[[], str]


def connect(server: Server, **options: Any) -> Client:
    return cyberdb_fast.connect(server.url, password=PASSWORD, **options)


def background_threads() -> List[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cyberdb_fast background"]


def waiting(proxy: Proxy) -> int:
    count: int = proxy.info()["waiting_requests"]
    return count


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


# ---- leases


def test_the_error_of_the_body_is_never_hidden(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), ttl=0.05, renew=False)
    with pytest.raises(LockLost, match="was lost before it was released"), lock:
        time.sleep(0.1)
    with pytest.raises(KeyError) as e, lock:
        time.sleep(0.1)
        raise KeyError("body")
    assert isinstance(e.value.__cause__, LockLost)
    assert lock.fence is None


def test_max_hold_is_not_exceeded(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), ttl=30, max_hold=0.5)
    began = time.monotonic()
    lock.acquire()
    with proxy.lock(lock.name, wait=5):
        assert 0.3 < time.monotonic() - began < 2
    assert lock.lost
    with pytest.raises(LockLost):
        lock.release()


def free_within(proxy: Proxy, name: str, seconds: float) -> None:
    other = proxy.lock(name, wait=seconds)
    with other:
        pass


def test_the_lock_of_a_thread_that_has_ended_is_not_renewed(proxy: Proxy, new_name: NewName) -> None:
    lock = proxy.lock(new_name(), ttl=0.6)
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    assert lock.locked()
    free_within(proxy, lock.name, 3)
    with lock:  # the hold of the thread is forgotten
        assert len(lock._holds) == 1


def test_a_thread_has_no_part_in_what_another_one_holds(proxy: Proxy, new_name: NewName) -> None:
    lock, acquired, over = proxy.lock(new_name()), threading.Event(), threading.Event()

    def hold() -> bool:
        with lock:
            acquired.set()
            over.wait(20)
            return lock.lost

    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(hold)
        assert acquired.wait(20)
        assert not lock.acquire(timeout=0.1)
        with pytest.raises(RuntimeError, match="not held by the caller"):
            lock.release()
        assert lock.locked()
        assert (lock.fence, lock.lost) == (None, False)
        assert "not held by the caller" in repr(lock)
        over.set()
        assert holder.result() is False
    assert not lock.locked()


class Relay:
    """Passes bytes on to a server. Once cut, it closes each connection that a client sends on."""

    def __init__(self, server: Server) -> None:
        self._port = int(server.url.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"cyberdb://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0  # connections to be cut
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for source, sink, checks in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(source, sink, checks), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, checks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if checks and self.cuts:
                    self.cuts -= 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if not checks:
            source.close()
            sink.close()


def test_a_release_whose_connection_is_lost_tells_whether_the_lock_was(server: Server, new_name: NewName) -> None:
    with Relay(server) as relay, cyberdb_fast.connect(relay.url, password=PASSWORD) as client:
        proxy = client.get_proxy()
        proxy.connect()
        lock = proxy.lock(new_name(), ttl=0.2, renew=False)
        for pause, context in ((0.0, nullcontext()), (0.3, pytest.raises(LockLost))):
            lock.acquire()
            time.sleep(pause)
            relay.cuts = 1
            with context:
                lock.release()
            assert relay.cuts == 0
            assert not lock.locked()


def test_a_release_of_a_task_whose_connection_is_lost(server: Server, new_name: NewName) -> None:
    async def story(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
            lock = proxy.lock(new_name(), ttl=0.2, renew=False)
            for pause, context in ((0.0, nullcontext()), (0.3, pytest.raises(LockLost))):
                await lock.acquire()
                await asyncio.sleep(pause)
                relay.cuts = 1
                with context:
                    await lock.release()
                assert relay.cuts == 0
                assert not await lock.locked()

    with Relay(server) as relay:
        asyncio.run(story(relay.url))


def test_the_lock_that_nobody_refers_to_is_not_renewed(proxy: Proxy, new_name: NewName) -> None:
    name = new_name()
    proxy.lock(name, ttl=0.6).acquire()
    gc.collect()
    free_within(proxy, name, 3)


def test_the_lock_of_a_closed_client_is_not_renewed(server: Server, proxy: Proxy, new_name: NewName) -> None:
    client = connect(server)
    other = client.get_proxy()
    other.connect()
    lock = other.lock(new_name(), ttl=0.6)
    lock.acquire()
    client.close()
    free_within(proxy, lock.name, 3)


def test_callers_that_wait_learn_that_their_client_is_closed(server: Server, proxy: Proxy, new_name: NewName) -> None:
    queue = proxy.create_cyberlist(new_name())
    with proxy.lock(new_name()) as lock, ThreadPoolExecutor(3) as threads:
        client = connect(server)
        other = client.get_proxy()
        other.connect()
        its_lock, its_queue = other.lock(lock.name), other.get_cyberlist(queue.table_name)
        messages = other.subscribe("of a closed client")
        waits = [its_lock.acquire, lambda: its_queue.take(wait=None), lambda: next(messages)]
        calls = [threads.submit(wait) for wait in waits]
        settle(lambda: waiting(proxy) == 3)
        client.close()
        for call in calls:
            with pytest.raises(cyberdb_fast.DisconCyberDBError, match="the client is closed") as e:
                call.result(10)
            assert not isinstance(e.value, cyberdb_fast.ConnectionLost)
        settle(lambda: waiting(proxy) == 0)


def test_tasks_that_wait_learn_that_their_client_is_closed(server: Server, proxy: Proxy, new_name: NewName) -> None:
    async def story(name: str, lock_name: str) -> None:
        client = await aio.connect(server.url, password=PASSWORD)
        other = client.get_proxy()
        await other.connect()
        queue = await other.get_cyberlist(name)
        calls = [asyncio.ensure_future(other.lock(lock_name).acquire()), asyncio.ensure_future(queue.take(wait=None))]
        while waiting(proxy) < 2:
            await asyncio.sleep(0.01)
        await client.close()
        for call in calls:
            with pytest.raises(cyberdb_fast.DisconCyberDBError, match="closed") as e:
                await asyncio.wait_for(call, 10)
            assert not isinstance(e.value, cyberdb_fast.ConnectionLost)

    queue = proxy.create_cyberlist(new_name())
    with proxy.lock(new_name()) as lock:
        asyncio.run(story(queue.table_name, lock.name))


def test_one_thread_renews_all_locks(server: Server, new_name: NewName) -> None:
    before = set(background_threads())
    with connect(server) as client, client.get_proxy() as proxy:
        locks = [proxy.lock(new_name(), ttl=0.9) for _ in range(100)]
        for lock in locks:
            lock.acquire()
        assert len(set(background_threads()) - before) == 1
        time.sleep(1.5)
        assert not any(lock.lost for lock in locks)
        for lock in locks:
            lock.release()
    settle(lambda: set(background_threads()) <= before)


def test_a_lock_is_lost_when_the_server_does_not_renew_it(start: Start) -> None:
    server = start()
    with connect(server) as client, client.get_proxy() as proxy:
        lock = proxy.lock("l", ttl=0.6)
        lock.acquire()
        with suspended(server):
            time.sleep(0.8)
            assert lock.lost
        with pytest.raises(LockLost):
            lock.release()


STOPPED = """
import asyncio, sys
import cyberdb_fast
from cyberdb_fast import aio

renew, kind = sys.argv[2] == "True", sys.argv[3]

async def tasks():
    async with await aio.connect(sys.argv[1]) as client, client.get_proxy() as proxy:
        d, lock = await proxy.get_cyberdict("d"), proxy.lock("l", ttl=1, renew=renew)
        print("waits", flush=True)
        print(await lock.acquire(timeout=30), lock.lost, await d.fenced(lock).get("k"))
        await lock.release()

if kind == "tasks":
    asyncio.run(tasks())
else:
    with cyberdb_fast.connect(sys.argv[1]) as client, client.get_proxy() as proxy:
        d, lock = proxy.get_cyberdict("d"), proxy.lock("l", ttl=1, renew=renew)
        print("waits", flush=True)
        print(lock.acquire(timeout=30), lock.lost, d.fenced(lock).get("k"))
        lock.release()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system cannot stop a process")
@pytest.mark.parametrize("renew", [True, False])
@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_a_lock_that_was_granted_to_a_stopped_process_is_held_when_it_goes_on(
    start: Start, kind: str, renew: bool
) -> None:
    server = start()
    with connect(server) as client, client.get_proxy() as proxy:
        proxy.create_cyberdict("d", {"k": 1})
        with proxy.lock("l"):
            process = subprocess.Popen(
                [sys.executable, "-c", STOPPED, server.url, str(renew), kind],
                env={**os.environ, "PYTHONPATH": ":".join(sys.path), "CYBERDB_PASSWORD": PASSWORD},
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "waits\n"
            settle(lambda: waiting(proxy) == 1)
            process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # the lease, of which the process knows nothing yet, ends
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=30)[0] == "True False 1\n"
        assert process.returncode == 0


def test_a_long_wait_for_a_place_of_a_semaphore(proxy: Proxy, new_name: NewName) -> None:
    """The server is asked for the rest of the lease."""
    semaphore = proxy.semaphore(new_name(), 2, ttl=0.6, renew=False)
    with ThreadPoolExecutor(4) as threads:
        began = time.monotonic()
        assert list(threads.map(lambda _: semaphore.acquire(timeout=20), range(4))) == [True] * 4
        assert 0.5 < time.monotonic() - began < 5

    def wait() -> bool:
        semaphore.acquire()
        return semaphore.lost

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: wait(), range(2))) == [False] * 2


def test_a_lock_is_renewed_over_a_restart_and_fences_grow(start: Start) -> None:
    server = start()
    port = int(server.url.rpartition(":")[2])
    with connect(server) as client, client.get_proxy() as proxy:
        lock = proxy.lock("l", ttl=8)
        lock.acquire()
        fence = lock.fence
        assert fence is not None
        server.stop()
        server.start(port=port, password=PASSWORD)
        assert proxy.lock("l").locked()
        time.sleep(9)
        assert not lock.lost
        lock.release()
        with proxy.lock("l") as other:
            assert other.fence is not None
            assert other.fence > fence


def test_a_waiter_asks_again_after_a_restart(start: Start) -> None:
    server = start()
    port = int(server.url.rpartition(":")[2])
    with connect(server) as client, client.get_proxy() as proxy:
        holder = proxy.lock("l")
        holder.acquire()
        got: List[Any] = []
        waiter = threading.Thread(target=lambda: got.append(proxy.lock("l", wait=30).acquire()))
        waiter.start()
        settle(lambda: waiting(proxy) == 1)
        server.stop()
        server.start(port=port, password=PASSWORD)
        settle(lambda: waiting(proxy) == 1)
        holder.release()
        waiter.join(10)
        assert got == [True]


# ---- fences


def test_fenced_tables(d: CyberDict[Any, Any], proxy: Proxy, new_list: Any, new_name: NewName) -> None:
    lock, elements = proxy.lock(new_name(), ttl=0.3, renew=False), new_list()
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
    time.sleep(0.4)
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


# ---- waiting holds nothing up


def test_waiting_threads_hold_no_connection(server: Server, new_name: NewName) -> None:
    with connect(server, max_connections=1, pool_timeout=5) as client, client.get_proxy() as proxy:
        connections = proxy.info()["connections"]
        lock, d = proxy.lock(new_name()), proxy.create_cyberdict(new_name())
        lock.acquire()
        got: List[int] = []

        def work(n: int) -> None:
            with proxy.lock(lock.name):
                got.append(n)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(200)]
        for thread in threads:
            thread.start()
        settle(lambda: waiting(proxy) == 200)
        for n in range(100):
            d[n] = n
        assert proxy.info()["connections"] <= connections + 1
        lock.release()
        for thread in threads:
            thread.join(20)
        assert sorted(got) == list(range(200))
        assert waiting(proxy) == 0


def test_a_wait_is_not_limited_by_request_timeout(server: Server, proxy: Proxy, new_name: NewName) -> None:
    lock, over = proxy.lock(new_name()), threading.Event()

    def hold() -> None:
        with lock:
            over.wait(20)
            time.sleep(1)

    with connect(server, request_timeout=0.3) as client, client.get_proxy() as impatient:
        holder = threading.Thread(target=hold)
        holder.start()
        settle(lock.locked)
        began = time.monotonic()
        assert not impatient.lock(lock.name).acquire(timeout=1.2)
        assert 1.2 <= time.monotonic() - began < 4
        over.set()
        with impatient.lock(lock.name, wait=20):
            pass
        holder.join()


def test_a_wait_without_end_notices_a_server_that_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cyberdb_fast.background, "HEARTBEAT_SECONDS", 0.2)
    server = start()
    with connect(server, request_timeout=0.5) as client, client.get_proxy() as proxy:
        with proxy.lock("l"):
            thread = threading.Timer(0.3, lambda: None)
            thread.start()
            thread.join()
            failed: List[BaseException] = []

            def wait() -> None:
                try:
                    proxy.lock("l").acquire()
                except cyberdb_fast.CyberDBError as e:
                    failed.append(e)

            waiter = threading.Thread(target=wait)
            waiter.start()
            settle(lambda: waiting(proxy) == 1)
            with suspended(server):
                waiter.join(10)
            assert [type(e) for e in failed] == [cyberdb_fast.RequestTimeout]
        settle(lambda: waiting(proxy) == 0)


def test_the_background_ends_when_it_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cyberdb_fast.background, "IDLE_SECONDS", 0.1)
    before = set(background_threads())
    with connect(server) as client, client.get_proxy() as proxy:
        for _ in range(3):
            with proxy.lock("idle", ttl=0.3):
                time.sleep(0.2)
            settle(lambda: set(background_threads()) <= before)


FORK = """
import os, sys, time
import cyberdb_fast
client = cyberdb_fast.connect(sys.argv[1])
proxy = client.get_proxy()
proxy.connect()
lock = proxy.lock("l", ttl=0.9)
lock.acquire()
d = proxy.create_cyberdict("d")
fenced = d.fenced(lock)
pid = os.fork()
if not pid:
    status = 1
    try:
        assert lock.lost
        assert lock.fence is None
        for use in (lambda: fenced.set("k", 1), lambda: d.fenced(lock), lock.release):
            try:
                use()
                raise AssertionError
            except cyberdb_fast.LockLost as e:
                assert "child owns nothing" in str(e), e
        assert lock.locked()  # of the parent
        with proxy.lock("of the child", ttl=0.9) as own:
            time.sleep(1.2)
            assert not own.lost
        status = 0
    finally:
        os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
assert not lock.lost
lock.release()
# A child of a thread that waits: the parent's wait goes on, and the child can wait itself.
import threading
holder = proxy.lock("m")
holder.acquire()
got = []
waiter = threading.Thread(target=lambda: got.append(proxy.lock("m").acquire()))
waiter.start()
while not proxy.info()["waiting_requests"]:
    time.sleep(0.01)
pid = os.fork()
if not pid:
    os._exit(bool(proxy.lock("m").acquire(timeout=0.3)))
assert os.waitpid(pid, 0)[1] == 0
holder.release()
waiter.join(10)
assert got == [True]
client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_owns_nothing(start: Start) -> None:
    run(FORK, start())


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
