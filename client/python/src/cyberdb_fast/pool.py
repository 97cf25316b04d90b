"""The connections of one client: so many and no more, given out in the order in which they are asked for.

There is no lock. A signal handler or a finalizer may use a table while its own thread is anywhere in here, and an exception may come at any
byte code. So each step is one operation of a list, set or deque, which is atomic, and whatever is left out by an interrupt heals:

* A connection is among the idle ones or in one lease (see waiter.py). Its place is a weak reference: if it is dropped, the place is free.
* Those who wait look by themselves from time to time. What is there for one that does not take it goes to another.
* Who waits for a connection that its own stack holds gets one beyond the limit.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Set

from .clock import REAL
from .connection import Connection, NotSent, no_reply
from .errors import CyberDBError, DisconCyberDBError, Overloaded, PoolTimeout
from .settings import Settings
from .waiter import Lease, Waiter, collect, waits_for_itself
from .whereabouts import Whereabouts, whereabouts

# A connection that was idle for longer than this is looked at before it is used: the server may have gone in between.
CHECK_AFTER_SECONDS = 0.05
# How long one waits before it looks by itself; each time longer, up to the longest.
PATIENCE_SECONDS = 0.002
LONGEST_PATIENCE_SECONDS = 0.2
# A server that has no room for a connection is asked again after this time, if the process has others.
FULL_SECONDS = 0.25


class Pool:
    """At most max_connections connections, used where it was made: in one process and, under gevent, on one event loop.

    Whoever gives a connection back looks for waiting callers after that, and whoever begins to wait looks for connections after that, so one of
    the two sees the other. Who comes while others wait queues behind them.
    """

    def __init__(self, settings: Settings, here: Optional[Whereabouts] = None, closed: bool = False) -> None:
        """A client gives here to all its pools."""
        here = whereabouts() if here is None else here
        self.settings = settings
        self.closed = closed
        self.waiting: Deque[Waiter] = deque()
        self.reserve = 0  # connections that stay idle for those who wait
        self.home = here[0]
        self._here = here
        self.timers_are_dear: bool = not isinstance(self.home, int)  # under gevent: the first of those who share keeps the time of all
        self._idle: List[Connection] = []
        self._places: Set[weakref.ReferenceType[Connection]] = set()
        self._alone: Set[weakref.ReferenceType[Connection]] = set()  # given to callers that share with no other
        self._sockets: Dict[weakref.ReferenceType[Connection], Any] = {}  # so that one is closed whose connection was dropped by an interrupt
        self._full_until = 0.0
        self._refusal: Optional[Overloaded] = None

    @property
    def _open(self) -> int:
        """Connections that are given out, idle, or being opened."""
        return len(self._places)

    def in_use(self) -> int:
        """Connections that are given to callers who may share."""
        return len(self._places) - len(self._alone) - len(self._idle)

    def stats(self) -> Dict[str, int]:
        """Counts of now."""
        return {"open": self._open, "idle": len(self._idle), "waiting": len(self.waiting), "max_connections": self.settings.max_connections}

    # ---- taking

    def take(self, lease: Lease) -> bool:
        """An idle connection into lease. False: there is none, or whoever asks does better to share one."""
        idle = self._idle
        if self.waiting or len(idle) <= self.reserve:
            return False
        try:
            lease.append(idle.pop())
        except IndexError:
            return False
        now = REAL[0]()
        if now - lease[0].used_at > CHECK_AFTER_SECONDS and not self._usable(lease[0], now):
            self.discard(lease)
            return self._open_into(lease)
        lease[0].used_at = now
        return True

    def acquire(self, lease: Optional[Lease] = None) -> Lease:
        """A connection for the caller alone, for which it may have to wait, into lease; to be given to release or discard.

        Errors: PoolTimeout; those of opening a connection.
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
        if not lease[0].beyond:
            lease[0].apart = True
            lease[0].alone = weakref.ref(lease[0], self._alone.discard)
            self._alone.add(lease[0].alone)
        return lease

    def _take_idle(self, lease: Lease) -> bool:
        """An idle connection that is of use."""
        while self._idle:
            try:
                lease.append(self._idle.pop())
            except IndexError:
                break
            now = REAL[0]()
            if now - lease[0].used_at <= CHECK_AFTER_SECONDS or self._usable(lease[0], now):
                lease[0].used_at = now
                return True
            self.discard(lease)
        return False

    def _usable(self, connection: Connection, now: float) -> bool:
        """Whether a connection that was idle for some time is worth using."""
        if self.settings.max_idle and now - connection.used_at > self.settings.max_idle:
            return False
        return connection.seems_open()

    def _room(self) -> bool:
        """Whether one more connection may be opened."""
        return len(self._places) < self.settings.max_connections and (not self._full_until or REAL[0]() >= self._full_until)

    def _open_into(self, lease: Lease) -> bool:
        """A new connection into lease, if there is room."""
        if not self._room():
            return False
        place: Optional[weakref.ReferenceType[Connection]] = None
        if len(self._sockets) > len(self._places):
            self._sweep()
        connection = Connection(self.settings)
        try:
            connection.place = place = weakref.ref(connection, self._places.discard)
            self._places.add(place)
            if len(self._places) > self.settings.max_connections:  # others came at the same time
                self._free(place)
                return False
            connection.open()
            self._sockets[place] = connection.socket
            self._full_until = 0.0
            lease.append(connection)
        except Overloaded as e:
            self._free(place)
            if not self._has_others():
                raise
            self._refusal, self._full_until = e, REAL[0]() + FULL_SECONDS
            return False
        except BaseException:
            lease.clear()
            self._free(place)
            connection.close()
            raise
        return True

    def _has_others(self) -> bool:
        """Whether connections are open."""
        return any(other.opened for other in [place() for place in list(self._places)] if other is not None)

    def _open_beyond(self, lease: Lease) -> None:
        """A connection beyond the limit: it is closed when it comes back."""
        connection = Connection(self.settings)
        connection.beyond = connection.apart = True
        connection.place = weakref.ref(connection)
        try:
            connection.open()
            self._sockets[connection.place] = connection.socket
            lease.append(connection)
        except BaseException:
            connection.close()
            raise

    def _sweep(self) -> None:
        """Closes the sockets of connections that are no more."""
        for place, socket in list(self._sockets.items()):
            if place() is None:
                socket.close()
                self._sockets.pop(place, None)

    # ---- giving back

    def release(self, lease: Lease) -> None:
        """Takes back a connection that is in order."""
        if lease[0].apart:
            self._release_apart(lease)
            return
        self._idle.append(lease.pop())
        if self.waiting or self.closed:
            self.hand_on()

    def _release_apart(self, lease: Lease) -> None:
        if lease[0].beyond:
            self.discard(lease)
            return
        self._no_longer_alone(lease[0])
        lease[0].apart = False
        lease[0].used_at = REAL[0]()
        self._idle.append(lease.pop())
        self.hand_on()

    def hand_on(self) -> None:
        """Lets those who wait have what was given back; a closed pool keeps nothing."""
        if self.closed:
            self.drop_idle()
        elif self.waiting:
            self.wake_next()

    def discard(self, lease: Lease) -> None:
        """Takes back a connection that is of no use any more. A lease that is empty stays so."""
        if not lease:
            return
        try:
            self._no_longer_alone(lease[0])
            place = lease[0].place
            if place is not None:
                self._places.discard(place)
            lease.pop().close()
            if place is not None:
                self._sockets.pop(place, None)
        finally:
            if self.waiting:
                self.wake_next()

    def _no_longer_alone(self, connection: Connection) -> None:
        if connection.alone is not None:
            self._alone.discard(connection.alone)
            connection.alone = None

    def _free(self, place: Optional[weakref.ReferenceType[Connection]]) -> None:
        if place is not None:
            self._places.discard(place)
        if self.waiting:
            self.wake_next()

    def drop_idle(self) -> None:
        """Closes what is idle: the server has gone, and with it its connections."""
        gone: List[Connection] = []
        while self._idle:  # all of it, before one of those who wait is given some
            try:
                gone.append(self._idle.pop())
            except IndexError:
                break
        while gone:
            self.discard([gone.pop()])

    def close(self) -> None:
        """Closes what is idle now, and the rest when it comes back; callers that wait for one are refused."""
        self.closed = True
        for waiter in list(self.waiting):
            waiter.wake()
        self.drop_idle()

    def forget(self) -> None:
        """In a child: the parent's connections stay the parent's."""
        self.closed = True
        for socket in list(self._sockets.values()):
            socket.close()
        self._idle.clear()

    # ---- waiting

    def wait(self, waiter: Waiter, lease: Lease) -> None:
        """Returns when lease has a connection, or when waiter, which is in the queue, is over. Who has one leaves the queue.

        Errors: PoolTimeout; RequestTimeout; those of opening a connection.
        """
        rounds = seen = 0  # how often there was a connection when it looked, and the first of those who wait did not take it
        while not self._serve(waiter, lease, seen > 1):
            if (rounds > 1 or waiter.asked) and not waiter.looked:
                self._look(waiter, lease)
            elif waiter.wait(self._timeout(waiter, rounds)):
                seen = 0
            else:
                if self._here[0] != self.home:
                    raise NotSent("the process was forked while the request waited for a connection")
                waiter.timed = True
                if rounds == 4:
                    collect()
                rounds = min(rounds + 1, 4)
                waiter.lose_patience()
                seen = seen + 1 if self._idle or self._room() else 0

    def _timeout(self, waiter: Waiter, rounds: int) -> Optional[float]:
        """How long it waits before it looks by itself. The first of those who may share keeps the time of all."""
        if waiter.alone or waiter.timed or self._is_first(waiter):
            return min(PATIENCE_SECONDS * (1 << 2 * rounds), LONGEST_PATIENCE_SECONDS, self._time_left(waiter))
        if self.timers_are_dear:
            return None
        return min(LONGEST_PATIENCE_SECONDS, self._time_left(waiter))

    def leave(self, waiter: Waiter) -> None:
        """Takes a waiter out of the queue, and lets those behind it come forward."""
        waiter.leave(self.waiting)
        if self.waiting:
            self.appoint()
            self.wake_next()

    def appoint(self) -> None:
        """Makes sure that the first of those who wait keeps the time."""
        for first in list(self.waiting)[:1]:
            if not first.timed:
                first.timed = True
                first.wake()

    def wake_next(self) -> None:
        """Wakes the first of those who wait that may have a connection now, if there is one."""
        if self._idle or self._room():
            for waiter in list(self.waiting):
                if waiter.eligible():
                    waiter.wake()
                    return

    def _serve(self, waiter: Waiter, lease: Lease, passed_over: bool) -> bool:
        """Whether the wait is over. Who was passed over takes what is there out of turn: the first may be interrupted, or have been."""
        if waiter.over or lease or waiter.inherit(lease):
            return True
        if not waiter.queued:
            return False
        if self.closed:
            raise DisconCyberDBError("the client is closed")
        if not (passed_over or self._is_first(waiter)) or not waiter.eligible():
            return False
        if passed_over:
            self._go_ahead()
        if not self._take_idle(lease) and not self._open_into(lease):
            return False
        if len(self.waiting) > 1:
            self.wake_next()
        return True

    def _go_ahead(self) -> None:
        """Takes the first out of the queue: it does not take what is there. If it is alive, it looks by itself from now on."""
        try:
            first = self.waiting.popleft()
        except IndexError:
            return
        first.timed = True
        first.wake()

    def _is_first(self, waiter: Waiter) -> bool:
        """Whether no other comes before it."""
        try:
            if self.waiting[0] is waiter:
                return True
        except IndexError:
            return True
        if waiter.alone:  # it need not wait for those who gather
            for other in list(self.waiting):
                if other is waiter:
                    return True
                if other.eligible():
                    return False
        return False

    def _look(self, waiter: Waiter, lease: Lease) -> None:
        """Opens a connection beyond the limit for one that waits for itself. The first makes the others look too."""
        waiter.looked = True
        for other in list(self.waiting):
            if not (other.looked or other.asked) and other is not waiter:
                other.asked = True
                other.wake()
        if waiter.queued and waits_for_itself():
            self._open_beyond(lease)

    def _time_left(self, waiter: Waiter) -> float:
        """Seconds until the wait ends. Errors: PoolTimeout, RequestTimeout."""
        deadline = waiter.deadline(self.settings)
        if deadline is None:
            return LONGEST_PATIENCE_SECONDS
        left = deadline - REAL[0]()
        if left <= 0:
            if waiter.withdraw():
                raise self._too_long()
            if waiter.deadline(self.settings) == deadline:
                raise no_reply(self.settings)
        return max(left, 0.001)

    def _too_long(self) -> CyberDBError:
        settings = self.settings
        if self._refusal is not None and self._full_until:
            return Overloaded(f"{self._refusal}; the {self._open} connections of this process were busy for {settings.pool_timeout} s")
        return PoolTimeout(
            f"all {settings.max_connections} connections to {settings.address} were busy "
            f"for {settings.pool_timeout} s: see max_connections and pool_timeout"
        )
