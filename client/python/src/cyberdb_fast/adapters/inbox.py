"""The connection on which a consumer of several queues receives, without threads and polls.

A reader is a consumer that says how many more items it may have. The inbox asks for them. What has
come waits in the reader until it is delivered. A program with an event loop waits for the socket
there. Requests are sent without a wait for their replies, so an ack costs one write.

An item that has come is leased. The lease is extended until the item is acked or given back, by the
background of the client: a consumer may work for longer than a lease without a look at its inbox.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from itertools import count
from logging import getLogger
from typing import Any, Callable, Deque, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from cyberdb_fast import frames, lock_requests, opcodes
from cyberdb_fast.bell import which_readable
from cyberdb_fast.client import Client
from cyberdb_fast.clock import MONOTONIC
from cyberdb_fast.connection import Connection, no_reply
from cyberdb_fast.errors import ConnectionLost, CyberDBError
from cyberdb_fast.expiry import milliseconds
from cyberdb_fast.frames import Reply
from cyberdb_fast.list_requests import list_ack, list_extend_lease, list_nack, list_put, never_delivered
from cyberdb_fast.replies import read_nothing, reply_error
from cyberdb_fast.requests import Request, create_list, table_name
from cyberdb_fast.session import unexpected
from cyberdb_fast.values import PLAIN, encode
from cyberdb_fast.waiting import shutting_down

logger = getLogger("cyberdb_fast")

# How many items are asked for at once.
MAX_ASKED = 16
# How long a request waits in the server. A server that is silent for longer, and for
# request_timeout, is given up.
WAIT_SECONDS = 20
# So many messages of channels a reader has before no more are asked for.
MAX_MESSAGES = 200

Handler = Callable[[Reply], None]
Sent = Tuple[Request[Any], Handler]


class Arrival(NamedTuple):
    """An item or a message that has come.

    queue       what the reader calls it
    tag         a number for ack and give_back, new for each arrival in this process
    deliveries  how often it was delivered; 1 for a message of a channel
    """

    queue: str
    tag: int
    value: Any
    deliveries: int


class Source:
    """A list of which a reader takes items, those of lists with a lower rank first."""

    def __init__(self, queue: str, name: str, rank: int) -> None:
        """The list of that name is created when it is missing."""
        self.queue, self.table, self.rank = queue, table_name(name), rank
        self.asked = 0  # requests under way that do not wait for an item
        self.waiting = False  # a request waits for an item
        self.empty = False  # it had none when it was asked, and nothing waits


class Feed:
    """A channel whose messages a reader gets."""

    def __init__(self, queue: str, number: int) -> None:
        """Number is that of the subscription."""
        self.queue, self.number = queue, number
        self.asking = False


class Reader:
    """A consumer: what it reads, and what has come for it and is not delivered yet."""

    def __init__(self, room: Callable[[], int]) -> None:
        """room() is the number of items that it may have, those in arrived included."""
        self._room = room
        self.sources: List[Source] = []  # by rank
        self.feeds: List[Feed] = []
        self.arrived: Deque[Arrival] = deque()
        self.checking = 0  # items whose leases have perhaps ended

    def add(self, source: Source) -> None:
        """Takes items of source too. Of those with the same rank it is the last one."""
        at = sum(other.rank <= source.rank for other in self.sources)
        self.sources.insert(at, source)

    def delay(self, source: Source) -> None:
        """Asks the others of its rank before source."""
        self.sources.remove(source)
        self.add(source)

    def room(self) -> int:
        """How many more items may come."""
        return self._room() - len(self.arrived) - self.checking


class _Taking:
    """Handles the reply to a request for an item."""

    def __init__(self, inbox: Inbox, reader: Reader, source: Source, waits: bool) -> None:
        self.inbox, self.reader, self.source, self.waits = inbox, reader, source, waits

    def __call__(self, reply: Reply) -> None:
        source = self.source
        if self.waits:
            source.waiting = False
        else:
            source.asked -= 1
        if reply.status == frames.OK:
            if reply.body == frames.NIL:
                source.empty = True
                return
            self.reader.delay(source)
            for other in self.reader.sources:  # they are to be asked before this one
                other.empty = False
            self.inbox._item_came(self.reader, source, reply.body)
        elif reply.status == frames.NO_SUCH_TABLE:
            self.inbox._send([(create_list(source.table, (), True), _check)])
        elif reply.status != frames.CANCELED:
            self.inbox._fail(reply)


class Inbox:
    """The readers of one thread, and the connection on which they receive.

    Other threads may call ack and give_back. All methods raise the errors of a connection; then the
    inbox has ended, and what was not acked comes again when its lease ends.
    """

    def __init__(self, client: Client, lease: float) -> None:
        """Opens no connection yet. lease is in seconds."""
        self.readers: List[Reader] = []
        self.connection: Optional[Connection] = None
        self._client, self._settings, self._lease = client, client._settings, lease
        self._ends = {wait: encode(milliseconds(lease, "lease")) + encode(wait * 1000) for wait in (0, WAIT_SECONDS)}
        self._claims, self._claim = os.urandom(8), count()
        self._tags = count(1)
        self._lock = threading.Lock()
        self._ended = self.closed = False
        self._pending: Dict[int, Handler] = {}
        self._held: Dict[int, Tuple[bytes, int]] = {}  # table and receipt of each leased item, by its tag
        self._extends = False
        self._heard_at = self._drained_at = 0.0
        _inboxes.add(self)

    # ---- what readers get

    def subscribe(self, reader: Reader, queue: str, channel: str) -> None:
        """Lets reader get the messages of a channel, from now on."""
        numbers: List[int] = []
        request = lock_requests.subscribe([channel], [])
        self._send([(request, lambda reply: numbers.append(request.result(reply)))])
        while not numbers:
            self._read()
        reader.feeds.append(Feed(queue, numbers[0]))

    def remove(self, reader: Reader, queue: str) -> None:
        """Ends what reader gets for a queue; gives back what has come and was not delivered."""
        sources = [source for source in reader.sources if source.queue == queue]
        feeds = [feed for feed in reader.feeds if feed.queue == queue]
        for feed in feeds:  # before the errors of their requests come
            reader.feeds.remove(feed)
        if self.connection is not None:
            self._send([(lock_requests.unsubscribe(feed.number), _check) for feed in feeds])
            self._stop_waiting(sources)
            while reader.checking or any(source.asked for source in sources):
                self._read()
        for source in sources:
            reader.sources.remove(source)
        undelivered = [arrival for arrival in reader.arrived if arrival.queue == queue]
        for arrival in undelivered:
            reader.arrived.remove(arrival)
        self.give_back([arrival.tag for arrival in undelivered], counts=False)

    def get(self, source: Source) -> Optional[Arrival]:
        """Takes an item of a list, if it has one now."""
        reader = Reader(lambda: 1)
        reader.add(source)
        source.asked = 1
        self._send([(self._take(source, 0), _Taking(self, reader, source, False))])
        while source.asked or reader.checking:
            self._read()
        return reader.arrived.popleft() if reader.arrived else None

    def _stop_waiting(self, sources: Sequence[Source]) -> None:
        """Ends the waits of sources. An item may come at that moment."""
        waiting = [
            request_id
            for request_id, handler in list(self._pending.items())
            if isinstance(handler, _Taking) and handler.waits and handler.source in sources
        ]
        self._send([(lock_requests.cancel(request_id), _check) for request_id in waiting])
        while any(source.waiting for source in sources):
            self._read()

    # ---- asking

    def ask(self) -> None:
        """Asks for what the readers may have. To be called again after each receive."""
        if self._ended:
            raise ConnectionLost(f"{self._settings.address}: the connection of the consumer was lost")
        sent: List[Sent] = []
        for reader in self.readers:
            if reader.sources:
                self._ask_sources(reader, sent)
            for feed in reader.feeds:
                if not feed.asking and len(reader.arrived) < MAX_MESSAGES:
                    feed.asking = True
                    request = lock_requests.receive(feed.number, 100, WAIT_SECONDS * 1000)
                    sent.append((request, self._receiving(reader, feed)))
        self._send(sent)
        self._look_after(MONOTONIC[0]())

    def _ask_sources(self, reader: Reader, sent: List[Sent]) -> None:
        """Asks the first list that may have items for as many as there is room for.

        If none has, it waits at all lists. Where a request waits already, there is nothing to ask.
        """
        waiting = 0
        for source in reader.sources:
            if source.asked:
                return
            waiting += source.waiting
        room = reader.room()
        if room <= 0:
            return
        for source in reader.sources:
            if not (source.waiting or source.empty):
                source.asked = asked = max(0, min(room - waiting, MAX_ASKED))
                handler = _Taking(self, reader, source, False)
                sent += [(self._take(source, 0), handler) for _ in range(asked)]
                return
        for source in reader.sources:
            if not source.waiting:
                source.waiting, source.empty = True, False
                sent.append((self._take(source, WAIT_SECONDS), _Taking(self, reader, source, True)))

    def _take(self, source: Source, wait: int) -> Request[Any]:
        claim = self._claims + next(self._claim).to_bytes(8, "little")
        return Request(opcodes.LIST_TAKE, source.table + encode(claim) + self._ends[wait], read_nothing)

    def _limit(self, reader: Reader) -> None:
        """Ends waits that could bring more items than there is room for, and gives such back.

        The consumer may be busy for long with what it gets now.
        """
        waiting = [source for source in reader.sources if source.waiting]
        room = max(0, reader.room())
        if len(waiting) > room:
            self._stop_waiting(waiting[room:])
        leased = [arrival for arrival in reader.arrived if arrival.tag in self._held]
        while leased and reader.room() < 0:
            reader.arrived.remove(leased[-1])
            self.give_back([leased.pop().tag], counts=False)

    def _look_after(self, now: float) -> None:
        """Notes that nothing unread has come; gives up a silent server."""
        connection = self.connection
        if connection is None or now - self._drained_at < min(self._lease / 10, 1) or not connection.seems_open():
            return
        self._drained_at = now
        timeout = self._settings.request_timeout
        if timeout is not None and self._pending and now - self._heard_at > WAIT_SECONDS + timeout:
            self._lose()
            raise no_reply(self._settings)

    # ---- receiving

    def wait(self, seconds: Optional[float]) -> bool:
        """Waits until something has come, for at most so long; None: for ever. Whether it has."""
        if self.connection is None:
            self._open()
        sockets = [] if self.connection is None else [self.connection.socket]
        return any(which_readable(sockets, WAIT_SECONDS if seconds is None else max(0.0, seconds)))

    def receive(self) -> None:
        """Receives what has come, or waits for it."""
        self._read()
        for reader in self.readers:
            if reader.arrived:
                self._limit(reader)

    def _read(self) -> None:
        connection = self.connection
        if connection is None:
            raise ConnectionLost(f"{self._settings.address}: the connection of the consumer was lost")
        try:
            for reply in connection.receive_ready():
                handler = self._pending.pop(reply.id, None)
                if handler is None:
                    if reply.id == 0:
                        connection.reject(reply)
                    raise unexpected(reply)
                handler(reply)
        except CyberDBError:
            self._lose()
            raise
        self._heard_at = MONOTONIC[0]()

    def _item_came(self, reader: Reader, source: Source, body: bytes) -> None:
        receipt, deliveries, value = PLAIN.all(body)
        tag = next(self._tags)
        self._held[tag] = source.table, receipt
        arrival = Arrival(source.queue, tag, value, deliveries)
        if MONOTONIC[0]() - self._drained_at < self._lease / 2:
            reader.arrived.append(arrival)
        else:  # perhaps it has lain here since its lease has ended

            def checked(reply: Reply) -> None:
                reader.checking -= 1
                if reply.status == frames.OK:
                    reader.arrived.append(arrival)
                else:
                    self._held.pop(tag, None)

            reader.checking += 1
            self._send([(list_extend_lease(source.table, receipt, self._lease), checked)])
        with self._lock:
            starts, self._extends = not self._extends, True
        if starts:
            self._extend_later()

    def _receiving(self, reader: Reader, feed: Feed) -> Handler:
        def received(reply: Reply) -> None:
            feed.asking = False
            if reply.status == frames.OK:
                for value in PLAIN.all(reply.body)[2::2]:
                    reader.arrived.append(Arrival(feed.queue, next(self._tags), value, 1))
            elif feed in reader.feeds:
                self._fail(reply)

        return received

    # ---- leases

    def ack(self, tag: int) -> None:
        """Ends the lease of an item, which is done. Without effect for a message of a channel."""
        held = self._held.pop(tag, None)
        if held is not None:
            self._send([(list_ack(*held), _left)])

    def requeue(self, tag: int, value: Any) -> None:
        """Puts value at the end of the list from which the item of that tag came, and acks it."""
        held = self._held.pop(tag, None)
        if held is not None:
            self._send([(list_put(held[0], value), _left), (list_ack(*held), _left)])

    def give_back(self, tags: Iterable[int], counts: bool = True) -> None:
        """Returns items to the front of their lists, in the order of tags.

        counts says whether these deliveries count.
        """
        give = list_nack if counts else never_delivered
        held = [found for tag in tags if (found := self._held.pop(tag, None)) is not None]
        self._send([(give(*one), _left) for one in reversed(held)])

    def _extend_later(self) -> None:
        self._client.background.run_at(MONOTONIC[0]() + self._lease / 3, self._extend)

    def _extend(self) -> None:
        """Extends all leases. The background calls it."""
        with self._lock:
            held = list(self._held.values())
            self._extends = bool(held)
        background = self._client.background
        for table, receipt in held:
            background.post(background.quietly(list_extend_lease(table, receipt, self._lease)))
        if held:
            self._extend_later()

    # ---- the connection

    def _send(self, sent: List[Sent]) -> None:
        """Sends requests in one write."""
        if not sent:
            return
        with self._lock:
            connection = self.connection or self._open()
            try:
                framed: List[Tuple[int, bytes]] = []
                for request, handler in sent:
                    framed.append(connection.framed(request, 0))
                    self._pending[framed[-1][0]] = handler
                connection.send_together(framed)
            except CyberDBError:
                self._lose()
                raise

    def _open(self) -> Connection:
        if self._ended:
            raise ConnectionLost(f"{self._settings.address}: the connection of the consumer was lost")
        connection = Connection(self._settings)
        connection.open()
        self.connection = connection
        self._heard_at = self._drained_at = MONOTONIC[0]()
        return connection

    def _fail(self, reply: Reply) -> None:
        """Raises the error of a reply."""
        if reply.status == frames.SHUTTING_DOWN:
            raise shutting_down(self._settings)
        raise reply_error(reply)

    def _lose(self) -> None:
        connection, self.connection, self._ended = self.connection, None, True
        self._held.clear()
        self._pending.clear()
        if connection is not None:
            connection.close()

    def descriptors(self) -> List[int]:
        """The descriptor of the socket that is readable when something has come, if it is open."""
        return [] if self.connection is None else [self.connection.socket.fileno()]

    def close(self) -> None:
        """Ends the inbox, when all acks are done. What is held comes again when its lease ends."""
        try:
            while self.connection is not None and any(handler is _left for handler in list(self._pending.values())):
                self._read()
        except CyberDBError as e:
            logger.warning("the last acks of a consumer were perhaps lost: %s", e)
        self._lose()
        self.closed = True

    def detach(self) -> None:
        """In a forked child: closes its copy of the parent's socket."""
        connection, self.connection, self._ended = self.connection, None, True
        self._lock = threading.Lock()  # another thread may have held it
        self._held.clear()
        if connection is not None:
            connection.socket.close()


def _check(reply: Reply) -> None:
    """Takes the reply to a request that may have been late."""


def _left(reply: Reply) -> None:
    """Takes the reply to an ack, or to what gives an item back."""
    if reply.status:
        logger.warning("a message comes again: %s", reply_error(reply))


_inboxes: weakref.WeakSet[Inbox] = weakref.WeakSet()


def _after_fork() -> None:
    for inbox in list(_inboxes):
        inbox.detach()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
