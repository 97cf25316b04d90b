"""The extension codes and limits of codec/VALUES.md, and values without a Python class."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

MAX_NESTING = 128
MAX_NUMBER_BYTES = 8192
MAX_VALUE_BYTES = 32 << 20
FIRST_APPLICATION_CODE, LAST_APPLICATION_CODE = 64, 127

# Extension codes. On the wire: do not change.
INT, TUPLE, SET, FROZENSET, BYTEARRAY, ORDERED_DICT, DATETIME, DATE, TIME, TIMEDELTA, DECIMAL = range(1, 12)
FRACTION, UUID, COMPLEX, RANGE, SLICE, DEQUE, COUNTER, DEFAULT_DICT, SINGLETON, EXCEPTION, UNOPENED = range(12, 23)

# The last argument of an exception that has attributes is slice(EXCEPTION_STATE, {name: value},
# None). On the wire: do not change.
EXCEPTION_STATE = "__dict__"
# Attributes of some exceptions that are not in their __dict__.
EXCEPTION_ATTRIBUTES = ("name", "path")


class Extension(NamedTuple):
    """A value of an application type that is not registered in this program; see register_type."""

    code: int
    data: bytes


# The first of the bytes of an object that a client has stored; the encoding of its parts follows.
# No pickle and no value begins so. On the wire: do not change.
PARTS = b"\xc1"


class Unopened(NamedTuple):
    """An object whose class is not registered in this program: its path, and the object's bytes.

    It can be stored again as it is. See register.
    """

    path: str
    data: bytes

    def __getattr__(self, name: str) -> NoReturn:
        kind = self.path.rpartition(".")[2]
        raise AttributeError(
            f"no attribute {name!r}: the object was not opened, because its class {self.path} is not registered in "
            f"this program; write cyberdb_fast.register({kind}) before it is read"
        )
