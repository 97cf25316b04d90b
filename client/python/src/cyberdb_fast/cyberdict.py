"""CyberDict: a dict in the server."""

from __future__ import annotations

import sys
from typing import (
    Any,
    Callable,
    Dict,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    List,
    Mapping,
    MutableMapping,
    Optional,
    Tuple,
    TypeVar,
    Union,
    ValuesView,
    cast,
    overload,
)

from . import dict_requests, dict_snapshot, glimpse, opcodes
from .clock import MONOTONIC
from .computing import DEFAULT_LEASE, Computation, Times, unprepared
from .errors import ConnectionLost, CyberDBError, LockLost, VersionMismatch
from .expiry import KEEP_TTL, Duration, milliseconds
from .holds import may_hold
from .methods_sync import DictMethods
from .replies import MISSING, Missing
from .requests import Request
from .table import as_dict, preparation

K = TypeVar("K")
V = TypeVar("V")
K2 = TypeVar("K2")
V2 = TypeVar("V2")


# get and pop have other overloads than those of Mapping.
class CyberDict(DictMethods[K, V], MutableMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A dict in the server. Every method is one atomic request, except modify.

    >>> d["ada"] = {"age": 36}
    >>> d |= {"bob": None}
    >>> d["ada"], len(d), "eve" in d, list(d)
    ({'age': 36}, 2, False, ['ada', 'bob'])

    Values that are read are copies: `d["a"].append(1)` changes only a copy. A client that tracks
    changes warns about that.

    Iteration, keys(), values(), items() and copy() show the items in order, as of one moment;
    repr() shows the first ones. Keys and values compare as in a dict: 1, 1.0 and True are one key.

    Besides the errors that a method names, each may raise NoSuchTable, WrongTableKind, those of the
    connection (DisconCyberDBError, PoolTimeout), and if it changes the table Overloaded, NotDurable
    and ReadOnly. After an error nothing has changed, unless the error says otherwise.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: K) -> V:
        if (
            dict_snapshot.snapshots
            and (value := dict_snapshot.take(self, key, sys._getframe(1), MISSING)) is not MISSING
        ):
            return cast(V, value)
        found: V = self._perform(dict_requests.dict_get(self._t, key))
        return found

    def __iter__(self) -> Iterator[K]:
        return self._perform_stream(dict_requests.stream(opcodes.DICT_KEYS, self._t))

    def __reversed__(self) -> Iterator[K]:
        keys: List[K] = self._perform(dict_requests.dict_keys(self._t))
        return reversed(keys)

    def __repr__(self) -> str:
        found = glimpse.of_dict(self)
        return glimpse.text(found, "{", glimpse.pairs(found), "}")

    def _repr_html_(self) -> str:
        found = glimpse.of_dict(self)
        return glimpse.html(f"dict {self._name}", found, found.first)

    def _ipython_key_completions_(self) -> List[K]:
        return [key for key, _ in glimpse.of_dict(self).first]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() == as_dict(other)

    @overload
    def __or__(self, other: Mapping[K, V]) -> Dict[K, V]: ...
    @overload
    def __or__(self, other: Mapping[K2, V2]) -> Dict[Union[K, K2], Union[V, V2]]: ...
    def __or__(self, other: Mapping[Any, Any]) -> Dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.copy()) | (other if isinstance(other, dict) else as_dict(other))

    @overload
    def __ror__(self, other: Mapping[K, V]) -> Dict[K, V]: ...
    @overload
    def __ror__(self, other: Mapping[K2, V2]) -> Dict[Union[K, K2], Union[V, V2]]: ...
    def __ror__(self, other: Mapping[Any, Any]) -> Dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return (other if isinstance(other, dict) else as_dict(other)) | dict(self.copy())

    def __ior__(  # type: ignore[misc] # as in dict: | needs a mapping, |= also takes pairs
        self, other: Union[Mapping[K, V], Iterable[Tuple[K, V]]]
    ) -> CyberDict[K, V]:
        self.update(other)
        return self

    __copy__ = DictMethods.copy

    def keys(self) -> KeysView[K]:
        """Returns a view of the keys; each use reads them from the server, in order.

        Iteration shows one moment and takes bounded memory. For a list: list(d).
        """
        keys = DictKeys(self)
        keys.site = dict_snapshot.merge_site(sys._getframe(1))
        return keys

    def values(self) -> ValuesView[V]:
        """Returns a view of the values; each use reads them from the server, in order."""
        return DictValues(self)

    def items(self) -> ItemsView[K, V]:
        """Returns a view of the items; each use reads them from the server, in order.

        >>> d.update(a=1, b=2)
        >>> [(key, value) for key, value in d.items()]
        [('a', 1), ('b', 2)]
        """
        return DictItems(self)

    def modify(
        self, key: K, change: Callable[[V], V], default: Union[V, Missing] = MISSING, *, ttl: Optional[Duration] = None
    ) -> V:
        """Sets key to change(value) and returns the new value.

        change is called again if another client has written key in between. key keeps the deadline
        that it has; with ttl, which is as in set, it gets a new one. Errors: KeyError if key is
        absent and there is no default; if change raises an error, nothing has changed.

        >>> d.modify("log", lambda lines: [*lines, "started"], [])
        ['started']
        """
        on_wire = KEEP_TTL if ttl is None else milliseconds(ttl)
        while True:
            try:
                entry = self._perform(dict_requests.dict_get_versioned(self._t, key))
            except KeyError:
                if default is MISSING:
                    raise
                entry = dict_requests.Versioned(cast(V, default), 0)
            new = change(entry.value)
            try:
                self._perform(dict_requests.dict_set_if(self._t, key, new, entry.version, on_wire))
            except VersionMismatch:
                continue
            return new

    def get_or_compute(
        self,
        key: K,
        function: Callable[[], V],
        *,
        ttl: Optional[Duration] = None,
        stale: Optional[Duration] = None,
        lease: Duration = DEFAULT_LEASE,
        wait: Optional[Duration] = None,
    ) -> V:
        """Returns the value of key; if it is absent, sets it to function() first.

        >>> d.get_or_compute("report", lambda: "made by one caller", ttl=60, stale=600)
        'made by one caller'

        Of all clients, one calls its function, and the others wait for the value, each for wait
        seconds at most; None: as long as it takes. The value is kept for ttl; None: for the ttl of
        the dict, or without a deadline if it has none. For the time stale after ttl, one client
        computes it anew, and the others get the old one at once. If function fails, the error is
        raised, nothing is stored, and the next client calls its own. If the client that computes is
        lost, another one takes over when its lease, which is renewed while function runs, ends.

        The result is returned, and not stored, if the lease was lost meanwhile. It is lost if
        storing it fails otherwise: that error is raised. In a fenced handle, the result is stored
        while the lock is held; otherwise LockLost is raised.

        Errors: those of function and of set; LockTimeout if the wait ended; RuntimeError if
        function asks for the key that it computes; ValueError, also if stale is given without ttl;
        TypeError.
        """
        background = self._sender._background
        times = Times(ttl, stale, lease, wait)
        one = Computation(times, self._t, key, background.owner(), background)
        has_lease: Optional[bool] = None  # not known
        try:
            while (found := self._perform_waiting(one.asking())).state == dict_requests.IN_VAIN:
                one.waited_in_vain()
            has_lease = found.state not in (dict_requests.FRESH, dict_requests.STALE)
            if not has_lease:
                return cast(V, found.value)
            one.lease.granted(MONOTONIC[0]())
            background.renew(one.lease)
            with one.running():
                value = function()
            self._store(lambda: one.storing(value, found.fence))
        except BaseException as e:
            has_lease = may_hold(e) if has_lease is None else has_lease
            raise
        finally:
            if has_lease:
                background.renewals.discard(one.lease)
                self._end(one)
        return value

    def _store(self, storing: Callable[[], Request[None]]) -> None:
        """Stores a computed value, unless another client computes it or has."""
        try:
            try:
                self._perform(storing())
            except ConnectionLost:
                self._perform(storing())  # twice does what once does
        except LockLost:
            if preparation(self._sender) is not None:
                self._perform(dict_requests.dict_len(self._t))  # LockLost, if it is the lock of a fence

    def _end(self, one: Computation) -> None:
        """Ends the lease of a computation, later if the server cannot be reached now."""
        try:
            unprepared(self._sender)._perform(one.computed())
        except CyberDBError:
            self._sender._background.give_back(one.computed())
        except BaseException:
            self._sender._background.give_back(one.computed())
            raise

    def _stream_keys(self) -> Iterator[K]:
        return iter(self)

    def _stream_values(self) -> Iterator[V]:
        return self._perform_stream(dict_requests.stream(opcodes.DICT_VALUES, self._t))

    def _stream_items(self) -> Iterator[Tuple[K, V]]:
        flat = self._perform_stream(dict_requests.stream(opcodes.DICT_ITEMS, self._t))
        return cast(Iterator[Tuple[K, V]], zip(flat, flat))

    def _list_values(self) -> List[V]:
        return self._perform(dict_requests.dict_values(self._t))

    def _list_items(self) -> List[Tuple[K, V]]:
        return self._perform(dict_requests.dict_items(self._t))


