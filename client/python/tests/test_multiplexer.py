"""Greenlets that share a connection: each gets its own reply, whatever happens to the others."""

from __future__ import annotations

import platform
from typing import Callable

import pytest

from cyberdb_fast import Server
from test_concurrency import run

Start = Callable[..., Server]

pytestmark = pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="gevent is tested on CPython")

BEGINNING = r"""
import os
os.environ["GEVENT_RESOLVER"] = "block"  # a signal's exception may take a wake-up from gevent's threads
from gevent import monkey; monkey.patch_all()
import random, signal, sys, time
from pathlib import Path
import gevent
import cyberdb_fast
from cyberdb_fast import ConnectionLost, DisconCyberDBError, RequestTimeout, ServerUnreachable
from cyberdb_fast.connection import Connection

url, server = sys.argv[1], int(sys.argv[2])

def outstanding(client):
    lanes = client._batcher.multiplexer._lanes
    return sum(len(lane.outstanding) for lane in lanes)

def suspend():
    os.kill(server, signal.SIGSTOP)
    tasks = f"/proc/{server}/task"
    while any("State:\tT" not in Path(tasks, task, "status").read_text() for task in os.listdir(tasks)):
        time.sleep(0.001)

def stuck(client, *calls):
    '''Greenlets whose requests were sent to a server that is suspended.'''
    suspend()
    spawned = [gevent.spawn(call) for call in calls]
    with gevent.Timeout(20):
        while outstanding(client) < len(calls):
            gevent.sleep(0.001)
    return spawned

def go_on():
    os.kill(server, signal.SIGCONT)

def in_order(client):
    counts = client.stats()
    assert counts["open"] == counts["idle"] and not counts["waiting"], counts
"""


def scene(code: str, server: Server) -> None:
    """Runs a program under gevent; it gets the process of the server, which it may suspend."""
    assert server._process is not None
    run(BEGINNING + code, server, str(server._process.pid))


TOGETHER = """
writes = 0
send_now = Connection.send_now
def counting(connection, data):
    global writes
    writes += 1
    return send_now(connection, data)
Connection.send_now = counting
with cyberdb_fast.connect(url, encrypt=url.startswith("cyberdbs")) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("together", {i: str(i) for i in range(50)})
    writes = 0
    readers = [gevent.spawn(d.__getitem__, i) for i in range(50)]
    gevent.joinall(readers, raise_error=True)
    assert [one.value for one in readers] == [str(i) for i in range(50)]
    assert writes <= 2, writes
    in_order(client)
    assert client.stats()["open"] == 1
    missing, wrong, right = gevent.spawn(d.__getitem__, "none"), gevent.spawn(d.increment, 1, 1), gevent.spawn(d.get, 2)
    gevent.joinall([missing, wrong, right])
    assert type(missing.exception) is KeyError and type(wrong.exception) is TypeError and right.value == "2"
    assert gevent.wait(timeout=20), "something keeps the event loop running"
"""


@pytest.mark.parametrize("encrypt", [False, True])
def test_greenlets_that_run_together_share_a_write(start: Start, encrypt: bool) -> None:
    scene(TOGETHER, start(encrypt=encrypt))


