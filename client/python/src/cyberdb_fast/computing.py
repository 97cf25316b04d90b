"""Compute once: the times of get_or_compute, and the keys of cached."""

from __future__ import annotations

import functools
import hashlib
import inspect
from types import CodeType, FunctionType
from typing import Any, Callable, Optional, Tuple

from . import requests
from .errors import CyberDBError
from .expiry import Duration, milliseconds, wait_milliseconds
from .leases import Lease
from .requests import Computing, Request, WaitingRequest
from .values import encode

# The time, in seconds, after which another client takes over the computation of a lost one.
DEFAULT_LEASE = 30


class Times:
    """The times of one get_or_compute, in milliseconds."""

    def __init__(self, ttl: Optional[Duration], stale: Optional[Duration], lease: Duration) -> None:
        """Errors: those of CyberDict.get_or_compute."""
        fresh = None if ttl is None else milliseconds(ttl, "ttl")
        self._stale = 0 if stale is None else wait_milliseconds(stale, "stale")
        if self._stale is None:
            raise ValueError("stale must be at most 100 years")
        if fresh is None and self._stale:
            raise ValueError("stale needs a ttl: without one, a value does not become stale")
        self._ttl = None if fresh is None else fresh + self._stale
        self._lease = milliseconds(lease, "lease")

    def lease_for(self, t: bytes, key: Any, owner: Any) -> Lease:
        """A lease of key, which owner asks for."""
        lease = Lease(owner, self._lease, None)
        token = lease.token
        lease.renewing = lambda ttl: requests.renew_compute(t, key, token, ttl)
        return lease

    def asking(self, t: bytes, key: Any, lease: Lease) -> WaitingRequest[Computing]:
        """The request for the value, or for the lease to compute it."""
        return requests.dict_get_or_compute(t, key, lease.token, self._lease, self._stale or 0, None)

    def storing(self, t: bytes, key: Any, value: Any, fence: int) -> Request[None]:
        """The request that stores the value, unless the lease is lost."""
        request = requests.dict_set(t, key, value)
        if self._ttl is not None:
            requests.with_ttl(request, self._ttl)
        return requests.if_computing(request, t, key, fence)


def default_key(function: Callable[..., Any]) -> Callable[[Tuple[Any, ...], Any], Any]:
    """Returns what makes the key of a call: from the function, its code and its arguments.

    Errors: TypeError if the function, or a variable of its closure, has no key.
    """
    signature = inspect.signature(function)
    name = (getattr(function, "__module__", None), getattr(function, "__qualname__", repr(type(function))))
    code = _fingerprint(function)

    def key(args: Tuple[Any, ...], kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given: Any = []
        for parameter, value in bound.arguments.items():
            if signature.parameters[parameter].kind is inspect.Parameter.VAR_KEYWORD:
                given.append(tuple(sorted(value.items())))
            else:
                given.append(value)
        found = (*name, code, tuple(given))
        hash(found)  # TypeError, as of functools.cache
        return found

    return key


def _fingerprint(function: Callable[..., Any]) -> bytes:
    """A hash of the code of a function and of the variables of its closure."""
    digest = hashlib.blake2b(digest_size=16)
    _add_function(digest.update, inspect.unwrap(function), set())
    return digest.digest()


def _add_function(add: Callable[[bytes], object], function: Any, seen: Any) -> None:
    if isinstance(function, functools.partial):
        _add_value(add, (function.args, sorted(function.keywords.items())), "the arguments of the partial", seen)
        function = function.func
    function = getattr(function, "__func__", function)  # of a method
    if id(function) in seen:
        return  # it refers to itself
    seen.add(id(function))
    if not isinstance(function, FunctionType):
        add(repr(getattr(function, "__qualname__", type(function).__qualname__)).encode())
        return
    _add_code(add, function.__code__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        add(name.encode() + b"\0")
        try:
            content = cell.cell_contents
        except ValueError:  # it has no value yet
            continue
        _add_value(add, content, f"variable {name!r} of the closure of {function.__qualname__}", seen)


def _add_value(add: Callable[[bytes], object], value: Any, what: str, seen: Any) -> None:
    if isinstance(value, (FunctionType, functools.partial)):
        _add_function(add, value, seen)
    elif isinstance(value, type):
        add(f"{value.__module__}.{value.__qualname__}".encode())
    else:
        try:
            add(encode(value))
        except (CyberDBError, TypeError, ValueError, OverflowError) as e:
            raise TypeError(f"{what} is a {type(value).__name__}, which has no key: give key=") from e


def _add_code(add: Callable[[bytes], object], code: CodeType) -> None:
    add(code.co_code + b"\0")
    add(repr((code.co_names, code.co_varnames, code.co_argcount, code.co_kwonlyargcount, code.co_flags)).encode())
    for constant in code.co_consts:
        _add_constant(add, constant)


def _add_constant(add: Callable[[bytes], object], constant: Any) -> None:
    if isinstance(constant, CodeType):
        _add_code(add, constant)
    elif isinstance(constant, (tuple, frozenset)):
        items = sorted(constant, key=repr) if isinstance(constant, frozenset) else constant
        add(type(constant).__name__.encode())
        for item in items:
            _add_constant(add, item)
    else:
        add(f"{type(constant).__name__} {constant!r}\0".encode())
