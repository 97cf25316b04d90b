"""The asyncio client: the API of cyberdb_fast with `async with`, and `await` before each request.

    from cyberdb_fast import aio

    client = await aio.connect(password="...")
    async with client.get_proxy() as proxy:
        visits = await proxy.create_cyberdict("visits", exist_ok=True)
        await visits.increment("home")
        print(await visits["home"], await visits.get("away", 0))
        async for page, n in visits.items():
            ...

Python cannot await an assignment, so `d[k] = v` is `await d.set(k, v)`, `del d[k]` is `await
d.delete(k)`, `len(d)` is `await d.len()` and `k in d` is `await d.contains(k)`. Tasks share a few
connections, and requests of several tasks share one write.

A task that is cancelled, also by asyncio.timeout or wait_for, only stops waiting: its request may
still be applied. The server knows the request_timeout of connect(), and begins no request after it.
"""

from __future__ import annotations

import asyncio
from typing import (
    Any,
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NoReturn,
    Optional,
    Tuple,
    TypeVar,
    Union,
    overload,
)

from . import opcodes, requests
from .aio_connection import Arrived, Connection, Forked
from .aio_connections import Connections
from .aio_table import Durable
from .client import DEFAULT_CONNECT_TIMEOUT, DEFAULT_REQUEST_TIMEOUT
from .errors import ConnectionLost, DisconCyberDBError, VersionMismatch, WrongTableKind
from .expiry import KEEP_TTL, DictOptions, Duration, Policy, milliseconds
from .frames import Reply
from .methods_aio import DictMethods, ListMethods
from .pipeline import DictPipeline, ListPipeline
from .proxy import check_dict_content, check_list_content
from .requests import MISSING, Missing, Request, StreamRequest, Table
from .result import BasePipeline, Result, set_replies, values_or_errors
from .settings import DEFAULT_HOST, DEFAULT_MAX_REPLY_BYTES, DEFAULT_PORT, Settings, make_settings

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

DEFAULT_CONNECTIONS = 2


async def connect(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    password: Optional[str] = None,
    encrypt: bool = False,
    time_out: Optional[float] = None,
    *,
    connections: int = DEFAULT_CONNECTIONS,
    connect_timeout: Optional[float] = DEFAULT_CONNECT_TIMEOUT,
    request_timeout: Optional[float] = DEFAULT_REQUEST_TIMEOUT,
    max_reply_bytes: int = DEFAULT_MAX_REPLY_BYTES,
    track_changes: Optional[bool] = None,
    check: bool = True,
) -> Client:
    """Returns a client for event loops. Arguments and errors are those of cyberdb_fast.connect.

    connections is the number of connections per event loop.
    """
    settings = make_settings(
        host,
        port,
        password,
        encrypt,
        time_out,
        connections,
        connect_timeout,
        request_timeout,
        None,
        max_reply_bytes,
        track_changes,
    )
    client = Client(settings)
    if check:
        await client.check()
    return client


class Client:
    """A server and the connections to it.

    Each event loop that uses the client has its own connections.
    """

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet; connect() is the usual way."""
        self._settings = settings
        self._connections = Connections(settings)

    def get_proxy(self) -> Proxy:
        """Returns a new proxy, which is not connected yet."""
        return Proxy(self)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Client has connections and cannot be pickled or copied: await connect() in each process")

    async def close(self) -> None:
        """Closes all connections. Tasks that wait for a reply get a DisconCyberDBError."""
        self._connections.close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Makes sure that there is a connection. Errors: those of connect()."""
        await self._connections.for_loop().get()

    async def _connection(self) -> Connection:
        return self._connections.ready() or await self._connections.for_loop().get()

    async def exchange(self, request: Request[Any]) -> Arrived:
        """Sends one request.

        If the connection is lost, a request that changes nothing is repeated once.
        """
        if self._settings.track_changes:
            requests.tracking(request)
        try:
            return await (self._connections.ready() or await self._connections.for_loop().get()).exchange(request)
        except ConnectionLost as e:
            if request.opcode not in opcodes.READS and not isinstance(e, Forked):
                raise
        return await (await self._connections.for_loop().get()).exchange(request)

    async def exchange_all(self, batch: List[Request[Any]]) -> List[Arrived]:
        """Sends a pipeline.

        If the connection is lost and no request changes anything, it is repeated once.
        """
        if self._settings.track_changes:
            batch = [requests.tracking(request) for request in batch]
        try:
            return await (await self._connection()).exchange_all(batch)
        except ConnectionLost as e:
            if not isinstance(e, Forked) and not all(request.opcode in opcodes.READS for request in batch):
                raise
        return await (await self._connections.for_loop().get()).exchange_all(batch)


