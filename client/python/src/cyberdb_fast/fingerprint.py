"""Fingerprints of functions: the same in every process, and different for functions that differ."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, OrderedDict, deque
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Dict, Iterable, Tuple

from .errors import CyberDBError
from .values import encode

_LRU_CACHE = type(functools.lru_cache(maxsize=None)(int))
_DESCRIPTORS = (MethodDescriptorType, WrapperDescriptorType)
_SEQUENCES, _MAPPINGS, _SETS = (tuple, list, deque), (dict, OrderedDict, Counter), (set, frozenset)
_CALLABLES = (
    FunctionType,
    MethodType,
    functools.partial,
    BuiltinFunctionType,
    _LRU_CACHE,
    *_DESCRIPTORS,
)


def fingerprint(function: Any) -> bytes:
    """A hash of a function: of its code, its defaults, the variables of its closure.

    It also covers the object of a method, the arguments of a partial, and each function that a
    decorator has wrapped. Errors: TypeError for something that has no fingerprint.
    """
    found = _Fingerprint()
    name = name_of(function)
    try:
        found.function(function, name)
    except RecursionError:
        raise no_key(f"what {name} refers to", function) from None
    return found.digest()


def name_of(function: Any) -> str:
    """The qualified name of a function, or what it is."""
    return str(getattr(function, "__qualname__", None) or f"this {type(function).__name__}")


def place_of(function: Any) -> Tuple[Any, str]:
    """The module and the qualified name of a function; of a partial, those of its function."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__module__", None), getattr(function, "__qualname__", repr(type(function)))


def no_key(what: str, value: Any) -> TypeError:
    """The error for a value of which no key can be made."""
    return TypeError(f"{what} is a {type(value).__name__}, which has no key: give key=")


class _Fingerprint:
    """A hash of a sequence of parts. Each part has its kind and its length before it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._seen: Dict[int, int] = {}  # functions, by id, and which in turn they were

    def digest(self) -> bytes:
        return self._hash.digest()

    def _add(self, kind: str, data: bytes = b"") -> None:
        self._hash.update(f"{kind} {len(data)}:".encode() + data)

    def function(self, function: Any, what: str) -> None:
        """Adds something that can be called. what names it in errors."""
        if id(function) in self._seen:  # it refers to itself
            self._add("seen", str(self._seen[id(function)]).encode())
            return
        self._seen[id(function)] = len(self._seen)
        if hasattr(function, "cache_info") and hasattr(function, "__wrapped__"):  # functools.cache
            self._add("cache")
            self.value(function.__wrapped__, what)
        elif isinstance(function, FunctionType) and isinstance(function.__code__, CodeType):
            self._python(function)
        elif isinstance(function, functools.partial):
            self._add("partial")
            self.value((function.args, function.keywords), f"the arguments of {what}")
            self.value(function.func, what)
        elif isinstance(function, MethodType):
            self._add("method")
            self.value(function.__self__, f"the object of the method {function.__qualname__}")
            self.value(function.__func__, what)
        elif isinstance(function, (BuiltinFunctionType, FunctionType, *_DESCRIPTORS)):  # PyPy: all are functions
            self._builtin(function)
        elif isinstance(function, type):
            self._class(function, what)
        else:
            raise no_key(what, function)

    def _python(self, function: FunctionType) -> None:
        name = function.__qualname__
        self._add("function", f"{function.__module__}.{name}".encode())
        self._code(function.__code__)
        self.value((function.__defaults__, function.__kwdefaults__), f"a default of {name}")
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            self._add("variable", variable.encode())
            try:
                content = cell.cell_contents
            except ValueError:  # it has no value yet
                continue
            self.value(content, f"variable {variable!r} of the closure of {name}")
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self._add("wrapped")
            self.value(wrapped, f"what {name} wraps")

    def _builtin(self, function: Any) -> None:
        owner = getattr(function, "__self__", None)
        self._add("builtin", f"{getattr(function, '__module__', '')}.{function.__qualname__}".encode())
        if isinstance(function, _DESCRIPTORS):
            self._class(function.__objclass__, function.__qualname__)
        elif owner is not None and not isinstance(owner, ModuleType):
            self.value(owner, f"the object of the method {function.__qualname__}")

    def _class(self, cls: type, what: str) -> None:
        """Adds a class, by its name, which a class that a function has made may share."""
        if "<locals>" in cls.__qualname__:
            raise TypeError(f"{what} is the class {cls.__qualname__} of a function, which has no key: give key=")
        self._add("class", f"{cls.__module__}.{cls.__qualname__}".encode())

    def value(self, value: Any, what: str) -> None:
        """Adds a value: a constant, an argument, the content of a variable."""
        if isinstance(value, (*_CALLABLES, type)):
            self.function(value, what)
        elif type(value) in _SEQUENCES:
            self._values(type(value).__name__, value, what)
        elif type(value) in _MAPPINGS:
            self._values(type(value).__name__, [part for item in value.items() for part in item], what)
        elif type(value) in _SETS:
            self._unordered(value, what)
        elif isinstance(value, CodeType):
            self._code(value)
        elif isinstance(value, ModuleType):
            self._add("module", value.__name__.encode())
        else:
            self._encoded(value, what)

    def _values(self, kind: str, values: Any, what: str) -> None:
        self._add(kind, str(len(values)).encode())
        for value in values:
            self.value(value, what)

    def _unordered(self, values: Iterable[Any], what: str) -> None:
        """Adds a set, whose order differs from process to process."""
        elements = sorted(_of_element(value, what) for value in values)
        self._add(type(values).__name__, b"".join(elements))

    def _encoded(self, value: Any, what: str) -> None:
        try:
            self._add("value", encode(value))
        except (CyberDBError, TypeError, ValueError, OverflowError) as e:
            raise no_key(what, value) from e

    def _code(self, code: CodeType) -> None:
        self._add("code", code.co_code)
        self._add("exceptions", getattr(code, "co_exceptiontable", b""))
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
        self._values("names", (*counts, *names), "the code")
        self._values("constants", code.co_consts, f"a constant of {code.co_name}")


def _of_element(value: Any, what: str) -> bytes:
    found = _Fingerprint()
    found.value(value, what)
    return found.digest()
