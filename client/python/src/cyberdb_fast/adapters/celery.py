"""The result backend of Celery; and cyberdb:// as its broker.

    import cyberdb_fast.adapters.celery  # registers cyberdb://
    from celery import Celery

    app = Celery("shop", broker="cyberdb://:password@127.0.0.1:9980", backend="cyberdb://:password@127.0.0.1:9980")

The broker is that of cyberdb_fast.adapters.kombu. cyberdbs:// encrypts; cyberdb+unix:// is a Unix
socket.
"""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Generator, Iterable, Iterator, List, Optional, Set, Tuple, TypeVar

from cyberdb_fast import dict_requests, lock_requests, requests
from cyberdb_fast.client import Client, connect
from cyberdb_fast.clock import MONOTONIC
from cyberdb_fast.errors import DisconCyberDBError, NoSuchTable, Overloaded
from cyberdb_fast.replies import ABSENT
from cyberdb_fast.requests import Request, table_name
from cyberdb_fast.settings import OPTIONS

from .frameworks import require

require("celery", "5.7")

from celery.app.backends import BACKEND_ALIASES  # noqa: E402 # its version is known now
from celery.backends.base import KeyValueStoreBackend  # noqa: E402
from celery.exceptions import TimeoutError as NotReady  # noqa: E402
from celery.states import FAILURE, READY_STATES, SUCCESS  # noqa: E402

from .kombu import Transport as Transport  # noqa: E402 # it registers the broker

BACKEND_ALIASES.update(dict.fromkeys(("cyberdb", "cyberdbs"), "cyberdb_fast.adapters.celery:CyberDBBackend"))

# A waiting caller looks for its result at least so often, in seconds. A message may be lost with a
# connection.
MAX_PAUSE = 5.0
# What follows the key of a chord's counter in the key of its size.
SIZE = ".size"

T = TypeVar("T")
Wait = Callable[[float], Optional[Set[str]]]


