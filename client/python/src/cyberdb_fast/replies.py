"""Replies: their errors, the pieces of those that are streamed, and what their bodies mean."""

from __future__ import annotations

import json
from typing import (
    IO,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Optional,
    Tuple,
    Type,
    TypeVar,
    cast,
)

from . import errors, frames
from .frames import Reply
from .spool import Spool, no_room
from .values import PLAIN, Decoder

T = TypeVar("T")

# A streamed reply is buffered in memory up to this size, and beyond that in a temporary file.
SPOOL_BYTES = 16 << 20


class Missing:
    """The type of MISSING and ABSENT."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISSING = Missing("MISSING")  # an argument that was not given
ABSENT = Missing("ABSENT")  # an entry that does not exist


def spool(max_bytes: int) -> IO[bytes]:
    """Returns a buffer for the parts of one reply."""
    return cast(IO[bytes], Spool(SPOOL_BYTES, max_bytes))


def join_parts(last: Reply, pieces: Optional[IO[bytes]]) -> Reply:
    """The complete reply: last, or all parts in pieces if there were several."""
    if pieces is None:
        return last
    with pieces:
        if last.status != frames.OK:
            return last
        pieces.seek(0)
        try:
            return last._replace(body=pieces.read())
        except MemoryError:
            raise no_room() from None


def _too_late(message: str) -> errors.DeadlineExceeded:
    return errors.DeadlineExceeded(f"{message}; nothing was done")


_ERRORS: Dict[int, Callable[[str], Exception]] = {
    frames.INDEX_ERROR: IndexError,
    frames.TYPE_ERROR: TypeError,
    frames.VALUE_ERROR: ValueError,
    frames.ATTRIBUTE_ERROR: AttributeError,
    frames.OVERFLOW_ERROR: OverflowError,
    frames.NO_SUCH_TABLE: errors.NoSuchTable,
    frames.TABLE_EXISTS: errors.TableExists,
    frames.WRONG_TABLE_KIND: errors.WrongTableKind,
    frames.VERSION_MISMATCH: errors.VersionMismatch,
    frames.BAD_FRAME: errors.ProtocolError,
    frames.UNKNOWN_OPCODE: errors.BadRequest,
    frames.BAD_ARGUMENTS: errors.BadRequest,
    frames.TOO_LARGE: errors.TooLarge,
    frames.UNSUPPORTED: errors.BadRequest,
    frames.OVERLOADED: errors.Overloaded,
    frames.SHUTTING_DOWN: errors.ServerUnreachable,
    frames.INTERNAL: errors.ServerError,
    frames.NOT_DURABLE: errors.NotDurable,
    frames.READ_ONLY: errors.ReadOnly,
    frames.DEADLINE_EXCEEDED: _too_late,
    frames.LOCK_LOST: errors.LockLost,
    frames.LEASE_EXPIRED: errors.LeaseExpired,
    frames.CANCELED: errors.Canceled,
}


_ABOUT_TABLES = (frames.NO_SUCH_TABLE, frames.TABLE_EXISTS, frames.WRONG_TABLE_KIND, frames.VERSION_MISMATCH)


def reply_error(reply: Reply, key: Any = MISSING) -> Exception:
    """The error for an error reply. key is the key of the request."""
    message, table, about, *_ = [*PLAIN.some(reply.body, ABSENT), None, None, None]
    if not isinstance(message, str):
        return errors.ProtocolError(f"an error reply with status {reply.status} but no message")
    if reply.status == frames.KEY_ERROR:
        if about is ABSENT:
            return KeyError(message)
        return KeyError(about if key is MISSING else key)
    if reply.status == frames.LOCK_LOST:
        lost = errors.LockLost(message)
        lost.fence = about if isinstance(about, int) else 0
        return lost
    if reply.status in _ABOUT_TABLES and isinstance(table, str) and table not in message:
        message = f"{message}: {table!r}"
    return _ERRORS.get(reply.status, errors.ServerError)(message)


# ---- bodies


read_one, read_all = Decoder.one, Decoder.all


def read_nothing(_decoder: Decoder, _body: bytes) -> None:
    """The body of a reply without content."""
    return


def _of(kind: Type[T]) -> Callable[[Decoder, bytes], T]:
    """Returns a decoder for one value of a type."""

    def read(decoder: Decoder, body: bytes) -> T:
        value = decoder.one(body)
        if type(value) is not kind:
            raise errors.ProtocolError(f"a reply of {type(value).__name__} where {kind.__name__} is due")
        return value

    return read


read_bool, read_str, read_int = _of(bool), _of(str), _of(int)


def read_length(decoder: Decoder, body: bytes) -> int:
    """A number of elements."""
    length = read_int(decoder, body)
    if not 0 <= length < 2**63:
        raise errors.ProtocolError(f"a length of {length}")
    return length


def read_seconds(decoder: Decoder, body: bytes) -> Optional[float]:
    """A time to live, in seconds; None if there is none."""
    left = decoder.one(body)
    if left is None:
        return None
    if type(left) is not int or left <= 0:
        raise errors.ProtocolError(f"a time to live of {left!r}")
    return left / 1000


def read_info(decoder: Decoder, body: bytes) -> Dict[str, Any]:
    """An INFO document."""
    info = json.JSONDecoder().decode(
        read_str(decoder, body)
    )  # PyPy's json.loads ends by SystemError where text that is not ASCII is no JSON
    if not isinstance(info, dict):
        raise errors.ProtocolError("an INFO that is no JSON object")
    return info


def groups(decoder: Decoder, body: bytes, size: int) -> List[Any]:
    """Decodes values that come in groups of size; returns them as one flat list."""
    flat = decoder.all(body)
    if len(flat) % size:
        raise errors.ProtocolError(f"a reply of {len(flat)} values, not a multiple of {size}")
    return flat


def read_dict(decoder: Decoder, body: bytes) -> Dict[Any, Any]:
    """Keys and values in turn, as a dict."""
    flat = groups(decoder, body, 2)
    return dict(zip(flat[::2], flat[1::2]))


def read_pairs(decoder: Decoder, body: bytes) -> List[Tuple[Any, Any]]:
    """Keys and values in turn, as pairs."""
    flat = groups(decoder, body, 2)
    return list(zip(flat[::2], flat[1::2]))


def read_pair(decoder: Decoder, body: bytes) -> Tuple[Any, Any]:
    """One pair."""
    key, value = decoder.all(body)
    return key, value


def read_streamed(decoder: Decoder, body: bytes) -> Iterator[Any]:
    """The values of a streamed reply that came in one piece."""
    return iter(decoder.all(body))
