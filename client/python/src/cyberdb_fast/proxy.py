"""The proxy, which gives access to tables."""

from __future__ import annotations

from contextlib import suppress
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    get_origin,
    overload,
)

from . import lock_requests, requests
from .background import Background
from .cyberdict import CyberDict
from .cyberlist import CyberList
from .errors import DisconCyberDBError, NoSuchTable, WrongInputCyberDBError, WrongTableKind
from .expiry import DictOptions, Duration, ListOptions, NewDict, NewList, Policy
from .frames import Reply
from .lock import Lock
from .pipeline import Pipeline
from .replies import MISSING, Missing
from .requests import Request, StreamRequest, Table, WaitingRequest
from .subscription import Subscription
from .table import as_dict

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .client import Client

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


def check_dict_content(content: Any, value_type: Any) -> Dict[Any, Any]:
    """Returns content as a dict, for a new table. WrongInputCyberDBError if it is not a mapping.

    With value_type, content is not the content but the type of the keys.
    """
    if value_type is not None and not isinstance(content, Mapping):
        return {}
    if value_type is not None:
        raise WrongInputCyberDBError("a new dict has content, or the types of its keys and values, not both")
    if not isinstance(content, (Mapping, type(None))):
        raise WrongInputCyberDBError(f"the content of a dict must be a mapping, got {type(content).__name__}")
    return {} if content is None else as_dict(content)


def check_list_content(content: Any) -> Iterable[Any]:
    """Returns content as an iterable, for a new table.

    A type is that of the elements, and no content. WrongInputCyberDBError if it is a string, bytes,
    a mapping or not iterable.
    """
    if isinstance(content, type) or get_origin(content) is not None:
        return ()
    if isinstance(content, (str, bytes, Mapping)) or not isinstance(content, (Iterable, type(None))):
        raise WrongInputCyberDBError(
            f"the content of a list must be an iterable of elements, got {type(content).__name__}"
        )
    return () if content is None else content


def unpickled(client: Client, connected: bool) -> Proxy:
    """A copy of a proxy, from a pickle or deepcopy."""
    proxy = Proxy(client)
    if connected:
        proxy._uses.append(_CONNECT)
    return proxy


_CONNECT, _WITH = "connect", "with"


