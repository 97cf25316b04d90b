"""Threads, greenlets, forked workers and lost connections, against a real server."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import (
    Client,
    ConnectionLost,
    DisconCyberDBError,
    PoolTimeout,
    Proxy,
    RequestTimeout,
    Server,
    ServerUnreachable,
)
from cyberdb_fast.connection import Connection
from cyberdb_fast.pool import Pool
from cyberdb_fast.settings import make_settings

Start = Callable[..., Server]


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def test_threads_share_a_table(client: Client, proxy: Proxy, new_name: Callable[[], str]) -> None:
    d = proxy.create_cyberdict(new_name())

    def work(worker: int) -> None:
        for i in range(100):
            d[worker, i] = f"{worker}/{i}"
            assert d[worker, i] == f"{worker}/{i}"
            d.increment("n")

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(work, range(50)))
    assert d["n"] == 5000
    assert len(d) == 5001


def test_no_more_connections_than_allowed(start: Start) -> None:
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD, max_connections=3) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d")
        with ThreadPoolExecutor(30) as threads:
            list(threads.map(d.increment, ["n"] * 3000))
        assert d["n"] == 3000
        assert proxy.info()["connections"] <= 3


def new_pool(server: Server, **options: Any) -> Pool:
    settings = {"max_connections": 1, "connect_timeout": 30.0, "request_timeout": 30.0, "pool_timeout": 30.0, **options}
    return Pool(make_settings(server.url, password=PASSWORD, options=settings))


def test_connections_are_given_out_in_turn(server: Server) -> None:
    pool = new_pool(server)
    held = pool.acquire()
    order: List[int] = []

    def wait(n: int) -> None:
        connection = pool.acquire()
        order.append(n)
        pool.release(connection)

    threads = []
    for n in range(10):
        thread = threading.Thread(target=wait, args=(n,))
        thread.start()
        threads.append(thread)
        while len(pool.waiting) <= n:
            time.sleep(0.001)
    pool.release(held)
    for thread in threads:
        thread.join()
    assert order == list(range(10))
    pool.close()


def test_waiting_for_a_connection_ends(server: Server) -> None:
    pool = new_pool(server, pool_timeout=0.05)
    held = pool.acquire()
    with pytest.raises(PoolTimeout, match="max_connections"):
        pool.acquire()
    pool.discard(held)
    pool.release(pool.acquire())
    pool.close()


def test_no_waiter_is_forgotten(server: Server) -> None:
    """Many threads start to wait at any moment, and all of them get a connection."""
    pool = new_pool(server, max_connections=2, pool_timeout=20.0)
    held = 0
    most = 0
    counting = threading.Lock()

    def work(_: int) -> None:
        nonlocal held, most
        for _ in range(500):
            connection = pool.acquire()
            with counting:
                held += 1
                most = max(most, held)
            with counting:
                held -= 1
            pool.release(connection)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(work, range(12)))
    finally:
        sys.setswitchinterval(interval)
    assert most <= 2
    counts = pool.stats()
    assert counts["open"] == counts["idle"] <= 2
    assert counts["waiting"] == 0
    pool.close()
    assert pool.stats()["open"] == 0


def test_closing_refuses_waiters(server: Server) -> None:
    pool = new_pool(server)
    held = pool.acquire()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(pool.acquire)
        while not pool.waiting:
            time.sleep(0.001)
        pool.close()
        with pytest.raises(DisconCyberDBError, match="closed"):
            waiting.result(60)
    pool.release(held)
    assert pool.stats()["open"] == 0


def test_idle_connections_grow_old(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(server.url, password=PASSWORD, time_out=100, options={"max_connections": 4})
    pool = Pool(settings)
    lease = pool.acquire()
    first = lease[0]
    pool.release(lease)
    assert pool.acquire(lease)[0] is first
    pool.release(lease)
    first.used_at -= 101
    assert pool.acquire(lease)[0] is not first
    pool.release(lease)
    pool.close()


def test_request_timeout(start: Start) -> None:
    server = start()
    with (
        cyberdb_fast.connect(server.url, password=PASSWORD, request_timeout=1.0) as client,
        client.get_proxy() as proxy,
    ):
        with suspended(server), pytest.raises(RequestTimeout, match="1.0 s"):
            proxy.ping()
        proxy.ping()


def test_connect_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        before = time.monotonic()
        with pytest.raises(ServerUnreachable):
            cyberdb_fast.connect(port=silent.getsockname()[1], password="x", connect_timeout=0.2)
        assert time.monotonic() - before < 20


def test_server_gone_and_back(start: Start) -> None:
    server = start()
    port = port_of(server)
    with cyberdb_fast.connect(port=port, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", {"a": 1})
        server.stop()
        for _ in range(3):
            with pytest.raises(DisconCyberDBError):
                d["a"]
            with pytest.raises(ServerUnreachable):
                proxy.connect()
        server.start(port=port, password=PASSWORD)
        assert d == {"a": 1}
        d["a"] = 2
        assert d["a"] == 2


def test_a_read_is_repeated_a_write_is_not(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is cut after the request was sent: it may or may not have been applied."""
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", {"a": 1})
        receive = Connection._receive

        def cut(connection: Connection) -> bytes:
            monkeypatch.setattr(Connection, "_receive", receive)
            connection.socket.shutdown(socket.SHUT_RDWR)
            with suppress(ConnectionError):
                while connection.socket.recv(4096):  # the reply may have come already
                    pass
            return receive(connection)

        monkeypatch.setattr(Connection, "_receive", cut)
        assert d["a"] == 1
        monkeypatch.setattr(Connection, "_receive", cut)
        with pytest.raises(ConnectionLost, match="may or may not"):
            d["a"] = 2
        monkeypatch.setattr(Connection, "_receive", cut)
        with pytest.raises(ConnectionLost, match="may or may not"), proxy.pipeline() as pipe:
            pipe.on(d).increment("n")
            pipe.on(d).get("n")
        assert d["a"] in (1, 2)


