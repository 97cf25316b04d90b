"""Encodes values.

The packer calls Python for types that MessagePack lacks, and Python calls the packer at most once
inside such a call.

Otherwise a tuple in a tuple would be a packer in a packer for each level, and the stack of many
threads has no space for 127 of them. So such values are encoded from the inside out: an inner
object is bytes already when the packer comes to it.
"""

from __future__ import annotations

import builtins
import decimal
import fractions
import struct
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from itertools import chain
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import msgpack

from . import datetimes, objects, tracked
from . import extensions as ext
from .errors import TooLarge
from .extensions import MAX_NESTING, MAX_NUMBER_BYTES, MAX_VALUE_BYTES, Extension, Unopened


def _ext_type(code: int, payload: bytes) -> Any:
    """An extension object for the packer; msgpack's constructor takes five times as long."""
    return tuple.__new__(msgpack.ExtType, (code, payload))


_COMPLEX = struct.Struct(">dd")

# The factories that a stored defaultdict may have, because code is never sent.
FACTORIES: Dict[str, Callable[[], Any]] = {
    factory.__name__: factory
    for factory in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
}

# Application types; register_type adds them.
packers_of: Dict[type, Tuple[int, Callable[[Any], bytes]]] = {}


# ---- types without elements


def _int(value: int) -> Any:
    """An int beyond 64 bits."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    if size > MAX_NUMBER_BYTES:
        raise OverflowError(f"an int of {size} bytes, the limit is {MAX_NUMBER_BYTES}")
    return _ext_type(ext.INT, value.to_bytes(size, "big", signed=True))


def _decimal(value: decimal.Decimal) -> Any:
    text = str(value).encode()
    if len(text) > MAX_NUMBER_BYTES:
        raise OverflowError(f"a Decimal of {len(text)} bytes, the limit is {MAX_NUMBER_BYTES}")
    return _ext_type(ext.DECIMAL, text)


def _bytearray(value: bytearray) -> Any:
    if type(value) in tracked.BASE_OF:
        tracked.stored(value)
    return _ext_type(ext.BYTEARRAY, bytes(value))


LEAF_CONVERTERS: Dict[type, Callable[[Any], Any]] = {
    int: _int,
    bytearray: _bytearray,
    datetimes.CLASSES[0]: lambda value: _ext_type(ext.DATETIME, datetimes.pack_datetime(value)),
    datetimes.CLASSES[1]: lambda value: _ext_type(ext.DATE, datetimes.pack_date(value)),
    datetimes.CLASSES[2]: lambda value: _ext_type(ext.TIME, datetimes.pack_time(value)),
    datetimes.CLASSES[3]: lambda value: _ext_type(ext.TIMEDELTA, datetimes.pack_timedelta(value)),
    decimal.Decimal: _decimal,
    uuid.UUID: lambda value: _ext_type(ext.UUID, value.bytes),
    complex: lambda value: _ext_type(ext.COMPLEX, _COMPLEX.pack(value.real, value.imag)),
    type(Ellipsis): lambda _: _ext_type(ext.SINGLETON, b"\0"),
    type(NotImplemented): lambda _: _ext_type(ext.SINGLETON, b"\1"),
    Extension: lambda value: msgpack.ExtType(*value),
}


# ---- types with elements: their code, and the list or dict that is their payload


def _default_dict(value: Dict[Any, Any]) -> List[Any]:
    factory = getattr(value, "default_factory", None)
    name = None if factory is None else getattr(factory, "__name__", "")
    if name is not None and FACTORIES.get(name) is not factory:
        raise TypeError(f"a defaultdict can be stored if its factory is one of Python's own types, got {factory!r}")
    return [name, dict(value)]


def _exception(value: BaseException) -> List[Any]:
    """The name and arguments, then the attributes if there are any, such as notes."""
    arguments: Any = value.__reduce__()[1]  # for an OSError, unlike args, with its filename
    attributes = dict(vars(value))
    if isinstance(value, (ImportError, NameError, AttributeError)):
        attributes.update(
            (name, found) for name in ext.EXCEPTION_ATTRIBUTES if (found := getattr(value, name, None)) is not None
        )
    return [type(value).__name__, *arguments, *([slice(ext.EXCEPTION_STATE, attributes, None)] if attributes else [])]


# The code, or the name of a registered class, or None for list and dict; and the list or dict.
_Opened = Tuple[Union[int, str, None], Any]

_CONTAINERS: Dict[type, Tuple[Optional[int], Callable[[Any], Any]]] = {
    list: (None, list),
    dict: (None, dict),
    tuple: (ext.TUPLE, list),
    set: (ext.SET, list),
    frozenset: (ext.FROZENSET, list),
    OrderedDict: (ext.ORDERED_DICT, dict),
    Counter: (ext.COUNTER, dict),
    defaultdict: (ext.DEFAULT_DICT, _default_dict),
    deque: (ext.DEQUE, lambda value: [value.maxlen, *value]),
    slice: (ext.SLICE, lambda value: [value.start, value.stop, value.step]),
    range: (ext.RANGE, lambda value: [value.start, value.stop, value.step]),
    fractions.Fraction: (ext.FRACTION, lambda value: [value.numerator, value.denominator]),
    Unopened: (ext.UNOPENED, list),
}
_ITERABLE = frozenset({list, tuple, set, frozenset})
_MAPPINGS = frozenset({dict, OrderedDict, Counter})
_PLAIN = frozenset({list, dict})
_LIST, _DICT = {list}, {dict}
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
# The packer would write these as bytes.
_MISTAKEN = frozenset({bytearray, memoryview})
# The packer writes these directly, or with one call of _convert.
_SIMPLE = (_SCALARS | frozenset(LEAF_CONVERTERS) | {range, fractions.Fraction, Unopened}) - _MISTAKEN
# With more containers at one depth than this, _check_shared looks for shared ones.
_MANY = 10_000
objects.storable.update(_SCALARS, LEAF_CONVERTERS, _CONTAINERS)


def _open(value: Any) -> Optional[_Opened]:
    """The code and payload of a value with elements; None if it has none."""
    kind = type(value)
    if kind not in _CONTAINERS and kind in tracked.BASE_OF:
        tracked.stored(value)
        kind = tracked.BASE_OF[kind]
    if kind in _CONTAINERS:
        code, parts = _CONTAINERS[kind]
        return code, parts(value)
    if isinstance(value, BaseException) and getattr(builtins, kind.__name__, None) is kind:
        return ext.EXCEPTION, _exception(value)
    registered = objects.of_class(kind)
    return None if registered is None else (registered.name, registered.pack(value))


def _inside(value: Any) -> Any:
    """The elements of a value, None if it has none.

    Keys are not checked: they contain no list or dict.
    """
    kind = type(value)
    kind = tracked.BASE_OF.get(kind, kind)
    if kind in _ITERABLE:
        return value
    if kind in _MAPPINGS:
        return value.values()
    opened = _open(value)
    return None if opened is None else _elements(opened[1])


# ---- encoding


_idle_packers: List[msgpack.Packer] = []  # a packer is used by one thread, at one depth, at a time


def encode(value: Any) -> bytes:
    """Encodes value.

    Errors: TypeError, with the type, if value cannot be stored; ValueError if it is nested too deep
    or contains itself; OverflowError for an int of more than 8192 bytes; TooLarge.
    """
    kind = type(value)
    if kind not in _SIMPLE:
        if kind not in _PLAIN:
            value = _convert(value)
        elif _must_rewrite(value):
            value = _rewritten(value)
    try:  # _pack, inlined for speed
        packer = _idle_packers.pop()
    except IndexError:
        packer = _new_packer()
    data: bytes = packer.pack(value)
    _idle_packers.append(packer)
    if len(data) > MAX_VALUE_BYTES:
        raise _too_large(len(data))
    return data


def encode_key(key: Any) -> bytes:
    """As encode, for the key of a dict: see objects.as_key.

    Errors: those of encode; TypeError if a registered object is not hashable.
    """
    kind = type(key)
    if kind not in _SIMPLE:
        if kind in _PLAIN or objects.by_class or objects.policies:
            return encode(objects.as_key(key))
        key = _convert(key)
    try:  # as in encode
        packer = _idle_packers.pop()
    except IndexError:
        packer = _new_packer()
    data: bytes = packer.pack(key)
    _idle_packers.append(packer)
    if len(data) > MAX_VALUE_BYTES:
        raise _too_large(len(data))
    return data


def encode_all(values: List[Any]) -> bytes:
    """Encodes values one after another, in one call of the packer if that is possible."""
    if len(values) > 1 and _fit_together(values):
        data = _pack(values)
        if len(data) <= MAX_VALUE_BYTES:
            return data[1 if len(values) < 16 else 3 if len(values) < 65536 else 5 :]  # the header of an array
    return b"".join(map(encode, values))


def _fit_together(values: List[Any]) -> bool:
    """Whether the packer encodes the values of an array as it does each."""
    try:
        return not _must_rewrite(values)
    except (ValueError, TooLarge):  # each may be valid
        return False


def encode_keys(keys: List[Any]) -> bytes:
    """As encode_all, for keys of dicts."""
    return encode_all(keys) if _SIMPLE.issuperset(map(type, keys)) else b"".join(map(encode_key, keys))


def encode_items(items: Dict[Any, Any]) -> bytes:
    """Encodes keys and values in turn."""
    if _SIMPLE.issuperset(map(type, items)):
        return encode_all(list(chain.from_iterable(items.items())))
    return b"".join(chain.from_iterable(zip(map(encode_key, items), map(encode, items.values()))))


def _new_packer() -> msgpack.Packer:  # pyright: ignore[reportUnknownParameterType] # untyped
    return msgpack.Packer(default=_convert, strict_types=True, unicode_errors="surrogatepass", buf_size=4096)


def _too_large(size: int) -> TooLarge:
    return TooLarge(f"the value has {size} bytes, the limit is {MAX_VALUE_BYTES}")


def _pack(value: Any) -> bytes:
    try:
        packer = _idle_packers.pop()
    except IndexError:
        packer = _new_packer()
    data: bytes = packer.pack(value)  # a packer that fails is not reused
    _idle_packers.append(packer)
    return data


def _must_rewrite(value: Any) -> bool:
    """Whether the packer would encode something in value wrongly, or would have to call itself.

    Errors: ValueError if value is nested too deep or contains itself; TooLarge if it has more
    elements than MAX_VALUE_BYTES.
    """
    nodes, must, elements = [value], False, 0
    for depth in range(MAX_NESTING + 1):
        items, mixed = _level(nodes)
        if depth == MAX_NESTING and any(_inside(node) is not None for node in nodes):
            break
        must = must or mixed
        if _SIMPLE.issuperset(map(type, items)):
            return must
        elements += len(items)
        if elements > MAX_VALUE_BYTES:
            raise _too_large(elements)
        nodes = [item for item in items if type(item) not in _SIMPLE]
        if len(nodes) > _MANY and 2 * len(set(map(id, nodes))) < len(nodes):
            _check_shared(nodes, depth + 1, elements)
            return True
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"the value is nested more than {MAX_NESTING} deep, or contains itself")


def _check_shared(nodes: List[Any], depth: int, elements: int) -> None:
    """As _must_rewrite, for nodes of which many are the same object.

    A few lists that contain each other twice would otherwise be checked exponentially often.
    """
    times: Dict[int, Tuple[Any, int]] = {}
    for node in nodes:
        times[id(node)] = node, times.get(id(node), (node, 0))[1] + 1
    while times:
        below: Dict[int, Tuple[Any, int]] = {}
        for node, count in times.values():
            inside = _inside(node)
            if inside is None:
                continue
            if depth >= MAX_NESTING:
                raise _too_deep()
            elements += count * len(inside)
            if elements > MAX_VALUE_BYTES:
                raise _too_large(elements)
            for item in inside:
                if type(item) not in _SIMPLE:
                    below[id(item)] = item, below.get(id(item), (item, 0))[1] + count
        times, depth = below, depth + 1


def _level(nodes: List[Any]) -> Tuple[Any, bool]:
    """The elements of nodes, and whether a node or its container must be rewritten."""
    if len(nodes) == 1 and type(node := nodes[0]) in _PLAIN:
        return node.values() if type(node) is dict else node, False
    kinds = set(map(type, nodes))
    if kinds == _LIST:
        return list(chain.from_iterable(nodes)), False
    if kinds == _DICT:
        return list(chain.from_iterable(map(dict.values, nodes))), False
    items: List[Any] = []
    mixed = not kinds.isdisjoint(_MISTAKEN) or not kinds.isdisjoint(tracked.BASE_OF)
    for node in nodes:
        inside = _inside(node)
        if inside is not None:
            items += inside
            mixed = mixed or (type(node) not in _PLAIN and not _SIMPLE.issuperset(map(type, inside)))
    return items, mixed


def _rewritten(value: Any) -> Any:
    """A copy of value whose nested extension objects are encoded, from the inside out."""
    opened: Dict[
        int, Tuple[Any, Optional[_Opened]]
    ] = {}  # with the node, because an id is unique only while its object lives
    done: Dict[int, Any] = {}
    waiting = [value]
    while waiting:
        node = waiting[-1]
        if id(node) not in opened:
            opened[id(node)] = node, (one := _open(node))
            if one is not None:
                waiting += [item for item in _elements(one[1]) if type(item) not in _SIMPLE and id(item) not in opened]
            continue
        waiting.pop()
        one = opened[id(node)][1]
        if one is not None and id(node) not in done:
            code, parts = one
            replaced = _replace(parts, done)
            done[id(node)] = replaced if code is None else _extension(code, _pack(replaced))
    return _ready(value, done)


def _elements(parts: Any) -> Any:
    return parts.values() if type(parts) is dict else parts


def _replace(parts: Any, done: Dict[int, Any]) -> Any:
    if type(parts) is dict:
        return {key: _ready(item, done) for key, item in parts.items()}
    return [_ready(item, done) for item in parts]


def _ready(value: Any, done: Dict[int, Any]) -> Any:
    if type(value) in _SIMPLE:
        return value
    return done[id(value)] if id(value) in done else _convert(value)


def _extension(code: Union[int, str], payload: bytes) -> Any:
    if len(payload) > MAX_VALUE_BYTES:
        raise _too_large(len(payload))
    if isinstance(code, str):
        return _ext_type(ext.UNOPENED, _pack([code, ext.PARTS + payload]))
    return _ext_type(code, payload)


def _convert(value: Any) -> Any:
    """Returns what the packer can write instead of a value of an unknown type."""
    kind = type(value)
    converter = LEAF_CONVERTERS.get(kind)
    if converter is not None:
        return converter(value)
    opened = _open(value)
    if opened is None:
        return _convert_other(value)
    code, parts = opened
    if code is not None and not _must_rewrite(parts):
        return _extension(code, _pack(parts))
    _must_rewrite(value)  # raises an error if the value is nested too deep
    return _rewritten(value)


def _convert_other(value: Any) -> Any:
    kind = type(value)
    converter = _leaf_converter(kind)
    if converter is not None:
        return converter(value)
    if kind in packers_of:
        code, pack = packers_of[kind]
        return _ext_type(code, bytes(pack(value)))
    if kind.__module__ == "builtins":
        raise TypeError(f"objects of type '{kind.__qualname__}' cannot be stored")
    raise TypeError(
        f"objects of type '{objects.name_of(kind)}' cannot be stored; register the class: {objects.line(kind)}"
    )


def _leaf_converter(kind: type) -> Optional[Callable[[Any], Any]]:
    """The converter of a tracked bytearray, and of freezegun's datetime types."""
    if kind in tracked.BASE_OF:
        return LEAF_CONVERTERS.get(tracked.BASE_OF[kind])
    if kind.__module__ == "freezegun.api":
        return next((LEAF_CONVERTERS[base] for base in kind.__mro__ if base in LEAF_CONVERTERS), None)
    return None
