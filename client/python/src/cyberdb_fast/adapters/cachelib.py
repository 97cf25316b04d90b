"""The cache of cachelib, and so of Flask-Caching.

    from cyberdb_fast.adapters.cachelib import CyberDBCache

    cache = CyberDBCache("cyberdb://127.0.0.1:9980", password="...")
    cache.set("report", {"year": 2024, "rows": [(1, 2.5)]}, timeout=60)

The configuration of Flask-Caching names it: CACHE_TYPE =
"cyberdb_fast.adapters.cachelib.CyberDBCache", with CACHE_ARGS and CACHE_OPTIONS.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

from datetime import timedelta
from typing import Any, Dict, List, Mapping, Optional, Union

from cyberdb_fast.client import Client
from cyberdb_fast.replies import ABSENT

from .caching import (
    DEFAULT_SERVER,
    DEFAULT_TABLE,
    CacheTable,
    Pickle,
    Serializer,
    all_loaded,
    checked_key,
    checked_keys,
    dumped,
    loaded,
)
from .frameworks import require

require("cachelib", "0.17")

from cachelib.base import BaseCache  # noqa: E402 # its version is known now

Timeout = Union[int, timedelta, None]


class CyberDBCache(BaseCache):
    """A cache of cachelib whose entries are those of one dict in the server.

    Values keep their Python types, as those of every table: tuples stay tuples, keys of dicts may
    be ints. A TypeError is raised for a value of a type that tables cannot store. With pickle=True
    any object can be stored; then any program that can write to the table can run code in each
    program that reads it. The attribute serializer, None otherwise, may be one of cachelib's.

    Each method is one request, which is atomic. All methods raise CyberDBErrors where other caches
    of cachelib return False or None, and TypeError for a key that is not a str.
    """

    serializer: Optional[Serializer] = None

    def __init__(
        self,
        server: Union[str, Client] = DEFAULT_SERVER,
        *,
        table: str = DEFAULT_TABLE,
        default_timeout: Union[int, timedelta] = 300,
        ignore_delete_many_errors: bool = True,
        max_entries: Optional[int] = None,
        pickle: bool = False,
        **options: Any,
    ) -> None:
        """Connects at the first request.

        server is a URL or a client; options are those of cyberdb_fast.connect. Caches with
        different tables do not share entries, and clear empties one table. The table is created if
        it is missing, with max_entries as its limit. A timeout of 0 or -1 is none.
        """
        super().__init__(default_timeout, ignore_delete_many_errors)
        if pickle:
            self.serializer = Pickle()
        self._entries = CacheTable(server, table, max_entries, **options)

    def _ttl(self, timeout: Timeout) -> Optional[int]:
        seconds = self._normalize_timeout(timeout)
        return None if seconds in (0, -1) else seconds

    def get(self, key: str) -> Any:
        """Returns the value of key, None if it is absent."""
        checked = checked_key(key)
        return loaded(self.serializer, self._entries.perform(lambda table: table.get(checked)))

    def get_many(self, *keys: str) -> List[Any]:
        """Returns the values of keys, in their order; None for each key that is absent."""
        checked = checked_keys(keys)
        found = self._entries.perform(lambda table: table.get_many(checked))
        return all_loaded(self.serializer, list(map(found.get, checked)))

    def set(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Sets the value of key. Returns True."""
        checked, stored, ttl = checked_key(key), dumped(self.serializer, value), self._ttl(timeout)
        self._entries.perform(lambda table: table.set(checked, stored, ttl=ttl))
        return True

    def set_many(self, mapping: Mapping[str, Any], timeout: Timeout = None) -> List[str]:
        """Sets all items or none, and returns their keys."""
        stored: Dict[str, Any] = {checked_key(key): dumped(self.serializer, value) for key, value in mapping.items()}
        ttl = self._ttl(timeout)
        self._entries.perform(lambda table: table.set_many(stored, ttl=ttl))
        return list(stored)

    def add(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Sets the value of key if it is absent; returns whether it was."""
        checked, stored, ttl = checked_key(key), dumped(self.serializer, value), self._ttl(timeout)
        return self._entries.perform(lambda table: table.compare_and_set(checked, ABSENT, stored, ttl=ttl))

    def delete(self, key: str) -> bool:
        """Deletes key; returns whether it was there."""
        return self._entries.delete(checked_key(key))

    def delete_many(self, *keys: str) -> List[str]:
        """Deletes keys and returns them; those that are absent count as deleted."""
        checked = checked_keys(keys)
        self._entries.delete_many(checked)
        return checked

    def has(self, key: str) -> bool:
        """Whether key is there."""
        checked = checked_key(key)
        return self._entries.perform(lambda table: checked in table)

    def clear(self) -> bool:
        """Deletes all entries of the table. Returns True."""
        self._entries.perform(lambda table: table.clear())
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Adds delta to the value of key, and returns the sum.

        An absent key counts as 0 and gets the default timeout; one that is there keeps its own.
        Errors: TypeError if the value is not a number.
        """
        checked, ttl = checked_key(key), self._ttl(None)
        found: int = self._entries.perform(lambda table: table.increment(checked, delta, ttl=ttl))
        return found

    def dec(self, key: str, delta: int = 1) -> int:
        """As inc, with -delta."""
        return self.inc(key, -delta)

    def close(self) -> None:
        """Closes the connections, unless they are those of a client that was given."""
        self._entries.close()
