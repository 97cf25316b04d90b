"""The base of the asyncio tables; table.py is its counterpart for sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, AsyncGenerator, Awaitable, Protocol, TypeVar

from . import requests
from .requests import Request, StreamRequest

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Sender(Protocol):
    """Sends requests. The caller awaits the result."""

    def _perform(self, request: Request[T]) -> Awaitable[T]: ...

    def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]: ...


class Durable:
    """A sender that makes each change durable: the server replies when the change is on disk."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def _perform(self, request: Request[T]) -> Awaitable[T]:
        return self._sender._perform(requests.durable(request))

    def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]:
        return self._sender._stream(request)


class Handle:
    """The name of a table and what sends its requests."""

    def __init__(self, sender: Sender, name: str) -> None:
        self._perform, self._stream = sender._perform, sender._stream
        self._sender, self._name = sender, name
        self._t = requests.table_name(name)

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._name

    @property
    def durable(self) -> Self:
        """The same table; its changes return when they are on disk. See CyberDict.durable."""
        return type(self)(Durable(self._sender), self._name)

    __iter__ = None  # otherwise Python would try [0], [1], ... forever, also for `in`

    def __contains__(self, value: object) -> bool:
        raise TypeError("`in` cannot be awaited: use await table.contains(...)")

    def __bool__(self) -> bool:
        raise TypeError("a table has no truth value, which cannot be awaited: use await table.len()")
