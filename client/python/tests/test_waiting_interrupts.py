"""Interrupts at any byte code of a wait leave nothing taken and nothing locked."""

from __future__ import annotations

import platform
import threading
import time
from contextlib import suppress
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, ConnectionLost, CyberList, Server
from cyberdb_fast.expiry import wait_milliseconds
from test_concurrency import run
from test_interrupts import Stop, Tracer, needs_signals, stop
from test_subscriptions import settle

Start = Callable[..., Server]


def traces_byte_codes() -> bool:
    """Whether this Python traces them all: PyPy has others, CPython 3.13.0 loses some."""
    if platform.python_implementation() == "PyPy":
        return False
    counts = []
    for at in (0, 2, 0):  # it strikes at the second one
        tracer = Tracer(lambda: None)
        tracer.run(lambda: wait_milliseconds(1), at)
        counts.append(tracer.events)
    return 2 < counts[0] == counts[2]


has_byte_codes = pytest.mark.skipif(not traces_byte_codes(), reason="this Python's traces lack byte codes")


def connect(server: Server, **options: Any) -> Client:
    return cyberdb_fast.connect(server.url, password=PASSWORD, **options)


def is_back(queue: CyberList[Any], client: Client, method: str) -> bool:
    """Whether the item is where it was, for good: a take may be repeated to give its item back."""
    background = client.background
    at_work = method == "take" and (background._orphans or background._cancelled or background._busy())
    return not at_work and queue.copy() == ["x"] and queue.leased() == 0


@has_byte_codes
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("method", ["take", "popleft", "pop"])
def test_an_exception_at_any_byte_code_loses_no_item(start: Start, method: str, late: bool) -> None:
    """The item is there already, or comes late, when the request waits in the background.

    The line of the method that returns the item can lose it: between two byte codes of its caller,
    where Python from 3.11 on runs no signal handler.
    """
    server = start()
    with connect(server) as client, client.get_proxy() as proxy, connect(server) as other, other.get_proxy() as theirs:
        queue, observed = proxy.create_cyberlist("q"), theirs.get_cyberlist("q")
        tracer, at = Tracer(stop), 1 + late * 3
        while True:
            got: List[Any] = []
            call = getattr(queue, method)
            len(queue)  # there is a connection
            timer = threading.Timer(0.003 * late, lambda: observed.append("x"))
            timer.start()
            if not late:
                timer.join()
            try:
                tracer.run(lambda: got.append(call(wait=20)), at)  # noqa: B023
            except Stop:
                timer.join()
                returning = tracer.function == method and tracer.line.startswith("return ")
                wait = 1 if returning else 20
                try:
                    settle(lambda: is_back(observed, client, method) and is_back(observed, client, method), wait)
                except AssertionError:
                    assert returning, (at, tracer.function, tracer.line)
                    theirs.delete_table("q")
                    theirs.create_cyberlist("q")
            else:
                assert len(got) == 1
                if method == "take":
                    observed.ack(got[0])
            observed.clear()
            if not tracer.struck:
                break
            at += 11
        assert at > 200


REMOVAL = {"self._messages.remove(first)", "return message"}  # the lines of receive that may lose a message


@has_byte_codes
@pytest.mark.parametrize("late", [False, True])
def test_an_exception_at_any_byte_code_blocks_no_receive(start: Start, late: bool) -> None:
    """The next one has the message, which is there already, or comes late.

    The lines of receive that remove the message and return it can lose it.
    """
    server = start()
    with connect(server) as client, client.get_proxy() as proxy:
        with proxy.subscribe("channel") as messages:
            tracer, at = Tracer(stop), 1
            while True:
                got: List[Any] = []
                timer = threading.Timer(0.003 * late, lambda n: proxy.publish("channel", n), [at])
                timer.start()
                if not late:
                    timer.join()
                with suppress(Stop):
                    tracer.run(lambda: got.append(messages.receive(20)), at)  # noqa: B023
                timer.join()
                returning = tracer.function == "receive" and tracer.line in REMOVAL
                while not got:
                    message = messages.receive(1 if returning else 20)
                    assert message is not None or returning, (at, tracer.function, tracer.line)
                    got.append(message)
                assert got[0] is None or got[0].value == at
                if not tracer.struck:
                    break
                at += 3
            assert at > 100
        settle(lambda: proxy.info()["waiting_requests"] == 0)


