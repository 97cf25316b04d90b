"""Translates sort key functions to data, because the server runs no code.

The keys that data can express are in codec/VALUES.md: item paths, negation, len, lower, str, and
tuples of these.

A function is translated if it provably does the same as such a key. Its byte code must have only
these operations and no jump, so it does the same for every element. It may load only its argument,
constants, and Python's own len and str. Then one call with a recorder instead of an element records
every operation. Any other function is a TypeError.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import operator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple


class Untranslatable(Exception):
    """The function has no equivalent key, or none that can be proved."""


Key = Optional[List[Any]]  # see codec/VALUES.md; None: the element itself

_BUILTINS: Tuple[Tuple[Any, List[Any]], ...] = (
    (len, ["len", None]),
    (str, ["str", None]),
    (operator.neg, ["neg", None]),
    (str.lower, ["lower", None]),
    (bytes.lower, ["lower", None]),
)
# A part that is used twice is written twice, so a few operations can make an exponentially large
# key.
_MAX_PARTS = 1000

_LOADS = (
    "LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_BORROW LOAD_FAST_LOAD_FAST "
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_CONST LOAD_SMALL_INT LOAD_DEREF"
)
_STORES = "STORE_FAST STORE_FAST_STORE_FAST STORE_FAST_LOAD_FAST COPY DUP_TOP SWAP ROT_TWO ROT_THREE"
_CALLS = "PUSH_NULL PRECALL CALL CALL_FUNCTION CALL_METHOD"
_MAKES = "BINARY_SUBSCR UNARY_NEGATIVE BUILD_TUPLE BUILD_LIST RETURN_VALUE RETURN_CONST"
_IDLE = "RESUME NOP CACHE EXTENDED_ARG COPY_FREE_VARS NOT_TAKEN"
_ALLOWED = frozenset(f"{_LOADS} {_STORES} {_CALLS} {_MAKES} {_IDLE}".split())
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOOKUP_METHOD"})
# Constants from outside the function must have a type without behaviour.
_CONSTANTS = (type(None), bool, int, float, str, bytes)


def _require_straight(code: CodeType) -> List[str]:
    """The global names that code loads. Untranslatable if code is not straight-line."""
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise Untranslatable("it is a generator or a coroutine")
    names = []
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        if name == "LOAD_GLOBAL":
            names.append(argument)
        elif name in _ATTRIBUTES:
            if argument != "lower":
                raise Untranslatable(f"it uses .{argument}")
        elif name not in _ALLOWED and not (name == "BINARY_OP" and instruction.argrepr == "[]"):
            raise Untranslatable(f"it branches or computes: {name} in line {_line(code, instruction)}")
    return names


def _line(code: CodeType, instruction: dis.Instruction) -> int:
    starts = dis.findlinestarts(code)
    # From Python 3.13 on, a line may be None.
    lines = [line for start, line in starts if start <= instruction.offset and line is not None]  # pyright: ignore[reportUnnecessaryComparison]
    return lines[-1] if lines else code.co_firstlineno


def _require_constant(name: str, value: Any) -> None:
    if type(value) not in _CONSTANTS:
        raise Untranslatable(f"it uses {name}, which is not a number, str or bytes")


def _scope(function: FunctionType) -> Dict[str, Any]:
    """The globals for a call of function with a recorder.

    Untranslatable if one is not a constant.
    """
    scope: Dict[str, Any] = {"__builtins__": {}}
    own: Any = getattr(function, "__builtins__", None) or function.__globals__.get("__builtins__", builtins)
    outer = vars(own) if isinstance(own, ModuleType) else own
    if type(function.__globals__) is not dict or type(outer) is not dict:
        raise Untranslatable("its globals are not a dict")
    for name in _require_straight(function.__code__):
        value = function.__globals__[name] if name in function.__globals__ else outer.get(name)
        if value is len or value is str:
            scope[name] = _len if value is len else _str
        else:
            _require_constant(name, value)
            scope[name] = value
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        _require_constant(name, cell.cell_contents)
    for value in function.__defaults__ or ():
        _require_constant("a default argument", value)
    for name, value in (function.__kwdefaults__ or {}).items():
        _require_constant(name, value)
    return scope


class _Recorder:
    """Takes the place of an element in a call of the function, and records the operations on it."""

    __slots__ = ("key", "made", "of")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, key: Key, of: Optional[_Recorder], made: List[_Recorder]) -> None:
        self.key, self.of, self.made = key, of, made
        made.append(self)

    def _then(self, key: Key) -> _Recorder:
        return _Recorder(key, self, self.made)

    def __getitem__(self, index: Any) -> _Recorder:
        if isinstance(index, slice) or any(isinstance(part, _Recorder) for part in _parts(index)):
            raise Untranslatable("it uses a slice, or an index that depends on the element")
        if self.key is not None and self.key[0] != "path":
            raise Untranslatable("it uses an item of a computed value")
        return self._then([*(self.key or ["path"]), index])

    def __neg__(self) -> _Recorder:
        return self._then(["neg", self.key])

    def lower(self) -> _Recorder:
        return self._then(["lower", self.key])


def _parts(value: Any) -> Iterator[Any]:
    """The value and all elements of its tuples and lists. Untranslatable if there are too many."""
    waiting = [value]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        yield part
        if isinstance(part, (tuple, list)):
            waiting += part
    raise Untranslatable("its key is too large")


def _len(value: Any) -> _Recorder:
    return _applied("len", value)


def _str(value: Any) -> _Recorder:
    return _applied("str", value)


def _applied(name: str, value: Any) -> _Recorder:
    if not isinstance(value, _Recorder):
        raise Untranslatable(f"it applies {name} to something that is not a part of the element")
    return value._then([name, value.key])


def _traced(function: Callable[..., Any]) -> Key:
    """The key that function returns for a recorder. Untranslatable if it computes anything else."""
    made: List[_Recorder] = []
    result = function(_Recorder(None, None, made))
    used = {id(part) for part in _parts(result)}
    for one in reversed(made[1:]):
        if id(one) not in used:
            raise Untranslatable("it computes something that it does not return")
        used.add(id(one.of))
    return _key_of(result)


def _key_of(result: Any) -> Key:
    if isinstance(result, _Recorder):
        return result.key
    if isinstance(result, (tuple, list)):
        return ["tuple", *map(_key_of, result)]
    raise Untranslatable(f"it returns {type(result).__name__}")


def _translated(function: Any) -> Key:
    for known, its_key in _BUILTINS:
        if function is known:
            return its_key
    if type(function) is operator.itemgetter:
        return _traced(function)
    if type(function) is operator.methodcaller and (key := _traced(function)) == ["lower", None]:
        return key
    if type(function) is not FunctionType:
        raise Untranslatable(f"a {type(function).__name__} cannot be analyzed")
    scope = _scope(function)
    alike = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    alike.__kwdefaults__ = function.__kwdefaults__
    return _traced(alike)


def sort_key(function: Optional[Callable[[Any], Any]]) -> Key:
    """Translates function to a sort key; None sorts by the elements themselves.

    TypeError if it is not a function or cannot be translated.
    """
    if function is None:
        return None
    if not callable(function):
        raise TypeError(f"'{type(function).__name__}' object is not callable")
    try:
        return _translated(function)
    except Exception as e:
        raise TypeError(
            f"the server runs no code, and this sort key cannot be translated to data ({e}). "
            "Items (x[1], x['n']), -, len(), .lower(), str() "
            "and tuples of these can; for any other key use table[:] = sorted(table, key=...)"
        ) from e
