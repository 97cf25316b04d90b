"""Every request: how it is encoded, and how its reply is decoded. Other modules send them."""

from __future__ import annotations

import json
import operator
import os
from itertools import chain
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
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
)

from . import errors, expiry, frames, opcodes
from .expiry import Duration, delay_milliseconds, milliseconds, wait_milliseconds
from .frames import Reply
from .sortkey import sort_key
from .spool import Spool, no_room
from .values import DAMAGE, PLAIN, TRACKING, Decoder, damaged, encode

T = TypeVar("T")

# A streamed reply is buffered in memory up to this size, and beyond that in a temporary file.
SPOOL_BYTES = 16 << 20

# The time, in seconds, for which an item that was taken from a queue is leased.
DEFAULT_LEASE = 60


class Missing:
    """The type of MISSING and ABSENT."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISSING = Missing("MISSING")  # an argument that was not given
ABSENT = Missing("ABSENT")  # an entry that does not exist


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
    sent      it may have been sent by its caller
    brought   the replies; who gives back what they have brought removes them first
    """

    __slots__ = ("_after", "_end", "brought", "release", "repeatable", "sent", "undo", "vain", "wait")

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
    ) -> None:
        """The arguments of the request are before, the wait and after."""
        end = encode(wait) + after
        super().__init__(opcode, before + end, read)
        self.wait, self._end, self._after = wait, len(end), after
        self.vain, self.release, self.undo, self.repeatable = vain, release, undo, repeatable
        self.sent = False
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


def spool(max_bytes: int) -> IO[bytes]:
    """Returns a buffer for the parts of one reply."""
    return cast(IO[bytes], Spool(SPOOL_BYTES, max_bytes))


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


# ---- decoding of replies


_one, _all = Decoder.one, Decoder.all


def _nothing(_decoder: Decoder, _body: bytes) -> None:
    return None


def _of(kind: Type[T]) -> Callable[[Decoder, bytes], T]:
    """Returns a decoder for one value of a type."""

    def read(decoder: Decoder, body: bytes) -> T:
        value = decoder.one(body)
        if type(value) is not kind:
            raise errors.ProtocolError(f"a reply of {type(value).__name__} where {kind.__name__} is due")
        return value

    return read


_bool, _str, _int = _of(bool), _of(str), _of(int)
read_bool, read_int = _bool, _int


def _length(decoder: Decoder, body: bytes) -> int:
    length = _int(decoder, body)
    if not 0 <= length < 2**63:
        raise errors.ProtocolError(f"a length of {length}")
    return length


def _seconds(decoder: Decoder, body: bytes) -> Optional[float]:
    left = decoder.one(body)
    if left is None:
        return None
    if type(left) is not int or left <= 0:
        raise errors.ProtocolError(f"a time to live of {left!r}")
    return left / 1000


def _info(decoder: Decoder, body: bytes) -> Dict[str, Any]:
    info = json.JSONDecoder().decode(
        _str(decoder, body)
    )  # PyPy's json.loads ends by SystemError where text that is not ASCII is no JSON
    if not isinstance(info, dict):
        raise errors.ProtocolError("an INFO that is no JSON object")
    return info


def _groups(decoder: Decoder, body: bytes, size: int) -> List[Any]:
    """Decodes values that come in groups of size; returns them as one flat list."""
    flat = decoder.all(body)
    if len(flat) % size:
        raise errors.ProtocolError(f"a reply of {len(flat)} values, not a multiple of {size}")
    return flat


def _dict(decoder: Decoder, body: bytes) -> Dict[Any, Any]:
    flat = _groups(decoder, body, 2)
    return dict(zip(flat[::2], flat[1::2]))


def _pairs(decoder: Decoder, body: bytes) -> List[Tuple[Any, Any]]:
    flat = _groups(decoder, body, 2)
    return list(zip(flat[::2], flat[1::2]))


def _pair(decoder: Decoder, body: bytes) -> Tuple[Any, Any]:
    key, value = decoder.all(body)
    return key, value


def _streamed(decoder: Decoder, body: bytes) -> Iterator[Any]:
    return iter(decoder.all(body))


