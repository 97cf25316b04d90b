"""Compute once: what get_or_compute asks for, and the keys of cached."""

from __future__ import annotations

import inspect
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Callable, Generator, Optional, Tuple

from . import dict_requests, requests
from .dict_requests import Computing
from .errors import CyberDBError, LockTimeout
from .expiry import Duration, milliseconds, wait_milliseconds
from .fingerprint import fingerprint, name_of, no_key, place_of
from .leases import Lease
from .requests import Request, WaitingRequest
from .table import preparation
from .values import encode

# The time, in seconds, after which another client takes over the computation of a lost one.
DEFAULT_LEASE = 30


class Times:
    """The times of one get_or_compute, in milliseconds."""

    def __init__(
        self,
        ttl: Optional[Duration],
        stale: Optional[Duration],
        lease: Duration,
        wait: Optional[Duration],
    ) -> None:
        """Errors: those of CyberDict.get_or_compute."""
        fresh = None if ttl is None else milliseconds(ttl, "ttl")
        longer = 0 if stale is None else wait_milliseconds(stale, "stale")
        if longer is None:
            raise ValueError("stale must be at most 100 years")
        if fresh is None and longer:
            raise ValueError("stale needs a ttl: without one, a value does not become stale")
        self.stale = longer
        self.ttl = None if fresh is None else fresh + longer
        self.lease = milliseconds(lease, "lease")
        self.wait = wait_milliseconds(wait)


# The computations in which the caller is: its own, and those of the tasks that have started it.
_inside: ContextVar[Tuple[Computation, ...]] = ContextVar("inside", default=())


class Computation:
    """One get_or_compute: its requests, and its lease."""

    def __init__(self, times: Times, t: bytes, key: Any, owner: Any, renewer: object) -> None:
        """T is the name of the table, encoded; renewer renews the leases of the client."""
        self._times, self._t, self._key = times, t, key
        self._place = (id(renewer), t, _hashable(key))
        self._runs = False
        self.lease = Lease(owner, times.lease, None)
        token = self.lease.token
        self.lease.renewing = lambda ttl: dict_requests.renew_compute(t, key, token, ttl)

    def asking(self) -> WaitingRequest[Computing]:
        """The request for the value, or for the lease to compute it.

        It does not wait for a value that the caller itself is computing.
        """
        times = self._times
        wait = 0 if self._asks_itself() else times.wait
        return dict_requests.dict_get_or_compute(self._t, self._key, self.lease.token, times.lease, times.stale, wait)

    def waited_in_vain(self) -> None:
        """Says what it means that the wait has ended; returns if it is to be waited again.

        Errors: LockTimeout; RuntimeError if the caller itself is computing the value.
        """
        if self._asks_itself():
            raise RuntimeError(f"the computation of {self._key!r} asks for its own result")
        if self._times.wait is not None:
            raise LockTimeout(f"{self._key!r} was not computed within {self._times.wait / 1000} s")

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """While the function of the caller runs."""
        before = _inside.set((*_inside.get(), self))
        self._runs = True
        try:
            yield
        finally:
            self._runs = False
            with suppress(ValueError):  # a coroutine that was left is closed elsewhere
                _inside.reset(before)

    def _asks_itself(self) -> bool:
        """Whether the caller is inside a computation of the same value."""
        return any(one._runs and one._place == self._place for one in _inside.get())

    def storing(self, value: Any, fence: int) -> Request[None]:
        """The request that stores the value, unless the lease is lost."""
        request = dict_requests.dict_set(self._t, self._key, value)
        if self._times.ttl is not None:
            requests.with_ttl(request, self._times.ttl)
        return dict_requests.if_computing(request, self._t, self._key, fence)

    def computed(self) -> Request[bool]:
        """The request that ends the lease."""
        return dict_requests.computed(self._t, self._key, self.lease.token)


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except TypeError:  # perhaps the server finds that it is no key
        return encode(key)
    return key


def unprepared(sender: Any) -> Any:
    """The sender below those that make requests durable, or fenced."""
    while preparation(sender) is not None:
        sender = sender._sender
    return sender


def default_key(function: Callable[..., Any]) -> Callable[[Tuple[Any, ...], Any], Any]:
    """Returns what makes the key of a call: from the function, its code and its arguments.

    Errors: TypeError if the function, or a variable of its closure, has no key.
    """
    called = name_of(function)
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise TypeError(f"{called} does not say what its arguments are: give key=") from None
    name, code = place_of(function), fingerprint(function)

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
