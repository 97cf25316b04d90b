"""Values as codec/VALUES.md encodes them: MessagePack, with extension codes for what Python has and MessagePack lacks."""

from __future__ import annotations

import builtins
import datetime
import decimal
import fractions
import struct
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from io import BytesIO
from typing import IO, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Type, TypeVar

import msgpack

from . import tracked
from .errors import ProtocolError, TooLarge
from .frames import ABSENT

T = TypeVar("T")

MAX_NESTING = 128
MAX_INT_BYTES = 8192
MAX_VALUE_BYTES = 32 << 20
FIRST_APPLICATION_CODE, LAST_APPLICATION_CODE = 64, 127

# Extension codes. On the wire: do not change.
INT, TUPLE, SET, FROZENSET, BYTEARRAY, ORDERED_DICT, DATETIME, DATE, TIME, TIMEDELTA, DECIMAL = range(1, 12)
FRACTION, UUID, COMPLEX, RANGE, SLICE, DEQUE, COUNTER, DEFAULT_DICT, SINGLETON, EXCEPTION, UNOPENED = range(12, 23)

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_AWARE = 2  # flag of datetimes and times; bit 0 is fold
_MOMENT = struct.Struct(">qB")
_OFFSET = struct.Struct(">iI")
_TIMEDELTA = struct.Struct(">iII")
_COMPLEX = struct.Struct(">dd")
_SINGLETONS = (Ellipsis, NotImplemented)
# What a defaultdict may make: code never crosses the wire.
_FACTORIES: Dict[str, Callable[[], Any]] = {
    factory.__name__: factory for factory in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
}


class Extension(NamedTuple):
    """A value of an application type that is not registered here: register_type opens it."""

    code: int
    data: bytes


class Unopened(NamedTuple):
    """An object that is kept unopened: the path of its class, and its bytes."""

    path: str
    data: bytes


# ---- types of the application


_packers_of: Dict[type, Tuple[int, Callable[[Any], bytes]]] = {}
_unpackers: Dict[int, Callable[[bytes], Any]] = {}


def register_type(cls: Type[T], code: int, pack: Callable[[T], bytes], unpack: Callable[[bytes], T]) -> None:
    """Makes objects of cls storable, as values and as keys.

    The server sees code and bytes only: two are equal if these are. Register the same code for the same type in every program that shares
    a table. Errors: ValueError if code is not 64 to 127 or stands for another type; TypeError if cls is storable as it is.
    """
    if not FIRST_APPLICATION_CODE <= code <= LAST_APPLICATION_CODE:
        raise ValueError(f"code {code} is not one of an application: {FIRST_APPLICATION_CODE} to {LAST_APPLICATION_CODE}")
    if cls in _NATIVE or cls in _CONVERTERS:
        raise TypeError(f"{cls.__qualname__} is storable as it is")
    for other, (taken, _) in _packers_of.items():
        if taken == code and other is not cls:
            raise ValueError(f"code {code} stands for {other.__qualname__} already")
    if cls in _packers_of and _packers_of[cls][0] != code:
        raise ValueError(f"{cls.__qualname__} has code {_packers_of[cls][0]} already")
    _packers_of[cls] = (code, pack)
    _unpackers[code] = unpack


# ---- encoding


_NONE = type(None)
_NATIVE = frozenset({_NONE, bool, int, float, str, bytes, list, dict})
_LEAVES = frozenset({_NONE, bool, int, float, str, bytes})
# MessagePack's own packer would write these as bytes.
_MISTAKEN = frozenset({bytearray, memoryview})

_idle_packers: List[msgpack.Packer] = []  # one is used by one thread, and at one depth, at a time


def encode(value: Any) -> bytes:
    """The encoding of value.

    Errors: TypeError naming the type for what cannot be stored; ValueError for values nested too deep or in themselves; OverflowError for
    ints of more than 8192 bytes; TooLarge.
    """
    try:
        data = _encode(value)
    except RecursionError:
        raise ValueError(f"the value is nested more than {MAX_NESTING} deep, or holds itself") from None
    if len(data) > MAX_VALUE_BYTES:
        raise TooLarge(f"a value of {len(data)} bytes, the limit is {MAX_VALUE_BYTES}")
    return data


