"""The same for asyncio: `async with`, and `await` before each request.

    from cyberdb_fast import aio

    client = await aio.connect(password="...")
    async with client.get_proxy() as proxy:
        visits = await proxy.create_cyberdict("visits", exist_ok=True)
        await visits.increment("home")
        print(await visits["home"], await visits.get("away", 0))
        async for page, n in visits.items():
            ...

Python has no way to await an assignment, so `d[k] = v` is `await d.set(k, v)`, `del d[k]` is `await d.delete(k)`, `len(d)` is `await d.len()`
and `k in d` is `await d.contains(k)`. Tasks share a few connections, on which their requests travel together.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Deque,
    Dict,
    Generic,
    Iterable,
    List,
    Mapping,
    Optional,
    SupportsIndex,
    Tuple,
    TypeVar,
    Union,
)

from . import frames, requests
from .client import DEFAULT_CONNECT_TIMEOUT, DEFAULT_REQUEST_TIMEOUT, check_dict_content, check_list_content
from .cyberdict import as_dict, updates
from .errors import ConnectionLost, DisconCyberDBError, RequestTimeout, ServerUnreachable, VersionMismatch, WrongTableKind
from .frames import Reply
from .handshake import Opening
from .keys import key_ring
from .requests import MISSING, Request, StreamRequest, Table, reply_error
from .session import Session, unexpected
from .settings import DEFAULT_HOST, DEFAULT_PORT, Settings, make_settings

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

DEFAULT_CONNECTIONS = 2
# Requests beyond this wait, in turn: a server ends a connection that sends 80 MiB ahead of its replies.
MAX_OUTSTANDING_BYTES = 32 << 20


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
    check: bool = True,
) -> Client:
    """A client as cyberdb_fast.connect returns it, for the running event loop. Errors: as there."""
    settings = make_settings(host, port, password, encrypt, time_out, connections, connect_timeout, request_timeout, None)
    client = Client(settings)
    if check:
        await client.check()
    return client


class _Outstanding:
    """One request that waits for its reply."""

    __slots__ = ("bytes", "future", "sink")

    def __init__(self, future: asyncio.Future[Reply], size: int, sink: Optional[IO[bytes]]) -> None:
        self.future, self.bytes, self.sink = future, size, sink


class _Connection(asyncio.Protocol):
    """One connection, shared by tasks. Its methods run on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._opening = Opening(settings.encrypt)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._session: Optional[Session] = None
        self._transport: Any = None
        self._outstanding: Dict[int, _Outstanding] = {}
        self._due = 0  # bytes of the requests outstanding
        self._room: Deque[asyncio.Future[None]] = deque()
        self._unsent: List[bytes] = []
        self.lost: Optional[Exception] = None  # why it is of no use any more

    @classmethod
    async def open(cls, settings: Settings) -> _Connection:
        """Errors: as those of the Connection for sockets."""
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(cls._open(loop, settings), settings.connect_timeout)
        except asyncio.TimeoutError as e:
            raise ServerUnreachable(f"{settings.address}: no proof within {settings.connect_timeout} s") from e
        except DisconCyberDBError:
            raise
        except OSError as e:
            raise ServerUnreachable(f"no connection to {settings.address}: {e}") from e

    @classmethod
    async def _open(cls, loop: asyncio.AbstractEventLoop, settings: Settings) -> _Connection:
        if settings.unix:
            _, connection = await loop.create_unix_connection(lambda: cls(settings), settings.unix)
        else:
            _, connection = await loop.create_connection(lambda: cls(settings), settings.host, settings.port)
        try:
            await connection._opened
        except BaseException:
            connection._transport.abort()
            raise
        return connection

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._opening.hello())

    def data_received(self, data: bytes) -> None:
        try:
            if self._session is None:
                self._go_on_opening(data)
            else:
                self._deliver(self._session.receive_parts(data))
        except Exception as e:
            self._fail(e)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if not self._opened.done():
            self._fail(ServerUnreachable(f"{self._settings.address}: the connection ended while it was being opened"))
        self._fail(ConnectionLost(f"{self._settings.address}: the connection ended: {exc or 'the server closed it'}"))

    def _go_on_opening(self, data: bytes) -> None:
        answer = self._opening.receive(data)
        if self._opening.kdf is not None:
            derive = self._loop.run_in_executor(None, key_ring.key, self._settings.address, self._settings.password, self._opening.kdf)
            derive.add_done_callback(self._use_key)
        if answer:
            self._transport.write(answer)
        if self._opening.session is not None and not self._opened.done():
            self._session = self._opening.session
            self._opened.set_result(None)

    def _use_key(self, derived: asyncio.Future[bytes]) -> None:
        if derived.cancelled() or self._opened.done():
            return
        try:
            self._transport.write(self._opening.use_key(derived.result()))
        except Exception as e:
            self._fail(e)

    def _fail(self, e: Exception) -> None:
        """Ends everything that waits. Only the first reason counts."""
        if self.lost is not None:
            return
        self.lost = e
        if not self._opened.done():
            self._opened.set_exception(e)
        futures: List[asyncio.Future[Any]] = [*(one.future for one in self._outstanding.values()), *self._room]
        for waiting in futures:
            if not waiting.done():
                waiting.set_exception(ConnectionLost(f"{e}; the request may or may not have been applied"))
        self._outstanding.clear()
        self._room.clear()
        if self._transport is not None:
            self._transport.abort()

    def _deliver(self, parts: List[Reply]) -> None:
        for part in parts:
            one = self._outstanding.get(part.id)
            if one is None:
                if part.id == 0 and part.status != frames.OK:
                    raise ConnectionLost(f"the server ended the connection: {reply_error(part)}")
                raise unexpected(part)
            if part.more or one.sink is not None:
                if one.sink is None:
                    one.sink = requests.spool()
                if part.status == frames.OK:
                    one.sink.write(part.body)
            if not part.more:
                del self._outstanding[part.id]
                self._due -= one.bytes
                if not one.future.done():  # a cancelled task's reply goes to nobody
                    one.future.set_result(part)
        while self._room and self._due < MAX_OUTSTANDING_BYTES:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)

    async def exchange_all(self, batch: List[Request[Any]]) -> List[Tuple[Reply, Optional[IO[bytes]]]]:
        """The reply of each request, and what holds the parts of those that came in parts.

        Errors: TooLarge before anything was sent; ConnectionLost; RequestTimeout.
        """
        while self._due >= MAX_OUTSTANDING_BYTES and self.lost is None:
            turn: asyncio.Future[None] = self._loop.create_future()
            self._room.append(turn)
            await turn
        session = self._session
        if self.lost is not None or session is None:
            raise ConnectionLost(str(self.lost)) from self.lost
        framed = [(session.next_id(), request) for request in batch]
        data = [session.frame(number, request.opcode, request.flags, request.payload) for number, request in framed]
        waiting = []
        for (number, request), frame in zip(framed, data):
            sink = requests.spool() if isinstance(request, StreamRequest) else None
            one = _Outstanding(self._loop.create_future(), len(frame), sink)
            self._outstanding[number] = one
            self._due += one.bytes
            waiting.append(one)
        self._send(b"".join(data))
        return [(await one.future, one.sink) for one in waiting]

    def _send(self, data: bytes) -> None:
        """Sends with what other tasks send in the same turn of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self.lost is None and self._session is not None:
            self._transport.write(self._session.seal(data))

    def close(self) -> None:
        """Ends the connection in order, without waiting."""
        if self.lost is None and self._session is not None:
            self._flush()
            self.lost = DisconCyberDBError("the client is closed")
            self._transport.write(self._session.end())
            self._transport.close()


class Client:
    """A server and the connections to it, for one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet; connect() is the usual way."""
        self._settings = settings
        self._connections: List[Optional[_Connection]] = [None] * settings.max_connections
        self._locks = [asyncio.Lock() for _ in self._connections]
        self._next = 0
        self._closed = False

    def get_proxy(self) -> Proxy:
        """A proxy, not yet connected."""
        return Proxy(self)

    async def close(self) -> None:
        """Closes all connections."""
        self._closed = True
        for connection in self._connections:
            if connection is not None:
                connection.close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Makes sure of a connection. Errors: those of connect()."""
        await self._connection()

    async def _connection(self) -> _Connection:
        """The connections in turn; one that was lost is opened anew."""
        if self._closed:
            raise DisconCyberDBError("the client is closed")
        self._next = at = (self._next + 1) % len(self._connections)
        connection = self._connections[at]
        if connection is not None and connection.lost is None:
            return connection
        async with self._locks[at]:
            connection = self._connections[at]
            if connection is None or connection.lost is not None:
                connection = self._connections[at] = await _Connection.open(self._settings)
        return connection

    async def perform_all(self, batch: List[Request[Any]]) -> List[Tuple[Reply, Optional[IO[bytes]]]]:
        """Sends requests in one go; those that change nothing are repeated once if their connection was lost."""
        connection = await self._connection()
        exchange = connection.exchange_all(batch)
        try:
            return await asyncio.wait_for(exchange, self._settings.request_timeout)
        except asyncio.TimeoutError as e:
            raise RequestTimeout(
                f"{self._settings.address}: no reply within {self._settings.request_timeout} s; the request may or may not have been applied"
            ) from e
        except ConnectionLost:
            if not all(request.opcode in frames.READS for request in batch):
                raise
        return await (await self._connection()).exchange_all(batch)


