"""The classes of a program whose objects can be stored: codec/VALUES.md, "Objects".

An object is stored as the name of its class and its parts, a list or a dict of values. register
says how a class is taken apart and put together; for the usual kinds of classes, shapes.py knows.
"""

from __future__ import annotations

import reprlib
import sys
from types import ModuleType
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Type, TypeVar, overload

from . import shapes, tracked
from .errors import UnpackError

T = TypeVar("T")

MAX_NAME_BYTES = 255
# The maximum nesting depth of a key, in the server.
MAX_KEY_DEPTH = 16


class Class:
    """A registered class.

    name     on the wire
    pack     takes an object apart: a list, or a dict
    unpack   makes an object of its parts
    as_key   the plain value that an object equals, as which it is a key; None: it equals none
    """

    def __init__(self, cls: type, name: str, shape: shapes.Shape) -> None:
        self.cls, self.name = cls, name
        self.pack, self.unpack, self.as_key = shape.pack, shape.unpack, shapes.key_form(cls)

    def build(self, parts: Any) -> Any:
        """The object of these parts. Errors: UnpackError."""
        try:
            return self.unpack(parts)
        except Exception as e:
            raise UnpackError(
                f"{self.name} cannot be made of {reprlib.repr(parts)}: {type(e).__name__}: {e}", parts
            ) from e


# The classes that can be stored without register; encoding.py and register_type add them.
storable: Set[type] = set()
by_class: Dict[type, Class] = {}
by_name: Dict[str, Class] = {}
policies: List[Callable[[type], bool]] = []


def name_of(cls: type) -> str:
    """The module and qualified name of a class, the same in all Pythons and spawned processes."""
    module = {"__mp_main__": "__main__", "pathlib._local": "pathlib"}.get(cls.__module__, cls.__module__)
    return f"{module}.{cls.__qualname__}"


@overload
def register(
    cls: Type[T],
    *,
    name: Optional[str] = None,
    pack: Optional[Callable[[T], Any]] = None,
    unpack: Optional[Callable[[Any], T]] = None,
) -> Type[T]: ...
@overload
def register(
    *,
    name: Optional[str] = None,
    pack: Optional[Callable[[Any], Any]] = None,
    unpack: Optional[Callable[[Any], Any]] = None,
) -> Callable[[Type[T]], Type[T]]: ...
def register(cls: Any = None, *, name: Any = None, pack: Any = None, unpack: Any = None) -> Any:
    """Makes objects of cls storable, in all clients of this process; returns cls.

        from dataclasses import dataclass

        @cyberdb.register
        @dataclass
        class User:
            name: str

    It knows dataclasses, enums, named tuples, attrs classes, pydantic models, subclasses of int,
    float, complex, str, bytes, bytearray, list, tuple, dict, set and frozenset, paths, IP addresses
    and numpy's scalars. For another class, pack returns a value that can be stored, and unpack
    makes an object of it. Objects are read by calling the class or unpack, never as pickles.

    name is what is stored; it is the class's module and qualified name if it is not given. Programs
    that share a table have to register the class under the same name. Where it is not registered,
    its objects are read as Unopened. A class that is defined again, as in a notebook, replaces the
    first one.

    Errors: TypeError if the class is of none of these kinds and pack and unpack are not given, or
    if it can be stored without; ValueError if the name belongs to another class, or is not stable.
    """
    if cls is None:
        return lambda cls: register(cls, name=name, pack=pack, unpack=unpack)
    if not isinstance(cls, type):
        raise TypeError(f"register takes a class, got an object of type {type(cls).__name__}")
    if (pack is None) != (unpack is None):
        raise TypeError("pack and unpack are given together")
    if cls in storable:
        raise TypeError(f"{name_of(cls)} can be stored without register")
    full_name: str = name_of(cls) if name is None else name
    if name is None and "<locals>" in full_name:
        raise ValueError(f"{full_name} is defined in a function, so its name is not stable: give another one, name=...")
    if not isinstance(full_name, str) or not 0 < len(full_name.encode("utf-8", "replace")) <= MAX_NAME_BYTES:
        raise ValueError(f"name is a text of at most {MAX_NAME_BYTES} bytes, got {full_name!r}")
    taken = by_name.get(full_name)
    if taken is not None and name_of(taken.cls) != name_of(cls):
        raise ValueError(f"the name {full_name!r} belongs to {name_of(taken.cls)} already: give another one, name=...")
    known = by_class.get(shapes.implementation(cls))
    if known is not None and known.name != full_name:
        raise ValueError(f"{name_of(cls)} is registered under the name {known.name!r} already")
    shape = shapes.given(pack, unpack) if pack is not None else shapes.of(cls)
    if shape is None:
        raise TypeError(f"{name_of(cls)} is no kind of class that register knows: {line(cls)}")
    registered = Class(cls, full_name, shape)
    by_class[shapes.implementation(cls)] = registered
    by_name[full_name] = registered
    return cls


def register_where(accepts: Callable[[type], bool]) -> None:
    """Registers classes when their objects are first stored or read, if accepts(cls) is true.

        cyberdb.register_where(lambda cls: cls.__module__.startswith("shop."))

    A class that is read has to be in a module that is imported already: no name that comes from a
    table imports anything. Errors, when an object is stored: those of register.
    """
    policies.append(accepts)


def line(cls: type) -> str:
    """The line that registers cls."""
    how = "" if shapes.of(cls) else ", pack=..., unpack=..."
    return f"cyberdb_fast.register({shapes.interface(cls).__name__}{how})"


def of_class(cls: type) -> Optional[Class]:
    """What cls is registered as; None if it is not. Errors: ValueError of register, by a policy."""
    found = by_class.get(cls)
    if found is not None or not policies or cls in storable or cls in tracked.BASE_OF:
        return found
    if any(accepts(cls) for accepts in policies) and shapes.of(cls) is not None:
        register(cls)
    return by_class.get(cls)


def of_name(name: str) -> Optional[Class]:
    """The class that is registered under this name; None if there is none."""
    found = by_name.get(name)
    if found is None and policies and (cls := _imported(name)) is not None:
        try:
            return of_class(cls)
        except ValueError:  # of register: its objects are left unopened
            return None
    return found


def _imported(name: str) -> Optional[type]:
    """The class of that module and qualified name, if the module is imported. Runs no code."""
    parts = name.split(".") if len(name) <= MAX_NAME_BYTES else []
    for at in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:at]))
        for part in parts[at:]:
            found = _names_in(found).get(part)
        cls: Optional[type] = found if issubclass(type(found), type) else None
        if cls is not None and name_of(cls) == name:
            return cls
    return None


def _names_in(found: Any) -> Mapping[str, Any]:
    """The names in a module or class. It asks neither: a lazy module would be imported then."""
    own: Any = next((kind for kind in (type, ModuleType) if issubclass(type(found), kind)), None)
    names: Mapping[str, Any] = {} if own is None else vars(own)["__dict__"].__get__(found)
    return names


def as_key(key: Any, depth: int = 0) -> Any:
    """The value that is stored for a key: for an object that equals a plain value, that value.

    So Python's own rule holds: a member of an IntEnum and its number are one key. Errors: TypeError
    if an object is not hashable.
    """
    kind = type(key)
    if kind is tuple or kind is frozenset:
        return key if depth > MAX_KEY_DEPTH else kind(as_key(part, depth + 1) for part in key)
    found = of_class(kind)
    if found is None:
        return key
    hash(key)
    return key if found.as_key is None else as_key(found.as_key(key), depth + 1)
