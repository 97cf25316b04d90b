"""Sort keys are data, never code: a function is called once with a recorder, and what it does to it is the key.

The keys that data can say are those of codec/VALUES.md: item paths, negation, len, lower, str, and tuples of these.
"""

from __future__ import annotations

import builtins
import dis
import operator
import secrets
from types import CodeType, FunctionType
from typing import Any, Callable, Dict, List, Optional

_BUILTINS: Dict[Any, List[Any]] = {len: ["len", None], str: ["str", None], str.lower: ["lower", None], bytes.lower: ["lower", None]}


class Untranslatable(Exception):
    """The function does what no key says."""


# What runs the same for every element can be known from one call: no jumps, and nothing called that might have some.
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])
_KNOWN = (operator.itemgetter, operator.methodcaller)


def _require_straight(function: Any) -> None:
    """Raises Untranslatable if function may do another thing for another element."""
    if isinstance(function, _KNOWN) or function is operator.neg:
        return
    if not isinstance(function, FunctionType):
        raise Untranslatable("it is no function of Python's own kind")
    code: CodeType = function.__code__
    if any(instruction.opcode in _JUMPS for instruction in dis.get_instructions(code)):
        raise Untranslatable("it decides by the element")
    scope = {**vars(builtins), **function.__globals__}
    named = {name: scope.get(name) for name in code.co_names}
    named.update(zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ())))
    for name, value in named.items():
        if callable(value) and value is not len and value is not str:
            raise Untranslatable(f"it calls {name}")


class _Trace:
    """One call of a key function. len() can only return an int, so each gets a number of its own that nothing else has."""

    def __init__(self) -> None:
        self.lengths: Dict[int, List[Any]] = {}

    def length_of(self, key: Any) -> int:
        number = secrets.randbits(60) | 1 << 60
        self.lengths[number] = ["len", key]
        return number

    def key_of(self, result: Any) -> Any:
        """The key that belongs to what the function returned."""
        if isinstance(result, (_Recorder, _Text)):
            return result._key
        if isinstance(result, (tuple, list)):
            return ["tuple", *map(self.key_of, result)]
        if type(result) is int and abs(result) in self.lengths:
            key = self.lengths[abs(result)]
            return key if result > 0 else ["neg", key]
        raise Untranslatable(f"it returns {type(result).__name__}")


class _Recorder:
    """Stands for an element, or for what was made of it."""

    __slots__ = ("_key", "_trace")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trace: _Trace, key: Any) -> None:
        self._trace, self._key = trace, key

    def __getitem__(self, index: Any) -> _Recorder:
        if isinstance(index, (slice, _Recorder, _Text)):
            raise Untranslatable("it takes a slice, or an index that depends on the element")
        path = self._key if isinstance(self._key, list) and self._key[0] == "path" else None
        if path is None and self._key is not None:
            raise Untranslatable("it takes an item of what it made")
        return _Recorder(self._trace, [*(path or ["path"]), index])

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise Untranslatable("it asks for the element's type")

    def __neg__(self) -> _Recorder:
        return _Recorder(self._trace, ["neg", self._key])

    def __len__(self) -> int:
        return self._trace.length_of(self._key)

    def __str__(self) -> str:
        return _Text(self._trace, ["str", self._key])

    def lower(self) -> _Recorder:
        return _Recorder(self._trace, ["lower", self._key])

    def __getattr__(self, name: str) -> Any:
        raise Untranslatable(f"it uses .{name}")

    def _refuse(self, *_: Any) -> Any:
        raise Untranslatable("it computes with the element")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __iter__ = __bool__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __mod__ = __call__ = _refuse
    __int__ = __float__ = __index__ = __repr__ = __format__ = _refuse


class _Text(str):  # noqa: SLOT000 # PyPy has no slots for it
    """What str() of a recorder returns: it must be a str."""

    _key: Any
    _trace: _Trace

    def __new__(cls, trace: _Trace, key: Any) -> _Text:
        text = super().__new__(cls, f"<{secrets.token_hex(8)}>")
        text._trace, text._key = trace, key
        return text

    def lower(self) -> Any:
        return _Recorder(self._trace, ["lower", self._key])

    def __len__(self) -> int:
        return self._trace.length_of(self._key)


def sort_key(function: Optional[Callable[[Any], Any]]) -> Any:
    """The sort key that does what function does; None sorts the elements themselves.

    Errors: TypeError if it is no function, or does what data cannot say.
    """
    if function is None:
        return None
    if not callable(function):
        raise TypeError(f"'{type(function).__name__}' object is not callable")
    try:
        if function in _BUILTINS:
            return _BUILTINS[function]
    except TypeError:
        pass  # a callable that has no hash
    trace = _Trace()
    try:
        _require_straight(function)
        return trace.key_of(function(_Recorder(trace, None)))
    except Exception as e:
        raise TypeError(
            f"the server runs no code, and this sort key cannot be said as data ({e}). Items (x[1], x['n']), -, len(), .lower(), str() "
            "and tuples of these can; for any other key use  table[:] = sorted(table, key=...)"
        ) from e
