"""connect() and the client."""

from __future__ import annotations

import os
import weakref
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar

from . import replies, requests
from .affinity import assign_process_number, current_hub, current_location
from .background import Background
from .batcher import Batcher, is_batchable
from .clock import MONOTONIC
from .connection import Connection, NotSent
from .errors import ConnectionLost, TooLarge
from .frames import Reply
from .handles import Registry, without_password
from .pool import Pool
from .proxy import Proxy
from .requests import Request, StreamRequest, WaitingRequest
from .retries import Attempts
from .settings import DEFAULT_HOST, Options, Settings, make_settings
from .waiter import ENTRY_POINTS, Lease
from .waiting import wait_for

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


def connect(
    host: str = DEFAULT_HOST,
    port: Optional[int] = None,
    password: Optional[str] = None,
    encrypt: bool = False,
    time_out: Optional[float] = None,
    **options: Unpack[Options],
) -> Client:
    """Returns a client of the server at host and port.

        with cyberdb.connect("cyberdb://127.0.0.1:9980?retries=3", password="...") as client:
            with client.get_proxy() as proxy:
                print(proxy.tables())

    host may also be the URL that the server prints; the default of port is 9980. A URL may have all
    options, under the same names. Arguments win over the URL.

    connect opens a connection, so a wrong password or setting raises an error here. With
    check=False it opens none yet; use that if the program may start while the server is down.

    If password is None, the environment variable CYBERDB_PASSWORD is the password, or the file that
    CYBERDB_PASSWORD_FILE names has it. Times are in seconds; None waits forever.

    time_out         connections that were idle for longer are not used again (no limit)
    max_connections  of this process (64)
    connect_timeout  for one attempt to connect and authenticate (5)
    request_timeout  for a reply; the server does not begin a request that arrived longer ago (60)
    pool_timeout     for a connection, when all are busy (30)
    retries          how often a request is repeated that was not executed for certain, or that
                     changes nothing, after an error of the connection, within request_timeout (1)
    backoff, max_backoff  the first repetition is immediate; the pause before the next is up to
                     backoff, twice that before the one after, and so on up to max_backoff; how
                     much of it is random (0.02, 1)
    health_check     connections that were idle for longer are tried before use (None: off)
    keep_alive       TCP keep-alive: after so many seconds of silence the system asks the server for
                     a sign of life; after two times as many the connection is lost (60; None: off)
    max_reply_bytes  a larger reply raises ReplyTooLarge; iteration, which uses a temporary file,
                     may read 64 times as much (1 GiB)
    track_changes    a LostChangeWarning reports changes to values that were read and not stored
                     again: see the README. None: the environment variable CYBERDB_TRACK_CHANGES
                     decides, or else Python's development mode
    tracing          whether requests have spans of OpenTelemetry: see the README (False)
    check            whether a connection is opened at once (True)

    Errors: ServerUnreachable, which is a ConnectionRefusedError; WrongPasswordCyberDBError;
    EncryptionMismatch; ConnectionRefused; Overloaded; ProtocolError; WrongInputCyberDBError if an
    argument is out of range; TypeError if there is no such option; UnsupportedFramework if tracing
    lacks OpenTelemetry.
    """
    settings = make_settings(host, port, password, encrypt, time_out, options)
    client = _of(settings)
    _registry.add(settings, client)
    if settings.check:
        client.check()
    return client