class Proxy:
    """Reaches the tables of a server between connect() and close(), or inside `async with`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connected = False

    async def connect(self) -> None:
        """Make sure of a connection; the errors are those of aio.connect."""
        await self._client.check()
        self._connected = True

    async def close(self) -> None:
        """Ends the use of this proxy."""
        self._connected = False

    async def __aenter__(self) -> Proxy:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def create_cyberdict(
        self, table_name: str, content: Optional[Mapping[Any, Any]] = None, *, exist_ok: bool = False
    ) -> CyberDict[Any, Any]:
        """Makes a dict and returns it. Errors: TableExists unless exist_ok; WrongTableKind; WrongInputCyberDBError."""
        name = requests.table_name(table_name)
        await self._perform(requests.create_dict(name, check_dict_content(content), exist_ok))
        return CyberDict(self, table_name)

    async def create_cyberlist(self, table_name: str, content: Optional[Iterable[Any]] = None, *, exist_ok: bool = False) -> CyberList[Any]:
        """Makes a list and returns it; otherwise as create_cyberdict."""
        name = requests.table_name(table_name)
        await self._perform(requests.create_list(name, check_list_content(content), exist_ok))
        return CyberList(self, table_name)

    async def get_cyberdict(self, table_name: str) -> CyberDict[Any, Any]:
        """The dict of that name. Errors: NoSuchTable, WrongTableKind."""
        await self._expect(table_name, "dict")
        return CyberDict(self, table_name)

    async def get_cyberlist(self, table_name: str) -> CyberList[Any]:
        """The list of that name. Errors: NoSuchTable, WrongTableKind."""
        await self._expect(table_name, "list")
        return CyberList(self, table_name)

    async def _expect(self, table_name: str, kind: str) -> None:
        found = await self._perform(requests.kind(requests.table_name(table_name)))
        if found != kind:
            raise WrongTableKind(f"table {table_name!r} is a {found}, not a {kind}")

    async def exists(self, table_name: str) -> bool:
        """Whether there is a table of that name."""
        return await self._perform(requests.exists(requests.table_name(table_name)))

    async def tables(self) -> List[Table]:
        """Name, kind and length of each table, in the order in which they were created."""
        return await self._perform(requests.tables())

    async def print_tables(self) -> None:
        """Prints a line per table."""
        for table in await self.tables():
            print(f"table name: {table.name}  type name: Cyber{table.kind.title()}")

    async def delete_table(self, table_name: str) -> None:
        """Removes a table and all that is in it. Errors: NoSuchTable."""
        await self._perform(requests.drop(requests.table_name(table_name)))

    async def rename_table(self, table_name: str, new_name: str) -> None:
        """Gives a table another name. Errors: NoSuchTable, TableExists."""
        await self._perform(requests.rename(requests.table_name(table_name), requests.table_name(new_name)))

    async def info(self) -> Dict[str, Any]:
        """The server's own account of itself."""
        text = await self._perform(requests.info())
        result: Dict[str, Any] = json.loads(text)
        return result

    async def save(self) -> None:
        """As cyberdb_fast.Proxy.save."""
        await self._perform(requests.save())

    async def ping(self) -> None:
        """One exchange with the server."""
        await self._perform(requests.ping())

    async def _perform(self, request: Request[T]) -> T:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        ((reply, sink),) = await self._client.perform_all([request])
        return request.result(requests.whole(reply, sink))

    async def _stream(self, request: StreamRequest[T]) -> AsyncIterator[T]:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        ((reply, sink),) = await self._client.perform_all([request])
        for value in requests.spooled(request, sink or requests.spool(), reply):
            yield value


