"""The requests that wait in the background of a client, and the connections they were sent on."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from .clock import MONOTONIC
from .connection import Connection
from .errors import CyberDBError
from .frames import Reply
from .requests import Request
from .waiter import Waiter


class Call(Waiter):
    """One request on the shared connection, and its caller."""

    reply: Optional[Reply] = None
    error: Optional[Exception] = None
    cancelled = False  # the caller has gone: what the reply brings is to be given back
    unwanted = False  # no caller waits: it is sent to give back what its reply brings
    taken = False  # the thread has it: a call that is posted twice is sent once
    link: Optional[Link] = None  # on which it was sent

    def __init__(
        self,
        request: Request[Any],
        milliseconds: int,
        notify: Optional[Callable[[Call], None]] = None,
        only_on: Optional[Link] = None,
    ) -> None:
        """Milliseconds is the deadline in the server, 0 for none.

        notify is called in the background before the caller learns that the call is done. With
        only_on, it is not sent on any other connection.
        """
        super().__init__()
        self.request, self.milliseconds, self.only_on = request, milliseconds, only_on
        self.request_id = 0
        self.joined: Deque[Waiter] = deque()  # other callers that wait until it is done
        self._notify = notify

    def complete(self, reply: Optional[Reply], error: Optional[Exception]) -> None:
        """Ends the wait with a reply, or with an error. Only the first call has an effect."""
        if self.done:
            return
        self.reply, self.error = reply, error
        try:
            if self._notify is not None:
                self._notify(self)
        except Exception as e:  # of this call alone: the background works for others too
            self.reply, self.error = None, e
        finally:
            self.done = True
            self.wake()
            for other in list(self.joined):
                other.wake()


class Link:
    """A connection of the background, and the calls that wait for a reply on it."""

    def __init__(self, connection: Connection, until: Optional[float] = None) -> None:
        """Until is when it is closed, by MONOTONIC; None: it stays."""
        self.connection, self.until = connection, until
        self.outstanding: Dict[int, Call] = {}
        self.heard_at = MONOTONIC[0]()  # when the last reply came
        self.beat_at = 0.0  # when the last PING without a reply was sent; 0: none

    def send(self, calls: List[Call]) -> None:
        """Sends requests. Errors: those of Connection.send_together."""
        framed: List[Tuple[int, bytes]] = []
        for call in calls:
            try:
                framed.append(self.connection.framed(call.request, call.milliseconds))
            except CyberDBError as e:  # TooLarge
                call.complete(None, e)
                continue
            call.link, call.request_id = self, framed[-1][0]
            self.outstanding[call.request_id] = call
        if framed:
            self.connection.send_together(framed)
