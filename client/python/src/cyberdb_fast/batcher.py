"""Small requests of several callers that travel together on one connection.

A system call costs more than the rest of a request, and so does a switch between threads, but not one between greenlets. So threads have
connections of their own up to max_connections, while callers that take turns in one thread gather when they are many: while one connection
is in use they wait, and when it comes back all of them travel on it, as a group. So do all callers who wait at max_connections.

One caller of a group leads: it sends all requests at once and reads until it has its own reply, giving the others theirs as they come. If
some are missing then, it leaves the connection to the group, and one of those who wait leads on: whoever takes it from there.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any, Deque, Dict, List, Optional

from . import frames, opcodes
from .clock import REAL
from .connection import Connection, NotSent
from .errors import ConnectionLost, CyberDBError
from .frames import Reply
from .pool import PATIENCE_SECONDS, Pool
from .requests import Request
from .settings import Settings
from .waiter import Lease, Waiter

# A group is one batch, as of a pipeline, and none of its requests keeps the others waiting.
MAX_REQUESTS = 64
MAX_REQUEST_BYTES = 16 << 10
# Callers gather for the connection that is in use. If it has not come back after the first patience, the server is busy with something long, or
# syncs each change: they use one more then, for this time.
MORE_SECONDS = 0.2
# Callers that take turns in one thread use so many connections at once as long as these suffice, and then one, until two groups after each other
# are less than MANY callers: with fewer than some ten of them, connections of their own are faster.
FEW_LANES = 8
MANY = 8

# Requests that cost the server little, whatever the table holds: those about one key, and these.
QUICK = opcodes.ON_KEY | {
    *(opcodes.PING, opcodes.EXISTS, opcodes.KIND, opcodes.DICT_LEN, opcodes.DICT_POPITEM, opcodes.LIST_APPEND, opcodes.LIST_APPEND_LEFT),
    *(opcodes.LIST_INSERT, opcodes.LIST_GET, opcodes.LIST_SET, opcodes.LIST_DELETE, opcodes.LIST_POP, opcodes.LIST_POP_LEFT, opcodes.LIST_LEN),
}

# Greenlets of one thread have one; it is asked for when no connection is there at once.
_native_id = getattr(threading, "get_native_id", threading.get_ident)


def may_travel(request: Request[Any]) -> bool:
    """Whether a request may share a connection with others: it is small, and answered at once whatever the table holds."""
    return request.opcode in QUICK and not request.flags & frames.DURABLE and len(request.payload) <= MAX_REQUEST_BYTES


class Turn(Waiter):
    """One request that may travel with others. It waits for a connection to lead a group on, for its reply, or for an error."""

    alone = False
    reply: Optional[Reply] = None
    error: Optional[Exception] = None
    inherited = False  # the lease from its group
    gone = False  # its caller does not wait any more

    def __init__(self, request: Request[Any], batcher: Batcher) -> None:
        super().__init__()
        self.request = request
        self._batcher = batcher
        self.claims: List[Optional[Group]] = []  # the first has the request, and it alone sends it; None: it is not sent at all

    def claim(self, group: Optional[Group]) -> bool:
        """Whether the request is the group's now."""
        self.claims.append(group)
        return self.claims[0] is group

    def group(self) -> Optional[Group]:
        """The group that has the request."""
        return self.claims[0] if self.claims else None

    def eligible(self) -> bool:
        """Not while it is to gather with others."""
        return not self.claims and self._batcher.may_have()

    def inherit(self, lease: Lease) -> bool:
        """Takes over the lead of its group, if it is free."""
        group = self.group()
        if group is None or not group.lease:
            return False
        try:
            lease.append(group.lease.pop())
        except IndexError:
            return False
        self.inherited = True
        return True

    def lose_patience(self) -> None:
        """Those who gather use one connection more."""
        if self.queued:
            self._batcher.lose_patience()

    def deadline(self, settings: Settings) -> Optional[float]:
        """That of waiting for a connection, or that of the reply."""
        group = self.group()
        if group is None:
            return super().deadline(settings)
        return group.sent_at + settings.request_timeout if group.sent_at and settings.request_timeout is not None else None

    def withdraw(self) -> bool:
        """Whether no group has its request; none will have it."""
        return self.claim(None)

    def settle(self, reply: Optional[Reply], error: Optional[Exception]) -> None:
        """Ends the wait, unless it is over."""
        if not self.over:
            self.reply, self.error, self.over = reply, error, True
        self.wake()


