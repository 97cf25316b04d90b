"""The methods of CyberDict and CyberList.

Generated from methods.py by `.ci/python generate`: do not edit.
"""

# pyright: strict
from __future__ import annotations

import sys
from typing import (
    Any,
    Callable,
    Dict,
    Generic,
    Iterable,
    List,
    Mapping,
    Optional,
    SupportsIndex,
    Tuple,
    TypeVar,
    Union,
    cast,
    overload,
)

from . import requests
from .requests import MISSING
from .table import Handle, as_dict, as_list, updates

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class DictMethods(Handle, Generic[K, V]):
    """The methods of CyberDict and CyberList."""

    __slots__ = ()

    @overload
    def get(self, key: K) -> Optional[V]: ...
    @overload
    def get(self, key: K, default: Union[V, D]) -> Union[V, D]: ...
    def get(self, key: K, default: Any = None) -> Any:
        """Returns the value of key, or default if key is absent."""
        return self._perform(requests.dict_get_or(self._t, key, default))

    def __setitem__(self, key: K, value: V) -> None:
        """Sets the value of key, as d[key] = value."""
        self._perform(requests.dict_set(self._t, key, value))

    def __delitem__(self, key: K) -> None:
        """Removes key, as del d[key]. Errors: KeyError."""
        self._perform(requests.dict_delete(self._t, key))

    def __contains__(self, key: object) -> bool:
        """Whether key is present, as key in d."""
        return self._perform(requests.dict_contains(self._t, key))

    def __len__(self) -> int:
        """Returns the number of keys."""
        return self._perform(requests.dict_len(self._t))

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Returns the value of key; sets it to default first if key is absent."""
        return self._perform(requests.dict_setdefault(self._t, key, default))

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: Union[V, D]) -> Union[V, D]: ...
    def pop(self, key: K, default: Any = MISSING) -> Any:
        """Removes key and returns its value, or default if key is absent.

        Errors: KeyError if key is absent and there is no default.
        """
        return self._perform(requests.dict_pop(self._t, key, default))

    def popitem(self) -> Tuple[K, V]:
        """Removes and returns the newest item. Errors: KeyError if the dict is empty."""
        return self._perform(requests.dict_popitem(self._t))

    def clear(self) -> None:
        """Removes all items."""
        self._perform(requests.dict_clear(self._t))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets many items in one request, which sets all of them or none."""
        self._perform(requests.dict_update(self._t, updates(args, kwargs)))

    def copy(self) -> Dict[K, V]:
        """Returns the content as a dict, as of one moment, in one request.

        dict(d), {**d} and f(**d) of a CyberDict do the same.
        """
        return self._perform(requests.dict_all(self._t))

    def todict(self) -> Dict[K, V]:
        """As copy."""
        return self._perform(requests.dict_all(self._t))

    def get_many(self, keys: Iterable[K]) -> Dict[K, V]:
        """Returns a dict of those keys that are present, with their values, in one request."""
        return self._perform(requests.dict_get_many(self._t, keys))

    def set_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]]) -> None:
        """As update."""
        self._perform(requests.dict_update(self._t, as_dict(items)))

    def increment(self, key: K, by: Any = 1) -> Any:
        """Adds by to the value of key, or to 0 if key is absent, and returns the sum.

        Errors: TypeError if the value is not a number; OverflowError.
        """
        return self._perform(requests.dict_increment(self._t, key, by))

    def compare_and_set(self, key: K, old: Any, new: Any) -> bool:
        """Sets key to new if its value equals old; returns whether it did.

        ABSENT as old means that key is absent, ABSENT as new removes key.
        """
        return self._perform(requests.dict_compare_and_set(self._t, key, old, new))


class ListMethods(Handle, Generic[V]):
    """The methods of CyberDict and CyberList."""

    __slots__ = ()

    def __delitem__(self, index: requests.Index) -> None:
        """Removes the element at index, or a slice, as del l[index]. Errors: IndexError."""
        self._perform(requests.list_delete(self._t, index))

    def __contains__(self, value: object) -> bool:
        """Whether an element equals value, as value in l."""
        return self._perform(requests.list_contains(self._t, value))

    def __len__(self) -> int:
        """Returns the number of elements."""
        return self._perform(requests.list_len(self._t))

    def append(self, value: V) -> None:
        """Adds value at the end."""
        self._perform(requests.list_append(self._t, value))

    def appendleft(self, value: V) -> None:
        """Adds value at the front, as fast as append does at the end."""
        self._perform(requests.list_append_left(self._t, value))

    def extend(self, values: Iterable[V]) -> None:
        """Adds values at the end in one request, which adds all of them or none."""
        self._perform(requests.list_extend(self._t, as_list(values)))

    def insert(self, index: SupportsIndex, value: V) -> None:
        """Inserts value before index."""
        self._perform(requests.list_insert(self._t, index, value))

    def pop(self, index: SupportsIndex = -1) -> V:
        """Removes the element at index and returns it. Errors: IndexError."""
        return cast(V, self._perform(requests.list_pop(self._t, index)))

    def popleft(self) -> V:
        """Removes the first element and returns it, as fast as pop. Errors: IndexError."""
        return cast(V, self._perform(requests.list_pop_left(self._t)))

    def remove(self, value: V) -> None:
        """Removes the first element that equals value. Errors: ValueError if none does."""
        self._perform(requests.list_remove(self._t, value))

    def clear(self) -> None:
        """Removes all elements."""
        self._perform(requests.list_clear(self._t))

    def count(self, value: Any) -> int:
        """Returns the number of elements that equal value."""
        return self._perform(requests.list_count(self._t, value))

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> int:
        """Returns the index of the first element that equals value.

        Errors: ValueError if none does.
        """
        return self._perform(requests.list_index(self._t, value, start, stop))

    def reverse(self) -> None:
        """Reverses the list."""
        self._perform(requests.list_reverse(self._t))

    def sort(self, *, key: Optional[Callable[[V], Any]] = None, reverse: bool = False) -> None:
        """Sorts the list in the server; the sort is stable. On an error the list is unchanged.

        The server runs no code, so key is translated to data. It may use items (lambda x: x[1],
        operator.itemgetter), negation, len, lower, str and tuples of these. Errors: TypeError for
        any other key, and for elements that cannot be compared.
        """
        self._perform(requests.list_sort(self._t, key, reverse))

    def copy(self) -> List[V]:
        """Returns the content as a list, as of one moment."""
        return self._perform(requests.list_all(self._t))

    def tolist(self) -> List[V]:
        """As copy."""
        return self._perform(requests.list_all(self._t))
