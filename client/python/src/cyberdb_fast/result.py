"""The results of a pipeline, and the base of all pipelines."""

from __future__ import annotations

from typing import Any, Callable, Generic, List, Optional, TypeVar

from .frames import Reply
from .requests import Request

T = TypeVar("T")


class Result(Generic[T]):
    """The result of one request of a pipeline, available when the pipeline has been executed.

    >>> with proxy.pipeline() as pipe:
    ...     missing = pipe.on(d).getitem("ada")
    >>> missing.error
    KeyError('ada')
    """

    __slots__ = ("_reply", "_request")

    def __init__(self, request: Request[T]) -> None:
        self._request = request
        self._reply: Optional[Reply] = None

    @property
    def value(self) -> T:
        """The request's result. Raises the request's error if it failed.

        RuntimeError if the pipeline has not been executed.
        """
        if self._reply is None:
            raise RuntimeError("the pipeline has not been executed")
        return self._request.result(self._reply)

    @property
    def error(self) -> Optional[Exception]:
        """The request's error, None if it succeeded, a RuntimeError before it is executed."""
        try:
            self.value  # noqa: B018 # it may raise
        except Exception as e:
            return e
        return None


class BasePipeline:
    """The base of the pipelines for sockets and for asyncio: the requests added so far."""

    def __init__(self) -> None:
        self._results: List[Result[Any]] = []

    def adding_for(
        self, prepare: Optional[Callable[[Request[Any]], Request[Any]]]
    ) -> Callable[[Request[T]], Result[T]]:
        """The function that adds requests for a table whose sender prepares them like this."""
        if prepare is None:
            return self.add

        def add(request: Request[T]) -> Result[T]:
            prepare(request)
            return self.add(request)

        return add

    def add(self, request: Request[T]) -> Result[T]:
        """Adds one request and returns its Result."""
        result = Result(request)
        self._results.append(result)
        return result

    def __len__(self) -> int:
        return len(self._results)

    def _clear(self) -> List[Result[Any]]:
        results, self._results = self._results, []
        return results


def set_replies(results: List[Result[Any]], replies: List[Reply]) -> None:
    """Gives each result its reply."""
    for result, reply in zip(results, replies):
        result._reply = reply


def values_or_errors(results: List[Result[Any]]) -> List[Any]:
    """The value of each result, or its error if it failed."""
    values: List[Any] = []
    for result in results:
        try:
            values.append(result.value)
        except Exception as e:
            values.append(e)
    return values


class Adding:
    """The base of the pipeline handles of tables: their methods add requests."""

    def __init__(
        self, batch: BasePipeline, t: bytes, prepare: Optional[Callable[[Request[Any]], Request[Any]]]
    ) -> None:
        self._add, self._t = batch.adding_for(prepare), t
