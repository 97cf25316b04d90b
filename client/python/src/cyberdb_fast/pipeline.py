"""Pipelines: many requests in one write, with one wait for all replies."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, TypeVar, overload

from .cyberdict import CyberDict
from .cyberlist import CyberList
from .expiry import Duration
from .frames import Reply
from .list_requests import DEFAULT_LEASE, QueueItem
from .methods_pipeline import DictMethods, ListMethods
from .requests import Request
from .result import BasePipeline, Result, set_replies, values_or_errors
from .table import preparation

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Pipeline(BasePipeline):
    """Requests that are sent together, at the end of `with` or by execute().

    >>> with proxy.pipeline() as pipe:
    ...     visits = pipe.on(d)
    ...     for page in ("home", "about", "home"):
    ...         count = visits.increment(page)
    ...     home = visits.get("home")
    >>> home.value
    2

    Each request is atomic, and requests are applied in order. One that fails does not stop the
    others. Requests of other clients may come between.
    """

    def __init__(self, send: Callable[[List[Request[Any]]], List[Reply]]) -> None:
        super().__init__()
        self._send = send

    @overload
    def on(self, table: CyberDict[K, V]) -> DictPipeline[K, V]: ...
    @overload
    def on(self, table: CyberList[V]) -> ListPipeline[V]: ...
    def on(self, table: Any) -> Any:
        """Returns a handle of a table whose methods add requests and return Results.

        It is a DictPipeline or a ListPipeline. That of a durable or fenced table is so too. Errors:
        TypeError if it is no table.
        """
        if isinstance(table, CyberDict):
            return DictPipeline(self, table._t, preparation(table._sender))
        if isinstance(table, CyberList):
            return ListPipeline(self, table._t, preparation(table._sender))
        raise TypeError(f"a pipeline works on a CyberDict or a CyberList, not on {type(table).__name__}")

    def execute(self) -> List[Any]:
        """Sends the requests and returns the result or the error of each, in order.

        The pipeline is empty afterwards, and may be used again. Errors: those of the connection.
        Then the requests may or may not have been applied.

        >>> pipe = proxy.pipeline()
        >>> first, missing = pipe.on(d).set("a", 1), pipe.on(d).getitem("b")
        >>> pipe.execute()
        [None, KeyError('b')]
        """
        return values_or_errors(self._exchange())

    def _exchange(self) -> List[Result[Any]]:
        results = self._clear()
        if results:
            set_replies(results, self._send([result._request for result in results]))
        return results

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        if exc_type is None:
            self._exchange()
        else:
            self._clear()


class DictPipeline(DictMethods[K, V]):
    """The methods of a CyberDict. Each adds a request to a pipeline and returns its Result."""


class ListPipeline(ListMethods[V]):
    """The methods of a CyberList. Each adds a request to a pipeline and returns its Result."""

    def take(self, lease: Duration = DEFAULT_LEASE, wait: Optional[Duration] = 0) -> Result[Optional[QueueItem[V]]]:
        """As CyberList.take, but it does not wait unless that is said.

        All results of the pipeline wait for it. The wait has to be shorter than request_timeout:
        a longer one may end with DeadlineExceeded.
        """
        return super().take(lease, wait)
