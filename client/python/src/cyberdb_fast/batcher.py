"""The request batcher: small requests of several callers share a connection.

A system call costs more than the rest of a request, and so does a switch between threads, but not a
switch between greenlets. So threads use their own connections, up to max_connections. Callers that
run in one thread are batched when there are many: while one connection is in use they wait, and
when it is free, one batch carries the requests of all of them. Callers that wait at max_connections
are batched too.

One caller of a batch is its leader. It sends all requests and reads until it has its own reply; the
other callers get their replies as they come. If some replies are still due then, the next leader
takes over the connection.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any, Deque, Dict, List, Optional

from . import frames, opcodes
from .background import Background
from .clock import MONOTONIC
from .connection import Connection, NotSent
from .errors import ConnectionLost, CyberDBError
from .frames import Reply
from .multiplexer import multiplexer_of
from .pool import FIRST_POLL_SECONDS, Pool
from .requests import Request
from .settings import Settings
from .waiter import Lease, Waiter

# Limits of a batch. It fits into one write, and none of its requests delays the others for long.
MAX_REQUESTS = 64
MAX_REQUEST_BYTES = 16 << 10
# Callers in one thread use up to MAX_BATCHES connections at once. When that is not enough, they use
# one connection for all, until two batches in a row have fewer than BATCH_THRESHOLD callers
# together. With fewer than about ten callers, own connections are faster than batches.
MAX_BATCHES = 8
BATCH_THRESHOLD = 8
# If the connection of a batch has not come back after FIRST_POLL_SECONDS, the server is busy with a
# long request or syncs each write. For this time the callers then use one connection more.
MORE_BATCHES_SECONDS = 0.2

# The requests that are quick on any table: those about one key, and these.
QUICK = opcodes.ON_KEY | {
    *(opcodes.PING, opcodes.EXISTS, opcodes.KIND, opcodes.DICT_LEN, opcodes.DICT_POPITEM),
    *(opcodes.LIST_APPEND, opcodes.LIST_APPEND_LEFT, opcodes.LIST_INSERT, opcodes.LIST_GET, opcodes.LIST_SET),
    *(opcodes.LIST_DELETE, opcodes.LIST_POP, opcodes.LIST_POP_LEFT, opcodes.LIST_LEN),
}

# The greenlets of a thread share its native id.
_native_id = getattr(threading, "get_native_id", threading.get_ident)


def is_batchable(request: Request[Any]) -> bool:
    """Whether a request may share a connection: it is small, and quick on any table."""
    return request.opcode in QUICK and not request.flags & frames.DURABLE and len(request.payload) <= MAX_REQUEST_BYTES


class BatchWaiter(Waiter):
    """A batchable request.

    It waits for a connection on which to lead a batch, for its reply, or for an error.
    """

    exclusive = False
    reply: Optional[Reply] = None
    error: Optional[Exception] = None
    took_over = False  # its lease came from its batch
    cancelled = False  # its caller has stopped waiting

    def __init__(self, request: Request[Any], batcher: Batcher) -> None:
        super().__init__()
        self.request = request
        self._batcher = batcher
        # The batches that claimed the request. The first claim counts: that batch sends the
        # request. None as the first claim: it is not sent at all.
        self.claims: List[Optional[Batch]] = []

    def claim(self, batch: Optional[Batch]) -> bool:
        """Claims the request for batch. Whether this is the first claim."""
        self.claims.append(batch)
        return self.claims[0] is batch

    def batch(self) -> Optional[Batch]:
        """The batch that sends the request; None if there is none yet."""
        return self.claims[0] if self.claims else None

    def eligible(self) -> bool:
        """False while it waits to be batched."""
        return not self.claims and self._batcher.may_start_batch()

    def take_over(self, lease: Lease) -> bool:
        """Becomes the leader of its batch, if the batch has none."""
        batch = self.batch()
        if batch is None or not batch.lease:
            return False
        try:
            lease.append(batch.lease.pop())
        except IndexError:
            return False
        self.took_over = True
        return True

    def timed_out(self) -> None:
        """Lets the batcher use one more connection."""
        if self.queued:
            self._batcher.timed_out()

    def deadline(self, settings: Settings) -> Optional[float]:
        """When the wait for a connection ends, or for the reply once the request is sent."""
        batch = self.batch()
        if batch is None:
            return super().deadline(settings)
        if not batch.sent_at or settings.request_timeout is None:
            return None
        return batch.sent_at + settings.request_timeout

    def withdraw(self) -> bool:
        """Withdraws the request. False if a batch has claimed it."""
        return self.claim(None)

    def complete(self, reply: Optional[Reply], error: Optional[Exception]) -> None:
        """Ends the wait with a reply, or with an error. Only the first call has an effect."""
        if not self.done:
            self.reply, self.error, self.done = reply, error, True
        self.wake()


class Batch:
    """Requests that are sent together on one connection."""

    def __init__(self) -> None:
        self.waiters: List[BatchWaiter] = []  # candidates; those whose first claim is this batch belong to it
        # Waiters whose replies are due, by request id. None: nothing has been sent yet.
        self.outstanding: Optional[Dict[int, BatchWaiter]] = None
        self.sent_at = 0.0
        self.lease: Lease = []  # the connection while there is no leader
        self.slot: Optional[weakref.ReferenceType[Connection]] = None  # of the connection
        self.handed_over = False

    def gather(self, waiting: Deque[Waiter]) -> None:
        """Claims the batchable requests in the queue, up to MAX_REQUESTS."""
        for waiter in list(waiting):
            if len(self.waiters) >= MAX_REQUESTS:
                break
            if isinstance(waiter, BatchWaiter) and not waiter.cancelled:
                self.waiters.append(waiter)
                if not waiter.claim(self):
                    self.waiters.pop()
                waiter.leave(waiting)

    def send(self, connection: Connection) -> None:
        """Sends all requests in one write. Errors: those of Connection.send_together."""
        outstanding: Dict[int, BatchWaiter] = {}
        framed = []
        for waiter in self.waiters:
            one = connection.framed(waiter.request)
            outstanding[one[0]] = waiter
            framed.append(one)
        self.outstanding = outstanding
        self.sent_at = MONOTONIC[0]()
        connection.send_together(framed)

    def read(self, connection: Connection, leader: BatchWaiter) -> None:
        """Reads replies until the leader has its own. Errors: those of Connection.receive_some."""
        outstanding = self.outstanding or {}
        while not leader.done:
            for reply in connection.receive_some():
                waiter = outstanding.get(reply.id)
                if waiter is None:
                    connection.reject(reply)
                waiter.complete(reply, None)
                del outstanding[reply.id]

    def lost(self) -> bool:
        """Whether the connection was dropped, by an interrupt of its leader."""
        return self.slot is not None and self.slot() is None

    def next_leader(self) -> Optional[BatchWaiter]:
        """A waiter that can be the next leader."""
        return next((one for one in (self.outstanding or {}).values() if not one.cancelled), None)

    def wake(self) -> None:
        """Wakes the waiters whose replies are due, so that one of them becomes the leader."""
        for waiter in list((self.outstanding or {}).values()):
            waiter.wake()

    def fail(self, e: BaseException) -> None:
        """Ends the waits of all waiters after their leader has failed with e."""
        for waiter in list(self.waiters):
            if waiter.claims and waiter.claims[0] is self:
                waiter.complete(None, None if waiter.done else self._error(e))
        self.end()

    def end(self) -> None:
        """Drops the waiters: they refer to the batch, and a cycle needs the garbage collector."""
        self.waiters.clear()
        if self.outstanding:
            self.outstanding.clear()

    def _error(self, e: BaseException) -> Exception:
        """The error of another caller of the batch after the leader has failed with e."""
        if isinstance(e, CyberDBError):
            return type(e)(*e.args)
        what = f"another caller, which handled this request in a batch, was interrupted ({type(e).__name__})"
        if self.outstanding is None:
            return NotSent(what)
        return ConnectionLost(f"{what}; the request may or may not have been applied")


class Batcher:
    """Lets callers share the connections of a pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.background = Background(pool.settings, pool.timers_are_expensive)
        self.multiplexer = multiplexer_of(pool)
        # What it has learned about its callers. Threads write it without a lock; only speed depends
        # on it.
        self._single_thread = False  # whether callers come from one thread
        self._last_thread = 0  # of the last caller that found no connection and no waiter
        self._max_batches = MAX_BATCHES  # connections for batches at once, for callers from one thread
        self._max_batches_until = 0.0  # until then _max_batches does not fall to 1
        self._last_size = 0  # callers in the last batch
        self._started_at = 0.0  # when the last batch started

    def stats(self) -> Dict[str, int]:
        """The current counts of the pool and the multiplexer."""
        counts = self.pool.stats()
        if self.multiplexer is not None:
            counts["waiting"] += self.multiplexer.waiting
            counts["idle"] += self.multiplexer.idle
        return counts

    def exchange(self, request: Request[Any]) -> Reply:
        """Sends a batchable request, when no connection was idle, and returns the reply.

        Errors: PoolTimeout; those of Connection.open and Connection.exchange.
        """
        waiter = BatchWaiter(request, self)
        lease: Lease = []
        try:
            if not self.pool.waiting:
                thread = _native_id()
                self._single_thread, self._last_thread = thread == self._last_thread, thread
            self.pool.waiting.append(waiter)
            self.pool.wait(waiter, lease)
            while not waiter.done:
                self._lead(waiter, lease)
                self.pool.wait(waiter, lease)
            if lease:  # it got the connection and the reply at the same time
                self._hand_over(waiter.batch() if waiter.took_over else None, lease)
        except BaseException as e:
            self._leave(waiter, lease, e)
            raise
        if waiter.reply is None:
            raise waiter.error or RuntimeError("a waiter is done but has no reply")
        return waiter.reply

    def _lead(self, waiter: BatchWaiter, lease: Lease) -> None:
        """Leads the batch that waiter has taken over, or a new one."""
        batch = waiter.batch()
        if batch is not None and waiter.took_over:
            lease[0].set_timeout(batch.sent_at)
        else:
            batch = Batch()
            batch.waiters.append(waiter)
            if not waiter.claim(batch):  # another batch has claimed it
                self.pool.release(lease)
                return
            batch.slot = lease[0].slot
            self._start_batch(batch, waiter)
            batch.send(lease[0])
        batch.read(lease[0], waiter)
        self._hand_over(batch, lease)

    def _start_batch(self, batch: Batch, waiter: BatchWaiter) -> None:
        """Fills a new batch, whose leader is waiter."""
        waiting = self.pool.waiting
        waiter.leave(waiting)
        if self._last_size > 1 and self._single_thread and self.pool.timers_are_expensive:
            time.sleep(0)  # callers that have just got their replies can join
        if waiting:
            batch.gather(waiting)
        self._started_at = MONOTONIC[0]()
        self._learn_size(len(batch.waiters))
        if waiting:
            self._use_one_batch()
            self.pool.ensure_polling()
        if self._single_thread and self._max_batches == 1:
            self.pool.keep_idle = self.pool.settings.max_connections  # all callers are to be batched
        else:
            self.pool.keep_idle = max(0, self.pool.open_count - self._max_batches) if self._single_thread else 0

    def _hand_over(self, batch: Optional[Batch], lease: Lease) -> None:
        """Passes the connection to the next leader, or releases it if no reply is due."""
        if batch is None or not batch.outstanding:
            if batch is not None:
                batch.end()
                if batch.handed_over:
                    lease[0].set_timeout()
            self.pool.release(lease)
            return
        leader = batch.next_leader()
        if leader is None:  # the replies still due belong to cancelled callers
            batch.end()
            self.pool.discard(lease)
            return
        batch.handed_over = True
        batch.lease.append(lease.pop())
        leader.wake()
        if leader.cancelled:
            batch.wake()

    def _leave(self, waiter: BatchWaiter, lease: Lease, e: BaseException) -> None:
        """Removes a caller that has failed with e, so that no other caller waits for it."""
        batch = waiter.batch()
        leads = bool(lease) and batch is not None and (waiter.took_over or batch.waiters[:1] == [waiter])
        try:
            self._clean_up(waiter, lease, leads, e)
        except BaseException:  # another interrupt
            self._clean_up(waiter, lease, leads, e)
            raise

    def _clean_up(self, waiter: BatchWaiter, lease: Lease, leads: bool, e: BaseException) -> None:
        """The work of _leave; it may run twice."""
        waiter.cancelled = True
        waiter.withdraw()
        batch = waiter.batch()
        try:
            if isinstance(e, ConnectionLost) and lease:
                self.pool.drop_idle()  # before a waiter gets one of them
            self.pool.discard(lease)
            if batch is not None and (leads or batch.lost()):
                batch.fail(e)
            elif batch is not None:
                self._leave_to(batch)
        finally:
            self.pool.leave(waiter)

    def _leave_to(self, batch: Batch) -> None:
        """Leaves batch to its other callers; the one that left may have been the next leader."""
        if batch.lease and batch.next_leader() is None:
            self.pool.discard(batch.lease)
            batch.end()
        else:
            batch.wake()

    # ---- learning

    def may_start_batch(self) -> bool:
        """Whether a batchable request may take a connection now.

        If not, it waits to join a batch.
        """
        pool = self.pool
        if not self._single_thread and pool.open_count < pool.settings.max_connections:
            return True
        several = self._single_thread or (self._max_batches_until and MONOTONIC[0]() < self._max_batches_until)
        max_batches = self._max_batches if several else 1
        return pool.in_use() < max_batches

    def timed_out(self) -> None:
        """Allows one connection more for a while, because the last batch still has its own."""
        now = MONOTONIC[0]()
        if now - self._started_at >= FIRST_POLL_SECONDS:
            self._max_batches = self.pool.in_use() + 1
            self._max_batches_until = now + MORE_BATCHES_SECONDS

    def _use_one_batch(self) -> None:
        """Reduces the connections to one: a caller had to wait, so MAX_BATCHES were not enough."""
        if self._max_batches > 1 and MONOTONIC[0]() >= self._max_batches_until:
            self._max_batches, self._last_size = 1, BATCH_THRESHOLD

    def _learn_size(self, size: int) -> None:
        """Estimates the number of callers from the size of a batch."""
        before, self._last_size = self._last_size, size
        if size > 1:
            self._use_one_batch()
        if self._max_batches == 1 and before + size < BATCH_THRESHOLD:
            self._max_batches = MAX_BATCHES
