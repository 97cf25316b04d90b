"""What CyberDict and CyberList need of whatever sends their requests, and what both have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, NoReturn, Protocol, Tuple, TypeVar

from .requests import Request, StreamRequest, durable, table_name

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Sender(Protocol):
    """Sends requests and waits for their replies."""

    def _perform(self, request: Request[T]) -> T: ...

    def _perform_stream(self, request: StreamRequest[T]) -> Iterator[T]: ...


class Durable:
    """Sends what another sender does, and demands of each change that it be on disk before the reply comes."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._perform_stream = sender._perform_stream

    def _perform(self, request: Request[T]) -> T:
        return self._sender._perform(durable(request))


class Handle:
    """A named table and what reaches it. It holds no content: making one costs nothing."""

    __slots__ = ("__weakref__", "_name", "_perform", "_perform_stream", "_sender", "_t")

    def __init__(self, sender: Sender, name: str) -> None:
        self._perform, self._perform_stream = sender._perform, sender._perform_stream
        self._sender, self._name = sender, name
        self._t = table_name(name)

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._name

    @property
    def durable(self) -> Self:
        """The same table; its changes return when they are on disk, and so is all that was changed before them.

        Errors, besides those of each method: NotDurable, ReadOnly; BadRequest, with nothing changed, if the server keeps no journal.
        """
        return type(self)(Durable(self._sender), self._name)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled or deep-copied: it reaches a table and holds nothing. "
            "copy() gives the content; another process gets the table by its name"
        )


def as_dict(source: Any) -> Dict[Any, Any]:
    """The items of a mapping or of pairs; those of a table in one request."""
    if isinstance(source, Handle):
        source = source.copy()  # type: ignore[attr-defined] # both kinds of table have it
        if isinstance(source, dict):
            return source
    return dict(source)


def as_list(source: Iterable[Any]) -> List[Any]:
    """The elements of any iterable; those of a table in one request."""
    if isinstance(source, Handle) and (tolist := getattr(source, "tolist", None)):
        elements: List[Any] = tolist()
        return elements
    return [value for value in source]  # noqa: C416 # list() trusts __length_hint__, which may lie


def updates(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Dict[Any, Any]:
    """The items that dict.update would set for these arguments. Errors: TypeError, ValueError, as there."""
    if len(args) > 1:
        raise TypeError(f"update expected at most 1 argument, got {len(args)}")
    items = as_dict(args[0]) if args else {}
    items.update(kwargs)
    return items
