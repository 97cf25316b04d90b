"""The transport of kombu, and so the broker of Celery.

    import cyberdb_fast.adapters.kombu  # registers cyberdb://
    from kombu import Connection

    with Connection("cyberdb://:password@127.0.0.1:9980") as connection:
        queue = connection.SimpleQueue("jobs")
        queue.put({"to": "ada"})
        message = queue.get(timeout=10)
        message.ack()

cyberdbs:// encrypts; cyberdb+unix://:password@/path is a Unix socket. Without the import,
Connection(..., transport="cyberdb_fast.adapters.kombu:Transport") names the transport.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import socket
from itertools import chain
from logging import getLogger
from queue import Empty
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

import cyberdb_fast
from cyberdb_fast import dict_requests, list_requests, lock_requests, requests
from cyberdb_fast.client import Client, connect
from cyberdb_fast.clock import MONOTONIC
from cyberdb_fast.errors import CyberDBError, DisconCyberDBError, NoSuchTable, Overloaded, PoolTimeout
from cyberdb_fast.requests import Request, table_name
from cyberdb_fast.settings import OPTIONS

from .frameworks import require
from .inbox import Arrival, Inbox, Reader, Source

require("kombu", "5.7")

from kombu.transport import TRANSPORT_ALIASES, virtual  # noqa: E402 # its version is known now
from kombu.utils.json import dumps, loads  # noqa: E402

TRANSPORT_ALIASES.update(dict.fromkeys(("cyberdb", "cyberdbs"), "cyberdb_fast.adapters.kombu:Transport"))

logger = getLogger("cyberdb_fast")

# Messages that a consumer without a prefetch count reads ahead.
READ_AHEAD = 16


class QoS(virtual.QoS):
    """Acks and rejects messages by the tags of the inbox."""

    def ack(self, delivery_tag: int) -> None:
        """Removes the message from its queue."""
        self.channel.inbox.ack(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """Moves the message to the end of its queue, or removes it."""
        if requeue:
            message = self.get(delivery_tag)._raw
            _mark_redelivered(message)
            self.channel.inbox.requeue(delivery_tag, message)
        else:
            self.channel.inbox.ack(delivery_tag)
        super().ack(delivery_tag)

    def restore_unacked(self) -> List[Any]:
        """Returns all messages that are not acked to their queues.

        If the server cannot be reached, they return when their leases end.
        """
        self._flush()
        try:
            self.channel.inbox.give_back(list(self._delivered))
        except CyberDBError as e:
            logger.warning("%d messages come again when their leases end: %s", len(self._delivered), e)
        self._delivered.clear()
        return []


class Channel(virtual.Channel):
    """A channel whose queues are lists in the server.

    The list of queue q and priority p is PREFIXp:q. The dict PREFIXexchange:x has bindings.
    Messages have the types of tables. A queue that is bound to a fanout exchange has no list: it
    gets what is published while it is consumed.

    Options, in the transport options of kombu:

    visibility_timeout  the lease in seconds. A consumer extends it until it acks or rejects the
                        message; the messages of one that has died are delivered again after it
    priority_steps      the priorities that have a list; lower numbers are delivered first
    table_prefix        what the names of tables and channels begin with
    """

    QoS = QoS
    supports_fanout = True
    body_encoding = None
    visibility_timeout = 60
    priority_steps: Sequence[int] = (0, 3, 6, 9)
    table_prefix = "kombu:"
    from_transport_options = (
        *virtual.Channel.from_transport_options,
        *("visibility_timeout", "priority_steps", "table_prefix"),
    )

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self.priority_steps = sorted(self.priority_steps)
        self._without_ack: Set[str] = set()
        self._client: Client = connection.cyberdb
        self.inbox = connection.inbox
        self.reader = Reader(self._room)
        self.inbox.readers.append(self.reader)

    def _room(self) -> int:
        qos = self.qos
        if not qos.can_consume():
            return 0
        most: Optional[int] = qos.can_consume_max_estimate()
        return READ_AHEAD if most is None else most

    def _step(self, message: Dict[str, Any]) -> int:
        """The priority of the list that gets message."""
        priority = self._get_message_priority(message)
        return max((step for step in self.priority_steps if step <= priority), default=self.priority_steps[0])

    def _list(self, queue: str, step: int) -> str:
        return f"{self.table_prefix}{step}:{queue}"

    def _lists(self, queue: str) -> List[bytes]:
        return [table_name(self._list(queue, step)) for step in self.priority_steps]

    def _bindings(self, exchange: str) -> bytes:
        return table_name(f"{self.table_prefix}exchange:{exchange}")

    def _all(self, batch: Iterable[Request[Any]]) -> List[Any]:
        """The results of requests in one write; None for one whose table is missing."""
        results: List[Any] = []
        sent = list(batch)
        for request, reply in zip(sent, self._client.perform_all(sent)):
            try:
                results.append(request.result(reply))
            except NoSuchTable:
                results.append(None)
        return results

    # ---- queues

    def _put(self, queue: str, message: Dict[str, Any], **kwargs: Any) -> None:
        t = table_name(self._list(queue, self._step(message)))
        try:
            request = list_requests.list_put(t, message)
        except TypeError:  # headers may have what JSON turns into text
            request = list_requests.list_put(t, _plain(message))
        try:
            self._client.perform(request)
        except NoSuchTable:
            self._client.perform(requests.create_list(t, (), True))
            self._client.perform(request)

    def _get(self, queue: str, timeout: Optional[float] = None) -> Dict[str, Any]:
        for step in self.priority_steps:
            arrival = self.inbox.get(Source(queue, self._list(queue, step), step))
            if arrival is not None:
                return _delivery(arrival)
        raise Empty

    def _size(self, queue: str) -> int:
        return sum(filter(None, self._all(map(list_requests.list_len, self._lists(queue)))))

    def _purge(self, queue: str) -> int:
        tables = self._lists(queue)
        sizes = self._all(chain(map(list_requests.list_len, tables), map(list_requests.list_clear, tables)))
        return sum(filter(None, sizes[: len(tables)]))

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return any(self._all(map(requests.exists, self._lists(queue))))

    def _delete(self, queue: str, exchange: str, *meta: Any, **kwargs: Any) -> None:
        self.connection.fanout_queues.pop(queue, None)
        unbind = dict_requests.dict_delete_many(self._bindings(exchange), [(meta[0], meta[1], queue)])
        self._all([unbind, *map(requests.drop, self._lists(queue))])

    # ---- exchanges

    def _queue_bind(self, exchange: str, routing_key: str, pattern: Optional[str], queue: str) -> None:
        if self.typeof(exchange).type == "fanout":
            self.connection.fanout_queues[queue] = exchange
            return
        t = self._bindings(exchange)
        self._all([requests.create_dict(t, {}, True), dict_requests.dict_set(t, (routing_key, pattern, queue), True)])

    def get_table(self, exchange: str) -> List[Tuple[str, Optional[str], str]]:
        """The bindings of an exchange: routing key, pattern, queue."""
        try:
            return self._client.perform(dict_requests.dict_keys(self._bindings(exchange)))
        except NoSuchTable:
            return []

    def _put_fanout(self, exchange: str, message: Dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        channel = self.table_prefix + exchange
        try:
            request = lock_requests.publish(channel, message)
        except TypeError:
            request = lock_requests.publish(channel, _plain(message))
        self._client.perform(request)

    # ---- consumers

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """The next message of queue; None if it has none."""
        message = super().basic_get(queue, no_ack, **kwargs)
        if message is not None and no_ack:
            self.inbox.ack(message.delivery_tag)
        return message

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Begins to consume from queue."""
        if no_ack:
            self._without_ack.add(queue)
        exchange = self.connection.fanout_queues.get(queue)
        if queue in self._active_queues:
            pass  # another consumer of this channel reads it already
        elif exchange is not None:
            self.inbox.subscribe(self.reader, queue, self.table_prefix + exchange)
        else:
            for step in self.priority_steps:
                self.reader.add(Source(queue, self._list(queue, step), step))
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Ends a consumer. Messages that it has not delivered return to their queue."""
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None and queue not in self._active_queues:
            self._without_ack.discard(queue)
            try:
                self.inbox.remove(self.reader, queue)
            except CyberDBError as e:
                logger.warning("messages of queue %r come again when their leases end: %s", queue, e)

    def deliver(self, arrival: Arrival) -> None:
        """Calls the callback of a consumer with a message that has come."""
        if arrival.queue in self._without_ack:
            self.inbox.ack(arrival.tag)
        self.connection._deliver(_delivery(arrival), arrival.queue)

    def _next_delivery_tag(self) -> None:
        """Who receives a message gives it its tag."""

    def close(self) -> None:
        """Ends all consumers; messages that are not acked return to their queues."""
        try:
            super().close()
        finally:
            if self.reader in self.inbox.readers:
                self.inbox.readers.remove(self.reader)


class Transport(virtual.Transport):
    """A connection of kombu: a client, and the inbox of its consumers."""

    Channel = Channel
    polling_interval = None
    default_port = 9980
    # What Celery asks: whether events are sent by fanout exchanges, whether consumers ask
    # can_consume before each message. In this it is as kombu's transport for Redis.
    driver_type = "redis"
    driver_name = "cyberdb"
    connection_errors = (DisconCyberDBError, Overloaded, PoolTimeout)
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"])
    )

    cyberdb: Client
    inbox: Inbox

    def driver_version(self) -> str:
        """The version of cyberdb_fast."""
        return cyberdb_fast.__version__

    def establish_connection(self) -> Any:
        """Connects. Errors: those of cyberdb_fast.connect."""
        given = self.client
        self.fanout_queues: Dict[str, str] = {}  # the exchange of each queue without a list
        options: Dict[str, Any] = {name: value for name, value in given.transport_options.items() if name in OPTIONS}
        if given.connect_timeout:
            options.setdefault("connect_timeout", given.connect_timeout)
        if given.password:
            options["password"] = given.password
        if "://" not in given.hostname:
            options.update(port=given.port or self.default_port, encrypt=given.transport_cls == "cyberdbs")
        self.cyberdb = connect(given.hostname, **options)
        self.inbox = Inbox(self.cyberdb, given.transport_options.get("visibility_timeout", Channel.visibility_timeout))
        return super().establish_connection()

    def close_connection(self, connection: Any) -> None:
        """Closes all channels."""
        try:
            super().close_connection(connection)
            self.inbox.close()
        finally:
            self.cyberdb.close()

    def _deliver_next(self) -> bool:
        """Delivers a message that has come; whether there was one."""
        for channel in self.channels:
            if channel.reader.arrived:
                channel.deliver(channel.reader.arrived.popleft())
                return True
        return False

    def drain_events(self, connection: Any, timeout: Optional[float] = None) -> None:
        """Waits for a message and delivers it. Errors: socket.timeout; those of a connection."""
        inbox = self.inbox
        until = None if timeout is None else MONOTONIC[0]() + timeout
        while not self._deliver_next():
            inbox.ask()
            left = None if until is None else until - MONOTONIC[0]()
            if inbox.wait(left):
                inbox.receive()
            elif left is not None and left <= 0:
                raise socket.timeout

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Lets a hub of kombu deliver messages."""
        inbox = self.inbox
        heard: List[int] = []  # the descriptor that the hub waits for

        def on_readable() -> None:
            inbox.receive()
            while self._deliver_next():
                pass

        def on_tick() -> None:
            if inbox.closed:
                loop.on_tick.discard(on_tick)
                return
            inbox.ask()
            now = inbox.descriptors()
            if now != heard:
                heard[:] = now
                for descriptor in now:
                    loop.add_reader(descriptor, on_readable)

        loop.on_tick.add(on_tick)


def _delivery(arrival: Arrival) -> Dict[str, Any]:
    """The message of an arrival."""
    message: Dict[str, Any] = arrival.value
    properties = message["properties"]
    properties["delivery_tag"] = arrival.tag
    if arrival.deliveries > 1:
        _mark_redelivered(message)
    return message


def _mark_redelivered(message: Dict[str, Any]) -> None:
    message["properties"]["delivery_info"]["redelivered"] = message["headers"]["redelivered"] = True


def _plain(message: Dict[str, Any]) -> Dict[str, Any]:
    """The message, as it would be after JSON. The body stays as it is."""
    body = message["body"]
    plain: Dict[str, Any] = loads(dumps({**message, "body": None}))
    plain["body"] = body
    return plain
