"""connect(), the client, and the proxy through which tables are reached."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from operator import methodcaller
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NoReturn, Optional, TypeVar

from . import requests
from .batcher import Batcher, may_travel
from .connection import Connection, NotSent
from .cyberdict import CyberDict
from .cyberlist import CyberList
from .errors import ConnectionLost, DisconCyberDBError, NoSuchTable, TooLarge, WrongInputCyberDBError, WrongTableKind
from .frames import Reply
from .opcodes import READS
from .pipeline import Pipeline
from .pool import Pool
from .requests import Request, StreamRequest, Table
from .settings import DEFAULT_HOST, DEFAULT_MAX_REPLY_BYTES, DEFAULT_PORT, Settings, make_settings
from .table import as_dict
from .waiter import ENTRIES, Lease
from .whereabouts import beside, settle, whereabouts

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
    """A client of the server at host and port, or at the URL that the server prints, given as host.

    It opens a connection, so a wrong password or setting shows here; with check=False it opens none yet, for programs that may start while
    the server is away. Without password it is that of CYBERDB_PASSWORD, or in the file
    that CYBERDB_PASSWORD_FILE names. Connections that were idle for longer than time_out are not used again. Times are seconds; None
    waits for ever.

    A reply of more than max_reply_bytes is a ReplyTooLarge; iteration, which goes through a temporary file, may take 64 times as much. With
    track_changes, a change to a value that was read gives a LostChangeWarning if it gets lost: see the README. None leaves that to
    CYBERDB_TRACK_CHANGES, and to Python's development mode.

    Errors: ServerUnreachable, which is a ConnectionRefusedError; WrongPasswordCyberDBError; EncryptionMismatch; ConnectionRefused;
    Overloaded; ProtocolError; WrongInputCyberDBError.
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
    """A server and the pool of connections to it. Safe for threads and greenlets, and after a fork in both processes."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing yet; connect() is the usual way."""
        self._settings = settings
        self._tracking = settings.track_changes
        self._closed = False
        self._here = whereabouts()
        self._batcher = Batcher(Pool(settings, self._here))
        self._beside: weakref.WeakKeyDictionary[Any, Batcher] = weakref.WeakKeyDictionary()  # of other event loops of gevent's
        _clients.add(self)

    @property
    def _pool(self) -> Pool:
        return self._batcher.pool

    def stats(self) -> Dict[str, int]:
        """Counts of this process's connections: open, idle (these are open too), and max_connections; and of callers waiting for one."""
        counts = self._batcher.pool.stats()
        for batcher in list(self._beside.values()):
            for name, count in batcher.pool.stats().items():
                counts[name] += count
        return counts

    def get_proxy(self) -> Proxy:
        """A proxy, not yet connected."""
        return Proxy(self)

    def close(self) -> None:
        """Closes all connections; proxies of this client are of no use after it."""
        self._closed = True
        for batcher in list(self._beside.values()):
            batcher.pool.closed = True  # their own threads close what they hold
        self._batcher.pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Client has connections and cannot be pickled or copied: call connect() in each process, or fork")

    def check(self) -> None:
        """Makes sure of a connection. Errors: those of connect()."""
        pool = self._at_home().pool
        lease: Lease = []
        try:
            pool.acquire(lease)
            pool.release(lease)
        except BaseException:
            pool.discard(lease)
            raise

    def perform(self, request: Request[T]) -> T:
        """Sends one request and returns its result.

        A request that was not sent, or that changes nothing, is repeated once on a new connection if the one it had was lost.
        """
        if self._tracking:
            requests.tracking(request)
        batcher = self._batcher
        pool = batcher.pool
        if self._here[0] != pool.home:
            batcher = self._at_home()
            pool = batcher.pool
        lease: Lease = []
        try:
            if pool.take(lease):
                reply = lease[0].exchange(request)
                pool._idle.append(lease.pop())  # as release, without the call
                if pool.waiting or pool.closed:
                    pool.hand_on()
            elif may_travel(request):
                reply = batcher.exchange(request)
            else:
                reply = pool.acquire(lease)[0].exchange(request)
                pool.release(lease)
        except BaseException as e:
            reply = self._again(pool, lease, e, [request], methodcaller("exchange", request))
        return request.result(reply)

    def perform_stream(self, request: StreamRequest[T]) -> Iterator[T]:
        """Sends one request whose reply may be larger than memory, and takes all of it before it returns."""

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
        """Sends requests in one go and returns their replies."""
        if self._tracking:
            batch = [requests.tracking(request) for request in batch]
        return self._with_connection(methodcaller("exchange_all", batch), batch)

    def _with_connection(self, exchange: Callable[[Connection], T], batch: Iterable[Request[Any]]) -> T:
        pool = self._at_home().pool
        lease: Lease = []
        try:
            result = exchange(pool.acquire(lease)[0])
            pool.release(lease)
        except BaseException as e:
            return self._again(pool, lease, e, batch, exchange)
        return result

    def _again(self, pool: Pool, lease: Lease, e: BaseException, batch: Iterable[Request[Any]], exchange: Callable[[Connection], T]) -> T:
        """Puts away the connection that e has ended, if there is one, then raises e or tries exchange once more."""
        if isinstance(e, TooLarge) and lease:
            pool.release(lease)
            raise e
        if isinstance(e, ConnectionLost) and lease:
            pool.drop_idle()  # before those who wait are given one
        pool.discard(lease)
        if not isinstance(e, ConnectionLost) or not _may_repeat(e, batch):
            raise e
        return self._once_more(exchange)

    def _once_more(self, exchange: Callable[[Connection], T]) -> T:
        pool = self._at_home().pool
        lease: Lease = []
        try:
            result = exchange(pool.acquire(lease)[0])
            pool.release(lease)
        except BaseException:
            pool.discard(lease)
            raise
        return result

    def _at_home(self) -> Batcher:
        """The connections of where the caller is: in another process than before it has none, and another loop of gevent's has its own."""
        batcher = self._batcher
        if self._here[0] == batcher.pool.home:
            return batcher
        settle()
        home = self._here[0]
        if isinstance(home, tuple) and home[0] == batcher.pool.home[0]:
            loop = beside()
            found = self._beside.get(loop)
            if found is None:
                self._beside[loop] = found = self._new_batcher()
            return found
        parents = [batcher, *self._beside.values()]
        self._beside = weakref.WeakKeyDictionary()
        self._batcher = new = self._new_batcher()
        for parent in parents:
            parent.pool.forget()
        return new

    def _new_batcher(self) -> Batcher:
        return Batcher(Pool(self._settings, self._here, self._closed))


