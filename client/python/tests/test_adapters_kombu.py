"""The transport of kombu, beyond kombu's own tests: `.ci/adapters` runs both."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any, Callable, Iterator

import pytest

pytest.importorskip("kombu")

import kombu

import cyberdb_fast.adapters.kombu  # noqa: F401 # registers cyberdb://
from cyberdb_fast import Client, Server
from cyberdb_fast.adapters.inbox import Inbox, Reader, Source
from cyberdb_fast.errors import DisconCyberDBError, WrongPasswordCyberDBError

PASSWORD = "correct horse"
_names = count()


@pytest.fixture
def name() -> str:
    return f"kombu {next(_names)}"


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., kombu.Connection]]:
    made: list[kombu.Connection] = []

    def connect(**options: Any) -> kombu.Connection:
        made.append(kombu.Connection(server.url, password=PASSWORD, transport_options=options))
        return made[-1]

    yield connect
    for connection in made:
        connection.release()


class Consumer:
    """A consumer that keeps its messages."""

    def __init__(self, connection: kombu.Connection, *queues: str, prefetch: int = 0) -> None:
        self.connection = connection
        self.messages: list[Any] = []
        named = [kombu.Queue(name, exchange=kombu.Exchange(""), routing_key=name) for name in queues]
        self.consumer = kombu.Consumer(
            connection, named, callbacks=[lambda _, message: self.messages.append(message)], prefetch_count=prefetch
        )
        self.consumer.consume()

    def drain(self, seconds: float = 0.2) -> list[Any]:
        """The bodies of what comes until nothing comes for some seconds."""
        at = len(self.messages)
        try:
            while True:
                self.connection.drain_events(timeout=seconds)
        except TimeoutError:
            return [message.payload for message in self.messages[at:]]


def publish(connection: kombu.Connection, name: str, *bodies: Any, **options: Any) -> None:
    for body in bodies:
        kombu.Producer(connection).publish(body, routing_key=name, **options)


def counts(client: Client, name: str) -> tuple[int, int]:
    """The items that are in the list of a queue, and those that are leased."""
    with client.get_proxy() as proxy:
        jobs = proxy.get_cyberlist(f"kombu:0:{name}")
        return len(jobs), jobs.leased()


def test_a_message_that_needs_no_ack_is_gone(connect: Any, client: Client, name: str) -> None:
    connection = connect()
    publish(connection, name, "a", "b")
    queue = kombu.Queue(name)(connection.default_channel)
    assert queue.get(no_ack=True).payload == "a"
    left = queue.get()
    assert left.payload == "b"
    assert counts(client, name) == (0, 1)
    left.ack()
    assert queue.get() is None
    assert counts(client, name) == (0, 0)


def test_consumers_of_one_queue_of_a_fanout_exchange_get_each_message_once(connect: Any, name: str) -> None:
    connection, got = connect(), []
    channel = connection.channel()
    queue = kombu.Queue(name, kombu.Exchange(f"{name} x", type="fanout"))
    for _ in range(2):
        kombu.Consumer(channel, [queue], callbacks=[lambda body, message: got.append(body)], no_ack=True).consume()
    kombu.Producer(connect()).publish("a", exchange=queue.exchange, declare=[queue.exchange])
    with pytest.raises(TimeoutError):
        while True:
            connection.drain_events(timeout=0.3)
    assert got == ["a"]


def test_a_deleted_queue_of_a_fanout_exchange_may_come_back_as_another(connect: Any, name: str) -> None:
    connection = connect()
    queue = kombu.Queue(name, kombu.Exchange(f"{name} x", type="fanout"))(connection.default_channel)
    queue.declare()
    queue.delete()
    publish(connection, name, "a")
    assert Consumer(connection, name).drain() == ["a"]


def test_no_more_messages_come_than_the_prefetch_count(connect: Any, client: Client, name: str) -> None:
    first, second = Consumer(connect(), name, prefetch=2), Consumer(connect(), name, prefetch=1)
    publish(connect(), name, *range(5))
    assert first.drain() == [0, 1]
    assert second.drain() == [2]
    first.messages[0].ack()
    assert first.drain() == [3]
    assert counts(client, name) == (1, 3)


def test_what_a_busy_consumer_has_no_room_for_goes_to_others(connect: Any, name: str) -> None:
    busy, idle = Consumer(connect(), name, prefetch=1), Consumer(connect(), name, prefetch=9)
    assert busy.drain() == []  # it waits for all priorities
    publisher = connect()
    for priority in (9, 6, 3, 0):
        publish(publisher, name, priority, priority=priority)
    got = busy.drain(0)
    assert len(got) == 1
    assert sorted(got + idle.drain()) == [0, 3, 6, 9]


def test_higher_priorities_come_first(connect: Any, name: str) -> None:
    publisher = connect()
    for i in range(20):
        publish(publisher, name, i, priority=(0, 3, 5, 9)[i % 4])
    consumer = Consumer(connect(), name, prefetch=1)
    got: list[int] = []
    for _ in range(20):
        got += consumer.drain(0.02) or consumer.drain(1)
        consumer.messages[-1].ack()
    # 5 has the list of 3.
    assert got == [*range(0, 20, 4), *(i for i in range(20) if i % 4 in (1, 2)), *range(3, 20, 4)]


def test_queues_take_turns(connect: Any, name: str) -> None:
    names = [f"{name} a", f"{name} b"]
    publisher = connect()
    for one in names:
        publish(publisher, one, *[one] * 10)
    consumer = Consumer(connect(), *names, prefetch=1)
    for _ in range(4):
        consumer.drain(0.02) or consumer.drain(1)
        consumer.messages[-1].ack()
    assert {message.payload for message in consumer.messages} == set(names)


def test_closing_gives_messages_back_in_their_order(connect: Any, client: Client, name: str) -> None:
    connection = connect()
    publish(connection, name, *range(5))
    consumer = Consumer(connection, name, prefetch=3)
    assert consumer.drain() == [0, 1, 2]
    consumer.messages[0].ack()
    connection.release()
    assert counts(client, name) == (4, 0)
    another = Consumer(connect(), name)
    assert another.drain() == [1, 2, 3, 4]
    assert [bool(message.headers.get("redelivered")) for message in another.messages] == [True, True, False, False]


def test_a_lease_lasts_while_the_consumer_does_nothing(connect: Any, name: str) -> None:
    consumer = Consumer(connect(visibility_timeout=0.4), name)
    publish(connect(), name, "long")
    assert consumer.drain() == ["long"]
    other = Consumer(connect(), name)
    assert other.drain(1) == []
    consumer.messages[0].ack()
    assert other.drain(0.5) == []


def test_an_item_that_has_lain_unread_for_its_lease_is_not_delivered(client: Client, name: str) -> None:
    """Another consumer may have it by now."""
    with client.get_proxy() as proxy:
        jobs = proxy.create_cyberlist(name)
        inbox, reader = Inbox(client, 0.3), Reader(lambda: 1)
        reader.add(Source("q", name, 0))
        inbox.readers.append(reader)
        inbox.ask()
        inbox.receive()  # there is none
        inbox.ask()
        jobs.append("unread")
        assert jobs.take(wait=10).value == "unread"  # after the lease
        inbox.receive()
        while reader.checking:
            inbox.receive()
        assert not reader.arrived
        inbox.close()


def test_all_messages_of_an_exchange_come(connect: Any, name: str) -> None:
    exchange = kombu.Exchange(name, type="fanout")
    got: list[Any] = []
    connection = connect()
    queues = [kombu.Queue(name, exchange=exchange), kombu.Queue(f"{name} list", routing_key=f"{name} list")]
    with kombu.Consumer(connection, queues, callbacks=[lambda body, _: got.append(body)], no_ack=True):
        for i in range(300):
            kombu.Producer(connection, exchange).publish(i)
        while len(got) < 300:
            connection.drain_events(timeout=10)
    assert got == list(range(300))


def test_headers_that_only_json_can_encode(connect: Any, name: str) -> None:
    class Text(str):
        __slots__ = ()

    publish(connect(), name, {"a": 1}, headers={"who": Text("ada")})
    consumer = Consumer(connect(), name)
    assert consumer.drain() == [{"a": 1}]
    assert consumer.messages[0].headers == {"who": "ada"}


def test_acks_of_other_threads(connect: Any, client: Client, name: str) -> None:
    consumer = Consumer(connect(), name)
    publish(connect(), name, *range(50))
    assert consumer.drain() == list(range(50))
    threads = [threading.Thread(target=message.ack) for message in consumer.messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    consumer.connection.release()
    assert counts(client, name) == (0, 0)


def test_a_wrong_password_is_no_error_of_a_connection(server: Server) -> None:
    with kombu.Connection(server.url, password="wrong") as connection:
        with pytest.raises(WrongPasswordCyberDBError) as raised:
            connection.connect()
        assert not isinstance(raised.value, connection.connection_errors)


def test_a_lost_connection_ends_a_consumer(start: Callable[..., Server], name: str) -> None:
    server = start()
    with kombu.Connection(server.url, password=PASSWORD) as connection:
        consumer = Consumer(connection, name)
        publish(connection, name, 1)
        assert consumer.drain() == [1]
        server.stop()
        with pytest.raises(DisconCyberDBError):
            connection.drain_events(timeout=10)
        with pytest.raises(DisconCyberDBError):
            consumer.messages[0].ack()
            connection.drain_events(timeout=10)
