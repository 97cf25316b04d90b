"""Sockets with timeouts for PyPy, whose own sockets restart a timeout after each signal."""

from __future__ import annotations

import math
import platform
import select
import socket
from typing import Any, Callable, Optional, TypeVar

from .clock import MONOTONIC

T = TypeVar("T")


class DeadlineSocket:
    """The methods of a socket that the client uses. Signals do not prolong its timeouts."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout = sock.gettimeout()
        self.fileno, self.close = sock.fileno, sock.close
        self.shutdown, self.setsockopt = sock.shutdown, sock.setsockopt
        sock.setblocking(False)

    def settimeout(self, timeout: Optional[float]) -> None:
        """As socket.settimeout."""
        self._timeout = timeout

    def setblocking(self, blocking: bool) -> None:
        """As socket.setblocking."""
        self._timeout = None if blocking else 0.0

    def recv(self, size: int) -> bytes:
        """As socket.recv."""
        return self._in_time(select.POLLIN, lambda: self._sock.recv(size))

    def send(self, data: Any, flags: int = 0) -> int:
        """As socket.send."""
        return self._in_time(select.POLLOUT, lambda: self._sock.send(data, flags))

    def sendall(self, data: bytes) -> None:
        """As socket.sendall, but the timeout applies to each piece that the system takes."""
        left = memoryview(data)
        while left:
            left = left[self.send(left) :]

    def _in_time(self, event: int, call: Callable[[], T]) -> T:
        """Repeats call until it succeeds, and polls for event in between."""
        deadline = None if self._timeout is None else MONOTONIC[0]() + self._timeout
        while True:
            try:
                return call()
            except BlockingIOError:
                left = None if deadline is None else deadline - MONOTONIC[0]()
                if left is not None and left <= 0:
                    raise socket.timeout("timed out") from None
            poll = select.poll()
            poll.register(self._sock, event)
            poll.poll(None if left is None else math.ceil(left * 1000))


def with_deadline(sock: socket.socket) -> Any:
    """A socket whose timeouts hold when signals arrive: sock itself, except on PyPy."""
    if platform.python_implementation() == "PyPy" and hasattr(select, "poll"):
        return DeadlineSocket(sock)
    return sock
