"""What the adapters of caches share: the table of a cache, and the serializer of its values."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any, Callable, Iterable, List, Optional, Protocol, TypeVar, Union

from cyberdb_fast.client import Client, connect
from cyberdb_fast.cyberdict import CyberDict
from cyberdb_fast.errors import NoSuchTable
from cyberdb_fast.proxy import Proxy

T = TypeVar("T")

Table = CyberDict[str, Any]

DEFAULT_SERVER, DEFAULT_TABLE = "cyberdb://127.0.0.1:9980", "cache"


class CacheTable:
    """A dict in the server that has the entries of a cache.

    It connects at the first request, so a program may start while the server is down. The table is
    created when it is missing, at the start and after a restart of a server without a file.
    Threads, greenlets and forked processes may share it.
    """

    def __init__(self, server: Union[str, Client], name: str, max_entries: Optional[int], **options: Any) -> None:
        """Makes a cache in the table of that name.

        server is a URL or a client; options are those of connect(), for a URL. A new table evicts
        entries that are rarely used when it has max_entries. Errors: those of connect() about its
        arguments; TypeError if a client comes with options.
        """
        if isinstance(server, Client) and options:
            raise TypeError(f"a client has its options already: {', '.join(sorted(options))}")
        self._own_client = not isinstance(server, Client)
        self._client = server if isinstance(server, Client) else connect(server, check=False, **options)
        self._proxy = self._client.get_proxy()
        self._name, self._max_entries = name, max_entries
        self._table: Optional[Table] = None

    def perform(self, request: Callable[[Table], T]) -> T:
        """Returns request(table); creates the table first if it is missing.

        request may be called twice: if it raises NoSuchTable, it has changed nothing.
        """
        table = self._table
        if table is not None:
            try:
                return request(table)
            except NoSuchTable:
                pass
        return request(self._create())

    def connected(self) -> Proxy:
        """The proxy, connected, for locks. Errors: those of cyberdb_fast.connect."""
        self._proxy.connect()
        return self._proxy

    def _create(self) -> Table:
        self._table = table = self.connected().create_cyberdict(
            self._name, exist_ok=True, max_entries=self._max_entries
        )
        return table

    def delete(self, key: str) -> bool:
        """Deletes key; returns whether it was present."""
        try:
            self.perform(lambda table: table.__delitem__(key))
        except KeyError:
            return False
        return True

    def delete_many(self, keys: List[str]) -> None:
        """Deletes those keys that are present, all at one moment."""
        self.perform(lambda table: table.delete_many(keys))

    def close(self) -> None:
        """Closes the client, unless it was given."""
        if self._own_client:
            self._client.close()


@cache
def shared_table(server: str, name: str, max_entries: Optional[int], **options: Any) -> CacheTable:
    """The CacheTable of these arguments, one in a process: a framework makes caches per thread."""
    return CacheTable(server, name, max_entries, **options)


class Serializer(Protocol):
    """Turns values into bytes and back, as the serializers of cachelib do."""

    def dumps(self, value: Any) -> Any:
        """Returns the bytes that stand for value."""

    def loads(self, bvalue: bytes) -> Any:
        """Returns the value that bvalue stands for."""


class Pickle:
    """Stores any Python object by pickle.

    Unpickling runs code: a program that can write to the table can run code in every program that
    reads it with this serializer.
    """

    def dumps(self, value: Any) -> bytes:
        """Pickles value. Errors: those of pickle.dumps."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def loads(self, bvalue: bytes) -> Any:
        """Unpickles bvalue. Errors: those of pickle.loads."""
        return pickle.loads(bvalue)  # noqa: S301 # asked for


def dumped(serializer: Optional[Serializer], value: Any) -> Any:
    """What is stored for value: value itself if there is no serializer, or if it is an int.

    An int stays one, so that the server can add to it.
    """
    return value if serializer is None or type(value) is int else serializer.dumps(value)


def loaded(serializer: Optional[Serializer], stored: Any) -> Any:
    """The value of what dumped has returned."""
    return serializer.loads(stored) if serializer is not None and type(stored) is bytes else stored


def all_loaded(serializer: Optional[Serializer], stored: List[Any]) -> List[Any]:
    """The values of what dumped has returned."""
    return stored if serializer is None else [loaded(serializer, one) for one in stored]


def checked_keys(keys: Iterable[Any]) -> List[str]:
    """As checked_key, for many."""
    checked = list(keys)
    return checked if {str}.issuperset(map(type, checked)) else [checked_key(key) for key in checked]


def checked_key(key: Any) -> str:
    """Returns key. Errors: TypeError if it is not a str."""
    if not isinstance(key, str):
        raise TypeError(f"a cache key must be a str, got {type(key).__name__}")
    return key