class _Durable:
    """Sends what a proxy does, and demands of each change that it be on disk before the reply comes."""

    def __init__(self, sender: Union[Proxy, _Durable]) -> None:
        self._sender = sender

    def _perform(self, request: Request[T]) -> Awaitable[T]:
        return self._sender._perform(requests.durable(request))

    def _stream(self, request: StreamRequest[T]) -> AsyncIterator[T]:
        return self._sender._stream(request)


class _Handle:
    """A named table and what reaches it."""

    def __init__(self, sender: Union[Proxy, _Durable], name: str) -> None:
        self._perform, self._stream = sender._perform, sender._stream
        self._sender, self._name = sender, name
        self._t = requests.table_name(name)

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self._name

    @property
    def durable(self) -> Self:
        """As that of cyberdb_fast.CyberDict and CyberList: the same table, whose changes return when they are on disk."""
        return type(self)(_Durable(self._sender), self._name)

    def __bool__(self) -> bool:
        raise TypeError("whether a table is empty must be asked for: await table.len()")


class CyberDict(_Handle, Generic[K, V]):
    """A dict in the server: the methods of cyberdb_fast.CyberDict, to be awaited."""

    def __getitem__(self, key: K) -> Awaitable[V]:
        return self.getitem(key)

    def __aiter__(self) -> AsyncIterator[K]:
        return self.keys()

    def keys(self) -> AsyncIterator[K]:
        """The keys of one moment, in order, in bounded memory."""
        return self._stream(requests.stream(frames.DICT_KEYS, self._t))

    def values(self) -> AsyncIterator[V]:
        """The values of one moment, in order, in bounded memory."""
        return self._stream(requests.stream(frames.DICT_VALUES, self._t))

    async def items(self) -> AsyncIterator[Tuple[K, V]]:
        """The items of one moment, in order, in bounded memory."""
        flat = self._stream(requests.stream(frames.DICT_ITEMS, self._t))
        async for key in flat:
            yield key, await flat.__anext__()

    async def modify(self, key: K, change: Callable[[V], V], default: Any = MISSING) -> V:
        """As cyberdb_fast.CyberDict.modify."""
        while True:
            try:
                there = await self._perform(requests.dict_get_versioned(self._t, key))
            except KeyError:
                if default is MISSING:
                    raise
                there = requests.Versioned(default, 0)
            new = change(there.value)
            try:
                await self._perform(requests.dict_set_if(self._t, key, new, there.version))
            except VersionMismatch:
                continue
            return new

    def getitem(self, key: K) -> Awaitable[V]:
        return self._perform(requests.dict_get(self._t, key))

    def get(self, key: K, default: Any = None) -> Awaitable[Any]:
        return self._perform(requests.dict_get_or(self._t, key, default))

    def set(self, key: K, value: V) -> Awaitable[None]:
        return self._perform(requests.dict_set(self._t, key, value))

    def delete(self, key: K) -> Awaitable[None]:
        return self._perform(requests.dict_delete(self._t, key))

    def contains(self, key: Any) -> Awaitable[bool]:
        return self._perform(requests.dict_contains(self._t, key))

    def len(self) -> Awaitable[int]:
        return self._perform(requests.dict_len(self._t))

    def setdefault(self, key: K, default: Any = None) -> Awaitable[Any]:
        return self._perform(requests.dict_setdefault(self._t, key, default))

    def pop(self, key: K, default: Any = MISSING) -> Awaitable[Any]:
        return self._perform(requests.dict_pop(self._t, key, default))

    def popitem(self) -> Awaitable[Tuple[K, V]]:
        return self._perform(requests.dict_popitem(self._t))

    def clear(self) -> Awaitable[None]:
        return self._perform(requests.dict_clear(self._t))

    def update(self, *args: Any, **kwargs: Any) -> Awaitable[None]:
        return self._perform(requests.dict_update(self._t, updates(args, kwargs)))

    def copy(self) -> Awaitable[Dict[K, V]]:
        return self._perform(requests.dict_all(self._t))

    def get_many(self, keys: Iterable[K]) -> Awaitable[Dict[K, V]]:
        return self._perform(requests.dict_get_many(self._t, keys))

    def set_many(self, items: Union[Mapping[K, V], Iterable[Tuple[K, V]]]) -> Awaitable[None]:
        return self._perform(requests.dict_update(self._t, as_dict(items)))

    def increment(self, key: K, by: Any = 1) -> Awaitable[Any]:
        return self._perform(requests.dict_increment(self._t, key, by))

    def compare_and_set(self, key: K, old: Any, new: Any) -> Awaitable[bool]:
        return self._perform(requests.dict_compare_and_set(self._t, key, old, new))


