"""The methods of the tables of cyberdb_fast.aio. Generated from methods.py by `.ci/python generate`: do not change it here."""

# pyright: strict
from __future__ import annotations

import sys
from typing import (
    Any,
    Awaitable,
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
    overload,
)

from . import requests
from .aio_table import Handle
from .requests import MISSING
from .table import as_dict, as_list, updates

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class DictMethods(Handle, Generic[K, V]):
    """The methods of the tables of cyberdb_fast.aio."""

    def getitem(self, key: K) -> Awaitable[V]:
        """The value of key, as d[key]. Errors: KeyError."""
        return self._perform(requests.dict_get(self._t, key))

    @overload
    def get(self, key: K) -> Awaitable[Optional[V]]: ...
    @overload
    def get(self, key: K, default: Union[V, D]) -> Awaitable[Union[V, D]]: ...
    def get(self, key: K, default: Any = None) -> Awaitable[Any]:
        """The value of key, or default, which stays here and comes back as itself."""
        return self._perform(requests.dict_get_or(self._t, key, default))

    def set(self, key: K, value: V) -> Awaitable[None]:
        """Sets the value of key, as d[key] = value."""
        return self._perform(requests.dict_set(self._t, key, value))

    def delete(self, key: K) -> Awaitable[None]:
        """Removes key, as del d[key]. Errors: KeyError."""
        return self._perform(requests.dict_delete(self._t, key))

    def contains(self, key: object) -> Awaitable[bool]:
        """Whether there is key, as key in d."""
        return self._perform(requests.dict_contains(self._t, key))

    def len(self) -> Awaitable[int]:
        """How many keys there are."""
        return self._perform(requests.dict_len(self._t))

    def setdefault(self, key: K, default: Any = None) -> Awaitable[Any]:
        """The value of key, which is default from now on if there was none."""
        return self._perform(requests.dict_setdefault(self._t, key, default))

    @overload
    def pop(self, key: K) -> Awaitable[V]: ...
    @overload
    def pop(self, key: K, default: Union[V, D]) -> Awaitable[Union[V, D]]: ...
    def pop(self, key: K, default: Any = MISSING) -> Awaitable[Any]:
        """Removes key and returns its value, or default. Errors: KeyError if it is not there and no default is given."""
        return self._perform(requests.dict_pop(self._t, key, default))

    def popitem(self) -> Awaitable[Tuple[K, V]]:
        """Removes and returns the newest item. Errors: KeyError if there is none."""
        return self._perform(requests.dict_popitem(self._t))

    def clear(self) -> Awaitable[None]:
        """Removes all items."""
        return self._perform(requests.dict_clear(self._t))

    def update(self, *args: Any, **kwargs: Any) -> Awaitable[None]:
        """Sets many items in one request: all or nothing."""
        return self._perform(requests.dict_update(self._t, updates(args, kwargs)))

    def copy(self) -> Awaitable[Dict[K, V]]:
        """The content of one moment as a dict, in one request; dict(d), {**d} and f(**d) of a CyberDict are the same."""
        return self._perform(requests.dict_all(self._t))

    def todict(self) -> Awaitable[Dict[K, V]]:
        """As copy."""
        return self._perform(requests.dict_all(self._t))

    def get_many(self, keys: Iterable[K]) -> Awaitable[Dict[K, V]]:
        """Those of keys that are there, with their values, read in one request."""
        return self._perform(requests.dict_get_many(self._t, keys))

    def set_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]]) -> Awaitable[None]:
        """As update."""
        return self._perform(requests.dict_update(self._t, as_dict(items)))

    def increment(self, key: K, by: Any = 1) -> Awaitable[Any]:
        """Adds by to the value of key, where none counts as 0, and returns the sum. Errors: TypeError, OverflowError."""
        return self._perform(requests.dict_increment(self._t, key, by))

    def compare_and_set(self, key: K, old: Any, new: Any) -> Awaitable[bool]:
        """Sets key to new if its value is old, and says whether it did. ABSENT stands for no entry, as old and as new."""
        return self._perform(requests.dict_compare_and_set(self._t, key, old, new))


