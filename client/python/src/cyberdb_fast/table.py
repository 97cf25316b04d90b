"""The base of CyberDict and CyberList, and what they need to send requests."""

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
    """A sender that makes each change durable: the server replies when the change is on disk."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._perform_stream = sender._perform_stream

    def _perform(self, request: Request[T]) -> T:
        return self._sender._perform(durable(request))


class Handle:
    """The name of a table and what sends its requests. It has no content, so it costs nothing."""

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
        """The same table; its changes return when they, and all changes before them, are on disk.

        Errors, besides those of each method: NotDurable; ReadOnly; BadRequest if the server has no
        journal, with nothing changed.
        """
        return type(self)(Durable(self._sender), self._name)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be pickled or deep-copied, because it is a handle of a table. "
            "copy() returns the content; another process gets the table by its name"
        )


def as_dict(source: Any) -> Dict[Any, Any]:
    """Returns a mapping or an iterable of pairs as a dict; reads a table in one request."""
    if isinstance(source, Handle):
        source = source.copy()  # type: ignore[attr-defined] # both kinds of table have it
        if isinstance(source, dict):
            return source
    return dict(source)


def as_list(source: Iterable[Any]) -> List[Any]:
    """Returns an iterable as a list; reads a table in one request."""
    if isinstance(source, Handle) and (tolist := getattr(source, "tolist", None)):
        elements: List[Any] = tolist()
        return elements
    return [value for value in source]  # noqa: C416 # list() would trust __length_hint__, which may be wrong


def updates(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Dict[Any, Any]:
    """Returns the items that dict.update(*args, **kwargs) would set.

    Errors: those of dict.update.
    """
    if len(args) > 1:
        raise TypeError(f"update expected at most 1 argument, got {len(args)}")
    items = as_dict(args[0]) if args else {}
    items.update(kwargs)
    return items
