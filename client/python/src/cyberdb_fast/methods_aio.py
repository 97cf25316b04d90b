"""The methods of the tables of cyberdb_fast.aio.

Generated from methods.py by `.ci/python generate`: do not edit.
"""

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

from . import dict_requests, list_requests
from .aio_table import Handle
from .expiry import Duration
from .replies import ABSENT, MISSING, Missing
from .table import Items, as_dict, as_list, updates

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class DictMethods(Handle, Generic[K, V]):
    """The methods of the tables of cyberdb_fast.aio."""

    def getitem(self, key: K) -> Awaitable[V]:
        """Returns the value of key, as d[key]. Errors: KeyError."""
        return self._perform(dict_requests.dict_get(self._t, key))

    @overload
    def get(self, key: K) -> Awaitable[Optional[V]]: ...
    @overload
    def get(self, key: K, default: Union[V, D]) -> Awaitable[Union[V, D]]: ...
    def get(self, key: K, default: Any = None) -> Awaitable[Any]:
        """Returns the value of key, or default if key is absent."""
        return self._perform(dict_requests.dict_get_or(self._t, key, default))

    def set(self, key: K, value: V, *, ttl: Optional[Duration] = None, keep_ttl: bool = False) -> Awaitable[None]:
        """Sets the value of key, as d[key] = value, which removes its deadline.

        With ttl, key expires after that time: seconds or a timedelta, rounded up to milliseconds.
        With keep_ttl, it keeps the deadline that it has. Errors: ValueError if ttl is not above 0,
        is above 100 years, or is given together with keep_ttl; TypeError if ttl is another type, or
        if key or value is of a type that tables do not store; TooLarge; Overloaded.
        """
        return self._perform(dict_requests.dict_set(self._t, key, value, ttl, keep_ttl))

    def add(self, key: K, value: V, *, ttl: Optional[Duration] = None) -> Awaitable[bool]:
        """Sets key to value if key is absent; returns whether it did. ttl is as in set."""
        return self._perform(dict_requests.dict_compare_and_set(self._t, key, ABSENT, value, ttl))

    def replace(self, key: K, value: V, *, ttl: Optional[Duration] = None) -> Awaitable[bool]:
        """Sets key to value, as set, if key is present; returns whether it did."""
        return self._perform(dict_requests.dict_replace(self._t, key, value, ttl))

    def get_versioned(self, key: K) -> Awaitable[dict_requests.Versioned[V]]:
        """Returns the value of key and its version, for set_if and delete_if. Errors: KeyError.

        A version is an int above 0. Each write gives key a new one, and no number comes twice.
        """
        return self._perform(dict_requests.dict_get_versioned(self._t, key))

    def set_if(
        self, key: K, value: V, version: int, *, ttl: Optional[Duration] = None, keep_ttl: bool = False
    ) -> Awaitable[int]:
        """Sets key to value, as set, if key still has this version; returns its new version.

        Version 0 means that key must be absent. Errors: VersionMismatch, and those of set.
        """
        return self._perform(dict_requests.dict_set_versioned(self._t, key, value, version, ttl, keep_ttl))

    def delete_if(self, key: K, version: int) -> Awaitable[None]:
        """Removes key if it still has this version. Errors: VersionMismatch."""
        return self._perform(dict_requests.dict_delete_if(self._t, key, version))

    def delete(self, key: K) -> Awaitable[None]:
        """Removes key, as del d[key]. Errors: KeyError."""
        return self._perform(dict_requests.dict_delete(self._t, key))

    def delete_many(self, keys: Iterable[K]) -> Awaitable[List[K]]:
        """Removes keys in one request, all or none; returns those that were there, in their order.

        A key that is repeated was there once. Errors: TypeError if a key is not hashable, and
        nothing is removed.
        """
        return self._perform(dict_requests.dict_delete_many(self._t, keys))

    def contains(self, key: object) -> Awaitable[bool]:
        """Whether key is present, as key in d."""
        return self._perform(dict_requests.dict_contains(self._t, key))

    def len(self) -> Awaitable[int]:
        """Returns the number of keys."""
        return self._perform(dict_requests.dict_len(self._t))

    @overload
    def setdefault(
        self: DictMethods[K, Optional[D]], key: K, default: None = None, *, ttl: Optional[Duration] = None
    ) -> Awaitable[Optional[D]]: ...
    @overload
    def setdefault(self, key: K, default: V, *, ttl: Optional[Duration] = None) -> Awaitable[V]: ...
    def setdefault(self, key: K, default: Any = None, *, ttl: Optional[Duration] = None) -> Awaitable[Any]:
        """Returns the value of key; sets it to default first if key is absent.

        ttl is as in set, and has an effect only if key is absent.
        """
        return self._perform(dict_requests.dict_setdefault(self._t, key, default, ttl))

    @overload
    def pop(self, key: K) -> Awaitable[V]: ...
    @overload
    def pop(self, key: K, default: Union[V, D]) -> Awaitable[Union[V, D]]: ...
    def pop(self, key: K, default: Any = MISSING) -> Awaitable[Any]:
        """Removes key and returns its value, or default if key is absent.

        Errors: KeyError if key is absent and there is no default.
        """
        return self._perform(dict_requests.dict_pop(self._t, key, default))

    def popitem(self) -> Awaitable[Tuple[K, V]]:
        """Removes and returns the newest item. Errors: KeyError if the dict is empty."""
        return self._perform(dict_requests.dict_popitem(self._t))

    def clear(self) -> Awaitable[None]:
        """Removes all items."""
        return self._perform(dict_requests.dict_clear(self._t))

    @overload
    def update(self, other: Items[K, V], /, *, ttl: Optional[Duration] = None) -> Awaitable[None]: ...
    @overload
    def update(
        self: DictMethods[str, V], other: Items[str, V], *, ttl: Optional[Duration] = None, **kwargs: V
    ) -> Awaitable[None]: ...
    @overload
    def update(self, other: Iterable[Tuple[K, V]], /, *, ttl: Optional[Duration] = None) -> Awaitable[None]: ...
    @overload
    def update(
        self: DictMethods[str, V], other: Iterable[Tuple[str, V]], *, ttl: Optional[Duration] = None, **kwargs: V
    ) -> Awaitable[None]: ...
    @overload
    def update(self: DictMethods[str, V], *, ttl: Optional[Duration] = None, **kwargs: V) -> Awaitable[None]: ...
    def update(self, *args: Any, ttl: Optional[Duration] = None, **kwargs: Any) -> Awaitable[None]:
        """Sets many items in one request, which sets all of them or none.

        The arguments are those of dict.update. ttl is that of all items, as in set: to set the key
        "ttl", give it in a mapping or a pair. Errors: those of set and of dict.update.
        """
        return self._perform(dict_requests.dict_update(self._t, updates(args, kwargs), ttl))

    def copy(self) -> Awaitable[Dict[K, V]]:
        """Returns the content as a dict, as of one moment, in one request.

        dict(d), {**d} and f(**d) of a CyberDict do the same. Errors: ReplyTooLarge.
        """
        return self._perform(dict_requests.dict_all(self._t))

    def todict(self) -> Awaitable[Dict[K, V]]:
        """Returns the content as a dict: the same as copy."""
        return self._perform(dict_requests.dict_all(self._t))

    def get_many(self, keys: Iterable[K]) -> Awaitable[Dict[K, V]]:
        """Returns a dict of those keys that are present, with their values, in one request."""
        return self._perform(dict_requests.dict_get_many(self._t, keys))

    def set_many(
        self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]], *, ttl: Optional[Duration] = None
    ) -> Awaitable[None]:
        """Sets many items in one request, all or none: update for a mapping or for pairs."""
        return self._perform(dict_requests.dict_update(self._t, as_dict(items), ttl))

    def increment(
        self, key: K, by: V = dict_requests.ONE, *, ttl: Optional[Duration] = None, must_exist: bool = False
    ) -> Awaitable[V]:
        """Adds by to the value of key, or to 0 if key is absent, and returns the sum.

        No increment is lost, however many clients there are. by may be any number; a str or a list
        is added to one of its kind. With must_exist, an absent key is a KeyError, and ttl has no
        effect.

        A key that is present keeps its deadline. ttl is as in set, and has an effect only if key is
        absent: a counter with a ttl counts what happens within that time of its first increment.
        Errors: TypeError if the value and by cannot be added; OverflowError.
        """
        return self._perform(
            dict_requests.dict_increment_present(self._t, key, by)
            if must_exist
            else dict_requests.dict_increment(self._t, key, by, ttl)
        )

    def compare_and_set(
        self, key: K, old: Union[V, Missing], new: Union[V, Missing], *, ttl: Optional[Duration] = None
    ) -> Awaitable[bool]:
        """Sets key to new if its value equals old; returns whether it did.

        ABSENT as old means that key is absent, ABSENT as new removes key. key keeps the deadline
        that it has; with ttl, which is as in set, it gets a new one.
        """
        return self._perform(dict_requests.dict_compare_and_set(self._t, key, old, new, ttl))

    def ttl(self, key: K) -> Awaitable[Optional[float]]:
        """Returns the time after which key expires, in seconds; None if it has no deadline.

        The default time to live of the dict counts, the idle time does not. Errors: KeyError.
        """
        return self._perform(dict_requests.dict_ttl(self._t, key))

    def expire(self, key: K, ttl: Duration) -> Awaitable[None]:
        """Makes key expire after ttl: seconds or a timedelta, rounded up to milliseconds.

        key keeps its value and its position, and gets a new version. Errors: KeyError; ValueError
        if ttl is not above 0 or is above 100 years; TypeError if it is another type.
        """
        return self._perform(dict_requests.dict_expire(self._t, key, ttl))

    def persist(self, key: K) -> Awaitable[None]:
        """Removes the deadline of key: until it is set again, not even the dict's default applies.

        The idle time of the dict still applies. Errors: KeyError.
        """
        return self._perform(dict_requests.dict_persist(self._t, key))

    def touch(self, key: K) -> Awaitable[None]:
        """Restarts the idle time of key, and its time to live if that is the default of the dict.

        A deadline of its own stays. Errors: KeyError.
        """
        return self._perform(dict_requests.dict_touch(self._t, key))


