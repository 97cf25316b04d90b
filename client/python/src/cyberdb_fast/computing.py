"""Compute once: the times of get_or_compute, and the keys of cached."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Optional, Tuple

from . import requests
from .errors import CyberDBError
from .expiry import Duration, milliseconds, wait_milliseconds
from .fingerprint import fingerprint, name_of, no_key
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
    called = name_of(function)
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise TypeError(f"{called} does not say what its arguments are: give key=") from None
    name = (getattr(function, "__module__", None), getattr(function, "__qualname__", repr(type(function))))
    code = fingerprint(function)

    def key(args: Tuple[Any, ...], kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given: Any = []
        for parameter, argument in bound.arguments.items():
            more = signature.parameters[parameter].kind is inspect.Parameter.VAR_KEYWORD
            value = tuple(sorted(argument.items())) if more else argument
            if type(value) not in _ARE_KEYS:
                _check_argument(value, f"argument {parameter!r} of {called}")
            given.append(value)
        return (*name, code, tuple(given))

    return key


# The types of most arguments; their values are keys.
_ARE_KEYS = {str, int, float, bool, bytes, type(None)}


def _check_argument(value: Any, what: str) -> None:
    """Errors: TypeError for an argument that cannot be in a key."""
    try:
        hash(value)
    except TypeError as e:
        raise TypeError(f"{what} is no key: {e}: give key=") from e
    try:
        encode(value)
    except (CyberDBError, TypeError, ValueError, OverflowError) as e:
        raise no_key(what, value) from e
