"""The thread in the background: it starts, fails, and starts again."""

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
from conftest import PASSWORD
from cyberdb_fast import Client, Message, Overloaded, Proxy, Server, ServerUnreachable, lock_requests
from cyberdb_fast.calls import Call
from cyberdb_fast.connection import Connection
from cyberdb_fast.frames import CANCELED, OK
from cyberdb_fast.leases import Lease, Renewals
from cyberdb_fast.lock_requests import UNKNOWN
from test_interrupts import Tracer
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