class Versioned(NamedTuple):
    """A value and the version of its entry."""

    value: Any
    version: int


class _WithVersion(Request[Versioned]):
    __slots__ = ()

    def result(self, reply: Reply) -> Versioned:
        return Versioned(super().result(reply), reply.version)


# ---- encoding of arguments


def table_name(name: object) -> bytes:
    """Encodes a table's name. WrongInputCyberDBError if it is not a str."""
    if not isinstance(name, str):
        raise errors.WrongInputCyberDBError(f"a table's name is a str, not {type(name).__name__}")
    return encode(str(name))


def many(values: Iterable[Any]) -> bytes:
    """Encodes values one after another."""
    return b"".join(map(encode, values))


def flat(items: Dict[Any, Any]) -> bytes:
    """Encodes keys and values in turn."""
    return many(chain.from_iterable(items.items()))


def _index(index: SupportsIndex) -> bytes:
    return encode(operator.index(index))


def bounds(s: slice) -> bytes:
    """Encodes the start, stop and step of a slice."""
    return many(None if part is None else _slice_index(part) for part in (s.start, s.stop, s.step))


def _slice_index(part: Any) -> int:
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
    return Request(opcodes.PING, b"", _nothing)


def info(section: Optional[str] = None, parameters: Optional[Dict[str, Any]] = None) -> Request[Dict[str, Any]]:
    if section is None and parameters:
        raise TypeError(f"info() takes {', '.join(parameters)} only with a section before: info(section, ...)")
    args = b"" if section is None else encode(section)
    return Request(opcodes.INFO, args + encode(parameters) if parameters else args, _info)


def digest() -> Request[Dict[str, Any]]:
    return info("digest")


def save() -> Request[bool]:
    return Request(opcodes.SAVE, b"", _bool)


def create_dict(t: bytes, content: Dict[Any, Any], exist_ok: bool, **options: Any) -> Request[bool]:
    """Creates a dict. An option that is None is not sent."""
    given = {name: value for name, value in options.items() if value is not None}
    how: Any = expiry.on_wire(given) or exist_ok
    if given and exist_ok:
        how["exist_ok"] = True
    return Request(opcodes.CREATE_DICT, t + encode(how) + flat(content), _bool)


def configure(t: bytes, **options: Any) -> Request[None]:
    """Changes the options of a table, except those that are MISSING."""
    given = {name: value for name, value in options.items() if value is not MISSING}
    return Request(opcodes.CONFIGURE, t + encode(expiry.on_wire(given)), _nothing)


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
    return Request(opcodes.CREATE_LIST, t + encode(how) + many(content), _bool)


def list_options(t: bytes) -> Request[expiry.ListOptions]:
    return _OptionsOfList(
        opcodes.OPTIONS, t, lambda decoder, body: expiry.list_options_of(decoder.one(body)), PLAIN.one(t)
    )


def exists(t: bytes) -> Request[bool]:
    return Request(opcodes.EXISTS, t, _bool)


def kind(t: bytes) -> Request[str]:
    return Request(opcodes.KIND, t, _str)


class Table(NamedTuple):
    """One table in the list of tables."""

    name: str
    kind: str  # dict or list
    length: int


def tables() -> Request[List[Table]]:
    def read(decoder: Decoder, body: bytes) -> List[Table]:
        flat = _groups(decoder, body, 3)
        return [Table(*flat[at : at + 3]) for at in range(0, len(flat), 3)]

    return Request(opcodes.TABLES, b"", read)


def drop(t: bytes) -> Request[None]:
    return Request(opcodes.DROP, t, _nothing)


def rename(t: bytes, new: bytes) -> Request[None]:
    return Request(opcodes.RENAME, t + new, _nothing)


# ---- dicts


def dict_get(t: bytes, key: Any) -> Request[Any]:
    return Request(opcodes.DICT_GET, t + encode(key), _one, key)


def dict_get_or(t: bytes, key: Any, default: Any, opcode: int = opcodes.DICT_GET) -> Request[Any]:
    """GET or POP with a default, which is not sent and may be any object."""
    return _WithDefault(opcode, t + encode(key), _one, default)