def test_an_exception_in_the_pause_after_a_lost_connection_leaves_no_lease(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply to a take has arrived, but was not read when the connection was lost."""

    def sleep(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            raise Stop
        slept(seconds)

    slept, server = time.sleep, start()
    with connect(server) as client, client.get_proxy() as proxy, connect(server) as other, other.get_proxy() as theirs:
        queue, observed = proxy.create_cyberlist("q"), theirs.get_cyberlist("q")
        assert queue.take(wait=0.1) is None
        background = client.background
        with monkeypatch.context() as patch:
            patch.setattr(background, "_receive", lambda link: background._drop(link, ConnectionLost("lost")))
            patch.setattr(time, "sleep", sleep)
            timer = threading.Timer(0.2, observed.append, ["x"])
            timer.start()
            with pytest.raises(Stop):
                queue.take(wait=20, lease=60)
        timer.join()
        settle(lambda: is_back(observed, client, "take"))


# How each program begins: signals raise Stop.
STRIKE = """
import random, signal, sys, time
import cyberdb_fast

class Stop(BaseException):
    pass

def strike(*_):
    raise Stop

signal.signal(signal.SIGALRM, strike)
dice = random.Random(7)
struck = 0
"""

RECEIVE = """
client = cyberdb_fast.connect(sys.argv[1])
proxy = client.get_proxy()
proxy.connect()
messages = proxy.subscribe("channel")
def receive():
    until = time.monotonic() + 0.1  # an exception in a finalizer is ignored
    while time.monotonic() < until:
        messages.receive(0)
while struck < 500:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.00001 + dice.random() * 0.0005)
        receive()  # a call: CPython 3.13 does not catch what is raised at the end of a loop in a try
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        struck += 1
    if struck % 20 == 0:
        proxy.publish("channel", struck)
        message = messages.receive(10)
        assert message is not None and message.value == struck, (message, struck)
messages.close()
assert proxy.info()["waiting_requests"] == 0
client.close()
"""


@needs_signals
def test_exceptions_of_signals_block_no_receive(start: Start) -> None:
    run(STRIKE + RECEIVE, start())


@has_byte_codes
@pytest.mark.parametrize("operation", ["acquire", "release", "with", "semaphore"])
def test_an_exception_at_any_byte_code_leaves_no_lock(start: Start, operation: str) -> None:
    with connect(start(), max_connections=2) as client, client.get_proxy() as proxy:
        proxy.lock("other").acquire()
        tracer, at = Tracer(stop), 1
        while True:
            lock = proxy.lock("l", ttl=60) if operation != "semaphore" else proxy.semaphore("l", 1, ttl=60)

            def body() -> None:
                with lock:  # noqa: B023
                    pass

            if operation == "release":
                lock.acquire()
            calls = {"acquire": lock.acquire, "release": lock.release}
            try:
                tracer.run(calls.get(operation, body), at)
            except Stop:
                if lock.fence is not None:
                    lock.release()  # a release was interrupted before it began, or acquire when it was done
            else:
                if operation == "acquire":
                    lock.release()
            settle(lambda: not lock.locked())  # noqa: B023
            if not tracer.struck:
                break
            at += 7
        assert at > 100
        assert client.stats()["waiting"] == 0


LOCKS = """
client = cyberdb_fast.connect(sys.argv[1])
other = cyberdb_fast.connect(sys.argv[1]).get_proxy()
other.connect()
proxy = client.get_proxy()
proxy.connect()
for n in range(150):
    holder = other.lock("l", ttl=60)
    holder.acquire()
    lock = proxy.lock("l", ttl=60)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + dice.random() * 0.004)
        if n % 2:
            holder.release()
        lock.acquire(timeout=30)
        lock.release()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        struck += 1
        if lock.fence is not None:
            lock.release()
    if holder.fence is not None:
        try:
            holder.release()
        except cyberdb_fast.LockLost:
            pass
    until = time.monotonic() + 5
    while holder.locked():
        assert time.monotonic() < until, n
