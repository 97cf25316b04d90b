"""Values as codec/VALUES.md encodes them: MessagePack, with extension codes for what Python has and MessagePack lacks."""

from __future__ import annotations

from typing import Callable, Type, TypeVar

from .decoding import DAMAGE, PLAIN, TRACKING, Decoder, damaged, unpackers
from .encoding import NATIVE, encode, packers_of
from .extensions import FIRST_APPLICATION_CODE, LAST_APPLICATION_CODE, Extension, Unopened

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
    "register_type",
]

T = TypeVar("T")

decode, decode_all, decode_each, decode_some = PLAIN.one, PLAIN.all, PLAIN.each, PLAIN.some


def register_type(cls: Type[T], code: int, pack: Callable[[T], bytes], unpack: Callable[[bytes], T]) -> None:
    """Makes objects of cls storable, as values and as keys.

    The server sees code and bytes only: two are equal if these are. Register the same code for the same type in every program that shares
    a table. Errors: ValueError if code is not 64 to 127 or stands for another type; TypeError if cls is storable as it is.
    """
    if not FIRST_APPLICATION_CODE <= code <= LAST_APPLICATION_CODE:
        raise ValueError(f"code {code} is not one of an application: {FIRST_APPLICATION_CODE} to {LAST_APPLICATION_CODE}")
    if cls in NATIVE:
        raise TypeError(f"{cls.__qualname__} is storable as it is")
    for other, (taken, _) in packers_of.items():
        if taken == code and other is not cls:
            raise ValueError(f"code {code} stands for {other.__qualname__} already")
    if cls in packers_of and packers_of[cls][0] != code:
        raise ValueError(f"{cls.__qualname__} has code {packers_of[cls][0]} already")
    packers_of[cls] = (code, pack)
    unpackers[code] = unpack
