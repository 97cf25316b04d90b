"""The shelf of the standard library's shelve, which several programs may open at the same time.

from cyberdb_fast.adapters import shelve

with shelve.open("cyberdb://127.0.0.1:9980", "settings", password="...", writeback=True) as shelf:
shelf["colours"] = ["red"]
shelf["colours"].append("blue")
"""

from __future__ import annotations

from typing import (
    Any,
    Dict,
    ItemsView,
    Iterator,
    Mapping,
    MutableMapping,
    NoReturn,
    Optional,
    Tuple,
    TypeVar,
    Union,
    ValuesView,
)

from cyberdb_fast.client import Client, connect
from cyberdb_fast.cyberdict import CyberDict
from cyberdb_fast.errors import ReadOnly
from cyberdb_fast.replies import MISSING
from cyberdb_fast.table import updates
from cyberdb_fast.values import encode

from .caching import DEFAULT_SERVER, Pickle, dumped, loaded

K = TypeVar("K")
V = TypeVar("V")

DEFAULT_TABLE = "shelf"
FLAGS = ("r", "w", "c", "n")


def open(  # noqa: A001 # its name in shelve
    server: Union[str, Client] = DEFAULT_SERVER,
    table: str = DEFAULT_TABLE,
    flag: str = "c",
    *,
    writeback: bool = False,
    pickle: bool = False,
    **options: Any,
) -> Shelf[Any, Any]:
    """Opens the dict of that name as a shelf.

    server is a URL or a client; options are those of cyberdb_fast.connect. flag is as in shelve:
    "c" creates the table if it is missing, "n" empties it too, "w" and "r" need it, and with "r"
    the shelf refuses changes with ReadOnly. Values keep their Python types, as those of every
    table. With pickle any object can be stored; then any program that can write to the table can
    run code in each program that reads it.

    Errors: those of cyberdb_fast.connect; ValueError for another flag; NoSuchTable,
    WrongTableKind; TypeError if a client comes with options.
    """
    if flag not in FLAGS:
        raise ValueError(f"the flag is one of {', '.join(FLAGS)}, not {flag!r}")
    if isinstance(server, Client) and options:
        raise TypeError(f"a client has its options already: {', '.join(sorted(options))}")
    client = server if isinstance(server, Client) else connect(server, **options)
    own = None if client is server else client
    try:
        proxy = client.get_proxy()
        proxy.connect()
        creates = flag in ("c", "n")
        found = proxy.create_cyberdict(table, exist_ok=True) if creates else proxy.get_cyberdict(table)
        if flag == "n":
            found.clear()
    except BaseException:
        if own is not None:
            own.close()
        raise
    return Shelf(found, own, flag == "r", writeback, Pickle() if pickle else None)


class Shelf(MutableMapping[K, V]):
    """A dict in the server with the methods of shelve.Shelf: close, sync, and `with`.

    Each method is one atomic request, as those of every table, and keys may be of any type that a
    table has for keys. A value that is read is a copy. With writeback, the shelf keeps what it has
    read or stored, and sync and close write what has changed within it: all of it in one request,
    over what others have written to these keys meanwhile. After close, ValueError is raised.
    """

    def __init__(
        self,
        table: CyberDict[K, Any],
        own_client: Optional[Client],
        read_only: bool,
        writeback: bool,
        serializer: Optional[Pickle],
    ) -> None:
        """See open. It closes own_client."""
        self._table: Any = table
        self._own_client, self._read_only, self._serializer = own_client, read_only, serializer
        # What was read or stored, and how it was encoded then.
        self._kept: Optional[Dict[K, Tuple[V, bytes]]] = {} if writeback else None

    def _keep(self, key: K, value: V) -> V:
        """Returns the value of key as the program sees it: with writeback, the one it has."""
        if self._kept is not None:
            self._kept[key] = (value, encode(self._stored(value)))
        return value

    def _stored(self, value: Any) -> Any:
        return dumped(self._serializer, value)

    def _seen(self, key: K, stored: Any) -> V:
        if self._kept is not None and key in self._kept:
            return self._kept[key][0]
        return self._keep(key, loaded(self._serializer, stored))

    def _check(self) -> None:
        if self._read_only:
            raise ReadOnly("the shelf was opened with the flag 'r'")

    def __getitem__(self, key: K) -> V:
        return self._seen(key, self._table[key])

    def get(self, key: K, default: Any = None) -> Any:
        """Returns the value of key, or default if key is absent."""
        stored = self._table.get(key, MISSING)
        return default if stored is MISSING else self._seen(key, stored)

    def __setitem__(self, key: K, value: V) -> None:
        self._check()
        self._table[key] = self._stored(value)
        self._keep(key, value)

    def __delitem__(self, key: K) -> None:
        self._check()
        del self._table[key]
        self._forget(key)

    def _forget(self, key: Any) -> None:
        if self._kept is not None:
            self._kept.pop(key, None)

    def __iter__(self) -> Iterator[K]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def values(self) -> ValuesView[V]:
        """Returns a view of the values, each use of which reads them in one request."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        """Returns a view of the items, each use of which reads them in one request."""
        return _Items(self)

    def _pairs(self) -> Iterator[Tuple[K, V]]:
        for key, stored in self._table.items():
            yield key, self._seen(key, stored)

    def pop(self, key: K, default: Any = MISSING) -> Any:
        """Removes key and returns its value, or default. Errors: KeyError without default."""
        self._check()
        try:
            stored = self._table.pop(key)
        except KeyError:
            if default is MISSING:
                raise
            return default
        value = self._seen(key, stored)
        self._forget(key)
        return value

    def popitem(self) -> Tuple[K, V]:
        """Removes and returns the newest item. Errors: KeyError if the shelf is empty."""
        self._check()
        key, stored = self._table.popitem()
        value = self._seen(key, stored)
        self._forget(key)
        return key, value

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Returns the value of key; sets it to default first if key is absent."""
        self._check()
        stored = self._table.setdefault(key, self._stored(default))
        return self._seen(key, stored)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets many items in one request, which sets all of them or none."""
        self._check()
        items: Mapping[Any, Any] = updates(args, kwargs)
        self._table.set_many({key: self._stored(value) for key, value in items.items()})
        for key, value in items.items():
            self._keep(key, value)

    def clear(self) -> None:
        """Removes all items."""
        self._check()
        self._table.clear()
        if self._kept is not None:
            self._kept.clear()

    def sync(self) -> None:
        """With writeback, writes what has changed, and forgets what was read."""
        if self._kept is None:
            return
        now = {key: (self._stored(value), before) for key, (value, before) in self._kept.items()}
        changed = {key: stored for key, (stored, before) in now.items() if encode(stored) != before}
        if changed:
            self._check()
            self._table.set_many(changed)
        self._kept.clear()

    def close(self) -> None:
        """As sync; then closes the connections, unless they are those of a client that was given.

        The second time, it does nothing.
        """
        if isinstance(self._table, _Closed):
            return
        try:
            self.sync()
        finally:
            self._table = _Closed()
            if self._own_client is not None:
                self._own_client.close()

    def __enter__(self) -> Shelf[K, V]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Values(ValuesView[V]):
    _mapping: Shelf[Any, V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._pairs())


class _Items(ItemsView[K, V]):
    _mapping: Shelf[K, V]

    def __iter__(self) -> Iterator[Tuple[K, V]]:
        return self._mapping._pairs()


class _Closed:
    """The table of a closed shelf."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise ValueError("the shelf is closed")

    __getitem__ = __setitem__ = __delitem__ = __iter__ = __len__ = __contains__ = __getattr__ = _refuse
