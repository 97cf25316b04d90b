"""One connection for asyncio, shared by tasks: their requests travel together, and so do the replies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from typing import IO, Any, Deque, Dict, List, Optional, Tuple

from . import frames, requests
from .aio_time import Alarm, first_of
from .clock import REAL
from .errors import ConnectionLost, CyberDBError, DisconCyberDBError, ProtocolError, ReplyTooLarge, RequestTimeout, ServerUnreachable
from .foreign import UNANSWERED, located
from .frames import Reply
from .handshake import Opening
from .keys import key_ring
from .requests import Request, StreamRequest, reply_error
from .session import Session, unexpected
from .settings import Settings

# Requests beyond this wait, in turn: a server ends a connection that sends 80 MiB ahead of its replies.
MAX_OUTSTANDING_BYTES = 32 << 20

# A reply, or its last part, and what holds all parts of one that came in several.
Arrived = Tuple[Reply, Optional[IO[bytes]]]


class Forked(ConnectionLost):
    """The connection is a parent process's: nothing was sent."""


class _Outstanding:
    """One request that waits for its reply."""

    __slots__ = ("bytes", "deadline", "future", "sink")

    def __init__(self, future: asyncio.Future[Reply], size: int, sink: Optional[IO[bytes]], deadline: float) -> None:
        self.future, self.bytes, self.sink = future, size, sink
        self.deadline = deadline  # of REAL; 0: none

    def give_up(self) -> None:
        """Its task wants the reply no more."""
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()  # asyncio warns of those that nobody has seen
        if self.sink is not None:
            self.sink.close()


