"""Publish and subscribe: what a subscriber gets, misses, and is told."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, List

import pytest

import cyberdb_fast
from conftest import CPYTHON, PASSWORD
from cyberdb_fast import (
    Client,
    DisconCyberDBError,
    Extension,
    Message,
    Overloaded,
    ProtocolError,
    Proxy,
    Server,
    Subscription,
    aio,
    decoding,
    register_type,
)
from cyberdb_fast.lock_requests import UNKNOWN

Start = Callable[..., Server]
NewName = Callable[[], str]


def settle(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Waits until condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_messages_come_in_order(proxy: Proxy, new_name: NewName) -> None:
    name = new_name()
    with proxy.subscribe(name, prefix=f"{name}:") as messages:
        for n in range(300):
            assert proxy.publish(name if n % 2 else f"{name}:{n}", n) == 1
        got = [next(messages) for _ in range(300)]
    assert got == [Message(name if n % 2 else f"{name}:{n}", n) for n in range(300)]
    assert proxy.publish(name, 1) == 0


def test_a_message_that_has_come_is_not_waited_for(
    proxy: Proxy, new_name: NewName, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = Subscription._arrived

    def slowly(self: Subscription, call: Any) -> None:
        time.sleep(0.05)
        arrived(self, call)

    monkeypatch.setattr(Subscription, "_arrived", slowly)
    name = new_name()
    with proxy.subscribe(name) as messages:
        proxy.publish(name, 1)
        began = time.monotonic()
        assert messages.receive(10) == Message(name, 1)
        assert time.monotonic() - began < 5


def test_a_slow_subscriber_learns_what_it_has_missed(proxy: Proxy, new_name: NewName) -> None:
    name = new_name()
    with proxy.subscribe(name) as messages:
        for n in range(5000):
            proxy.publish(name, n)
        got = []
        while (message := messages.receive(0.2)) is not None:
            got.append(message)
    missed = sum(message.missed for message in got)
    assert missed > 0
    assert len(got) + missed == 5000
    assert got[-1].value == 4999
    at = 0
    for message in got:
        at += message.missed
        assert message.value == at
        at += 1


def test_receive_waits_as_long_as_it_is_told(proxy: Proxy, new_name: NewName) -> None:
    with proxy.subscribe(new_name()) as messages:
        assert messages.receive(0) is None
        began = time.monotonic()
        assert messages.receive(0.2) is None
        assert 0.2 <= time.monotonic() - began < 2
        for wait in (-1, float("nan")):
            with pytest.raises(ValueError, match="wait"):
                messages.receive(wait)


def test_another_thread_ends_the_iteration(proxy: Proxy, new_name: NewName) -> None:
    messages = proxy.subscribe(new_name())
    reader = threading.Thread(target=lambda: list(messages))
    reader.start()
    settle(lambda: proxy.info()["waiting_requests"] == 1)
    messages.close()
    reader.join(5)
    assert not reader.is_alive()
    settle(lambda: proxy.info()["waiting_requests"] == 0)
    assert messages.receive() is None


def test_threads_share_a_subscription(proxy: Proxy, new_name: NewName) -> None:
    name, got = new_name(), []
    messages = proxy.subscribe(name)
    readers = [threading.Thread(target=lambda: got.extend(messages)) for _ in range(4)]
    for reader in readers:
        reader.start()
    for n in range(200):
        proxy.publish(name, n)
    settle(lambda: len(got) == 200)
    messages.close()
    for reader in readers:
        reader.join(5)
        assert not reader.is_alive()
    assert sorted(message.value for message in got) == list(range(200))


class Unreadable(Exception):
    """What a function of register_type may raise."""


@pytest.mark.parametrize("error", [ValueError, Unreadable])
def test_a_message_that_cannot_be_decoded_fails_its_reader_alone(
    client: Client, proxy: Proxy, server: Server, new_name: NewName, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    def unpack(data: bytes) -> Any:
        raise error(data)

    monkeypatch.setitem(decoding.unpackers, 127, unpack)
    name, queue = new_name(), proxy.create_cyberlist(new_name())
    with proxy.subscribe(name) as messages, ThreadPoolExecutor(2) as threads:
        with (
            cyberdb_fast.connect(server.url, password=PASSWORD) as other,
            other.get_proxy() as theirs,
            theirs.lock(name),
        ):
            waiting = [threads.submit(proxy.lock(name).acquire), threads.submit(lambda: queue.popleft(wait=20))]
            settle(lambda: proxy.info()["waiting_requests"] == 2)
            link = client.background.main
            for value in (1, Extension(127, b"?"), 2):
                proxy.publish(name, value)
            assert messages.receive(10) == Message(name, 1)
            with pytest.raises(error if error is Unreadable else ProtocolError):
                messages.receive(10)
            assert messages.receive(10) == Message(name, 2)
            queue.append("item")
        assert waiting[0].result(10) is True
        assert waiting[1].result(10) == "item"
        assert client.background.main is link


def test_bad_names(proxy: Proxy) -> None:
    for bad, error in ((1, TypeError), ("", ValueError), ("x" * 1025, ValueError)):
        with pytest.raises(error, match="channel"):
            proxy.publish(bad, 1)  # type: ignore[arg-type]
        with pytest.raises(error, match="channel"):
            proxy.subscribe(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a channel or a prefix"):
        proxy.subscribe()
    with pytest.raises(TypeError, match="prefix"):
        proxy.subscribe(prefix=[1])  # type: ignore[list-item]


def test_too_many_subscriptions_are_refused_and_those_that_end_make_room(client: Client, proxy: Proxy) -> None:
    held = [proxy.subscribe("x") for _ in range(64)]
    with pytest.raises(Overloaded):
        proxy.subscribe("x")
    held.pop().close()
    held.append(proxy.subscribe("x"))
    del held[:]  # those that are dropped end, too
    settle(lambda: (gc.collect(), proxy.publish("x", 1) == 0)[1])


def test_it_subscribes_again_after_a_restart_and_says_so(start: Start) -> None:
    server = start()
    port = int(server.url.rpartition(":")[2])
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        got: List[Message] = []
        messages = proxy.subscribe("news")
        reader = threading.Thread(target=lambda: got.extend(messages))
        reader.start()
        proxy.publish("news", 1)
        settle(lambda: len(got) == 1)
        server.stop()
        server.start(port=port, password=PASSWORD)
        settle(lambda: proxy.publish("news", 2) == 1, 30)
        settle(lambda: len(got) == 2)
        proxy.publish("news", 3)
        settle(lambda: len(got) == 3)
        messages.close()
        reader.join(5)
        assert [(message.value, message.missed) for message in got] == [(1, 0), (2, UNKNOWN), (3, 0)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_no_subscription_of_its_parent(proxy: Proxy, new_name: NewName) -> None:
    name = new_name()
    messages = proxy.subscribe(name)
    pid = os.fork()
    if not pid:
        try:
            messages.receive(1)
        except DisconCyberDBError:
            messages.close()
            own = proxy.subscribe(name)
            own.close()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert proxy.publish(name, 1) == 1
    assert next(messages).value == 1
    messages.close()


def test_an_interrupted_receive_loses_no_message(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            async with proxy.subscribe("a cancelled one") as messages:
                got: List[Any] = []
                for n in range(200):
                    waiting = asyncio.ensure_future(messages.receive(5))
                    await asyncio.sleep(0.001 * (n % 3))
                    await proxy.publish("a cancelled one", n)
                    if n % 2:
                        await asyncio.sleep(0)
                    waiting.cancel()
                    try:
                        message = await waiting
                    except asyncio.CancelledError:
                        continue
                    assert message is not None
                    got.append(message.value)
                while (message := await messages.receive(0.2)) is not None:
                    got.append(message.value)
                assert got == list(range(200))
            assert (await proxy.info())["waiting_requests"] == 0

    asyncio.run(story())


def test_a_task_that_was_cancelled_may_receive_again_at_once(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            async with proxy.subscribe("at once") as messages:

                async def twice(pause: float) -> None:
                    with suppress(asyncio.CancelledError):
                        await messages.receive()
                    assert await messages.receive(pause) is None

                for n in range(50):
                    task = asyncio.ensure_future(twice(n % 2 / 100))
                    await asyncio.sleep(0.001 * (n % 3))
                    task.cancel()
                    await task

    asyncio.run(story())


class Secret:
    """A value that some readers cannot decode."""

    readable = False

    @classmethod
    def unpack(cls, data: bytes) -> Secret:
        if not cls.readable:
            raise ValueError("no key for it")
        return cls()


register_type(Secret, 102, lambda secret: b"", Secret.unpack)


def test_a_task_that_receives_gets_the_error_of_what_cannot_be_decoded(server: Server, proxy: Proxy) -> None:
    """Others on the same connection do not; neither do they if the task is cancelled."""

    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as own:
            queue = await own.create_cyberlist("beside what cannot be decoded")
            pop = asyncio.ensure_future(queue.popleft(wait=20))
            async with own.subscribe("secrets") as messages:
                for cancelled in (False, True):
                    receiving = asyncio.ensure_future(messages.receive())
                    while (await own.info())["waiting_requests"] < 2:
                        await asyncio.sleep(0.01)
                    assert proxy.publish("secrets", Secret()) == 1
                    if cancelled:  # when the message is on its way
                        time.sleep(0.1)
                        receiving.cancel()
                        with pytest.raises(asyncio.CancelledError):
                            await receiving
                        receiving = asyncio.ensure_future(messages.receive())
                    with pytest.raises(ProtocolError, match="no key for it"):
                        await receiving
                    proxy.publish("secrets", 1)
                    assert await messages.receive() == Message("secrets", 1, UNKNOWN)
                    proxy.publish("secrets", 2)
                    assert await messages.receive() == Message("secrets", 2, 0)
            await queue.append("item")
            assert await pop == "item"

    asyncio.run(asyncio.wait_for(story(), 30))


def test_asyncio_ends_an_iteration_by_close(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            messages = proxy.subscribe(prefix="of asyncio:")

            async def read() -> List[Any]:
                return [message.value async for message in messages]

            reader = asyncio.ensure_future(read())
            while await proxy.publish("of asyncio:1", "first") == 0:
                await asyncio.sleep(0.01)
            await proxy.publish("of asyncio:2", "second")
            await asyncio.sleep(0.1)
            await messages.close()
            assert await reader == ["first", "second"]
            assert await messages.receive() is None

    asyncio.run(story())


def test_a_task_that_is_cancelled_after_close_is_cancelled(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            for turns in range(12):  # while it subscribes, and while it receives
                messages = proxy.subscribe("closed and cancelled")
                receiving = asyncio.ensure_future(messages.receive())
                for _ in range(turns):
                    await asyncio.sleep(0)
                closing = asyncio.ensure_future(messages.close())
                await asyncio.sleep(0)
                done = receiving.done()
                receiving.cancel()
                await asyncio.wait([receiving, closing])
                assert done or receiving.cancelled()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_asyncio_ends_subscriptions_that_are_dropped(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            for n in range(70):  # the server allows 64
                if not CPYTHON:
                    gc.collect()
                publishing = asyncio.ensure_future(publish(proxy, n))
                async for message in proxy.subscribe("dropped"):
                    assert message.value == n
                    break
                await publishing
            while await proxy.publish("dropped", 0):
                gc.collect()
                await asyncio.sleep(0.01)

    async def publish(proxy: aio.Proxy, n: int) -> None:
        while not await proxy.publish("dropped", n):
            await asyncio.sleep(0.005)

    asyncio.run(story())


def test_a_wait_ends_beside_that_of_another_task(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            async with proxy.subscribe("two tasks") as messages:
                first = asyncio.ensure_future(messages.receive())
                await asyncio.sleep(0.05)
                began = time.monotonic()
                assert await asyncio.wait_for(messages.receive(0.2), 5) is None
                assert 0.2 <= time.monotonic() - began < 2
                assert await asyncio.wait_for(messages.receive(0), 5) is None
                waiting = [asyncio.ensure_future(messages.receive()) for _ in range(3)]
                await asyncio.sleep(0.05)
                waiting[0].cancel()
                first.cancel()  # another one asks the server then
                for n in range(2):
                    await proxy.publish("two tasks", n)
                got = await asyncio.wait_for(asyncio.gather(*waiting[1:]), 5)
                assert sorted(message.value for message in got if message is not None) == [0, 1]

    asyncio.run(story())


def test_a_subscription_that_is_closed_while_it_subscribes_is_none(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            for turns in range(6):
                messages = proxy.subscribe("closed early")
                receiving = asyncio.ensure_future(messages.receive())
                for _ in range(turns):
                    await asyncio.sleep(0)
                await messages.close()
                assert await asyncio.wait_for(receiving, 5) is None
            for turns in range(6):
                messages = proxy.subscribe("closed early")
                receiving = asyncio.ensure_future(messages.receive())
                for _ in range(turns):
                    await asyncio.sleep(0)
                receiving.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await receiving
                await proxy.ping()
                await messages.close()
            while await proxy.publish("closed early", 0):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(story(), 20))


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system cannot stop a process")
def test_a_subscription_that_is_closed_while_it_subscribes_again_is_none(start: Start) -> None:
    server = start()
    assert server._process is not None
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        messages = proxy.subscribe("closed")
        reader = threading.Thread(target=lambda: list(messages))
        reader.start()
        settle(lambda: proxy.info()["waiting_requests"] == 1)
        link = messages._known[0]
        assert link is not None
        os.kill(server._process.pid, signal.SIGSTOP)
        try:
            link.connection.socket.shutdown(socket.SHUT_RDWR)
            settle(lambda: messages._known[0] is None)  # it connects again, which the server does not answer
            messages.close()
        finally:
            os.kill(server._process.pid, signal.SIGCONT)
        reader.join(5)
        assert not reader.is_alive()
        settle(lambda: proxy.publish("closed", 1) == 0)
        assert not messages._background.subscriptions


def test_a_subscription_of_a_closed_client_starts_no_thread(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        messages, dropped = proxy.subscribe("closed"), [proxy.subscribe("dropped")]
        background = client.background
    settle(lambda: background._seat)  # the thread has ended
    started: List[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", started.append)
    messages.close()
    dropped.clear()
    gc.collect()
    assert not started
