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
        self.granted = False
        self.connection: Optional[Connection] = None  # none: it may open one

    def grant(self, connection: Optional[Connection]) -> None:
        self.connection, self.granted = connection, True
        self._gate.release()

    def wait(self, timeout: Optional[float]) -> None:
        self._gate.acquire(timeout=-1 if timeout is None else timeout)


class Pool:
    """At most max_connections connections. Safe for threads and greenlets; a forked child starts with an empty one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closed = False
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        # guarded by _lock
        self._idle: List[Connection] = []
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
        turn = None
        with self._lock:
            if self._closed:
                raise DisconCyberDBError("the client is closed")
            if self._idle:
                connection: Optional[Connection] = self._idle.pop()
            elif self._open < self._settings.max_connections:
                self._open += 1
                connection = None
            else:
                turn = _Turn()
                self._waiting.append(turn)
        if turn is not None:
            connection = self._wait(turn)
        if connection is not None and not self._usable(connection):
            connection.close()
            connection = None
        return connection or self._connect()

    def release(self, connection: Connection) -> None:
        """Takes back a connection that is in order."""
        connection.idle_since = time.monotonic()
        with self._lock:
            if not self._closed:
                if self._waiting:
                    self._waiting.popleft().grant(connection)
                else:
                    self._idle.append(connection)
                return
            self._open -= 1
        connection.close()

    def discard(self, connection: Connection) -> None:
        """Takes back a connection that is of no use any more."""
        connection.close()
        self._one_less()

    def drop_idle(self) -> None:
        """Closes what is idle: the server has gone, and with it its connections."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._open -= len(idle)
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Closes what is idle now, and the rest when it comes back."""
        with self._lock:
            self._closed = True
        self.drop_idle()

    def _wait(self, turn: _Turn) -> Optional[Connection]:
        try:
            turn.wait(self._settings.pool_timeout)
        except BaseException:
            if self._leave(turn):
                self.release(turn.connection) if turn.connection else self._one_less()
            raise
        if not self._leave(turn):
            raise PoolTimeout(
                f"all {self._settings.max_connections} connections to {self._settings.address} were busy "
                f"for {self._settings.pool_timeout} s: see max_connections and pool_timeout"
            )
        return turn.connection

    def _leave(self, turn: _Turn) -> bool:
        """Ends the wait; says whether it was granted."""
        with self._lock:
            if not turn.granted:
                self._waiting.remove(turn)
            return turn.granted

    def _usable(self, connection: Connection) -> bool:
        idle = time.monotonic() - connection.idle_since
        if self._settings.max_idle and idle > self._settings.max_idle:
            return False
        return idle < CHECK_AFTER_SECONDS or connection.seems_open()

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


_pools: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
