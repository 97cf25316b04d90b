"""Sockets for PyPy, whose own begin to wait anew, with the whole time, after each signal."""

from __future__ import annotations

import math
import platform
import select
import socket
from typing import Any, Callable, Optional, TypeVar

from .clock import REAL

T = TypeVar("T")


class PatientSocket:
    """What the client uses of a socket; no wait takes longer than its timeout, however many signals come meanwhile."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout = sock.gettimeout()
        self.fileno, self.close, self.shutdown, self.setsockopt = sock.fileno, sock.close, sock.shutdown, sock.setsockopt
        sock.setblocking(False)

    def settimeout(self, timeout: Optional[float]) -> None:
        """As that of sockets."""
        self._timeout = timeout

    def setblocking(self, blocking: bool) -> None:
        """As that of sockets."""
        self._timeout = None if blocking else 0.0

    def recv(self, size: int) -> bytes:
        """As that of sockets."""
        return self._in_time(select.POLLIN, lambda: self._sock.recv(size))

    def send(self, data: Any, flags: int = 0) -> int:
        """As that of sockets."""
        return self._in_time(select.POLLOUT, lambda: self._sock.send(data, flags))

    def sendall(self, data: bytes) -> None:
        """As that of sockets; each piece that the system takes has a time of its own."""
        left = memoryview(data)
        while left:
            left = left[self.send(left) :]

    def _in_time(self, event: int, call: Callable[[], T]) -> T:
        deadline = None if self._timeout is None else REAL[0]() + self._timeout
        while True:
            try:
                return call()
            except BlockingIOError:
                left = None if deadline is None else deadline - REAL[0]()
                if left is not None and left <= 0:
                    raise socket.timeout("timed out") from None
            poll = select.poll()
            poll.register(self._sock, event)
            poll.poll(None if left is None else math.ceil(left * 1000))


def patient(sock: socket.socket) -> Any:
    """A socket like sock whose waits end in time: sock itself, except on PyPy."""
    if platform.python_implementation() == "PyPy" and hasattr(select, "poll"):
        return PatientSocket(sock)
    return sock
