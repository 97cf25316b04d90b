"""One connection on which both sides have proved the password: requests become bytes, bytes become replies. No sockets."""

from __future__ import annotations

from typing import Dict, List, Optional

from . import frames, opcodes
from .errors import ProtocolError, TooLarge
from .frames import BEHIND_LENGTH_BYTES, Reply, pack_header
from .records import Opener, Sealer
from .settings import DEFAULT_MAX_REPLY_BYTES
from .spool import no_room, too_large


class Session:
    """The state of one connection. Used by one thread at a time."""

    def __init__(self, sealer: Optional[Sealer], opener: Optional[Opener], max_frame_bytes: int, first: bytes = b"") -> None:
        self._sealer, self._opener = sealer, opener
        self._max_frame_bytes = max_frame_bytes
        self._max_payload = max_frame_bytes - frames.HEADER_BYTES
        if opener:
            opener.hold(first)  # what came behind the server's proof
        self.reader = frames.FrameReader(b"" if opener else first)
        self.plain = opener is None  # what comes are frames as they are
        self.last_id = 0
        self.max_reply_bytes = DEFAULT_MAX_REPLY_BYTES
        self._held = 0  # bytes of replies that are not complete
        self._parts: Dict[int, List[bytes]] = {}  # of replies that are not complete
        self._versions: Dict[int, int] = {}

    def next_id(self) -> int:
        """An id that no outstanding request has."""
        self.last_id = next_id = self.last_id % 0xFFFFFFFF + 1
        return next_id

    def next_request(self, opcode: int, flags: int, payload: bytes) -> bytes:
        """One request as it goes over the wire; last_id is its id then. TooLarge if the server would not take it."""
        if len(payload) > self._max_payload:
            raise self._too_large(opcode, payload)
        self.last_id = request_id = self.last_id % 0xFFFFFFFF + 1
        # as frames.request, without the call
        data = pack_header(BEHIND_LENGTH_BYTES + len(payload), request_id, opcode, flags) + payload
        return self._sealer.seal(data) if self._sealer else data

    def frame(self, request_id: int, opcode: int, flags: int, payload: bytes) -> bytes:
        """One request, not yet sealed. TooLarge if the server would not take it."""
        if len(payload) > self._max_payload:
            raise self._too_large(opcode, payload)
        return frames.request(request_id, opcode, flags, payload)

    def _too_large(self, opcode: int, payload: bytes) -> TooLarge:
        return TooLarge(f"{opcodes.OPCODE_NAMES[opcode]}: a request of {len(payload)} bytes, the server takes {self._max_frame_bytes}")

    def seal(self, data: bytes) -> bytes:
        """Whole frames as they go over the wire."""
        return self._sealer.seal(data) if self._sealer else data

    def end(self) -> bytes:
        """What tells the server that nothing follows."""
        return self._sealer.end() if self._sealer else b""

    @property
    def encrypted(self) -> bool:
        """The frames travel in records."""
        return self._sealer is not None

    @property
    def ended(self) -> bool:
        """The server has ended an encrypted connection in order."""
        return self._opener is not None and self._opener.ended

    def receive_parts(self, data: bytes) -> List[Reply]:
        """The replies and parts of replies that are complete with data. Errors: as receive."""
        try:
            if self._opener:
                data = self._opener.open(data)
            return self.reader.receive(data)
        except MemoryError:
            raise no_room() from None

    def receive(self, data: bytes) -> List[Reply]:
        """The whole replies that are complete with data. Errors: ProtocolError for what no server sends; ReplyTooLarge."""
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
        """The reply that is whole with part."""
        if not part.more and part.id not in self._parts:
            return part
        bodies = self._parts.setdefault(part.id, [])
        bodies.append(part.body)
        self._held += len(part.body)
        if self._held > self.max_reply_bytes:
            raise too_large(self.max_reply_bytes)
        version = self._versions.setdefault(part.id, part.version)
        if part.more:
            return None
        del self._parts[part.id], self._versions[part.id]
        self._held -= sum(map(len, bodies))
        # What came before an error is void.
        body = b"".join(bodies) if part.status == frames.OK else part.body
        return Reply(part.id, part.status, version, body, False)


def unexpected(reply: Reply) -> ProtocolError:
    """The error for a reply that no request is waiting for."""
    return ProtocolError(f"a reply to request {reply.id}, which is not outstanding")