class Proxy:
    """Access to the tables of a server, between connect() and close() or in `with`.

    A proxy has no connection: each request takes one from the client's pool and returns
    it afterwards. So threads and greenlets may share a proxy and its tables.

        with client.get_proxy() as proxy:
            users = proxy.create_cyberdict("users", exist_ok=True)
            users["ada"] = {"age": 36}

    Outside of these, and while the server cannot be reached, methods raise DisconCyberDBError. The
    name of a table is a str of 1 to 1,024 bytes in UTF-8.
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

    def __reduce__(self) -> Tuple[Any, ...]:
        return unpickled, (self._client, bool(self._uses))

    @overload
    def create_cyberdict(
        self, table_name: str, content: None = None, **options: Unpack[NewDict]
    ) -> CyberDict[Any, Any]: ...
    @overload
    def create_cyberdict(
        self, table_name: str, content: Mapping[K, V], **options: Unpack[NewDict]
    ) -> CyberDict[K, V]: ...
    @overload
    def create_cyberdict(
        self, table_name: str, key_type: Type[K], value_type: Type[V], /, **options: Unpack[NewDict]
    ) -> CyberDict[K, V]: ...
    def create_cyberdict(
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
        """Creates a dict with the given content and returns it.

            ages = proxy.create_cyberdict("ages", {"ada": 36}, exist_ok=True)
            teams = proxy.create_cyberdict("teams", str, list)

        The second form is for type checkers: teams is a CyberDict[str, list]. The types of
        keys and values are not checked when the program runs.

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
    def create_cyberlist(self, table_name: str, content: None = None, **options: Unpack[NewList]) -> CyberList[Any]: ...
    @overload
    def create_cyberlist(
        self, table_name: str, element_type: Type[V], /, **options: Unpack[NewList]
    ) -> CyberList[V]: ...
    @overload
    def create_cyberlist(self, table_name: str, content: Iterable[V], **options: Unpack[NewList]) -> CyberList[V]: ...
    def create_cyberlist(
        self,
        table_name: str,
        content: Any = None,
        *,
        exist_ok: bool = False,
        max_deliveries: Optional[int] = None,
        dead_letter: Optional[str] = None,
    ) -> CyberList[Any]:
        """Creates a list with the given content and returns it; otherwise as create_cyberdict.

        A type in place of the content is that of the elements: create_cyberlist("jobs", Job).

        The options of a new list, which are given together, are about CyberList.take: an item that
        was delivered max_deliveries times and would return goes to the end of the list dead_letter
        instead, which is created if it does not exist.

        >>> mail = proxy.create_cyberlist("mail", max_deliveries=3, dead_letter="dead mail")
        >>> mail.put({"to": "ada"})
        """
        name = requests.table_name(table_name)
        self._perform(
            requests.create_list(
                name, check_list_content(content), exist_ok, max_deliveries=max_deliveries, dead_letter=dead_letter
            )
        )
        return CyberList(self, table_name)

    @overload
    def get_cyberdict(self, table_name: str) -> CyberDict[Any, Any]: ...
    @overload
    def get_cyberdict(self, table_name: str, key_type: Type[K], value_type: Type[V], /) -> CyberDict[K, V]: ...
    def get_cyberdict(  # the types are for type checkers
        self,
        table_name: str,
        key_type: Any = None,  # noqa: ARG002 # for type checkers
        value_type: Any = None,  # noqa: ARG002
    ) -> CyberDict[Any, Any]:
        """Returns the dict of that name.

        For type checkers, the types of its keys and values may follow: get_cyberdict("teams", str,
        List[str]). They are not checked when the program runs.

        Errors: NoSuchTable, WrongTableKind, WrongInputCyberDBError.
        """
        self._expect(table_name, "dict")
        return CyberDict(self, table_name)

    @overload
    def get_cyberlist(self, table_name: str) -> CyberList[Any]: ...
    @overload
    def get_cyberlist(self, table_name: str, element_type: Type[V], /) -> CyberList[V]: ...
    def get_cyberlist(self, table_name: str, element_type: Any = None) -> CyberList[Any]:  # noqa: ARG002
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
        max_deliveries: Union[int, Missing, None] = MISSING,
        dead_letter: Union[str, Missing, None] = MISSING,
    ) -> None:
        """Changes options of a table; None removes one.

        create_cyberdict describes those of dicts, create_cyberlist the last two, of lists. Options
        that are not given stay as they are. Errors: NoSuchTable; WrongTableKind; ValueError if an
        option is out of range, or of the other kind of table; TypeError if it has the wrong type.

        >>> pages = proxy.create_cyberdict("pages", max_entries=100_000)
        >>> proxy.configure("pages", ttl=3600, max_entries=None)
        >>> proxy.options("pages")["ttl"]
        3600.0
        """
        self._perform(
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

    def options(self, table_name: str) -> DictOptions:
        """Returns the options of a dict: ttl, idle, max_entries, max_bytes and policy.

        Times are in seconds; None means that there is no such limit. policy is the one in force.
        The result can be passed to configure: configure("b", **options("a")). Errors: NoSuchTable;
        WrongTableKind.
        """
        return self._perform(requests.options(requests.table_name(table_name)))

    def list_options(self, table_name: str) -> ListOptions:
        """Returns the options of a list: max_deliveries and dead_letter. As options otherwise."""
        return self._perform(requests.list_options(requests.table_name(table_name)))

    def lock(
        self,
        name: str,
        ttl: Duration = 30,
        wait: Optional[Duration] = None,
        renew: bool = True,
        max_hold: Optional[Duration] = None,
        reentrant: bool = False,
    ) -> Lock:
        """Returns a lock of that name, which is not acquired yet: `with proxy.lock("report"):`.

        ttl        the lease: without renewal, the server frees the lock after this time
        wait       how long `with` and acquire() wait for the lock; None: for ever
        renew      whether the lease is renewed, while the thread or greenlet that acquired it lives
        max_hold   the lock is held for about this time at most, however often it is renewed; a
                   renewal counts from when it reaches the server
        reentrant  a thread or greenlet that holds it may acquire it again

        Times are seconds or timedeltas. In `with`, LockTimeout is raised if the wait ends, and
        LockLost if the lease has ended before the `with`. Errors: ValueError, TypeError.
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
        """Returns a lock that n owners may hold at once, 1 to 1,024.

        All its users have to give the same n. The other arguments are those of lock.

        >>> with proxy.semaphore("downloads", 3, wait=10):
        ...     pass  # at most three at once, in all processes
        """
        return Lock(self, name, ttl, wait, renew, max_hold, False, n)

    def publish(self, channel: str, value: Any) -> int:
        """Sends value to the subscribers of a channel; returns how many there are.

        Nothing is stored: who subscribes later does not get it. Errors: TypeError, ValueError.

        >>> proxy.publish("news", {"title": "hello"})
        0
        """
        return self._perform(lock_requests.publish(channel, value))

    def subscribe(self, *channels: str, prefix: Union[str, Iterable[str]] = ()) -> Subscription:
        """Subscribes to channels, and to all whose names begin with a prefix; iterate over it.

            with proxy.subscribe("orders", prefix="user:") as messages:
                proxy.publish("user:17", "hello")
                for message in messages:
                    print(message.channel, message.value)
                    break

        Errors: ValueError if there is no channel; TypeError; Overloaded if the client has 64.
        """
        return Subscription(self, channels, prefix)

    def exists(self, table_name: str) -> bool:
        """Whether a table of that name exists."""
        return self._perform(requests.exists(requests.table_name(table_name)))

    def tables(self) -> List[Table]:
        """Returns the name, kind and length of each table, in the order of their creation.

        >>> users = proxy.create_cyberdict("users", {"ada": 36})
        >>> proxy.tables()[-1]
        Table(name='users', kind='dict', length=1)
        """
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

        >>> with proxy.pipeline() as pipe:
        ...     visits = pipe.on(d)
        ...     counts = [visits.increment(page) for page in ("home", "about", "home")]
        >>> [count.value for count in counts]
        [1, 1, 2]
        """
        return Pipeline(self._perform_all)

    def info(self, section: Optional[str] = None, **parameters: Any) -> Dict[str, Any]:
        """Returns the server's INFO document: version, connections, memory, saves and so on.

        With a section, that one: `proxy.info("tail", table="users", limit=10)`. PROTOCOL.md lists
        the sections and their parameters, OPERATIONS.md the fields and their units. Errors:
        ValueError if the server does not know the section or a parameter.

        >>> proxy.info()["tables"]  # d and l
        2
        """
        return self._perform(requests.info(section, parameters))

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

    @property
    def _background(self) -> Background:
        return self._client.background

    def _perform_waiting(self, request: WaitingRequest[T]) -> T:
        if not self._uses:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return self._client.perform_waiting(request)

    def _perform_stream(self, request: StreamRequest[T]) -> Iterator[T]:
        if not self._uses:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return self._client.perform_stream(request)

    def _perform_all(self, batch: List[Request[Any]]) -> List[Reply]:
        if not self._uses:
            raise DisconCyberDBError("There is no connection to the CyberDB server.")
        return self._client.perform_all(batch)