ENTRIES.update(method.__code__ for method in (Client.check, Client.perform, Client.perform_stream, Client.perform_all))

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    """Closes the parent's sockets at once, where forks tell of themselves."""
    for client in list(_clients):
        client._at_home()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _may_repeat(e: BaseException, batch: Iterable[Request[Any]]) -> bool:
    return isinstance(e, NotSent) or all(request.opcode in READS for request in batch)


def check_dict_content(content: Any) -> Dict[Any, Any]:
    """The content of a new dict. WrongInputCyberDBError if it is no mapping."""
    if not isinstance(content, (Mapping, type(None))):
        raise WrongInputCyberDBError(f"the content of a dict is a mapping, not {type(content).__name__}")
    return {} if content is None else as_dict(content)


def check_list_content(content: Any) -> Iterable[Any]:
    """The content of a new list. WrongInputCyberDBError if it is no list or what can stand for one."""
    if isinstance(content, (str, bytes, Mapping)) or not isinstance(content, (Iterable, type(None))):
        raise WrongInputCyberDBError(f"the content of a list is a list, not {type(content).__name__}")
    return () if content is None else content


_CONNECT, _WITH = "connect", "with"


class Proxy:
    """Reaches the tables of a server between connect() and close(), or inside `with`, which ends its own use only.

    A proxy holds no connection of its own: each request takes one from the client's pool for as long as it lasts. So threads and greenlets
    may share a proxy and its tables.
    """

    def __init__(self, client: Client) -> None:
        self._client, self._send = client, client.perform
        self._uses: List[str] = []  # an entry for each `with` that it is in, and one for connect()

    def connect(self) -> None:
        """Makes sure of a connection. Errors: those of cyberdb_fast.connect."""
        self._client.check()
        if _CONNECT not in self._uses:
            self._uses.append(_CONNECT)

    def close(self) -> None:
        """Ends the use of this proxy; tables that were got through it raise DisconCyberDBError until it is connected again."""
        self._uses.clear()

    def __enter__(self) -> Proxy:
        self._client.check()
        self._uses.append(_WITH)
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(ValueError):  # close() was called inside
            self._uses.remove(_WITH)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Proxy belongs to its Client and cannot be pickled or copied: call get_proxy() where it is needed")

    def create_cyberdict(self, table_name: str, content: Optional[Mapping[Any, Any]] = None, *, exist_ok: bool = False) -> CyberDict[Any, Any]:
        """Makes a dict and returns it; with exist_ok, a dict that is there already is returned as it is.

        Errors: TableExists; WrongTableKind; WrongInputCyberDBError if content is no mapping.
        """
        name = requests.table_name(table_name)
        self._perform(requests.create_dict(name, check_dict_content(content), exist_ok))
        return CyberDict(self, table_name)

    def create_cyberlist(self, table_name: str, content: Optional[Iterable[Any]] = None, *, exist_ok: bool = False) -> CyberList[Any]:
        """Makes a list and returns it; otherwise as create_cyberdict."""
        name = requests.table_name(table_name)
        self._perform(requests.create_list(name, check_list_content(content), exist_ok))
        return CyberList(self, table_name)

    def get_cyberdict(self, table_name: str) -> CyberDict[Any, Any]:
        """The dict of that name. Errors: NoSuchTable, WrongTableKind, WrongInputCyberDBError."""
        self._expect(table_name, "dict")
        return CyberDict(self, table_name)

    def get_cyberlist(self, table_name: str) -> CyberList[Any]:
        """The list of that name. Errors: as get_cyberdict."""
        self._expect(table_name, "list")
        return CyberList(self, table_name)

    def _expect(self, table_name: str, kind: str) -> None:
        try:
            found = self._perform(requests.kind(requests.table_name(table_name)))
        except NoSuchTable:
            raise NoSuchTable(f"{table_name} table does not exist.") from None
        if found != kind:
            raise WrongTableKind(f"table {table_name!r} is a {found}, not a {kind}")

    def exists(self, table_name: str) -> bool:
        """Whether there is a table of that name."""
        return self._perform(requests.exists(requests.table_name(table_name)))

    def tables(self) -> List[Table]:
        """Name, kind and length of each table, in the order in which they were created."""
        return self._perform(requests.tables())

    def print_tables(self) -> None:
        """Prints a line per table."""
        for table in self.tables():
            print(f"table name: {table.name}  type name: Cyber{table.kind.title()}")

    def delete_table(self, table_name: str) -> None:
        """Removes a table and all that is in it. Errors: NoSuchTable."""
        self._perform(requests.drop(requests.table_name(table_name)))

    def rename_table(self, table_name: str, new_name: str) -> None:
        """Gives a table another name. Errors: NoSuchTable, TableExists."""
        self._perform(requests.rename(requests.table_name(table_name), requests.table_name(new_name)))

    def pipeline(self) -> Pipeline:
        """A pipeline: many requests in one go. Each is atomic, the pipeline is not."""
        return Pipeline(self._perform_all)

    def info(self) -> Dict[str, Any]:
        """The server's own account of itself."""
        return self._perform(requests.info())

    def save(self) -> None:
        """Returns when everything that was changed before is in the server's file, on disk.

        Errors: NotDurable if it could not be written; BadRequest if the server keeps its tables in memory only.
        """
        self._perform(requests.save())

    def ping(self) -> None:
        """One exchange with the server."""
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
