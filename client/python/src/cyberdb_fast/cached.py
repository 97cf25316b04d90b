"""The decorator cached: of all processes, one computes a result, and the others get it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Protocol, Tuple, TypeVar, Union, cast

from .computing import DEFAULT_LEASE, Times, default_key
from .errors import NoSuchTable
from .expiry import Duration
from .fingerprint import fingerprint, place_of

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from . import aio
    from .client import Client

    P = ParamSpec("P")
    R = TypeVar("R")
    Result = TypeVar("Result", covariant=True)

    class CachedFunction(Protocol[P, Result]):
        """A function that cached has decorated. With asyncio, its methods are to be awaited."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
            """Returns the result of the function, perhaps of another call."""
            ...

        def __get__(self, instance: object, owner: object = None) -> Callable[..., Result]: ...

        def cache_clear(self) -> Any:
            """Deletes the results of the function from the table, for all processes."""

        def cache_info(self) -> Any:
            """Returns a CacheInfo."""


DEFAULT_TABLE = "cached"
_KEYS_PER_REQUEST = 10_000


class CacheInfo(NamedTuple):
    """What the cache_info() of a function that cached has decorated returns."""

    hits: int  # calls in this process that got a result, since the last cache_clear
    misses: int  # calls in this process that computed one
    maxsize: None
    currsize: int  # results in the table, of all processes


def cached(
    client: Union[Client, aio.Client],
    *,
    ttl: Optional[Duration] = None,
    stale: Optional[Duration] = None,
    key: Optional[Callable[..., Any]] = None,
    table: str = DEFAULT_TABLE,
    lease: Duration = DEFAULT_LEASE,
    wait: Optional[Duration] = None,
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]:
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

    The decorated function has the methods of functools.lru_cache, which read the keys of the table:
    cache_clear() deletes the results of the function, and cache_info() counts them. With asyncio,
    they are to be awaited.

    Errors: TypeError if something in the key is not hashable, or is no key of a dict in the server,
    as the self of a method: give key= then; TypeError if the function and the client do not fit;
    those of get_or_compute.
    """
    Times(ttl, stale, lease, wait)
    options = {"ttl": ttl, "stale": stale, "lease": lease, "wait": wait}

    def decorate(function: Callable[P, R]) -> CachedFunction[P, R]:
        _check(client, function)
        wrap = _wrap_coroutine if inspect.iscoroutinefunction(function) else _wrap
        return cast("CachedFunction[P, R]", wrap(client, function, key, table, options))

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


def _maker(
    function: Any, key: Optional[Callable[..., Any]]
) -> Tuple[Tuple[Any, ...], Callable[[Tuple[Any, ...], Any], Any]]:
    """How the keys of a function begin, and what makes the key of a call."""
    if key is None:
        make = default_key(function)
        return (*place_of(function), fingerprint(function)), make
    prefix = place_of(function)
    return prefix, lambda args, kwargs: (*prefix, key(*args, **kwargs))


class _Calls:
    """The calls of one function in this process."""

    hits = misses = 0

    def __init__(self, prefix: Tuple[Any, ...]) -> None:
        self._prefix = prefix

    def is_result(self, key: Any) -> bool:
        """Whether the result of a call has this key."""
        return isinstance(key, tuple) and key[: len(self._prefix)] == self._prefix

    def info(self, results: int) -> CacheInfo:
        return CacheInfo(self.hits, self.misses, None, results)


def _wrap(client: Any, function: Any, key: Any, table: str, options: Any) -> Any:
    proxy = client.get_proxy()
    found: Any = []
    prefix, make = _maker(function, key)
    calls = _Calls(prefix)

    def opened() -> Any:
        proxy.connect()
        found[:] = [proxy.create_cyberdict(table, exist_ok=True)]
        return found[-1]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = make(args, kwargs)
        called: Any = []

        def compute() -> Any:
            called.append(True)
            calls.misses += 1
            return function(*args, **kwargs)

        def result(results: Any) -> Any:
            value = results.get_or_compute(made, compute, **options)
            calls.hits += not called
            return value

        if found:
            try:
                return result(found[-1])
            except NoSuchTable:  # the table was deleted, or this is the function's own error
                if called:
                    raise
        return result(opened())

    def cache_clear() -> None:
        results = opened()
        keys = list(filter(calls.is_result, results))
        for start in range(0, len(keys), _KEYS_PER_REQUEST):
            results.delete_many(keys[start : start + _KEYS_PER_REQUEST])
        calls.hits = calls.misses = 0

    def cache_info() -> CacheInfo:
        return calls.info(sum(map(calls.is_result, opened())))

    return _with_attributes(wrapper, cache_clear, cache_info)


def _wrap_coroutine(client: Any, function: Any, key: Any, table: str, options: Any) -> Any:
    proxy = client.get_proxy()
    found: Any = []
    prefix, make = _maker(function, key)
    calls = _Calls(prefix)

    async def opened() -> Any:
        await proxy.connect()
        found[:] = [await proxy.create_cyberdict(table, exist_ok=True)]
        return found[-1]

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = make(args, kwargs)
        called: Any = []

        async def compute() -> Any:
            called.append(True)
            calls.misses += 1
            return await function(*args, **kwargs)

        async def result(results: Any) -> Any:
            value = await results.get_or_compute(made, compute, **options)
            calls.hits += not called
            return value

        if found:
            try:
                return await result(found[-1])
            except NoSuchTable:  # the table was deleted, or this is the function's own error
                if called:
                    raise
        return await result(await opened())

    async def cache_clear() -> None:
        results = await opened()
        keys = [made async for made in results if calls.is_result(made)]
        for start in range(0, len(keys), _KEYS_PER_REQUEST):
            await results.delete_many(keys[start : start + _KEYS_PER_REQUEST])
        calls.hits = calls.misses = 0

    async def cache_info() -> CacheInfo:
        results = await opened()
        return calls.info(len([made async for made in results if calls.is_result(made)]))

    return _with_attributes(wrapper, cache_clear, cache_info)


def _with_attributes(wrapper: Any, cache_clear: Any, cache_info: Any) -> Any:
    wrapper.cache_clear, wrapper.cache_info = cache_clear, cache_info
    return wrapper
