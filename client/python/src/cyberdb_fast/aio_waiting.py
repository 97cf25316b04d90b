"""Requests of asyncio that wait in the server, and the renewal of leases.

They share the connections with other requests: a request that waits holds none.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from functools import partial
from typing import Any, Awaitable, Callable, List, Optional, Set

from . import frames, lock_requests, replies, requests
from .aio_connection import Connection, _Outstanding
from .aio_time import Alarm
from .background import HEARTBEAT_SECONDS
from .clock import MONOTONIC
from .connection import NotSent
from .errors import ConnectionLost, CyberDBError, EncryptionMismatch
from .frames import Reply
from .leases import NEVER, Lease, Renewals
from .log import REPEATING, log
from .opcodes import OPCODE_NAMES
from .requests import Request, WaitingRequest
from .settings import Settings
from .waiting import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, UNREACHED, deadline_of, shutting_down


class WaitingConnection(Connection):
    """A connection whose requests may wait."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._beat: Optional[Alarm] = None  # when the server is asked for a sign of life

    async def exchange_waiting(self, request: WaitingRequest[Any]) -> Reply:
        """Sends a request that may wait in the server, and returns its reply.

        If the task is cancelled, the request is, and what the server has granted is given back.
        Errors: those of exchange.
        """
        framed = self._frame(request, deadline_of(request, self._settings))
        one = self._start(request, framed, waits=True)
        one.late = partial(self.undo, request)  # the reply may come before a task that is cancelled runs
        timeout, alarm = self._settings.request_timeout, None
        if request.wait is not None and timeout is not None:
            alarm = Alarm(self._loop, request.wait / 1000 + timeout, partial(self._time_out, one.future))
        self._watch()
        try:
            reply = replies.join_parts(await one.future, one.sink)
        except BaseException:
            self._withdraw(request, framed[0], one)
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
        if reply.status == frames.SHUTTING_DOWN:
            raise shutting_down(self._settings)
        return reply

    def _withdraw(self, request: WaitingRequest[Any], request_id: int, one: _Outstanding) -> None:
        """Cancels a request whose task has gone, and gives back what it has got."""
        granted = one.future.done() and not one.future.cancelled() and one.future.exception() is None
        if granted:
            self.undo(request, replies.join_parts(one.future.result(), one.sink))
            return
        if one.future.done() and not one.future.cancelled():
            one.future.exception()  # marks it as retrieved, or asyncio logs it
        one.future.cancel()
        if request_id not in self._outstanding:
            return  # the connection was lost, or the reply has come
        self.post(lock_requests.cancel(request_id))
        if request.release is not None:
            self.post(request.release)

    def undo(self, request: WaitingRequest[Any], reply: Reply) -> None:
        """Gives back what a reply brings to a task that has gone."""
        back = request.release or request.undo(reply)
        if reply.status == frames.OK and back is not None:
            self.post(back)

    def post(self, request: Request[Any]) -> None:
        """Sends a request of whose reply nothing is made, if the connection is up."""
        with contextlib.suppress(ConnectionLost):
            self._start(request, self._frame(request)).future.cancel()

    def _watch(self) -> None:
        """Asks a silent server for a sign of life from time to time, while requests wait."""
        if self._beat is None:
            self._beat = Alarm(self._loop, HEARTBEAT_SECONDS, self._on_beat)

    def _on_beat(self) -> None:
        self._beat = None
        if self.lost is not None or not any(not one.deadline for one in self._outstanding.values()):
            return
        ping = requests.ping()
        self._start(ping, self._frame(ping)).future.add_done_callback(self._after_beat)

    def _after_beat(self, answered: asyncio.Future[Reply]) -> None:
        if answered.cancelled() or answered.exception() is not None:
            self._fail(self._request_timeout())
        else:
            self._watch()

    def _stop_alarm(self) -> None:
        super()._stop_alarm()
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None