class _WithDefault(Request[Any]):
    __slots__ = ()

    def result(self, reply: Reply) -> Any:
        if reply.status == frames.KEY_ERROR:
            return self.key
        return super().result(reply)


def dict_get_versioned(t: bytes, key: Any) -> Request[Versioned]:
    return _WithVersion(opcodes.DICT_GET, t + encode(key), _one, key, frames.WANT_VERSION)


def dict_set(t: bytes, key: Any, value: Any, ttl: Optional[Duration] = None, keep_ttl: bool = False) -> Request[None]:
    request = Request(opcodes.DICT_SET, t + encode(key) + encode(value), _nothing, key)
    if not keep_ttl:
        return request if ttl is None else with_ttl(request, milliseconds(ttl))
    if ttl is not None:
        raise ValueError("ttl and keep_ttl exclude each other")
    return with_ttl(request, expiry.KEEP_TTL)


def dict_set_if(t: bytes, key: Any, value: Any, version: int, ttl: Optional[int] = None) -> Request[None]:
    """Sets key if its version matches. Version 0: only if the key is absent.

    ttl is as in with_ttl.
    """
    request = dict_set(t, key, value)
    if ttl is not None:
        with_ttl(request, ttl)
    request.payload = version.to_bytes(8, "little") + request.payload
    request.flags |= frames.IF_VERSION
    return request


def dict_delete(t: bytes, key: Any) -> Request[None]:
    return Request(opcodes.DICT_DELETE, t + encode(key), _nothing, key)


def dict_contains(t: bytes, key: Any) -> Request[bool]:
    return Request(opcodes.DICT_CONTAINS, t + encode(key), _bool)


def dict_len(t: bytes) -> Request[int]:
    return Request(opcodes.DICT_LEN, t, _length)


def dict_setdefault(t: bytes, key: Any, default: Any, ttl: Optional[Duration] = None) -> Request[Any]:
    request = Request(opcodes.DICT_SETDEFAULT, t + encode(key) + encode(default), _one)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_update(t: bytes, items: Dict[Any, Any], ttl: Optional[Duration] = None) -> Request[None]:
    request = Request(opcodes.DICT_UPDATE, t + flat(items), _nothing)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_pop(t: bytes, key: Any, default: Any = MISSING) -> Request[Any]:
    if default is not MISSING:
        return dict_get_or(t, key, default, opcodes.DICT_POP)
    return Request(opcodes.DICT_POP, t + encode(key), _one, key)


def dict_popitem(t: bytes) -> Request[Tuple[Any, Any]]:
    return Request(opcodes.DICT_POPITEM, t, _pair)


def dict_clear(t: bytes) -> Request[None]:
    return Request(opcodes.DICT_CLEAR, t, _nothing)


def dict_all(t: bytes) -> Request[Dict[Any, Any]]:
    return Request(opcodes.DICT_ITEMS, t, _dict)


def dict_items(t: bytes) -> Request[List[Tuple[Any, Any]]]:
    return Request(opcodes.DICT_ITEMS, t, _pairs)


def dict_keys(t: bytes) -> Request[List[Any]]:
    return Request(opcodes.DICT_KEYS, t, _all)


def dict_values(t: bytes) -> Request[List[Any]]:
    return Request(opcodes.DICT_VALUES, t, _all)


def stream(opcode: int, t: bytes) -> StreamRequest[Any]:
    """Streams DICT KEYS, VALUES or ITEMS (keys and values in turn), or LIST ALL."""
    return StreamRequest(opcode, t, _streamed)


def dict_get_many(t: bytes, keys: Iterable[Any]) -> Request[Dict[Any, Any]]:
    asked = list(keys)

    def read(decoder: Decoder, body: bytes) -> Dict[Any, Any]:
        values = decoder.some(body, ABSENT)
        if len(values) != len(asked):
            raise errors.ProtocolError(f"{len(values)} values for {len(asked)} keys")
        return {key: value for key, value in zip(asked, values) if value is not ABSENT}

    return Request(opcodes.DICT_GET_MANY, t + many(asked), read)


