"""The encoding of values: MessagePack with extension codes, see codec/VALUES.md."""

from __future__ import annotations

from typing import Callable, Type, TypeVar

from .decoding import DAMAGE, PLAIN, TRACKING, Decoder, damaged, split, unpackers
from .encoding import encode, encode_all, encode_items, encode_key, encode_keys, packers_of
from .extensions import FIRST_APPLICATION_CODE, LAST_APPLICATION_CODE, Extension, Unopened
from .objects import by_class, register, register_where, storable

__all__ = [
    "DAMAGE",
    "PLAIN",
    "TRACKING",
    "Decoder",
    "Extension",
    "Unopened",
    "damaged",
    "decode",
    "decode_all",
    "decode_each",
    "decode_some",
    "encode",
    "encode_all",
    "encode_items",
    "encode_key",
    "encode_keys",
    "register",
    "register_type",
    "register_where",
    "split",
]

T = TypeVar("T")

decode, decode_all, decode_each, decode_some = PLAIN.one, PLAIN.all, PLAIN.each, PLAIN.some


def register_type(cls: Type[T], code: int, pack: Callable[[T], bytes], unpack: Callable[[bytes], T]) -> None:
    """Makes objects of cls storable, as values and as keys.

        import struct
        from typing import NamedTuple

        class Point(NamedTuple):
            x: float
            y: float

        xy = struct.Struct("<dd")
        cyberdb.register_type(Point, 77, lambda p: xy.pack(*p), lambda b: Point(*xy.unpack(b)))

    pack encodes an object as bytes, unpack decodes it. The server sees only code and bytes: two
    objects are equal if these are equal. Register the same code for a type in all programs that
    share a table. Errors: ValueError if code is not 64 to 127 or is another type's; TypeError if
    cls can be stored without it.
    """
    if not FIRST_APPLICATION_CODE <= code <= LAST_APPLICATION_CODE:
        raise ValueError(f"code {code} is not an application code: {FIRST_APPLICATION_CODE} to {LAST_APPLICATION_CODE}")
    if cls in by_class or (cls in storable and cls not in packers_of):
        raise TypeError(f"{cls.__qualname__} can be stored without register_type")
    for other, (taken, _) in packers_of.items():
        if taken == code and other is not cls:
            raise ValueError(f"code {code} belongs to {other.__qualname__} already")
    if cls in packers_of and packers_of[cls][0] != code:
        raise ValueError(f"{cls.__qualname__} has code {packers_of[cls][0]} already")
    packers_of[cls] = (code, pack)
    storable.add(cls)
    unpackers[code] = unpack
