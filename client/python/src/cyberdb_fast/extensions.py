"""Extension codes, the values that have no class here, and the limits of codec/VALUES.md."""

from __future__ import annotations

from typing import NamedTuple

MAX_NESTING = 128
MAX_NUMBER_BYTES = 8192
MAX_VALUE_BYTES = 32 << 20
FIRST_APPLICATION_CODE, LAST_APPLICATION_CODE = 64, 127

# Extension codes. On the wire: do not change.
INT, TUPLE, SET, FROZENSET, BYTEARRAY, ORDERED_DICT, DATETIME, DATE, TIME, TIMEDELTA, DECIMAL = range(1, 12)
FRACTION, UUID, COMPLEX, RANGE, SLICE, DEQUE, COUNTER, DEFAULT_DICT, SINGLETON, EXCEPTION, UNOPENED = range(12, 23)

# The last argument of an exception that has attributes is slice(EXCEPTION_STATE, {name: value}, None). On the wire: do not change.
EXCEPTION_STATE = "__dict__"
# Attributes that Python gives to some exceptions, and that are not in their __dict__.
EXCEPTION_ATTRIBUTES = ("name", "path")


class Extension(NamedTuple):
    """A value of an application type that is not registered here: register_type opens it."""

    code: int
    data: bytes


class Unopened(NamedTuple):
    """An object that is kept unopened: the path of its class, and its bytes."""

    path: str
    data: bytes