def dict_increment(t: bytes, key: Any, by: Any, ttl: Optional[Duration] = None) -> Request[Any]:
    request = Request(opcodes.DICT_INCREMENT, t + encode(key) + encode(by), _one, key)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_compare_and_set(t: bytes, key: Any, old: Any, new: Any, ttl: Optional[Duration] = None) -> Request[bool]:
    sides = (frames.ABSENT if side is ABSENT else encode(side) for side in (old, new))
    request = Request(opcodes.DICT_COMPARE_AND_SET, t + encode(key) + b"".join(sides), _bool)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_ttl(t: bytes, key: Any) -> Request[Optional[float]]:
    """The time to live that key has left, in seconds; None if it has no deadline."""
    return Request(opcodes.DICT_TTL, t + encode(key), _seconds, key)


def dict_expire(t: bytes, key: Any, ttl: Duration) -> Request[None]:
    return with_ttl(Request(opcodes.DICT_EXPIRE, t + encode(key), _nothing, key), milliseconds(ttl))


def dict_persist(t: bytes, key: Any) -> Request[None]:
    return with_ttl(Request(opcodes.DICT_EXPIRE, t + encode(key), _nothing, key), expiry.NO_DEADLINE)


def dict_touch(t: bytes, key: Any) -> Request[None]:
    return Request(opcodes.DICT_TOUCH, t + encode(key), _nothing, key)


class Computing(NamedTuple):
    """The answer to DICT GET OR COMPUTE."""

    state: int  # FRESH, STALE, RENEW, ABSENT or NOTHING of compute.py
    value: Any
    fence: int  # of the lease, if the caller is to compute


# The states: fresh; stale, and another client computes; stale or absent, and this one computes; the
# wait ended. On the wire: do not change.
FRESH, STALE, RENEW, COMPUTE, IN_VAIN = range(5)


def dict_get_or_compute(
    t: bytes, key: Any, owner: bytes, lease: int, stale: int, wait: Optional[int]
) -> WaitingRequest[Computing]:
    def read(decoder: Decoder, body: bytes) -> Computing:
        state, *rest = decoder.all(body)
        if state in (FRESH, STALE):
            return Computing(state, rest[0], 0)
        return Computing(state, rest[1] if state == RENEW else None, rest[0] if state != IN_VAIN else 0)

    k = encode(key)
    return WaitingRequest(
        opcodes.DICT_GET_OR_COMPUTE,
        t + k + encode(owner) + encode(lease) + encode(stale),
        wait,
        read,
        vain=lambda reply: reply.status == frames.OK and reply.body == encode(IN_VAIN),
        release=computed(t, key, owner),
    )


def computed(t: bytes, key: Any, owner: bytes) -> Request[bool]:
    """Ends the lease of dict_get_or_compute."""
    return Request(opcodes.COMPUTED, t + encode(key) + encode(owner), _bool)


def renew_compute(t: bytes, key: Any, owner: bytes, lease: int) -> Request[int]:
    return Request(opcodes.RENEW_COMPUTE, t + encode(key) + encode(owner) + encode(lease), _int)


def if_computing(request: Request[T], t: bytes, key: Any, fence: int) -> Request[T]:
    """Makes request fail with LockLost unless this lease of key lasts. Returns request."""
    return with_extension(request, frames.IF_COMPUTE_FENCE, fence.to_bytes(8, "little") + t + encode(key))


# ---- lists

Index = Union[SupportsIndex, slice]


def _position(index: Any) -> bytes:
    try:
        return _index(index)
    except TypeError:
        raise TypeError(f"list indices must be integers or slices, not {type(index).__name__}") from None


def list_get(t: bytes, index: Index) -> Request[Any]:
    if isinstance(index, slice):
        return Request(opcodes.LIST_SLICE, t + bounds(index), _all)
    return Request(opcodes.LIST_GET, t + _position(index), _one)


def list_set(t: bytes, index: Index, value: Any) -> Request[None]:
    if isinstance(index, slice):
        return Request(opcodes.LIST_SET_SLICE, t + bounds(index) + many(_iterable(index, value)), _nothing)
    return Request(opcodes.LIST_SET, t + _position(index) + encode(value), _nothing)


