"""connect(), the client, and the proxy, which gives access to tables."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from operator import methodcaller
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NoReturn, Optional, TypeVar, Union

from . import requests
from .affinity import assign_process_number, current_hub, current_location
from .batcher import Batcher, is_batchable
from .connection import Connection, NotSent
from .cyberdict import CyberDict
from .cyberlist import CyberList
from .errors import ConnectionLost, DisconCyberDBError, NoSuchTable, TooLarge, WrongInputCyberDBError, WrongTableKind
from .expiry import DictOptions, Duration, Policy
from .frames import Reply
from .opcodes import READS
from .pipeline import Pipeline
from .pool import Pool
from .requests import MISSING, Missing, Request, StreamRequest, Table
from .settings import DEFAULT_HOST, DEFAULT_MAX_REPLY_BYTES, DEFAULT_PORT, Settings, make_settings
from .table import as_dict
from .waiter import ENTRY_POINTS, Lease

T = TypeVar("T")

DEFAULT_MAX_CONNECTIONS = 64
DEFAULT_CONNECT_TIMEOUT = 5.0
DEFAULT_REQUEST_TIMEOUT = 60.0
DEFAULT_POOL_TIMEOUT = 30.0


def connect(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    password: Optional[str] = None,
    encrypt: bool = False,
    time_out: Optional[float] = None,
    *,
    max_connections: int = DEFAULT_MAX_CONNECTIONS,
    connect_timeout: Optional[float] = DEFAULT_CONNECT_TIMEOUT,
    request_timeout: Optional[float] = DEFAULT_REQUEST_TIMEOUT,
    pool_timeout: Optional[float] = DEFAULT_POOL_TIMEOUT,
    max_reply_bytes: int = DEFAULT_MAX_REPLY_BYTES,
    track_changes: Optional[bool] = None,
    check: bool = True,
) -> Client:
    """Returns a client of the server at host and port.

    host may also be the URL that the server prints.

    connect opens a connection, so a wrong password or setting raises an error here. With
    check=False it opens none yet; use that if the program may start while the server is down.

    If password is None, the environment variable CYBERDB_PASSWORD is the password, or the file that
    CYBERDB_PASSWORD_FILE names has it. Connections that were idle for longer than time_out are not
    used again. Times are in seconds; None waits forever. The server does not begin a request that
    arrived more than request_timeout ago; see the README.

    A reply of more than max_reply_bytes raises ReplyTooLarge. Iteration, which uses a temporary
    file, may read 64 times as much. With track_changes, a LostChangeWarning reports changes to
    values that were read and not stored again: see the README. If track_changes is None, the
    environment variable CYBERDB_TRACK_CHANGES decides, or else Python's development mode.

    Errors: ServerUnreachable, which is a ConnectionRefusedError; WrongPasswordCyberDBError;
    EncryptionMismatch; ConnectionRefused; Overloaded; ProtocolError; WrongInputCyberDBError.
    """
    settings = make_settings(
        host,
        port,
        password,
        encrypt,
        time_out,
        max_connections,
        connect_timeout,
        request_timeout,
        pool_timeout,
        max_reply_bytes,
        track_changes,
    )
    client = Client(settings)
    if check:
        client.check()
    return client


class Client:
    """A server and a pool of connections to it.

    Threads and greenlets may share a client. After a fork both processes may use it.
    """

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet; connect() is the usual way."""
        self._settings = settings
        self._tracking = settings.track_changes
        self._closed = False
        self._location = current_location()
        self._batcher = Batcher(Pool(settings, self._location))
        # The batchers of other event loops of gevent.
        self._hub_batchers: weakref.WeakKeyDictionary[Any, Batcher] = weakref.WeakKeyDictionary()
        _clients.add(self)

    @property
    def _pool(self) -> Pool:
        return self._batcher.pool

    def stats(self) -> Dict[str, int]:
        """The counts of this process: open, idle, waiting and max_connections.

        Idle connections are open, too. waiting is the number of callers that wait for a connection.
        """
        counts = self._batcher.pool.stats()
        for batcher in list(self._hub_batchers.values()):
            for name, count in batcher.pool.stats().items():
                counts[name] += count
        return counts

    def get_proxy(self) -> Proxy:
        """Returns a new proxy, which is not connected yet."""
        return Proxy(self)

    def close(self) -> None:
        """Closes all connections. Afterwards, requests raise DisconCyberDBError."""
        self._closed = True
        for batcher in list(self._hub_batchers.values()):
            batcher.pool.closed = True  # their own threads close the connections
        self._batcher.pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a Client has connections and cannot be pickled or copied: call connect() in each process, or fork"
        )

    def check(self) -> None:
        """Makes sure that there is a connection. Errors: those of connect()."""
        pool = self._current_batcher().pool
        lease: Lease = []
        try:
            pool.acquire(lease)
            pool.release(lease)
        except BaseException:
            pool.discard(lease)
            raise

    def perform(self, request: Request[T]) -> T:
        """Sends one request and returns its result.

        If the connection is lost, a request that was not sent or that changes nothing is repeated
        once on a new connection.
        """
        if self._tracking:
            requests.tracking(request)
        batcher = self._batcher
        pool = batcher.pool
        if self._location[0] != pool.owner:
            batcher = self._current_batcher()
            pool = batcher.pool
        lease: Lease = []
        try:
            if pool.take(lease):
                reply = lease[0].exchange(request)
                pool._idle.append(lease.pop())  # pool.release, inlined for speed
                if pool.waiting or pool.closed:
                    pool.dispatch_idle()
            elif is_batchable(request):
                reply = batcher.exchange(request)
            else:
                reply = pool.acquire(lease)[0].exchange(request)
                pool.release(lease)
        except BaseException as e:
            reply = self._again(pool, lease, e, [request], methodcaller("exchange", request))
        return request.result(reply)

    def perform_stream(self, request: StreamRequest[T]) -> Iterator[T]:
        """Sends one request and iterates over its reply, which may be larger than memory.

        The complete reply has been received when this method returns.
        """

        def exchange(connection: Connection) -> Reply:
            sink.seek(0)
            sink.truncate()
            return connection.stream(request, sink)

        if self._tracking:
            requests.tracking(request)
        sink = requests.spool(self._settings.max_stream_bytes)
        try:
            return requests.spooled(request, sink, self._with_connection(exchange, [request]))
        except BaseException:
            sink.close()
            raise

    def perform_all(self, batch: List[Request[Any]]) -> List[Reply]:
        """Sends a pipeline and returns the replies in the order of the requests."""
        if self._tracking:
            batch = [requests.tracking(request) for request in batch]
        return self._with_connection(methodcaller("exchange_all", batch), batch)

    def _with_connection(self, exchange: Callable[[Connection], T], batch: Iterable[Request[Any]]) -> T:
        pool = self._current_batcher().pool
        lease: Lease = []
        try:
            result = exchange(pool.acquire(lease)[0])
            pool.release(lease)
        except BaseException as e:
            return self._again(pool, lease, e, batch, exchange)
        return result

    def _again(
        self,
        pool: Pool,
        lease: Lease,
        e: BaseException,
        batch: Iterable[Request[Any]],
        exchange: Callable[[Connection], T],
    ) -> T:
        """Discards the connection after e; repeats exchange once if that is safe, or raises e."""
        if isinstance(e, TooLarge) and lease:
            pool.release(lease)
            raise e
        if isinstance(e, ConnectionLost) and lease:
            pool.drop_idle()  # before a waiter gets one of them
        pool.discard(lease)
        if not isinstance(e, ConnectionLost) or not _may_repeat(e, batch):
            raise e
        return self._once_more(exchange)

    def _once_more(self, exchange: Callable[[Connection], T]) -> T:
        pool = self._current_batcher().pool
        lease: Lease = []
        try:
            result = exchange(pool.acquire(lease)[0])
            pool.release(lease)
        except BaseException:
            pool.discard(lease)
            raise
        return result

    def _current_batcher(self) -> Batcher:
        """The batcher for the process of the caller, and under gevent for its event loop.

        After a fork, the child starts with a new batcher and no connections.
        """
        batcher = self._batcher
        if self._location[0] == batcher.pool.owner:
            return batcher
        assign_process_number()
        location = self._location[0]
        if isinstance(location, tuple) and location[0] == batcher.pool.owner[0]:
            hub = current_hub()
            found = self._hub_batchers.get(hub)
            if found is None:
                self._hub_batchers[hub] = found = self._new_batcher()
            return found
        parents = [batcher, *self._hub_batchers.values()]
        self._hub_batchers = weakref.WeakKeyDictionary()
        self._batcher = new = self._new_batcher()
        for parent in parents:
            parent.pool.detach()
        return new

    def _new_batcher(self) -> Batcher:
        return Batcher(Pool(self._settings, self._location, self._closed))


