"""The leases of locks: when they are renewed, when they end, and what their owners learn."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import Client, ConnectionLost, DisconCyberDBError, LockLost, Proxy, Server, aio
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


def test_a_task_waits_on_when_the_server_has_a_place_again(start: Callable[..., Server]) -> None:
    async def story(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD) as client, client.get_proxy() as own:
            task = asyncio.ensure_future(own.lock("no place").acquire())
            while (await own.info())["waiting_requests"] < 1:
                await asyncio.sleep(0.01)
            connection = client._connections.ready()
            assert connection is not None
            connection._fail(ConnectionLost("cut"))
            await asyncio.sleep(0)
            settle(lambda: proxy.info()["connections"] == 1)
            with cyberdb_fast.connect(url, password=PASSWORD):  # it takes the place
                done, _ = await asyncio.wait([task], timeout=0.5)
                assert not done
            holder.release()
            assert await task

    server = start(max_con=2)
    with cyberdb_fast.connect(server.url, password=PASSWORD) as one, one.get_proxy() as proxy:
        holder = proxy.lock("no place")
        holder.acquire()
        asyncio.run(asyncio.wait_for(story(server.url), 20))


def test_a_release_of_a_task_that_fails_is_tried_again(server: Server, new_name: NewName) -> None:
    async def story(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD, retries=0) as client, client.get_proxy() as proxy:
            lock = proxy.lock(new_name(), ttl=60)
            await lock.acquire()
            relay.cuts = 2
            with pytest.raises(DisconCyberDBError):
                await lock.release()
            assert relay.cuts == 0
            while await lock.locked():
                await asyncio.sleep(0.01)

    with Relay(server) as relay:
        asyncio.run(asyncio.wait_for(story(relay.url), 20))


def test_tasks_that_are_cancelled_after_their_connection_is_lost_leave_nothing(server: Server, proxy: Proxy) -> None:
    """What they wait for was granted, but the reply was lost."""

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as own:
            lock, queue = own.lock("reply lost", ttl=60), await own.create_cyberlist("reply lost")
            d = await own.create_cyberdict("computed, reply lost")
            theirs, computed = proxy.get_cyberlist("reply lost"), proxy.get_cyberdict("computed, reply lost")
            for turns in range(4):  # before they pause, in the pause
                held = proxy.lock("reply lost")
                held.acquire()
                started, go_on = threading.Event(), threading.Event()

                def fail(started: threading.Event = started, go_on: threading.Event = go_on) -> None:
                    started.set()
                    go_on.wait(20)
                    raise ZeroDivisionError

                with ThreadPoolExecutor(1) as threads:
                    computing = threads.submit(computed.get_or_compute, "k", fail)
                    await asyncio.get_running_loop().run_in_executor(None, started.wait, 10)
                    tasks: List[Any] = [
                        asyncio.ensure_future(lock.acquire()),
                        asyncio.ensure_future(queue.take(lease=60, wait=20)),
                        asyncio.ensure_future(d.get_or_compute("k", lambda: 1, lease=60)),
                    ]
                    while (await own.info())["waiting_requests"] < 3:
                        await asyncio.sleep(0.01)
                    go_on.set()
                    with pytest.raises(ZeroDivisionError):
                        computing.result(10)
                held.release()
                theirs.append("item")
                settle(lambda: proxy.info()["waiting_requests"] == 0)  # this loop has read no reply
                connection = client._connections.ready()
                assert connection is not None
                connection._fail(ConnectionLost("cut"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                assert all(task.cancelled() for task in tasks)
                while await lock.locked() or await queue.leased():
                    await asyncio.sleep(0.01)
                assert await d.get_or_compute("k", lambda: 1, lease=60, wait=5) == 1
                del computed["k"]
                assert theirs.popleft() == "item"

    asyncio.run(asyncio.wait_for(story(), 30))


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
