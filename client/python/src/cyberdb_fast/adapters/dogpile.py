"""The backend of dogpile.cache, with its distributed lock.

    from dogpile.cache import make_region

    region = make_region().configure(
        "cyberdb_fast",
        expiration_time=3600,
        arguments={"url": "cyberdb://127.0.0.1:9980", "password": "...", "table": "cache"},
    )

    @region.cache_on_arguments()
    def report(year): ...

Importing this module registers the name; if the package is installed, dogpile.cache finds it.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import inspect
import logging
import warnings
from hashlib import sha256
from typing import Any, Dict, Iterable, List, Mapping, Optional

from cyberdb_fast.client import connect
from cyberdb_fast.errors import LockLost
from cyberdb_fast.expiry import Duration
from cyberdb_fast.holds import Hold
from cyberdb_fast.lock import Lock
from cyberdb_fast.lock_requests import MAX_NAME_BYTES
from cyberdb_fast.proxy import Proxy
from cyberdb_fast.replies import MISSING

from .caching import DEFAULT_SERVER, DEFAULT_TABLE, CacheTable, Pickle, checked_key, checked_keys
from .frameworks import require

require("dogpile.cache", "1.5")

from dogpile.cache import register_backend  # noqa: E402 # its version is known now
from dogpile.cache.api import NO_VALUE, CacheBackend, CachedValue, CacheMutex  # noqa: E402

log = logging.getLogger(__name__)

CONNECT_OPTIONS = frozenset(inspect.signature(connect).parameters) - {"host", "check"}


class CyberDBBackend(CacheBackend):
    """A backend of dogpile.cache whose entries are those of one dict in the server.

    The arguments are url, which may be a client; table, the name of the dict; max_entries, its
    limit if it is new; ttl, after which the server deletes an entry, which should be more than the
    expiration_time of the region; pickle; distributed_lock, True by default; lock_timeout, the
    lease of a lock, which is renewed; and those of cyberdb_fast.connect. As the backends of
    dogpile.cache do, it ignores other arguments, with a warning.

    Values keep their Python types, as those of every table. A TypeError is raised for a value of a
    type that tables cannot store. With pickle any object can be stored; then any program that can
    write to the table can run code in each program that reads it. A region may have a serializer
    of its own. A value that a region of the other kind has stored counts as absent.

    Each method is one request, which is atomic. It raises TypeError for a key that is not a str.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Connects at the first request. Errors: those of cyberdb_fast.connect about arguments."""
        options = dict(arguments)
        server, table = options.pop("url", DEFAULT_SERVER), options.pop("table", DEFAULT_TABLE)
        max_entries = options.pop("max_entries", None)
        self._name: str = table
        self._ttl: Optional[Duration] = options.pop("ttl", None)
        self._distributed_lock: bool = options.pop("distributed_lock", True)
        self._lock_timeout: Duration = options.pop("lock_timeout", 30)
        if options.pop("pickle", False):
            pickle = Pickle()
            self.serializer, self.deserializer = pickle.dumps, pickle.loads
        unknown = sorted(options.keys() - CONNECT_OPTIONS)
        if unknown:
            warnings.warn(f"the backend cyberdb_fast has no argument {', '.join(unknown)}", stacklevel=2)
        known = {name: options[name] for name in options.keys() & CONNECT_OPTIONS}
        self._entries = CacheTable(server, table, max_entries, **known)

    def get_mutex(self, key: str) -> Optional[Mutex]:
        """Connects and returns the lock of key in the server; None without distributed_lock."""
        if not self._distributed_lock:
            return None
        name = f"{self._name}:{checked_key(key)}"
        if len(name.encode()) > MAX_NAME_BYTES:
            name = f"{self._name}:{sha256(key.encode()).hexdigest()}"
        return Mutex(_SharedLock(self._entries.connected(), name, self._lock_timeout))

    def get(self, key: str) -> Any:
        """Returns the CachedValue of key, or NO_VALUE."""
        return _cached_value(self._get(key))

    def get_serialized(self, key: str) -> Any:
        """Returns the bytes of key, or NO_VALUE."""
        return _serialized(self._get(key))

    def get_multi(self, keys: Iterable[str]) -> List[Any]:
        """As get, for many keys."""
        return [_cached_value(found) for found in self._get_multi(keys)]

    def get_serialized_multi(self, keys: Iterable[str]) -> List[Any]:
        """As get_serialized, for many keys."""
        return [_serialized(found) for found in self._get_multi(keys)]

    def _get(self, key: str) -> Any:
        checked = checked_key(key)
        return self._entries.perform(lambda table: table.get(checked, MISSING))

    def _get_multi(self, keys: Iterable[str]) -> List[Any]:
        checked = checked_keys(keys)
        found: Dict[str, Any] = self._entries.perform(lambda table: table.get_many(checked)) if checked else {}
        return [found.get(key, MISSING) for key in checked]

    def set(self, key: str, value: Any) -> None:
        """Sets key to a CachedValue, or to bytes."""
        checked, stored = checked_key(key), _stored(value)
        self._entries.perform(lambda table: table.set(checked, stored, ttl=self._ttl))

    def set_multi(self, mapping: Mapping[str, Any]) -> None:
        """Sets all keys or none."""
        stored = {checked_key(key): _stored(value) for key, value in mapping.items()}
        if stored:
            self._entries.perform(lambda table: table.set_many(stored, ttl=self._ttl))

    def delete(self, key: str) -> None:
        """Deletes key if it is present."""
        self._entries.delete(checked_key(key))

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Deletes those keys that are present, all at one moment."""
        checked = checked_keys(keys)
        if checked:
            self._entries.delete_many(checked)

    def close(self) -> None:
        """Closes the connections, unless they are those of a client that was given."""
        self._entries.close()


def _stored(value: Any) -> Any:
    return list(value) if isinstance(value, CachedValue) else value  # a tuple of dicts takes longer


def _cached_value(found: Any) -> Any:
    return CachedValue(*found) if isinstance(found, list) and len(found) == 2 else NO_VALUE


def _serialized(found: Any) -> Any:
    return found if type(found) is bytes else NO_VALUE


class Mutex(CacheMutex):
    """The lock of a key in the server.

    Any thread of the process may release it, as an async_creation_runner does. Its lease is renewed
    until then. A lease that was lost is logged, and is no error: the value was computed twice.
    """

    def __init__(self, lock: _SharedLock) -> None:
        self._lock = lock

    def acquire(self, wait: bool = True) -> bool:
        """Acquires the lock; returns whether it did."""
        return self._lock.acquire(wait)

    def release(self) -> None:
        """Releases the lock. Errors: RuntimeError if it was not acquired."""
        try:
            self._lock.release()
        except LockLost as e:
            log.warning("%s", e)

    def locked(self) -> bool:
        """Whether anybody holds it, in any process."""
        return self._lock.locked()


class _SharedLock(Lock):
    """A lock that its object owns, not a thread."""

    def __init__(self, proxy: Proxy, name: str, ttl: Duration) -> None:
        super().__init__(proxy, name, ttl, None, True, None, False)

    def _owner(self) -> Any:
        return self

    def _mine(self, owner: Any) -> Optional[Hold]:  # noqa: ARG002 # it has one owner
        """The oldest hold of this process: of two, the first was lost."""
        for hold in self._holds:
            if not hold.is_inherited():
                return hold
        return None


register_backend("cyberdb_fast", __name__, CyberDBBackend.__name__)
