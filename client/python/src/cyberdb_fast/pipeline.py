"""Pipelines: many requests in one write and one wait."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, Generic, Iterable, List, Mapping, Optional, SupportsIndex, Tuple, TypeVar, Union, overload

from . import requests
from .cyberdict import CyberDict, as_dict, updates
from .cyberlist import CyberList
from .frames import Reply
from .requests import MISSING, Request, durable
from .table import Durable

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Result(Generic[T]):
    """What becomes of one request of a pipeline."""

    __slots__ = ("_reply", "_request")

    def __init__(self, request: Request[T]) -> None:
        self._request = request
        self._reply: Optional[Reply] = None

    @property
    def value(self) -> T:
        """The request's result, or its own error, raised. RuntimeError if the pipeline has not been executed."""
        if self._reply is None:
            raise RuntimeError("the pipeline has not been executed")
        return self._request.result(self._reply)

    @property
    def error(self) -> Optional[Exception]:
        """The request's own error, or None."""
        try:
            self.value  # noqa: B018 # it may raise
        except Exception as e:
            return e
        return None


class Batch:
    """What the pipelines for sockets and for asyncio have in common: requests, and what becomes of them."""

    def __init__(self) -> None:
        self._results: List[Result[Any]] = []

    def adding_for(self, durably: bool) -> Callable[[Request[T]], Result[T]]:
        """What adds the requests for a table, or for a durable one."""
        return self._add_durable if durably else self.add

    def add(self, request: Request[T]) -> Result[T]:
        """Adds one request."""
        result = Result(request)
        self._results.append(result)
        return result

    def _add_durable(self, request: Request[T]) -> Result[T]:
        return self.add(durable(request))

    def __len__(self) -> int:
        return len(self._results)

    def _take(self) -> List[Result[Any]]:
        results, self._results = self._results, []
        return results


def settle(results: List[Result[Any]], replies: List[Reply]) -> None:
    """Gives each its reply."""
    for result, reply in zip(results, replies):
        result._reply = reply


def values_or_errors(results: List[Result[Any]]) -> List[Any]:
    """The values of results, with the errors of those that failed in their places."""
    values: List[Any] = []
    for result in results:
        try:
            values.append(result.value)
        except Exception as e:
            values.append(e)
    return values


class Pipeline(Batch):
    """Requests that are sent together, at the end of `with` or by execute().

        with proxy.pipeline() as pipe:
            visits = pipe.on(proxy.get_cyberdict("visits"))
            for page in pages:
                visits.increment(page)
            home = visits.get("home")
        print(home.value)

    Each request is atomic and takes effect in its turn; one that fails does not stop the others; those of other clients may come between.
    """

    def __init__(self, send: Callable[[List[Request[Any]]], List[Reply]]) -> None:
        super().__init__()
        self._send = send

    @overload
    def on(self, table: CyberDict[K, V]) -> DictPipeline[K, V]: ...
    @overload
    def on(self, table: CyberList[V]) -> ListPipeline[V]: ...
    def on(self, table: Any) -> Any:
        """The pipeline's view of a CyberDict or CyberList: its methods return Results."""
        if isinstance(table, CyberDict):
            return DictPipeline(self, table._t, isinstance(table._sender, Durable))
        if isinstance(table, CyberList):
            return ListPipeline(self, table._t, isinstance(table._sender, Durable))
        raise TypeError(f"a pipeline works on a CyberDict or a CyberList, not on {type(table).__name__}")

    def execute(self) -> List[Any]:
        """Sends what was added, and returns the results in order, with the errors of those that failed in their places.

        Errors: those of the connection; the requests may or may not have been applied then.
        """
        return values_or_errors(self._exchange())

    def _exchange(self) -> List[Result[Any]]:
        results = self._take()
        if results:
            settle(results, self._send([result._request for result in results]))
        return results

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        if exc_type is None:
            self._exchange()
        else:
            self._take()


