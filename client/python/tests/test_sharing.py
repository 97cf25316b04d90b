"""Callers that share a connection: each gets its own reply, whatever happens to the others."""

from __future__ import annotations

import os
import platform
import random
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Callable, Iterator, List, Optional, Tuple

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import (
    Client,
    ConnectionLost,
    CyberDict,
    DisconCyberDBError,
    PoolTimeout,
    RequestTimeout,
    Server,
    dict_requests,
    list_requests,
    requests,
)
from cyberdb_fast import batcher as batcher_module
from cyberdb_fast import pool as pool_module
from cyberdb_fast.batcher import MAX_REQUEST_BYTES, MAX_REQUESTS, Batch, Batcher, is_batchable
from cyberdb_fast.connection import Connection
from cyberdb_fast.frames import Reply
from cyberdb_fast.pool import Pool
from cyberdb_fast.requests import Request
from cyberdb_fast.waiter import Lease
from test_concurrency import run

Start = Callable[..., Server]


@contextmanager
def table_of(server: Server, **options: Any) -> Iterator[CyberDict[Any, Any]]:
    """A new dict, through its own client."""
    with (
        cyberdb_fast.connect(server.url, password=PASSWORD, **{"max_connections": 1, **options}) as client,
        client.get_proxy() as proxy,
    ):
        if proxy.exists("d"):
            proxy.delete_table("d")
        yield proxy.create_cyberdict("d")


def pool_of(d: CyberDict[Any, Any]) -> Pool:
    client: Client = d._sender._client  # type: ignore[attr-defined]
    return client._pool


def together(d: CyberDict[Any, Any], threads: ThreadPoolExecutor, calls: List[Callable[[], Any]]) -> List[Future[Any]]:
    """Queues calls in this order while the only connection is in use, then releases it."""
    pool = pool_of(d)
    held = pool.acquire()
    futures = []
    for call in calls:
        futures.append(threads.submit(call))
        while len(pool.waiting) + sum(future.done() for future in futures) < len(futures):
            time.sleep(0.0005)
    pool.release(held)
    return futures


def assume_one_thread(d: CyberDict[Any, Any]) -> None:
    """Makes the batcher assume many callers from one thread."""
    client: Client = d._sender._client  # type: ignore[attr-defined]
    batcher = client._batcher
    batcher._single_thread, batcher._last_thread, batcher._max_batches = True, 1, 1


def in_order(pool: Pool) -> None:
    """All connections are idle, and no caller waits."""
    counts = pool.stats()
    assert counts["open"] == counts["idle"] <= counts["max_connections"]
    assert counts["waiting"] == 0
    assert pool.in_use() == 0


def test_waiting_requests_are_batched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: List[int] = []
    send = Connection._send
    monkeypatch.setattr(Connection, "_send", lambda connection, data: sent.append(len(data)) or send(connection, data))  # type: ignore[func-returns-value]
    with table_of(server) as d, ThreadPoolExecutor(100) as threads:
        d.update({i: str(i) for i in range(100)})
        sent.clear()
        replies = together(d, threads, [lambda i=i: d[i] for i in range(100)])  # type: ignore[misc]
        assert [reply.result(60) for reply in replies] == [str(i) for i in range(100)]
        assert len(sent) == 2, f"{MAX_REQUESTS} and the rest"
        in_order(pool_of(d))


def test_each_has_its_own_error(server: Server) -> None:
    with table_of(server) as d, ThreadPoolExecutor(4) as threads:
        d["a"] = 1
        calls = [lambda: d["none"], lambda: d["a"], lambda: d.increment("a", "x"), lambda: d.pop("a")]
        first, second, third, fourth = together(d, threads, calls)
        with pytest.raises(KeyError, match="none"):
            first.result(60)
        assert second.result(60) == 1
        with pytest.raises(TypeError):
            third.result(60)
        assert fourth.result(60) == 1


@pytest.mark.parametrize("encrypt", [False, True])
def test_all_kinds_of_requests_at_once(start: Start, encrypt: bool) -> None:
    """Small requests share connections; large ones and pipelines have exclusive ones."""
    server = start(encrypt=encrypt)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    with table_of(server, max_connections=2, encrypt=encrypt) as d:

        def work(worker: int) -> None:
            choose = random.Random(seed + worker)
            for i in range(60):
                key = (worker, i)
                kind = choose.randrange(10)
                value: Any = f"{key}" if kind else f"{key}" * MAX_REQUEST_BYTES
                d[key] = value
                assert d[key] == value
                if kind == 1:
                    assert key in list(d)
                elif kind == 2:
                    with d._sender.pipeline() as pipe:  # type: ignore[attr-defined]
                        results = [pipe.on(d).increment("n", 0), pipe.on(d).getitem(key)]
                    assert results[1].value == value
                elif kind == 3:
                    assert d.pop(key) == value
                d.increment("n")

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            with ThreadPoolExecutor(16) as threads:
                list(threads.map(work, range(16)))
        finally:
            sys.setswitchinterval(interval)
        assert d["n"] == 16 * 60
        in_order(pool_of(d))