class Connection(asyncio.Protocol):
    """One connection, shared by tasks. Its methods run on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._clock = REAL[0]
        self._pid = os.getpid()
        self._opening = Opening(settings.encrypt)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._session: Optional[Session] = None
        self._transport: Any = None
        self._outstanding: Dict[int, _Outstanding] = {}
        self.due = 0  # bytes of the requests outstanding
        self._room: Deque[asyncio.Future[None]] = deque()
        self._unsent: List[bytes] = []
        self._alarm: Optional[Alarm] = None  # one for all that wait: their deadlines come in the order in which they were sent
        self.lost: Optional[Exception] = None  # why it is of no use any more
        self.slow = False  # a request had no reply in time: what waits may wait on, but nothing more is sent

    @property
    def usable(self) -> bool:
        """Whether requests may be sent."""
        return self.lost is None and not self.slow

    @classmethod
    async def open(cls, settings: Settings, end: asyncio.Future[None]) -> Connection:
        """Errors: as those of the Connection for sockets; DisconCyberDBError as soon as end is done: the client is closed."""
        try:
            connection = await first_of(cls._open(asyncio.get_running_loop(), settings), settings.connect_timeout, end)
        except DisconCyberDBError:
            raise
        except OSError as e:
            raise ServerUnreachable(f"no connection to {settings.address}: {e}") from e
        if end.done():
            if connection is not None:
                connection.close()
            raise closed()
        if connection is None:
            raise ServerUnreachable(f"{settings.address}: no proof within {settings.connect_timeout} s")
        return connection

    @classmethod
    async def _open(cls, loop: asyncio.AbstractEventLoop, settings: Settings) -> Connection:
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
        """Says Hello; asyncio calls it."""
        self._transport = transport
        transport.write(self._opening.hello())

    def data_received(self, data: bytes) -> None:
        """Gives replies to those who wait for them; asyncio calls it."""
        try:
            if self._session is None:
                self._go_on_opening(data)
            else:
                self._deliver(self._session.receive_parts(data))
        except ProtocolError as e:
            self._fail(e if self._session is not None else located(e, self._settings.address))
        except Exception as e:
            self._fail(e)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        """Ends those who wait; asyncio calls it."""
        if not self._opened.done():
            self._fail(self._not_opened())
        self._fail(ConnectionLost(f"{self._settings.address}: the connection ended: {exc or 'the server closed it'}"))

    def _not_opened(self) -> Exception:
        try:
            self._opening.end()
        except ProtocolError as e:
            return located(e, self._settings.address)
        return ServerUnreachable(f"{self._settings.address}: {UNANSWERED}")

    def _go_on_opening(self, data: bytes) -> None:
        answer = self._opening.receive(data)
        kdf = self._opening.kdf
        if kdf is not None and (key := key_ring.known(self._settings.password, kdf)) is not None:
            answer = self._opening.use_key(key)
        elif kdf is not None:
            derive = self._loop.run_in_executor(None, key_ring.key, self._settings.address, self._settings.password, kdf)
            derive.add_done_callback(self._use_key)
        if answer:
            self._transport.write(answer)
        if self._opening.session is not None and not self._opened.done():
            self._session = self._opening.session
            self._opened.set_result(None)

    def _use_key(self, derived: asyncio.Future[bytes]) -> None:
        if derived.cancelled() or self._opened.done():
            if not derived.cancelled():
                derived.exception()  # asyncio warns of those that nobody has seen
            return
        try:
            self._transport.write(self._opening.use_key(derived.result()))
        except Exception as e:
            self._fail(e)

    def _fail(self, e: Exception) -> None:
        """Ends the connection, and everything that waits. Only the first reason counts."""
        if self.lost is None:
            self._give_up(e if isinstance(e, (CyberDBError, OSError)) else ProtocolError(f"{self._settings.address}: {type(e).__name__}: {e}"))
            if self._transport is not None:
                self._transport.abort()

    def _give_up(self, e: Exception) -> None:
        """Fails everything that waits."""
        self.lost = e
        self._stop_alarm()
        if not self._opened.done():
            self._opened.set_exception(e)
        futures: List[asyncio.Future[Any]] = [*(one.future for one in self._outstanding.values()), *self._room]
        for waiting in futures:
            if not waiting.done():
                waiting.set_exception(self._ended())
        for one in self._outstanding.values():
            if one.sink is not None:
                one.sink.close()
        self._outstanding.clear()
        self._room.clear()
        self.due = 0

    def _ended(self) -> ConnectionLost:
        return ConnectionLost(f"{self.lost}; the request may or may not have been applied")

    def _deliver(self, parts: List[Reply]) -> None:
        for part in parts:
            one = self._outstanding.get(part.id)
            if one is None:
                if part.id == 0 and part.status != frames.OK:
                    raise ConnectionLost(f"the server ended the connection: {reply_error(part)}")
                raise unexpected(part)
            waited_for = not one.future.done()  # the reply of a task that was cancelled, or came too late, goes to nobody
            if waited_for and (part.more or one.sink is not None):
                if one.sink is None:
                    one.sink = requests.spool(self._settings.max_reply_bytes)
                if part.status == frames.OK:
                    self._keep(one, one.sink, part)
            if not part.more:
                del self._outstanding[part.id]
                self.due -= one.bytes
                if waited_for:
                    one.future.set_result(part)
        if self.slow:
            self._end_if_slow()
        while self._room and self.due < MAX_OUTSTANDING_BYTES:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)

    def _keep(self, one: _Outstanding, sink: IO[bytes], part: Reply) -> None:
        try:
            sink.write(part.body)
        except ReplyTooLarge as e:
            one.future.set_exception(e)
            raise

    async def exchange(self, request: Request[Any]) -> Arrived:
        """One request, one reply.

        Errors: TooLarge before anything was sent; ConnectionLost; RequestTimeout.
        """
        if self.due >= MAX_OUTSTANDING_BYTES:
            await self._wait_for_room()
        one = self._start(request, self._frame(request))
        try:
            return await one.future, one.sink
        except BaseException:
            one.give_up()
            raise

    async def exchange_all(self, batch: List[Request[Any]]) -> List[Arrived]:
        """The replies of a pipeline, in the order of the requests. Errors as exchange."""
        framed = [self._frame(request) for request in batch]
        waiting: List[_Outstanding] = []
        try:
            for request, frame in zip(batch, framed):
                if self.due >= MAX_OUTSTANDING_BYTES:
                    await self._wait_for_room()
                waiting.append(self._start(request, frame))
            replies = await asyncio.gather(*[one.future for one in waiting])
        except BaseException:
            for one in waiting:
                one.give_up()
            raise
        return [(reply, one.sink) for reply, one in zip(replies, waiting)]

    async def _wait_for_room(self) -> None:
        timeout = self._settings.request_timeout
        until = None if timeout is None else self._clock() + timeout
        while self.due >= MAX_OUTSTANDING_BYTES and self.lost is None:
            turn: asyncio.Future[None] = self._loop.create_future()
            self._room.append(turn)
            alarm = None if until is None else Alarm(self._loop, until - self._clock(), lambda turn=turn: self._no_room(turn))  # type: ignore[misc]
            try:
                await turn
            finally:
                if alarm is not None:
                    alarm.cancel()

    def _no_room(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            turn.set_exception(self._too_slow())

    def _frame(self, request: Request[Any]) -> Tuple[int, bytes]:
        """A request's id and frame."""
        session = self._session
        if self.lost is not None or session is None:
            raise ConnectionLost(f"{self.lost}; the request was not sent") from self.lost
        frame = session.frame(session.next_id(), request.opcode, request.flags, request.payload)
        return session.last_id, frame

    def _start(self, request: Request[Any], framed: Tuple[int, bytes]) -> _Outstanding:
        """Sends a request with what other tasks send in the same turn of the loop. Errors: Forked."""
        if not self._unsent and self._pid != os.getpid():  # a system call, so once in a turn
            self.disown()
            raise Forked(str(self.lost))
        request_id, frame = framed
        timeout = self._settings.request_timeout
        deadline = 0.0 if timeout is None else self._clock() + timeout
        sink = requests.spool(self._settings.max_stream_bytes) if isinstance(request, StreamRequest) else None
        one = _Outstanding(self._loop.create_future(), len(frame), sink, deadline)
        if self.lost is not None:  # while there was no room
            one.future.set_exception(self._ended())
            return one
        self._outstanding[request_id] = one
        self.due += one.bytes
        if deadline and self._alarm is None:
            self._alarm = Alarm(self._loop, deadline - self._clock(), self._ring)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)
        return one

    def _ring(self) -> None:
        """Ends the requests that have waited too long. Their replies, if they come, go to nobody."""
        self._alarm = None
        now = self._clock()
        for one in self._outstanding.values():
            if one.future.done():
                continue
            if one.deadline > now:
                self._alarm = Alarm(self._loop, one.deadline - now, self._ring)
                break
            one.future.set_exception(self._too_slow())
            self.slow = True
        self._end_if_slow()

    def _end_if_slow(self) -> None:
        """Ends a connection that will not be used again, once nobody waits for it any more."""
        if self.slow and all(one.future.done() for one in self._outstanding.values()):
            self._fail(self._too_slow())

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _too_slow(self) -> RequestTimeout:
        return RequestTimeout(
            f"{self._settings.address}: no reply within {self._settings.request_timeout} s; the request may or may not have been applied"
        )

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self._pid != os.getpid():
            self.disown()  # the parent sends it
        if self.lost is None and self._session is not None:
            self._transport.write(self._session.seal(data))

    def close(self) -> None:
        """Ends the connection in order, without waiting; who waits for a reply gets an error."""
        if self.lost is not None:
            return
        if self._session is None:
            self._fail(closed())
            return
        self._flush()
        self._give_up(closed())
        self._transport.write(self._session.end())
        self._transport.close()

    def leave(self) -> None:
        """Ends the connection once its loop is closed, from anywhere."""
        self.lost = self.lost or closed()
        try:
            self._transport.abort()
        except RuntimeError:  # the loop is closed
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def disown(self) -> None:
        """In a forked child: leaves the socket to the parent, and the loop, which is the parent's too, nothing to read from it."""
        if self.lost is None:
            self._give_up(Forked(f"{self._settings.address}: the connection is another process's"))
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, sock.fileno())
            os.close(nothing)


def closed() -> DisconCyberDBError:
    """The error of requests to a client that is closed."""
    return DisconCyberDBError("the client is closed")
