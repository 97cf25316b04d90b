"""One authenticated connection without its socket: requests become bytes, bytes become replies."""

from __future__ import annotations

from typing import Dict, List, Optional

from . import frames, opcodes
from .errors import ProtocolError, TooLarge
from .frames import (
    BEHIND_LENGTH_BYTES,
    DEADLINE,
    IF_VERSION,
    WITH_DEADLINE_BYTES,
    Reply,
    pack_header,
    pack_header_and_deadline,
    request_frame,
)
from .records import Opener, Sealer
from .settings import DEFAULT_MAX_REPLY_BYTES
from .spool import no_room, too_large


class Session:
    """The state of one connection. Used by one thread at a time."""

    def __init__(
        self, sealer: Optional[Sealer], opener: Optional[Opener], max_frame_bytes: int, first: bytes = b""
    ) -> None:
        self._sealer, self._opener = sealer, opener
        self._max_frame_bytes = max_frame_bytes
        self._max_payload = max_frame_bytes - WITH_DEADLINE_BYTES
        if opener:
            opener.hold(first)  # input that followed the handshake
        self.reader = frames.FrameReader(b"" if opener else first)
        self.plain = opener is None  # frames are not encrypted
        self.last_id = 0
        self.max_reply_bytes = DEFAULT_MAX_REPLY_BYTES
        self.milliseconds = 0  # deadline of each request after its arrival in the server; 0: none
        self._part_bytes = 0  # size of _parts
        self._parts: Dict[int, List[bytes]] = {}  # of replies that are not complete, by request id
        self._versions: Dict[int, int] = {}

    def next_request(self, opcode: int, flags: int, payload: bytes) -> bytes:
        """Returns one request as wire bytes, and sets last_id.

        TooLarge if the server would not accept it.
        """
        if len(payload) > self._max_payload:
            raise self._too_large(opcode, payload)
        self.last_id = request_id = self.last_id % 0xFFFFFFFF + 1
        milliseconds = self.milliseconds
        # request_frame, inlined for speed
        if not milliseconds:
            data = pack_header(BEHIND_LENGTH_BYTES + len(payload), request_id, opcode, flags) + payload
        elif flags & IF_VERSION:
            data = request_frame(request_id, opcode, flags, payload, milliseconds)
        else:
            size = WITH_DEADLINE_BYTES + len(payload)
            data = pack_header_and_deadline(size, request_id, opcode, flags | DEADLINE, milliseconds) + payload
        return self._sealer.seal(data) if self._sealer else data

    def next_frame(self, opcode: int, flags: int, payload: bytes, milliseconds: int) -> bytes:
        """Returns the frame of one request, not encrypted, and sets last_id.

        milliseconds is its deadline, 0 for none. TooLarge if the server would not accept it.
        """
        if len(payload) > self._max_payload:
            raise self._too_large(opcode, payload)
        self.last_id = request_id = self.last_id % 0xFFFFFFFF + 1
        return request_frame(request_id, opcode, flags, payload, milliseconds)

    def _too_large(self, opcode: int, payload: bytes) -> TooLarge:
        return TooLarge(
            f"{opcodes.OPCODE_NAMES[opcode]}: the request has {len(payload)} bytes, "
            f"the server accepts {self._max_frame_bytes}"
        )

    def seal(self, data: bytes) -> bytes:
        """Returns complete frames as wire bytes."""
        return self._sealer.seal(data) if self._sealer else data

    def end(self) -> bytes:
        """Returns the end record; nothing if the connection is not encrypted."""
        return self._sealer.end() if self._sealer else b""

    @property
    def encrypted(self) -> bool:
        """Whether frames are encrypted, in records."""
        return self._sealer is not None

    @property
    def ended(self) -> bool:
        """Whether the server has sent its end record."""
        return self._opener is not None and self._opener.ended

    def receive_parts(self, data: bytes) -> List[Reply]:
        """Returns the replies and parts of replies that data completes.

        Errors: those of receive.
        """
        try:
            if self._opener:
                data = self._opener.open(data)
            return self.reader.receive(data)
        except MemoryError:
            raise no_room() from None

    def receive(self, data: bytes) -> List[Reply]:
        """Returns the replies that data completes. Errors: ProtocolError; ReplyTooLarge."""
        try:
            if self._opener:
                data = self._opener.open(data)
            parts = self.reader.receive(data)
            if len(parts) == 1 and not parts[0].more and not self._parts:
                return parts
            return [whole for part in parts if (whole := self._join(part)) is not None]
        except MemoryError:
            self._parts.clear()
            raise no_room() from None

    def _join(self, part: Reply) -> Optional[Reply]:
        """Adds a part; returns the reply if it is complete."""
        if not part.more and part.id not in self._parts:
            return part
        bodies = self._parts.setdefault(part.id, [])
        bodies.append(part.body)
        self._part_bytes += len(part.body)
        if self._part_bytes > self.max_reply_bytes:
            raise too_large(self.max_reply_bytes)
        version = self._versions.setdefault(part.id, part.version)
        if part.more:
            return None
        del self._parts[part.id], self._versions[part.id]
        self._part_bytes -= sum(map(len, bodies))
        # An error voids the parts before it.
        body = b"".join(bodies) if part.status == frames.OK else part.body
        return Reply(part.id, part.status, version, body, False)


def unexpected(reply: Reply) -> ProtocolError:
    """The error for a reply to a request that is not outstanding."""
    return ProtocolError(f"a reply to request {reply.id}, which is not outstanding")
