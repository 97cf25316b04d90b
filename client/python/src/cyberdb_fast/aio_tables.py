"""The tables of asyncio, and its pipelines.

cyberdict.py, cyberlist.py and pipeline.py are their counterparts.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    List,
    Optional,
    SupportsIndex,
    Tuple,
    TypeVar,
    Union,
    cast,
    overload,
)

from . import dict_requests, list_requests, opcodes
from .aio_time import current_task, finish
from .clock import MONOTONIC
from .computing import DEFAULT_LEASE, Computation, Times, unprepared
from .errors import ConnectionLost, CyberDBError, DisconCyberDBError, LockLost, VersionMismatch
from .expiry import KEEP_TTL, Duration, milliseconds, wait_milliseconds
from .frames import Reply
from .methods_aio import DictMethods, ListMethods
from .pipeline import DictPipeline, ListPipeline
from .replies import MISSING, Missing
from .requests import Request
from .result import BasePipeline, Result, set_replies, values_or_errors
from .table import preparation

K = TypeVar("K")
V = TypeVar("V")


class Pipeline(BasePipeline):
    """Requests that are sent together, at the end of `async with` or by execute().

        async with proxy.pipeline() as pipe:
            visits = pipe.on(await proxy.create_cyberdict("visits", exist_ok=True))
            home = visits.increment("home")
        print(home.value)

    Each request is atomic, and requests are applied in order. One that fails does not stop the
    others. Requests of other clients may come between.
    """

    def __init__(self, send: Callable[[List[Request[Any]]], Awaitable[List[Reply]]]) -> None:
        super().__init__()
        self._send = send

    @overload
    def on(self, table: CyberDict[K, V]) -> DictPipeline[K, V]: ...
    @overload
    def on(self, table: CyberList[V]) -> ListPipeline[V]: ...
    def on(self, table: Any) -> Any:
        """Returns a handle of a table of aio whose methods add requests and return Results."""
        if isinstance(table, CyberDict):
            return DictPipeline(self, table._t, preparation(table._sender))
        if isinstance(table, CyberList):
            return ListPipeline(self, table._t, preparation(table._sender))
        raise TypeError(f"a pipeline works on a CyberDict or a CyberList of aio, not on {type(table).__name__}")

    async def execute(self) -> List[Any]:
        """As cyberdb_fast.Pipeline.execute."""
        return values_or_errors(await self._exchange())

    async def _exchange(self) -> List[Result[Any]]:
        results = self._clear()
        if results:
            set_replies(results, await self._send([result._request for result in results]))
        return results

    async def __aenter__(self) -> Pipeline:
        return self

    async def __aexit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        if exc_type is None:
            await self._exchange()
        else:
            self._clear()


class CyberDict(DictMethods[K, V]):
    """A dict in the server: the methods of cyberdb_fast.CyberDict, to be awaited.

        visits = await proxy.create_cyberdict("visits", exist_ok=True)
        await visits.set("home", 1)
        print(await visits["home"], await visits.len(), await visits.contains("away"))
        async for page in visits:
            print(page)

    A table of asyncio has no `in`, no truth value and no assignment, which cannot be awaited.
    """

    def __getitem__(self, key: K) -> Awaitable[V]:
        return self.getitem(key)

    def __aiter__(self) -> AsyncIterator[K]:
        return self.keys()

    def keys(self) -> AsyncIterator[K]:
        """Iterates over the keys in order, as of one moment, in bounded memory."""
        return self._stream(dict_requests.stream(opcodes.DICT_KEYS, self._t))

    def values(self) -> AsyncIterator[V]:
        """Iterates over the values in order, as of one moment, in bounded memory."""
        return self._stream(dict_requests.stream(opcodes.DICT_VALUES, self._t))

    async def items(self) -> AsyncIterator[Tuple[K, V]]:
        """Iterates over the items in order, as of one moment, in bounded memory."""
        flat = self._stream(dict_requests.stream(opcodes.DICT_ITEMS, self._t))
        try:
            async for key in flat:
                yield key, await flat.__anext__()
        finally:
            await flat.aclose()

    async def modify(
        self, key: K, change: Callable[[V], V], default: Union[V, Missing] = MISSING, *, ttl: Optional[Duration] = None
    ) -> V:
        """As cyberdb_fast.CyberDict.modify."""
        on_wire = KEEP_TTL if ttl is None else milliseconds(ttl)
        while True:
            try:
                entry = await self._perform(dict_requests.dict_get_versioned(self._t, key))
            except KeyError:
                if default is MISSING:
                    raise
                entry = dict_requests.Versioned(cast(V, default), 0)
            new = change(entry.value)
            try:
                await self._perform(dict_requests.dict_set_if(self._t, key, new, entry.version, on_wire))
            except VersionMismatch:
                continue
            return new

    async def get_or_compute(
        self,
        key: K,
        function: Union[Callable[[], V], Callable[[], Awaitable[V]]],
        *,
        ttl: Optional[Duration] = None,
        stale: Optional[Duration] = None,
        lease: Duration = DEFAULT_LEASE,
        wait: Optional[Duration] = None,
    ) -> V:
        """As cyberdb_fast.CyberDict.get_or_compute. function may be a coroutine function."""
        keeper = self._sender._keeper
        times = Times(ttl, stale, lease, wait)
        one = Computation(times, self._t, key, current_task(), keeper)
        while (found := await self._perform_waiting(one.asking())).state == dict_requests.IN_VAIN:
            one.waited_in_vain()
        if found.state in (dict_requests.FRESH, dict_requests.STALE):
            return cast(V, found.value)
        one.lease.granted(MONOTONIC[0]())
        keeper.renew(one.lease)
        try:
            with one.running():
                value: Any = function()
                if inspect.isawaitable(value):
                    value = await value
            await self._store(lambda: one.storing(value, found.fence))
        finally:
            keeper.discard(one.lease)
            await finish(self._end(one))
        return cast(V, value)

    async def _store(self, storing: Callable[[], Request[None]]) -> None:
        """Stores a computed value, unless another client computes it or has."""
        try:
            try:
                await self._perform(storing())
            except ConnectionLost:
                await self._perform(storing())  # twice does what once does
        except LockLost:
            if preparation(self._sender) is not None:
                await self._perform(dict_requests.dict_len(self._t))  # LockLost, if it is the lock of a fence

    async def _end(self, one: Computation) -> None:
        """Ends the lease of a computation, also if the proxy is closed meanwhile."""
        client = unprepared(self._sender)._client
        with suppress(CyberDBError):
            try:
                try:
                    await client.perform(one.computed())
                except ConnectionLost:
                    await client.perform(one.computed())
            except DisconCyberDBError:
                client.give_back(one.computed())


class CyberList(ListMethods[V]):
    """A list in the server: the methods of cyberdb_fast.CyberList, to be awaited.

        jobs = await proxy.create_cyberlist("jobs", exist_ok=True)
        await jobs.put("report")
        job = await jobs.take(lease=60, wait=10)
        await jobs.ack(job)
        print(await jobs.len())
        async for element in jobs:
            print(element)

    A table of asyncio has no `in`, no truth value and no assignment, which cannot be awaited.
    """

    async def pop(self, index: SupportsIndex = -1, *, wait: Optional[Duration] = 0) -> V:
        """As cyberdb_fast.CyberList.pop."""
        if wait_milliseconds(wait) == 0:
            return cast(V, await self._perform(list_requests.list_pop(self._t, index)))
        return cast(V, await self._perform_waiting(list_requests.list_pop_waiting(self._t, index, wait)))

    async def popleft(self, *, wait: Optional[Duration] = 0) -> V:
        """As cyberdb_fast.CyberList.popleft."""
        if wait_milliseconds(wait) == 0:
            return cast(V, await self._perform(list_requests.list_pop_left(self._t)))
        return cast(V, await self._perform_waiting(list_requests.list_pop_left_waiting(self._t, wait)))

    @overload
    def __getitem__(self, index: SupportsIndex) -> Awaitable[V]: ...
    @overload
    def __getitem__(self, index: slice) -> Awaitable[List[V]]: ...
    def __getitem__(self, index: Any) -> Awaitable[Any]:
        return self._perform(list_requests.list_get(self._t, index))

    def __aiter__(self) -> AsyncIterator[V]:
        """Iterates over the elements in order, as of one moment, in bounded memory."""
        return self._stream(dict_requests.stream(opcodes.LIST_ALL, self._t))