ENTRY_POINTS.update(
    method.__code__ for method in (Client.check, Client.perform, Client.perform_stream, Client.perform_all)
)

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    """Closes the child's copies of the sockets at once. It does not run if C code forks."""
    for client in list(_clients):
        client._current_batcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _may_repeat(e: BaseException, batch: Iterable[Request[Any]]) -> bool:
    return isinstance(e, NotSent) or all(request.opcode in READS for request in batch)


def check_dict_content(content: Any) -> Dict[Any, Any]:
    """Returns content as a dict, for a new table. WrongInputCyberDBError if it is not a mapping."""
    if not isinstance(content, (Mapping, type(None))):
        raise WrongInputCyberDBError(f"the content of a dict must be a mapping, got {type(content).__name__}")
    return {} if content is None else as_dict(content)


def check_list_content(content: Any) -> Iterable[Any]:
    """Returns content as an iterable, for a new table.

    WrongInputCyberDBError if it is a string, bytes, a mapping or not iterable.
    """
    if isinstance(content, (str, bytes, Mapping)) or not isinstance(content, (Iterable, type(None))):
        raise WrongInputCyberDBError(
            f"the content of a list must be an iterable of elements, got {type(content).__name__}"
        )
    return () if content is None else content


_CONNECT, _WITH = "connect", "with"


