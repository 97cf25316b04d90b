"""The frames of codec/PROTOCOL.md: status codes, requests out, replies in. No sockets.

The opcodes are in opcodes.py.
"""

from __future__ import annotations

import math
import struct
from functools import partial
from typing import Callable, List, NamedTuple, Optional, Tuple

from .errors import ProtocolError

# Flags of requests and of replies.
IF_VERSION, WANT_VERSION, DEADLINE, DURABLE, TIME_TO_LIVE, EXTENSIONS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
MORE, VERSION = 0x01, 0x02

# Status codes. On the wire: do not change.
OK, KEY_ERROR, INDEX_ERROR, TYPE_ERROR, VALUE_ERROR, ATTRIBUTE_ERROR, OVERFLOW_ERROR = range(7)
NO_SUCH_TABLE, TABLE_EXISTS, WRONG_TABLE_KIND, VERSION_MISMATCH, LOCK_LOST, LEASE_EXPIRED = range(16, 22)
BAD_FRAME, UNKNOWN_OPCODE, BAD_ARGUMENTS, TOO_LARGE, UNSUPPORTED, OVERLOADED, SHUTTING_DOWN, INTERNAL = range(32, 40)
NOT_DURABLE, READ_ONLY, DEADLINE_EXCEEDED, CANCELED = 40, 41, 42, 43

# Tags of the extensions of requests. On the wire: do not change.
IF_FENCE, IF_COMPUTE_FENCE = 2, 4

ABSENT = b"\xc1"  # in the place of a value that does not exist
NIL = b"\xc0"  # None

MAX_FRAME_BYTES = 64 << 20
MAX_REPLY_BODY_BYTES = 1 << 20
MAX_REPLY_FRAME_BYTES = MAX_REPLY_BODY_BYTES + 64
_HEADER = struct.Struct("<IIBB")
pack_header, unpack_header = _HEADER.pack, _HEADER.unpack_from
HEADER_BYTES = _HEADER.size
LENGTH_BYTES = 4
BEHIND_LENGTH_BYTES = HEADER_BYTES - LENGTH_BYTES
_VERSION_BYTES = 8

_DEADLINE = struct.Struct("<I")
pack_header_and_deadline = struct.Struct("<IIBBI").pack
WITH_DEADLINE_BYTES = BEHIND_LENGTH_BYTES + _DEADLINE.size
MAX_MILLISECONDS = 0xFFFFFFFF


class Reply(NamedTuple):
    """A complete reply, or a part of one if more is set: the next parts have the same id."""

    id: int
    status: int
    version: int  # of the entry, if requested; else 0
    body: bytes
    more: bool


# It takes half the time of Reply().
new_reply: Callable[[Tuple[int, int, int, bytes, bool]], Reply] = partial(tuple.__new__, Reply)


def request_frame(request_id: int, opcode: int, flags: int, payload: bytes, milliseconds: int) -> bytes:
    """Encodes one request frame.

    payload is the optional fields except the deadline, and the arguments. milliseconds is the
    deadline, 0 for none.
    """
    if not milliseconds:
        return pack_header(BEHIND_LENGTH_BYTES + len(payload), request_id, opcode, flags) + payload
    flags |= DEADLINE
    size = WITH_DEADLINE_BYTES + len(payload)
    if not flags & IF_VERSION:
        return pack_header_and_deadline(size, request_id, opcode, flags, milliseconds) + payload
    version, arguments = payload[:_VERSION_BYTES], payload[_VERSION_BYTES:]
    return pack_header(size, request_id, opcode, flags) + version + _DEADLINE.pack(milliseconds) + arguments


def milliseconds_of(limit: Optional[float]) -> int:
    """The deadline of a request that its client waits for at most limit seconds.

    It is rounded up, at least 1. 0: there is no limit.
    """
    return 0 if limit is None else max(1, math.ceil(min(limit * 1000, MAX_MILLISECONDS)))


def only_reply(data: bytes) -> Optional[Reply]:
    """Decodes data if it is one reply frame without flags, the most frequent case; else None."""
    size = len(data)
    if size >= HEADER_BYTES:
        length, request_id, status, flags = unpack_header(data)
        if not flags and length == size - LENGTH_BYTES and length <= MAX_REPLY_FRAME_BYTES:
            return new_reply((request_id, status, 0, data[HEADER_BYTES:], False))
    return None


class FrameReader:
    """Cuts received data into reply frames."""

    def __init__(self, first: bytes = b"") -> None:
        """First is data that has been received already."""
        self.parts: List[bytes] = [first] if first else []  # of a frame that is not complete
        self._have = len(first)  # bytes in parts
        self._need = HEADER_BYTES  # minimum size of parts for a complete frame

    def receive(self, data: bytes) -> List[Reply]:
        """Returns the replies and parts of replies that data completes. Errors: ProtocolError."""
        if self.parts:
            self.parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self.parts)
            self.parts = []
        elif (reply := only_reply(data)) is not None:
            return [reply]
        replies: List[Reply] = []
        at, end = 0, len(data)
        self._need = HEADER_BYTES
        while end - at >= HEADER_BYTES:
            length, request_id, status, flags = unpack_header(data, at)
            stop = at + LENGTH_BYTES + length
            if not HEADER_BYTES - LENGTH_BYTES <= length <= MAX_REPLY_FRAME_BYTES or flags & ~(MORE | VERSION):
                raise ProtocolError(f"a reply frame of {length} bytes with flags {flags:#x}")
            if stop > end:
                self._need = stop - at
                break
            at += HEADER_BYTES
            version = 0
            if flags & VERSION:
                version = int.from_bytes(data[at : at + _VERSION_BYTES], "little")
                at += _VERSION_BYTES
                if at > stop:
                    raise ProtocolError("a reply frame ends inside its version")
            replies.append(new_reply((request_id, status, version, data[at:stop], bool(flags & MORE))))
            at = stop
        if at < end:
            self.parts = [data[at:] if at else data]
            self._have = end - at
        return replies
