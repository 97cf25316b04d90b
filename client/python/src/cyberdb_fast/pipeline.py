"""Pipelines: many requests in one write and one wait."""

from __future__ import annotations

from typing import Any, Callable, List, TypeVar, overload

from .cyberdict import CyberDict
from .cyberlist import CyberList
from .frames import Reply
from .methods_pipeline import DictMethods, ListMethods
from .requests import Request
from .result import Batch, Result, settle, values_or_errors
from .table import Durable

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


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


class DictPipeline(DictMethods[K, V]):
    """The methods of a CyberDict, as requests of a pipeline."""


class ListPipeline(ListMethods[V]):
    """The methods of a CyberList, as requests of a pipeline."""