def _encode(value: Any) -> bytes:
    kind = type(value)
    if kind not in _LEAVES:
        value = _careful(value, 1) if kind in _NATIVE else _convert(value)
    try:
        packer = _idle_packers.pop()
    except IndexError:
        packer = msgpack.Packer(default=_convert, strict_types=True, unicode_errors="surrogatepass", buf_size=4096)
    data: bytes = packer.pack(value)  # one that fails is dropped
    _idle_packers.append(packer)
    return data


def _careful(value: Any, depth: int) -> Any:
    """A list or dict as it is, or, if it holds what the packer would mistake, a copy without that."""
    return _rebuild(value) if _mistaken(value, depth) else value


def _mistaken(value: Any, depth: int) -> bool:
    if depth > MAX_NESTING:
        raise ValueError(f"the value is nested more than {MAX_NESTING} deep, or holds itself")
    items = value.values() if type(value) is dict else value
    types = set(map(type, items))
    if types <= _LEAVES:
        return False
    if types & _MISTAKEN:
        return True
    if list in types or dict in types:
        return any(_mistaken(item, depth + 1) for item in items if type(item) in (list, dict))
    return False


def _rebuild(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_rebuild(item) for item in value]
    if kind is dict:
        return {key: _rebuild(item) for key, item in value.items()}
    return _convert(value) if kind in _MISTAKEN else value


def _convert(value: Any) -> Any:
    """What the packer can write for a value that it does not know: an extension object, or a plain container."""
    kind = type(value)
    if kind in tracked.BASE_OF:
        tracked.stored(value)
        value = tracked.plain(value)
        kind = type(value)
        if kind in _NATIVE:
            return _careful(value, 1)
    converter = _CONVERTERS.get(kind)
    if converter is not None:
        return converter(value)
    if kind in _packers_of:
        code, pack = _packers_of[kind]
        return msgpack.ExtType(code, bytes(pack(value)))
    if isinstance(value, BaseException) and getattr(builtins, kind.__name__, None) is kind:
        return msgpack.ExtType(EXCEPTION, _encode([kind.__name__, *value.args]))
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(f"objects of type '{name}' cannot be stored; cyberdb_fast.register_type can make them so")


