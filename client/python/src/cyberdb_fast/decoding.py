"""Decodes values.

The unpacker calls Python for extension objects, and Python calls the unpacker at most once inside
such a call.

One call of the unpacker takes about 25 KiB of stack, and on some systems a thread has 128 KiB. So
an extension object of scalars is decoded immediately. Extension objects that contain others are
opened one after the other, from the outside in, and built from the inside out.

A hostile server may send anything. Payloads are checked as the server checks them, and every error
is a ProtocolError.
"""

from __future__ import annotations

import builtins
import decimal
import fractions
import re
import struct
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from functools import partial
from io import BytesIO
from itertools import chain, count
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Tuple, Type

import msgpack
from msgpack import unpackb

from . import datetimes, objects, tracked
from . import extensions as ext
from .encoding import FACTORIES, encode
from .errors import ProtocolError
from .extensions import MAX_NESTING, MAX_NUMBER_BYTES, MAX_VALUE_BYTES, Extension, Unopened
from .frames import ABSENT

# Application types; register_type adds them.
unpackers: Dict[int, Callable[[bytes], Any]] = {}

# A streamed reply is unpacked in pieces of this size, or one value at a time if it is larger.
_PIECE_BYTES = 1 << 20
# The unpacker allocates all elements that an array header claims, for up to 1024 nested arrays. If
# data is longer than this and has more headers of large arrays, it is first checked to have the
# elements.
_TRUSTED_BYTES, _TRUSTED_ARRAYS = 4096, 16
_LARGE_ARRAY = b"\xdd\x00"  # the header of an array with 65,536 elements or more, up to the limit, begins so
_MAX_ELEMENTS = 1 << 20
_NONE = b"\xc0"

DAMAGE: Tuple[Type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, BufferError),
    *(RecursionError, MemoryError, struct.error, msgpack.exceptions.UnpackException),
)


def damaged(e: BaseException) -> ProtocolError:
    """The error for bytes that are not a value, or not the expected values."""
    return ProtocolError(f"cannot decode a value of the reply: {type(e).__name__}: {e}")


# ---- extension objects without elements


def _int(payload: bytes) -> int:
    if not 8 < len(payload) <= MAX_NUMBER_BYTES:
        raise ValueError(f"an int of {len(payload)} bytes")
    return int.from_bytes(payload, "big", signed=True)


_DECIMAL = re.compile(rb"-?(?:[0-9]+(?:\.[0-9]+)?(?:E[+-][0-9]{1,18})?|Infinity|s?NaN[0-9]*)")


def _decimal(payload: bytes) -> decimal.Decimal:
    if len(payload) > MAX_NUMBER_BYTES or not _DECIMAL.fullmatch(payload):
        raise ValueError("not the text of a Decimal")
    return decimal.Decimal(payload.decode())


_COMPLEX = struct.Struct(">dd")
_SINGLETONS = {b"\0": Ellipsis, b"\1": NotImplemented}

_LEAVES: Dict[int, Callable[[bytes], Any]] = {
    ext.INT: _int,
    ext.DATETIME: datetimes.read_datetime,
    ext.DATE: datetimes.read_date,
    ext.TIME: datetimes.read_time,
    ext.TIMEDELTA: datetimes.read_timedelta,
    ext.DECIMAL: _decimal,
    ext.UUID: lambda payload: uuid.UUID(bytes=payload),
    ext.COMPLEX: lambda payload: complex(*_COMPLEX.unpack(payload)),
    ext.SINGLETON: lambda payload: _SINGLETONS[payload],
}


def _application(code: int, payload: bytes) -> Any:
    unpack = unpackers.get(code)
    if unpack is not None:
        return unpack(payload)
    if not ext.FIRST_APPLICATION_CODE <= code <= ext.LAST_APPLICATION_CODE:
        raise ValueError(f"extension code {code}")
    return Extension(code, payload)


# ---- extension objects with elements: built from their decoded payload


def _expect(value: Any, kind: Type[Any], length: Optional[int] = None) -> Any:
    if isinstance(value, kind) and (length is None or len(value) == length):
        return value
    raise ValueError(f"an extension object of {type(value).__name__}")


def _ints(inner: Any, count: int) -> Any:
    if any(type(part) is not int for part in _expect(inner, list, count)):
        raise ValueError("a range or Fraction with a part that is not an int")
    return inner


