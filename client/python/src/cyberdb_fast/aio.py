"""The asyncio client: the API of cyberdb_fast with `async with`, and `await` before each request.

    import asyncio
    from cyberdb_fast import aio

    async def main():
        async with await aio.connect("cyberdb://127.0.0.1:9980") as client:
            async with client.get_proxy() as proxy:
                visits = await proxy.create_cyberdict("visits", exist_ok=True)
                await visits.increment("home")
                print(await visits["home"], await visits.get("away", 0))
                async for page, n in visits.items():
                    print(page, n)

    asyncio.run(main())

Python cannot await an assignment, so `d[k] = v` is `await d.set(k, v)`, `del d[k]` is `await
d.delete(k)`, `len(d)` is `await d.len()` and `k in d` is `await d.contains(k)`. Tasks share a few
connections, and requests of several tasks share one write.

A task that is cancelled, also by asyncio.timeout or wait_for, only stops waiting: its request may
still be applied. The server knows the request_timeout of connect(), and begins no request after it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncGenerator,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    overload,
)

from . import lock_requests, replies, requests
from .aio_connection import Arrived
from .aio_connections import Connections
from .aio_lock import Lock
from .aio_subscription import Subscription
from .aio_tables import CyberDict, CyberList, Pipeline
from .aio_waiting import Keeper, WaitingConnection, wait_for
from .clock import MONOTONIC
from .errors import DisconCyberDBError, WrongTableKind
from .expiry import DictOptions, Duration, ListOptions, NewDict, NewList, Policy
from .frames import Reply
from .handles import Registry, without_password
from .proxy import check_dict_content, check_list_content
from .replies import MISSING, Missing
from .requests import Request, StreamRequest, Table, WaitingRequest
from .retries import Attempts
from .settings import DEFAULT_HOST, Options, Settings, make_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

DEFAULT_MAX_CONNECTIONS = 2

__all__ = ["Client", "CyberDict", "CyberList", "Lock", "Pipeline", "Proxy", "Subscription", "connect"]


async def connect(
    host: str = DEFAULT_HOST,
    port: Optional[int] = None,
    password: Optional[str] = None,
    encrypt: bool = False,
    time_out: Optional[float] = None,
    **options: Unpack[Options],
) -> Client:
    """Returns a client for event loops. Arguments and errors are those of cyberdb_fast.connect.

    max_connections is the number of connections per event loop; its default is 2. pool_timeout has
    no effect: tasks share connections.
    """
    settings = make_settings(host, port, password, encrypt, time_out, options, max_connections=DEFAULT_MAX_CONNECTIONS)
    client = _of(settings)
    _registry.add(settings, client)
    if settings.check:
        await client.check()
    return client


class Client:
    """A server and the connections to it.

    Each event loop that uses the client has its own connections. `async with client:` closes them.
    """

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet; connect() is the usual way."""
        self._settings = settings
        self._connections = Connections(settings)

    def get_proxy(self) -> Proxy:
        """Returns a new proxy, which is not connected yet."""
        return Proxy(self)

    def __reduce__(self) -> Tuple[Any, ...]:
        return unpickled_client, (without_password(self._settings),)

    def __copy__(self) -> Client:
        return self

    def __deepcopy__(self, memo: Any) -> Client:
        return self

    async def close(self) -> None:
        """Closes all connections. Tasks that wait for a reply get a DisconCyberDBError."""
        _registry.remove(self._settings, self)
        self._connections.close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Makes sure that there is a connection. Errors: those of connect()."""
        began = MONOTONIC[0]()
        try:
            await self._connections.for_loop().get()
        except DisconCyberDBError as e:
            await self._again(e, [], began)

    async def connection(self) -> WaitingConnection:
        """A connection of the running loop."""
        return self._connections.ready() or await self._connections.for_loop().get()

    async def exchange(self, request: Request[Any]) -> Arrived:
        """Sends one request.

        If the connection is lost, a request that was not sent or that changes nothing is repeated,
        up to the number of retries.
        """
        if self._settings.track_changes:
            requests.tracking(request)
        began = MONOTONIC[0]()
        try:
            return await (self._connections.ready() or await self._connections.for_loop().get()).exchange(request)
        except DisconCyberDBError as e:
            return (await self._again(e, [request], began))[0]

    async def exchange_all(self, batch: List[Request[Any]]) -> List[Arrived]:
        """Sends a pipeline.

        If the connection is lost, it is repeated as a request is, if that is so of all its
        requests.
        """
        if self._settings.track_changes:
            batch = [requests.tracking(request) for request in batch]
        began = MONOTONIC[0]()
        try:
            return await (await self.connection()).exchange_all(batch)
        except DisconCyberDBError as e:
            return await self._again(e, batch, began)

    async def _again(self, e: Exception, batch: List[Request[Any]], began: float) -> List[Arrived]:
        """Repeats a pipeline, which began then, by MONOTONIC; raises e if that is not safe."""
        attempts = Attempts(self._settings, batch, began)
        try:
            while True:
                pause = attempts.pause_after(e)
                if pause is None:
                    raise e
                if pause:
                    await self._connections.for_loop().pause(pause)
                try:
                    return await (await self._connections.for_loop().get()).exchange_all(batch, attempts.until)
                except DisconCyberDBError as failed:
                    e = failed
        finally:
            del e  # its traceback refers to this frame

    async def perform(self, request: Request[T]) -> T:
        """Sends one request and returns its result."""
        reply, sink = await self.exchange(request)
        return request.result(replies.join_parts(reply, sink))

    async def perform_waiting(self, request: WaitingRequest[T]) -> T:
        """Sends a request that may wait in the server, and returns its result.

        If the connection is lost, a request that may be repeated is, within its wait.
        """
        if self._settings.track_changes:
            requests.tracking(request)
        return request.result(await wait_for(self.connection, request, self.give_back))

    def give_back(self, request: Request[Any]) -> None:
        """As LoopConnections.give_back. Nothing is sent if the client is closed."""
        with suppress(DisconCyberDBError):
            self._connections.for_loop().give_back(request)

    @property
    def keeper(self) -> Keeper:
        """What renews leases, on this event loop."""
        return self._connections.for_loop().keeper

    @property
    def request_timeout(self) -> Optional[float]:
        """The request_timeout of connect()."""
        return self._settings.request_timeout


def _of(settings: Settings) -> Client:
    """A client with these settings. Errors: UnsupportedFramework if tracing lacks OpenTelemetry."""
    kind = Client
    if settings.tracing:
        from .tracing import TracedAioClient as kind
    return kind(settings)


_registry: Registry[Client] = Registry(_of)


def unpickled_client(settings: Settings) -> Client:
    """As client.unpickled."""
    return _registry.find(settings)


def unpickled_proxy(client: Client, connected: bool) -> Proxy:
    """As proxy.unpickled."""
    proxy = Proxy(client)
    proxy._connected = connected
    return proxy


class Proxy:
    """Access to the tables of a server, between connect() and close() or in `async with`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connected = False

    def __reduce__(self) -> Tuple[Any, ...]:
        return unpickled_proxy, (self._client, self._connected)

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

    @overload
    async def create_cyberdict(
        self, table_name: str, content: None = None, **options: Unpack[NewDict]
    ) -> CyberDict[Any, Any]: ...
    @overload
    async def create_cyberdict(
        self, table_name: str, content: Mapping[K, V], **options: Unpack[NewDict]
    ) -> CyberDict[K, V]: ...
    @overload
    async def create_cyberdict(
        self, table_name: str, key_type: Type[K], value_type: Type[V], /, **options: Unpack[NewDict]
    ) -> CyberDict[K, V]: ...
    async def create_cyberdict(
        self,
        table_name: str,
        content: Any = None,
        value_type: Any = None,
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
                check_dict_content(content, value_type),
                exist_ok,
                ttl=ttl,
                idle=idle,
                max_entries=max_entries,
                max_bytes=max_bytes,
                policy=policy,
            )
        )
        return CyberDict(self, table_name)

    @overload
    async def create_cyberlist(
        self, table_name: str, content: None = None, **options: Unpack[NewList]
    ) -> CyberList[Any]: ...
    @overload
    async def create_cyberlist(
        self, table_name: str, element_type: Type[V], /, **options: Unpack[NewList]
    ) -> CyberList[V]: ...
    @overload
    async def create_cyberlist(
        self, table_name: str, content: Iterable[V], **options: Unpack[NewList]
    ) -> CyberList[V]: ...
    async def create_cyberlist(
        self,
        table_name: str,
        content: Any = None,
        *,
        exist_ok: bool = False,
        max_deliveries: Optional[int] = None,
        dead_letter: Optional[str] = None,
    ) -> CyberList[Any]:
        """As cyberdb_fast.Proxy.create_cyberlist."""
        name = requests.table_name(table_name)
        await self._perform(
            requests.create_list(
                name, check_list_content(content), exist_ok, max_deliveries=max_deliveries, dead_letter=dead_letter
            )
        )
        return CyberList(self, table_name)

    @overload
    async def get_cyberdict(self, table_name: str) -> CyberDict[Any, Any]: ...
    @overload
    async def get_cyberdict(self, table_name: str, key_type: Type[K], value_type: Type[V], /) -> CyberDict[K, V]: ...
    async def get_cyberdict(  # the types are for type checkers
        self,
        table_name: str,
        key_type: Any = None,  # noqa: ARG002 # for type checkers
        value_type: Any = None,  # noqa: ARG002
    ) -> CyberDict[Any, Any]:
        """Returns the dict of that name. Errors: NoSuchTable, WrongTableKind."""
        await self._expect(table_name, "dict")
        return CyberDict(self, table_name)

    @overload
    async def get_cyberlist(self, table_name: str) -> CyberList[Any]: ...
    @overload
    async def get_cyberlist(self, table_name: str, element_type: Type[V], /) -> CyberList[V]: ...
    async def get_cyberlist(self, table_name: str, element_type: Any = None) -> CyberList[Any]:  # noqa: ARG002
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
        max_deliveries: Union[int, Missing, None] = MISSING,
        dead_letter: Union[str, Missing, None] = MISSING,
    ) -> None:
        """As cyberdb_fast.Proxy.configure."""
        await self._perform(
            requests.configure(
                requests.table_name(table_name),
                ttl=ttl,
                idle=idle,
                max_entries=max_entries,
                max_bytes=max_bytes,
                policy=policy,
                max_deliveries=max_deliveries,
                dead_letter=dead_letter,
            )
        )

    async def options(self, table_name: str) -> DictOptions:
        """As cyberdb_fast.Proxy.options."""
        return await self._perform(requests.options(requests.table_name(table_name)))

    async def list_options(self, table_name: str) -> ListOptions:
        """As cyberdb_fast.Proxy.list_options."""
        return await self._perform(requests.list_options(requests.table_name(table_name)))

    def lock(
        self,
        name: str,
        ttl: Duration = 30,
        wait: Optional[Duration] = None,
        renew: bool = True,
        max_hold: Optional[Duration] = None,
        reentrant: bool = False,
    ) -> Lock:
        """Returns a lock, for `async with`. Arguments are those of cyberdb_fast.Proxy.lock.

        Its owner is the task that acquires it.
        """
        return Lock(self, name, ttl, wait, renew, max_hold, reentrant)

    def semaphore(
        self,
        name: str,
        n: int,
        ttl: Duration = 30,
        wait: Optional[Duration] = None,
        renew: bool = True,
        max_hold: Optional[Duration] = None,
    ) -> Lock:
        """As cyberdb_fast.Proxy.semaphore."""
        return Lock(self, name, ttl, wait, renew, max_hold, False, n)

    async def publish(self, channel: str, value: Any) -> int:
        """As cyberdb_fast.Proxy.publish."""
        return await self._perform(lock_requests.publish(channel, value))

    def subscribe(self, *channels: str, prefix: Union[str, Iterable[str]] = ()) -> Subscription:
        """Returns a subscription, for `async with` and `async for`.

        See cyberdb_fast.Proxy.subscribe.
        """
        return Subscription(self, channels, prefix)

    async def exists(self, table_name: str) -> bool:
        """Whether a table of that name exists. Errors: WrongInputCyberDBError."""
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

    def _check(self) -> None:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")

    @property
    def _keeper(self) -> Keeper:
        return self._client.keeper

    async def _perform_waiting(self, request: WaitingRequest[T]) -> T:
        self._check()
        return await self._client.perform_waiting(request)

    async def _perform(self, request: Request[T]) -> T:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        reply, sink = await self._client.exchange(request)
        return request.result(replies.join_parts(reply, sink))

    async def _perform_all(self, batch: List[Request[Any]]) -> List[Reply]:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return [replies.join_parts(reply, sink) for reply, sink in await self._client.exchange_all(batch)]

    async def _stream(self, request: StreamRequest[T]) -> AsyncGenerator[T, None]:
        if not self._connected:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        reply, sink = await self._client.exchange(request)
        values = requests.spooled(request, sink or replies.spool(1), reply)
        try:
            for value in values:
                yield value
        finally:
            values.close()
