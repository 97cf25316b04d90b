"""The decorator cached: of all processes, one computes a result, and the others get it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, cast

from .computing import DEFAULT_LEASE, Times, default_key
from .errors import NoSuchTable
from .expiry import Duration
from .fingerprint import place_of

if TYPE_CHECKING:
    from . import aio
    from .client import Client

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_TABLE = "cached"


def cached(
    client: Union[Client, aio.Client],
    *,
    ttl: Optional[Duration] = None,
    stale: Optional[Duration] = None,
    key: Optional[Callable[..., Any]] = None,
    table: str = DEFAULT_TABLE,
    lease: Duration = DEFAULT_LEASE,
    wait: Optional[Duration] = None,
) -> Callable[[F], F]:
    """A decorator that keeps the results of a function in a table, for all processes.

    >>> @cyberdb.cached(client, ttl=60, stale=600)
    ... def report(year, full=False):
    ...     return f"the report of {year}"
    >>> report(2024), report(year=2024)  # computed once
    ('the report of 2024', 'the report of 2024')

    For each key, one caller computes and the others wait, or get the stale result: see
    CyberDict.get_or_compute, which has the same ttl, stale, lease and wait. Errors are not kept. A
    coroutine function needs a client of aio.

    The default key is the module and the name of the function, a hash of the function, and the
    arguments, in whichever way they are given. As in functools.cache, arguments that are equal, as
    1, 1.0 and True are, have one result. The hash covers the code, the defaults, the variables of
    the closure as they are when the function is decorated, the object of a method, the arguments of
    a functools.partial, and what a decorator has wrapped. Global variables, attributes, and other
    functions that it calls do not count. With key=, what key(*args, **kwargs) returns takes the
    place of the hash and the arguments. The dict is created with the first call.

    Errors: TypeError if something in the key is not hashable, or is no key of a dict in the server,
    as the self of a method: give key= then; TypeError if the function and the client do not fit;
    those of get_or_compute.
    """
    Times(ttl, stale, lease, wait)
    options = {"ttl": ttl, "stale": stale, "lease": lease, "wait": wait}

    def decorate(function: F) -> F:
        _check(client, function)
        make = _maker(function, key)
        wrap = _wrap_coroutine if inspect.iscoroutinefunction(function) else _wrap
        return cast(F, wrap(client, function, make, table, options))

    return decorate


def _check(client: Any, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"cached decorates a function, not a {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("cached cannot keep the values of a generator: return a list")
    for_asyncio = inspect.iscoroutinefunction(type(client).check)
    if for_asyncio and not inspect.iscoroutinefunction(function):
        raise TypeError("a client of cyberdb_fast.aio caches coroutine functions: use async def, or the other client")
    if not for_asyncio and inspect.iscoroutinefunction(function):
        raise TypeError("a coroutine function needs a client of cyberdb_fast.aio")


def _maker(function: Any, key: Optional[Callable[..., Any]]) -> Callable[[Any, Any], Any]:
    if key is None:
        return default_key(function)
    name = place_of(function)
    return lambda args, kwargs: (*name, key(*args, **kwargs))


def _wrap(client: Any, function: Any, make: Callable[[Any, Any], Any], table: str, options: Any) -> Any:
    proxy = client.get_proxy()
    found: Any = []

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = make(args, kwargs)

        called: Any = []

        def compute() -> Any:
            called.append(True)
            return function(*args, **kwargs)

        if found:
            try:
                return found[-1].get_or_compute(made, compute, **options)
            except NoSuchTable:  # the table was deleted, or this is the function's own error
                if called:
                    raise
        proxy.connect()
        found[:] = [proxy.create_cyberdict(table, exist_ok=True)]
        return found[-1].get_or_compute(made, compute, **options)

    return wrapper


def _wrap_coroutine(client: Any, function: Any, make: Callable[[Any, Any], Any], table: str, options: Any) -> Any:
    proxy = client.get_proxy()
    found: Any = []

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = make(args, kwargs)

        called: Any = []

        async def compute() -> Any:
            called.append(True)
            return await function(*args, **kwargs)

        if found:
            try:
                return await found[-1].get_or_compute(made, compute, **options)
            except NoSuchTable:  # the table was deleted, or this is the function's own error
                if called:
                    raise
        await proxy.connect()
        found[:] = [await proxy.create_cyberdict(table, exist_ok=True)]
        return await found[-1].get_or_compute(made, compute, **options)

    return wrapper