SILENCE = """
with cyberdb_fast.connect(url, request_timeout=0.5) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("silence", {i: i for i in range(10)})

    # The kill of some is the business of none of the others.
    spawned = stuck(client, *[lambda i=i: d[i] for i in range(10)])
    gevent.killall(spawned[::2])
    go_on()
    gevent.joinall(spawned[1::2], raise_error=True)
    assert [one.value for one in spawned[1::2]] == [1, 3, 5, 7, 9]
    in_order(client)

    # If all are killed, the connection is closed at once.
    spawned = stuck(client, *[lambda i=i: d[i] for i in range(3)])
    gevent.killall(spawned)
    assert not client.stats()["open"], client.stats()
    go_on()
    assert d[3] == 3

    # Requests that come later do not wait for a connection without replies.
    spawned = stuck(client, lambda: d[0])
    gevent.sleep(0.02)
    later = gevent.spawn(d.get, 1)
    gevent.sleep(0.02)
    assert client.stats()["open"] == 2, client.stats()
    go_on()
    gevent.joinall([later, *spawned], raise_error=True)
    in_order(client)

    # A silent server: the time limit holds, for a read and for a write.
    began = time.monotonic()
    spawned = stuck(client, lambda: d[0], lambda: d.increment("n"))
    gevent.joinall(spawned)
    took = time.monotonic() - began
    assert all(type(one.exception) is RequestTimeout for one in spawned), [one.exception for one in spawned]
    assert 0.4 < took < 5, took
    go_on()
    assert d[0] == 0
    in_order(client)

    # close() lets those finish that have sent their requests.
    spawned = stuck(client, lambda: d[0])
    client.close()
    go_on()
    gevent.joinall(spawned, raise_error=True)
    assert not client.stats()["open"]
    try:
        d[0]
    except DisconCyberDBError:
        pass
    else:
        raise AssertionError("a closed client sends requests")

# One that never authenticates: no caller waits longer for it than connect_timeout.
import socket
silent = socket.create_server(("127.0.0.1", 0))
with cyberdb_fast.connect(*silent.getsockname(), password="x", connect_timeout=0.4, check=False) as client:
    attempts = []
    opening = Connection.open
    def counting(connection):
        attempts.append(connection)
        opening(connection)
    Connection.open = counting
    spawned = [gevent.spawn(client.perform, cyberdb_fast.requests.ping()) for _ in range(3)]
    gevent.joinall(spawned)
    assert all(type(one.exception) is ServerUnreachable for one in spawned), [one.exception for one in spawned]
    assert len(attempts) == 1, attempts
"""


def test_silent_servers(start: Start) -> None:
    scene(SILENCE, start())


FULL = """
value = "x" * 16000
with cyberdb_fast.connect(url) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("full")
    suspend()
    spawned = [gevent.spawn(d.__setitem__, i, value) for i in range(600)]
    gevent.sleep(0.001)
    lanes = client._batcher.multiplexer._lanes
    with gevent.Timeout(20):
        while not any(lane.unsent for lane in lanes):
            gevent.sleep(0.001)
    go_on()
    gevent.joinall(spawned, raise_error=True)
    assert len(d) == 600 and d[599] == value
    in_order(client)
"""


def test_sockets_without_room(start: Start) -> None:
    scene(FULL, start())


FORK = """
with cyberdb_fast.connect(url) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("fork", {"a": 1})
    spawned = stuck(client, lambda: d["a"], lambda: d.increment("n"))
    child = os.fork()
    if not child:
        go_on()
        signal.alarm(30)
        os._exit(0 if d["a"] == 1 and client.stats()["open"] else 1)
    assert os.waitpid(child, 0)[1] == 0
    gevent.joinall(spawned, raise_error=True)
    assert spawned[1].value == 1
    in_order(client)

    # The server dies.
    spawned = stuck(client, lambda: d["a"], lambda: d.increment("n"))
    os.kill(server, signal.SIGKILL)
    gevent.joinall(spawned)
    read, write = [type(one.exception) for one in spawned]
    assert issubclass(read, ServerUnreachable) and write is ConnectionLost, (read, write)
    assert not client.stats()["open"]
"""


def test_forks_and_lost_servers(start: Start) -> None:
    scene(FORK, start())


STRIKES = """
seed = random.randrange(1 << 32)
print("seed", seed, file=sys.stderr)
choose = random.Random(seed)
with cyberdb_fast.connect(url, request_timeout=10) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("strikes", {i: i for i in range(10)})
    struck = 0
    counts = [0] * 10
    end = time.monotonic() + 1.5

    def strike(*_):
        raise KeyboardInterrupt

    def work(i):
        while time.monotonic() < end:
            try:
                assert d[i] == i
                counts[i] += 1
            except (ConnectionLost, KeyboardInterrupt):
                pass

    signal.signal(signal.SIGALRM, strike)
    workers = [gevent.spawn(work, i) for i in range(10)]
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, choose.random() * 0.004 + 0.0002)
            gevent.sleep(0.005)
        except (KeyboardInterrupt, ConnectionLost):
            struck += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    with gevent.Timeout(20):
        gevent.joinall(workers)
    assert struck > 5 and sum(counts) > 100, (struck, counts)
    assert [d[i] for i in range(10)] == list(range(10))
    in_order(client)
"""


def test_exceptions_of_signals(start: Start) -> None:
    scene(STRIKES, start())
