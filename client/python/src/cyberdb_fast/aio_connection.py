"""One connection for asyncio, shared by tasks: requests of several tasks share one write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import weakref
from collections import deque
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional, Tuple

from . import frames, replies, requests
from .aio_time import Alarm, first_of
from .clock import MONOTONIC
from .connection import LOST, NotSent, keep_alive
from .errors import (
    ConnectionLost,
    CyberDBError,
    DisconCyberDBError,
    ProtocolError,
    ReplyTooLarge,
    RequestTimeout,
    ServerUnreachable,
)
from .foreign import UNANSWERED, located
from .frames import Reply
from .handles import with_password
from .handshake import Opening
from .keys import key_ring
from .log import log
from .replies import reply_error
from .requests import Request, StreamRequest
from .session import Session, unexpected
from .settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Self

# Requests wait while more than this is outstanding. The server closes a connection that sends 80
# MiB ahead of its replies.
MAX_OUTSTANDING_BYTES = 32 << 20

# A reply, or its last part, and the spool with all parts if it came in several.
Arrived = Tuple[Reply, Optional[IO[bytes]]]


class Forked(NotSent):
    """The connection belongs to the parent process: the request was not sent."""


class _Outstanding:
    """One request that waits for its reply."""

    __slots__ = ("bytes", "deadline", "future", "late", "sink")

    def __init__(self, future: asyncio.Future[Reply], size: int, sink: Optional[IO[bytes]], deadline: float) -> None:
        self.future, self.bytes, self.sink = future, size, sink
        self.deadline = deadline  # by MONOTONIC; 0: none
        self.late: Optional[Callable[[Reply], None]] = None  # takes the reply if the task has gone

    def abandon(self) -> None:
        """The task has been cancelled: drops the reply."""
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()  # marks it as retrieved, or asyncio logs a warning
        if self.sink is not None:
            self.sink.close()


class Connection(asyncio.Protocol):
    """One connection, shared by tasks. Its methods run on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._clock = MONOTONIC[0]
        self._pid = os.getpid()
        self._opening = Opening(settings.encrypt)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._session: Optional[Session] = None
        self._transport: Any = None
        self._outstanding: Dict[int, _Outstanding] = {}
        self.outstanding_bytes = 0
        self._space_waiters: Deque[asyncio.Future[None]] = deque()
        self._unsent: List[bytes] = []
        # One alarm, for the oldest request: deadlines are in the order of the requests.
        self._alarm: Optional[Alarm] = None
        self.lost: Optional[Exception] = None  # why the connection is down; None while it is up
        # A request has timed out. Other requests may still get their replies, but no more are sent.
        self.timed_out = False
        # Connections that were idle for longer than this are doubtful; 0: they never are.
        limits = [limit for limit in (settings.time_out, settings.health_check) if limit]
        self._trusted_seconds = min(limits, default=0.0)
        self._heard_at = self._clock()  # set only if _trusted_seconds is
        self._in_check = False
        _connections.add(self)

    @property
    def settings(self) -> Settings:
        """The settings of the client."""
        return self._settings

    @property
    def usable(self) -> bool:
        """Whether new requests may be sent."""
        return self.lost is None and not self.timed_out

    def doubtful(self) -> bool:
        """Whether it was idle for so long that it has to be checked before it is used."""
        if not self._trusted_seconds:
            return False
        return self._in_check or (not self._outstanding and self._clock() - self._heard_at > self._trusted_seconds)

    async def check(self, end: asyncio.Future[None]) -> None:
        """Closes a doubtful connection, unless it is to be used and the server answers a PING."""
        settings, self._in_check = self._settings, True
        times = [seconds for seconds in (settings.connect_timeout, settings.request_timeout) if seconds]
        answer: Optional[Arrived] = None
        try:
            if not settings.time_out or self._clock() - self._heard_at <= settings.time_out:
                with contextlib.suppress(DisconCyberDBError):
                    answer = await first_of(self.exchange(requests.ping()), min(times, default=None), end)
        finally:
            self._in_check = False
            if answer is None:
                self.close()

    @classmethod
    async def open(cls, settings: Settings, end: asyncio.Future[None]) -> Self:
        """Connects and authenticates.

        Errors: those of connection.Connection.open; DisconCyberDBError as soon as end is done,
        which means that the client is closed.
        """
        try:
            opening = cls._open(asyncio.get_running_loop(), with_password(settings))
            connection = await first_of(opening, settings.connect_timeout, end)
        except DisconCyberDBError:
            raise
        except OSError as e:
            raise ServerUnreachable(f"no connection to {settings.address}: {e}") from e
        if end.done():
            if connection is not None:
                connection.close()
            raise closed()
        if connection is None:
            raise ServerUnreachable(
                f"{settings.address}: not authenticated within {settings.connect_timeout} s"
            ) from TimeoutError()
        return connection

    @classmethod
    async def _open(cls, loop: asyncio.AbstractEventLoop, settings: Settings) -> Self:
        if settings.unix:
            _, connection = await loop.create_unix_connection(lambda: cls(settings), settings.unix)
        else:
            _, connection = await loop.create_connection(lambda: cls(settings), settings.host, settings.port)
        try:
            await connection._opened
        except BaseException as e:
            connection._fail(ServerUnreachable(f"{settings.address}: {e}"))
            raise
        return connection

    def connection_made(self, transport: Any) -> None:
        """Sends Hello. asyncio calls it."""
        self._transport = transport
        keep_alive(transport.get_extra_info("socket"), self._settings)
        transport.write(self._opening.hello())

    def data_received(self, data: bytes) -> None:
        """Delivers replies. asyncio calls it."""
        if self._trusted_seconds:
            self._heard_at = self._clock()
        try:
            if self._session is None:
                self._continue_opening(data)
            else:
                self._deliver(self._session.receive_parts(data))
        except ProtocolError as e:
            self._fail(e if self._session is not None else located(e, self._settings.address))
        except Exception as e:
            self._fail(e)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Fails the outstanding requests. asyncio calls it."""
        if not self._opened.done():
            self._fail(self._open_error())
        self._fail(
            ConnectionLost(f"{self._settings.address}: the connection was lost: {exc or 'the server closed it'}")
        )

    def _open_error(self) -> Exception:
        try:
            self._opening.end()
        except ProtocolError as e:
            return located(e, self._settings.address)
        return ServerUnreachable(f"{self._settings.address}: {UNANSWERED}")

    def _continue_opening(self, data: bytes) -> None:
        answer = self._opening.receive(data)
        kdf = self._opening.kdf
        if kdf is not None and (key := key_ring.known(self._settings.password, kdf)) is not None:
            answer = self._opening.use_key(key)
        elif kdf is not None:
            derive = self._loop.run_in_executor(
                None, key_ring.key, self._settings.address, self._settings.password, kdf
            )
            derive.add_done_callback(self._use_key)
        if answer:
            self._transport.write(answer)
        if self._opening.session is not None and not self._opened.done():
            self._session = self._opening.session
            self._session.milliseconds = frames.milliseconds_of(self._settings.request_timeout)
            self._opened.set_result(None)
            log.debug("%s: opened a connection", self._settings.address)

    def _use_key(self, derived: asyncio.Future[bytes]) -> None:
        if derived.cancelled() or self._opened.done():
            if not derived.cancelled():
                derived.exception()  # marks it as retrieved, or asyncio logs a warning
            return
        try:
            self._transport.write(self._opening.use_key(derived.result()))
        except Exception as e:
            self._fail(e)

    def _fail(self, e: Exception) -> None:
        """Closes the connection and fails everything that waits for it.

        Only the first reason is kept.
        """
        if self.lost is None:
            if not isinstance(e, (CyberDBError, OSError)):
                e = ProtocolError(f"{self._settings.address}: {type(e).__name__}: {e}")
            if self._session is not None:
                log.warning(LOST, self._settings.address, str(e).removeprefix(f"{self._settings.address}: "))
            self._fail_waiters(e)
            if self._transport is not None:
                self._transport.abort()

    def _fail_waiters(self, e: Exception) -> None:
        """Fails everything that waits for this connection."""
        self.lost = e
        self._stop_alarm()
        if not self._opened.done():
            self._opened.set_exception(e)
        futures: List[asyncio.Future[Any]] = [*(one.future for one in self._outstanding.values()), *self._space_waiters]
        for waiting in futures:
            if not waiting.done():
                waiting.set_exception(self._ended())
        for one in self._outstanding.values():
            if one.sink is not None:
                one.sink.close()
        self._outstanding.clear()
        self._space_waiters.clear()
        self.outstanding_bytes = 0

    def _ended(self) -> ConnectionLost:
        return ConnectionLost(f"{self.lost}; the request may or may not have been applied")

    def _deliver(self, parts: List[Reply]) -> None:
        for part in parts:
            one = self._outstanding.get(part.id)
            if one is None:
                if part.id == 0 and part.status != frames.OK:
                    raise ConnectionLost(f"the server closed the connection: {reply_error(part)}")
                raise unexpected(part)
            waited_for = not one.future.done()  # False if the task was cancelled or has timed out
            if (waited_for or one.late is not None) and (part.more or one.sink is not None):
                if one.sink is None:
                    one.sink = replies.spool(self._settings.max_reply_bytes)
                if part.status == frames.OK:
                    self._store_part(one, one.sink, part)
            if not part.more:
                del self._outstanding[part.id]
                self.outstanding_bytes -= one.bytes
                if waited_for:
                    one.future.set_result(part)
                elif one.late is not None:
                    one.late(replies.join_parts(part, one.sink))
        if self.timed_out:
            self._close_if_timed_out()
        while self._space_waiters and self.outstanding_bytes < MAX_OUTSTANDING_BYTES:
            waiter = self._space_waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _store_part(self, one: _Outstanding, sink: IO[bytes], part: Reply) -> None:
        try:
            sink.write(part.body)
        except ReplyTooLarge as e:
            if not one.future.done():
                one.future.set_exception(e)
            raise

    async def exchange(self, request: Request[Any]) -> Arrived:
        """Sends one request and returns its reply.

        Errors: TooLarge, with nothing sent; ConnectionLost; RequestTimeout.
        """
        if self.outstanding_bytes >= MAX_OUTSTANDING_BYTES:
            await self._wait_for_space()
        one = self._start(request, self._frame(request))
        try:
            return await one.future, one.sink
        except BaseException:
            one.abandon()
            raise

    async def exchange_all(self, batch: List[Request[Any]], until: Optional[float] = None) -> List[Arrived]:
        """Sends a pipeline and returns the replies in the order of the requests.

        until is when the time for it ends, by MONOTONIC, if that is before request_timeout from now
        on. Errors: those of exchange.
        """
        left = None if until is None else max(until - self._clock(), 0.001)
        milliseconds = None if left is None else frames.milliseconds_of(left)
        framed = [self._frame(request, milliseconds) for request in batch]
        waiting: List[_Outstanding] = []
        alarm = None if left is None else Alarm(self._loop, left, partial(self._time_out_all, waiting))
        try:
            for request, frame in zip(batch, framed):
                if self.outstanding_bytes >= MAX_OUTSTANDING_BYTES:
                    await self._wait_for_space()
                waiting.append(self._start(request, frame))
            replies = await asyncio.gather(*[one.future for one in waiting])
        except BaseException:
            for one in waiting:
                one.abandon()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
        return [(reply, one.sink) for reply, one in zip(replies, waiting)]

    async def _wait_for_space(self) -> None:
        timeout = self._settings.request_timeout
        until = None if timeout is None else self._clock() + timeout
        while self.outstanding_bytes >= MAX_OUTSTANDING_BYTES and self.lost is None:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._space_waiters.append(waiter)
            alarm = None
            if until is not None:
                alarm = Alarm(self._loop, until - self._clock(), partial(self._time_out, waiter))
            try:
                await waiter
            finally:
                if alarm is not None:
                    alarm.cancel()

    def _time_out_all(self, waiting: List[_Outstanding]) -> None:
        for one in waiting:
            self._time_out(one.future)

    def _time_out(self, waiter: asyncio.Future[Any]) -> None:
        if not waiter.done():
            waiter.set_exception(self._request_timeout())

    def _frame(self, request: Request[Any], milliseconds: Optional[int] = None) -> Tuple[int, bytes]:
        """Returns the id and the frame of a request; milliseconds is its own deadline."""
        session = self._session
        if self.lost is not None or session is None:
            raise NotSent(f"{self.lost}; the request was not sent") from self.lost
        limit = session.milliseconds if milliseconds is None else milliseconds
        frame = session.next_frame(request.opcode, request.flags, request.payload, limit)
        return session.last_id, frame

    def _start(self, request: Request[Any], framed: Tuple[int, bytes], waits: bool = False) -> _Outstanding:
        """Queues a request, to be sent at the end of this iteration of the event loop.

        One that waits does not make the connection busy, and has no deadline here. Errors: Forked.
        """
        if not self._unsent and self._pid != os.getpid():  # a system call, so once per iteration
            self.detach()
            raise Forked(str(self.lost))
        request_id, frame = framed
        timeout = self._settings.request_timeout
        deadline = 0.0 if timeout is None or waits else self._clock() + timeout
        sink = replies.spool(self._settings.max_stream_bytes) if isinstance(request, StreamRequest) else None
        one = _Outstanding(self._loop.create_future(), 0 if waits else len(frame), sink, deadline)
        if self.lost is not None:  # during the wait for space
            one.future.set_exception(self._ended())
            return one
        self._outstanding[request_id] = one
        self.outstanding_bytes += one.bytes
        if deadline and self._alarm is None:
            self._alarm = Alarm(self._loop, deadline - self._clock(), self._on_alarm)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)
        return one

    def _on_alarm(self) -> None:
        """Fails the requests that have timed out. Their late replies are dropped."""
        self._alarm = None
        now = self._clock()
        for one in self._outstanding.values():
            if one.future.done() or not one.deadline:
                continue
            if one.deadline > now:
                self._alarm = Alarm(self._loop, one.deadline - now, self._on_alarm)
                break
            one.future.set_exception(self._request_timeout())
            self.timed_out = True
        self._close_if_timed_out()

    def _close_if_timed_out(self) -> None:
        """Closes a connection that has timed out, once no request waits for it any more."""
        if self.timed_out and all(one.future.done() for one in self._outstanding.values()):
            self._fail(self._request_timeout())

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _request_timeout(self) -> RequestTimeout:
        return RequestTimeout(
            f"{self._settings.address}: no reply within {self._settings.request_timeout} s; "
            "the request may or may not have been applied"
        )

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self._pid != os.getpid():
            self.detach()  # the parent sends it
        if self.lost is None and self._session is not None:
            self._transport.write(self._session.seal(data))

    def close(self) -> None:
        """Closes the connection with an end record, without waiting.

        Outstanding requests get an error.
        """
        if self.lost is not None:
            return
        if self._session is None:
            self._fail(closed())
            return
        self._flush()
        self._fail_waiters(closed())
        log.debug("%s: closed a connection", self._settings.address)
        self._transport.write(self._session.end())
        self._transport.close()

    def abort(self) -> None:
        """Closes the connection after its event loop has been closed. Any thread may call it."""
        self.lost = self.lost or closed()
        try:
            self._transport.abort()
        except RuntimeError:  # the loop is closed
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def detach(self) -> None:
        """In a forked child: gives up the parent's socket, and fails what waits for it."""
        if self.lost is None:
            self._fail_waiters(Forked(f"{self._settings.address}: the connection belongs to another process"))
        self.give_up_socket()

    def give_up_socket(self) -> None:
        """In a forked child: closes its copy of the parent's socket.

        /dev/null takes its file descriptor, because the event loop still refers to it.
        """
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, sock.fileno())
            os.close(null)


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


def _after_fork() -> None:
    """Closes the child's copies of the sockets at once, also if it never uses the clients.

    Otherwise the server would not learn of the end of the parent. It does not run if C code forks.
    """
    for connection in list(_connections):
        connection.give_up_socket()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def closed() -> DisconCyberDBError:
    """The error for requests to a closed client."""
    return DisconCyberDBError("the client is closed")
