"""One socket. Everything about bytes is in session.py and handshake.py; everything about which socket is in pool.py."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import weakref
from _thread import get_ident
from typing import IO, Any, List, NoReturn, Optional, Tuple

from .clock import REAL
from .errors import ConnectionLost, DisconCyberDBError, ProtocolError, RequestTimeout, ServerUnreachable
from .foreign import UNANSWERED, located
from .frames import HEADER_BYTES, LENGTH_BYTES, Reply, new_reply, unpack_header
from .handshake import Opening
from .keys import key_ring
from .patient import patient
from .requests import Request, StreamRequest, reply_error
from .session import Session, unexpected
from .settings import Settings
from .spool import no_room

RECEIVE_BYTES = 65536
# A pipeline goes out in batches of this size, each answered before the next: neither side's buffers can fill up on both ends.
BATCH_BYTES = 1 << 20
# There is room for so much in the system's buffer when all that was sent before is answered.
SMALL_BYTES = 16 << 10


class NotSent(ConnectionLost):
    """The connection was found closed before a whole request was handed to the system: it has not been applied."""

    begun = False  # some bytes were: of several requests, the first may have been applied


class Connection:
    """A socket on which both sides have proved the password. Used by one thread, greenlet or process at a time."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet."""
        self._settings = settings
        self.socket: Any = None
        # Python's sockets wait in a system call of their own before they send or receive, and keep their deadline when a signal ends the wait.
        # A plain one is used as a file where it cannot have to wait, and in threads that signals do not reach: the system keeps the time there.
        self._plain = False
        self._flags = 0
        self._signalled = threading.main_thread().ident
        self.opened = False
        # owned by the pool
        self.used_at = 0.0
        self.place: Optional[weakref.ReferenceType[Connection]] = None  # what the pool knows it by
        self.apart = False  # alone or beyond
        self.beyond = False  # the limit
        self.alone: Optional[weakref.ReferenceType[Connection]] = None  # given to a caller that shares it with no other, however long it takes
        # since the last bytes were sent
        self._received = 0  # how often something came
        self._second_at = 0.0  # when the second came

    def open(self) -> None:
        """Connects and proves the password.

        Errors: ServerUnreachable, ConnectionRefused and its kinds, Overloaded, WrongPasswordCyberDBError, ProtocolError.
        """
        settings = self._settings
        try:
            self.socket = patient(_connect(settings))
        except OSError as e:
            raise ServerUnreachable(f"no connection to {settings.address}: {e}") from e
        try:
            self._session = _open(self.socket, settings)
            self._session.max_reply_bytes = settings.max_reply_bytes
            if os.name == "posix" and type(self.socket).__module__ == "socket" and settings.request_timeout is not None:  # not gevent's
                self._plain, self._flags = True, socket.MSG_DONTWAIT
            self.limit_waiting()
            self.used_at = REAL[0]()
            self.opened = True
        except BaseException:
            self.socket.close()
            raise

    def close(self) -> None:
        """Ends the connection; the server is told so if that is possible at once."""
        if self.socket is None:
            return
        try:
            if self.opened and self._session.encrypted:
                self.socket.setblocking(False)
                self.socket.send(self._session.end())
        except OSError:
            pass  # a courtesy
        self.socket.close()

    def seems_open(self) -> bool:
        """False if the server has ended the connection, or sent what nobody asked for."""
        try:
            return not _readable(self.socket)
        except (OSError, ValueError):
            return False

    def exchange(self, request: Request[Any]) -> Reply:
        """One request, one reply.

        Errors: TooLarge, before anything was sent; NotSent; ConnectionLost; RequestTimeout; ProtocolError. The connection is of no use
        after any but the first.
        """
        session = self._session
        self._send(session.next_request(request.opcode, request.flags, request.payload))
        data = self._receive()
        if session.plain and not session.reader.parts and len(data) >= HEADER_BYTES:
            # as frames.only_reply, without the call
            length, request_id, status, flags = unpack_header(data)
            if not flags and request_id == session.last_id and length == len(data) - LENGTH_BYTES:
                return new_reply((request_id, status, 0, data[HEADER_BYTES:], False))
        replies = session.receive(data)
        while not replies:
            self._limit_replies()
            replies = session.receive(self._receive())
        reply = replies[0]
        if reply.id != session.last_id or len(replies) > 1:
            self._fail_on(replies, session.last_id)
        return reply

    def stream(self, request: StreamRequest[Any], sink: IO[bytes]) -> Reply:
        """One request whose reply goes to sink piece by piece; returns the last piece. Errors as exchange."""
        session = self._session
        self._send(session.next_request(request.opcode, request.flags, request.payload))
        while True:
            self._limit_replies()
            for part in session.receive_parts(self._receive()):
                if part.id != session.last_id:
                    self._fail_on([part], session.last_id)
                if part.status == 0:
                    sink.write(part.body)
                if not part.more:
                    return part

    def exchange_all(self, requests: List[Request[Any]]) -> List[Reply]:
        """A pipeline: the replies in the order of the requests. Errors as exchange."""
        framed = [self.framed(request) for request in requests]
        replies: List[Reply] = []
        at = 0
        while at < len(framed):
            batch: List[Tuple[int, bytes]] = []
            size = 0
            while at < len(framed) and (not batch or size + len(framed[at][1]) <= BATCH_BYTES):
                batch.append(framed[at])
                size += len(framed[at][1])
                at += 1
            replies += self._exchange_batch(batch)
        return replies

    def _exchange_batch(self, batch: List[Tuple[int, bytes]]) -> List[Reply]:
        self.send_together(batch)
        places = {request_id: place for place, (request_id, _) in enumerate(batch)}
        replies: List[Any] = [None] * len(batch)
        while places:
            for reply in self.receive_some():
                place = places.pop(reply.id, None)
                if place is None:
                    self.refuse(reply)
                replies[place] = reply
        return replies

    def framed(self, request: Request[Any]) -> Tuple[int, bytes]:
        """The id and the frame of a request for send_together. Errors: TooLarge."""
        session = self._session
        request_id = session.next_id()
        return request_id, session.frame(request_id, request.opcode, request.flags, request.payload)

    def send_together(self, framed: List[Tuple[int, bytes]]) -> None:
        """Sends requests in one go. Errors: NotSent, none of them; ConnectionLost; RequestTimeout."""
        try:
            self._send(self._session.seal(b"".join([frame for _, frame in framed])))
        except NotSent as e:
            if e.begun and len(framed) > 1:
                raise ConnectionLost(f"{e}; the request may or may not have been applied") from e
            raise

    def receive_some(self) -> List[Reply]:
        """Waits for bytes; the replies that are complete with them. Errors: ConnectionLost, RequestTimeout, ProtocolError."""
        self._limit_replies()
        return self._session.receive(self._receive())

    def refuse(self, reply: Reply) -> NoReturn:
        """Raises what a reply means that is not due."""
        self._fail_on([reply], 0)

    def limit_waiting(self, since: Optional[float] = None) -> None:
        """Lets each wait end request_timeout after since, by the real clock, or else after its own beginning."""
        timeout = self._settings.request_timeout
        if timeout is not None and since is not None:
            timeout = max(since + timeout - REAL[0](), 0.001)
        self.socket.settimeout(timeout)
        if self._plain and timeout is not None:
            os.set_blocking(self.socket.fileno(), True)  # as far as the system knows
            interval = struct.pack("@ll", int(timeout), int(timeout % 1 * 1_000_000) or int(timeout < 1))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)

    def _fail_on(self, replies: List[Reply], request_id: int) -> NoReturn:
        """Raises what a reply means that is not the one that is due: id 0 is the server's own, before it closes."""
        stray = next(reply for reply in replies if reply.id != request_id or reply is replies[-1])
        if stray.id == 0 and stray.status:
            raise ConnectionLost(f"the server ended the connection: {reply_error(stray)}")
        raise unexpected(stray)

    def _send(self, data: bytes) -> None:
        self._received = sent = 0
        try:
            if self._plain and len(data) <= SMALL_BYTES:
                sent = os.write(self.socket.fileno(), data)
            while sent < len(data):  # sendall of gevent's sockets costs a system call more
                sent += self.socket.send(memoryview(data)[sent:] if sent else data, self._flags)
        except (BlockingIOError, socket.timeout) as e:
            raise self._too_slow() from e
        except OSError as e:
            lost = NotSent(f"{self._settings.address}: {e}")
            lost.begun = sent > 0
            raise lost from e

    def _receive(self) -> bytes:
        try:
            if self._plain and get_ident() != self._signalled:
                data = os.read(self.socket.fileno(), RECEIVE_BYTES)
            else:
                data = self.socket.recv(RECEIVE_BYTES)
        except MemoryError:
            raise no_room() from None
        except (BlockingIOError, socket.timeout) as e:
            raise self._too_slow() from e
        except OSError as e:
            raise ConnectionLost(f"{self._settings.address}: {e}; the request may or may not have been applied") from e
        if not data:
            cut = " without saying so: it was cut" if self._session.encrypted and not self._session.ended else ""
            raise ConnectionLost(f"{self._settings.address}: the server ended the connection{cut}; the request may or may not have been applied")
        return data

    def _limit_replies(self) -> None:
        """Ends replies without end: each wait for a part of one has a limit of its own. Most replies come at once, and cost no clock."""
        self._received += 1
        if self._received == 2:
            self._second_at = REAL[0]()
        elif self._received > 2:
            timeout = self._settings.request_timeout
            if timeout is not None and REAL[0]() - self._second_at > timeout:
                raise self._too_slow()

    def _too_slow(self) -> RequestTimeout:
        return no_reply(self._settings)


def no_reply(settings: Settings) -> RequestTimeout:
    """The error of a request whose time has passed."""
    return RequestTimeout(f"{settings.address}: no reply within {settings.request_timeout} s; the request may or may not have been applied")


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
    except BaseException:
        for sock in made:
            sock.close()
        raise
    return made[0]


def _open(sock: Any, settings: Settings) -> Session:
    """Runs the handshake, within connect_timeout."""
    deadline = None if settings.connect_timeout is None else REAL[0]() + settings.connect_timeout
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
                sock.settimeout(max(deadline - REAL[0](), 0.001))
    except ProtocolError as e:
        raise located(e, settings.address) from e
    except DisconCyberDBError:
        raise
    except OSError as e:
        raise ServerUnreachable(f"{settings.address}: {e} while the connection was being opened") from e


def _readable(sock: Any) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
