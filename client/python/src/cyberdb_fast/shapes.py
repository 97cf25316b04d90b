"""How the usual kinds of classes are taken apart and put together; see objects.py.

attrs, pydantic and numpy are recognized by their attributes, and never imported.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import ipaddress
import pathlib
import sys
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional

from . import tracked


class Shape(NamedTuple):
    """A kind of class. The parts of an object are a list or a dict."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def given(pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> Shape:
    """The shape of a class whose functions the program has given."""
    return Shape(lambda value: [pack(value)], lambda parts: unpack(_untracked(_only(parts))))


def of(cls: Any) -> Optional[Shape]:
    """The shape of a class; None if it is of no known kind."""
    for kind in (_enum, _named_tuple, _dataclass, _attrs, _pydantic, _numpy, _text, _subclass):
        shape = kind(cls)
        if shape is not None:
            return shape
    return None


def implementation(cls: Any) -> type:
    """The class of the objects that cls() makes: a Path is a PosixPath or a WindowsPath."""
    return type(cls()) if cls in _PATHS else cls


def interface(cls: type) -> type:
    """The class that a program registers for objects of cls: the inverse of implementation."""
    return next((path for path in _PATHS if type(path()) is cls), cls)


_PATHS = (pathlib.Path, pathlib.PurePath)


def _untracked(value: Any) -> Any:
    """What unpack changes in it is no lost change."""
    return tracked.plain(value) if type(value) in tracked.BASE_OF else value


def _only(parts: Any) -> Any:
    (part,) = _list(parts)
    return part


def _list(parts: Any) -> List[Any]:
    parts = _untracked(parts)
    if type(parts) is not list:
        raise TypeError(f"a list is due, got {type(parts).__name__}")
    return parts


def _dict(parts: Any) -> Dict[str, Any]:
    parts = _untracked(parts)
    if type(parts) is not dict:
        raise TypeError(f"a dict is due, got {type(parts).__name__}")
    return parts


# ---- classes with fields


def _accepts(cls: Any, names: Iterable[str]) -> bool:
    """Whether cls can be called with just these arguments, by name."""
    try:
        inspect.signature(cls).bind(**dict.fromkeys(names))
    except (TypeError, ValueError):
        return False
    return True


def _fields(cls: Any, arguments: Dict[str, str], others: Iterable[str] = ()) -> Optional[Shape]:
    """The shape of a class with fields: those that are arguments, with their names, and others."""
    names, rest = tuple(arguments), tuple(others)

    def pack(value: Any) -> Dict[str, Any]:
        return {name: getattr(value, name) for name in (*names, *rest)}

    def unpack(parts: Any) -> Any:
        fields = _dict(parts)
        late = {name: fields.pop(name) for name in rest if name in fields}
        made = cls(**{arguments.get(name, name): value for name, value in fields.items()})
        for name, value in late.items():
            object.__setattr__(made, name, value)  # a frozen one, too
        return made

    return Shape(pack, unpack) if _accepts(cls, arguments.values()) else None


def _named_tuple(cls: Any) -> Optional[Shape]:
    names: Any = getattr(cls, "_fields", None)
    if not issubclass(cls, tuple) or not isinstance(names, tuple) or not hasattr(cls, "_make"):
        return None
    return _fields(cls, {name: name for name in names})


def _dataclass(cls: Any) -> Optional[Shape]:
    if not dataclasses.is_dataclass(cls) or _base(cls) is not None:
        return None
    fields = dataclasses.fields(cls)
    return _fields(cls, {f.name: f.name for f in fields if f.init}, [f.name for f in fields if not f.init])


def _attrs(cls: Any) -> Optional[Shape]:
    fields: Any = getattr(cls, "__attrs_attrs__", None)
    if fields is None or _base(cls) is not None:
        return None
    arguments = {f.name: getattr(f, "alias", None) or f.name.lstrip("_") for f in fields if f.init}
    return _fields(cls, arguments, [f.name for f in fields if not f.init])


def _pydantic(cls: Any) -> Optional[Shape]:
    if hasattr(cls, "model_dump") and hasattr(cls, "model_validate"):
        return Shape(
            lambda value: value.model_dump(by_alias=True, round_trip=True),
            lambda parts: cls.model_validate(_dict(parts)),
        )
    if hasattr(cls, "__fields__") and hasattr(cls, "parse_obj"):  # version 1
        return Shape(lambda value: value.dict(by_alias=True), lambda parts: cls.parse_obj(_dict(parts)))
    return None


