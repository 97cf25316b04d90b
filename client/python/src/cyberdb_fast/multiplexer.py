"""The multiplexer: under gevent, the small requests of all greenlets share a connection.

A greenlet leaves its request here and lets the event loop run. When the greenlets that can run have
done so, the loop sends what they have left in one write. It reads the replies together as well, and
lets their callers continue in turn. So a request takes a part of two system calls, and no lock.

A lane is a connection of the pool while replies are due on it. A lane without a reply for
STALL_SECONDS gets no more requests for now: the server is busy with a long request, or waits for
its disk. The next ones use another lane, up to MAX_LANES.

It needs gevent's default loop, libev: on libuv, a watcher may miss that a connection has ended.

As in pool.py, there is no lock, and an exception may interrupt any byte code: then a timer finds
the callers that nothing else would wake.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, Deque, Dict, List, Optional

from .affinity import PROCESS
from .clock import MONOTONIC
from .connection import no_reply
from .errors import ConnectionLost, CyberDBError, DisconCyberDBError
from .frames import Reply
from .pool import Pool
from .requests import Request
from .waiter import Lease, is_reentrant

STALL_SECONDS = 0.002
MAX_LANES = 8
# Limits of what is sent in one write.
MAX_REQUESTS, MAX_BYTES = 64, 64 << 10
# The timer fires this often, or in this part of a shorter request_timeout.
CHECK_SECONDS, CHECK_PART = 1.0, 8
READABLE, WRITABLE = 1, 2  # events of gevent's loops


def multiplexer_of(pool: Pool) -> Optional[Multiplexer]:
    """A multiplexer for the pool of an event loop; None if callers are threads or on libuv."""
    if not pool.timers_are_expensive:
        return None
    import gevent

    return Multiplexer(pool) if "libev" in type(gevent.get_hub().loop).__module__ else None


class Exchange:
    """A request, and the greenlet that waits for its reply."""

    reply: Optional[Reply] = None
    error: Optional[Exception] = None
    done = False  # it has its reply or its error
    waits = False  # its greenlet waits, and for nothing else
    opens = False  # its greenlet is asked to open a lane
    gone = False  # its greenlet was interrupted

    def __init__(self, request: Request[Any], greenlet: Any) -> None:
        self.request, self.greenlet = request, greenlet

    def complete(self, reply: Optional[Reply], error: Optional[Exception]) -> None:
        """Ends the wait when its greenlet continues. Only the first call has an effect."""
        if not self.done:
            self.reply, self.error, self.done = reply, error, True


class Lane:
    """A connection, and the requests whose replies are due on it."""

    def __init__(self, lease: Lease, loop: Any) -> None:
        self.lease, self.loop = lease, loop
        self.outstanding: Dict[int, Exchange] = {}
        self.unsent = b""  # for which the socket had no room
        # When the last reply came, or the first request was sent; the second is on the loop's
        # clock, which stands still between two polls.
        self.heard_at = self.polled_at = 0.0
        socket = lease[0].socket
        socket.settimeout(0.0)
        self.reader = loop.io(socket.fileno(), READABLE)
        self.writer: Any = None  # listens while there is something unsent

    def heard(self) -> None:
        """Notes that a reply came, or that the first request is sent."""
        self.heard_at, self.polled_at = MONOTONIC[0](), self.loop.now()

    def stalled(self) -> bool:
        """Whether the loop has polled for replies in vain for some time."""
        return bool(self.outstanding) and self.loop.now() - self.polled_at > STALL_SECONDS

    def end(self) -> None:
        """Stops listening."""
        self.reader.stop()
        self.reader.close()
        self.end_writer()

    def end_writer(self) -> None:
        """Stops listening for room in the socket."""
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.stop()
            writer.close()


class Multiplexer:
    """Sends the small requests of the greenlets of one event loop."""

    def __init__(self, pool: Pool) -> None:
        import gevent

        self._pool = pool
        self._greenlet, self._hub = gevent.getcurrent, gevent.get_hub
        self._queue: Deque[Exchange] = deque()  # not sent yet
        self._ready: Deque[Exchange] = deque()  # done; their greenlets are to continue
        self._lanes: List[Lane] = []
        self._scheduled = False  # the loop will call _flush
        self._opener: Optional[Exchange] = None  # whose greenlet opens a lane now
        self._timer: Any = None

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a connection, besides one that waits in the pool."""
        return 0 if self._opener is None else max(0, len(self._queue) - 1)

    @property
    def idle(self) -> int:
        """The number of its connections on which no reply is due."""
        return sum(not lane.outstanding for lane in self._lanes)

    def exchange(self, request: Request[Any]) -> Reply:
        """Sends a small request and returns its reply.

        Errors: DisconCyberDBError, PoolTimeout; those of Connection.open and Connection.exchange.
        """
        if self._pool.closed:
            raise DisconCyberDBError("the client is closed")
        if self._opener is not None and is_reentrant():
            return self._alone(request)
        one = Exchange(request, self._greenlet())
        hub = self._hub()
        try:
            self._queue.append(one)
            if not self._lanes and self._opener is None:
                self._open(one, hub.loop)
            elif not self._scheduled:
                self._schedule(hub.loop)
            while not one.done:
                one.waits = True
                hub.switch()
                one.waits = False
                if one.opens:
                    self._open(one, hub.loop)
        except BaseException:
            one.waits = False
            try:
                self._leave(one, hub.loop)
            except BaseException:  # another interrupt
                self._leave(one, hub.loop)
                raise
            raise
        if one.reply is None:
            raise one.error or RuntimeError("an exchange is done but has no reply")
        return one.reply

    def _alone(self, request: Request[Any]) -> Reply:
        """Sends a request of a signal handler: it must not wait for its own greenlet."""
        lease: Lease = []
        try:
            reply = self._pool.acquire(lease)[0].exchange(request)
            self._pool.release(lease)
        except BaseException:
            self._pool.discard(lease)
            raise
        return reply

    def _leave(self, one: Exchange, loop: Any) -> None:
        """Forgets a caller that was interrupted, and lanes on which no other caller waits."""
        one.gone = True
        if self._opener is one:
            self._opener = None
        if one in self._queue:
            self._queue.remove(one)
        self._schedule(loop)
        for lane in list(self._lanes):
            if lane.outstanding and all(other.gone for other in lane.outstanding.values()):
                self._drop(lane, ConnectionLost("the callers were interrupted"))

    def _schedule(self, loop: Any) -> None:
        """Makes the loop call _flush, after the greenlets that can run now."""
        loop.run_callback(self._flush)
        self._scheduled = True
        if self._timer is None:
            timeout = self._pool.settings.request_timeout
            seconds = CHECK_SECONDS if timeout is None else max(0.01, min(CHECK_SECONDS, timeout / CHECK_PART))
            timer = loop.timer(seconds, seconds, ref=False)
            timer.start(self._check)
            self._timer = timer

    # ---- lanes

    def _open(self, one: Exchange, loop: Any) -> None:
        """Opens a lane in the greenlet of one. If that fails, all that wait get the error."""
        lease: Lease = []
        self._opener, one.opens = one, False
        try:
            if not self._pool.take(lease):
                self._pool.acquire(lease)
            self._lanes.append(Lane(lease, loop))
        except CyberDBError as e:
            self._pool.discard(lease)
            if one in self._queue:
                one.complete(None, e)
            while self._queue:
                self._fail(self._queue[0], e)
                self._queue.popleft()
        except BaseException as e:
            self._pool.discard(lease)
            for lane in list(self._lanes):
                if lane.lease is lease:
                    self._drop(lane, e)
            raise
        finally:
            self._opener = None
            self._schedule(loop)

    def _lane(self) -> Optional[Lane]:
        """The lane for the next requests; None: one is to be opened first."""
        for lane in self._lanes:
            if not lane.stalled():
                return lane
        if not self._lanes or (len(self._lanes) < MAX_LANES and self._pool.has_available()):
            return None
        return min(self._lanes, key=lambda lane: len(lane.outstanding))

    def _release(self, lane: Lane) -> None:
        """Returns the connection of a lane to the pool: no reply is due."""
        self._lanes.remove(lane)
        lane.end()
        lane.lease[0].set_timeout()
        self._pool.release(lane.lease)

    def _drop(self, lane: Lane, e: BaseException) -> None:
        """Closes a lane; its callers get e."""
        if not isinstance(e, CyberDBError):
            e = ConnectionLost(
                f"the event loop was interrupted ({type(e).__name__}); the request may or may not have been applied"
            )
        if lane in self._lanes:
            self._lanes.remove(lane)
        lane.end()
        if isinstance(e, ConnectionLost):
            self._pool.drop_idle()  # before a waiter gets one of them
        self._pool.discard(lane.lease)
        for one in lane.outstanding.values():
            self._fail(one, e)
        lane.outstanding.clear()

    def _fail(self, one: Exchange, e: CyberDBError) -> None:
        """Ends the wait of a caller with an error like e."""
        error = type(e)(*e.args)
        error.__cause__ = e.__cause__  # retries.py looks at it
        one.complete(None, error)
        self._ready.append(one)
        self._hub().loop.run_callback(self._resume)

    def detach(self) -> None:
        """In a forked child: ends the waits for replies to the parent."""
        for lane in list(self._lanes):
            lane.end()
            for one in lane.outstanding.values():
                self._fail(one, ConnectionLost("the process was forked"))
        self._lanes.clear()

    # ---- in the loop

    def _resume(self) -> None:
        """Lets the greenlets continue that are ready."""
        while self._ready:
            self._switch_to(self._ready[0])
            self._ready.popleft()

    def _switch_to(self, one: Exchange) -> None:
        """Runs the greenlet of a caller until it waits again."""
        if one.waits:
            try:
                one.greenlet.switch()
            except BaseException:
                if one.waits:  # it was struck before the switch
                    self._ready.append(one)
                    self._hub().loop.run_callback(self._resume)
                self._hub().handle_error(one.greenlet, *sys.exc_info())

    def _flush(self) -> None:
        """Sends what greenlets have left, and releases the lanes that are not needed."""
        self._scheduled = False
        chosen = self._lane() if self._queue else None
        for idle in [lane for lane in self._lanes if lane is not chosen and not lane.outstanding]:
            self._release(idle)
        if chosen is None:
            self._ask_for_lane()
            return
        try:
            self._send(chosen)
        except BaseException as e:
            self._drop(chosen, e)
            if not isinstance(e, CyberDBError):
                raise
        if self._queue:
            self._schedule(chosen.loop)

    def _ask_for_lane(self) -> None:
        """Lets a caller open a lane: the loop must not wait."""
        if self._opener is None:
            for one in self._queue:
                if one.waits:
                    one.opens = True
                    self._switch_to(one)
                    return

    def _send(self, lane: Lane) -> None:
        """Sends the first requests in the queue. Errors: those of Connection.send_now."""
        connection = lane.lease[0]
        frames: List[bytes] = []
        size = 0
        if not lane.outstanding:
            lane.loop.update_now()
            lane.heard()
        while self._queue and len(frames) < MAX_REQUESTS and size < MAX_BYTES:
            one = self._queue[0]
            try:
                if not one.done:
                    number, frame = connection.framed(one.request)
                    lane.outstanding[number] = one
                    frames.append(frame)
                    size += len(frame)
            except CyberDBError as e:  # TooLarge
                self._fail(one, e)
            self._queue.popleft()
        if frames:
            if not lane.reader.active:
                lane.reader.start(self._read, lane)
            lane.unsent += connection.sealed(frames)
            self._write(lane)

    def _write(self, lane: Lane) -> None:
        lane.unsent = lane.unsent[lane.lease[0].send_now(lane.unsent) :]
        if lane.unsent and lane.writer is None:
            lane.writer = lane.loop.io(lane.lease[0].socket.fileno(), WRITABLE)
            lane.writer.start(self._write_more, lane)

    def _write_more(self, lane: Lane) -> None:
        """Sends the rest, now that the socket has room."""
        try:
            lane.end_writer()
            self._write(lane)
        except BaseException as e:
            self._drop(lane, e)
            if not isinstance(e, CyberDBError):
                raise

    def _read(self, lane: Lane) -> None:
        """Reads replies, and lets their callers continue."""
        if PROCESS[0] != self._pool.owner[0]:  # C code has forked
            lane.end()
            return
        outstanding = lane.outstanding
        try:
            for reply in lane.lease[0].receive_now():
                one = outstanding.get(reply.id)
                if one is None:
                    lane.lease[0].reject(reply)
                one.complete(reply, None)
                self._ready.append(one)
                del outstanding[reply.id]
            lane.heard()
        except BaseException as e:
            self._drop(lane, e)
            if not isinstance(e, CyberDBError):
                raise
        self._resume()
        if self._queue:
            if not self._scheduled:
                self._schedule(lane.loop)
        elif not outstanding and lane in self._lanes:
            self._release(lane)

    def _check(self) -> None:
        """The timer: ends waits that last too long, and wakes what an interrupt has left."""
        timeout = self._pool.settings.request_timeout
        now = MONOTONIC[0]()
        for lane in list(self._lanes):
            if timeout is not None and lane.outstanding and now - lane.heard_at > timeout:
                self._drop(lane, no_reply(self._pool.settings))
            elif lane.outstanding and not lane.reader.active:  # an interrupt of _read has stopped it
                lane.reader.start(self._read, lane)
        self._resume()
        if self._queue or self._lanes:
            self._flush()
        elif self._timer is not None:
            timer, self._timer = self._timer, None
            timer.stop()
            timer.close()
