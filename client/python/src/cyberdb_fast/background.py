"""The background of a client: one thread and one connection for all requests that wait.

A caller that waits for a lock, an item or a message leaves its request here and sleeps until the
reply. So any number of waiting callers holds one connection, and none of the pool's. The thread
also renews leases. Under gevent it is a greenlet, if threads are patched. It starts with the first
request, and ends when there was nothing to do for some time.

A caller that is interrupted cancels its call. If the server has granted it what it waited for, or
grants it at the same moment, the thread gives that back.

As in pool.py there is no lock: callers only append to a deque, which is atomic.
"""

from __future__ import annotations

import heapq
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any, Callable, Deque, List, Optional, Set, Tuple

from . import frames, lock_requests, requests
from .bell import Bell
from .calls import Call, Link
from .clock import MONOTONIC
from .connection import Connection, NotSent, no_reply
from .errors import ConnectionLost, CyberDBError, DisconCyberDBError, Overloaded, ServerUnreachable
from .frames import Reply
from .leases import NEVER, Lease, Renewals
from .requests import Request, WaitingRequest
from .session import unexpected
from .settings import Settings
from .waiter import Waiter
from .waiting import shutting_down

# The thread ends, and closes its connection, when there was nothing to do for so long.
IDLE_SECONDS = 5.0
# A waiting caller looks so often whether the thread is alive: a signal may have kept it from
# starting. When the thread has sent its call, it looks less and less often.
CHECK_SECONDS, MAX_CHECK_SECONDS = 1.0, 60.0
# While requests wait, the server is asked for a sign of life so often: a wait may have no end.
HEARTBEAT_SECONDS = 20.0
# A connection whose caller was interrupted is closed after this time, if its reply does not come.
ORPHAN_SECONDS = 5.0