class CyberList(_Handle, Generic[V]):
    """A list in the server: the methods of cyberdb_fast.CyberList, to be awaited."""

    def __getitem__(self, index: Any) -> Awaitable[Any]:
        return self._perform(requests.list_get(self._t, index))

    def __aiter__(self) -> AsyncIterator[V]:
        """The elements of one moment, in bounded memory."""
        return self._stream(requests.stream(frames.LIST_ALL, self._t))

    def get(self, index: SupportsIndex) -> Awaitable[V]:
        return self._perform(requests.list_get(self._t, index))

    def slice(self, start: Optional[int] = None, stop: Optional[int] = None, step: Optional[int] = None) -> Awaitable[List[V]]:
        return self._perform(requests.list_get(self._t, slice(start, stop, step)))

    def set(self, index: requests.Index, value: Any) -> Awaitable[None]:
        return self._perform(requests.list_set(self._t, index, value))

    def delete(self, index: requests.Index) -> Awaitable[None]:
        return self._perform(requests.list_delete(self._t, index))

    def contains(self, value: Any) -> Awaitable[bool]:
        return self._perform(requests.list_contains(self._t, value))

    def len(self) -> Awaitable[int]:
        return self._perform(requests.list_len(self._t))

    def append(self, value: V) -> Awaitable[None]:
        return self._perform(requests.list_append(self._t, value))

    def appendleft(self, value: V) -> Awaitable[None]:
        return self._perform(requests.list_append_left(self._t, value))

    def extend(self, values: Iterable[V]) -> Awaitable[None]:
        return self._perform(requests.list_extend(self._t, values))

    def insert(self, index: SupportsIndex, value: V) -> Awaitable[None]:
        return self._perform(requests.list_insert(self._t, index, value))

    def pop(self, index: SupportsIndex = -1) -> Awaitable[V]:
        return self._perform(requests.list_pop(self._t, index))

    def popleft(self) -> Awaitable[V]:
        return self._perform(requests.list_pop_left(self._t))

    def remove(self, value: V) -> Awaitable[None]:
        return self._perform(requests.list_remove(self._t, value))

    def count(self, value: Any) -> Awaitable[int]:
        return self._perform(requests.list_count(self._t, value))

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = sys.maxsize) -> Awaitable[int]:
        return self._perform(requests.list_index(self._t, value, start, stop))

    def reverse(self) -> Awaitable[None]:
        return self._perform(requests.list_reverse(self._t))

    def sort(self, *, key: Optional[Callable[[V], Any]] = None, reverse: bool = False) -> Awaitable[None]:
        return self._perform(requests.list_sort(self._t, key, reverse))

    def clear(self) -> Awaitable[None]:
        return self._perform(requests.list_clear(self._t))

    def copy(self) -> Awaitable[List[V]]:
        return self._perform(requests.list_all(self._t))
