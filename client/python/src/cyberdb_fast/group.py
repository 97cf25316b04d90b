"""Callers that wait for a connection, and groups of them whose requests travel together on one.

One caller of a group leads: it sends all requests at once and reads until it has its own reply, giving the others theirs as they come. If
some are missing then, one of those who wait for them leads on.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Dict, List, Optional

from . import frames
from .connection import Connection, NotSent
from .errors import ConnectionLost, CyberDBError
from .frames import Reply
from .requests import Request

# A group is one batch, as of a pipeline, and none of its requests keeps the others waiting.
MAX_REQUESTS = 64
MAX_REQUEST_BYTES = 16 << 10


def may_travel(request: Request[Any]) -> bool:
    """Whether a request may share a connection with others: it is small, and answered at once whatever the table holds."""
    return request.opcode in frames.QUICK and not request.flags & frames.DURABLE and len(request.payload) <= MAX_REQUEST_BYTES


class Turn:
    """One waiting caller. It waits for a group to lead, for the reply to its request, or for an error."""

    group: Optional[Group] = None  # that it leads
    reply: Optional[Reply] = None
    error: Optional[Exception] = None
    over = False  # one of these has come
    # guarded by the pool's lock
    member_of: Optional[Group] = None  # that has its request
    keeps_time = False  # it wakes up by itself; the others count on it, or on who leads their group
    impatient = False  # the connection that it was to share did not come back in time
    gone = False  # it does not wait any more

    def __init__(self, request: Optional[Request[Any]]) -> None:
        """Without a request it wants a connection for itself."""
        self.request = request
        self.began = time.monotonic()
        self._gate = gate = threading.Lock()
        gate.acquire()

    def wait(self, timeout: Optional[float]) -> None:
        """Returns when it is over, when it is woken, or when timeout has passed."""
        if timeout is None:
            self._gate.acquire()
        else:
            self._gate.acquire(timeout=timeout)

    def wake(self) -> None:
        """Ends the wait; it may have been ended before."""
        if self._gate.locked():
            self._gate.release()

    def answer(self, reply: Reply) -> None:
        """Ends the wait with the reply to the caller's request."""
        self.reply, self.over = reply, True
        self.wake()

    def fail(self, error: Exception) -> None:
        """Ends the wait with an error."""
        self.error, self.over = error, True
        self.wake()


class Group:
    """Callers that share a connection until each has its reply. Used by the one that leads."""

    def __init__(self, turns: List[Turn], connection: Optional[Connection]) -> None:
        self.turns = turns  # the first leads first
        self.connection = connection  # none: one is to be opened
        self.due: Optional[Dict[int, Turn]] = None  # who has no reply, by the request's id; none: nothing was sent
        self.sent_at = 0.0
        self.passed_on = False  # another leads than the first
        self.busy = False  # between the first byte and a leader's last: nobody else knows where the connection stands

    def exchange(self, connection: Connection, leader: Turn) -> None:
        """Sends, if that is not done, and reads until the leader has its reply. Errors: those of Connection.exchange."""
        due = self.due
        if due is None:
            due = self._send(connection)
        else:
            connection.limit_waiting(self.sent_at)
        while leader.reply is None:
            for reply in connection.receive_some():
                turn = due.get(reply.id)
                if turn is None:
                    connection.refuse(reply)
                if turn is leader:
                    turn.reply = reply
                else:
                    turn.answer(reply)
                del due[reply.id]

    def _send(self, connection: Connection) -> Dict[int, Turn]:
        due: Dict[int, Turn] = {}
        framed = []
        for turn in self.turns:
            if turn.request is not None and not turn.gone:
                one = connection.framed(turn.request)
                due[one[0]] = turn
                framed.append(one)
        self.due = due
        self.sent_at = time.monotonic()
        connection.send_together(framed)
        return due

    def fail(self, e: BaseException, leader: Turn) -> None:
        """Ends the wait of all but the leader: e has ended the exchange."""
        turns = self.turns if self.due is None else self.due.values()
        for turn in list(turns):
            if turn.over:
                turn.wake()  # who was answering it may not have come to that
            elif turn is not leader:
                turn.fail(self._error(e))
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
