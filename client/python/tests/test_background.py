"""The background of a client: what waits in it, when its thread starts, fails and ends."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import (
    Client,
    ConnectionLost,
    Message,
    Overloaded,
    Proxy,
    Server,
    ServerUnreachable,
    lock_requests,
    requests,
)
from cyberdb_fast.background import Background
from cyberdb_fast.calls import Call, Link
from cyberdb_fast.connection import Connection
from cyberdb_fast.frames import CANCELED, OK
from cyberdb_fast.leases import Lease, Renewals
from cyberdb_fast.lock_requests import UNKNOWN
from test_concurrency import run
from test_interrupts import Tracer
from test_lock_leases import background_threads, waiting
from test_subscriptions import settle
from test_waiting_interrupts import has_byte_codes

NewName = Callable[[], str]
Start = Callable[..., Server]


def connect(server: Server, **options: Any) -> Client:
    return cyberdb_fast.connect(server.url, password=PASSWORD, **options)


class Descriptors:
    """While it is used, a process has no descriptor for a socketpair, which the thread needs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.refused: List[float] = []

    def __enter__(self) -> Descriptors:
        self._monkeypatch.setattr(socket, "socketpair", self._refuse)
        return self

    def __exit__(self, *exc: object) -> None:
        self._monkeypatch.undo()

    def _refuse(self) -> Any:
        self.refused.append(time.monotonic())
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_wait_without_a_descriptor_fails_and_the_next_one_succeeds(
    server: Server, proxy: Proxy, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_name()
    with connect(server) as client, client.get_proxy() as other:
        with proxy.lock(name):
            with Descriptors(monkeypatch), pytest.raises(ServerUnreachable, match=os.strerror(errno.EMFILE)):
                other.lock(name).acquire(timeout=20)
            assert not other.lock(name).acquire(timeout=0.05)
        with other.lock(name, wait=10):
            pass


def test_a_lock_is_renewed_when_there_are_descriptors_again(
    server: Server, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(server) as client, client.get_proxy() as proxy:
        lock = proxy.lock(new_name(), ttl=4)
        len(proxy.tables())  # there is a connection for the lock
        with Descriptors(monkeypatch) as descriptors:
            lock.acquire()
            settle(lambda: descriptors.refused)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert not lock.lost
            time.sleep(0.05)
        lock.release()
        assert len(descriptors.refused) < 4


def test_a_wait_that_was_cancelled_ends_before_the_next_request(client: Client, proxy: Proxy) -> None:
    background = client.background
    with proxy.subscribe("channel") as messages:
        link, number = messages._known
        calls = [Call(lock_requests.receive(number, 1, 5000), 0, only_on=link) for _ in range(2)]
        background.post(calls[0])
        settle(lambda: proxy.info()["waiting_requests"] == 1)
        background._cancelled.append(calls[0])  # both are there when the thread looks
        background.post(calls[1])
        settle(lambda: calls[0].done)
        proxy.publish("channel", 1)
        settle(lambda: calls[1].done)
        assert [call.reply and call.reply.status for call in calls] == [CANCELED, OK]


def test_waits_go_on_when_the_server_has_a_place_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their connection is lost, and another client takes its place."""
    refused: List[Exception] = []
    opening, may_open = Connection.open, threading.Event()

    def open_it(self: Connection) -> None:
        if "background" in threading.current_thread().name:
            may_open.wait(10)
        try:
            opening(self)
        except Exception as e:
            refused.append(e)
            raise

    monkeypatch.setattr(Connection, "open", open_it)
    may_open.set()
    server = start(max_con=2)
    with connect(server) as client, client.get_proxy() as proxy, connect(server, check=False) as other:
        theirs = other.get_proxy()
        theirs._uses.append("connect")  # its only connection is that of its background
        messages = theirs.subscribe("channel")
        lock = proxy.lock("l")
        lock.acquire()
        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(messages.receive), threads.submit(theirs.lock("l").acquire, timeout=30)]
            settle(lambda: proxy.info()["waiting_requests"] == 2)
            link = messages._known[0]
            assert link is not None
            may_open.clear()
            link.connection.socket.shutdown(socket.SHUT_RDWR)
            settle(lambda: proxy.info()["connections"] == 1)
            with connect(server):
                may_open.set()
                settle(lambda: len(refused) > 2)
            assert {type(e) for e in refused} == {Overloaded}
            settle(lambda: proxy.publish("channel", 1) == 1)
            assert waiting[0].result(10) == Message("channel", 1, UNKNOWN)
            lock.release()
            assert waiting[1].result(10) is True
        messages.close()


@has_byte_codes
def test_no_lease_is_forgotten_when_another_one_is_added() -> None:
    """The thread may have a renewal that is due soon at any byte code of a caller that adds one."""
    at, owner = 1, threading.current_thread()
    while True:
        renewals, leases = Renewals(), [Lease(owner, ttl, None) for ttl in (6000, 60_000)]
        for lease in leases:
            lease.granted(time.monotonic())
        tracer = Tracer(lambda: renewals.hasten(leases[0].due_at), {"leases.py"})  # noqa: B023
        tracer.run(lambda: renewals.add(leases[1]), at)  # noqa: B023
        assert renewals.next_at == leases[not tracer.struck].due_at, at
        if not tracer.struck:
            break
        at += 1
    assert at > 10


def test_a_caller_that_waits_long_wakes_up_rarely(
    client: Client, proxy: Proxy, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: List[float] = []
    monkeypatch.setattr(cyberdb_fast.background, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(client.background, "_start_again", lambda: checked.append(time.monotonic()))
    assert proxy.create_cyberlist(new_name()).take(wait=1) is None
    assert 3 < len(checked) < 30


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


def test_a_pop_that_was_sent_is_not_repeated_when_a_later_request_is_not(start: Start) -> None:
    server = start()
    with connect(server) as client, client.get_proxy() as proxy, ThreadPoolExecutor() as threads:
        jobs = proxy.create_cyberlist("jobs")
        popped = threads.submit(jobs.pop, wait=3)
        settle(lambda: client.background.main is not None and client.background.main.outstanding)
        link = client.background.main
        assert link is not None
        with suspended(server):
            link.connection.socket.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionLost):
                client.background.wait(Call(requests.ping(), 0), 5)
        with pytest.raises(ConnectionLost, match="may or may not have been applied"):
            popped.result()


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


def test_a_forked_child_closes_the_copy_of_an_interrupted_caller_too(client: Client) -> None:
    settings = client._settings
    background, links = Background(settings, False), [Link(Connection(settings)) for _ in range(3)]
    for link in links:
        link.connection.open()
    background.main = links[0]
    background._others.append(links[1])
    background._orphans.append(links[2])  # no thread has it yet
    background.detach()
    assert [link.connection.socket.fileno() for link in links] == [-1] * 3
