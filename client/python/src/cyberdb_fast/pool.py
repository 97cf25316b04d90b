"""The connections of one client: so many and no more, given out in the order in which they are asked for."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from typing import Any, Deque, List, Optional

from .connection import Connection, no_reply
from .errors import ConnectionLost, CyberDBError, DisconCyberDBError, PoolTimeout
from .frames import Reply
from .group import MAX_REQUESTS, Group, Turn
from .requests import Request
from .settings import Settings

# A connection that was idle for longer than this is looked at before it is used: the server may have gone in between.
CHECK_AFTER_SECONDS = 0.05
# Callers gather for the connection that is in use. If it has not come back after the first time, the server is busy with something long, or
# syncs each change: they use one more then, for the second time.
PATIENCE_SECONDS = 0.002
MORE_SECONDS = 0.2
# Callers that take turns in one thread use so many connections at once as long as these suffice, and then one, until two groups after each other
# are less than MANY callers: with fewer than some ten of them, connections of their own are faster.
FEW_LANES = 8
MANY = 8


class Pool:
    """At most max_connections connections. Safe for threads and greenlets; a forked child starts with an empty one.

    While nobody waits, connections are taken from _idle and put back without the lock: a list's pop and append are atomic. Whoever puts one back
    looks for waiting callers after that, and whoever begins to wait looks for idle connections after that, so one of the two sees the other. Who
    comes while others wait queues behind them.

    A system call costs more than the rest of a request, and so does a switch between threads, but not one between greenlets. So threads have
    connections of their own up to max_connections, while callers that take turns in one thread gather when they are many: while one connection
    is in use they wait, and when it comes back all of them travel on it, as a group. So do all callers who wait at max_connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closed = False
        limits = (PATIENCE_SECONDS, settings.pool_timeout, settings.request_timeout)
        self._first_wait = min(limit for limit in limits if limit is not None)
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._idle: List[Connection] = []
        self._lock = threading.Lock()
        # guarded by _lock; _waiting and _reserve are also looked at without it
        self._open = 0  # given out, idle, or being opened
        self._alone = 0  # of these, given to callers that share with nobody
        self._waiting: Deque[Turn] = deque()
        self._gathers = False  # callers come from one thread
        self._thread = 0  # from which the last one came that found nobody waiting and no connection
        self._lanes = FEW_LANES  # connections that those who gather use at once
        self._lanes_until = 0.0  # until then it does not become one
        self._size = 0  # of the last group
        self._reserve = 0  # connections that stay idle while callers gather
        self._granted_at = 0.0

    def after_fork(self) -> None:
        """In a child: the parent's connections stay the parent's."""
        idle = self._idle
        self._begin()
        for connection in idle:
            connection.forget()

    def take(self) -> Optional[Connection]:
        """An idle connection, to be given to release or discard. None: there is none, or whoever asks does better to share one."""
        try:
            if self._waiting or len(self._idle) <= self._reserve:
                return None
            connection = self._idle.pop()
        except IndexError:
            return None
        if time.monotonic() - connection.idle_since > CHECK_AFTER_SECONDS:
            try:
                usable = self._usable(connection)
            except BaseException:  # a greenlet may be ended while it looks
                self.discard(connection)
                raise
            if not usable:
                connection.close()
                return self._connect()
        return connection

    def acquire(self) -> Connection:
        """A connection for the caller alone, for which it may have to wait; to be given to release or discard.

        Errors: PoolTimeout; those of opening a connection.
        """
        turn = Turn(None)
        try:
            self._wait(turn)
            return self._opened(turn)
        except BaseException as e:
            self._leave(turn, e)
            raise

    def exchange(self, request: Request[Any]) -> Reply:
        """The reply to a request that may travel with others; for a caller to whom take gave nothing.

        Errors: PoolTimeout; those of opening a connection; those of Connection.exchange.
        """
        turn = Turn(request)
        try:
            self._wait(turn)
            group = turn.group
            if group is not None:
                group.exchange(self._opened(turn), turn)
                self._pass_on(group, turn)
        except BaseException as e:
            self._leave(turn, e)
            raise
        if turn.reply is None:
            raise turn.error or RuntimeError("a turn without a reply")
        return turn.reply

    def _opened(self, turn: Turn) -> Connection:
        """The connection of the group that a turn leads, opened if need be."""
        group = turn.group
        if group is None:
            raise turn.error or RuntimeError("a turn without a connection")
        group.busy = True
        connection = group.connection
        if (
            connection is not None
            and group.due is None
            and time.monotonic() - connection.idle_since > CHECK_AFTER_SECONDS
            and not self._usable(connection)
        ):
            connection.close()
            group.connection = connection = None
        if connection is None:
            group.connection = connection = Connection(self._settings)
        if turn.request is None:
            connection.alone = True
        return connection

    def release(self, connection: Connection) -> None:
        """Takes back a connection that is in order."""
        connection.idle_since = time.monotonic()
        if connection.alone:
            self._no_longer_alone(connection)
        self._idle.append(connection)
        if self._waiting or self._closed:
            with self._lock:
                self._serve_locked()
            if self._closed:
                self.drop_idle()

    def discard(self, connection: Connection) -> None:
        """Takes back a connection that is of no use any more."""
        if connection.alone:
            self._no_longer_alone(connection)
        connection.close()
        self._one_less()

    def _no_longer_alone(self, connection: Connection) -> None:
        with self._lock:
            connection.alone = False
            self._alone -= 1

    def drop_idle(self) -> None:
        """Closes what is idle: the server has gone, and with it its connections."""
        idle = [self._take_idle() for _ in range(len(self._idle))]  # all of it, before one of those who wait is given some
        for connection in idle:
            if connection is not None:
                connection.close()
                self._one_less()

    def close(self) -> None:
        """Closes what is idle now, and the rest when it comes back; callers that wait for one are refused."""
        with self._lock:
            self._closed = True
            self._serve_locked()
        self.drop_idle()

    def _take_idle(self) -> Optional[Connection]:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _wait(self, turn: Turn) -> None:
        """Returns when the turn is over. Errors: PoolTimeout; RequestTimeout.

        Of those who may share a connection the first alone keeps the time: a timer for each would cost as much as the rest of the wait. The
        others' time to wait for a connection passes later than its own, and who leads a group keeps the time of all its requests.
        """
        with self._lock:
            first = not self._waiting
            self._waiting.append(turn)
            if first or turn.request is None:
                turn.keeps_time = True
                if turn.request is not None:
                    thread = _native_id()
                    self._gathers, self._thread = thread == self._thread, thread
                self._serve_locked()
        patience = PATIENCE_SECONDS
        if not turn.over:
            turn.wait(self._first_wait if turn.keeps_time else None)
        while not turn.over:
            with self._lock:
                self._lose_patience_locked(turn, patience)
                left = self._time_left_locked(turn)
            if left is not None and left <= 0 and not turn.over:
                raise self._too_long(turn)
            patience *= 4
            turn.wait(patience if left is None else min(left, patience))

    def _lose_patience_locked(self, turn: Turn, patience: float) -> None:
        """Serves those who gather if the connection for which they wait has not come back for so long."""
        now = time.monotonic()
        if turn.member_of is None and now - self._granted_at >= patience:
            turn.impatient = True
            self._lanes = self._in_use_locked() + 1
            self._lanes_until = now + MORE_SECONDS
            self._serve_locked()

    def _time_left_locked(self, turn: Turn) -> Optional[float]:
        """Seconds until the turn has to be looked at again; None: it need not be."""
        group = turn.member_of
        if group is None:
            limit, since = self._settings.pool_timeout, turn.began
        else:
            limit, since = self._settings.request_timeout, group.sent_at or time.monotonic()
        return None if limit is None else since + limit - time.monotonic()

    def _too_long(self, turn: Turn) -> CyberDBError:
        settings = self._settings
        if turn.member_of is not None:
            return no_reply(settings)
        return PoolTimeout(
            f"all {settings.max_connections} connections to {settings.address} were busy "
            f"for {settings.pool_timeout} s: see max_connections and pool_timeout"
        )

    def _serve_locked(self) -> None:
        """Gives those who wait what connections there are."""
        while self._waiting and not self._closed:
            turn: Optional[Turn] = self._waiting[0]
            if self._gathering_locked():
                turn = next((one for one in self._waiting if one.request is None), None)
            if turn is None:
                self._use_one_lane_locked()
                break
            if not self._grant_locked(turn):
                break
        while self._waiting and self._closed:
            self._waiting.popleft().fail(_closed())
        self._reserve = max(0, self._open - self._lanes) if self._gathers else 0
        self._appoint_locked()

    def _appoint_locked(self) -> None:
        """Makes sure that the first of those who wait keeps the time."""
        if self._waiting and not self._waiting[0].keeps_time:
            self._waiting[0].keeps_time = True
            self._waiting[0].wake()

    def _gathering_locked(self) -> bool:
        """Whether those who can share a connection wait for one that is in use."""
        if not self._gathers and self._open < self._settings.max_connections:
            return False
        first = self._waiting[0]
        if first.request is None or first.impatient:
            return False
        lanes = self._lanes if self._gathers or time.monotonic() < self._lanes_until else 1
        return self._in_use_locked() >= lanes

    def _in_use_locked(self) -> int:
        """Connections that are given to callers who may share."""
        return self._open - self._alone - len(self._idle)

    def _grant_locked(self, turn: Turn) -> bool:
        """Lets a turn lead a group of all that may travel with it, on an idle connection or a new one. False if there may be no more."""
        connection: Optional[Connection] = None
        members: List[Turn] = [turn]
        stay: Deque[Turn] = deque()
        try:
            connection = self._take_idle()
            if connection is None and self._open >= self._settings.max_connections:
                return False
            for one in self._waiting:
                if one is not turn:
                    together = turn.request is not None and one.request is not None and len(members) < MAX_REQUESTS
                    (members if together else stay).append(one)
            group = Group(members, connection)
            now = time.monotonic()
        except BaseException:  # an interrupt: nothing is changed yet
            if connection is not None:
                self._idle.append(connection)
            raise
        # An interrupt finds all of this done, or nothing.
        self._waiting, turn.group, turn.over = stay, group, True
        self._open += connection is None
        self._alone += turn.request is None
        for one in members:
            one.member_of = group
        turn.wake()
        if turn.request is not None:  # who wants a connection for himself says nothing of those who gather
            self._granted_at = now
            self._count_locked(len(members))
        return True

    def _use_one_lane_locked(self) -> None:
        """Somebody had to wait: the few connections do not suffice."""
        if self._lanes > 1 and time.monotonic() >= self._lanes_until:
            self._lanes, self._size = 1, MANY

    def _count_locked(self, size: int) -> None:
        """Learns from the size of a group how many callers there are."""
        before, self._size = self._size, size
        if size > 1:
            self._use_one_lane_locked()
        if self._lanes == 1 and before + size < MANY:
            self._lanes = FEW_LANES

    def _pass_on(self, group: Group, turn: Turn) -> None:
        """Ends the lead of a turn: one of those who wait for a reply leads on; without any, the connection is free."""
        connection = group.connection
        if connection is None:
            raise RuntimeError("a group without a connection")
        if group.due:
            with self._lock:
                group.busy, group.passed_on = False, True
                heir = next((one for one in group.due.values() if not one.gone), None)
                if heir is None:
                    turn.group = None
                else:
                    heir.group, heir.over, turn.group = group, True, None  # one leads, whenever an interrupt comes
                    heir.wake()
            if heir is None:  # what is still to come is for nobody
                self.discard(connection)
                group.end()
            return
        group.end()
        if group.passed_on:
            connection.limit_waiting()
        turn.group = None
        self.release(connection)

    def _leave(self, turn: Turn, e: BaseException) -> None:
        """Lets a caller go that e has ended, so that nobody else waits for it."""
        with self._lock:
            turn.gone = True
            if turn in self._waiting:
                self._waiting.remove(turn)
                self._appoint_locked()
        group = turn.group
        if group is None:
            return  # its request, if it is on the way, is answered to nobody
        if group.busy:
            self._break(group, turn, e)
        elif group.due is not None:
            self._pass_on(group, turn)
        else:
            self._give_back(group, turn)

    def _give_back(self, group: Group, turn: Turn) -> None:
        """Undoes a grant that has not been used: who was to travel waits on, first in the queue."""
        turn.group = None
        with self._lock:
            self._alone -= turn.request is None
            for other in reversed(group.turns[1:]):
                if not other.gone:
                    other.member_of = None
                    self._waiting.appendleft(other)
        self.release(group.connection) if group.connection else self._one_less()

    def _break(self, group: Group, turn: Turn, e: BaseException) -> None:
        """Ends a group whose leader has been ended by e while it connected, sent or read."""
        turn.group = None
        connection = group.connection
        if turn.request is None and not (connection and connection.alone):
            with self._lock:
                self._alone -= 1
        if isinstance(e, ConnectionLost):
            self.drop_idle()  # before those who wait are given one
        self.discard(connection) if connection else self._one_less()
        group.fail(e, turn)

    def _usable(self, connection: Connection) -> bool:
        """Whether a connection that was idle for some time is worth using."""
        if self._settings.max_idle and time.monotonic() - connection.idle_since > self._settings.max_idle:
            return False
        return connection.seems_open()

    def _connect(self) -> Connection:
        """Opens a connection, for which there is room already."""
        try:
            return Connection(self._settings)
        except BaseException:
            self._one_less()
            raise

    def _one_less(self) -> None:
        with self._lock:
            self._open -= 1
            self._serve_locked()


def _closed() -> DisconCyberDBError:
    return DisconCyberDBError("the client is closed")


_pools: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


# Greenlets of one thread have one; it is asked for when no connection is there at once.
_native_id = getattr(threading, "get_native_id", threading.get_ident)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
