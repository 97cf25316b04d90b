"""The table of an asynchronous cache or session store; caching.py is its counterpart."""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Optional, Tuple, TypeVar, Union

from cyberdb_fast import aio
from cyberdb_fast.aio_tables import CyberDict
from cyberdb_fast.errors import NoSuchTable

T = TypeVar("T")

Table = CyberDict[str, Any]


class AsyncTable:
    """A dict in the server that has the entries of a cache.

    It is CacheTable with a client of aio, which each event loop may use.
    """

    def __init__(self, server: Union[str, aio.Client], name: str, max_entries: Optional[int], **options: Any) -> None:
        """As CacheTable. options are those of aio.connect(), for a URL."""
        if isinstance(server, aio.Client) and options:
            raise TypeError(f"a client has its options already: {', '.join(sorted(options))}")
        self._server, self._options = server, options
        self._name, self._max_entries = name, max_entries
        self._open()

    def _open(self) -> None:
        self._client = self._server if isinstance(self._server, aio.Client) else _unchecked(self._server, self._options)
        self._proxy = self._client.get_proxy()
        self._table: Optional[Table] = None

    async def perform(self, request: Callable[[Table], Awaitable[T]]) -> T:
        """Returns await request(table); creates the table first if it is missing.

        request may be called twice: if it raises NoSuchTable, it has changed nothing.
        """
        table = self._table
        if table is not None:
            try:
                return await request(table)
            except NoSuchTable:
                pass
        return await request(await self._create())

    async def _create(self) -> Table:
        proxy = self._proxy
        await proxy.connect()
        table = await proxy.create_cyberdict(self._name, exist_ok=True, max_entries=self._max_entries)
        if proxy is self._proxy:  # it was not closed meanwhile
            self._table = table
        return table

    async def get_with_ttl(self, key: str) -> Optional[Tuple[Any, Optional[float]]]:
        """The value of key and how many seconds it has left, in one write; None if it is absent."""

        async def get(table: Table) -> Tuple[Any, Optional[float]]:
            async with self._proxy.pipeline() as pipe:
                value, left = pipe.on(table).getitem(key), pipe.on(table).ttl(key)
            return value.value, left.value

        try:
            return await self.perform(get)
        except KeyError:
            return None

    async def delete(self, key: str) -> bool:
        """Deletes key; returns whether it was present."""
        try:
            await self.perform(lambda table: table.delete(key))
        except KeyError:
            return False
        return True

    async def close(self) -> None:
        """Closes the client, unless it was given. The next request opens another."""
        if not isinstance(self._server, aio.Client):
            client = self._client
            self._open()
            await client.close()


def _unchecked(server: str, options: Any) -> aio.Client:
    """The client of aio.connect(check=False), which awaits nothing: there need not be a loop."""
    try:
        aio.connect(server, check=False, **options).send(None)
    except StopIteration as e:
        client: aio.Client = e.value
        return client
    raise AssertionError("aio.connect(check=False) waits")
