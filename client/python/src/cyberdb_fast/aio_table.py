"""What the tables of asyncio need of whatever sends their requests, and what both have in common: table.py's twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, AsyncGenerator, Awaitable, Protocol, TypeVar

from . import requests
from .requests import Request, StreamRequest

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Sender(Protocol):
    """Sends requests; what it returns is to be awaited."""

    def _perform(self, request: Request[T]) -> Awaitable[T]: ...

    def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]: ...


class Durable:
    """Sends what a proxy does, and demands of each change that it be on disk before the reply comes."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def _perform(self, request: Request[T]) -> Awaitable[T]:
        return self._sender._perform(requests.durable(request))

    def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]:
        return self._sender._stream(request)


class Handle:
    """A named table and what reaches it."""

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
        """As that of cyberdb_fast.CyberDict and CyberList: the same table, whose changes return when they are on disk."""
        return type(self)(Durable(self._sender), self._name)

    __iter__ = None  # else Python would try [0], [1], ... for ever, as it would for `in`

    def __contains__(self, value: object) -> bool:
        raise TypeError("whether a table holds something must be asked for: await table.contains(...)")

    def __bool__(self) -> bool:
        raise TypeError("whether a table is empty must be asked for: await table.len()")
