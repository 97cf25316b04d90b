"""Subscriptions for threads and greenlets; aio_subscription.py is their counterpart."""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from . import lock_requests
from .affinity import PROCESS, current_process
from .calls import Call, Link
from .clock import MONOTONIC
from .errors import ConnectionLost, CyberDBError, DisconCyberDBError
from .expiry import Duration, wait_milliseconds
from .frames import CANCELED, KEY_ERROR, OK, SHUTTING_DOWN, milliseconds_of
from .leases import NEVER
from .lock_requests import UNKNOWN, Message
from .log import REPEATING, log
from .values import PLAIN, split
from .waiting import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, UNREACHED, deadline_of

if TYPE_CHECKING:
    from .proxy import Proxy

# Messages that one request brings at most.
LIMIT = 100
# How long one request waits for messages in the server, in milliseconds.
WAIT_MILLISECONDS = 60_000
# With these replies to RECEIVE the server does not know the subscription, or not for long.
_LOST = (KEY_ERROR, SHUTTING_DOWN)


def names_of(channels: Iterable[str], prefix: Union[str, Iterable[str]]) -> Tuple[List[str], List[str]]:
    """The channels and the prefixes of a subscription. Errors: TypeError, ValueError."""
    prefixes = [prefix] if isinstance(prefix, str) else list(prefix)
    names = list(channels)
    if not names and not prefixes:
        raise ValueError("a subscription needs a channel or a prefix")
    for name in names:
        lock_requests.name_of(name, "channel")
    for one in prefixes:
        if not isinstance(one, str):
            raise TypeError(f"a prefix is a str, not {type(one).__name__}")
    return names, prefixes


class _Arrived:
    """A message as it has arrived: only its reader decodes it, since that may fail."""

    __slots__ = ("_channel", "_missed", "_value")

    def __init__(self, channel: bytes, value: bytes, missed: int) -> None:
        self._channel, self._value, self._missed = channel, value, missed

    def decoded(self) -> Message:
        return Message(PLAIN.one(self._channel), PLAIN.one(self._value), self._missed)