class ListMethods(Handle, Generic[V]):
    """The methods of the tables of cyberdb_fast.aio."""

    def get(self, index: SupportsIndex) -> Awaitable[V]:
        """Returns the element at index, as l[index]. Errors: IndexError."""
        return self._perform(list_requests.list_get(self._t, index))

    def slice(
        self, start: Optional[int] = None, stop: Optional[int] = None, step: Optional[int] = None
    ) -> Awaitable[List[V]]:
        """Returns the elements of a slice, as l[start:stop:step]. Errors: ValueError for step 0."""
        return self._perform(list_requests.list_get(self._t, slice(start, stop, step)))

    @overload
    def set(self, index: SupportsIndex, value: V) -> Awaitable[None]: ...
    @overload
    def set(self, index: list_requests.Slice, value: Iterable[V]) -> Awaitable[None]: ...
    def set(self, index: list_requests.Index, value: Any) -> Awaitable[None]:
        """Sets the element at index, or the elements of a slice, as l[index] = value.

        Errors: IndexError, ValueError.
        """
        return self._perform(list_requests.list_set(self._t, index, value))

    def delete(self, index: list_requests.Index) -> Awaitable[None]:
        """Removes the element at index, or a slice, as del l[index]. Errors: IndexError."""
        return self._perform(list_requests.list_delete(self._t, index))

    def contains(self, value: object) -> Awaitable[bool]:
        """Whether an element equals value, as value in l."""
        return self._perform(list_requests.list_contains(self._t, value))

    def len(self) -> Awaitable[int]:
        """Returns the number of elements."""
        return self._perform(list_requests.list_len(self._t))

    def append(self, value: V) -> Awaitable[None]:
        """Adds value at the end. Errors: TypeError, TooLarge, Overloaded, as set of a dict."""
        return self._perform(list_requests.list_append(self._t, value))

    def appendleft(self, value: V) -> Awaitable[None]:
        """Adds value at the front, as fast as append does at the end."""
        return self._perform(list_requests.list_append_left(self._t, value))

    @overload
    def extend(self, values: Iterable[V]) -> Awaitable[None]: ...
    @overload
    def extend(self, values: list_requests.Receipt, lease: Duration = ...) -> Awaitable[None]: ...
    def extend(self, values: Any, lease: Any = MISSING) -> Awaitable[None]:
        """Adds values at the end in one request, which adds all of them or none.

        With an item that was taken, or a receipt and a lease, it is extend_lease.
        """
        return self._perform(
            list_requests.list_extend_lease(self._t, values, lease)
            if list_requests.is_lease(values, lease)
            else list_requests.list_extend(self._t, as_list(values))
        )

    def insert(self, index: SupportsIndex, value: V) -> Awaitable[None]:
        """Inserts value before index; at an end of the list if index is beyond it."""
        return self._perform(list_requests.list_insert(self._t, index, value))

    def put(self, value: V, *, delay: Duration = 0) -> Awaitable[None]:
        """Adds value at the end, after delay: seconds or a timedelta.

        Until then only delayed() counts it. Errors: ValueError if delay is below 0 or above 100
        years; TypeError if it is another type.
        """
        return self._perform(list_requests.list_put(self._t, value, delay))

    def take(
        self, lease: Duration = list_requests.DEFAULT_LEASE, wait: Optional[Duration] = 10
    ) -> Awaitable[Optional[list_requests.QueueItem[V]]]:
        """Takes the first element out of the list, for the time lease; None if the wait ends.

        It waits for an element for as long as wait: seconds or a timedelta; None: for ever. The
        item, a QueueItem, has value, receipt and deliveries. Until ack, nack or the end of its
        lease only leased() counts it; no other method sees it, clear neither. When the lease ends,
        the item returns to the front. Errors: ValueError, TypeError.
        """
        return self._perform_waiting(list_requests.list_take(self._t, lease, wait))

    def ack(self, item: list_requests.Receipt) -> Awaitable[None]:
        """Removes an item that was taken; item may be its receipt.

        Errors: LeaseExpired if it is not leased under this receipt any more.
        """
        return self._perform(list_requests.list_ack(self._t, item))

    def nack(self, item: list_requests.Receipt, *, delay: Duration = 0) -> Awaitable[None]:
        """Gives an item that was taken back to the front, or to the end after delay.

        With the option max_deliveries, it goes to the dead letters instead if it was delivered so
        often. Errors: those of ack, and of put.
        """
        return self._perform(list_requests.list_nack(self._t, item, delay))

    def extend_lease(
        self, item: list_requests.Receipt, lease: Duration = list_requests.DEFAULT_LEASE
    ) -> Awaitable[None]:
        """Makes the lease of an item that was taken last for the time lease from now on.

        Errors: those of ack; ValueError, TypeError.
        """
        return self._perform(list_requests.list_extend_lease(self._t, item, lease))

    def leased(self) -> Awaitable[int]:
        """Returns the number of items that are taken and leased."""
        return self._perform(list_requests.list_held(self._t, 0))

    def delayed(self) -> Awaitable[int]:
        """Returns the number of items whose delay is not over."""
        return self._perform(list_requests.list_held(self._t, 1))

    def remove(self, value: V) -> Awaitable[None]:
        """Removes the first element that equals value. Errors: ValueError if none does."""
        return self._perform(list_requests.list_remove(self._t, value))

    def clear(self) -> Awaitable[None]:
        """Removes all elements."""
        return self._perform(list_requests.list_clear(self._t))

    def count(self, value: Any) -> Awaitable[int]:
        """Returns the number of elements that equal value."""
        return self._perform(list_requests.list_count(self._t, value))

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> Awaitable[int]:
        """Returns the index of the first element that equals value.

        Errors: ValueError if none does.
        """
        return self._perform(list_requests.list_index(self._t, value, start, stop))

    def reverse(self) -> Awaitable[None]:
        """Reverses the list, in one request."""
        return self._perform(list_requests.list_reverse(self._t))

    def sort(self, *, key: Optional[Callable[[V], Any]] = None, reverse: bool = False) -> Awaitable[None]:
        """Sorts the list in the server; the sort is stable. On an error the list is unchanged.

        The server runs no code, so key is translated to data. It may use items (lambda x: x[1],
        operator.itemgetter), negation, len, lower, str and tuples of these. Errors: TypeError for
        any other key, and for elements that cannot be compared.
        """
        return self._perform(list_requests.list_sort(self._t, key, reverse))

    def copy(self) -> Awaitable[List[V]]:
        """Returns the content as a list, as of one moment. Errors: ReplyTooLarge."""
        return self._perform(list_requests.list_all(self._t))

    def tolist(self) -> Awaitable[List[V]]:
        """Returns the content as a list: the same as copy."""
        return self._perform(list_requests.list_all(self._t))