class CyberDBBackend(KeyValueStoreBackend):
    """A result backend whose results are the entries of one dict in the server.

    A result is the text or the bytes that Celery's serializer makes, which is JSON unless the
    configuration says otherwise. Each method is one request; to store another state of a task takes
    two. A caller that waits for a result is woken by a message, and does not poll.

    result_backend_transport_options may have table, the name of the dict, and those arguments of
    cyberdb_fast.connect that a URL may have. Errors: those of tables.
    """

    key_t = str
    implements_incr = True
    supports_autoexpire = True
    supports_native_join = True
    supports_result_compression = True
    supports_failure_expires = True

    def __init__(self, url: str, **kwargs: Any) -> None:
        """Connects at the first request. Errors: those of connect() about its arguments."""
        super().__init__(url=url, **kwargs)
        conf = self.app.conf
        failure_expires = conf.get("result_failure_expires")
        self.failure_expires = self.expires if failure_expires is None else self.prepare_expires(failure_expires)
        options = conf.get("result_backend_transport_options") or {}
        self._name: str = options.get("table", "celery")
        self._t = table_name(self._name)
        given: Dict[str, Any] = {name: value for name, value in options.items() if name in OPTIONS}
        given["check"] = False
        self._client: Client = connect(url, **given)
        self._proxy = self._client.get_proxy()

    def __reduce__(self, args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None) -> Any:
        return super().__reduce__(args, {**(kwargs or {}), "url": self.url})

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """Whether the server could not be reached."""
        return isinstance(exc, DisconCyberDBError)

    def _one(self, request: Request[Any]) -> Any:
        """The result of a request; creates the dict if it is missing."""
        try:
            return self._client.perform(request)
        except NoSuchTable:
            self._create()
            return self._client.perform(request)

    def _create(self) -> None:
        self._client.perform(requests.create_dict(self._t, {}, True))

    # ---- what Celery's base class asks for

    def get(self, key: str) -> Any:
        """The value of key, None if it is absent."""
        return self._one(dict_requests.dict_get_or(self._t, key, None))

    def mget(self, keys: Iterable[str]) -> Dict[str, Any]:
        """The values of those keys that are present."""
        found: Dict[str, Any] = self._one(dict_requests.dict_get_many(self._t, keys))
        return found

    def set(self, key: str, value: Any) -> None:
        """Sets the value of key, for the time of result_expires, and wakes those that wait."""
        self._set(key, value, self.expires)

    def _set_with_state(self, key: str, value: Any, state: str) -> None:
        self._set(key, value, self.failure_expires if state == FAILURE else self.expires)

    def _set(self, key: str, value: Any, expires: Optional[float]) -> None:
        self._store(dict_requests.dict_set(self._t, key, value, expires or None), key)

    def _store(self, request: Request[T], key: str) -> T:
        """Sends a request that sets key, and the message about it; returns its result."""
        batch: List[Request[Any]] = [request, lock_requests.publish(self._channel(key), None)]
        reply = self._client.perform_all(batch)[0]
        try:
            return request.result(reply)
        except NoSuchTable:
            self._create()
            return request.result(self._client.perform_all(batch)[0])

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Stores the first state of a task in one request.

        Before Celery stores another one, it reads the present one, which it keeps if it is SUCCESS.
        """
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        key, value = self.get_key_for_task(task_id), self.encode({**meta, "task_id": str(task_id)})
        expires = self.failure_expires if state == FAILURE else self.expires
        adding = dict_requests.dict_compare_and_set(self._t, key, ABSENT, value, expires or None)
        if self._store(adding, key):
            return result
        return super()._store_result(task_id, result, state, traceback, request, **kwargs)

    def delete(self, key: str) -> None:
        """Deletes key, if it is present; with the counter of a chord its size too."""
        sizes = [key + SIZE] if key.startswith(self.chord_keyprefix) else []
        self._one(dict_requests.dict_delete_many(self._t, [key, *sizes]))

    def incr(self, key: str) -> int:
        """Adds 1 to the value of key, which counts as 0 if it is absent; returns the sum."""
        found: int = self._one(dict_requests.dict_increment(self._t, key, 1))
        return found

    def expire(self, key: str, value: Optional[float]) -> None:
        """Sets the time to live of key, if it is present. 0 or None: for ever."""
        request = dict_requests.dict_expire(self._t, key, value) if value else dict_requests.dict_persist(self._t, key)
        try:
            self._one(request)
        except KeyError:
            return

    # ---- chords

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Says how many tasks a chord waits for, before the last one is sent."""
        self.set(self.get_key_for_chord(group_id, SIZE), chord_size)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Counts a task of a chord, in one request; sends the body after the last one.

        Celery would compare the count with the number of results, which nested groups have fewer
        of than tasks, and read all their names each time.
        """
        if not (request.group and request.chord):
            return
        key = self.get_key_for_chord(request.group)
        batch = [
            dict_requests.dict_increment(self._t, key, 1, self.chord_expires or None),
            dict_requests.dict_get_or(self._t, key + SIZE, None),
        ]
        counted, size = [one.result(reply) for one, reply in zip(batch, self._client.perform_all(batch))]
        if counted == size:
            request.chord["chord_size"] = size + 1  # Celery counts this task again
            super().on_chord_part_return(request, state, result, **kwargs)

    # ---- waiting for results

    def _channel(self, key: str) -> str:
        return f"{self._name}:{key}"

    @contextmanager
    def _woken(self, task_ids: Iterable[str]) -> Generator[Wait, None, None]:
        """Yields a function that waits for a result, for some seconds.

        It returns the tasks whose results were stored; None: it is not known which.
        """
        tasks = {self._channel(self.get_key_for_task(task_id)): task_id for task_id in task_ids}
        self._proxy.connect()
        try:
            messages = self._proxy.subscribe(*tasks)
        except (Overloaded, ValueError):  # there are too many subscriptions or channels

            def poll(seconds: float) -> None:
                time.sleep(min(seconds, 0.5))

            yield poll
            return

        def wait(seconds: float) -> Optional[Set[str]]:
            stored: Set[str] = set()
            message = messages.receive(wait=seconds)
            while message is not None:
                if message.missed:
                    return None
                stored.add(tasks[message.channel])
                message = messages.receive(wait=0)
            return stored or None

        with messages:
            yield wait

    def wait_for(
        self,
        task_id: str,
        timeout: Optional[float] = None,
        interval: Optional[float] = 0.5,
        no_ack: bool = True,
        on_interval: Optional[Callable[[], Any]] = None,
    ) -> Dict[str, Any]:
        """Waits until a task is ready; returns what is stored of it.

        Errors: celery.exceptions.TimeoutError.
        """
        self._ensure_not_eager()
        for _, meta in self._ready([task_id], timeout, interval, on_interval):
            return meta
        raise NotReady("The operation timed out.")

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: Optional[float] = None,
        interval: Optional[float] = 0.5,
        no_ack: bool = True,
        on_message: Optional[Callable[[Dict[str, Any]], Any]] = None,
        on_interval: Optional[Callable[[], Any]] = None,
        max_iterations: Optional[int] = None,
        **options: Any,
    ) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """Yields tasks and what is stored of them, when they are ready.

        Errors: celery.exceptions.TimeoutError.
        """
        if max_iterations or options:
            yield from super().get_many(
                task_ids, timeout, interval, no_ack, on_message, on_interval, max_iterations, **options
            )
            return
        for task_id, meta in self._ready(task_ids, timeout, interval, on_interval):
            if on_message is not None:
                on_message(meta)
            yield task_id, meta

    def _ready(
        self,
        task_ids: Iterable[str],
        timeout: Optional[float],
        interval: Optional[float],
        on_interval: Optional[Callable[[], Any]],
    ) -> Iterator[Tuple[str, Dict[str, Any]]]:
        until = None if timeout is None else MONOTONIC[0]() + timeout
        left = {str(task_id) for task_id in task_ids}
        found = self._stored(left)
        yield from found.items()
        left -= set(found)
        if not left:
            return
        with self._woken(left) as wait:
            ask: Optional[Set[str]] = None  # those that perhaps are ready; None: all
            while left:
                found = self._stored(left if ask is None else left & ask)
                yield from found.items()
                left -= set(found)
                if not left:
                    return
                if on_interval is not None:
                    on_interval()
                pause = MAX_PAUSE if on_interval is None else interval or 0.5
                if until is not None:
                    pause = min(pause, until - MONOTONIC[0]())
                    if pause <= 0:
                        raise NotReady(f"Operation timed out ({timeout})")
                ask = wait(pause)

    def _stored(self, task_ids: Set[str]) -> Dict[str, Dict[str, Any]]:
        """What is stored of those tasks that are ready."""
        found = {task_id: meta for task_id in task_ids if (meta := self._cache.get(task_id)) is not None}
        missing = {self.get_key_for_task(task_id): task_id for task_id in task_ids - set(found)}
        if missing:
            for key, value in self.mget(missing).items():
                found[missing[key]] = self.decode_result(value)
        ready = {task_id: meta for task_id, meta in found.items() if meta["status"] in READY_STATES}
        self._cache.update({task_id: meta for task_id, meta in ready.items() if meta["status"] == SUCCESS})
        return ready