class Background:
    """The waiting requests and the timers of a client, for one process and one event loop."""

    def __init__(self, settings: Settings, by_greenlet: bool) -> None:
        """by_greenlet: the callers are greenlets of gevent."""
        self.settings, self._by_greenlet = settings, by_greenlet
        self.closed = False
        self.renewals = Renewals()
        # While there are subscriptions, which belong to the connection, it stays open.
        self.subscriptions: Set[weakref.ReferenceType[Any]] = set()
        # Callers append, the thread takes.
        self._new: Deque[Call] = deque()
        self._cancelled: Deque[Call] = deque()
        self._orphans: Deque[Link] = deque()
        self._new_timers: Deque[Tuple[float, Callable[[], None]]] = deque()
        self._token = [True]  # what a caller takes to start a thread
        self._seat = [True]  # what a thread takes to run: there is never more than one
        self._bell = Bell()
        # Owned by the thread.
        self.main: Optional[Link] = None
        self._others: List[Link] = []
        self._timers: List[Tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    # ---- for callers

    def wait(self, call: Call, seconds: Optional[float]) -> Reply:
        """Sends a call and returns its reply; cancels it if the caller is interrupted.

        seconds is the time for the wait in the server; None: for ever. Errors: RequestTimeout;
        those of Connection.open and Connection.exchange.
        """
        timeout = self.settings.request_timeout
        until = None if seconds is None or timeout is None else MONOTONIC[0]() + seconds + timeout
        check = CHECK_SECONDS
        try:
            self.post(call)
            while not call.done:
                left = check if until is None else min(check, until - MONOTONIC[0]())
                if left <= 0:
                    raise no_reply(self.settings)
                if not call.wait(left):
                    self._start_again()
                    if call.link is not None:
                        check = min(2 * check, MAX_CHECK_SECONDS)
        except BaseException:
            self.cancel(call)
            raise
        if call.reply is None:
            raise call.error or RuntimeError("a call is done but has no reply")
        if call.reply.status == frames.SHUTTING_DOWN:
            raise shutting_down(self.settings)
        return call.reply

    def join(self, call: Call, seconds: Optional[float]) -> bool:
        """Waits until the call of another caller is done, for at most so long; None: for ever.

        It waits longer for one that was cancelled, which ends soon; False then: no caller has the
        reply. Errors: RequestTimeout.
        """
        until = NEVER if seconds is None else MONOTONIC[0]() + max(0.0, seconds)
        timeout = self.settings.request_timeout
        waiter = Waiter()
        call.joined.append(waiter)
        try:
            while not call.done:
                if not call.taken:  # perhaps its caller was interrupted before it posted it
                    self.post(call)
                left = until - MONOTONIC[0]()
                if left <= 0 and not call.cancelled:
                    return True
                if call.cancelled and timeout is not None and left + timeout <= 0:
                    raise no_reply(self.settings)
                check = CHECK_SECONDS if call.link is None else MAX_CHECK_SECONDS
                if not waiter.wait(min(check, left) if left > 0 else CHECK_SECONDS):
                    self._start_again()
        finally:
            with suppress(ValueError):
                call.joined.remove(waiter)
        return not call.cancelled

    def owner(self) -> Any:
        """The caller, which is to own a lease: its thread or greenlet."""
        if self._by_greenlet:
            import gevent

            return gevent.getcurrent()
        return threading.current_thread()

    def post(self, call: Call) -> None:
        """Hands a call over to the thread."""
        self._new.append(call)
        self._ring()

    def cancel(self, call: Call) -> None:
        """Ends a call whose caller has gone, and gives back what it has got or gets."""
        call.cancelled = True
        self._cancelled.append(call)
        self._ring()

    def give_back(self, request: Request[Any]) -> None:
        """Sends a request that gives something back, later again if there is no connection."""
        self._repeat(self.quietly(request), 2)

    def adopt(self, connection: Connection, request: WaitingRequest[Any]) -> None:
        """Takes over a connection whose caller was interrupted while request was outstanding."""
        if request.brought or not request.sent:  # it is not
            connection.close()
            return
        link = Link(connection, MONOTONIC[0]() + ORPHAN_SECONDS)
        call = Call(request, 0)
        call.cancelled, call.link, call.request_id = True, link, connection.last_id
        link.outstanding[call.request_id] = call
        self._orphans.append(link)
        self._ring()

    def renew(self, lease: Lease) -> None:
        """Renews a lease until it is released or lost, or its owner has ended."""
        if self.renewals.add(lease):
            self._ring()

    def run_at(self, when: float, action: Callable[[], None]) -> None:
        """Runs action in the thread at a time by MONOTONIC."""
        self._new_timers.append((when, action))
        self._ring()

    def close(self) -> None:
        """Ends the thread; calls fail with DisconCyberDBError."""
        self.closed = True
        if not self._seat or self._left_by_callers():
            self._ring()

    def _ring(self) -> None:
        """Wakes the thread; starts it if it does not run."""
        self._start()
        self._bell.ring()

    def detach(self) -> None:
        """In a forked child: closes its copies of the parent's sockets."""
        self.closed = True
        for link in [*self._others, *self._orphans, *([self.main] if self.main else [])]:
            link.connection.socket.close()
        self._bell.close()

    def _start(self) -> None:
        if not self._seat:
            return
        try:
            self._token.pop()
        except IndexError:
            return
        try:
            threading.Thread(target=self._run, name="cyberdb_fast background", daemon=True).start()
        except BaseException:
            self._token.append(True)
            raise

    def _start_again(self) -> None:
        """Starts a thread if an interrupt has kept the last one from starting."""
        if self._seat and not self._token:
            self._token.append(True)
        self._start()

    # ---- the thread

    def _run(self) -> None:
        try:
            self._seat.pop()
        except IndexError:
            return
        try:
            idle_since = MONOTONIC[0]()
            while not self.closed and self._open_bell():
                self._run_timers()
                self._submit()
                now = MONOTONIC[0]()
                if self._busy():
                    idle_since = now
                elif now - idle_since >= IDLE_SECONDS:
                    break
                self._listen(min(self._next_at(), idle_since + IDLE_SECONDS) - now)
        finally:
            self._end()

    def _open_bell(self) -> bool:
        """Opens the bell if it is not open.

        If the process has no descriptor left, calls fail; for renewals it tries again. False:
        nothing is left to do.
        """
        while not self.closed:
            try:
                self._bell.open()
                return True
            except OSError as e:
                self._fail_new(ServerUnreachable(f"no connection to {self.settings.address}: {e}"))
            if not (self._busy() or self._left_by_callers()):
                break
            time.sleep(CHECK_SECONDS)
        return False

    def _end(self) -> None:
        """Closes everything, and lets another thread start."""
        self._bell.close()
        closed = DisconCyberDBError("the client is closed")
        if self.closed:
            self._fail_all(closed)
        for link in [*self._others, *([self.main] if self.main else [])]:
            self._drop(link, closed if self.closed else ConnectionLost("the connection was closed"))
        self._seat.append(True)
        self._token[:] = [True]
        if not self.closed and self._left_by_callers():
            self._start()  # they came at the last moment

    def _left_by_callers(self) -> bool:
        """Whether callers have left something that the thread has not taken yet."""
        return bool(self._new or self._cancelled or self._orphans or self._new_timers)

    def _fail_new(self, e: Exception) -> None:
        """Fails the calls that were not sent yet."""
        while self._new:
            self._new.popleft().complete(None, e)

    def _fail_all(self, e: Exception) -> None:
        """Fails the calls that were not sent yet, and forgets what was to be done later."""
        self._fail_new(e)
        self._cancelled.clear()
        while self._orphans:
            self._orphans.popleft().connection.close()
        self._timers.clear()
        self._new_timers.clear()

    def _busy(self) -> bool:
        if self._timers or self._others or self._new or self.renewals.next_at < NEVER or self.subscriptions:
            return True
        return self.main is not None and bool(self.main.outstanding)

    def _next_at(self) -> float:
        """When the thread has something to do, even if nothing happens until then."""
        times = [self.renewals.next_at, *(link.until for link in self._others if link.until is not None)]
        if self._timers:
            times.append(self._timers[0][0])
        if self.main is not None and self.main.outstanding:
            times.append(self._beat_due(self.main))
        return min(times)

    def _submit(self) -> None:
        """Sends what callers have left."""
        while self._orphans:
            self._take_orphan(self._orphans.popleft())
        new: List[Call] = []
        while self._new:
            new.append(self._new.popleft())
        # Before new requests: the server ends a wait of the same caller first. A caller leaves the
        # cancelled call before its next one.
        while self._cancelled:
            self._give_back(self._cancelled.popleft())
        calls: List[Call] = []
        for call in new:
            if call.taken:
                continue
            call.taken = True
            if call.cancelled or call.done:
                call.complete(None, ConnectionLost("the call was cancelled"))
            elif call.only_on is not None and call.only_on is not self.main:
                call.complete(None, ConnectionLost("the connection of the subscription was lost"))
            else:
                calls.append(call)
        if calls and self._open(calls):
            self._send(self.main, calls)

    def _open(self, calls: List[Call]) -> bool:
        """Makes sure that there is a connection; fails calls if there is none."""
        if self.main is None:
            connection = Connection(self.settings)
            try:
                connection.open()
            except Exception as e:
                for call in calls:
                    call.complete(None, e)
                return False
            self.main = Link(connection)
        return True

    def _send(self, link: Optional[Link], calls: List[Call]) -> None:
        """Sends calls on link; if that fails, the link is dropped and they fail."""
        if link is None:
            return
        if not link.outstanding:
            link.heard_at = MONOTONIC[0]()
        try:
            link.send(calls)
        except NotSent as e:
            for call in calls:
                call.complete(None, type(e)(*e.args))
            # Earlier calls on the link were sent.
            self._drop(link, ConnectionLost(f"{e}; the request may or may not have been applied"))
        except CyberDBError as e:
            self._drop(link, e)

    def _take_orphan(self, link: Link) -> None:
        """Begins to wait for the reply of an interrupted caller, who perhaps had received it."""
        self._others.append(link)
        reply = link.connection.interrupted_reply()
        for call in list(link.outstanding.values()):
            if reply is not None:
                self._answer(call, reply)
                self._drop(link, ConnectionLost("done"))
            elif (release := self._release_of(call)) is not None:
                self._send(link, [release])
            elif (again := self._asking_again(call.request)) is not None:
                again._notify = lambda _: link.outstanding.clear()  # what was outstanding, it had received
                self._send(link, [again])

    def _release_of(self, call: Call) -> Optional[Call]:
        """The call that gives back what a cancelled one gets, if it is known before the reply."""
        release = getattr(call.request, "release", None)
        return None if release is None else self.quietly(release)

    def quietly(self, request: Request[Any]) -> Call:
        """A call of whose reply nothing is made."""
        return Call(request, frames.milliseconds_of(self.settings.request_timeout))

    def _give_back(self, call: Call) -> None:
        """Cancels a call in the server; gives back what it has got."""
        link = call.link
        if call.reply is not None:
            self.withdraw(call.request)
        elif link is not None and link is self.main and call.request_id in link.outstanding:
            cancel = self.quietly(lock_requests.cancel(call.request_id))
            release = self._release_of(call)
            self._send(link, [cancel] if release is None else [cancel, release])
        elif link is not None:  # the connection was lost, and the server may have granted it before
            back = self._release_of(call) or self._asking_again(call.request)
            if back is not None:
                self._repeat(back, 2)

    def withdraw(self, request: Request[Any]) -> None:
        """Gives back what the replies to request have brought, once. Any thread may call it."""
        while isinstance(request, WaitingRequest) and request.brought:
            try:
                reply = request.brought.pop()
            except IndexError:  # another thread does it
                return
            undo = request.release if request.release is not None else request.undo(reply)
            if undo is not None and reply.status == frames.OK:
                self._repeat(self.quietly(undo), 2)

    def _repeat(self, call: Call, times: int) -> None:
        """Posts a call, and again later if there is no connection."""

        def again(failed: Call) -> None:
            if isinstance(failed.error, (DisconCyberDBError, Overloaded)) and times and not self.closed:
                later = self.quietly(failed.request)
                later.unwanted = failed.unwanted
                self.run_at(MONOTONIC[0]() + 1, lambda: self._repeat(later, times - 1))

        call._notify = again
        self._new.append(call)
        self._ring()

    # ---- receiving

    def _listen(self, seconds: float) -> None:
        """Waits for replies and for the bell, and delivers the replies."""
        if self._new or self._cancelled or self._orphans:
            seconds = 0
        links = [*self._others, *([self.main] if self.main is not None else [])]
        ready = self._bell.wait([link.connection.socket for link in links], max(0.0, min(seconds, 3600.0)))
        for link, readable in zip(links, ready):
            if readable:
                self._receive(link)
        self._look_after(MONOTONIC[0]())

    def _receive(self, link: Link) -> None:
        try:
            for reply in link.connection.receive_ready():
                call = link.outstanding.pop(reply.id, None)
                if call is None:
                    if reply.id == 0:
                        link.connection.reject(reply)
                    raise unexpected(reply)
                self._answer(call, reply)
            link.heard_at, link.beat_at = MONOTONIC[0](), 0.0
        except CyberDBError as e:
            self._drop(link, e)
        else:
            if link.until is not None and not link.outstanding:
                self._drop(link, ConnectionLost("done"))

    def _answer(self, call: Call, reply: Reply) -> None:
        """Completes a call; gives back what the reply brings if its caller has gone."""
        if isinstance(call.request, WaitingRequest):
            call.request.brought.append(reply)
        call.complete(reply, None)
        if call.cancelled or call.unwanted:
            self.withdraw(call.request)

    def _drop(self, link: Link, e: Exception) -> None:
        """Closes a connection and fails its calls."""
        if link is self.main:
            self.main = None
        elif link in self._others:
            self._others.remove(link)
        link.connection.close()
        calls, link.outstanding = list(link.outstanding.values()), {}
        for call in calls:
            if link.until is not None and not (self.closed or call.done or call.unwanted):
                again = self._asking_again(call.request)
                if again is not None:
                    self._new.append(again)
            call.complete(None, type(e)(*e.args))

    def _asking_again(self, request: Request[Any]) -> Optional[Call]:
        """The call that gives back what an interrupted one has got, whose reply was lost.

        Repeated, the request brings the same. None if it may not be repeated, or has a release.
        """
        if not isinstance(request, WaitingRequest) or not request.repeatable or request.release is not None:
            return None
        call = self.quietly(request.asking(0))
        call.unwanted = True
        return call

    # ---- time

    def _look_after(self, now: float) -> None:
        """Closes orphans whose time is over; asks a silent server for a sign of life."""
        for link in list(self._others):
            if link.until is not None and now >= link.until:
                self._drop(link, ConnectionLost("no reply in time"))
        main = self.main
        if main is None or not main.outstanding or now < self._beat_due(main):
            return
        if main.beat_at:
            self._drop(main, no_reply(self.settings))
        else:
            main.beat_at = now
            self._send(main, [self.quietly(requests.ping())])

    def _beat_due(self, link: Link) -> float:
        """When a PING is due; if one is under way, when the connection is given up."""
        if not link.beat_at:
            return link.heard_at + HEARTBEAT_SECONDS
        timeout = self.settings.request_timeout
        return NEVER if timeout is None else link.beat_at + timeout

    def _run_timers(self) -> None:
        while self._new_timers:
            when, action = self._new_timers.popleft()
            heapq.heappush(self._timers, (when, next(self._numbers), action))
        while self._timers and self._timers[0][0] <= MONOTONIC[0]():
            heapq.heappop(self._timers)[2]()
        now = MONOTONIC[0]()
        if now >= self.renewals.next_at:
            for lease, ttl in self.renewals.due(now):
                self._renew(lease, ttl, now)

    def _renew(self, lease: Lease, ttl: int, now: float) -> None:
        def answered(call: Call) -> None:
            lease.answered(call.reply, now, ttl)
            self.renewals.hasten(lease.due_at)

        call = self.quietly(lease.renewing(ttl))
        call._notify = answered
        self._new.append(call)