assert struck > 30, struck
assert other.info()["waiting_requests"] == 0
client.close()
"""


@needs_signals
def test_exceptions_of_signals_in_a_wait_leave_no_lock_and_no_waiter(start: Start) -> None:
    run(STRIKE + LOCKS, start())


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import cyberdb_fast
client = cyberdb_fast.connect(sys.argv[1], max_connections=4)
proxy = client.get_proxy()
proxy.connect()
holder = proxy.lock("l", ttl=60)
holder.acquire()
got = []
def wait(n):
    with proxy.lock("l", ttl=60):
        got.append(n)
waiters = [gevent.spawn(wait, n) for n in range(500)]
def waiting():
    return proxy.info()["waiting_requests"]
with gevent.Timeout(20):
    while waiting() < 500:
        gevent.sleep(0.01)
assert proxy.info()["connections"] <= 5
gevent.killall(waiters[:250])
with gevent.Timeout(20):
    while waiting() > 250:
        gevent.sleep(0.01)
try:
    with gevent.Timeout(0.2):
        proxy.lock("l").acquire()
    raise AssertionError
except gevent.Timeout:
    pass
with gevent.Timeout(20):
    while waiting() > 250:
        gevent.sleep(0.01)
    holder.release()
    gevent.joinall(waiters[250:], raise_error=True)
assert sorted(got) == list(range(250, 500)), got
assert not proxy.lock("l").locked()
# The lease of a greenlet that has ended is not renewed, that of one that lives is.
gone = proxy.lock("gone", ttl=0.6)
gevent.spawn(gone.acquire).join()
mine = proxy.lock("mine", ttl=0.6)
mine.acquire()
assert gone.locked()
gevent.sleep(1.5)
assert not gone.locked()
assert not mine.lost
mine.release()
client.close()
"""


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="gevent is tested on CPython")
def test_greenlets_that_are_killed_in_a_wait(start: Start) -> None:
    run(GEVENT, start())


ITEMS = """
import random, signal, sys, time
import cyberdb_fast

class Stop(BaseException):
    pass

def strike(*_):
    raise Stop

client = cyberdb_fast.connect(sys.argv[1])
other = cyberdb_fast.connect(sys.argv[1]).get_proxy()
other.connect()
proxy = client.get_proxy()
proxy.connect()
mine = proxy.create_cyberlist("q", max_deliveries=1, dead_letter="dead")
theirs, dead = other.get_cyberlist("q"), other.create_cyberlist("dead")
signal.signal(signal.SIGALRM, strike)
dice = random.Random(7)
mine.take(wait=0.05)  # the background logs in, which takes PyPy its time
struck = taken = late = 0
for n in range(150):
    item = None
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + dice.random() * 0.003)
        if n % 2:
            theirs.append(n)
        item = mine.take(wait=20, lease=4)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        struck += 1
    if item is not None:
        taken += 1
        theirs.ack(item)
    began = time.monotonic()
    while theirs.leased() or other.info()["waiting_requests"]:
        assert time.monotonic() < began + 9, n
    late += time.monotonic() - began > 2
    theirs.clear()
assert late <= 1, late  # the last byte code of take, which returns the item, can lose it until its lease ends
assert len(dead) <= late, len(dead)  # no other delivery to a caller that has gone counts
assert struck > 30, struck
assert taken > 10, taken
client.close()
"""


@needs_signals
def test_exceptions_of_signals_in_a_wait_leave_no_lease(start: Start) -> None:
    run(ITEMS, start())
