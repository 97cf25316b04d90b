"""Snapshots for dict(d), {**d} and f(**d): they read a CyberDict in one request.

These operations are C code that calls d.keys() and then d[key] for each key. A loop over d.keys()
that reads d[key] makes the same calls but must see current values. The call site tells them apart:
C code makes all calls within one instruction of the caller's byte code, and a loop never does. So
keys() records the instruction if it may be such an operation. If the keys are iterated at the same
site, the items are read in one request and kept as a snapshot. d[key] at that site takes each value
from the snapshot, once. In all other cases d[key] asks the server.
"""

from __future__ import annotations

import dis
import threading
from types import CodeType, FrameType
from typing import Any, Dict, NamedTuple, Optional

from .clock import MONOTONIC

# A snapshot is used for this time. Afterwards d[key] asks the server.
_SECONDS = 1.0
_MERGES = frozenset(dis.opmap[name] for name in ("DICT_MERGE", "DICT_UPDATE") if name in dis.opmap)
_CALLS = frozenset(code for name, code in dis.opmap.items() if name.startswith(("CALL", "PRECALL")))
_WITHOUT_COUNT = frozenset(code for name, code in dis.opmap.items() if name == "CALL_FUNCTION_EX")


class CallSite(NamedTuple):
    """An instruction of a function call that is being executed."""

    frame: int
    instruction: int
    code: CodeType


class _Snapshot(NamedTuple):
    """The items of a table that have not been taken yet."""

    table: Any
    items: Dict[Any, Any]
    thread: int
    until: float


snapshots: Dict[CallSite, _Snapshot] = {}


def call_site(frame: FrameType) -> CallSite:
    """The current instruction of frame."""
    return CallSite(id(frame), frame.f_lasti, frame.f_code)


def merge_site(frame: FrameType) -> Optional[CallSite]:
    """The current instruction of frame if it may be dict(d) or the like; None if it is d.keys()."""
    at = frame.f_lasti
    operation, argument = frame.f_code.co_code[at : at + 2] if at >= 0 else (0, 0)
    if operation in _MERGES or (operation in _CALLS and (argument > 0 or operation in _WITHOUT_COUNT)):
        return call_site(frame)
    return None


def keep(site: CallSite, table: Any, items: Dict[Any, Any]) -> None:
    """Keeps the items of table as the snapshot for d[key] at site."""
    thread = threading.get_ident()
    for other in [other for other, snapshot in list(snapshots.items()) if snapshot.thread == thread]:
        snapshots.pop(other, None)  # left behind after an error
    if items:
        snapshots[site] = _Snapshot(table, dict(items), thread, MONOTONIC[0]() + _SECONDS)


def take(table: Any, key: Any, frame: FrameType, absent: Any) -> Any:
    """Takes the value of key from the snapshot for frame's instruction, or returns absent."""
    site = call_site(frame)
    snapshot = snapshots.get(site)
    if snapshot is None or snapshot.table is not table:
        return absent
    value = snapshot.items.pop(key, absent)
    if not snapshot.items or MONOTONIC[0]() > snapshot.until:
        snapshots.pop(site, None)
    return value
