"""Subscriptions for asyncio; subscription.py is their counterpart."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Coroutine, Deque, Iterable, List, Optional, TypeVar, Union

from . import lock_requests
from .affinity import PROCESS, current_process
from .aio_time import finish, retrieve_error
from .aio_waiting import WaitingConnection
from .clock import MONOTONIC
from .errors import Canceled, ConnectionLost, CyberDBError, DisconCyberDBError, ServerUnreachable
from .expiry import Duration, wait_milliseconds
from .frames import OK, Reply
from .leases import NEVER
from .lock_requests import UNKNOWN, Message
from .log import REPEATING, log
from .requests import WaitingRequest
from .subscription import LIMIT, WAIT_MILLISECONDS, names_of
from .waiting import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS

if TYPE_CHECKING:
    from .aio import Proxy

T = TypeVar("T")


class Subscription:
    """The messages of some channels, for `async with` and `async for`.

        async with proxy.subscribe("orders", prefix="user:") as messages:
            await proxy.publish("user:17", "hello")
            async for message in messages:
                print(message.channel, message.value)
                break

    It is cyberdb_fast.Subscription for tasks. It subscribes at the beginning of `async with`, or
    else with the first message that is asked for.
    """

    def __init__(self, proxy: Proxy, channels: Iterable[str], prefix: Union[str, Iterable[str]]) -> None:
        self._proxy, self._process = proxy, current_process()
        self._channels, self._prefixes = names_of(channels, prefix)
        self._replies: Deque[Reply] = deque()  # with messages that are not decoded yet
        self._messages: Deque[Message] = deque()
        self._missed = 0  # before the next message
        self._connection: Optional[WaitingConnection] = None  # on which the server knows it
        self._id = 0
        self._subscribed = False  # it was, before its connection was lost
        self._turn: Optional[asyncio.Future[None]] = None  # done when another task may ask for messages
        self._end: Optional[asyncio.Future[None]] = None  # done when it is closed
        self._closed = False

    async def receive(self, wait: Optional[Duration] = None) -> Optional[Message]:
        """As cyberdb_fast.Subscription.receive."""
        milliseconds = wait_milliseconds(wait)
        until = None if milliseconds is None else MONOTONIC[0]() + milliseconds / 1000
        while not self._closed:
            message = self._next()
            if message is not None:
                return message
            left = None if until is None else until - MONOTONIC[0]()
            if left is not None and left <= 0 and milliseconds:
                return None
            if self._turn is None:
                await self._fetch(left)
            else:  # the server allows one task to receive
                await asyncio.wait([self._turn], timeout=left)
            if milliseconds == 0:
                return None if self._closed else self._next()
        return None

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def close(self) -> None:
        """Ends the subscription. Tasks that iterate end."""
        if self._closed:
            return
        self._closed = True
        connection, self._connection = self._connection, None
        if self._end is not None:
            self._end.set_result(None)
        if connection is not None:
            with suppress(CyberDBError):  # without its connection, it has ended
                await finish(connection.exchange(lock_requests.unsubscribe(self._id)))

    async def __aenter__(self) -> Subscription:
        if self._connection is None and not self._closed:
            await self._unless_closed(self._subscribe())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and not self._closed and self._process == PROCESS[0]:
            with suppress(RuntimeError):  # the loop is closed, and so is the connection
                connection._loop.call_soon_threadsafe(connection.post, lock_requests.unsubscribe(self._id))

    async def _fetch(self, left: Optional[float]) -> None:
        """Waits for messages, for left seconds at most; subscribes again first if necessary."""
        self._turn = turn = asyncio.get_running_loop().create_future()
        try:
            connection = self._connection
            if connection is None or not connection.usable:
                connection = await self._unless_closed(self._subscribe())
            if connection is not None and not self._closed:
                await self._receive(connection, left)
        finally:
            self._turn = None
            turn.set_result(None)

    async def _receive(self, connection: WaitingConnection, left: Optional[float]) -> None:
        """Sends one RECEIVE. The server has ended an earlier one: its CANCEL was sent before."""
        wait = WAIT_MILLISECONDS if left is None else max(0, min(WAIT_MILLISECONDS, math.ceil(left * 1000)))
        request = lock_requests.receive(self._id, LIMIT, wait)
        request.undo = self._keep
        with suppress(Canceled):
            try:
                await self._unless_closed(self._bring(connection, request))
            except (ConnectionLost, KeyError):
                self._connection = None

    async def _bring(self, connection: WaitingConnection, request: WaitingRequest[Any]) -> None:
        """Keeps what a RECEIVE brings. Errors: those of the request."""
        reply = await connection.exchange_waiting(request)
        if reply.status != OK:
            request.result(reply)  # raises its error
        self._keep(reply)

    async def _unless_closed(self, work: Coroutine[Any, Any, T]) -> Optional[T]:
        """The result of work; None if close() has ended it."""
        if self._end is None:
            self._end = asyncio.get_running_loop().create_future()
        task: asyncio.Future[T] = asyncio.ensure_future(work)
        task.add_done_callback(retrieve_error)
        both: List[asyncio.Future[Any]] = [task, self._end]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():  # it withdraws its request before anything else is sent
                task.cancel()
                await asyncio.wait([task])
        try:
            return None if self._closed and task.cancelled() else task.result()
        except DisconCyberDBError:
            if not self._closed:
                raise
        return None

    def _keep(self, reply: Reply) -> None:
        """Keeps the messages of a reply, also if the task that has asked for them is cancelled.

        A task that receives decodes them: it gets the error of one that cannot be decoded.
        """
        if reply.status == OK:
            self._replies.append(reply)

    def _next(self) -> Optional[Message]:
        """The next message that has come; None if there is none. Errors: those of decoding."""
        while self._replies and not self._messages:
            reply = self._replies.popleft()
            try:
                missed, messages = lock_requests.receive(0, 0, 0).result(reply)
            except BaseException:
                self._missed = UNKNOWN  # the messages of this reply
                raise
            if missed and self._missed != UNKNOWN:
                self._missed += missed
            for channel, value in messages:
                self._messages.append(Message(channel, value, self._missed))
                self._missed = 0
        return self._messages.popleft() if self._messages else None

    async def _subscribe(self) -> Optional[WaitingConnection]:
        """Subscribes; after a lost connection, it tries for request_timeout.

        The connection on which the server knows the subscription; None if it was closed meanwhile.
        """
        client = self._proxy._client
        if self._subscribed:
            self._missed = UNKNOWN
        until, pause = NEVER, FIRST_PAUSE_SECONDS
        if client.request_timeout is not None:
            until = MONOTONIC[0]() + client.request_timeout
        while not self._closed:
            try:
                self._proxy._check()
                await finish(self._subscribe_on(await client.connection()))
                return self._connection
            except (ConnectionLost, ServerUnreachable) as e:
                if not self._subscribed or MONOTONIC[0]() >= until:
                    raise
                log.warning(REPEATING, "SUBSCRIBE", pause, e)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
        return None

    async def _subscribe_on(self, connection: WaitingConnection) -> None:
        """Sends SUBSCRIBE. It runs to its end: the server must keep nothing unused."""
        request = lock_requests.subscribe(self._channels, self._prefixes)
        number = request.result((await connection.exchange(request))[0])
        if self._closed or (self._connection is not None and self._connection.usable):
            connection.post(lock_requests.unsubscribe(number))
        else:
            self._id, self._connection, self._subscribed = number, connection, True
