"""CyberList: a list in the server."""

from __future__ import annotations

from typing import (
    Any,
    Iterable,
    Iterator,
    List,
    MutableSequence,
    Optional,
    SupportsIndex,
    TypeVar,
    Union,
    cast,
    overload,
)

from . import dict_requests, glimpse, list_requests, opcodes
from .expiry import Duration, wait_milliseconds
from .methods_sync import ListMethods
from .table import as_list

V = TypeVar("V")
V2 = TypeVar("V2")


class CyberList(ListMethods[V], MutableSequence[V]):
    """A list in the server. Every method is one atomic request, except `*=`, which is two.

    >>> l += [3, 1, 2]
    >>> l.append(4)
    >>> l[0], l[-2:], len(l), 7 in l
    (3, [2, 4], 4, False)

    Elements that are read are copies: `l[0].append(1)` changes only a copy. A client that tracks
    changes warns about that.

    Iteration, slices and copy() show the elements as of one moment; repr() shows the first ones.
    Slices, sums and products are plain lists.

    A list is a queue too: put, take, ack and the waits of pop and popleft.

    Besides the errors that a method names, each may raise NoSuchTable, WrongTableKind, those of the
    connection (DisconCyberDBError, PoolTimeout), and if it changes the table Overloaded, NotDurable
    and ReadOnly. After an error nothing has changed, unless the error says otherwise.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, index: SupportsIndex) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> List[V]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._perform(list_requests.list_get(self._t, index))

    @overload
    def __setitem__(self, index: SupportsIndex, value: V) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[V]) -> None: ...
    def __setitem__(self, index: Any, value: Any) -> None:
        self._perform(list_requests.list_set(self._t, index, value))

    def pop(self, index: SupportsIndex = -1, *, wait: Optional[Duration] = 0) -> V:
        """Removes the element at index and returns it.

        If the list is empty, it waits for an element for as long as wait: seconds or a timedelta;
        None: for ever. Errors: IndexError, also when the wait ends; ValueError, TypeError.
        """
        if wait_milliseconds(wait) == 0:
            return cast(V, self._perform(list_requests.list_pop(self._t, index)))
        request = list_requests.list_pop_waiting(self._t, index, wait)
        try:
            return cast(V, self._perform_waiting(request))
        except BaseException:
            self._withdraw(request)
            raise

    def popleft(self, *, wait: Optional[Duration] = 0) -> V:
        """Removes the first element and returns it, as fast as pop. wait is as in pop.

        Errors: those of pop.

        >>> l.extend(["first", "second"])
        >>> l.popleft(), l.popleft(wait=10)
        ('first', 'second')
        """
        if wait_milliseconds(wait) == 0:
            return cast(V, self._perform(list_requests.list_pop_left(self._t)))
        request = list_requests.list_pop_left_waiting(self._t, wait)
        try:
            return cast(V, self._perform_waiting(request))
        except BaseException:
            self._withdraw(request)
            raise

    def __iter__(self) -> Iterator[V]:
        return self._perform_stream(dict_requests.stream(opcodes.LIST_ALL, self._t))

    def __reversed__(self) -> Iterator[V]:
        return reversed(self.copy())

    def __repr__(self) -> str:
        found = glimpse.of_list(self)
        return glimpse.text(found, "[", map(glimpse.short, found.first), "]")

    def _repr_html_(self) -> str:
        found = glimpse.of_list(self)
        return glimpse.html(f"list {self._name}", found, enumerate(found.first))

    def __eq__(self, other: object) -> bool:
        return self.copy() == as_list(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.copy() < as_list(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.copy() <= as_list(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.copy() > as_list(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.copy() >= as_list(other) if isinstance(other, (list, CyberList)) else NotImplemented

    @overload
    def __add__(self, other: Union[List[V], CyberList[V]]) -> List[V]: ...
    @overload
    def __add__(self, other: Union[List[V2], CyberList[V2]]) -> List[Union[V, V2]]: ...
    def __add__(self, other: Any) -> List[Any]:
        return self.copy() + as_list(other) if isinstance(other, (list, CyberList)) else NotImplemented

    @overload
    def __radd__(self, other: List[V]) -> List[V]: ...
    @overload
    def __radd__(self, other: List[V2]) -> List[Union[V, V2]]: ...
    def __radd__(self, other: Any) -> List[Any]:
        return as_list(other) + self.copy() if isinstance(other, list) else NotImplemented

    def __iadd__(  # type: ignore[misc] # as in list: + needs a list, += takes any iterable
        self, other: Iterable[V]
    ) -> CyberList[V]:
        self._perform(list_requests.list_extend(self._t, as_list(other)))  # not extend, which takes a QueueItem
        return self

    def __mul__(self, times: SupportsIndex) -> List[V]:
        return self.copy() * times

    __rmul__ = __mul__

    def __imul__(self, times: SupportsIndex) -> CyberList[V]:
        """Two requests: elements that other clients add between them stay and are not repeated."""
        content = self.copy()
        self._perform(
            list_requests.list_extend(self._t, (content * times)[len(content) :])
        ) if content * times else self.clear()
        return self

    __copy__ = ListMethods.copy
