"""Tracked containers: subclasses of list, dict, set, ... that warn when a change to them gets lost.

A value that was read is a copy, so `table["a"].append(1)` changes the copy and nothing else. A
tracked container remembers the first change. If it is dropped with a change and was not stored
again, a LostChangeWarning names the line of the change.

Tables return tracked containers if the client tracks changes: with connect(track_changes=True),
CYBERDB_TRACK_CHANGES=1, or in Python's development mode. Otherwise they return Python's own types.
A container gets a class with __del__ only when it is changed.
"""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Type

from .errors import LostChangeWarning

_LIST: Tuple[str, ...] = (
    *("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"),
    *("__setitem__", "__delitem__", "__iadd__", "__imul__"),
)
_DICT: Tuple[str, ...] = ("clear", "pop", "popitem", "setdefault", "update", "__setitem__", "__delitem__", "__ior__")
_SET: Tuple[str, ...] = (
    *("add", "clear", "discard", "pop", "remove", "update", "difference_update", "intersection_update"),
    *("symmetric_difference_update", "__iand__", "__ior__", "__isub__", "__ixor__"),
)
_DEQUE: Tuple[str, ...] = (
    *("append", "appendleft", "clear", "extend", "extendleft", "insert", "pop", "popleft", "remove", "reverse"),
    *("rotate", "__setitem__", "__delitem__", "__iadd__", "__imul__"),
)
_COUNTER = ("subtract", "__iadd__", "__isub__", "__iand__", "__ior__")
# These return a new container, which is not tracked.
_OPERATORS = (
    "__add__",
    "__mul__",
    "__rmul__",
    "__or__",
    "__ror__",
    "__and__",
    "__rand__",
    "__sub__",
    "__rsub__",
    "__xor__",
    "__rxor__",
)

_MUTATORS: Mapping[type, Tuple[str, ...]] = {
    list: _LIST,
    dict: _DICT,
    set: _SET,
    bytearray: _LIST,
    OrderedDict: (*_DICT, "move_to_end"),
    deque: _DEQUE,
    Counter: _DICT + _COUNTER,
    defaultdict: _DICT,
}

# PyPy calls __del__ only if the class had it when the object was made.
_EARLY_DEL = platform.python_implementation() == "PyPy"

_TRACKED: Dict[type, type] = {}
_CHANGED: Dict[type, type] = {}
# The plain type of each tracked class.
BASE_OF: Dict[type, type] = {}
_warned: Dict[Any, Any] = {}  # registry of the warnings module: which lines have been reported


def wanted(track_changes: Optional[bool]) -> bool:
    """Whether to track changes.

    If track_changes is None, the environment or development mode decides.
    """
    if track_changes is not None:
        return bool(track_changes)
    setting = os.environ.get("CYBERDB_TRACK_CHANGES", "").strip().lower()
    return setting not in ("0", "no", "off", "false") if setting else sys.flags.dev_mode


def _recording(name: str, base: type) -> Callable[..., Any]:
    """The method of base, which also records a change."""
    method = getattr(base, name)

    def changing(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = plain(self)
        result = method(self, *args, **kwargs)
        if args == (0,) if name == "rotate" else name != "move_to_end" and _same(before, self):
            return result  # nothing has changed
        caller = sys._getframe(1)
        self._change = (name, caller.f_code.co_filename, caller.f_lineno)
        self.__class__ = _CHANGED[base]
        return result

    changing.__name__, changing.__doc__ = name, method.__doc__
    return changing


def _same(before: Any, now: Any) -> bool:
    """Whether both contain the same objects, in the same order unless they are sets."""
    if len(before) != len(now):
        return False
    if isinstance(now, set):
        return all(one in now for one in before)
    if isinstance(now, dict):
        return all(a is c and b is d for (a, b), (c, d) in zip(before.items(), now.items()))
    return all(a is b for a, b in zip(before, now))


def _missing(self: Any, key: Any) -> Any:
    """defaultdict.__missing__.

    A value that a read creates is no change, unless it is changed later.
    """
    if self.default_factory is None:
        raise KeyError(key)
    value = self.default_factory()
    value = track(type(value)) if type(value) in _TRACKED else value
    dict.__setitem__(self, key, value)
    return value


def _operating(name: str) -> Callable[[Any, Any], Any]:
    """The operator on plain copies."""
    return lambda self, other: getattr(plain(self), name)(other)


def _warn_if_changed(self: Any) -> None:
    change = getattr(self, "_change", None)
    if change is None or sys is None or sys.is_finalizing():
        return
    name, filename, line = change
    kind = BASE_OF[type(self)].__name__
    text = (
        f"a {kind} that was read from a table was changed ({name}) and not stored again: the table lacks the change. "
        f"Assign it back (table[key] = value), or change a copy of it ({kind}(value))."
    )
    warnings.warn_explicit(text, LostChangeWarning, filename, line, registry=_warned)


def plain(value: Any) -> Any:
    """A shallow copy of a container, without tracking."""
    base = BASE_OF.get(type(value), type(value))
    if base is defaultdict:
        return defaultdict(value.default_factory, value)
    if base is deque:
        return deque(value, value.maxlen)
    return base(value)


def _reduce(self: Any, _protocol: Any = None) -> Any:
    """__reduce_ex__: copies and pickles have the plain type."""
    base = BASE_OF[type(self)]
    if base is deque:
        return base, ((), self.maxlen), None, iter(self)
    if base is list:
        return base, (), None, iter(self)
    if base is set or base is bytearray:
        return base, (bytes(self) if base is bytearray else [*self],)
    return base, (self.default_factory,) if base is defaultdict else (), None, None, iter(self.items())


def _make(base: type, names: Tuple[str, ...]) -> None:
    """Makes the two tracked classes of base. names are its mutating methods."""
    names = tuple(name for name in names if hasattr(base, name))
    common: Dict[str, Any] = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__repr__": lambda self: repr(plain(self)),
        "__str__": lambda self: repr(plain(self)),
        "__copy__": plain,
        "__reduce_ex__": _reduce,
    }
    if hasattr(base, "copy"):
        common["copy"] = plain
    common.update((name, _operating(name)) for name in _OPERATORS if hasattr(base, name))
    if base is defaultdict:
        common["__missing__"] = _missing
    watching = {name: _recording(name, base) for name in names}
    if _EARLY_DEL:
        watching["__del__"] = _warn_if_changed
    tracked = type(base.__name__, (base,), {"__slots__": ("_change",), **common, **watching})
    back = {name: getattr(base, name) for name in names}
    changed = type(
        base.__name__, (tracked,), {"__slots__": (), "__module__": base.__module__, "__del__": _warn_if_changed, **back}
    )
    _TRACKED[base], _CHANGED[base] = tracked, changed
    BASE_OF[tracked] = BASE_OF[changed] = base


for _base, _names in _MUTATORS.items():
    _make(_base, _names)

tracked_list: Type[Any] = _TRACKED[list]
tracked_dict: Type[Any] = _TRACKED[dict]


def track(base: type, *args: Any) -> Any:
    """Returns a tracked base(*args), marked as unchanged even if its constructor has filled it."""
    value = _TRACKED[base](*args)
    stored(value)
    return value


def stored(value: Any) -> None:
    """Marks a tracked container as unchanged, because it was stored in a table."""
    value.__class__ = _TRACKED[BASE_OF[type(value)]]
    value._change = None
