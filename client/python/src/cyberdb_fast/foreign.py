"""What other servers answer to Hello, so that an error can name them. Bytes in, words out; the list is that of codec/foreign."""

from __future__ import annotations

from typing import Tuple

from .errors import ProtocolError

MAX_QUOTED_BYTES = 32
UNANSWERED = "the connection ended while it was being opened: is it a cyberdb-fast server, with no TLS in front of it?"

BEGINNINGS = (
    (b"HTTP/", "HTTP"),
    (b"<!DOCTYPE", "HTTP"),  # an answer of HTTP/0.9, as the others with <
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
    """The server speaks another protocol. The text goes on from "the server"."""


def describe(answer: bytes) -> Tuple[str, bool]:
    """What a server speaks that is none of ours and has answered so: "speaks HTTP, not cyberdb-fast"; False: more bytes could tell more."""
    for beginning, name in BEGINNINGS:
        if answer.startswith(beginning):
            return f"speaks {name}, not cyberdb-fast", True
    more = any(beginning.startswith(answer) for beginning, _ in BEGINNINGS) and len(answer) < MAX_QUOTED_BYTES
    quoted = repr(answer[:MAX_QUOTED_BYTES])[2:-1]
    return f'does not speak cyberdb-fast\'s protocol: its answer begins with "{quoted}"', not more


def located(error: ProtocolError, address: str) -> ProtocolError:
    """The error of an opening with the address of the server in it."""
    if isinstance(error, OtherServer):
        return ProtocolError(f"the server at {address} {error}")
    return ProtocolError(f"{address}: {error}")