def _iterable(s: slice, value: Any) -> List[Any]:
    if s.step is not None and _slice_index(s.step) == 0:
        raise ValueError("slice step cannot be zero")
    try:
        return list(value)
    except TypeError as e:
        if hasattr(type(value), "__iter__"):
            raise
        extended = s.step is not None and s.step != 1
        raise TypeError("must assign iterable to extended slice" if extended else "can only assign an iterable") from e


def list_delete(t: bytes, index: Index) -> Request[None]:
    if isinstance(index, slice):
        return Request(opcodes.LIST_DELETE_SLICE, t + bounds(index), _nothing)
    return Request(opcodes.LIST_DELETE, t + _position(index), _nothing)


def list_append(t: bytes, value: Any) -> Request[None]:
    return Request(opcodes.LIST_APPEND, t + encode(value), _nothing)


def list_append_left(t: bytes, value: Any) -> Request[None]:
    return Request(opcodes.LIST_APPEND_LEFT, t + encode(value), _nothing)


def list_extend(t: bytes, values: Iterable[Any]) -> Request[None]:
    return Request(opcodes.LIST_EXTEND, t + many(values), _nothing)


def list_insert(t: bytes, index: SupportsIndex, value: Any) -> Request[None]:
    at = operator.index(index)
    if not -(2**63) <= at < 2**63:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return Request(opcodes.LIST_INSERT, t + encode(at) + encode(value), _nothing)


def list_pop(t: bytes, index: SupportsIndex) -> Request[Any]:
    return Request(opcodes.LIST_POP, t + _index(index), _one)


def list_pop_left(t: bytes) -> Request[Any]:
    return Request(opcodes.LIST_POP_LEFT, t, _one)


def list_pop_waiting(t: bytes, index: SupportsIndex, wait: Optional[Duration]) -> WaitingRequest[Any]:
    at = operator.index(index)

    def undo(reply: Reply) -> Optional[Request[Any]]:
        if reply.status != frames.OK:
            return None
        if at == -1:
            return Request(opcodes.LIST_APPEND, t + reply.body, _nothing)
        return Request(opcodes.LIST_INSERT, t + encode(at if at >= 0 else at + 1) + reply.body, _nothing)

    return _popping(opcodes.LIST_POP, t + encode(at), wait, undo)


def list_pop_left_waiting(t: bytes, wait: Optional[Duration]) -> WaitingRequest[Any]:
    def undo(reply: Reply) -> Optional[Request[Any]]:
        return None if reply.status else Request(opcodes.LIST_APPEND_LEFT, t + reply.body, _nothing)

    return _popping(opcodes.LIST_POP_LEFT, t, wait, undo)


def _popping(
    opcode: int, before: bytes, wait: Optional[Duration], undo: Callable[[Reply], Optional[Request[Any]]]
) -> WaitingRequest[Any]:
    return WaitingRequest(
        opcode,
        before,
        wait_milliseconds(wait),
        _one,
        vain=lambda reply: reply.status == frames.INDEX_ERROR,
        undo=undo,
        repeatable=False,
    )


class QueueItem(Generic[T]):
    """An item that was taken from a queue and is leased.

    value       what was put
    receipt     the number of this delivery, for ack, nack and extend
    deliveries  how often the item was delivered, with this time
    """

    __slots__ = ("deliveries", "receipt", "value")

    def __init__(self, receipt: int, deliveries: int, value: T) -> None:
        self.receipt, self.deliveries, self.value = receipt, deliveries, value

    def __repr__(self) -> str:
        return f"QueueItem(receipt={self.receipt}, deliveries={self.deliveries}, value={self.value!r})"


Receipt = Union[QueueItem[Any], int]


def _receipt(item: Receipt) -> bytes:
    receipt: Any = item.receipt if isinstance(item, QueueItem) else item
    if type(receipt) is not int:
        raise TypeError(f"a QueueItem or its receipt is due, not {type(receipt).__name__}")
    return encode(receipt)


