"""The connection pool of a client: at most max_connections, served in the order of the requests.

There is no lock. A signal handler or a finalizer may use a table while its own thread is anywhere
in this module, and an exception may interrupt any byte code. So each step is one operation of a
list, set or deque, which is atomic, and the pool recovers from a step that an interrupt has
skipped:

* A connection is in the idle list or in one lease (see waiter.py). The pool knows it by its slot, a
  weak reference. If the connection is dropped, its slot is free.
* Waiters poll from time to time. A connection that one waiter does not take goes to another.
* A waiter whose own stack holds a connection gets an extra one, beyond the limit.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import suppress
from typing import Any, Deque, Dict, List, Optional, Set

from .affinity import Location, current_location
from .clock import MONOTONIC
from .connection import Connection, NotSent, no_reply
from .errors import CyberDBError, DisconCyberDBError, Overloaded, PoolTimeout
from .settings import Settings
from .waiter import Lease, Waiter, collect, is_reentrant

# A connection that was idle for longer than this is checked before use: the server may have closed
# it.
CHECK_AFTER_SECONDS = 0.05
# The first and the longest interval at which a waiter polls; the intervals grow.
FIRST_POLL_SECONDS = 0.002
MAX_POLL_SECONDS = 0.2
# After the server has refused a connection as one too many, the pool opens no more for this time,
# provided it has others.
FULL_SECONDS = 0.25


class Pool:
    """At most max_connections connections, for one process and, under gevent, one event loop.

    A caller that releases a connection looks for waiters afterwards. A caller that starts to wait
    looks for connections afterwards. So at least one of the two sees the other. A new caller queues
    after those that wait already.
    """

    def __init__(self, settings: Settings, location: Optional[Location] = None, closed: bool = False) -> None:
        """All pools of a client share its location."""
        location = current_location() if location is None else location
        self.settings = settings
        self.closed = closed
        self.waiting: Deque[Waiter] = deque()
        self.keep_idle = 0  # number of idle connections that take leaves to waiters
        self.owner = location[0]
        self._location = location
        # Under gevent, of the waiters that share connections, only the first one polls.
        self.timers_are_expensive: bool = not isinstance(self.owner, int)
        self._pausing: Deque[Waiter] = deque()  # callers that wait to repeat a request
        self._idle: List[Connection] = []
        self._slots: Set[weakref.ReferenceType[Connection]] = set()
        self._exclusive: Set[weakref.ReferenceType[Connection]] = set()  # leased, not shared
        self._sockets: Dict[weakref.ReferenceType[Connection], Any] = {}  # to close those of dropped connections
        self._full_until = 0.0
        self._refusal: Optional[Overloaded] = None

    @property
    def open_count(self) -> int:
        """The number of connections that are leased, idle or being opened."""
        return len(self._slots)

    def in_use(self) -> int:
        """The number of leased connections that callers may share."""
        return len(self._slots) - len(self._exclusive) - len(self._idle)

    def stats(self) -> Dict[str, int]:
        """The current counts."""
        return {
            "open": self.open_count,
            "idle": len(self._idle),
            "waiting": len(self.waiting),
            "max_connections": self.settings.max_connections,
        }

    # ---- taking

    def take(self, lease: Lease) -> bool:
        """Moves an idle connection into lease.

        False if there is none for this caller; sharing one may be faster.
        """
        idle = self._idle
        if self.waiting or len(idle) <= self.keep_idle:
            return False
        try:
            lease.append(idle.pop())
        except IndexError:
            return False
        now = MONOTONIC[0]()
        if now - lease[0].used_at > CHECK_AFTER_SECONDS and not self._usable(lease[0], now):
            self.discard(lease)
            return self._open_into(lease)
        lease[0].used_at = now
        return True

    def acquire(self, lease: Optional[Lease] = None) -> Lease:
        """Puts an exclusive connection into lease and returns lease; waits for one if necessary.

        The caller passes the lease to release or discard. Errors: PoolTimeout; those of
        Connection.open.
        """
        lease = [] if lease is None else lease
        if self.waiting or self.closed or not (self._take_idle(lease) or self._open_into(lease)):
            waiter = Waiter()
            try:
                self.waiting.append(waiter)
                self.wait(waiter, lease)
                self.leave(waiter)
            except BaseException:
                self.leave(waiter)
                raise
        if not lease[0].extra:
            lease[0].unshared = True
            lease[0].exclusive = weakref.ref(lease[0], self._exclusive.discard)
            self._exclusive.add(lease[0].exclusive)
        return lease

    def _take_idle(self, lease: Lease) -> bool:
        """Moves a usable idle connection into lease. False if there is none."""
        while self._idle:
            try:
                lease.append(self._idle.pop())
            except IndexError:
                break
            now = MONOTONIC[0]()
            if now - lease[0].used_at <= CHECK_AFTER_SECONDS or self._usable(lease[0], now):
                lease[0].used_at = now
                return True
            self.discard(lease)
        return False

    def _usable(self, connection: Connection, now: float) -> bool:
        """Whether a connection that was idle for some time can be used."""
        settings, idle = self.settings, now - connection.used_at
        if (settings.time_out and idle > settings.time_out) or not connection.seems_open():
            return False
        return settings.health_check is None or idle <= settings.health_check or connection.answers()

    def _has_capacity(self) -> bool:
        """Whether the pool may open one more connection."""
        if len(self._slots) >= self.settings.max_connections:
            return False
        return not self._full_until or MONOTONIC[0]() >= self._full_until

    def _open_into(self, lease: Lease) -> bool:
        """Opens a connection into lease.

        False if there is no capacity. Errors: those of Connection.open.
        """
        if not self._has_capacity():
            return False
        slot: Optional[weakref.ReferenceType[Connection]] = None
        if len(self._sockets) > len(self._slots):
            self._close_orphans()
        connection = Connection(self.settings)
        try:
            connection.slot = slot = weakref.ref(connection, self._slots.discard)
            self._slots.add(slot)
            if len(self._slots) > self.settings.max_connections:  # other callers opened theirs at the same time
                self._free_slot(slot)
                return False
            connection.open()
            self._sockets[slot] = connection.socket
            self._full_until = 0.0
            lease.append(connection)
        except Overloaded as e:
            self._free_slot(slot)
            if not self._has_others():
                raise
            self._refusal, self._full_until = e, MONOTONIC[0]() + FULL_SECONDS
            return False
        except BaseException:
            lease.clear()
            self._free_slot(slot)
            connection.close()
            raise
        return True

    def _has_others(self) -> bool:
        """Whether the pool has open connections."""
        return any(other.opened for other in [slot() for slot in list(self._slots)] if other is not None)

    def _open_extra(self, lease: Lease) -> None:
        """Opens a connection beyond the limit into lease; release closes it."""
        connection = Connection(self.settings)
        connection.extra = connection.unshared = True
        connection.slot = weakref.ref(connection)
        try:
            connection.open()
            self._sockets[connection.slot] = connection.socket
            lease.append(connection)
        except BaseException:
            connection.close()
            raise

    def _close_orphans(self) -> None:
        """Closes the sockets of dropped connections."""
        for slot, socket in list(self._sockets.items()):
            if slot() is None:
                socket.close()
                self._sockets.pop(slot, None)

    # ---- releasing

    def release(self, lease: Lease) -> None:
        """Takes back a working connection. It empties lease."""
        if lease[0].unshared:
            self._release_unshared(lease)
            return
        self._idle.append(lease.pop())
        if self.waiting or self.closed:
            self.dispatch_idle()

    def _release_unshared(self, lease: Lease) -> None:
        if lease[0].extra:
            self.discard(lease)
            return
        self._end_exclusive(lease[0])
        lease[0].unshared = False
        lease[0].used_at = MONOTONIC[0]()
        self._idle.append(lease.pop())
        self.dispatch_idle()

    def dispatch_idle(self) -> None:
        """Wakes a waiter for a released connection; closes it if the pool is closed."""
        if self.closed:
            self.drop_idle()
        elif self.waiting:
            self.wake_next()

    def discard(self, lease: Lease) -> None:
        """Closes the connection in lease, if there is one, and frees its slot."""
        if not lease:
            return
        try:
            self._end_exclusive(lease[0])
            slot = lease[0].slot
            if slot is not None:
                self._slots.discard(slot)
            lease.pop().close()
            if slot is not None:
                self._sockets.pop(slot, None)
        finally:
            if self.waiting:
                self.wake_next()

    def give_up(self, lease: Lease) -> Optional[Connection]:
        """Frees the slot of the connection in lease, and returns the connection, which stays open.

        None if lease has none.
        """
        if not lease:
            return None
        self._end_exclusive(lease[0])
        slot = lease[0].slot
        if slot is not None:
            self._slots.discard(slot)
            self._sockets.pop(slot, None)
        connection = lease.pop()
        if self.waiting:
            self.wake_next()
        return connection

    def _end_exclusive(self, connection: Connection) -> None:
        if connection.exclusive is not None:
            self._exclusive.discard(connection.exclusive)
            connection.exclusive = None

    def _free_slot(self, slot: Optional[weakref.ReferenceType[Connection]]) -> None:
        if slot is not None:
            self._slots.discard(slot)
        if self.waiting:
            self.wake_next()

    def drop_idle(self) -> None:
        """Closes all idle connections, for example because the server has gone."""
        gone: List[Connection] = []
        while self._idle:  # all of them, before a waiter gets one
            try:
                gone.append(self._idle.pop())
            except IndexError:
                break
        while gone:
            self.discard([gone.pop()])

    def close(self) -> None:
        """Closes idle connections now and the others on release.

        Waiters get a DisconCyberDBError.
        """
        self.closed = True
        for waiter in [*self.waiting, *self._pausing]:
            waiter.wake()
        self.drop_idle()

    def detach(self) -> None:
        """In a forked child: closes its copies of the parent's sockets."""
        self.closed = True
        for socket in list(self._sockets.values()):
            socket.close()
        self._idle.clear()

    # ---- waiting

    def pause(self, seconds: float) -> None:
        """Waits before a request is repeated; close ends the wait."""
        if seconds <= 0 or self.closed:
            return
        waiter = Waiter()
        self._pausing.append(waiter)
        try:
            if not self.closed:
                waiter.wait(seconds)
        finally:
            with suppress(ValueError):
                self._pausing.remove(waiter)

    def wait(self, waiter: Waiter, lease: Lease) -> None:
        """Waits until lease has a connection or waiter, which is in the queue, is done.

        A waiter that has a connection is to leave the queue. Errors: PoolTimeout; RequestTimeout;
        those of Connection.open.
        """
        rounds = 0  # polls so far, at most 4
        seen = 0  # polls in a row that found a connection which the first waiter did not take
        while not self._serve(waiter, lease, seen > 1):
            if (rounds > 1 or waiter.check_requested) and not waiter.checked:
                self._check_reentrant(waiter, lease)
            elif waiter.wait(self._timeout(waiter, rounds)):
                seen = 0
            else:
                if self._location[0] != self.owner:
                    raise NotSent("the process was forked while the request waited for a connection")
                waiter.polls = True
                if rounds == 4:
                    collect()
                rounds = min(rounds + 1, 4)
                waiter.timed_out()
                seen = seen + 1 if self.has_available() else 0

    def _timeout(self, waiter: Waiter, rounds: int) -> Optional[float]:
        """How long waiter waits before its next poll, in seconds; None: until it is woken.

        Of the waiters that share connections, the first one polls for all.
        """
        if waiter.exclusive or waiter.polls or self._is_first(waiter):
            return min(FIRST_POLL_SECONDS * (1 << 2 * rounds), MAX_POLL_SECONDS, self._time_left(waiter))
        if self.timers_are_expensive:
            return None
        return min(MAX_POLL_SECONDS, self._time_left(waiter))

    def leave(self, waiter: Waiter) -> None:
        """Removes a waiter from the queue, and lets those after it move up."""
        waiter.leave(self.waiting)
        if self.waiting:
            self.ensure_polling()
            self.wake_next()

    def ensure_polling(self) -> None:
        """Makes sure that the first waiter polls."""
        for first in list(self.waiting)[:1]:
            if not first.polls:
                first.polls = True
                first.wake()

    def has_available(self) -> bool:
        """Whether a connection is idle or may be opened."""
        return bool(self._idle) or self._has_capacity()

    def wake_next(self) -> None:
        """Wakes the first eligible waiter if a connection is available."""
        if self.has_available():
            for waiter in list(self.waiting):
                if waiter.eligible():
                    waiter.wake()
                    return

    def _serve(self, waiter: Waiter, lease: Lease, passed_over: bool) -> bool:
        """Gives waiter a connection if it is its turn; returns whether its wait is over.

        If passed_over, waiter takes the connection even if it is not the first: the first one does
        not take it, perhaps because it was interrupted.
        """
        if waiter.done or lease or waiter.take_over(lease):
            return True
        if not waiter.queued:
            return False
        if self.closed:
            raise DisconCyberDBError("the client is closed")
        if not (passed_over or self._is_first(waiter)) or not waiter.eligible():
            return False
        if passed_over:
            self._skip_first()
        if not self._take_idle(lease) and not self._open_into(lease):
            return False
        if len(self.waiting) > 1:
            self.wake_next()
        return True

    def _skip_first(self) -> None:
        """Removes the first waiter, which does not take its connection.

        If it is alive, it polls from now on.
        """
        try:
            first = self.waiting.popleft()
        except IndexError:
            return
        first.polls = True
        first.wake()

    def _is_first(self, waiter: Waiter) -> bool:
        """Whether waiter is the first that may take a connection."""
        try:
            if self.waiting[0] is waiter:
                return True
        except IndexError:
            return True
        if waiter.exclusive:  # it may overtake waiters that are not eligible
            for other in list(self.waiting):
                if other is waiter:
                    return True
                if other.eligible():
                    return False
        return False

    def _check_reentrant(self, waiter: Waiter, lease: Lease) -> None:
        """Opens an extra connection if waiter is reentrant, and makes the others check too."""
        waiter.checked = True
        for other in list(self.waiting):
            if not (other.checked or other.check_requested) and other is not waiter:
                other.check_requested = True
                other.wake()
        if waiter.queued and is_reentrant():
            self._open_extra(lease)

    def _time_left(self, waiter: Waiter) -> float:
        """Seconds until the deadline of waiter. Errors: PoolTimeout, RequestTimeout."""
        deadline = waiter.deadline(self.settings)
        if deadline is None:
            return MAX_POLL_SECONDS
        left = deadline - MONOTONIC[0]()
        if left <= 0:
            if waiter.withdraw():
                raise self._pool_timeout()
            if waiter.deadline(self.settings) == deadline:
                raise no_reply(self.settings)
        return max(left, 0.001)

    def _pool_timeout(self) -> CyberDBError:
        settings = self.settings
        if self._refusal is not None and self._full_until:
            return Overloaded(
                f"{self._refusal}; the {self.open_count} connections of this process were "
                f"busy for {settings.pool_timeout} s"
            )
        return PoolTimeout(
            f"all {settings.max_connections} connections to {settings.address} were busy "
            f"for {settings.pool_timeout} s: see max_connections and pool_timeout"
        )
