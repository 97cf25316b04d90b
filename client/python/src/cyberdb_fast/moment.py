"""dict(d), {**d} and f(**d) show one moment of a table, as its copy() does, in one request.

They are C code that calls d.keys(), and then d[key] for each key. A loop over d.keys() that reads d[key] does the same, and must see the
present. They differ by where they stand: C code calls both within one instruction of the caller's byte code, and a loop never does. So
keys() notes the instruction if it may be such a one; if its keys are asked for there too, the items come in one request; and d[key] there
takes the value from those, once for each key. Whatever is not recognized asks the server for each key.
"""

from __future__ import annotations

import dis
import threading
from types import CodeType, FrameType
from typing import Any, Dict, NamedTuple, Optional

from .clock import REAL

# What dict() has not asked for by then, it asks the server for.
_SECONDS = 1.0
_MERGES = frozenset(dis.opmap[name] for name in ("DICT_MERGE", "DICT_UPDATE") if name in dis.opmap)
_CALLS = frozenset(code for name, code in dis.opmap.items() if name.startswith(("CALL", "PRECALL")))
_WITHOUT_COUNT = frozenset(code for name, code in dis.opmap.items() if name == "CALL_FUNCTION_EX")


class Place(NamedTuple):
    """An instruction of a function that is being executed."""

    frame: int
    instruction: int
    code: CodeType


class _Moment(NamedTuple):
    """Items of a table that have not been asked for yet."""

    table: Any
    items: Dict[Any, Any]
    thread: int
    until: float


moments: Dict[Place, _Moment] = {}


def place_of(frame: FrameType) -> Place:
    """Where frame stands."""
    return Place(id(frame), frame.f_lasti, frame.f_code)


def merging_place(frame: FrameType) -> Optional[Place]:
    """Where frame stands if what it executes may be dict(d) or the like; None if it is d.keys()."""
    at = frame.f_lasti
    operation, argument = frame.f_code.co_code[at : at + 2] if at >= 0 else (0, 0)
    if operation in _MERGES or (operation in _CALLS and (argument > 0 or operation in _WITHOUT_COUNT)):
        return place_of(frame)
    return None


def begin(place: Place, table: Any, items: Dict[Any, Any]) -> None:
    """Keeps the items of table for d[key] at place."""
    thread = threading.get_ident()
    for other in [other for other, moment in list(moments.items()) if moment.thread == thread]:
        moments.pop(other, None)  # it was ended by an error
    if items:
        moments[place] = _Moment(table, dict(items), thread, REAL[0]() + _SECONDS)


def take(table: Any, key: Any, frame: FrameType, absent: Any) -> Any:
    """The value of key in the moment that is kept for where frame stands, or absent."""
    place = place_of(frame)
    moment = moments.get(place)
    if moment is None or moment.table is not table:
        return absent
    value = moment.items.pop(key, absent)
    if not moment.items or REAL[0]() > moment.until:
        moments.pop(place, None)
    return value