class ListMethods(Handle, Generic[V]):
    """The methods of the tables of cyberdb_fast.aio."""

    def get(self, index: SupportsIndex) -> Awaitable[V]:
        """The element at index, as l[index]. Errors: IndexError."""
        return self._perform(requests.list_get(self._t, index))

    def slice(self, start: Optional[int] = None, stop: Optional[int] = None, step: Optional[int] = None) -> Awaitable[List[V]]:
        """The elements of a slice, as l[start:stop:step]."""
        return self._perform(requests.list_get(self._t, slice(start, stop, step)))

    def set(self, index: requests.Index, value: Any) -> Awaitable[None]:
        """Sets the element at index, or the elements of a slice, as l[index] = value. Errors: IndexError, ValueError."""
        return self._perform(requests.list_set(self._t, index, value))

    def delete(self, index: requests.Index) -> Awaitable[None]:
        """Removes the element at index, or those of a slice, as del l[index]. Errors: IndexError."""
        return self._perform(requests.list_delete(self._t, index))

    def contains(self, value: object) -> Awaitable[bool]:
        """Whether an element equals value, as value in l."""
        return self._perform(requests.list_contains(self._t, value))

    def len(self) -> Awaitable[int]:
        """How many elements there are."""
        return self._perform(requests.list_len(self._t))

    def append(self, value: V) -> Awaitable[None]:
        """Adds value at the end."""
        return self._perform(requests.list_append(self._t, value))

    def appendleft(self, value: V) -> Awaitable[None]:
        """Adds value at the front, as fast as append."""
        return self._perform(requests.list_append_left(self._t, value))

    def extend(self, values: Iterable[V]) -> Awaitable[None]:
        """Adds all values at the end in one request: all or nothing."""
        return self._perform(requests.list_extend(self._t, as_list(values)))

    def insert(self, index: SupportsIndex, value: V) -> Awaitable[None]:
        """Adds value before index."""
        return self._perform(requests.list_insert(self._t, index, value))

    def pop(self, index: SupportsIndex = -1) -> Awaitable[V]:
        """Removes the element at index and returns it. Errors: IndexError."""
        return self._perform(requests.list_pop(self._t, index))

    def popleft(self) -> Awaitable[V]:
        """Removes the first element and returns it, as fast as pop. Errors: IndexError."""
        return self._perform(requests.list_pop_left(self._t))

    def remove(self, value: V) -> Awaitable[None]:
        """Removes the first element that equals value. Errors: ValueError if there is none."""
        return self._perform(requests.list_remove(self._t, value))

    def clear(self) -> Awaitable[None]:
        """Removes all elements."""
        return self._perform(requests.list_clear(self._t))

    def count(self, value: Any) -> Awaitable[int]:
        """How many elements equal value."""
        return self._perform(requests.list_count(self._t, value))

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> Awaitable[int]:
        """Where the first element is that equals value. Errors: ValueError if there is none."""
        return self._perform(requests.list_index(self._t, value, start, stop))

    def reverse(self) -> Awaitable[None]:
        """Turns the list round."""
        return self._perform(requests.list_reverse(self._t))

    def sort(self, *, key: Optional[Callable[[V], Any]] = None, reverse: bool = False) -> Awaitable[None]:
        """Sorts the list in the server: stable; on an error it is left whole.

        The server runs no code: key is turned into data, which can say items (lambda x: x[1], operator.itemgetter), negation, len, lower, str
        and tuples of these. Errors: TypeError for any other key, and for elements that have no order.
        """
        return self._perform(requests.list_sort(self._t, key, reverse))

    def copy(self) -> Awaitable[List[V]]:
        """The content as a list."""
        return self._perform(requests.list_all(self._t))

    def tolist(self) -> Awaitable[List[V]]:
        """As copy."""
        return self._perform(requests.list_all(self._t))