class Group:
    """Callers that share a connection until each has its reply."""

    def __init__(self) -> None:
        self.turns: List[Turn] = []  # that may be its own: their claims say so
        self.due: Optional[Dict[int, Turn]] = None  # whose request is sent and not answered, by the request's id; none: nothing was sent
        self.sent_at = 0.0
        self.lease: Lease = []  # the connection while nobody leads
        self.place: Optional[weakref.ReferenceType[Connection]] = None  # of the connection
        self.passed_on = False

    def gather(self, waiting: Deque[Waiter]) -> None:
        """Claims the requests of those who wait."""
        for waiter in list(waiting):
            if len(self.turns) >= MAX_REQUESTS:
                break
            if isinstance(waiter, Turn) and not waiter.gone:
                self.turns.append(waiter)
                if not waiter.claim(self):
                    self.turns.pop()
                waiter.leave(waiting)

    def send(self, connection: Connection) -> None:
        """Sends all requests. Errors: those of Connection.send_together."""
        due: Dict[int, Turn] = {}
        framed = []
        for turn in self.turns:
            one = connection.framed(turn.request)
            due[one[0]] = turn
            framed.append(one)
        self.due = due
        self.sent_at = REAL[0]()
        connection.send_together(framed)

    def read(self, connection: Connection, leader: Turn) -> None:
        """Reads until the leader has its reply. Errors: those of Connection.receive_some."""
        due = self.due or {}
        while not leader.over:
            for reply in connection.receive_some():
                turn = due.get(reply.id)
                if turn is None:
                    connection.refuse(reply)
                turn.settle(reply, None)
                del due[reply.id]

    def lost(self) -> bool:
        """Whether an interrupt has dropped the connection."""
        return self.place is not None and self.place() is None

    def heir(self) -> Optional[Turn]:
        """One that can lead on."""
        return next((one for one in (self.due or {}).values() if not one.gone), None)

    def wake(self) -> None:
        """Lets one of those who wait lead on, if none does."""
        for turn in list((self.due or {}).values()):
            turn.wake()

    def fail(self, e: BaseException) -> None:
        """Ends the wait of all: e has ended what one of them did for them."""
        for turn in list(self.turns):
            if turn.claims and turn.claims[0] is self:
                turn.settle(None, None if turn.over else self._error(e))
        self.end()

    def end(self) -> None:
        """Forgets who took part: they refer to the group, and would be left to the garbage collector."""
        self.turns.clear()
        if self.due:
            self.due.clear()

    def _error(self, e: BaseException) -> Exception:
        """What e, which the leader met, is for another caller."""
        if isinstance(e, CyberDBError):
            return type(e)(*e.args)
        what = f"the caller that sent and read for several was interrupted ({type(e).__name__})"
        if self.due is None:
            return NotSent(what)
        return ConnectionLost(f"{what}; the request may or may not have been applied")


