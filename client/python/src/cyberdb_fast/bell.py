"""What wakes a thread that waits for sockets."""

from __future__ import annotations

import math
import select
import socket
import time
from contextlib import suppress
from typing import Any, List, Optional


class Bell:
    """A pair of sockets: what is sent to one wakes the thread, which waits for the other too."""

    def __init__(self) -> None:
        """It is closed at first."""
        self._ends: List[socket.socket] = []
        self._button: Optional[socket.socket] = None

    def open(self) -> None:
        """Makes the sockets, unless it is open."""
        if self._ends:
            return
        self._ends = list(socket.socketpair())
        for end in self._ends:
            end.setblocking(False)
        self._button = self._ends[1]

    def ring(self) -> None:
        """Ends the present wait, or the next one, if it is open. Any thread may call it."""
        button = self._button
        if button is not None:
            with suppress(OSError, ValueError):  # it is full, or was closed just now
                button.send(b"\0")

    def wait(self, sockets: List[Any], seconds: float) -> List[bool]:
        """Waits until a socket is readable or the bell rings; says which of the sockets are."""
        ear = self._ends[0]
        rung, *ready = which_readable([ear, *sockets], seconds)
        if rung:
            with suppress(OSError):
                while ear.recv(4096):
                    pass
        return ready

    def close(self) -> None:
        """Closes the sockets."""
        self._button = None
        for end in self._ends:
            end.close()
        self._ends = []


def which_readable(sockets: List[Any], seconds: float) -> List[bool]:
    """Waits until a socket is readable, and says which are."""
    if seconds == 0:
        time.sleep(0)  # under gevent, others run
    if not hasattr(select, "poll"):
        ready = select.select(sockets, [], [], seconds)[0]
        return [one in ready for one in sockets]
    poll = select.poll()
    for one in sockets:
        poll.register(one, select.POLLIN)
    found = {descriptor for descriptor, _ in poll.poll(math.ceil(seconds * 1000))}
    return [one.fileno() in found for one in sockets]
