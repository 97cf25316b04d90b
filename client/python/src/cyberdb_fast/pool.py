"""The connections of one client: so many and no more, given out in the order in which they are asked for."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from typing import Any, Deque, List, Optional

from .connection import Connection
from .errors import DisconCyberDBError, PoolTimeout
from .settings import Settings

# A connection that was idle for longer than this is looked at before it is used: the server may have gone in between.
CHECK_AFTER_SECONDS = 0.05


class _Turn:
    """One waiting caller."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.over = False
        self.refused = False
        self.connection: Optional[Connection] = None  # none: it may open one

    def grant(self, connection: Optional[Connection]) -> None:
        self.connection, self.over = connection, True
        self._gate.release()

    def refuse(self) -> None:
        self.refused = self.over = True
        self._gate.release()

    def wait(self, timeout: Optional[float]) -> None:
        self._gate.acquire(timeout=-1 if timeout is None else timeout)


class Pool:
    """At most max_connections connections. Safe for threads and greenlets; a forked child starts with an empty one.

    While nobody waits, connections are taken from _idle and put back without the lock: a list's pop and append are atomic. Whoever puts one back
    looks for waiting callers after that, and whoever begins to wait looks for idle connections after that, so one of the two sees the other. Who
    comes while others wait queues behind them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closed = False
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._idle: List[Connection] = []
        self._lock = threading.Lock()
        # guarded by _lock; whether anybody waits is also asked without it
        self._open = 0  # given out, idle, or being opened
        self._waiting: Deque[_Turn] = deque()

    def after_fork(self) -> None:
        """In a child: the parent's connections stay the parent's."""
        idle = self._idle
        self._begin()
        for connection in idle:
            connection.forget()

    def acquire(self) -> Connection:
        """A connection for the caller alone, to be given to release or discard.

        Errors: PoolTimeout; those of opening a connection.
        """
        try:
            connection: Optional[Connection] = self._queue() if self._waiting else self._idle.pop()
        except IndexError:
            connection = self._queue()
        if connection is not None and time.monotonic() - connection.idle_since > CHECK_AFTER_SECONDS and not self._usable(connection):
            connection.close()
            connection = None
        return connection or self._connect()

    def release(self, connection: Connection) -> None:
        """Takes back a connection that is in order."""
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._waiting or self._closed:
            with self._lock:
                self._serve_locked()
            if self._closed:
                self.drop_idle()

    def discard(self, connection: Connection) -> None:
        """Takes back a connection that is of no use any more."""
        connection.close()
        self._one_less()

    def drop_idle(self) -> None:
        """Closes what is idle: the server has gone, and with it its connections."""
        for _ in range(len(self._idle)):
            connection = self._take_idle()
            if connection is not None:
                connection.close()
                self._one_less()

    def close(self) -> None:
        """Closes what is idle now, and the rest when it comes back; callers that wait for one are refused."""
        with self._lock:
            self._closed = True
            while self._waiting:
                self._waiting.popleft().refuse()
        self.drop_idle()

    def _take_idle(self) -> Optional[Connection]:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _queue(self) -> Optional[Connection]:
        """The caller's connection when it is its turn; none: it may open one."""
        with self._lock:
            if self._closed:
                raise _closed()
            if not self._waiting:
                connection = self._take_idle()
                if connection is not None:
                    return connection
                if self._open < self._settings.max_connections:
                    self._open += 1
                    return None
            turn = _Turn()
            self._waiting.append(turn)
            self._serve_locked()
        return self._wait(turn)

    def _serve_locked(self) -> None:
        """Gives idle connections to those who wait."""
        while self._waiting and (connection := self._take_idle()) is not None:
            self._waiting.popleft().grant(connection)

    def _wait(self, turn: _Turn) -> Optional[Connection]:
        try:
            turn.wait(self._settings.pool_timeout)
        except BaseException:
            if self._leave(turn) and not turn.refused:
                self.release(turn.connection) if turn.connection else self._one_less()
            raise
        over = self._leave(turn)
        if turn.refused:
            raise _closed()
        if not over:
            raise PoolTimeout(
                f"all {self._settings.max_connections} connections to {self._settings.address} were busy "
                f"for {self._settings.pool_timeout} s: see max_connections and pool_timeout"
            )
        return turn.connection

    def _leave(self, turn: _Turn) -> bool:
        """Ends the wait; says whether it was over."""
        if turn.over:
            return True
        with self._lock:
            if not turn.over:
                self._waiting.remove(turn)
            return turn.over

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
            if self._waiting:
                self._waiting.popleft().grant(None)
            else:
                self._open -= 1


def _closed() -> DisconCyberDBError:
    return DisconCyberDBError("the client is closed")


_pools: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
