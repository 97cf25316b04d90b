"""The cache of aiocache.

    from cyberdb_fast.adapters.aiocache import CyberDBCache

    cache = CyberDBCache("cyberdb://127.0.0.1:9980", password="...", namespace="app")
    await cache.set("report", {"year": 2024, "rows": [(1, 2.5)]}, ttl=60)

The configuration of aiocache names it: {"default": {"cache":
"cyberdb_fast.adapters.aiocache.CyberDBCache", "server": "cyberdb://127.0.0.1:9980"}}.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import inspect
from enum import Enum
from typing import Any, Iterable, List, Optional, Tuple, Union

from cyberdb_fast.aio import Client
from cyberdb_fast.replies import ABSENT

from .aio_caching import AsyncTable, Table
from .caching import DEFAULT_SERVER, DEFAULT_TABLE, checked_key, checked_keys
from .frameworks import require

require("aiocache", "0.12")

from aiocache.base import BaseCache  # noqa: E402 # its version is known now
from aiocache.serializers import NullSerializer  # noqa: E402

Seconds = Union[int, float, None]

KEYS_PER_REQUEST = 100_000


class CyberDBCache(BaseCache):
    """A cache of aiocache whose entries are those of one dict in the server.

    Values keep their Python types, as those of every table, unless there is a serializer: the
    default is aiocache's NullSerializer. A TypeError is raised for a value of a type that tables
    cannot store. With aiocache's PickleSerializer any object can be stored; then any program that
    can write to the table can run code in each program that reads it.

    Each method is one request, which is atomic, except these: clear of a namespace reads the keys
    and then deletes them; increment of a number that a serializer has made a text reads and writes,
    again if another client has written in between. All methods raise TypeError for a key that is
    not a str or a str of an Enum. A ttl of None or 0 is none. What OptimisticLock sets keeps the
    deadline of its key if it has no ttl of its own. raw calls the method of that name of the table.

    RedLock takes the lock in the server. It is aiocache's own: its lease is not renewed, and it
    waits for other tasks of its process only. cyberdb_fast.aio has locks that do more.
    """

    NAME = "cyberdb"

    def __init__(
        self,
        server: Union[str, Client] = DEFAULT_SERVER,
        *,
        table: str = DEFAULT_TABLE,
        max_entries: Optional[int] = None,
        serializer: Any = None,
        plugins: Any = None,
        namespace: Optional[str] = None,
        key_builder: Any = None,
        timeout: Seconds = 5,
        ttl: Seconds = None,
        **options: Any,
    ) -> None:
        """Connects at the first request.

        server is a URL or a client of aio; options are those of cyberdb_fast.aio.connect. Caches
        with different tables do not share entries. The table is created if it is missing, with
        max_entries as its limit. The other arguments are those of each cache of aiocache.
        """
        super().__init__(
            serializer=serializer or NullSerializer(),
            plugins=plugins,
            namespace=namespace,
            key_builder=key_builder,
            timeout=timeout,
            ttl=ttl,
        )
        self._entries = AsyncTable(server, table, max_entries, **options)

    def _build_key(self, key: Any, namespace: Optional[str] = None) -> str:
        checked = checked_key(key.value if isinstance(key, Enum) else key)
        prefix = self.namespace if namespace is None else namespace
        return f"{prefix}:{checked}" if prefix else checked

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Any:
        del encoding  # texts are texts
        checked = checked_key(key)
        return self._read(await self._entries.perform(lambda table: table.get(checked)))

    async def _gets(self, key: str, encoding: Any = None, _conn: Any = None) -> Any:
        del encoding
        checked = checked_key(key)
        return await self._entries.perform(lambda table: table.get(checked))

    async def _multi_get(self, keys: Iterable[str], encoding: Any = None, _conn: Any = None) -> List[Any]:
        del encoding
        checked = checked_keys(keys)
        found = await self._entries.perform(lambda table: table.get_many(checked))
        return [self._read(found.get(key)) for key in checked]

    def _read(self, found: Any) -> Any:
        """What the serializer is to load: increment has stored an int if the key was absent."""
        return str(found) if type(found) is int and not self._keeps_types() else found

    def _keeps_types(self) -> bool:
        return isinstance(self.serializer, NullSerializer)

    async def _set(self, key: str, value: Any, ttl: Seconds = None, _cas_token: Any = None, _conn: Any = None) -> bool:
        checked = checked_key(key)
        if _cas_token is not None:
            return await self._entries.perform(
                lambda table: table.compare_and_set(checked, _cas_token, value, ttl=ttl or None)
            )
        await self._entries.perform(lambda table: table.set(checked, value, ttl=ttl or None))
        return True

    async def _multi_set(self, pairs: Iterable[Tuple[str, Any]], ttl: Seconds = None, _conn: Any = None) -> bool:
        items = {checked_key(key): value for key, value in pairs}
        await self._entries.perform(lambda table: table.set_many(items, ttl=ttl or None))
        return True

    async def _add(self, key: str, value: Any, ttl: Seconds = None, _conn: Any = None) -> bool:
        checked = checked_key(key)
        if not await self._entries.perform(lambda table: table.add(checked, value, ttl=ttl or None)):
            raise ValueError(f"Key {key} already exists, use .set to update the value")
        return True

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        checked = checked_key(key)
        return await self._entries.perform(lambda table: table.contains(checked))

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> Any:
        checked = checked_key(key)
        try:
            return await self._entries.perform(lambda table: table.increment(checked, delta))
        except TypeError:
            if self._keeps_types():
                raise

        def add(stored: Any) -> Any:
            loaded = self.serializer.loads(self._read(stored))
            try:
                return self.serializer.dumps(int(loaded) + delta)
            except ValueError:
                raise TypeError(f"the value of {key!r} is not an integer") from None

        return int(self.serializer.loads(await self._entries.perform(lambda table: table.modify(checked, add))))

    async def _expire(self, key: str, ttl: Seconds, _conn: Any = None) -> bool:
        checked = checked_key(key)
        try:
            await self._entries.perform(lambda table: table.expire(checked, ttl) if ttl else table.persist(checked))
        except KeyError:
            return False
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(await self._entries.delete(checked_key(key)))

    async def _clear(self, namespace: Optional[str] = None, _conn: Any = None) -> bool:
        prefix = self.namespace if namespace is None else namespace

        async def clear(table: Table) -> None:
            if not prefix:
                await table.clear()
                return
            keys = [key async for key in table if key.startswith(f"{prefix}:")]
            for start in range(0, len(keys), KEYS_PER_REQUEST):
                await table.delete_many(keys[start : start + KEYS_PER_REQUEST])

        await self._entries.perform(clear)
        return True

    async def _raw(self, command: str, *args: Any, encoding: Any = None, _conn: Any = None, **kwargs: Any) -> Any:
        del encoding

        async def call(table: Table) -> Any:
            result = getattr(table, command)(*args, **kwargs)
            return [item async for item in result] if inspect.isasyncgen(result) else await result

        return await self._entries.perform(call)

    async def _redlock_release(self, key: str, value: Any) -> int:
        checked = checked_key(key)
        return int(await self._entries.perform(lambda table: table.compare_and_set(checked, value, ABSENT)))

    async def _close(self, *args: Any, _conn: Any = None, **kwargs: Any) -> None:
        del args, kwargs
        await self._entries.close()