async def wait_for(
    connection: Callable[[], Awaitable[WaitingConnection]],
    request: WaitingRequest[Any],
    give_back: Callable[[Request[Any]], None],
) -> Reply:
    """As waiting.wait_for; connection() returns the connection to use.

    give_back gets what gives back a grant that was perhaps on its way when the connection was lost.
    """
    lost: List[Exception] = []
    try:
        return await _wait_for(connection, request, lost)
    except BaseException:
        if lost:
            give_back(request.release if request.release is not None else request.asking(0))
        raise


async def _wait_for(
    connection: Callable[[], Awaitable[WaitingConnection]], request: WaitingRequest[Any], lost: List[Exception]
) -> Reply:
    """As wait_for. While no connection has the request and an earlier one had, lost says so."""
    wait = request.wait
    until = None if wait is None else MONOTONIC[0]() + wait / 1000
    patience: Optional[float] = None
    give_up_at: Optional[float] = None  # when the server has not been reached for too long
    pause = FIRST_PAUSE_SECONDS
    while True:
        if until is not None:
            request.asking(math.ceil(max(0.0, until - MONOTONIC[0]()) * 1000))
        try:
            current = await connection()
            patience = current.settings.request_timeout
            lost.clear()
            try:
                return await current.exchange_waiting(request)
            except BaseException as e:  # a cancellation may come before the task learns of the loss
                if request.repeatable and current.lost is not None and not isinstance(e, NotSent):
                    lost.append(current.lost)
                raise
        except (ConnectionLost, *UNREACHED) as e:
            if isinstance(e, EncryptionMismatch):
                raise
            now = MONOTONIC[0]()
            if isinstance(e, ConnectionLost):
                if not request.repeatable and not isinstance(e, NotSent):
                    raise
                give_up_at = NEVER if patience is None else now + patience
            if give_up_at is None or now >= give_up_at or (until is not None and now >= until):
                raise
            log.warning(REPEATING, OPCODE_NAMES[request.opcode], pause, e)
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_SECONDS)


class Keeper:
    """Renews the leases of one event loop.

    One task, which ends when there are none, begins renewals. Each has a task of its own: one that
    gets no reply delays no others.
    """

    def __init__(self, connection: Callable[[], Awaitable[WaitingConnection]]) -> None:
        self._connection = connection
        self._renewals = Renewals()
        self._task: Optional[asyncio.Task[None]] = None
        self._sleep: Optional[asyncio.Future[None]] = None
        self._under_way: Set[asyncio.Task[None]] = set()

    def renew(self, lease: Lease) -> None:
        """Renews a lease until it is released or lost, or its task has ended."""
        earlier = self._renewals.add(lease)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif earlier:
            self._wake()

    def discard(self, lease: Lease) -> None:
        """Ends the renewal of a lease."""
        self._renewals.discard(lease)
        if not self._renewals and self._task is not None:
            self._wake()

    def close(self) -> None:
        """Ends the tasks."""
        for task in [*self._under_way, *([self._task] if self._task is not None else [])]:
            task.cancel()

    def _wake(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    async def _run(self) -> None:
        while self._renewals:
            for lease, ttl in self._renewals.due(MONOTONIC[0]()):
                renewal = asyncio.get_running_loop().create_task(self._renew(lease, ttl))
                self._under_way.add(renewal)
                renewal.add_done_callback(self._under_way.discard)
            await self._pause(self._renewals.next_at - MONOTONIC[0]())

    async def _pause(self, seconds: float) -> None:
        """Sleeps; renew, discard and the end of a renewal may end it."""
        if not self._renewals or seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._sleep = loop.create_future()
        alarm = Alarm(loop, min(seconds, 3600.0), self._wake)
        try:
            await self._sleep
        finally:
            alarm.cancel()

    async def _renew(self, lease: Lease, ttl: int) -> None:
        asked_at = MONOTONIC[0]()
        reply: Optional[Reply] = None
        with contextlib.suppress(CyberDBError, OSError):
            reply = (await (await self._connection()).exchange(lease.renewing(ttl)))[0]
        lease.answered(reply, asked_at, ttl)
        earlier = lease.due_at < self._renewals.next_at
        self._renewals.hasten(lease.due_at)
        if earlier:
            self._wake()
