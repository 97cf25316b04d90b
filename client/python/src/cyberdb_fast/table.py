"""What CyberDict and CyberList need of whatever sends their requests, and what both have in common."""

from __future__ import annotations

from typing import Any, Iterator, NoReturn, Protocol, TypeVar

from .requests import Request, StreamRequest, table_name

T = TypeVar("T")


class Sender(Protocol):
    """Sends requests and waits for their replies."""

    def _perform(self, request: Request[T]) -> T: ...

    def _perform_stream(self, request: StreamRequest[T]) -> Iterator[T]: ...


class Handle:
    """A named table and what reaches it. It holds no content: making one costs nothing."""

    __slots__ = ("__weakref__", "_name", "_perform", "_perform_stream", "_t")

    def __init__(self, sender: Sender, name: str) -> None:
        self._perform, self._perform_stream = sender._perform, sender._perform_stream
        self._name = name
        self._t = table_name(name)

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._name

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: it reaches a table and holds nothing; copy() gives the content")
