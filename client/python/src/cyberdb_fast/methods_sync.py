"""The methods of CyberDict and CyberList. Generated from methods.py by `.ci/python generate`: do not change it here."""

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
        """The value of key, or default, which stays here and comes back as itself."""
        return self._perform(requests.dict_get_or(self._t, key, default))

    def __setitem__(self, key: K, value: V) -> None:
        """Sets the value of key, as d[key] = value."""
        self._perform(requests.dict_set(self._t, key, value))

    def __delitem__(self, key: K) -> None:
        """Removes key, as del d[key]. Errors: KeyError."""
        self._perform(requests.dict_delete(self._t, key))

    def __contains__(self, key: object) -> bool:
        """Whether there is key, as key in d."""
        return self._perform(requests.dict_contains(self._t, key))

    def __len__(self) -> int:
        """How many keys there are."""
        return self._perform(requests.dict_len(self._t))

    def setdefault(self, key: K, default: Any = None) -> Any:
        """The value of key, which is default from now on if there was none."""
        return self._perform(requests.dict_setdefault(self._t, key, default))

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: Union[V, D]) -> Union[V, D]: ...
    def pop(self, key: K, default: Any = MISSING) -> Any:
        """Removes key and returns its value, or default. Errors: KeyError if it is not there and no default is given."""
        return self._perform(requests.dict_pop(self._t, key, default))

    def popitem(self) -> Tuple[K, V]:
        """Removes and returns the newest item. Errors: KeyError if there is none."""
        return self._perform(requests.dict_popitem(self._t))

    def clear(self) -> None:
        """Removes all items."""
        self._perform(requests.dict_clear(self._t))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets many items in one request: all or nothing."""
        self._perform(requests.dict_update(self._t, updates(args, kwargs)))

    def copy(self) -> Dict[K, V]:
        """The content of one moment as a dict, in one request; dict(d), {**d} and f(**d) of a CyberDict are the same."""
        return self._perform(requests.dict_all(self._t))

    def todict(self) -> Dict[K, V]:
        """As copy."""
        return self._perform(requests.dict_all(self._t))

    def get_many(self, keys: Iterable[K]) -> Dict[K, V]:
        """Those of keys that are there, with their values, read in one request."""
        return self._perform(requests.dict_get_many(self._t, keys))

    def set_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]]) -> None:
        """As update."""
        self._perform(requests.dict_update(self._t, as_dict(items)))

    def increment(self, key: K, by: Any = 1) -> Any:
        """Adds by to the value of key, where none counts as 0, and returns the sum. Errors: TypeError, OverflowError."""
        return self._perform(requests.dict_increment(self._t, key, by))

    def compare_and_set(self, key: K, old: Any, new: Any) -> bool:
        """Sets key to new if its value is old, and says whether it did. ABSENT stands for no entry, as old and as new."""
        return self._perform(requests.dict_compare_and_set(self._t, key, old, new))


class ListMethods(Handle, Generic[V]):
    """The methods of CyberDict and CyberList."""

    __slots__ = ()

    def __delitem__(self, index: requests.Index) -> None:
        """Removes the element at index, or those of a slice, as del l[index]. Errors: IndexError."""
        self._perform(requests.list_delete(self._t, index))

    def __contains__(self, value: object) -> bool:
        """Whether an element equals value, as value in l."""
        return self._perform(requests.list_contains(self._t, value))

    def __len__(self) -> int:
        """How many elements there are."""
        return self._perform(requests.list_len(self._t))

    def append(self, value: V) -> None:
        """Adds value at the end."""
        self._perform(requests.list_append(self._t, value))

    def appendleft(self, value: V) -> None:
        """Adds value at the front, as fast as append."""
        self._perform(requests.list_append_left(self._t, value))

    def extend(self, values: Iterable[V]) -> None:
        """Adds all values at the end in one request: all or nothing."""
        self._perform(requests.list_extend(self._t, as_list(values)))

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
        return self._perform(requests.list_all(self._t))
