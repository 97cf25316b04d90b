"""Other servers: the error has the protocol's name or the answer.

Also unexpected handshake messages.
"""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

import pytest

import cyberdb_fast
from cyberdb_fast import CyberDBError, ServerUnreachable, aio, foreign
from cyberdb_fast.errors import ConnectionRefused, ProtocolError
from cyberdb_fast.handshake import (
    CLIENT_FIN,
    CLIENT_SHARE,
    GREETING,
    HELLO,
    REFUSAL,
    SERVER_FIN,
    SERVER_SHARE,
    Opening,
    message,
)

ANSWERS = {
    b"HTTP/1.1 400 Bad Request\r\n\r\n": "the server at ADDR speaks HTTP, not cyberdb-fast",
    b"<!DOCTYPE HTML>\n<html>": "the server at ADDR speaks HTTP, not cyberdb-fast",
    b"-ERR unknown command\r\n": "the server at ADDR speaks RESP (Redis), not cyberdb-fast",
    b"\x15\x03\x01\x00\x02\x02\x46": "the server at ADDR speaks TLS, not cyberdb-fast",
    b"SSH-2.0-OpenSSH_9.2\r\n": "the server at ADDR speaks SSH, not cyberdb-fast",
    b"HTT": 'the server at ADDR does not speak cyberdb-fast\'s protocol: its answer begins with "HTT"',
    b"\x1b[2Jmail\r\n": "the server at ADDR does not speak cyberdb-fast's protocol: its answer begins with \"\\x1b",
    b"x" * 9000: "the server at ADDR does not speak cyberdb-fast's protocol: its answer begins with \"x",
    b"": "with no TLS in front of it?",
}


@contextmanager
def answering(answer: bytes, piece: int) -> Iterator[str]:
    """Starts a server that sends answer in pieces and closes; returns its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    conn, _ = listener.accept()
                except OSError:
                    return
                with conn:
                    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    try:
                        conn.recv(100)
                        for at in range(0, len(answer), piece):
                            conn.sendall(answer[at : at + piece])
                    except OSError:
                        pass  # the client has closed the connection already

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def meet(address: str, asynchronous: bool) -> str:
    """Returns the error of a client that connects to address."""

    async def connect() -> None:
        await aio.connect(f"cyberdb://{address}", password="x")

    with pytest.raises(CyberDBError) as raised:
        if asynchronous:
            asyncio.run(connect())
        else:
            cyberdb_fast.connect(f"cyberdb://{address}", password="x")
    assert isinstance(raised.value, (ProtocolError, ServerUnreachable))
    return str(raised.value)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sockets", "asyncio"])
@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: repr(answer[:8]))
def test_other_servers_are_named(answer: bytes, piece: int, asynchronous: bool) -> None:
    with answering(answer, piece) as address:
        assert ANSWERS[answer].replace("ADDR", address) in meet(address, asynchronous)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sockets", "asyncio"])
def test_a_real_server_of_http(asynchronous: bool) -> None:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        assert f"the server at {address} speaks HTTP, not cyberdb-fast" in meet(address, asynchronous)
        server.shutdown()


def test_what_is_sure_stays() -> None:
    for answer in ANSWERS:
        known = ""
        for n in range(1, len(answer) + 1):
            what, sure = foreign.describe(answer[:n])
            assert not known or (sure and what.startswith(known)), (answer, n)
            if sure and what.startswith("speaks"):
                known = what
        assert not answer or sure or answer == b"HTT"


def greeted() -> Opening:
    """An opening that has received the greeting and waits for use_key."""
    opening = Opening(False)
    opening.hello()
    assert opening.receive(message(GREETING, bytes([1, 0, 15]) + bytes(48) + bytes([1, 2]))) == b""
    assert opening.kdf is not None
    return opening


def shared() -> Opening:
    """An opening that has sent its share."""
    opening = greeted()
    opening.use_key(bytes(32))
    return opening


@pytest.mark.parametrize(
    ("begin", "due"),
    [(lambda: Opening(False), GREETING), (greeted, None), (shared, SERVER_SHARE)],
    ids=["Hello", "key", "share"],
)
def test_messages_out_of_place(begin: Callable[[], Opening], due: Optional[int]) -> None:
    """Each message at each wrong point of the handshake, including messages of a client."""
    for kind in (0, HELLO, GREETING, CLIENT_SHARE, SERVER_SHARE, CLIENT_FIN, SERVER_FIN, 7, 255):
        if kind == due:
            continue
        opening = begin()
        with pytest.raises(ProtocolError):
            opening.receive(message(kind, bytes(100)))
            opening.end()
        assert opening.session is None


@pytest.mark.parametrize("begin", [lambda: Opening(False), greeted, shared], ids=["Hello", "key", "share"])
def test_a_refusal_is_one_line(begin: Callable[[], Opening]) -> None:
    with pytest.raises(ConnectionRefused, match="^gone\ufffdlevel=ERROR \ufffd\\[2J$"):
        begin().receive(message(REFUSAL, b"\x06gone\nlevel=ERROR \x1b[2J"))


def test_bytes_after_a_greeting() -> None:
    opening = Opening(False)
    opening.hello()
    with pytest.raises(ConnectionRefused, match="too slow"):
        opening.receive(
            message(GREETING, bytes([1, 0, 15]) + bytes(48) + bytes([1, 2])) + message(REFUSAL, b"\x06too slow")
        )
