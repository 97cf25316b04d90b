"""CyberDict: a dict that lives in the server."""

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

from . import frames, moment, requests
from .errors import VersionMismatch
from .requests import MISSING
from .table import Handle

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class CyberDict(Handle, MutableMapping[K, V]):
    """A dict in the server. Every method is one request, and atomic.

    Values that are read are copies: `d["a"].append(1)` changes a copy, and is lost. A client that tracks changes warns of it.

    Iteration, keys(), values(), items(), copy() and repr() show one moment, in order. Equality is that of dicts, keys included:
    1, 1.0 and True are one key.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: K) -> V:
        if moment.moments and (value := moment.take(self, key, sys._getframe(1), MISSING)) is not MISSING:
            return cast(V, value)
        found: V = self._perform(requests.dict_get(self._t, key))
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self._perform(requests.dict_set(self._t, key, value))

    def __delitem__(self, key: K) -> None:
        self._perform(requests.dict_delete(self._t, key))

    def __contains__(self, key: object) -> bool:
        return self._perform(requests.dict_contains(self._t, key))

    def __len__(self) -> int:
        return self._perform(requests.dict_len(self._t))

    def __iter__(self) -> Iterator[K]:
        return self._perform_stream(requests.stream(frames.DICT_KEYS, self._t))

    def __reversed__(self) -> Iterator[K]:
        keys: List[K] = self._perform(requests.dict_keys(self._t))
        return reversed(keys)

    def __repr__(self) -> str:
        return repr(self.copy())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.copy() == as_dict(other)

    def __or__(self, other: Mapping[Any, Any]) -> Dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.copy()) | (other if isinstance(other, dict) else as_dict(other))

    def __ror__(self, other: Mapping[Any, Any]) -> Dict[Any, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return (other if isinstance(other, dict) else as_dict(other)) | dict(self.copy())

    def __ior__(  # type: ignore[misc] # as dict has them: | needs a mapping, |= takes pairs too
        self, other: Union[Mapping[K, V], Iterable[Tuple[K, V]]]
    ) -> CyberDict[K, V]:
        self.update(other)
        return self

    @overload
    def get(self, key: K) -> Optional[V]: ...
    @overload
    def get(self, key: K, default: Union[V, D]) -> Union[V, D]: ...
    def get(self, key: K, default: Any = None) -> Any:
        """The value of key, or default, which stays here and comes back as itself."""
        return self._perform(requests.dict_get_or(self._t, key, default))

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
        """The content of one moment as a dict, in one request; dict(d), {**d} and f(**d) are the same."""
        return self._perform(requests.dict_all(self._t))

    def todict(self) -> Dict[K, V]:
        """As copy."""
        return self.copy()

    __copy__ = copy

    def keys(self) -> KeysView[K]:
        keys = DictKeys(self)
        keys.asked_at = moment.merging_place(sys._getframe(1))
        return keys

    def values(self) -> ValuesView[V]:
        return DictValues(self)

    def items(self) -> ItemsView[K, V]:
        return DictItems(self)

    def get_many(self, keys: Iterable[K]) -> Dict[K, V]:
        """Those of keys that are there, with their values, read in one request."""
        return self._perform(requests.dict_get_many(self._t, keys))

    def set_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]]) -> None:
        """As update."""
        self.update(items)

    def increment(self, key: K, by: Any = 1) -> Any:
        """Adds by to the value of key, where none counts as 0, and returns the sum. Errors: TypeError, OverflowError."""
        return self._perform(requests.dict_increment(self._t, key, by))

    def compare_and_set(self, key: K, old: Any, new: Any) -> bool:
        """Sets key to new if its value is old, and says whether it did. ABSENT stands for no entry, as old and as new."""
        return self._perform(requests.dict_compare_and_set(self._t, key, old, new))

    def modify(self, key: K, change: Callable[[V], V], default: Any = MISSING) -> V:
        """Sets key to what change makes of its value, and returns that. change is called again if somebody wrote key in between.

        Errors: KeyError if key is not there and no default is given; what change raises, and then nothing has changed.
        """
        while True:
            try:
                there = self._perform(requests.dict_get_versioned(self._t, key))
            except KeyError:
                if default is MISSING:
                    raise
                there = requests.Versioned(default, 0)
            new = change(there.value)
            try:
                self._perform(requests.dict_set_if(self._t, key, new, there.version))
            except VersionMismatch:
                continue
            return new

    def _stream_keys(self) -> Iterator[K]:
        return iter(self)

    def _stream_values(self) -> Iterator[V]:
        return self._perform_stream(requests.stream(frames.DICT_VALUES, self._t))

    def _stream_items(self) -> Iterator[Tuple[K, V]]:
        flat = self._perform_stream(requests.stream(frames.DICT_ITEMS, self._t))
        return cast(Iterator[Tuple[K, V]], zip(flat, flat))

    def _list_values(self) -> List[V]:
        return self._perform(requests.dict_values(self._t))

    def _list_items(self) -> List[Tuple[K, V]]:
        return self._perform(requests.dict_items(self._t))


def as_dict(source: Any) -> Dict[Any, Any]:
    """The items of a mapping or of pairs; those of a table in one request."""
    return source.copy() if isinstance(source, CyberDict) else dict(source)


def updates(args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Dict[Any, Any]:
    """The items that dict.update would set for these arguments. Errors: TypeError, ValueError, as there."""
    if len(args) > 1:
        raise TypeError(f"update expected at most 1 argument, got {len(args)}")
    items = as_dict(args[0]) if args else {}
    items.update(kwargs)
    return items


class DictKeys(KeysView[K]):
    """The keys of a CyberDict as they are when they are asked for."""

    _mapping: CyberDict[K, Any]
    asked_at: Optional[moment.Place] = None

    def __iter__(self) -> Iterator[K]:
        asked_at, self.asked_at = self.asked_at, None
        if asked_at is None or asked_at != moment.place_of(sys._getframe(1)):
            return iter(self._mapping)
        items = self._mapping.copy()
        moment.begin(asked_at, self._mapping, items)
        return iter(items)

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._mapping)

    def __repr__(self) -> str:
        return f"dict_keys({list(self)!r})"


class DictValues(ValuesView[V]):
    """The values of a CyberDict as they are when they are asked for."""

    _mapping: CyberDict[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping._stream_values()

    def __contains__(self, value: object) -> bool:
        return any(value is one or value == one for one in self)

    def __reversed__(self) -> Iterator[V]:
        return reversed(self._mapping._list_values())

    def __repr__(self) -> str:
        return f"dict_values({list(self)!r})"


class DictItems(ItemsView[K, V]):
    """The items of a CyberDict as they are when they are asked for."""

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
        return f"dict_items({list(self)!r})"
