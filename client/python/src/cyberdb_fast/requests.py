"""Requests: what they consist of, and those about the server and its tables.

Each function encodes a request, and says how its reply is decoded. Other modules send them. See
dict_requests.py, list_requests.py and lock_requests.py for the others.
"""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import (
    IO,
    Any,
    Callable,
    Dict,
    Generator,
    Generic,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    SupportsIndex,
    TypeVar,
)

from . import errors, expiry, frames, opcodes
from .frames import Reply
from .replies import MISSING, groups, read_bool, read_info, read_nothing, read_str, reply_error
from .values import DAMAGE, PLAIN, TRACKING, Decoder, damaged, encode, encode_all, encode_items, split

T = TypeVar("T")


class Request(Generic[T]):
    """One request, and the function that decodes its reply."""

    __slots__ = ("decoder", "flags", "key", "opcode", "payload", "read")

    def __init__(
        self, opcode: int, payload: bytes, read: Callable[[Decoder, bytes], T], key: Any = MISSING, flags: int = 0
    ) -> None:
        self.opcode, self.payload, self.read = opcode, payload, read
        self.decoder = PLAIN
        self.key = key  # the caller's object, for KeyError
        self.flags = flags

    def result(self, reply: Reply) -> T:
        """The result of the request. Errors: Python's own and those of errors.py."""
        if reply.status:  # not OK
            raise reply_error(reply, self.key)
        try:
            return self.read(self.decoder, reply.body)
        except DAMAGE as e:
            raise damaged(e) from e
        except errors.UnpackError as e:
            raise _located(e, self) from e.__cause__


# The requests that return the value of a key.
_OF_KEY = (opcodes.DICT_GET, opcodes.DICT_POP, opcodes.DICT_SETDEFAULT, opcodes.DICT_INCREMENT)


def _located(e: errors.UnpackError, request: Request[Any]) -> errors.UnpackError:
    """The error, with the table and the key in its text if the arguments of request begin so."""
    if request.flags & ~frames.WANT_VERSION:
        return e
    with suppress(errors.CyberDBError, ValueError):
        table, *arguments = map(PLAIN.one, split(request.payload)[:2])
        key = f", key {arguments[0]!r}" if request.opcode in _OF_KEY else ""
        return errors.UnpackError(f"table {table!r}{key}: {e}", e.parts)
    return e


def tracking(request: Request[T]) -> Request[T]:
    """Makes the result of request warn about lost changes; returns request."""
    request.decoder = TRACKING
    return request


def durable(request: Request[T]) -> Request[T]:
    """Makes request durable unless it changes no table; returns request."""
    if request.opcode not in opcodes.READS:
        request.flags |= frames.DURABLE
    return request


class WaitingRequest(Request[T]):
    """A request that waits in the server until it can be done, at most for its wait.

    wait      in milliseconds; None: for ever
    vain      whether a reply says that the wait ended in vain
    release   a request that gives back what this one got or will get, in any case
    undo      the request that gives back what a reply brings, if the caller is gone; or None
    repeatable  it may be sent again when its connection is lost: it does nothing twice
    trial     the wait with which it is tried first, in milliseconds
    sent      it may have been sent by its caller
    brought   the replies; who gives back what they have brought removes them first
    """

    __slots__ = ("_after", "_end", "brought", "release", "repeatable", "sent", "trial", "undo", "vain", "wait")

    def __init__(
        self,
        opcode: int,
        before: bytes,
        wait: Optional[int],
        read: Callable[[Decoder, bytes], T],
        after: bytes = b"",
        *,
        vain: Callable[[Reply], bool] = lambda reply: reply.status == frames.OK and reply.body == frames.NIL,
        release: Optional[Request[Any]] = None,
        undo: Callable[[Reply], Optional[Request[Any]]] = lambda _: None,
        repeatable: bool = True,
        trial: int = 0,
    ) -> None:
        """The arguments of the request are before, the wait and after."""
        end = encode(wait) + after
        super().__init__(opcode, before + end, read)
        self.wait, self._end, self._after = wait, len(end), after
        self.vain, self.release, self.undo, self.repeatable = vain, release, undo, repeatable
        self.sent, self.trial = False, trial
        self.brought: List[Reply] = []

    def asking(self, wait: Optional[int]) -> WaitingRequest[T]:
        """Changes the wait; returns self."""
        end = encode(wait) + self._after
        self.payload = self.payload[: -self._end] + end
        self.wait, self._end = wait, len(end)
        return self


class StreamRequest(Request[Iterator[T]]):
    """A request whose reply is streamed."""

    __slots__ = ()


def spooled(request: StreamRequest[T], pieces: IO[bytes], last: Reply) -> Generator[T, None, None]:
    """The result of a streamed request. pieces has the reply; last is its last part."""
    if last.status != frames.OK:
        pieces.close()
        raise reply_error(last, request.key)
    pieces.seek(0)
    return _closing(request.decoder, pieces)


def _closing(decoder: Decoder, pieces: IO[bytes]) -> Generator[Any, None, None]:
    with pieces:
        yield from decoder.each(pieces)


# ---- encoding of arguments


def table_name(name: object) -> bytes:
    """Encodes a table's name. WrongInputCyberDBError if it is not a str."""
    if not isinstance(name, str):
        raise errors.WrongInputCyberDBError(f"a table's name is a str, not {type(name).__name__}")
    return encode(str(name))


def many(values: Iterable[Any]) -> bytes:
    """Encodes values one after another."""
    return encode_all(list(values))


