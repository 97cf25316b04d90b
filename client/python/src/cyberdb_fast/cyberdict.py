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
)

from . import moment, opcodes, requests
from .errors import VersionMismatch
from .methods_sync import DictMethods
from .requests import MISSING
from .table import as_dict

K = TypeVar("K")
V = TypeVar("V")


class CyberDict(DictMethods[K, V], MutableMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride] # get and pop have other overloads
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

    def __iter__(self) -> Iterator[K]:
        return self._perform_stream(requests.stream(opcodes.DICT_KEYS, self._t))

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

    __copy__ = DictMethods.copy

    def keys(self) -> KeysView[K]:
        keys = DictKeys(self)
        keys.asked_at = moment.merging_place(sys._getframe(1))
        return keys

    def values(self) -> ValuesView[V]:
        return DictValues(self)

    def items(self) -> ItemsView[K, V]:
        return DictItems(self)

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
        return self._perform_stream(requests.stream(opcodes.DICT_VALUES, self._t))

    def _stream_items(self) -> Iterator[Tuple[K, V]]:
        flat = self._perform_stream(requests.stream(opcodes.DICT_ITEMS, self._t))
        return cast(Iterator[Tuple[K, V]], zip(flat, flat))

    def _list_values(self) -> List[V]:
        return self._perform(requests.dict_values(self._t))

    def _list_items(self) -> List[Tuple[K, V]]:
        return self._perform(requests.dict_items(self._t))


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