class DictPipeline(Generic[K, V]):
    """The methods of a CyberDict, as requests of a pipeline."""

    def __init__(self, batch: Batch, t: bytes, durably: bool) -> None:
        self._add, self._t = batch.adding_for(durably), t

    def getitem(self, key: K) -> Result[V]:
        return self._add(requests.dict_get(self._t, key))

    def get(self, key: K, default: Any = None) -> Result[Any]:
        return self._add(requests.dict_get_or(self._t, key, default))

    def set(self, key: K, value: V) -> Result[None]:
        return self._add(requests.dict_set(self._t, key, value))

    def delete(self, key: K) -> Result[None]:
        return self._add(requests.dict_delete(self._t, key))

    def contains(self, key: Any) -> Result[bool]:
        return self._add(requests.dict_contains(self._t, key))

    def len(self) -> Result[int]:
        return self._add(requests.dict_len(self._t))

    def setdefault(self, key: K, default: Any = None) -> Result[Any]:
        return self._add(requests.dict_setdefault(self._t, key, default))

    def pop(self, key: K, default: Any = MISSING) -> Result[Any]:
        return self._add(requests.dict_pop(self._t, key, default))

    def popitem(self) -> Result[Tuple[K, V]]:
        return self._add(requests.dict_popitem(self._t))

    def clear(self) -> Result[None]:
        return self._add(requests.dict_clear(self._t))

    def update(self, *args: Any, **kwargs: Any) -> Result[None]:
        return self._add(requests.dict_update(self._t, updates(args, kwargs)))

    def copy(self) -> Result[Dict[K, V]]:
        return self._add(requests.dict_all(self._t))

    def keys(self) -> Result[List[K]]:
        return self._add(requests.dict_keys(self._t))

    def values(self) -> Result[List[V]]:
        return self._add(requests.dict_values(self._t))

    def items(self) -> Result[List[Tuple[K, V]]]:
        return self._add(requests.dict_items(self._t))

    def get_many(self, keys: Iterable[K]) -> Result[Dict[K, V]]:
        return self._add(requests.dict_get_many(self._t, keys))

    def set_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]]) -> Result[None]:
        return self._add(requests.dict_update(self._t, as_dict(items)))

    def increment(self, key: K, by: Any = 1) -> Result[Any]:
        return self._add(requests.dict_increment(self._t, key, by))

    def compare_and_set(self, key: K, old: Any, new: Any) -> Result[bool]:
        return self._add(requests.dict_compare_and_set(self._t, key, old, new))


class ListPipeline(Generic[V]):
    """The methods of a CyberList, as requests of a pipeline."""

    def __init__(self, batch: Batch, t: bytes, durably: bool) -> None:
        self._add, self._t = batch.adding_for(durably), t

    def get(self, index: SupportsIndex) -> Result[V]:
        return self._add(requests.list_get(self._t, index))

    def slice(self, start: Optional[int] = None, stop: Optional[int] = None, step: Optional[int] = None) -> Result[List[V]]:
        return self._add(requests.list_get(self._t, slice(start, stop, step)))

    def set(self, index: requests.Index, value: Any) -> Result[None]:
        return self._add(requests.list_set(self._t, index, value))

    def delete(self, index: requests.Index) -> Result[None]:
        return self._add(requests.list_delete(self._t, index))

    def contains(self, value: Any) -> Result[bool]:
        return self._add(requests.list_contains(self._t, value))

    def len(self) -> Result[int]:
        return self._add(requests.list_len(self._t))

    def append(self, value: V) -> Result[None]:
        return self._add(requests.list_append(self._t, value))

    def appendleft(self, value: V) -> Result[None]:
        return self._add(requests.list_append_left(self._t, value))

    def extend(self, values: Iterable[V]) -> Result[None]:
        return self._add(requests.list_extend(self._t, values))

    def insert(self, index: SupportsIndex, value: V) -> Result[None]:
        return self._add(requests.list_insert(self._t, index, value))

    def pop(self, index: SupportsIndex = -1) -> Result[V]:
        return self._add(requests.list_pop(self._t, index))

    def popleft(self) -> Result[V]:
        return self._add(requests.list_pop_left(self._t))

    def remove(self, value: V) -> Result[None]:
        return self._add(requests.list_remove(self._t, value))

    def count(self, value: Any) -> Result[int]:
        return self._add(requests.list_count(self._t, value))

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> Result[int]:
        return self._add(requests.list_index(self._t, value, start, stop))

    def reverse(self) -> Result[None]:
        return self._add(requests.list_reverse(self._t))

    def sort(self, *, key: Optional[Callable[[V], Any]] = None, reverse: bool = False) -> Result[None]:
        return self._add(requests.list_sort(self._t, key, reverse))

    def clear(self) -> Result[None]:
        return self._add(requests.list_clear(self._t))

    def copy(self) -> Result[List[V]]:
        return self._add(requests.list_all(self._t))
