"""The base of CyberDict and CyberList, and what they need to send requests."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Protocol,
    Tuple,
    TypeVar,
)

from .requests import Request, StreamRequest, WaitingRequest, durable, table_name

if TYPE_CHECKING:
    from typing_extensions import Self

    from .background import Background

T = TypeVar("T")

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

    Items = SupportsKeysAndGetItem  # what dict.update takes, besides pairs
else:
    Items = Mapping

# Changes a request before it is sent, and returns it.
Prepare = Callable[[Request[Any]], Request[Any]]


class Fence(Protocol):
    """A lock. Its fence makes a request fail if the lock is not held any more."""

    def fencing(self) -> Prepare:
        """What gives a request the fence that the caller has now.

        Errors: LockLost if the caller does not hold the lock.
        """
        ...


class Sender(Protocol):
    """Sends requests and waits for their replies."""

    def _perform(self, request: Request[T]) -> T: ...

    def _perform_waiting(self, request: WaitingRequest[T]) -> T: ...

    @property
    def _background(self) -> Background: ...

    def _perform_stream(self, request: StreamRequest[T]) -> Iterator[T]: ...


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

    def _perform(self, request: Request[T]) -> T:
        self._own(request)
        return self._sender._perform(request)

    def _perform_waiting(self, request: WaitingRequest[T]) -> T:
        self._own(request)
        return self._sender._perform_waiting(request)

    @property
    def _background(self) -> Background:
        return self._sender._background

    def _perform_stream(self, request: StreamRequest[T]) -> Iterator[T]:
        self._own(request)
        return self._sender._perform_stream(request)


def picklable(prepare: Prepare) -> Prepare:
    """Returns prepare. TypeError if it is a fence: another process does not hold the lock."""
    if prepare is not durable:
        raise TypeError("a fenced table cannot be pickled or copied: acquire the lock where it is needed")
    return prepare


def preparation(sender: object) -> Optional[Prepare]:
    """How a sender changes each request; None if it does not."""
    return getattr(sender, "prepare", None)


def fencing(sender: object, lock: Fence) -> Prepare:
    """What gives each request of sender the fence of lock.

    Errors: ValueError if it has the fence of a lock already; those of Fence.fencing.
    """
    while (own := getattr(sender, "_own", None)) is not None:
        if own is not durable:
            raise ValueError("the table is fenced already: a request has the fence of one lock")
        sender = getattr(sender, "_sender", None)
    return lock.fencing()


class Handle:
    """The name of a table and what sends its requests. It has no content, so it costs nothing."""

    __slots__ = ("__weakref__", "_name", "_perform", "_perform_stream", "_perform_waiting", "_sender", "_t")

    def __init__(self, sender: Sender, name: str) -> None:
        self._perform, self._perform_stream = sender._perform, sender._perform_stream
        self._perform_waiting = sender._perform_waiting
        self._sender, self._name = sender, name
        self._t = table_name(name)

    def _withdraw(self, request: WaitingRequest[Any]) -> None:
        """Gives back what an interrupted request has brought."""
        self._sender._background.withdraw(request)

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._name

    @property
    def durable(self) -> Self:
        """The same table; its changes return when they, and all changes before them, are on disk.

            orders = proxy.create_cyberdict("orders", exist_ok=True).durable
            orders[17] = {"paid": True}

        Errors, besides those of each method: NotDurable; ReadOnly; BadRequest if the server has no
        journal, with nothing changed.
        """
        return type(self)(Prepared(self._sender, durable), self._name)

    def fenced(self, lock: Fence) -> Self:
        """The same table; each request is done only while the caller's present hold of lock lasts.

        >>> with proxy.lock("nightly report") as lock:
        ...     reports = d.fenced(lock)
        ...     reports["today"] = "a report"  # LockLost if the lease has ended

        The server checks that at the moment at which it executes the request. When the lock is
        acquired again, another fenced table is needed. Errors: LockLost if the caller does not hold
        the lock; ValueError if the table is fenced already; of each method: LockLost, with nothing
        done.
        """
        return type(self)(Prepared(self._sender, fencing(self._sender, lock)), self._name)

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self._sender, self._name)


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
