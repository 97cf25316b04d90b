"""A connection to the server: one socket.

session.py and handshake.py handle the bytes, pool.py chooses a connection.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import weakref
from _thread import get_ident
from typing import IO, Any, List, NoReturn, Optional, Tuple

from . import requests
from .clock import MONOTONIC
from .deadline_socket import with_deadline
from .errors import (
    ConnectionLost,
    CyberDBError,
    DisconCyberDBError,
    ProtocolError,
    RequestTimeout,
    ServerUnreachable,
)
from .foreign import UNANSWERED, located
from .frames import (
    HEADER_BYTES,
    LENGTH_BYTES,
    MAX_MILLISECONDS,
    FrameReader,
    Reply,
    milliseconds_of,
    new_reply,
    unpack_header,
)
from .handles import with_password
from .handshake import Opening
from .keys import key_ring
from .log import log
from .replies import reply_error
from .requests import Request, StreamRequest, WaitingRequest
from .session import Session, unexpected
from .settings import Settings
from .spool import no_room

RECEIVE_BYTES = 65536
# A pipeline is sent in batches of this size. Each is answered before the next one is sent, so both
# sides never wait for each other with full buffers.
BATCH_BYTES = 1 << 20
# A pipeline has its replies after at most this many request_timeouts: one until the first data, one
# more until the second, and one after that (see _check_reply_time).
PIPELINE_TIMEOUTS = 3
LOST = "%s: lost a connection: %s"  # for the log
# The system's send buffer has room for this much when no reply is outstanding.
SMALL_BYTES = 16 << 10


class NotSent(ConnectionLost):
    """The connection was closed before a complete request was sent: it has not been applied."""

    begun = False  # some bytes were sent: of several requests, the first ones may have been applied


class Connection:
    """An authenticated socket. Used by one thread, greenlet or process at a time."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet."""
        self._settings = settings
        self.socket: Any = None
        # Python's sockets poll before they send or receive, so that a timeout holds when signals
        # arrive. _plain means that system calls on the file descriptor replace them, to save the
        # poll: for sends that cannot block, and for receives in threads without signal handlers.
        # There SO_RCVTIMEO is the timeout.
        self._plain = False
        self._flags = 0
        self._signal_thread = threading.main_thread().ident
        self.opened = False
        # owned by the pool
        self.used_at = 0.0
        self.slot: Optional[weakref.ReferenceType[Connection]] = None  # set by the pool
        self.unshared = False  # exclusive or extra
        self.extra = False  # beyond the limit of the pool
        # Set while the connection is leased to a caller that does not share it.
        self.exclusive: Optional[weakref.ReferenceType[Connection]] = None
        # Of a waiting request: what was received, until its reply is in request.brought.
        self._kept: List[bytes] = []
        # since the last bytes were sent
        self._received = 0  # number of receives
        self._second_at = 0.0  # when the second receive ended

    def open(self) -> None:
        """Connects and authenticates.

        Errors: ServerUnreachable, ConnectionRefused and its kinds, Overloaded,
        WrongPasswordCyberDBError, ProtocolError.
        """
        settings = with_password(self._settings)
        try:
            self.socket = with_deadline(_connect(settings))
        except OSError as e:
            raise ServerUnreachable(f"no connection to {settings.address}: {e}") from e
        try:
            self._session = _open(self.socket, settings)
            self._session.max_reply_bytes = settings.max_reply_bytes
            of_python = type(self.socket).__module__ == "socket"  # not gevent's
            if os.name == "posix" and of_python and settings.request_timeout is not None:
                self._plain, self._flags = True, socket.MSG_DONTWAIT
            self.set_timeout()
            self.used_at = MONOTONIC[0]()
            self.opened = True
            log.debug("%s: opened a connection", settings.address)
        except BaseException:
            self.socket.close()
            raise

    def close(self) -> None:
        """Closes the connection.

        An encrypted one sends its end record first, if that is possible immediately.
        """
        if self.socket is None:
            return
        try:
            if self.opened and self._session.encrypted:
                self.socket.setblocking(False)
                self.socket.send(self._session.end())
        except OSError:
            pass  # best effort
        self.socket.close()
        if self.opened:
            self.opened = False
            log.debug("%s: closed a connection", self._settings.address)

    def seems_open(self) -> bool:
        """False if the server has closed the connection, or has sent data without a request."""
        try:
            return not _readable(self.socket)
        except (OSError, ValueError):
            return False

    def answers(self) -> bool:
        """Whether the server answers a PING within connect_timeout."""
        settings = self._settings
        try:
            self._limit(min((t for t in (settings.connect_timeout, settings.request_timeout) if t), default=None))
            self.exchange(requests.ping())
            self.set_timeout()
        except (CyberDBError, OSError):
            return False
        return True

    def exchange(self, request: Request[Any]) -> Reply:
        """Sends one request and returns its reply.

        Errors: TooLarge, with nothing sent; NotSent; ConnectionLost; RequestTimeout; ProtocolError.
        After any error except TooLarge the connection must be discarded.
        """
        session = self._session
        self._send(session.next_request(request.opcode, request.flags, request.payload))
        data = self._receive()
        if session.plain and not session.reader.parts and len(data) >= HEADER_BYTES:
            # frames.only_reply, inlined for speed
            length, request_id, status, flags = unpack_header(data)
            if not flags and request_id == session.last_id and length == len(data) - LENGTH_BYTES:
                return new_reply((request_id, status, 0, data[HEADER_BYTES:], False))
        replies = session.receive(data)
        while not replies:
            self._check_reply_time()
            replies = session.receive(self._receive())
        reply = replies[0]
        if reply.id != session.last_id or len(replies) > 1:
            self._raise_stray(replies, session.last_id)
        return reply

    def exchange_waiting(self, request: WaitingRequest[Any]) -> Reply:
        """As exchange. If the caller is interrupted, what was received is not lost.

        The reply is in request.brought, or may be found by interrupted_reply.
        """
        session, kept = self._session, self._kept
        kept.clear()
        data = session.next_request(request.opcode, request.flags, request.payload)
        request.sent = True
        self._send(data)
        replies: List[Reply] = []
        while not replies:
            self._check_reply_time()
            self._receive_into(kept)
            replies = session.receive(kept[-1])
        if replies[0].id != session.last_id or len(replies) > 1:
            self._raise_stray(replies, session.last_id)
        request.brought.append(replies[0])
        kept.clear()
        return replies[0]

    def interrupted_reply(self) -> Optional[Reply]:
        """The reply that exchange_waiting had received when it was interrupted.

        None if it was not complete, or if it is encrypted.
        """
        try:
            replies = FrameReader().receive(b"".join(self._kept)) if self._session.plain else []
        except ProtocolError:
            return None
        return next((reply for reply in replies if reply.id == self._session.last_id and not reply.more), None)

    def stream(self, request: StreamRequest[Any], sink: IO[bytes]) -> Reply:
        """Sends one request, writes its reply to sink piece by piece, and returns the last piece.

        Errors: those of exchange.
        """
        session = self._session
        self._send(session.next_request(request.opcode, request.flags, request.payload))
        while True:
            self._check_reply_time()
            for part in session.receive_parts(self._receive()):
                if part.id != session.last_id:
                    self._raise_stray([part], session.last_id)
                if part.status == 0:
                    sink.write(part.body)
                if not part.more:
                    return part

    def exchange_all(self, requests: List[Request[Any]]) -> List[Reply]:
        """Sends a pipeline and returns the replies in the order of the requests.

        Errors: those of exchange.
        """
        framed = self._pipeline(requests)
        replies: List[Reply] = []
        at = 0
        while at < len(framed):
            batch: List[Tuple[int, bytes]] = []
            size = 0
            while at < len(framed) and (not batch or size + len(framed[at][1]) <= BATCH_BYTES):
                batch.append(framed[at])
                size += len(framed[at][1])
                at += 1
            try:
                replies += self._exchange_batch(batch)
            except NotSent as e:
                if replies:
                    raise ConnectionLost(f"{e}; earlier requests of the pipeline have been applied") from e
                raise
        return replies

    def _pipeline(self, requests: List[Request[Any]]) -> List[Tuple[int, bytes]]:
        """The ids and the frames of a pipeline. Errors: TooLarge."""
        session = self._session
        milliseconds = session.milliseconds
        if len(requests) > 1:
            milliseconds = min(milliseconds * PIPELINE_TIMEOUTS, MAX_MILLISECONDS)
        framed: List[Tuple[int, bytes]] = []
        for request in requests:
            frame = session.next_frame(request.opcode, request.flags, request.payload, milliseconds)
            framed.append((session.last_id, frame))
        return framed

    def _exchange_batch(self, batch: List[Tuple[int, bytes]]) -> List[Reply]:
        self.send_together(batch)
        positions = {request_id: position for position, (request_id, _) in enumerate(batch)}
        replies: List[Any] = [None] * len(batch)
        while positions:
            for reply in self.receive_some():
                position = positions.pop(reply.id, None)
                if position is None:
                    self.reject(reply)
                replies[position] = reply
        return replies

    def framed(self, request: Request[Any], milliseconds: Optional[int] = None) -> Tuple[int, bytes]:
        """The id and the frame of a request for send_together.

        milliseconds is its deadline, 0 for none; None: that of all requests. Errors: TooLarge.
        """
        session = self._session
        limit = session.milliseconds if milliseconds is None else milliseconds
        frame = session.next_frame(request.opcode, request.flags, request.payload, limit)
        return session.last_id, frame

    def send_together(self, framed: List[Tuple[int, bytes]]) -> None:
        """Sends requests in one write.

        Errors: NotSent, if none was sent; ConnectionLost; RequestTimeout.
        """
        try:
            self._send(self._session.seal(b"".join([frame for _, frame in framed])))
        except NotSent as e:
            if e.begun and len(framed) > 1:
                raise ConnectionLost(f"{e}; the request may or may not have been applied") from e
            raise

    def sealed(self, frames: List[bytes]) -> bytes:
        """Frames of requests as wire bytes, for send_now."""
        return self._session.seal(b"".join(frames))

    def send_now(self, data: bytes) -> int:
        """Sends what the system takes at once and returns its size. Errors: ConnectionLost."""
        try:
            sent: int = self.socket.send(data)
        except (BlockingIOError, socket.timeout):
            return 0
        except OSError as e:
            raise self._lost(e) from e
        return sent

    def receive_now(self) -> List[Reply]:
        """As receive_some, without waiting: the replies that have come."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, socket.timeout):
            return []
        except (MemoryError, OSError) as e:
            raise self._not_received(e) from e
        if not data:
            raise self._ended()
        return self._session.receive(data)

    def receive_some(self) -> List[Reply]:
        """Waits for data and returns the replies that it completes.

        Errors: ConnectionLost, RequestTimeout, ProtocolError.
        """
        self._check_reply_time()
        return self._session.receive(self._receive())

    def receive_ready(self) -> List[Reply]:
        """As receive_some, without a limit for replies that come in parts."""
        return self._session.receive(self._receive())

    @property
    def last_id(self) -> int:
        """The id of the last request."""
        return self._session.last_id

    def reject(self, reply: Reply) -> NoReturn:
        """Raises the error for a reply to no request of this connection."""
        self._raise_stray([reply], 0)

    def set_timeout(self, since: Optional[float] = None) -> None:
        """Limits requests to request_timeout, or to what is left of it since then.

        That is the timeout of each wait, and the deadline that the server learns.
        """
        timeout = self._settings.request_timeout
        if timeout is not None and since is not None:
            timeout = max(since + timeout - MONOTONIC[0](), 0.001)
        self._limit(timeout)

    def _limit(self, timeout: Optional[float]) -> None:
        self._session.milliseconds = milliseconds_of(timeout)
        self.socket.settimeout(timeout)
        if self._plain and timeout is not None:
            os.set_blocking(self.socket.fileno(), True)  # the descriptor itself; SO_RCVTIMEO needs it
            interval = struct.pack("@ll", int(timeout), int(timeout % 1 * 1_000_000) or int(timeout < 1))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)

    def _raise_stray(self, replies: List[Reply], request_id: int) -> NoReturn:
        """Raises the error for a reply with another id than request_id.

        Id 0 is a message of the server before it closes the connection.
        """
        stray = next(reply for reply in replies if reply.id != request_id or reply is replies[-1])
        if stray.id == 0 and stray.status:
            raise self._lost(f"the server closed the connection: {reply_error(stray)}")
        raise unexpected(stray)

    def _send(self, data: bytes) -> None:
        self._received = sent = 0
        try:
            if self._plain and len(data) <= SMALL_BYTES:
                sent = os.write(self.socket.fileno(), data)
            while sent < len(data):  # sendall of gevent's sockets costs one more system call
                sent += self.socket.send(memoryview(data)[sent:] if sent else data, self._flags)
        except (BlockingIOError, socket.timeout) as e:
            raise self._request_timeout() from e
        except OSError as e:
            log.warning(LOST, self._settings.address, e)
            lost = NotSent(f"{self._settings.address}: {e}")
            lost.begun = sent > 0
            raise lost from e

    def _receive(self) -> bytes:
        try:
            if self._plain and get_ident() != self._signal_thread:
                data = os.read(self.socket.fileno(), RECEIVE_BYTES)
            else:
                data = self.socket.recv(RECEIVE_BYTES)
        except (MemoryError, OSError) as e:
            raise self._not_received(e) from e
        if not data:
            raise self._ended()
        return data

    def _receive_into(self, kept: List[bytes]) -> None:
        """Appends to kept what _receive would return.

        Signal handlers run in between two byte codes, so none runs between the read and the append.
        """
        try:
            if self._plain and get_ident() != self._signal_thread:
                kept.extend(map(os.read, (self.socket.fileno(),), (RECEIVE_BYTES,)))
            else:
                kept.extend(map(self.socket.recv, (RECEIVE_BYTES,)))
        except (MemoryError, OSError) as e:
            raise self._not_received(e) from e
        if not kept[-1]:
            raise self._ended()

    def _not_received(self, e: Exception) -> Exception:
        """The error for one of a read."""
        if isinstance(e, MemoryError):
            return no_room()
        if isinstance(e, (BlockingIOError, socket.timeout)):
            return self._request_timeout()
        return self._lost(e)

    def _ended(self) -> ConnectionLost:
        """The error for a connection that the server has closed."""
        how = "the server closed the connection"
        if self._session.encrypted and not self._session.ended:
            how = "the encrypted connection was cut: it ended without an end record"
        return self._lost(how)

    def _lost(self, why: object) -> ConnectionLost:
        """The error for a connection that was lost while a request was outstanding."""
        log.warning(LOST, self._settings.address, why)
        return ConnectionLost(f"{self._settings.address}: {why}; the request may or may not have been applied")

    def _check_reply_time(self) -> None:
        """Limits the time of a reply that comes in parts, since each receive has its own timeout.

        Most replies come in one part; they do not read the clock.
        """
        self._received += 1
        if self._received == 2:
            self._second_at = MONOTONIC[0]()
        elif self._received > 2:
            timeout = self._settings.request_timeout
            if timeout is not None and MONOTONIC[0]() - self._second_at > timeout:
                raise self._request_timeout()

    def _request_timeout(self) -> RequestTimeout:
        return no_reply(self._settings)


def no_reply(settings: Settings) -> RequestTimeout:
    """The error for a request without a reply in time."""
    return RequestTimeout(
        f"{settings.address}: no reply within {settings.request_timeout} s; "
        "the request may or may not have been applied"
    )


def _connect(settings: Settings) -> socket.socket:
    if settings.unix:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(settings.connect_timeout)
            sock.connect(settings.unix)
        except BaseException:
            sock.close()
            raise
        return sock
    made: List[socket.socket] = []
    try:
        made.append(socket.create_connection((settings.host, settings.port), settings.connect_timeout))
        made[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(made[0], settings)
    except BaseException:
        for sock in made:
            sock.close()
        raise
    return made[0]


def keep_alive(sock: Any, settings: Settings) -> None:
    """Makes the system ask a silent server for a sign of life, as keep_alive of connect() says."""
    seconds = settings.keep_alive
    if seconds is None or settings.unix:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # TCP_KEEPALIVE is the name of TCP_KEEPIDLE on macOS.
    for names, value in ((("TCP_KEEPIDLE", "TCP_KEEPALIVE"), seconds), (("TCP_KEEPINTVL",), max(1, seconds // 3))):
        for option in [getattr(socket, name) for name in names if hasattr(socket, name)][:1]:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    if hasattr(socket, "TCP_KEEPCNT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _open(sock: Any, settings: Settings) -> Session:
    """Runs the handshake within connect_timeout."""
    deadline = None if settings.connect_timeout is None else MONOTONIC[0]() + settings.connect_timeout
    opening = Opening(settings.encrypt)
    try:
        sock.sendall(opening.hello())
        while True:
            data = sock.recv(4096)
            if not data:
                opening.end()
                raise ServerUnreachable(f"{settings.address}: {UNANSWERED}")
            answer = opening.receive(data)
            if opening.kdf is not None:
                answer = opening.use_key(key_ring.key(settings.address, settings.password, opening.kdf))
            if answer:
                sock.sendall(answer)
            if opening.session is not None:
                return opening.session
            if deadline is not None:
                sock.settimeout(max(deadline - MONOTONIC[0](), 0.001))
    except ProtocolError as e:
        raise located(e, settings.address) from e
    except DisconCyberDBError:
        raise
    except OSError as e:
        raise ServerUnreachable(f"{settings.address}: the handshake failed: {e}") from e


def _readable(sock: Any) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
