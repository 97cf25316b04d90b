"""The cache of Django, and so its sessions.

    CACHES = {
        "default": {
            "BACKEND": "cyberdb_fast.adapters.django.CyberDBCache",
            "LOCATION": "cyberdb://127.0.0.1:9980",
            "OPTIONS": {"table": "cache", "password": "..."},
        }
    }
    SESSION_ENGINE = "django.contrib.sessions.backends.cache"

These are the settings of a project.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, TypeVar

from cyberdb_fast.replies import ABSENT, MISSING

from .caching import DEFAULT_SERVER, DEFAULT_TABLE, Pickle, dumped, loaded, shared_table
from .frameworks import require

require("django", "5.2")

from asgiref.sync import sync_to_async  # noqa: E402 # their versions are known now
from django.core.cache.backends.base import DEFAULT_TIMEOUT, MEMCACHE_MAX_KEY_LENGTH, BaseCache  # noqa: E402

T = TypeVar("T")


class CyberDBCache(BaseCache):
    """A cache of Django whose entries are those of one dict in the server.

    LOCATION is the URL of the server. OPTIONS may have table, the name of the dict; max_entries,
    its limit if it is new; pickle; and the arguments of cyberdb_fast.connect. All caches of a
    process with the same LOCATION and OPTIONS share their connections. MAX_ENTRIES and
    CULL_FREQUENCY have no effect.

    Values keep their Python types, as those of every table. A TypeError is raised for a value of a
    type that tables cannot store. With pickle any object can be stored; then any program that can
    write to the table can run code in each program that reads it.

    Each method is one request, which is atomic, except these: incr and decr of a number that pickle
    has packed, which an int is not, read and write, again if another client has written in between;
    get_or_set, incr_version and decr_version are those of Django. The asynchronous methods run the
    others in a thread. clear empties the table, for all versions and prefixes.
    """

    def __init__(self, server: str, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        options = {
            name: value
            for name, value in params.get("OPTIONS", {}).items()
            if name not in ("MAX_ENTRIES", "CULL_FREQUENCY")
        }
        self._serializer = Pickle() if options.pop("pickle", False) else None
        table, max_entries = options.pop("table", DEFAULT_TABLE), options.pop("max_entries", None)
        self._entries = shared_table(server or DEFAULT_SERVER, table, max_entries, **options)

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> Optional[float]:
        """Returns timeout in seconds; None: for ever, 0 or less: not at all."""
        found: Optional[float] = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return found

    def validate_key(self, key: str) -> None:
        """Warns of a key that memcached would refuse, as Django's caches do.

        Keys that are short and of visible ASCII characters need no closer look.
        """
        if len(key) > MEMCACHE_MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()) or " " in key:
            super().validate_key(key)

    def get(self, key: Any, default: Any = None, version: Optional[int] = None) -> Any:
        """Returns the value of key, or default if it is absent."""
        made = self.make_and_validate_key(key, version=version)
        found = self._entries.perform(lambda table: table.get(made, MISSING))
        return default if found is MISSING else loaded(self._serializer, found)

    def get_many(self, keys: Iterable[Any], version: Optional[int] = None) -> Dict[Any, Any]:
        """Returns a dict of those keys that are present."""
        made = {self.make_and_validate_key(key, version=version): key for key in keys}
        found = self._entries.perform(lambda table: table.get_many(made))
        return {made[key]: loaded(self._serializer, value) for key, value in found.items()}

    def has_key(self, key: Any, version: Optional[int] = None) -> bool:
        """Whether key is present."""
        made = self.make_and_validate_key(key, version=version)
        return self._entries.perform(lambda table: made in table)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> None:
        """Sets the value of key."""
        made = self.make_and_validate_key(key, version=version)
        stored, ttl = dumped(self._serializer, value), self.get_backend_timeout(timeout)
        if ttl is not None and ttl <= 0:
            self._entries.delete(made)
        else:
            self._entries.perform(lambda table: table.set(made, stored, ttl=ttl))

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None
    ) -> List[Any]:
        """Sets all items or none. Returns the keys that were not set, which are none."""
        ttl = self.get_backend_timeout(timeout)
        stored = {
            self.make_and_validate_key(key, version=version): dumped(self._serializer, value)
            for key, value in data.items()
        }
        if ttl is not None and ttl <= 0:
            self._entries.delete_many(list(stored))
        elif stored:
            self._entries.perform(lambda table: table.set_many(stored, ttl=ttl))
        return []

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        """Sets the value of key if it is absent; returns whether it was."""
        made = self.make_and_validate_key(key, version=version)
        stored, ttl = dumped(self._serializer, value), self.get_backend_timeout(timeout)
        if ttl is not None and ttl <= 0:
            return self._entries.perform(lambda table: made not in table)
        return self._entries.perform(lambda table: table.compare_and_set(made, ABSENT, stored, ttl=ttl))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        """Gives key another timeout; returns whether it is present."""
        made, ttl = self.make_and_validate_key(key, version=version), self.get_backend_timeout(timeout)
        if ttl is not None and ttl <= 0:
            return self._entries.delete(made)
        try:
            self._entries.perform(lambda table: table.persist(made) if ttl is None else table.expire(made, ttl))
        except KeyError:
            return False
        return True

    def delete(self, key: Any, version: Optional[int] = None) -> bool:
        """Deletes key; returns whether it was present."""
        return self._entries.delete(self.make_and_validate_key(key, version=version))

    def delete_many(self, keys: Iterable[Any], version: Optional[int] = None) -> None:
        """Deletes those keys that are present."""
        made = [self.make_and_validate_key(key, version=version) for key in keys]
        if made:
            self._entries.delete_many(made)

    def incr(self, key: Any, delta: int = 1, version: Optional[int] = None) -> Any:
        """Adds delta to the value of key, which keeps its timeout, and returns the sum.

        Errors: ValueError if key is absent; TypeError if its value is not a number.
        """
        made = self.make_and_validate_key(key, version=version)
        serializer = self._serializer

        def add(stored: Any) -> Any:
            return dumped(serializer, loaded(serializer, stored) + delta)

        try:
            try:
                return self._entries.perform(lambda table: table.increment(made, delta, must_exist=True))
            except TypeError:  # it may be a number that was pickled
                if serializer is None:
                    raise
                return loaded(serializer, self._entries.perform(lambda table: table.modify(made, add)))
        except KeyError:
            raise ValueError(f"Key {key!r} not found") from None

    def clear(self) -> bool:
        """Deletes all entries of the table. Returns True."""
        self._entries.perform(lambda table: table.clear())
        return True

    # Django's own asynchronous versions of these send a request per key, or get the value.

    async def aget_many(self, keys: Iterable[Any], version: Optional[int] = None) -> Dict[Any, Any]:
        """As get_many."""
        return await in_thread(partial(self.get_many, keys, version))

    async def ahas_key(self, key: Any, version: Optional[int] = None) -> bool:
        """As has_key."""
        return await in_thread(partial(self.has_key, key, version))

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None
    ) -> List[Any]:
        """As set_many."""
        return await in_thread(partial(self.set_many, data, timeout, version))

    async def adelete_many(self, keys: Iterable[Any], version: Optional[int] = None) -> None:
        """As delete_many."""
        await in_thread(partial(self.delete_many, keys, version))

    async def aincr(self, key: Any, delta: int = 1, version: Optional[int] = None) -> Any:
        """As incr."""
        return await in_thread(partial(self.incr, key, delta, version))


async def in_thread(call: Callable[[], T]) -> T:
    """Calls a synchronous function in the thread that Django has for them."""
    result: T = await sync_to_async(call, thread_sensitive=True)()
    return result