class Client:
    """A server and a pool of connections to it.

    Threads and greenlets may share a client. After a fork both processes may use it. A program
    makes one client and keeps it: `with client:` closes it at the end. A pickle of it has no
    password: see the README.

        with client.get_proxy() as proxy:
            print(proxy.tables())
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

        >>> sorted(client.stats())
        ['idle', 'max_connections', 'open', 'waiting']
        """
        counts = self._batcher.stats()
        for batcher in list(self._hub_batchers.values()):
            for name, count in batcher.stats().items():
                counts[name] += count
        return counts

    def get_proxy(self) -> Proxy:
        """Returns a new proxy, which is not connected yet."""
        return Proxy(self)

    def close(self) -> None:
        """Closes all connections. Afterwards, requests raise DisconCyberDBError."""
        self._closed = True
        _registry.remove(self._settings, self)
        for batcher in list(self._hub_batchers.values()):
            batcher.pool.closed = True  # their own threads close the connections
            batcher.background.close()
        self._batcher.pool.close()
        self._batcher.background.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __reduce__(self) -> Tuple[Any, ...]:
        return unpickled, (without_password(self._settings),)

    def __copy__(self) -> Client:
        return self

    def __deepcopy__(self, memo: Any) -> Client:
        return self

    def check(self) -> None:
        """Makes sure that there is a connection. Errors: those of connect()."""
        self._with_connection(lambda _: None, ())

    def perform(self, request: Request[T]) -> T:
        """Sends one request and returns its result.

        If the connection is lost, a request that was not sent or that changes nothing is repeated
        on a new connection, up to the number of retries.
        """
        if self._tracking:
            requests.tracking(request)
        batcher = self._batcher
        pool = batcher.pool
        if self._location[0] != pool.owner:
            batcher = self._current_batcher()
            pool = batcher.pool
        lease: Lease = []
        began = 0.0
        try:
            if batcher.multiplexer is not None and is_batchable(request):
                began = MONOTONIC[0]()
                reply = batcher.multiplexer.exchange(request)
            elif pool.take(lease):
                reply = lease[0].exchange(request)
                pool._idle.append(lease.pop())  # pool.release, inlined for speed
                if pool.waiting or pool.closed:
                    pool.dispatch_idle()
            elif is_batchable(request):
                began = MONOTONIC[0]()
                reply = batcher.exchange(request)
            else:
                began = MONOTONIC[0]()
                reply = pool.acquire(lease)[0].exchange(request)
                pool.release(lease)
        except BaseException as e:
            reply = self._again(pool, lease, e, [request], began, methodcaller("exchange", request))
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
        sink = replies.spool(self._settings.max_stream_bytes)
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

    def perform_waiting(self, request: WaitingRequest[T]) -> T:
        """Sends a request that may wait in the server, and returns its result.

        It is tried at once on an idle connection. If it has to wait, it waits in the background.
        If the connection is lost, a request that may be repeated is, within its wait.
        """
        if self._tracking:
            requests.tracking(request)
        batcher = self._current_batcher()
        wait = request.wait
        try:
            reply = self._try_now(batcher, request)
            if reply is None or (wait != 0 and request.vain(reply)):
                reply = wait_for(batcher.background, request.asking(wait))
            return request.result(reply)
        except BaseException:
            batcher.background.withdraw(request)
            raise

    def _try_now(self, batcher: Batcher, request: WaitingRequest[Any]) -> Optional[Reply]:
        """The reply to request after its trial; None if no connection is idle or it was lost."""
        pool = batcher.pool
        lease: Lease = []
        try:
            if not pool.take(lease):
                return None
            reply = lease[0].exchange_waiting(request.asking(request.trial if request.wait else 0))
            pool.release(lease)
        except TooLarge:
            pool.release(lease)
            raise
        except ConnectionLost as e:
            pool.drop_idle()
            pool.discard(lease)
            if not request.repeatable and not isinstance(e, NotSent):
                raise
            return None
        except BaseException:
            connection = pool.give_up(lease)
            if connection is not None:
                batcher.background.adopt(connection, request)
            raise
        return reply

    @property
    def background(self) -> Background:
        """What sends waiting requests and renews leases, in this process and event loop."""
        return self._current_batcher().background

    def _with_connection(self, exchange: Callable[[Connection], T], batch: Sequence[Request[Any]]) -> T:
        pool = self._current_batcher().pool
        lease: Lease = []
        began = MONOTONIC[0]()
        try:
            result = exchange(pool.acquire(lease)[0])
            pool.release(lease)
        except BaseException as e:
            return self._again(pool, lease, e, batch, began, exchange)
        return result

    def _again(
        self,
        pool: Pool,
        lease: Lease,
        e: BaseException,
        batch: Sequence[Request[Any]],
        began: float,
        exchange: Callable[[Connection], T],
    ) -> T:
        """Discards the connection after e; repeats exchange while that is safe, or raises e.

        began is when the first attempt began, by MONOTONIC; 0: when lease got its connection.
        """
        if isinstance(e, TooLarge) and lease:
            pool.release(lease)
            raise e
        attempts = Attempts(self._settings, batch, began or (lease[0].used_at if lease else MONOTONIC[0]()))
        try:
            while True:
                if isinstance(e, ConnectionLost) and lease:
                    pool.drop_idle()  # before a waiter gets one of them
                pool.discard(lease)
                pause = attempts.pause_after(e)
                if pause is None:
                    raise e
                pool.pause(pause)
                pool = self._current_batcher().pool
                try:
                    pool.acquire(lease)[0].set_timeout(attempts.began)
                    result = exchange(lease[0])
                    lease[0].set_timeout()
                    pool.release(lease)
                    return result
                except BaseException as failed:
                    e = failed
        finally:
            del e  # its traceback refers to this frame

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
            if parent.multiplexer is not None:
                parent.multiplexer.detach()
            parent.background.detach()
        return new

    def _new_batcher(self) -> Batcher:
        batcher = Batcher(Pool(self._settings, self._location, self._closed))
        batcher.background.closed = self._closed
        return batcher


ENTRY_POINTS.update(
    method.__code__
    for method in (
        *(Client.check, Client.perform, Client.perform_waiting),
        *(Client.perform_stream, Client.perform_all),
    )
)

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _of(settings: Settings) -> Client:
    """A client with these settings. Errors: UnsupportedFramework if tracing lacks OpenTelemetry."""
    kind = Client
    if settings.tracing:
        from .tracing import TracedClient as kind
    return kind(settings)


_registry: Registry[Client] = Registry(_of)


def unpickled(settings: Settings) -> Client:
    """The client of this process that a pickle stands for; see handles.py."""
    return _registry.find(settings)


def _after_fork() -> None:
    """Closes the child's copies of the sockets at once. It does not run if C code forks."""
    for client in list(_clients):
        client._current_batcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