class DictKeys(KeysView[K]):
    """A view of the keys of a CyberDict. Each use reads them from the server."""

    _mapping: CyberDict[K, Any]
    site: Optional[dict_snapshot.CallSite] = None

    def __iter__(self) -> Iterator[K]:
        site, self.site = self.site, None
        if site is None or site != dict_snapshot.call_site(sys._getframe(1)):
            return iter(self._mapping)
        items = self._mapping.copy()
        dict_snapshot.keep(site, self._mapping, items)
        return iter(items)

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._mapping)

    def __repr__(self) -> str:
        found = glimpse.of_dict(self._mapping)
        return glimpse.text(found, "dict_keys([", (glimpse.short(key) for key, _ in found.first), "])")


class DictValues(ValuesView[V]):
    """A view of the values of a CyberDict. Each use reads them from the server."""

    _mapping: CyberDict[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping._stream_values()

    def __contains__(self, value: object) -> bool:
        return any(value is one or value == one for one in self)

    def __reversed__(self) -> Iterator[V]:
        return reversed(self._mapping._list_values())

    def __repr__(self) -> str:
        found = glimpse.of_dict(self._mapping)
        return glimpse.text(found, "dict_values([", (glimpse.short(value) for _, value in found.first), "])")


class DictItems(ItemsView[K, V]):
    """A view of the items of a CyberDict. Each use reads them from the server."""

    _mapping: CyberDict[K, V]

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        try:
            value = self._mapping[item[0]]
        except KeyError:
            return False
        return value is item[1] or value == item[1]

    def __iter__(self) -> Iterator[Tuple[K, V]]:
        return self._mapping._stream_items()

    def __reversed__(self) -> Iterator[Tuple[K, V]]:
        return reversed(self._mapping._list_items())

    def __repr__(self) -> str:
        found = glimpse.of_dict(self._mapping)
        return glimpse.text(found, "dict_items([", map(glimpse.short, found.first), "])")