def index_of(index: SupportsIndex) -> bytes:
    return encode(operator.index(index))


def bounds(s: slice) -> bytes:
    """Encodes the start, stop and step of a slice."""
    return many(None if part is None else slice_index(part) for part in (s.start, s.stop, s.step))


def slice_index(part: Any) -> int:
    try:
        return operator.index(part)
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None


def with_ttl(request: Request[T], ttl: int) -> Request[T]:
    """Gives request a time to live: milliseconds, KEEP_TTL or NO_DEADLINE. Returns request.

    The field of IF VERSION, if there is one, is put before it afterwards.
    """
    request.payload = expiry.field(ttl) + request.payload
    request.flags |= frames.TIME_TO_LIVE
    return request


def with_extension(request: Request[T], tag: int, field: bytes) -> Request[T]:
    """Gives request an extension, behind its version and its time to live. Returns request."""
    at = 8 * bool(request.flags & frames.IF_VERSION) + 8 * bool(request.flags & frames.TIME_TO_LIVE)
    size = varuint(len(field))
    extensions = varuint(tag) + size + field
    if request.flags & frames.EXTENSIONS:
        had = int.from_bytes(request.payload[at : at + 2], "little")
        extensions = request.payload[at + 2 : at + 2 + had] + extensions
        request.payload = request.payload[:at] + request.payload[at + 2 + had :]
    request.flags |= frames.EXTENSIONS
    request.payload = request.payload[:at] + len(extensions).to_bytes(2, "little") + extensions + request.payload[at:]
    return request


def varuint(number: int) -> bytes:
    """Encodes a number: seven bits in each byte, the low ones first; the last byte is below 128."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


# ---- server and tables


def ping() -> Request[None]:
    return Request(opcodes.PING, b"", read_nothing)


def info(section: Optional[str] = None, parameters: Optional[Dict[str, Any]] = None) -> Request[Dict[str, Any]]:
    if section is None and parameters:
        raise TypeError(f"info() takes {', '.join(parameters)} only with a section before: info(section, ...)")
    args = b"" if section is None else encode(section)
    return Request(opcodes.INFO, args + encode(parameters) if parameters else args, read_info)


def digest() -> Request[Dict[str, Any]]:
    return info("digest")


def save() -> Request[bool]:
    return Request(opcodes.SAVE, b"", read_bool)


def create_dict(t: bytes, content: Dict[Any, Any], exist_ok: bool, **options: Any) -> Request[bool]:
    """Creates a dict. An option that is None is not sent."""
    given = {name: value for name, value in options.items() if value is not None}
    how: Any = expiry.on_wire(given) or exist_ok
    if given and exist_ok:
        how["exist_ok"] = True
    return Request(opcodes.CREATE_DICT, t + encode(how) + encode_items(content), read_bool)


def configure(t: bytes, **options: Any) -> Request[None]:
    """Changes the options of a table, except those that are MISSING."""
    given = {name: value for name, value in options.items() if value is not MISSING}
    return Request(opcodes.CONFIGURE, t + encode(expiry.on_wire(given)), read_nothing)


class _OptionsOf(Request[T]):
    """OPTIONS of a table that is to be of one kind."""

    __slots__ = ()
    of_list = False

    def result(self, reply: Reply) -> T:
        found = PLAIN.one(reply.body) if reply.status == frames.OK else None
        if isinstance(found, dict) and found.keys() >= ({"ttl", "idle"} if self.of_list else {"dead_letter"}):
            other = "list_options() returns those of lists, options() those of dicts"
            raise errors.WrongTableKind(f"table {self.key!r} is a {'dict' if self.of_list else 'list'}: {other}")
        return super().result(reply)


class _OptionsOfList(_OptionsOf[expiry.ListOptions]):
    __slots__ = ()
    of_list = True


def options(t: bytes) -> Request[expiry.DictOptions]:
    return _OptionsOf(opcodes.OPTIONS, t, lambda decoder, body: expiry.options_of(decoder.one(body)), PLAIN.one(t))


def create_list(t: bytes, content: Iterable[Any], exist_ok: bool, **options: Any) -> Request[bool]:
    """Creates a list. An option that is None is not sent."""
    given = {name: value for name, value in options.items() if value is not None}
    how: Any = given or exist_ok
    if given and exist_ok:
        how["exist_ok"] = True
    return Request(opcodes.CREATE_LIST, t + encode(how) + many(content), read_bool)


def list_options(t: bytes) -> Request[expiry.ListOptions]:
    return _OptionsOfList(
        opcodes.OPTIONS, t, lambda decoder, body: expiry.list_options_of(decoder.one(body)), PLAIN.one(t)
    )


def exists(t: bytes) -> Request[bool]:
    return Request(opcodes.EXISTS, t, read_bool)


def kind(t: bytes) -> Request[str]:
    return Request(opcodes.KIND, t, read_str)


class Table(NamedTuple):
    """One table in the list of tables."""

    name: str
    kind: str  # dict or list
    length: int


def tables() -> Request[List[Table]]:
    def read(decoder: Decoder, body: bytes) -> List[Table]:
        flat = groups(decoder, body, 3)
        return [Table(*flat[at : at + 3]) for at in range(0, len(flat), 3)]

    return Request(opcodes.TABLES, b"", read)


def drop(t: bytes) -> Request[None]:
    return Request(opcodes.DROP, t, read_nothing)


def rename(t: bytes, new: bytes) -> Request[None]:
    return Request(opcodes.RENAME, t + new, read_nothing)