def test_a_lost_connection_fails_the_whole_batch(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection._receive

    def cut(connection: Connection) -> bytes:
        monkeypatch.setattr(Connection, "_receive", receive)
        connection.socket.shutdown(socket.SHUT_RDWR)
        with suppress(ConnectionError):
            while connection.socket.recv(4096):  # the replies may have come already
                pass
        return receive(connection)

    with table_of(server) as d, ThreadPoolExecutor(6) as threads:
        d["a"] = 1
        monkeypatch.setattr(Connection, "_receive", cut)
        calls = [lambda: d["a"], lambda: d.increment("n"), lambda: d["a"], lambda: d.increment("n")]
        futures = together(d, threads, calls)
        assert futures[0].result(60) == futures[2].result(60) == 1, "a read is repeated"
        for i in (1, 3):
            with pytest.raises(ConnectionLost, match="may or may not"):
                futures[i].result(60)
        assert d.get("n", 0) <= 2
        in_order(pool_of(d))


def test_all_sharing_callers_learn_that_there_is_no_server(start: Start) -> None:
    server = start()
    with table_of(server) as d, ThreadPoolExecutor(8) as threads:
        pool = pool_of(d)
        held = pool.acquire()
        waiting = [threads.submit(d.increment, "n") for _ in range(8)]
        while len(pool.waiting) < 8:
            time.sleep(0.001)
        server.stop()
        pool.discard(held)
        for one in waiting:
            with pytest.raises(DisconCyberDBError):
                one.result(60)
        in_order(pool)


def test_time_passes_for_all_sharing_callers(start: Start) -> None:
    server = start()
    with table_of(server, request_timeout=1.5) as d, ThreadPoolExecutor(8) as threads:
        with suspended(server):
            began = time.monotonic()
            for one in together(d, threads, [lambda: d.increment("n")] * 8):
                with pytest.raises(RequestTimeout, match=r"1\.5 s"):
                    one.result(60)
            assert time.monotonic() - began >= 1.45
        assert d.get("n", 0) <= 8
        d["a"] = 1
        assert d["a"] == 1, "a late reply is dropped"
        in_order(pool_of(d))


def test_the_wait_of_each_ends_in_time(server: Server) -> None:
    """Only the first waiter polls; when it leaves, the next one polls."""
    with table_of(server, pool_timeout=0.3) as d, ThreadPoolExecutor(8) as threads:
        pool = pool_of(d)
        held = pool.acquire()

        def wait(_: int) -> float:
            began = time.monotonic()
            with pytest.raises(PoolTimeout, match="max_connections"):
                d["a"]
            return time.monotonic() - began

        took = list(threads.map(wait, range(8)))
        assert min(took) >= 0.29
        pool.release(held)
        d["a"] = 1
        in_order(pool)


def test_closing_refuses_all_waiters(server: Server) -> None:
    with table_of(server) as d, ThreadPoolExecutor(4) as threads:
        pool = pool_of(d)
        held = pool.acquire()
        waiting = [threads.submit(d.increment, "n") for _ in range(4)]
        while len(pool.waiting) < 4:
            time.sleep(0.001)
        pool.close()
        for one in waiting:
            with pytest.raises(DisconCyberDBError, match="closed"):
                one.result(60)
        pool.release(held)
        assert pool.stats()["open"] == 0


def test_a_caller_with_its_reply_stops_reading_for_others(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection.receive_some
    arrived: List[Reply] = []
    readers: List[int] = []

    def one_by_one(connection: Connection) -> List[Reply]:
        readers.append(threading.get_ident())
        if not arrived:
            arrived.extend(receive(connection))
        return [arrived.pop(0)]

    monkeypatch.setattr(Connection, "receive_some", one_by_one)
    with table_of(server, request_timeout=30.0) as d, ThreadPoolExecutor(4) as threads:
        d.update({i: i for i in range(4)})
        futures = together(d, threads, [lambda i=i: (d[i], threading.get_ident()) for i in range(4)])  # type: ignore[misc]
        assert [one.result(60)[0] for one in futures] == list(range(4))
        assert readers == [one.result(60)[1] for one in futures]
        in_order(pool_of(d))


@pytest.mark.parametrize("moment", ["_send", "_receive"])
def test_an_interrupted_leader_leaves_a_clear_error(
    server: Server, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = getattr(Connection, moment)

    def interrupt(connection: Connection, *arguments: Any) -> Any:
        monkeypatch.setattr(Connection, moment, whole)
        raise KeyboardInterrupt

    with table_of(server) as d, ThreadPoolExecutor(3) as threads:
        d["a"] = 1
        monkeypatch.setattr(Connection, moment, interrupt)
        leader, reader, writer = together(d, threads, [lambda: d["a"], lambda: d["a"], lambda: d.increment("n")])
        with pytest.raises(KeyboardInterrupt):
            leader.result(60)
        assert reader.result(60) == 1
        with pytest.raises(ConnectionLost, match=r"interrupted \(KeyboardInterrupt\); the request may or may not"):
            writer.result(60)
        assert d.get("n", 0) <= 1
        in_order(pool_of(d))


@pytest.mark.parametrize("at", [(Pool, "discard"), (Batch, "fail"), (Pool, "leave")], ids=["discard", "fail", "leave"])
def test_a_second_interrupt_leaves_no_caller_waiting(
    server: Server, monkeypatch: pytest.MonkeyPatch, at: Tuple[type, str]
) -> None:
    """The second interrupt comes while an interrupted leader leaves its batch."""
    owner, name = at
    receive, whole = Connection._receive, getattr(owner, name)

    def first(connection: Connection) -> bytes:
        monkeypatch.setattr(Connection, "_receive", receive)
        monkeypatch.setattr(owner, name, second)
        raise KeyboardInterrupt

    def second(*_: Any) -> None:
        monkeypatch.setattr(owner, name, whole)
        raise KeyboardInterrupt

    with table_of(server) as d, ThreadPoolExecutor(3) as threads:
        d["a"] = 1
        monkeypatch.setattr(Connection, "_receive", first)
        leader, reader, writer = together(d, threads, [lambda: d["a"], lambda: d["a"], lambda: d.increment("n")])
        with pytest.raises(KeyboardInterrupt):
            leader.result(60)
        assert reader.result(30) == 1
        with pytest.raises(ConnectionLost, match="may or may not"):
            writer.result(30)
        in_order(pool_of(d))


class Stop(BaseException):
    """An interrupt."""


def interrupted(call: Callable[[], Any], at: int) -> str:
    """Interrupts a call at the at-th line below Batcher.exchange.

    Returns the name of the interrupted function, or an empty string if the call has fewer lines.
    """
    struck = ""
    lines = 0
    depth: List[FrameType] = []

    def trace(frame: FrameType, event: str, _: Any) -> Optional[Callable[..., Any]]:
        nonlocal lines, struck
        if not depth and frame.f_code is not Batcher.exchange.__code__:
            return None
        if not depth:
            depth.append(frame)
        if event == "line" and "cyberdb_fast" in frame.f_code.co_filename:
            lines += 1
            if lines == at:
                struck = frame.f_code.co_name
                raise Stop
        return trace

    sys.settrace(trace)
    try:
        call()
    except Stop:
        pass
    finally:
        sys.settrace(None)
    return struck


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="the lines that PyPy's traces reach differ")
def test_an_interrupt_at_any_line_blocks_no_caller(server: Server) -> None:
    """The interrupted caller is the leader, or another caller of the batch."""
    for slot in (0, 2):
        at = 1
        while interrupt_one_of_four(server, slot, at):
            at += 1
        assert at > 20


def interrupt_one_of_four(server: Server, slot: int, at: int) -> str:
    """Returns the name of the interrupted function."""
    with table_of(server, max_connections=2) as d, ThreadPoolExecutor(4) as threads:
        pool = pool_of(d)
        other = pool.acquire()
        calls: List[Callable[[], Any]] = [lambda: d.increment("n")] * 4
        calls[slot] = lambda: interrupted(lambda: d.increment("n"), at)
        began = time.monotonic()
        futures = together(d, threads, calls)
        struck: str = futures.pop(slot).result(60)
        pool.release(other)
        for one in futures:
            with suppress(ConnectionLost):
                one.result(60)
        assert time.monotonic() - began < 25, f"line {at}"
        assert d.increment("n") <= 5
        in_order(pool)
        return struck


def test_an_interrupt_while_a_connection_is_given_to_others(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    wake_next = Pool.wake_next

    def interrupt(*_: Any) -> None:
        monkeypatch.setattr(Pool, "wake_next", wake_next)
        raise Stop

    with table_of(server) as d, ThreadPoolExecutor(2) as threads:
        pool = pool_of(d)
        d["a"] = 1
        held = pool.acquire()
        waiting = [threads.submit(d.__getitem__, "a") for _ in range(2)]
        while len(pool.waiting) < 2:
            time.sleep(0.001)
        monkeypatch.setattr(Pool, "wake_next", interrupt)
        with pytest.raises(Stop):
            pool.release(held)
        assert [one.result(60) for one in waiting] == [1, 1]
        in_order(pool)


def test_a_lost_connection_delays_no_waiter(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Greenlets of one thread wait to be batched, but not for long."""
    monkeypatch.setattr(batcher_module, "_native_id", lambda: 1)
    with table_of(server, max_connections=8) as d, ThreadPoolExecutor(8) as threads:
        pool = pool_of(d)
        d["a"] = 1
        assume_one_thread(d)
        stuck: Lease = []
        assert pool.take(stuck)
        assert pool.stats()["open"] == 1
        for _ in range(100):
            assert list(threads.map(d.__getitem__, ["a"] * 8)) == [1] * 8
        assert 2 <= pool.stats()["open"] <= 8
        pool.release(stuck)
        in_order(pool)


def test_a_long_request_delays_no_other(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers do not wait to be batched on a connection that is exclusive."""
    monkeypatch.setattr(batcher_module, "_native_id", lambda: 1)
    monkeypatch.setattr(pool_module, "FIRST_POLL_SECONDS", 30.0)
    monkeypatch.setattr(pool_module, "MAX_POLL_SECONDS", 30.0)
    with table_of(server, max_connections=8) as d, ThreadPoolExecutor(8) as threads:
        pool = pool_of(d)
        d["a"] = 1
        assume_one_thread(d)
        alone = pool.acquire()
        began = time.monotonic()
        for _ in range(100):
            assert list(threads.map(d.__getitem__, ["a"] * 8)) == [1] * 8
        assert time.monotonic() - began < 20
        pool.release(alone)
        in_order(pool)


def test_an_interrupt_while_a_connection_is_looked_at(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with table_of(server, max_connections=2) as d:
        pool = pool_of(d)

        def interrupted(connection: Connection) -> bool:
            raise KeyboardInterrupt

        for _ in range(3):
            d["k"] = 1
            for connection in pool._idle:
                connection.used_at -= 1
            with monkeypatch.context() as patch:
                patch.setattr(Connection, "seems_open", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    d["k"]
            in_order(pool)
        assert d["k"] == 1


def test_threads_have_connections_of_their_own(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "FIRST_POLL_SECONDS", 30.0)
    monkeypatch.setattr(pool_module, "MAX_POLL_SECONDS", 30.0)
    with table_of(server, max_connections=8) as d:
        pool = pool_of(d)
        d["a"] = 1
        over = threading.Event()
        replies: List[int] = []
        threads = []
        for n in range(4):
            held: Lease = []
            assert pool.take(held)
            thread = threading.Thread(target=lambda: (replies.append(d["a"]), over.wait(60)))
            thread.start()
            threads.append((thread, held))
            until = time.monotonic() + 30
            while len(replies) == n and time.monotonic() < until:
                time.sleep(0.001)
        over.set()
        for thread, held in threads:
            pool.release(held)
            thread.join()
        assert replies == [1] * 4
        assert pool.stats()["open"] == 5
        in_order(pool)


def test_what_is_batchable() -> None:
    def small() -> Request[Any]:
        return dict_requests.dict_set(name, "key", 1)

    name = requests.table_name("d")
    assert is_batchable(small())
    assert is_batchable(list_requests.list_append(name, b"x" * (MAX_REQUEST_BYTES - 100)))
    assert not is_batchable(list_requests.list_append(name, b"x" * MAX_REQUEST_BYTES))
    assert not is_batchable(requests.durable(small()))
    for long in (
        dict_requests.dict_keys(name),
        list_requests.list_sort(name, None, False),
        list_requests.list_count(name, 1),
        requests.save(),
    ):
        assert not is_batchable(long)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_while_callers_share(start: Start) -> None:
    """The parent forks while its threads wait in batches; the child has none of these threads."""
    code = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import cyberdb_fast
client = cyberdb_fast.connect(sys.argv[1], max_connections=1)
proxy = client.get_proxy()
proxy.connect()
d = proxy.create_cyberdict("d")
done = threading.Event()
failed = []
def work(n):
    try:
        while not done.is_set():
            d["t", n] = n
            assert d["t", n] == n
            d.increment("n")
    except BaseException as e:
        failed.append(e)
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
for thread in threads:
    thread.start()
children = []
for worker in range(8):
    pid = os.fork()
    if not pid:
        try:
            for i in range(50):
                d[worker, i] = (worker, i)
                assert d[worker, i] == (worker, i)
            os._exit(0)
        finally:
            os._exit(1)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
done.set()
for thread in threads:
    thread.join()
assert not failed, failed
assert d["n"] > 0
client.close()
"""
    run(code, start())


GEVENT = """
from gevent import monkey
monkey.patch_all()
import random, sys
import gevent
import cyberdb_fast
from cyberdb_fast import ConnectionLost
seed = random.randrange(1 << 32)
print("seed", seed, file=sys.stderr)
choose = random.Random(seed)
with cyberdb_fast.connect(sys.argv[1], request_timeout=20, pool_timeout=20) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("d")
    pool = client._pool

    def work(worker):
        for i in range(100):
            d[worker, i] = (worker, i)
            assert d[worker, i] == (worker, i)
            d.increment("n")

    gevent.joinall([gevent.spawn(work, worker) for worker in range(50)], raise_error=True)
    assert d["n"] == 5000
    counts = client.stats()
    assert counts["open"] < 25, f"{counts}: callers were not batched"
    assert counts["open"] == counts["idle"]

    begun = ended = lost = 0

    def count():
        global begun, ended, lost
        while True:
            try:
                with gevent.Timeout(choose.random() * 0.01, False):
                    begun += 1
                    value = d.increment("m")
                    assert type(value) is int
                    key = choose.random()
                    d[key] = key
                    assert d[key] == key
                    ended += 1
            except ConnectionLost:
                lost += 1

    def finish(worker):
        for i in range(100):
            try:
                d["f", worker, i] = i
            except ConnectionLost as e:
                assert "may or may not" in str(e)
            assert d.get(("f", worker, i), i) == i

    counting = [gevent.spawn(count) for _ in range(30)]
    finishing = [gevent.spawn(finish, worker) for worker in range(10)]
    while not all(one.ready() for one in finishing):
        gevent.sleep(0.002)
        at = choose.randrange(30)
        assert not counting[at].ready(), counting[at].exception
        counting[at].kill()
        counting[at] = gevent.spawn(count)
    gevent.joinall(finishing, raise_error=True)
    gevent.killall(counting)
    assert 0 < ended <= d["m"] <= begun
    with gevent.Timeout(20):
        work(1000)
    counts = client.stats()
    assert counts["open"] == counts["idle"] and not counts["waiting"], counts
"""


LONG_REQUESTS = """
from gevent import monkey; monkey.patch_all()
import sys, time
import gevent
import cyberdb_fast

with cyberdb_fast.connect(sys.argv[1], pool_timeout=30) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("d")
    pool = client._pool
    calls = [0] * 10
    def count(i):
        while True:
            d.increment("n")
            calls[i] += 1
            gevent.sleep(0)
    def pipelines():
        while True:
            with proxy.pipeline() as pipe:
                pipe.on(d).get("a")
    # as callers with a long request each, which had found idle connections
    held = [pool.acquire() for _ in range(8)]
    for lease in held:
        pool.release(lease)
    assert all(pool.take(lease) for lease in held), pool.stats()
    counting = [gevent.spawn(count, i) for i in range(10)]
    others = [gevent.spawn(pipelines) for _ in range(4)]
    for _ in range(4):
        before = list(calls)
        end = time.monotonic() + 30
        while not all(now > then + 100 for now, then in zip(calls, before)) and time.monotonic() < end:
            gevent.sleep(0.1)
        assert not any(one.ready() for one in counting + others), [one.exception for one in counting + others]
        assert all(now > then for now, then in zip(calls, before)), (before, calls)
    gevent.killall(counting + others)
    for lease in held:
        pool.release(lease)
"""


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="gevent is tested on CPython")
def test_small_requests_continue_during_long_ones_and_pipelines(start: Start) -> None:
    run(LONG_REQUESTS, start())


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="gevent is tested on CPython")
@pytest.mark.parametrize("encrypt", [False, True])
def test_batched_greenlets_may_be_killed(start: Start, encrypt: bool) -> None:
    run(GEVENT, start(encrypt=encrypt))
