"""Timeouts hold during signals, with frozen clocks, and when the server is full."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import Overloaded, RequestTimeout, Server
from test_interrupts import Signals, needs_signals

Start = Callable[..., Server]


@needs_signals
@pytest.mark.parametrize("seconds", [0.001, 0.2])
@pytest.mark.parametrize("size", [1, 8 << 20], ids=["small", "large"])
def test_signals_do_not_put_off_the_request_timeout(start: Start, seconds: float, size: int) -> None:
    server = start()
    ticks: List[float] = []
    with (
        cyberdb_fast.connect(server.url, password=PASSWORD, request_timeout=1.0) as client,
        client.get_proxy() as proxy,
    ):
        d = proxy.create_cyberdict("d")
        value = "x" * size
        with suspended(server), Signals(lambda: ticks.append(1)) as signals:
            signals.every(seconds)
            began = time.monotonic()
            with pytest.raises(RequestTimeout):
                d["a"] = value
            took = time.monotonic() - began
        assert 0.9 < took < 25, f"{took} s with {len(ticks)} signals"
        assert ticks


FROZEN = """
import sys, threading
import freezegun
frozen = freezegun.freeze_time("2024-05-06 07:08:09")
if sys.argv[3] == "before":
    frozen.start()
import cyberdb_fast
options = {"max_connections": 1, "pool_timeout": 0.3, "request_timeout": 30}
with cyberdb_fast.connect(sys.argv[1], password=sys.argv[2], **options) as client:
    with client.get_proxy() as proxy:
        d = proxy.create_cyberdict("standing " + sys.argv[3])
        if sys.argv[3] != "before":
            frozen.start()
        d["a"] = 1
        held = client._pool.acquire()
        try:
            d["a"]
        except cyberdb_fast.PoolTimeout:
            print("in time")
        client._pool.release(held)
        assert d["a"] == 1
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_frozen_clock_does_not_put_off_the_pool_timeout(server: Server, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, server.url, PASSWORD, when], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "in time\n", done.stderr


def test_a_full_server_is_waited_for(start: Start) -> None:
    """The server accepts no more connections; the open ones serve all threads of this process."""
    server = start(max_con=3)
    with cyberdb_fast.connect(server.url, password=PASSWORD, max_connections=20) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d")
        lock = threading.Barrier(20)

        def work(_: int) -> None:
            lock.wait(60)
            for _ in range(20):
                d.increment("n")
                with proxy.pipeline() as pipe:
                    pipe.on(d).get("n")

        with ThreadPoolExecutor(20) as threads:
            list(threads.map(work, range(20)))
        assert d["n"] == 400
        assert client.stats()["open"] <= 3


def test_a_full_server_is_not_waited_for_without_a_connection(start: Start) -> None:
    server = start(max_con=1)
    with cyberdb_fast.connect(server.url, password=PASSWORD) as first:
        first.check()
        began = time.monotonic()
        with pytest.raises(Overloaded):
            cyberdb_fast.connect(server.url, password=PASSWORD, pool_timeout=60.0)
        assert time.monotonic() - began < 30


def test_the_wait_for_a_full_server_ends(start: Start) -> None:
    server = start(max_con=1)
    with cyberdb_fast.connect(server.url, password=PASSWORD, pool_timeout=0.3) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d")
        held: Any = client._pool.acquire()
        with pytest.raises(Overloaded, match="busy"):
            d["a"] = 1
        client._pool.release(held)
        d["a"] = 1