class Proxy:
    """Access to the tables of a server, between connect() and close() or in `async with`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connected = False

    async def connect(self) -> None:
        """Makes sure that there is a connection. Errors: those of aio.connect."""
        await self._client.check()
        self._connected = True

    async def close(self) -> None:
        """Disconnects the proxy: it and its tables raise DisconCyberDBError from now on."""
        self._connected = False

    async def __aenter__(self) -> Proxy:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def create_cyberdict(
        self,
        table_name: str,
        content: Optional[Mapping[Any, Any]] = None,
        *,
        exist_ok: bool = False,
        ttl: Optional[Duration] = None,
        idle: Optional[Duration] = None,
        max_entries: Optional[int] = None,
        max_bytes: Optional[int] = None,
        policy: Optional[Policy] = None,
    ) -> CyberDict[Any, Any]:
        """As cyberdb_fast.Proxy.create_cyberdict."""
        name = requests.table_name(table_name)
        await self._perform(
            requests.create_dict(
                name,
                check_dict_content(content),
                exist_ok,
                ttl=ttl,
                idle=idle,
                max_entries=max_entries,
                max_bytes=max_bytes,
                policy=policy,
            )
        )
        return CyberDict(self, table_name)

    async def create_cyberlist(
        self, table_name: str, content: Optional[Iterable[Any]] = None, *, exist_ok: bool = False
    ) -> CyberList[Any]:
        """Creates a list with the given content and returns it; otherwise as create_cyberdict."""
        name = requests.table_name(table_name)
        await self._perform(requests.create_list(name, check_list_content(content), exist_ok))
        return CyberList(self, table_name)

    async def get_cyberdict(self, table_name: str) -> CyberDict[Any, Any]:
        """Returns the dict of that name. Errors: NoSuchTable, WrongTableKind."""
        await self._expect(table_name, "dict")
        return CyberDict(self, table_name)

    async def get_cyberlist(self, table_name: str) -> CyberList[Any]:
        """Returns the list of that name. Errors: NoSuchTable, WrongTableKind."""
        await self._expect(table_name, "list")
        return CyberList(self, table_name)

    async def _expect(self, table_name: str, kind: str) -> None:
        found = await self._perform(requests.kind(requests.table_name(table_name)))
        if found != kind:
            raise WrongTableKind(f"table {table_name!r} is a {found}, not a {kind}")

    async def configure(
        self,
        table_name: str,
        *,
        ttl: Union[Duration, Missing, None] = MISSING,
        idle: Union[Duration, Missing, None] = MISSING,
        max_entries: Union[int, Missing, None] = MISSING,
        max_bytes: Union[int, Missing, None] = MISSING,
        policy: Union[Policy, Missing, None] = MISSING,
    ) -> None:
        """As cyberdb_fast.Proxy.configure."""
        name = requests.table_name(table_name)
        await self._perform(
            requests.configure(name, ttl=ttl, idle=idle, max_entries=max_entries, max_bytes=max_bytes, policy=policy)
        )

    async def options(self, table_name: str) -> DictOptions:
        """As cyberdb_fast.Proxy.options."""
        return await self._perform(requests.options(requests.table_name(table_name)))

    async def exists(self, table_name: str) -> bool:
        """Whether a table of that name exists."""
        return await self._perform(requests.exists(requests.table_name(table_name)))

    async def tables(self) -> List[Table]:
        """Returns the name, kind and length of each table, in the order of their creation."""
        return await self._perform(requests.tables())

    async def print_tables(self) -> None:
        """Prints one line per table."""
        for table in await self.tables():
            print(f"table name: {table.name}  type name: Cyber{table.kind.title()}")

    async def delete_table(self, table_name: str) -> None:
        """Removes a table and its content. Errors: NoSuchTable."""
        await self._perform(requests.drop(requests.table_name(table_name)))

    async def rename_table(self, table_name: str, new_name: str) -> None:
        """Renames a table. Errors: NoSuchTable; TableExists if new_name is taken."""
        await self._perform(requests.rename(requests.table_name(table_name), requests.table_name(new_name)))

    def pipeline(self) -> Pipeline:
        """Returns an empty pipeline, which sends many requests at once.

        Each request is atomic; the pipeline as a whole is not.
        """
        return Pipeline(self._perform_all)

    async def info(self, section: Optional[str] = None, **parameters: Any) -> Dict[str, Any]:
        """As cyberdb_fast.Proxy.info."""
        return await self._perform(requests.info(section, parameters))

    async def digest(self) -> Dict[str, Any]:
        """As cyberdb_fast.Proxy.digest."""
        return await self._perform(requests.digest())

    async def save(self) -> None:
        """As cyberdb_fast.Proxy.save."""
        await self._perform(requests.save())

    async def ping(self) -> None:
        """Sends a request without effect and waits for the reply."""
        await self._perform(requests.ping())

    async def _perform(self, request: Request[T]) -> T:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        reply, sink = await self._client.exchange(request)
        return request.result(requests.join_parts(reply, sink))

    async def _perform_all(self, batch: List[Request[Any]]) -> List[Reply]:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return [requests.join_parts(reply, sink) for reply, sink in await self._client.exchange_all(batch)]

    async def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        reply, sink = await self._client.exchange(request)
        values = requests.spooled(request, sink or requests.spool(1), reply)
        try:
            for value in values:
                yield value
        finally:
            values.close()


class Pipeline(BasePipeline):
    """Requests that are sent together, at the end of `async with` or by execute().

    async with proxy.pipeline() as pipe:
        visits = pipe.on(await proxy.get_cyberdict("visits"))
        home = visits.increment("home")
    print(home.value)
    """

    def __init__(self, send: Callable[[List[Request[Any]]], Awaitable[List[Reply]]]) -> None:
        super().__init__()
        self._send = send

    @overload
    def on(self, table: CyberDict[K, V]) -> DictPipeline[K, V]: ...
    @overload
    def on(self, table: CyberList[V]) -> ListPipeline[V]: ...
    def on(self, table: Any) -> Any:
        """Returns a handle of a table of aio whose methods add requests and return Results."""
        if isinstance(table, CyberDict):
            return DictPipeline(self, table._t, isinstance(table._sender, Durable))
        if isinstance(table, CyberList):
            return ListPipeline(self, table._t, isinstance(table._sender, Durable))
        raise TypeError(f"a pipeline works on a CyberDict or a CyberList of aio, not on {type(table).__name__}")

    async def execute(self) -> List[Any]:
        """As cyberdb_fast.Pipeline.execute."""
        return values_or_errors(await self._exchange())

    async def _exchange(self) -> List[Result[Any]]:
        results = self._clear()
        if results:
            set_replies(results, await self._send([result._request for result in results]))
        return results

    async def __aenter__(self) -> Pipeline:
        return self

    async def __aexit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        if exc_type is None:
            await self._exchange()
        else:
            self._clear()


class CyberDict(DictMethods[K, V]):
    """A dict in the server: the methods of cyberdb_fast.CyberDict, to be awaited."""

    def __getitem__(self, key: K) -> Awaitable[V]:
        return self.getitem(key)

    def __aiter__(self) -> AsyncIterator[K]:
        return self.keys()

    def keys(self) -> AsyncIterator[K]:
        """Iterates over the keys in order, as of one moment, in bounded memory."""
        return self._stream(requests.stream(opcodes.DICT_KEYS, self._t))

    def values(self) -> AsyncIterator[V]:
        """Iterates over the values in order, as of one moment, in bounded memory."""
        return self._stream(requests.stream(opcodes.DICT_VALUES, self._t))

    async def items(self) -> AsyncIterator[Tuple[K, V]]:
        """Iterates over the items in order, as of one moment, in bounded memory."""
        flat = self._stream(requests.stream(opcodes.DICT_ITEMS, self._t))
        try:
            async for key in flat:
                yield key, await flat.__anext__()
        finally:
            await flat.aclose()

    async def modify(
        self, key: K, change: Callable[[V], V], default: Any = MISSING, *, ttl: Optional[Duration] = None
    ) -> V:
        """As cyberdb_fast.CyberDict.modify."""
        on_wire = KEEP_TTL if ttl is None else milliseconds(ttl)
        while True:
            try:
                entry = await self._perform(requests.dict_get_versioned(self._t, key))
            except KeyError:
                if default is MISSING:
                    raise
                entry = requests.Versioned(default, 0)
            new = change(entry.value)
            try:
                await self._perform(requests.dict_set_if(self._t, key, new, entry.version, on_wire))
            except VersionMismatch:
                continue
            return new


class CyberList(ListMethods[V]):
    """A list in the server: the methods of cyberdb_fast.CyberList, to be awaited."""

    def __getitem__(self, index: Any) -> Awaitable[Any]:
        return self._perform(requests.list_get(self._t, index))

    def __aiter__(self) -> AsyncIterator[V]:
        """Iterates over the elements in order, as of one moment, in bounded memory."""
        return self._stream(requests.stream(opcodes.LIST_ALL, self._t))