def _int(value: int) -> Any:
    """An int beyond 64 bits."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    if size > MAX_INT_BYTES:
        raise OverflowError(f"int of {size} bytes, the limit is {MAX_INT_BYTES}")
    return msgpack.ExtType(INT, value.to_bytes(size, "big", signed=True))


def _zone(value: Any) -> bytes:
    """The offset and the zone's name of an aware datetime or time, nothing for a naive one."""
    offset = value.utcoffset()
    if offset is None:
        return b""
    return _OFFSET.pack(*divmod(offset // _MICROSECOND, 1_000_000)) + _zone_name(value.tzinfo).encode()


def _zone_name(zone: Any) -> str:
    if isinstance(zone, zoneinfo.ZoneInfo):
        return zone.key or ""
    if zone is datetime.timezone.utc:
        return "UTC"
    own = zone.__reduce__()[1][1:] if isinstance(zone, datetime.timezone) else ()  # the name that it was made with, if any
    return "".join("=" + name for name in own)


def _moment(code: int, microseconds: int, value: Any) -> Any:
    zone = _zone(value)
    return msgpack.ExtType(code, _MOMENT.pack(microseconds, value.fold | (_AWARE if zone else 0)) + zone)


def _datetime(value: datetime.datetime) -> Any:
    return _moment(DATETIME, (value.replace(tzinfo=None, fold=0) - _EPOCH) // _MICROSECOND, value)


def _time(value: datetime.time) -> Any:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return _moment(TIME, seconds * 1_000_000 + value.microsecond, value)


def _decimal(value: decimal.Decimal) -> Any:
    text = str(value).encode()
    if len(text) > MAX_INT_BYTES:
        raise OverflowError(f"Decimal of {len(text)} bytes, the limit is {MAX_INT_BYTES}")
    return msgpack.ExtType(DECIMAL, text)


def _default_dict(value: Dict[Any, Any]) -> Any:
    factory = getattr(value, "default_factory", None)
    name = None if factory is None else getattr(factory, "__name__", "")
    if name is not None and _FACTORIES.get(name) is not factory:
        raise TypeError(f"a defaultdict can be stored with one of Python's own types as its factory, not with {factory!r}")
    return msgpack.ExtType(DEFAULT_DICT, _encode([name, dict(value)]))


def _sequence(code: int) -> Callable[[Any], Any]:
    return lambda value: msgpack.ExtType(code, _encode(list(value)))


def _mapping(code: int) -> Callable[[Any], Any]:
    return lambda value: msgpack.ExtType(code, _encode(dict(value)))


_CONVERTERS: Dict[type, Callable[[Any], Any]] = {
    int: _int,
    tuple: _sequence(TUPLE),
    set: _sequence(SET),
    frozenset: _sequence(FROZENSET),
    bytearray: lambda value: msgpack.ExtType(BYTEARRAY, bytes(value)),
    OrderedDict: _mapping(ORDERED_DICT),
    datetime.datetime: _datetime,
    datetime.date: lambda value: msgpack.ExtType(DATE, value.toordinal().to_bytes(4, "big")),
    datetime.time: _time,
    datetime.timedelta: lambda value: msgpack.ExtType(TIMEDELTA, _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)),
    decimal.Decimal: _decimal,
    fractions.Fraction: lambda value: msgpack.ExtType(FRACTION, _encode([value.numerator, value.denominator])),
    uuid.UUID: lambda value: msgpack.ExtType(UUID, value.bytes),
    complex: lambda value: msgpack.ExtType(COMPLEX, _COMPLEX.pack(value.real, value.imag)),
    range: lambda value: msgpack.ExtType(RANGE, _encode([value.start, value.stop, value.step])),
    slice: lambda value: msgpack.ExtType(SLICE, _encode([value.start, value.stop, value.step])),
    deque: lambda value: msgpack.ExtType(DEQUE, _encode([value.maxlen, *value])),
    Counter: _mapping(COUNTER),
    defaultdict: _default_dict,
    type(Ellipsis): lambda _: msgpack.ExtType(SINGLETON, b"\0"),
    type(NotImplemented): lambda _: msgpack.ExtType(SINGLETON, b"\1"),
    Extension: lambda value: msgpack.ExtType(*value),
    Unopened: lambda value: msgpack.ExtType(UNOPENED, _encode(list(value))),
}


# ---- decoding


def _read_zone(payload: bytes) -> Tuple[int, Optional[datetime.tzinfo]]:
    """Fold and tzinfo of a datetime or time."""
    flags = payload[8]
    if not flags & _AWARE:
        return flags & 1, None
    seconds, micros = _OFFSET.unpack_from(payload, 9)
    name = payload[17:].decode()
    if name == "UTC":
        return flags & 1, datetime.timezone.utc
    offset = datetime.timedelta(seconds=seconds, microseconds=micros)
    if name.startswith("="):
        return flags & 1, datetime.timezone(offset, name[1:])
    if name:
        try:
            return flags & 1, zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            pass  # this machine does not know the zone: its offset stays
    return flags & 1, datetime.timezone(offset)


def _read_datetime(payload: bytes) -> datetime.datetime:
    fold, zone = _read_zone(payload)
    reading = _EPOCH + int.from_bytes(payload[:8], "big", signed=True) * _MICROSECOND
    return reading.replace(fold=fold, tzinfo=zone)


def _read_time(payload: bytes) -> datetime.time:
    fold, zone = _read_zone(payload)
    return (_EPOCH + int.from_bytes(payload[:8], "big") * _MICROSECOND).time().replace(fold=fold, tzinfo=zone)


def _read_deque(payload: bytes) -> Any:
    maxlen, *items = _inner(payload)
    return tracked.track(deque, items, maxlen)


def _read_default_dict(payload: bytes) -> Any:
    name, items = _inner(payload)
    return tracked.track(defaultdict, _FACTORIES.get(name), items)


def _read_exception(payload: bytes) -> Any:
    name, *args = _inner(payload)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return kind(*args)
    return Unopened(name, payload)


_READERS: Dict[int, Callable[[bytes], Any]] = {
    INT: lambda payload: int.from_bytes(payload, "big", signed=True),
    TUPLE: lambda payload: tuple(_inner(payload)),
    SET: lambda payload: tracked.track(set, _inner(payload)),
    FROZENSET: lambda payload: frozenset(_inner(payload)),
    BYTEARRAY: lambda payload: tracked.track(bytearray, payload),
    ORDERED_DICT: lambda payload: tracked.track(OrderedDict, _inner(payload)),
    DATETIME: _read_datetime,
    DATE: lambda payload: datetime.date.fromordinal(int.from_bytes(payload, "big")),
    TIME: _read_time,
    TIMEDELTA: lambda payload: datetime.timedelta(*_TIMEDELTA.unpack(payload)),
    DECIMAL: lambda payload: decimal.Decimal(payload.decode()),
    FRACTION: lambda payload: fractions.Fraction(*_inner(payload)),
    UUID: lambda payload: uuid.UUID(bytes=payload),
    COMPLEX: lambda payload: complex(*_COMPLEX.unpack(payload)),
    RANGE: lambda payload: range(*_inner(payload)),
    SLICE: lambda payload: slice(*_inner(payload)),
    DEQUE: _read_deque,
    COUNTER: lambda payload: tracked.track(Counter, _inner(payload)),
    DEFAULT_DICT: _read_default_dict,
    SINGLETON: lambda payload: _SINGLETONS[payload[0]],
    EXCEPTION: _read_exception,
    UNOPENED: lambda payload: Unopened(*_inner(payload)),
}


def _extension(code: int, payload: bytes) -> Any:
    reader = _READERS.get(code) or _unpackers.get(code)
    return reader(payload) if reader else Extension(code, payload)


_HOW: Dict[str, Any] = {
    "ext_hook": _extension,
    "list_hook": tracked.tracked_list,
    "object_hook": tracked.tracked_dict,
    "strict_map_key": False,
    "unicode_errors": "surrogatepass",
}


def _inner(payload: bytes) -> Any:
    """The one value in the payload of an extension object."""
    return msgpack.unpackb(payload, **_HOW)


_DAMAGE = (
    ValueError,
    OverflowError,
    RecursionError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    msgpack.exceptions.UnpackException,
    decimal.InvalidOperation,
)


def decode(data: bytes) -> Any:
    """The one value that data encodes. ProtocolError if it is none."""
    try:
        return msgpack.unpackb(data, **_HOW)
    except _DAMAGE as e:
        raise ProtocolError(f"a value of the reply cannot be read: {e}") from e


def decode_each(source: IO[bytes]) -> Iterator[Any]:
    """The values that source holds back to back, one after the other."""
    unpacker = msgpack.Unpacker(source, read_size=65536, max_buffer_size=MAX_VALUE_BYTES * 2, **_HOW)
    try:
        yield from unpacker
    except _DAMAGE as e:
        raise ProtocolError(f"a value of the reply cannot be read: {e}") from e


def decode_all(data: bytes) -> List[Any]:
    """The values that data holds back to back."""
    return list(decode_each(BytesIO(data)))


def decode_some(data: bytes, absent: Any) -> List[Any]:
    """As decode_all; absent stands for the values that are not there."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) or 1, **_HOW)
    unpacker.feed(data)
    values: List[Any] = []
    try:
        while (at := unpacker.tell()) < len(data):
            if data[at : at + 1] == ABSENT:
                unpacker.read_bytes(1)
                values.append(absent)
            else:
                values.append(unpacker.unpack())
    except (*_DAMAGE, msgpack.OutOfData) as e:
        raise ProtocolError(f"a value of the reply cannot be read: {e}") from e
    return values