def _fraction(inner: Any) -> fractions.Fraction:
    numerator, denominator = _ints(inner, 2)
    if denominator <= 0:
        raise ValueError("a Fraction with a denominator that is not positive")
    return fractions.Fraction(numerator, denominator)


def _set_of(make: Callable[[Any], Any], inner: Any) -> Any:
    members = make(_expect(inner, list))
    if len(members) != len(inner):
        raise ValueError("a set with equal members")
    return members


def _dict_of(make: Callable[[Any], Any], inner: Any) -> Any:
    return make(_expect(inner, dict))


def _deque_of(make: Callable[..., Any], inner: Any) -> Any:
    maxlen, *items = _expect(inner, list)
    if maxlen is not None and (type(maxlen) is not int or maxlen < len(items)):
        raise ValueError("a deque that is longer than its maxlen")
    return make(items, maxlen)


def _default_dict_of(make: Callable[..., Any], inner: Any) -> Any:
    name, items = _expect(inner, list, 2)
    if name is not None:
        _expect(name, str)
    factory = FACTORIES.get(name)  # pyright: ignore[reportArgumentType] # None is not a key
    return make(factory, _expect(items, dict))


def _exception(inner: Any) -> Any:
    """The exception, or an Unopened with its name and arguments if it cannot be made here."""
    name, *arguments = _expect(inner, list)
    kind = getattr(builtins, _expect(name, str), None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        try:
            return _make_exception(kind, arguments[:])
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
            pass
    return Unopened(name, encode([name, *arguments]))


def _make_exception(kind: Any, arguments: List[Any]) -> BaseException:
    attributes: Any = {}
    if (
        arguments
        and type(last := arguments[-1]) is slice
        and last.start == ext.EXCEPTION_STATE
        and isinstance(last.stop, dict)
    ):
        attributes = arguments.pop().stop
    made: BaseException = kind(*arguments)
    for name, value in attributes.items():
        if name in ext.EXCEPTION_ATTRIBUTES:
            setattr(made, name, value)
        else:
            vars(made)[_expect(name, str)] = value
    return made


def _builders(kind_of: Callable[[type], Any]) -> Dict[int, Callable[[Any], Any]]:
    """The functions that build values, by code. kind_of maps a mutable type to its class."""
    return {
        ext.TUPLE: lambda inner: tuple(_expect(inner, list)),
        ext.SET: partial(_set_of, kind_of(set)),
        ext.FROZENSET: partial(_set_of, frozenset),
        ext.ORDERED_DICT: partial(_dict_of, kind_of(OrderedDict)),
        ext.FRACTION: _fraction,
        ext.RANGE: lambda inner: range(*_ints(inner, 3)),
        ext.SLICE: lambda inner: slice(*_expect(inner, list, 3)),
        ext.DEQUE: partial(_deque_of, kind_of(deque)),
        ext.COUNTER: partial(_dict_of, kind_of(Counter)),
        ext.DEFAULT_DICT: partial(_default_dict_of, kind_of(defaultdict)),
        ext.EXCEPTION: _exception,
    }


def _object(payload: bytes) -> Tuple[Callable[[Any], Any], bytes]:
    """The function that builds an object, and what it is built from."""
    path, data = _expect(
        unpackb(payload, max_array_len=2, max_map_len=0, max_ext_len=0, unicode_errors="surrogatepass"), list, 2
    )
    _expect(data, bytes)
    registered = objects.of_name(_expect(path, str)) if data[:1] == ext.PARTS else None
    if registered is None:
        return lambda inner: Unopened(*inner), payload
    return registered.build, data[1:]


# ---- decoding


class _Nested(Exception):
    """An extension object contains another one that has elements."""


class _Closed:
    """An extension object with elements that is not built yet.

    It is a placeholder, also for keys.
    """

    __slots__ = ("build", "depth", "inner", "nested", "payload", "value")

    def __init__(self, build: Callable[[Any], Any], payload: bytes, depth: int) -> None:
        if depth > MAX_NESTING:
            raise ValueError(f"it is nested more than {MAX_NESTING} deep")
        self.build, self.payload, self.depth = build, payload, depth
        self.inner: Any = None
        self.nested = False  # whether it contains others
        self.value: Any = None


# Containers as the unpacker makes them.
_HOLDERS = frozenset({list, dict, tracked.tracked_list, tracked.tracked_dict})


def _fill(value: Any) -> Any:
    """Replaces the placeholders in value, and in the lists and dicts in it, by their values."""
    if type(value) is _Closed:
        return value.value
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += [item for item in node if type(item) in _HOLDERS]
            list.__setitem__(node, slice(None), map(_built, node))
        else:
            waiting += [item for item in node.values() if type(item) in _HOLDERS]
            items = [(_built(key), _built(item)) for key, item in node.items()]
            dict.clear(node)
            dict.update(node, items)
    return value


def _built(value: Any) -> Any:
    return value.value if type(value) is _Closed else value


def _read(source: IO[bytes], size: int) -> bytes:
    try:
        return source.read(size)
    except DAMAGE as e:  # for example a MemoryError
        raise damaged(e) from e


class Decoder:
    """Decodes values. For invalid bytes of any kind its methods raise ProtocolError."""

    def __init__(self, tracking: bool) -> None:
        """With tracking, mutable values have the types of tracked.py, otherwise Python's own."""
        kind_of: Callable[[type], Any] = partial(partial, tracked.track) if tracking else lambda kind: kind
        self._list_hook = tracked.tracked_list if tracking else None
        self._dict_hook = tracked.tracked_dict if tracking else None
        self._leaves = {**_LEAVES, ext.BYTEARRAY: kind_of(bytearray)}
        self._builders = _builders(kind_of)
        self._opener = self._open  # a bound method, made once

    def one(self, data: bytes) -> Any:
        """Decodes data, which is one value."""
        try:
            if len(data) > _TRUSTED_BYTES:
                _check(data)
            # _unpack, inlined for speed
            return unpackb(
                data,
                max_array_len=_MAX_ELEMENTS,
                ext_hook=self._opener,
                list_hook=self._list_hook,
                object_hook=self._dict_hook,
                strict_map_key=False,
                unicode_errors="surrogatepass",
            )
        except DAMAGE as e:
            raise damaged(e) from e

    def all(self, data: bytes) -> List[Any]:
        """Decodes data, which is any number of values."""
        if _suspicious(data):
            return list(self.each(BytesIO(data)))
        try:
            unpacker = self._unpacker(data)
            values = list(unpacker)
            unpacker.feed(_NONE)
            if unpacker.unpack() is not None:  # the byte completed a value that was cut
                raise msgpack.OutOfData
        except DAMAGE as e:
            raise damaged(e) from e
        return values

    def each(self, source: IO[bytes]) -> Iterator[Any]:
        """Decodes the values in source, one after the other."""
        return chain.from_iterable(self._pieces(source))

    def some(self, data: bytes, absent: Any) -> List[Any]:
        """As all; returns absent for each value that the server marks as absent."""
        if ABSENT not in data:
            return self.all(data)
        values: List[Any] = []
        try:
            if _suspicious(data):
                _scan_with_gaps(data)
            unpacker = self._unpacker(data)
            while (at := unpacker.tell()) < len(data):
                if data[at : at + 1] == ABSENT:
                    unpacker.read_bytes(1)
                    values.append(absent)
                else:
                    values.append(unpacker.unpack())
        except DAMAGE as e:
            raise damaged(e) from e
        return values

    def _pieces(self, source: IO[bytes]) -> Iterator[List[Any]]:
        piece, rest = _read(source, _PIECE_BYTES), b""
        if len(piece) < _PIECE_BYTES and not _suspicious(piece):
            yield self.all(piece)
            return
        while piece:
            try:
                values, rest = self._whole(rest + piece)
            except DAMAGE as e:
                raise damaged(e) from e
            if len(rest) > MAX_VALUE_BYTES:
                raise ProtocolError(f"a value of the reply has more than {MAX_VALUE_BYTES} bytes")
            yield values
            piece = _read(source, max(_PIECE_BYTES, len(rest)))
        if rest:
            raise ProtocolError("the reply ends inside a value")

    def _whole(self, data: bytes) -> Tuple[List[Any], bytes]:
        """Decodes the complete values at the front of data; returns them and the rest of data."""
        counter = count()
        with suppress(msgpack.OutOfData):
            deque(zip(iter(_scanner(data).skip, _NONE), counter), maxlen=0)
        number = next(counter)
        try:
            return list(
                self._unpack(b"\xdd" + number.to_bytes(4, "big") + data, self._open, max(number, _MAX_ELEMENTS))
            ), b""
        except msgpack.ExtraData as e:
            return list(e.unpacked), bytes(e.extra)

    def _unpacker(self, data: bytes) -> msgpack.Unpacker:  # pyright: ignore[reportUnknownParameterType] # untyped
        unpacker = msgpack.Unpacker(
            max_buffer_size=len(data) + 1,
            max_array_len=_MAX_ELEMENTS,
            ext_hook=self._open,
            list_hook=self._list_hook,
            object_hook=self._dict_hook,
            strict_map_key=False,
            unicode_errors="surrogatepass",
        )
        unpacker.feed(data)
        return unpacker

    def _unpack(self, data: bytes, ext_hook: Callable[[int, bytes], Any], max_elements: int = _MAX_ELEMENTS) -> Any:
        # Explicit keywords are three times as fast as **kwargs.
        return unpackb(
            data,
            max_array_len=max_elements,
            ext_hook=ext_hook,
            list_hook=self._list_hook,
            object_hook=self._dict_hook,
            strict_map_key=False,
            unicode_errors="surrogatepass",
        )

    def _open(self, code: int, payload: bytes) -> Any:
        read = self._leaves.get(code)
        if read is not None:
            return read(payload)
        build = self._builders.get(code)
        if build is None:
            if code != ext.UNOPENED:
                return _application(code, payload)
            build, payload = _object(payload)
        if len(payload) > _TRUSTED_BYTES:
            _check(payload)
        try:
            inner = self._unpack(payload, self._open_leaf)
        except _Nested:
            return self._open_nested(build, payload)
        return build(inner)

    def _open_leaf(self, code: int, payload: bytes) -> Any:
        read = self._leaves.get(code)
        if read is not None:
            return read(payload)
        if code in self._builders or code == ext.UNOPENED:
            raise _Nested
        return _application(code, payload)

    def _open_nested(self, build: Callable[[Any], Any], payload: bytes) -> Any:
        closed = [_Closed(build, payload, 1)]
        for one in closed:  # the list grows: nested objects come after their containers
            known = len(closed)
            _check(one.payload)
            one.inner = self._unpack(one.payload, partial(self._close, closed, one.depth + 1))
            one.payload = b""
            one.nested = len(closed) > known
        for one in reversed(closed):
            inner = _fill(one.inner) if one.nested else one.inner
            one.inner, one.value = None, one.build(inner)
        return closed[0].value

    def _close(self, closed: List[_Closed], depth: int, code: int, payload: bytes) -> Any:
        build = self._builders.get(code)
        if build is None:
            if code != ext.UNOPENED:
                return self._open_leaf(code, payload)
            build, payload = _object(payload)
        closed.append(_Closed(build, payload, depth))
        return closed[-1]


def split(data: bytes) -> List[bytes]:
    """Cuts data, which is any number of values, into these, which are not decoded.

    Errors: ProtocolError.
    """
    scanner, ends = _scanner(data), [0]
    try:
        while ends[-1] < len(data):
            scanner.skip()
            ends.append(scanner.tell())
    except DAMAGE as e:
        raise damaged(e) from e
    return [data[begin:end] for begin, end in zip(ends, ends[1:])]


def _suspicious(data: bytes) -> bool:
    """Whether data may have so many headers of large arrays that it has to be checked."""
    return data.count(_LARGE_ARRAY) > _TRUSTED_ARRAYS


def _check(data: bytes) -> None:
    """Raises an error if data lacks elements that its array headers claim."""
    if _suspicious(data):
        _scanner(data).skip()


def _scanner(data: bytes) -> msgpack.Unpacker:  # pyright: ignore[reportUnknownParameterType] # untyped
    """An unpacker for skip(), which allocates nothing and checks that values are complete."""
    scanner = msgpack.Unpacker(max_buffer_size=max(len(data), 2 * MAX_VALUE_BYTES))
    scanner.feed(data)
    return scanner


def _scan_with_gaps(data: bytes) -> None:
    """As _check, for data with absent values."""
    scanner = _scanner(data)
    while (at := scanner.tell()) < len(data):
        if data[at : at + 1] == ABSENT:
            scanner.read_bytes(1)
        else:
            scanner.skip()


PLAIN, TRACKING = Decoder(False), Decoder(True)