# ---- enums


def _enum(cls: Any) -> Optional[Shape]:
    if not issubclass(cls, enum.Enum):
        return None
    if issubclass(cls, enum.Flag):  # a combination has no name
        return Shape(lambda value: [value.value], lambda parts: cls(_only(parts)))
    return Shape(lambda value: [value.name], lambda parts: cls[_only(parts)])


# ---- single values


def _text(cls: Any) -> Optional[Shape]:
    """Paths and IP addresses."""
    if not issubclass(cls, (pathlib.PurePath, *_ADDRESSES)):
        return None
    return Shape(lambda value: [str(value)], lambda parts: cls(_expect(_only(parts), str)))


_ADDRESSES = (
    *(ipaddress.IPv4Address, ipaddress.IPv4Network, ipaddress.IPv4Interface),
    *(ipaddress.IPv6Address, ipaddress.IPv6Network, ipaddress.IPv6Interface),
)


def _expect(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} is due, got {type(value).__name__}")
    return value


_WHOLE = slice(None)
# The built-in classes that can be subclassed, and what makes a plain value of an object of a
# subclass, whatever that overrides.
_BASES: Dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, _WHOLE),
    bytearray: lambda value: bytearray.__getitem__(value, _WHOLE),
    list: lambda value: list.__getitem__(value, _WHOLE),
    tuple: lambda value: tuple.__getitem__(value, _WHOLE),
    dict: lambda value: dict(dict.items(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}


def _base(cls: Any) -> Optional[type]:
    """The class of _BASES of which cls is a subclass; None if it has another layout."""
    return next((base for base in _BASES if issubclass(cls, base)), None)


def _subclass(cls: Any) -> Optional[Shape]:
    base = _base(cls)
    if base is None or any(of.__dict__.get("__slots__") for of in cls.__mro__):
        return None
    if base is dict and next(of for of in cls.__mro__ if of.__module__ in ("builtins", "collections")) is not dict:
        return None  # OrderedDict, Counter and defaultdict have more than their items
    plain = _BASES[base]

    def pack(value: Any) -> List[Any]:
        attributes = getattr(value, "__dict__", None)
        if attributes:
            kind = cls.__name__
            raise TypeError(
                f"a {kind} with attributes ({', '.join(attributes)}) needs functions that store them: "
                f"cyberdb_fast.register({kind}, pack=..., unpack=...)"
            )
        return [plain(value)]

    return Shape(pack, lambda parts: cls(_expect(_only(parts), base)))


# ---- numpy


def _numpy_item(cls: Any) -> Any:
    """What item() of a scalar class of numpy returns, without its class; None for another class."""
    if cls.__module__ != "numpy" or not hasattr(cls, "dtype") or not hasattr(cls, "tobytes"):
        return None
    try:
        zero = cls()
    except (TypeError, ValueError):  # an abstract class, or void
        return None
    return zero.item() if zero.dtype.kind in "biufcSU" else zero


def _numpy(cls: Any) -> Optional[Shape]:
    zero = _numpy_item(cls)
    if zero is None:
        return None
    if type(zero) in _NUMBERS:
        kind = type(zero)
        return Shape(lambda value: [value.item()], lambda parts: cls(_expect(_only(parts), kind)))

    def unpack(parts: Any) -> Any:
        dtype, data = _list(parts)
        made = sys.modules["numpy"].frombuffer(_expect(data, bytes), _expect(dtype, str), 1)[0]
        return _expect(made, cls)

    return Shape(lambda value: [value.dtype.str, value.tobytes()], unpack)


_NUMBERS = (bool, int, float, complex, str, bytes)


# ---- keys


def key_form(cls: Any) -> Optional[Callable[[Any], Any]]:
    """What makes, of an object, the plain value that it equals; None if cls does not equal one."""
    if type(_numpy_item(cls)) in _NUMBERS:
        return lambda value: value.item()
    base = _base(cls)
    if base is None or cls.__eq__ != base.__eq__ or cls.__hash__ != base.__hash__ or cls.__hash__ is None:
        return None
    return _BASES[base]
