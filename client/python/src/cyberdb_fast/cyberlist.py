"""CyberList: a list that lives in the server."""

from __future__ import annotations

import sys
from typing import Any, Callable, Iterable, Iterator, List, MutableSequence, Optional, SupportsIndex, TypeVar, Union, cast, overload

from . import frames, requests
from .table import Handle

V = TypeVar("V")


class CyberList(Handle, MutableSequence[V]):
    """A list in the server. Every method is one request, and atomic, but for `*=`, which is two.

    Values that are read are copies: `l[0].append(1)` changes a copy, and is lost. A client that tracks changes warns of it.

    Iteration, slices, copy() and repr() show one moment. A slice of it, a sum and a product are plain lists.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, index: SupportsIndex) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> List[V]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._perform(requests.list_get(self._t, index))

    @overload
    def __setitem__(self, index: SupportsIndex, value: V) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[V]) -> None: ...
    def __setitem__(self, index: Any, value: Any) -> None:
        self._perform(requests.list_set(self._t, index, value))

    def __delitem__(self, index: Union[SupportsIndex, slice]) -> None:
        self._perform(requests.list_delete(self._t, index))

    def __contains__(self, value: object) -> bool:
        return self._perform(requests.list_contains(self._t, value))

    def __len__(self) -> int:
        return self._perform(requests.list_len(self._t))

    def __iter__(self) -> Iterator[V]:
        return self._perform_stream(requests.stream(frames.LIST_ALL, self._t))

    def __reversed__(self) -> Iterator[V]:
        return reversed(self.copy())

    def __repr__(self) -> str:
        return repr(self.copy())

    def __eq__(self, other: object) -> bool:
        return self.copy() == _content(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.copy() < _content(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.copy() <= _content(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.copy() > _content(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.copy() >= _content(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __add__(self, other: Any) -> List[Any]:
        return self.copy() + _content(other) if isinstance(other, (list, CyberList)) else NotImplemented

    def __radd__(self, other: Any) -> List[Any]:
        return _content(other) + self.copy() if isinstance(other, list) else NotImplemented

    def __iadd__(  # type: ignore[misc] # as list has them: + needs a list, += takes any iterable
        self, other: Iterable[V]
    ) -> CyberList[V]:
        self.extend(other)
        return self

    def __mul__(self, times: SupportsIndex) -> List[V]:
        return self.copy() * times

    __rmul__ = __mul__

    def __imul__(self, times: SupportsIndex) -> CyberList[V]:
        """Two requests: what others write between them stays, and is not repeated."""
        content = self.copy()
        self._perform(requests.list_extend(self._t, (content * times)[len(content) :])) if content * times else self.clear()
        return self

    def append(self, value: V) -> None:
        """Adds value at the end."""
        self._perform(requests.list_append(self._t, value))

    def appendleft(self, value: V) -> None:
        """Adds value at the front, as fast as append."""
        self._perform(requests.list_append_left(self._t, value))

    def extend(self, values: Iterable[V]) -> None:
        """Adds all values at the end in one request: all or nothing."""
        self._perform(requests.list_extend(self._t, _content(values)))

    def insert(self, index: SupportsIndex, value: V) -> None:
        """Adds value before index."""
        self._perform(requests.list_insert(self._t, index, value))

    def pop(self, index: SupportsIndex = -1) -> V:
        """Removes the element at index and returns it. Errors: IndexError."""
        return cast(V, self._perform(requests.list_pop(self._t, index)))

    def popleft(self) -> V:
        """Removes the first element and returns it, as fast as pop. Errors: IndexError."""
        return cast(V, self._perform(requests.list_pop_left(self._t)))

    def remove(self, value: V) -> None:
        """Removes the first element that equals value. Errors: ValueError if there is none."""
        self._perform(requests.list_remove(self._t, value))

    def clear(self) -> None:
        """Removes all elements."""
        self._perform(requests.list_clear(self._t))

    def count(self, value: Any) -> int:
        """How many elements equal value."""
        return self._perform(requests.list_count(self._t, value))

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> int:
        """Where the first element is that equals value. Errors: ValueError if there is none."""
        return self._perform(requests.list_index(self._t, value, start, stop))

    def reverse(self) -> None:
        """Turns the list round."""
        self._perform(requests.list_reverse(self._t))

    def sort(self, *, key: Optional[Callable[[V], Any]] = None, reverse: bool = False) -> None:
        """Sorts the list in the server: stable; on an error it is left whole.

        The server runs no code: key is turned into data, which can say items (lambda x: x[1], operator.itemgetter), negation, len, lower, str
        and tuples of these. Errors: TypeError for any other key, and for elements that have no order.
        """
        self._perform(requests.list_sort(self._t, key, reverse))

    def copy(self) -> List[V]:
        """The content as a list."""
        return self._perform(requests.list_all(self._t))

    def tolist(self) -> List[V]:
        """As copy."""
        return self.copy()

    __copy__ = copy


def _content(values: Iterable[Any]) -> List[Any]:
    """The elements of any iterable; those of a table in one request."""
    if isinstance(values, CyberList):
        return values.copy()
    return [value for value in values]  # noqa: C416 # list() trusts __length_hint__, which may lie