def list_put(t: bytes, value: Any, delay: Duration = 0) -> Request[None]:
    return Request(opcodes.LIST_PUT, t + encode(value) + encode(delay_milliseconds(delay)), _nothing)


def list_take(
    t: bytes, lease: Duration, wait: Optional[Duration], claim: Optional[bytes] = None
) -> WaitingRequest[Optional[QueueItem[Any]]]:
    """claim, 16 bytes, names this acquisition: when it is repeated, it gets the same item."""

    def read(decoder: Decoder, body: bytes) -> Optional[QueueItem[Any]]:
        if body == frames.NIL:
            return None
        receipt, deliveries, value = decoder.all(body)
        return QueueItem(receipt, deliveries, value)

    def undo(reply: Reply) -> Optional[Request[Any]]:
        if reply.status or reply.body == frames.NIL:
            return None
        return _never_delivered(t, PLAIN.all(reply.body)[0])

    return WaitingRequest(
        opcodes.LIST_TAKE,
        t + encode(claim or os.urandom(16)) + encode(milliseconds(lease, "lease")),
        wait_milliseconds(wait),
        read,
        undo=undo,
    )


def list_ack(t: bytes, item: Receipt) -> Request[None]:
    return Request(opcodes.LIST_ACK, t + _receipt(item), _nothing)


def list_nack(t: bytes, item: Receipt, delay: Duration = 0) -> Request[None]:
    return Request(opcodes.LIST_NACK, t + _receipt(item) + encode(delay_milliseconds(delay)), _nothing)


def _never_delivered(t: bytes, receipt: int) -> Request[None]:
    """Gives an item back whose delivery has reached no caller: it does not count."""
    return Request(opcodes.LIST_NACK, t + _receipt(receipt) + encode(None), _nothing)


def list_extend_lease(t: bytes, item: Receipt, lease: Union[Duration, Missing]) -> Request[None]:
    time = DEFAULT_LEASE if isinstance(lease, Missing) else lease
    return Request(opcodes.LIST_EXTEND_LEASE, t + _receipt(item) + encode(milliseconds(time, "lease")), _nothing)


def is_lease(item: Any, lease: Any) -> bool:
    """Whether the arguments of CyberList.extend are those of extend_lease."""
    return isinstance(item, QueueItem) or lease is not MISSING


def list_held(t: bytes, which: int) -> Request[int]:
    """The number of leased items (which is 0), or of delayed items (1)."""
    return Request(opcodes.LIST_HELD, t, lambda decoder, body: _pair(decoder, body)[which])


def list_remove(t: bytes, value: Any) -> Request[None]:
    return Request(opcodes.LIST_REMOVE, t + encode(value), _nothing)


def list_count(t: bytes, value: Any) -> Request[int]:
    return Request(opcodes.LIST_COUNT, t + encode(value), _length)


def list_index(t: bytes, value: Any, start: SupportsIndex, stop: SupportsIndex) -> Request[int]:
    try:
        ends = operator.index(start), operator.index(stop)
    except TypeError:
        raise TypeError("slice indices must be integers or have an __index__ method") from None
    return Request(opcodes.LIST_INDEX, t + encode(value) + many(ends), _length)


def list_contains(t: bytes, value: Any) -> Request[bool]:
    return Request(opcodes.LIST_CONTAINS, t + encode(value), _bool)


def list_len(t: bytes) -> Request[int]:
    return Request(opcodes.LIST_LEN, t, _length)


def list_reverse(t: bytes) -> Request[None]:
    return Request(opcodes.LIST_REVERSE, t, _nothing)


def list_sort(t: bytes, key: Optional[Callable[[Any], Any]], reverse: Any) -> Request[None]:
    return Request(opcodes.LIST_SORT, t + encode(sort_key(key)) + encode(bool(reverse)), _nothing)


def list_clear(t: bytes) -> Request[None]:
    return Request(opcodes.LIST_CLEAR, t, _nothing)


def list_all(t: bytes) -> Request[List[Any]]:
    return Request(opcodes.LIST_ALL, t, _all)
