"""Containers that tables give out: each is the list, dict, set, ... that was stored, and warns when a change to it gets lost.

A value that was read is a copy, so `table["a"].append(1)` changes the copy and nothing else. These types remember the first change that
was made to them; one that is dropped with a change in it, and was not stored again, says so by a LostChangeWarning that names the line.

Reading costs nothing beyond the subclass: a container gets the class with a __del__ only when it is changed.
"""

from __future__ import annotations

import platform
import sys
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Callable, Dict, Mapping, Tuple, Type

from .errors import LostChangeWarning

_LIST: Tuple[str, ...] = ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort")
_LIST += ("__setitem__", "__delitem__", "__iadd__", "__imul__")
_DICT: Tuple[str, ...] = ("clear", "pop", "popitem", "setdefault", "update", "__setitem__", "__delitem__", "__ior__")
_SET: Tuple[str, ...] = ("add", "clear", "discard", "pop", "remove", "update", "difference_update", "intersection_update")
_SET += ("symmetric_difference_update", "__iand__", "__ior__", "__isub__", "__ixor__")
_DEQUE: Tuple[str, ...] = ("append", "appendleft", "clear", "extend", "extendleft", "insert", "pop", "popleft", "remove", "reverse", "rotate")
_DEQUE += ("__setitem__", "__delitem__", "__iadd__", "__imul__")
_COUNTER = ("subtract", "__iadd__", "__isub__", "__iand__")

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

# On PyPy a __del__ counts only if the object was made with it.
_EARLY_DEL = platform.python_implementation() == "PyPy"

_TRACKED: Dict[type, type] = {}
_CHANGED: Dict[type, type] = {}
# The plain type of each class below.
BASE_OF: Dict[type, type] = {}
_warned: Dict[Any, Any] = {}  # which lines have been named, as the warnings module keeps it


def _recording(name: str, base: type) -> Callable[..., Any]:
    method = getattr(base, name)

    def changing(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        caller = sys._getframe(1)
        self._change = (name, caller.f_code.co_filename, caller.f_lineno)
        self.__class__ = _CHANGED[base]
        return result

    changing.__name__, changing.__doc__ = name, method.__doc__
    return changing


def _warn_if_changed(self: Any) -> None:
    change = getattr(self, "_change", None)
    if change is None or sys is None or sys.is_finalizing():
        return
    name, filename, line = change
    kind = BASE_OF[type(self)].__name__
    text = (
        f"a {kind} that was read from a table was changed ({name}) and then dropped: the table does not have the change. "
        f"Assign it back (table[key] = value), or change a copy of it ({kind}(value))."
    )
    warnings.warn_explicit(text, LostChangeWarning, filename, line, registry=_warned)


def plain(value: Any) -> Any:
    """A shallow copy of a tracked container as the type that it stands for."""
    base = BASE_OF[type(value)]
    if base is defaultdict:
        return defaultdict(value.default_factory, value)
    if base is deque:
        return deque(value, value.maxlen)
    return base(value)


def _reduce(self: Any, _protocol: Any = None) -> Any:
    """Copies and pickles are of the plain type."""
    base = BASE_OF[type(self)]
    if base is deque:
        return base, ((), self.maxlen), None, iter(self)
    if base is list:
        return base, (), None, iter(self)
    if base is set or base is bytearray:
        return base, (bytes(self) if base is bytearray else [*self],)
    return base, (self.default_factory,) if base is defaultdict else (), None, None, iter(self.items())


def _make(base: type, names: Tuple[str, ...]) -> None:
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
    watching = {name: _recording(name, base) for name in names}
    if _EARLY_DEL:
        watching["__del__"] = _warn_if_changed
    tracked = type(base.__name__, (base,), {"__slots__": ("_change",), **common, **watching})
    back = {name: getattr(base, name) for name in names}
    changed = type(base.__name__, (tracked,), {"__slots__": (), "__module__": base.__module__, "__del__": _warn_if_changed, **back})
    _TRACKED[base], _CHANGED[base] = tracked, changed
    BASE_OF[tracked] = BASE_OF[changed] = base


for _base, _names in _MUTATORS.items():
    _make(_base, _names)

tracked_list: Type[Any] = _TRACKED[list]
tracked_dict: Type[Any] = _TRACKED[dict]


def track(base: type, *args: Any) -> Any:
    """A tracked base(*args). Some are filled by their own methods, and must not count as changed for that."""
    value = _TRACKED[base](*args)
    stored(value)
    return value


def stored(value: Any) -> None:
    """Takes note that a tracked container was written to a table as it is now."""
    value.__class__ = _TRACKED[BASE_OF[type(value)]]
    value._change = None