class Proxy:
    """Access to the tables of a server, between connect() and close() or in `with`.

    A proxy has no connection: each request takes one from the client's pool and returns
    it afterwards. So threads and greenlets may share a proxy and its tables.
    """

    def __init__(self, client: Client) -> None:
        self._client, self._send = client, client.perform
        self._uses: List[str] = []  # one entry per active `with`, and one for connect()

    def connect(self) -> None:
        """Makes sure that there is a connection. Errors: those of cyberdb_fast.connect."""
        self._client.check()
        if _CONNECT not in self._uses:
            self._uses.append(_CONNECT)

    def close(self) -> None:
        """Disconnects the proxy: it and its tables raise DisconCyberDBError from now on."""
        self._uses.clear()

    def __enter__(self) -> Proxy:
        self._client.check()
        self._uses.append(_WITH)
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(ValueError):  # close() was called inside the `with`
            self._uses.remove(_WITH)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a Proxy belongs to its Client and cannot be pickled or copied: call get_proxy() where it is needed"
        )

    def create_cyberdict(
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
        """Creates a dict with the given content and returns it.

        With exist_ok, an existing dict is returned unchanged, with the options that it has. The
        options of a new dict, none of which is the default:

        ttl      an entry expires after this time since its last write, unless it has a deadline of
                 its own
        idle     an entry expires after this time without reads and writes, at the latest after
                 twice this time
        max_entries, max_bytes  limits of the dict; an entry has the bytes of its key and value and
                 about 24 more
        policy   what a write beyond a limit does: it removes entries that are rarely used
                 ("s3fifo", the default) or that expire first ("ttl"), or it fails with Overloaded
                 ("none")

        Times are seconds or timedeltas, rounded up to milliseconds. Errors: TableExists unless
        exist_ok; WrongTableKind; WrongInputCyberDBError if content is not a mapping; ValueError if
        an option is out of range; TypeError if it has the wrong type.
        """
        name = requests.table_name(table_name)
        self._perform(
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

    def create_cyberlist(
        self, table_name: str, content: Optional[Iterable[Any]] = None, *, exist_ok: bool = False
    ) -> CyberList[Any]:
        """Creates a list with the given content and returns it; otherwise as create_cyberdict."""
        name = requests.table_name(table_name)
        self._perform(requests.create_list(name, check_list_content(content), exist_ok))
        return CyberList(self, table_name)

    def get_cyberdict(self, table_name: str) -> CyberDict[Any, Any]:
        """Returns the dict of that name.

        Errors: NoSuchTable, WrongTableKind, WrongInputCyberDBError.
        """
        self._expect(table_name, "dict")
        return CyberDict(self, table_name)

    def get_cyberlist(self, table_name: str) -> CyberList[Any]:
        """Returns the list of that name. Errors: those of get_cyberdict."""
        self._expect(table_name, "list")
        return CyberList(self, table_name)

    def _expect(self, table_name: str, kind: str) -> None:
        try:
            found = self._perform(requests.kind(requests.table_name(table_name)))
        except NoSuchTable:
            raise NoSuchTable(f"{table_name} table does not exist.") from None
        if found != kind:
            raise WrongTableKind(f"table {table_name!r} is a {found}, not a {kind}")

    def configure(
        self,
        table_name: str,
        *,
        ttl: Union[Duration, Missing, None] = MISSING,
        idle: Union[Duration, Missing, None] = MISSING,
        max_entries: Union[int, Missing, None] = MISSING,
        max_bytes: Union[int, Missing, None] = MISSING,
        policy: Union[Policy, Missing, None] = MISSING,
    ) -> None:
        """Changes options of a dict; None removes one. create_cyberdict describes them.

        Options that are not given stay as they are. Errors: NoSuchTable; WrongTableKind; ValueError
        if an option is out of range; TypeError if it has the wrong type.
        """
        name = requests.table_name(table_name)
        self._perform(
            requests.configure(name, ttl=ttl, idle=idle, max_entries=max_entries, max_bytes=max_bytes, policy=policy)
        )

    def options(self, table_name: str) -> DictOptions:
        """Returns the options of a dict: ttl, idle, max_entries, max_bytes and policy.

        Times are in seconds; None means that there is no such limit. policy is the one in force.
        The result can be passed to configure: configure("b", **options("a")). Errors: NoSuchTable;
        WrongTableKind.
        """
        return self._perform(requests.options(requests.table_name(table_name)))

    def exists(self, table_name: str) -> bool:
        """Whether a table of that name exists."""
        return self._perform(requests.exists(requests.table_name(table_name)))

    def tables(self) -> List[Table]:
        """Returns the name, kind and length of each table, in the order of their creation."""
        return self._perform(requests.tables())

    def print_tables(self) -> None:
        """Prints one line per table."""
        for table in self.tables():
            print(f"table name: {table.name}  type name: Cyber{table.kind.title()}")

    def delete_table(self, table_name: str) -> None:
        """Removes a table and its content. Errors: NoSuchTable."""
        self._perform(requests.drop(requests.table_name(table_name)))

    def rename_table(self, table_name: str, new_name: str) -> None:
        """Renames a table. Errors: NoSuchTable; TableExists if new_name is taken."""
        self._perform(requests.rename(requests.table_name(table_name), requests.table_name(new_name)))

    def pipeline(self) -> Pipeline:
        """Returns an empty pipeline, which sends many requests at once.

        Each request is atomic; the pipeline as a whole is not.
        """
        return Pipeline(self._perform_all)

    def info(self) -> Dict[str, Any]:
        """Returns the server's INFO document: version, connections, memory, saves and so on."""
        return self._perform(requests.info())

    def digest(self) -> Dict[str, Any]:
        """Returns the digest of all tables: `digest` (32 hex digits), `lsn`, `tables`, `items`.

        Two databases have the same one only if they hold the same tables, items, order and
        versions. The server reads all tables for it. Errors: ServerError if a table is poisoned.
        """
        return self._perform(requests.digest())

    def save(self) -> None:
        """Writes a snapshot of all tables to the server's data file; returns when it is on disk.

        Errors: NotDurable if the file could not be written; BadRequest if the server keeps its
        tables in memory only.
        """
        self._perform(requests.save())

    def ping(self) -> None:
        """Sends a request without effect and waits for the reply."""
        self._perform(requests.ping())

    def _perform(self, request: Request[T]) -> T:
        if not self._uses:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return self._send(request)

    def _perform_stream(self, request: StreamRequest[T]) -> Iterator[T]:
        if not self._uses:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return self._client.perform_stream(request)

    def _perform_all(self, batch: List[Request[Any]]) -> List[Reply]:
        if not self._uses:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return self._client.perform_all(batch)
