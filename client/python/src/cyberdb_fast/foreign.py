"""Recognizes servers of other protocols by their answer to Hello, to name them in errors.

The list is the one in codec/foreign.
"""

from __future__ import annotations

from typing import Tuple

from .errors import ProtocolError

MAX_QUOTED_BYTES = 32
UNANSWERED = (
    "the server closed the connection without an answer: is it a cyberdb-fast server, with no TLS in front of it?"
)

BEGINNINGS = (
    (b"HTTP/", "HTTP"),
    (b"<!DOCTYPE", "HTTP"),  # HTTP/0.9 has no status line; so for all that begin with <
    (b"<!doctype", "HTTP"),
    (b"<html", "HTTP"),
    (b"<HTML", "HTTP"),
    (b"-ERR", "RESP (Redis)"),
    (b"-DENIED", "RESP (Redis)"),
    (b"-NOAUTH", "RESP (Redis)"),
    (b"-LOADING", "RESP (Redis)"),
    (b"\x15\x03", "TLS"),
    (b"SSH-", "SSH"),
    (b"ERROR\r\n", "memcached's protocol"),
    (b"CLIENT_ERROR", "memcached's protocol"),
)


class OtherServer(ProtocolError):
    """The server speaks another protocol. Its text continues "the server"."""


def describe(answer: bytes) -> Tuple[str, bool]:
    """Names the protocol of a server by its answer, such as "speaks HTTP, not cyberdb-fast".

    The second result is False if more bytes of the answer could change the first.
    """
    for beginning, name in BEGINNINGS:
        if answer.startswith(beginning):
            return f"speaks {name}, not cyberdb-fast", True
    undecided = any(beginning.startswith(answer) for beginning, _ in BEGINNINGS) and len(answer) < MAX_QUOTED_BYTES
    quoted = repr(answer[:MAX_QUOTED_BYTES])[2:-1]
    return f'does not speak cyberdb-fast\'s protocol: its answer begins with "{quoted}"', not undecided


def located(error: ProtocolError, address: str) -> ProtocolError:
    """The handshake error with the address of the server in its text."""
    if isinstance(error, OtherServer):
        return ProtocolError(f"the server at {address} {error}")
    return ProtocolError(f"{address}: {error}")