class Subscription:
    """The messages of some channels; iterate over it. close() ends the iteration.

    >>> with proxy.subscribe("orders", prefix="user:") as messages:
    ...     sent = proxy.publish("user:17", "hello")
    ...     next(messages)
    Message(channel='user:17', value='hello', missed=0)

    A subscriber gets each message at most once, and none that was published before it subscribed or
    while its connection was lost. The server keeps some messages for a slow subscriber, and drops
    older ones: message.missed says how many. After a lost connection it subscribes again, and
    message.missed is UNKNOWN (-1).
    """

    def __init__(self, proxy: Proxy, channels: Iterable[str], prefix: Union[str, Iterable[str]]) -> None:
        """Subscribes. Errors: those of Proxy.subscribe."""
        self._channels, self._prefixes = names_of(channels, prefix)
        self._process = current_process()
        self._messages: Deque[_Arrived] = deque()
        self._missed = 0  # before the next message
        # The connection on which the server knows it, and its number there; 0: it has had none.
        self._known: Tuple[Optional[Link], int] = (None, 0)
        # At 0: the request that is under way, since the server allows one RECEIVE. The background
        # removes it when it ends, so a caller that was interrupted leaves nothing.
        self._asking: Dict[int, Call] = {}
        self._background = proxy._client.background
        self._reference = weakref.ref(self, self._background.subscriptions.discard)
        self._closed = False
        try:
            self._subscribe()
        except BaseException:
            self.close()
            raise

    def receive(self, wait: Optional[Duration] = None) -> Optional[Message]:
        """Returns the next message; None if there is none within wait, or if it is closed.

        wait is in seconds, or a timedelta; None: for ever. Errors: those of the connection; for a
        message that this program cannot decode, ProtocolError or what its unpack function raises.

        >>> with proxy.subscribe("orders") as messages:
        ...     print(messages.receive(wait=0))
        None
        """
        milliseconds = wait_milliseconds(wait)
        until = None if milliseconds is None else MONOTONIC[0]() + milliseconds / 1000
        while not self._closed:
            first = self._first()
            if first is not None:
                message = self._decoded(first)
                try:
                    self._messages.remove(first)
                    return message
                except ValueError:
                    continue  # another thread has it
            left = None if until is None else until - MONOTONIC[0]()
            if left is not None and left <= 0 and milliseconds:
                return None
            asked = self._fetch(left)
            if milliseconds == 0 and asked and not self._messages:
                return None
        return None

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        message = self.receive()
        if message is None:
            raise StopIteration
        return message

    def close(self) -> None:
        """Ends the subscription. Any thread may call it; those that iterate end."""
        call = self._end()
        if call is not None:
            with suppress(CyberDBError):  # without its connection, it has ended
                self._background.wait(call, 0)

    def _end(self) -> Optional[Call]:
        """Ends the subscription in this process.

        The call that ends it in the server; None if its connection has gone.
        """
        if self._closed:
            return None
        self._closed = True
        if self._process != PROCESS[0]:
            return None
        background = self._background
        background.subscriptions.discard(self._reference)
        for call in list(self._asking.values()):
            if call.only_on is not None:  # a RECEIVE; the reply to SUBSCRIBE is due
                call.complete(None, DisconCyberDBError("the subscription is closed"))
                background.cancel(call)
        link, number = self._known
        return None if link is None or background.closed else self._unsubscribing(number, link)

    def _unsubscribing(self, number: int, link: Optional[Link]) -> Call:
        """The call that ends a subscription in the server."""
        milliseconds = milliseconds_of(self._background.settings.request_timeout)
        return Call(lock_requests.unsubscribe(number), milliseconds, only_on=link)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            call = self._end()
            if call is not None:
                self._background.post(call)

    def _first(self) -> Optional[_Arrived]:
        try:
            return self._messages[0]
        except IndexError:
            return None

    def _decoded(self, first: _Arrived) -> Message:
        """Decodes a message that is not removed yet. If that fails, it is removed."""
        try:
            return first.decoded()
        except Exception:
            with suppress(ValueError):
                self._messages.remove(first)
            raise

    # ---- requests

    def _fetch(self, left: Optional[float]) -> bool:
        """Waits for messages, for left seconds at most; subscribes if the connection was lost.

        Whether the server has been asked for messages, by this caller or by another one.
        """
        if self._process != PROCESS[0]:
            raise DisconCyberDBError("the subscription belongs to the parent process: subscribe in the child")
        link, number = self._known
        if link is None or link is not self._background.main:
            return self._subscribe_again(left)
        wait = WAIT_MILLISECONDS if left is None else max(0, min(WAIT_MILLISECONDS, math.ceil(left * 1000)))
        request = lock_requests.receive(number, LIMIT, wait)
        call = Call(request, deadline_of(request, self._background.settings), self._arrived, link)
        other = self._asking.setdefault(0, call)
        if other is not call:
            return self._background.join(other, left)
        try:
            reply = self._background.wait(call, wait / 1000)
        except ConnectionLost:
            return True
        except DisconCyberDBError:
            if not self._closed:
                raise
            return True
        if reply.status not in (OK, KEY_ERROR, CANCELED):
            request.result(reply)
        return True

    def _arrived(self, call: Call) -> None:
        """Keeps what a RECEIVE has brought, also if its caller was interrupted.

        The background calls it.
        """
        self._asking.pop(0, None)
        link, number = self._known
        lost = link is not self._background.main if call.reply is None else call.reply.status in _LOST
        if lost and link is call.only_on:
            self._known = None, number
        if call.reply is None or call.reply.status:
            return
        missed, *parts = split(call.reply.body)
        if self._missed != UNKNOWN:
            self._missed += PLAIN.one(missed)
        for channel, value in zip(parts[::2], parts[1::2]):
            self._messages.append(_Arrived(channel, value, self._missed))
            self._missed = 0

    def _subscribe(self, left: Optional[float] = None) -> bool:
        """Subscribes, or waits for another caller that does; returns what _fetch does."""
        background = self._background
        request = lock_requests.subscribe(self._channels, self._prefixes)
        call = Call(request, milliseconds_of(background.settings.request_timeout), self._subscribed)
        background.subscriptions.add(self._reference)
        try:
            other = self._asking.setdefault(0, call)
            if other is not call:
                return background.join(other, left)
            request.result(background.wait(call, 0))
        finally:
            if self._closed:
                background.subscriptions.discard(self._reference)
        return False

    def _subscribed(self, call: Call) -> None:
        """Notes the subscription, or ends it if it is not needed any more.

        The background calls it, also if the caller was interrupted.
        """
        self._asking.pop(0, None)
        if call.reply is None or call.reply.status:
            return
        link, before = self._known
        number = call.request.result(call.reply)
        needed = call.link is not link
        if needed:
            if before:
                self._missed = UNKNOWN
            self._known = call.link, number
        if self._closed or not needed:
            self._background.post(self._unsubscribing(number, call.link))

    def _subscribe_again(self, left: Optional[float]) -> bool:
        """Subscribes after a lost connection, which it tries for request_timeout."""
        patience = self._background.settings.request_timeout
        until = NEVER if patience is None else MONOTONIC[0]() + patience
        pause = FIRST_PAUSE_SECONDS
        while not self._closed:
            try:
                return self._subscribe(left)
            except (ConnectionLost, *UNREACHED) as e:
                if MONOTONIC[0]() >= until or self._background.closed:
                    raise
                log.warning(REPEATING, "SUBSCRIBE", pause, e)
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
        return False