class Breaking:
    """A socket that sends all bytes but one, and then fails."""

    def __init__(self, whole: socket.socket) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def send(self, data: bytes, _: int = 0) -> int:
        if len(data) == 1:
            raise BrokenPipeError
        self._whole.sendall(data[:-1])
        return len(data) - 1


def test_a_pipeline_of_which_a_part_was_sent_is_not_repeated(start: Start) -> None:
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD, max_connections=1) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d")
        connection: Any = client._pool._idle[0]
        connection.socket, connection._plain = Breaking(connection.socket), False
        with pytest.raises(ConnectionLost, match="may or may not"), proxy.pipeline() as pipe:
            for _ in range(3):
                pipe.on(d).increment("n")
        assert d.get("n", 0) <= 2
        connection = client._pool._idle[0]
        connection.socket, connection._plain = Breaking(connection.socket), False
        assert d.increment("m") == 1, "a request that was sent in part has not been applied"


def test_an_interrupted_exchange_ends_its_connection(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD, max_connections=1) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", {"a": 1, "b": 2})
        receive = Connection._receive

        def interrupt(connection: Connection) -> bytes:
            raise KeyboardInterrupt

        monkeypatch.setattr(Connection, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            d["a"]
        monkeypatch.setattr(Connection, "_receive", receive)
        assert d["b"] == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_children_have_connections_of_their_own(start: Start) -> None:
    """Parent and children send requests at the same time.

    On one shared socket, replies would mix.
    """
    server = start()
    code = """
import os, sys
import cyberdb_fast
client = cyberdb_fast.connect(sys.argv[1])
proxy = client.get_proxy()
proxy.connect()
d = proxy.create_cyberdict("d")
children = []
for worker in range(4):
    pid = os.fork()
    if not pid:
        for i in range(500):
            d[worker, i] = (worker, i)
            if d[worker, i] != (worker, i):
                os._exit(1)
        os._exit(0)
    children.append(pid)
for i in range(500):
    d["parent", i] = i
    assert d["parent", i] == i
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
assert len(d) == 2500
client.close()
"""
    run(code, server)


def run(code: str, server: Server, *arguments: str) -> None:
    command = [sys.executable, "-W", "error", "-c", code, server.url, *arguments]
    result = subprocess.run(
        command,
        env={**os.environ, "CYBERDB_PASSWORD": PASSWORD},
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import cyberdb_fast
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0.001)
ticker = gevent.spawn(tick)
with cyberdb_fast.connect(sys.argv[1], max_connections=8) as client, client.get_proxy() as proxy:
    assert ticks > 10, "the key was derived on the loop"
    d = proxy.create_cyberdict("d")
    def work(worker):
        for i in range(20):
            d[worker, i] = i
            assert d[worker, i] == i
            d.increment("n")
    workers = [gevent.spawn(work, worker) for worker in range(200)]
    gevent.joinall(workers, raise_error=True)
    assert d["n"] == 4000
    assert proxy.info()["connections"] <= 8
    killed = [gevent.spawn(work, worker) for worker in range(50)]
    gevent.sleep(0.02)
    gevent.killall(killed)
    assert d["n"] >= 4000
    with gevent.Timeout(30):
        assert len(list(d)) == len(d)
ticker.kill()
"""


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="gevent is tested on CPython")
def test_greenlets(start: Start) -> None:
    run(GEVENT, start())


def test_with_ends_its_own_use_only(client: Client, new_name: Callable[[], str]) -> None:
    """One proxy for the whole module, and `with proxy` in each thread."""
    proxy = client.get_proxy()
    name = new_name()
    with proxy:
        proxy.create_cyberdict(name)

    def work(_: int) -> None:
        with proxy:
            d = proxy.get_cyberdict(name)
            for _ in range(5):
                d.increment("n")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(200)))
    with proxy:
        with proxy:
            pass
        assert proxy.get_cyberdict(name)["n"] == 1000
    with pytest.raises(DisconCyberDBError):
        proxy.ping()
    proxy.connect()
    with proxy:
        pass
    proxy.ping()
    proxy.close()
    with pytest.raises(DisconCyberDBError):
        proxy.ping()


NATIVE_THREADS = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import cyberdb_fast
with cyberdb_fast.connect(sys.argv[1], max_connections=2, pool_timeout=20) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("d", {i: i * 3 for i in range(100)})
    def work(n):
        for i in range(50):
            assert d[(n + i) % 100] == (n + i) % 100 * 3
            if i % 10 == 0:
                with proxy.pipeline() as pipe:
                    one = pipe.on(d).get(i)
                assert one.value == i * 3
                assert len(list(d)) == 100
    native = gevent.get_hub().threadpool
    jobs = [native.spawn(work, n) for n in range(20)]
    greenlets = [gevent.spawn(work, n) for n in range(20)]
    gevent.joinall(greenlets, timeout=50, raise_error=True)
    for job in jobs:
        job.get(timeout=50)
    assert client.stats()["waiting"] == 0
"""


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="gevent is tested on CPython")
def test_native_threads_of_gevent(start: Start) -> None:
    run(NATIVE_THREADS, start())
