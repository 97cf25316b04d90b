"""The base of the asyncio tables; table.py is its counterpart for sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, Awaitable, Protocol, Tuple, TypeVar

from . import requests
from .requests import Request, StreamRequest, WaitingRequest
from .table import Fence, Prepare, fencing, picklable, preparation

if TYPE_CHECKING:
    from typing_extensions import Self

    from .aio_waiting import Keeper

T = TypeVar("T")


class Sender(Protocol):
    """Sends requests. The caller awaits the result."""

    def _perform(self, request: Request[T]) -> Awaitable[T]: ...

    def _perform_waiting(self, request: WaitingRequest[T]) -> Awaitable[T]: ...

    @property
    def _keeper(self) -> Keeper: ...

    def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]: ...


class Prepared:
    """A sender that changes each request before it is sent: makes it durable, or fenced."""

    def __init__(self, sender: Sender, prepare: Prepare) -> None:
        self._sender, self._own = sender, prepare

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self._sender, picklable(self._own))

    def prepare(self, request: Request[T]) -> Request[T]:
        """Changes a request as this sender, and those that it wraps, do; returns it."""
        inner = preparation(self._sender)
        self._own(request)
        return request if inner is None else inner(request)

    def _perform(self, request: Request[T]) -> Awaitable[T]:
        self._own(request)
        return self._sender._perform(request)

    def _perform_waiting(self, request: WaitingRequest[T]) -> Awaitable[T]:
        self._own(request)
        return self._sender._perform_waiting(request)

    @property
    def _keeper(self) -> Keeper:
        return self._sender._keeper

    def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]:
        self._own(request)
        return self._sender._stream(request)


class Handle:
    """The name of a table and what sends its requests."""

    def __init__(self, sender: Sender, name: str) -> None:
        self._perform, self._stream = sender._perform, sender._stream
        self._perform_waiting = sender._perform_waiting
        self._sender, self._name = sender, name
        self._t = requests.table_name(name)

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._name

    @property
    def durable(self) -> Self:
        """The same table; its changes return when they are on disk. See CyberDict.durable."""
        return type(self)(Prepared(self._sender, requests.durable), self._name)

    def fenced(self, lock: Fence) -> Self:
        """The same table, for requests while the caller's hold lasts. See CyberDict.fenced."""
        return type(self)(Prepared(self._sender, fencing(self._sender, lock)), self._name)

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self._sender, self._name)

    def __repr__(self) -> str:
        return f"<cyberdb_fast.aio.{type(self).__name__} {self._name!r}>"

    __iter__ = None  # otherwise Python would try [0], [1], ... forever, also for `in`

    def __contains__(self, value: object) -> bool:
        raise TypeError("`in` cannot be awaited: use await table.contains(...)")

    def __bool__(self) -> bool:
        raise TypeError("a table has no truth value, which cannot be awaited: use await table.len()")