class Batcher:
    """Lets callers share the connections of a pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        # What it learns of its callers. Threads write it without a lock: nothing but the speed depends on it.
        self._gathers = False  # callers come from one thread
        self._thread = 0  # from which the last one came that found nobody waiting and no connection
        self._lanes = FEW_LANES  # connections that those who gather use at once
        self._lanes_until = 0.0  # until then it does not become one
        self._size = 0  # of the last group
        self._granted_at = 0.0

    def exchange(self, request: Request[Any]) -> Reply:
        """The reply to a request that may travel with others; for a caller to whom the pool's take gave nothing.

        Errors: PoolTimeout; those of opening a connection; those of Connection.exchange.
        """
        turn = Turn(request, self)
        lease: Lease = []
        try:
            if not self.pool.waiting:
                thread = _native_id()
                self._gathers, self._thread = thread == self._thread, thread
            self.pool.waiting.append(turn)
            self.pool.wait(turn, lease)
            while not turn.over:
                self._lead(turn, lease)
                self.pool.wait(turn, lease)
            if lease:  # it came when its reply did
                self._pass_on(turn.group() if turn.inherited else None, lease)
        except BaseException as e:
            self._leave(turn, lease, e)
            raise
        if turn.reply is None:
            raise turn.error or RuntimeError("a turn without a reply")
        return turn.reply

    def _lead(self, turn: Turn, lease: Lease) -> None:
        """Reads on for a group, or sends and reads for one of all those who wait."""
        group = turn.group()
        if group is not None and turn.inherited:
            lease[0].limit_waiting(group.sent_at)
        else:
            group = Group()
            group.turns.append(turn)
            if not turn.claim(group):  # it travels with others already
                self.pool.release(lease)
                return
            group.place = lease[0].place
            self._begin(group, turn)
            group.send(lease[0])
        group.read(lease[0], turn)
        self._pass_on(group, lease)

    def _begin(self, group: Group, turn: Turn) -> None:
        """Gathers the group of a turn."""
        waiting = self.pool.waiting
        turn.leave(waiting)
        if self._size > 1 and self._gathers and self.pool.timers_are_dear:
            time.sleep(0)  # those who have just been answered come too
        if waiting:
            group.gather(waiting)
        self._granted_at = REAL[0]()
        self._count(len(group.turns))
        if waiting:
            self._use_one_lane()
            self.pool.appoint()
        if self._gathers and self._lanes == 1:
            self.pool.reserve = self.pool.settings.max_connections  # all come here
        else:
            self.pool.reserve = max(0, self.pool._open - self._lanes) if self._gathers else 0

    def _pass_on(self, group: Optional[Group], lease: Lease) -> None:
        """Ends a lead: one of those who wait for a reply leads on; without any, the connection is free."""
        if group is None or not group.due:
            if group is not None:
                group.end()
                if group.passed_on:
                    lease[0].limit_waiting()
            self.pool.release(lease)
            return
        heir = group.heir()
        if heir is None:  # what is still to come is for nobody
            group.end()
            self.pool.discard(lease)
            return
        group.passed_on = True
        group.lease.append(lease.pop())
        heir.wake()
        if heir.gone:
            group.wake()

    def _leave(self, turn: Turn, lease: Lease, e: BaseException) -> None:
        """Lets a caller go that e has ended, so that no other waits for it."""
        group = turn.group()
        leads = bool(lease) and group is not None and (turn.inherited or group.turns[:1] == [turn])
        try:
            self._let_go(turn, lease, leads, e)
        except BaseException:  # one interrupt more, or the end of what it waits for
            self._let_go(turn, lease, leads, e)
            raise

    def _let_go(self, turn: Turn, lease: Lease, leads: bool, e: BaseException) -> None:
        """All of it may be done twice."""
        turn.gone = True
        turn.withdraw()
        group = turn.group()
        try:
            if isinstance(e, ConnectionLost) and lease:
                self.pool.drop_idle()  # before those who wait are given one
            self.pool.discard(lease)
            if group is not None and (leads or group.lost()):
                group.fail(e)
            elif group is not None:
                self._leave_to(group)
        finally:
            self.pool.leave(turn)

    def _leave_to(self, group: Group) -> None:
        """One of a group goes: it may have been the one that was to lead on."""
        if group.lease and group.heir() is None:
            self.pool.discard(group.lease)
            group.end()
        else:
            group.wake()

    # ---- what it learns

    def may_have(self) -> bool:
        """Whether a connection is to be taken for those who can share one, or they gather for one that is in use."""
        pool = self.pool
        if not self._gathers and pool._open < pool.settings.max_connections:
            return True
        lanes = self._lanes if self._gathers or (self._lanes_until and REAL[0]() < self._lanes_until) else 1
        return pool.in_use() < lanes

    def lose_patience(self) -> None:
        """The connection for which callers gather has not come back: one more, for a while."""
        now = REAL[0]()
        if now - self._granted_at >= PATIENCE_SECONDS:
            self._lanes = self.pool.in_use() + 1
            self._lanes_until = now + MORE_SECONDS

    def _use_one_lane(self) -> None:
        """Somebody had to wait: the few connections do not suffice."""
        if self._lanes > 1 and REAL[0]() >= self._lanes_until:
            self._lanes, self._size = 1, MANY

    def _count(self, size: int) -> None:
        """Learns from the size of a group how many callers there are."""
        before, self._size = self._size, size
        if size > 1:
            self._use_one_lane()
        if self._lanes == 1 and before + size < MANY:
            self._lanes = FEW_LANES
