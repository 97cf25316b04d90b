"""One caller that waits for a connection, and whether it waits for itself."""

from __future__ import annotations

import gc
import platform
import sys
import threading
from types import CodeType
from typing import Any, Deque, List, Optional, Set

from .clock import REAL
from .connection import Connection
from .settings import Settings

# What a caller holds: no connection or one. It changes hands by lease.append(other.pop()), so that whatever an interrupt hits, no local variable
# of a frame that a traceback keeps holds it too: a connection is in one lease, or among the idle ones, or it dies, and its place is free.
Lease = List[Connection]

# Without reference counts (PyPy), a connection that was dropped keeps its place until a collection: those who wait have one this often at most.
_COLLECT_SECONDS = None if platform.python_implementation() == "CPython" else 2.0
_collected_at = [0.0]


def collect() -> None:
    """Frees the places of connections that were dropped, for a caller that has waited for some time."""
    if _COLLECT_SECONDS is not None and REAL[0]() - _collected_at[0] > _COLLECT_SECONDS:
        _collected_at[0] = REAL[0]()
        gc.collect()


class Waiter:
    """Waits for a connection of its own. It has a gate of its own, so nothing that waits holds a lock that others need."""

    alone = True  # it shares its connection with no other caller
    over = False  # it needs no connection any more
    queued = True  # in the queue of the pool
    timed = False  # it wakes up by itself
    asked = False  # to look whether it waits for itself
    looked = False

    def __init__(self) -> None:
        self.began = REAL[0]()
        self._gate = gate = threading.Lock()
        gate.acquire()

    def wait(self, timeout: Optional[float]) -> bool:
        """Returns when it is woken, or False when timeout has passed."""
        if timeout is None:
            return self._gate.acquire()
        return self._gate.acquire(timeout=timeout)

    def wake(self) -> None:
        """Ends the wait, or the next one."""
        gate = self._gate
        if gate.locked():
            try:
                gate.release()
            except RuntimeError:  # another was quicker
                return

    def leave(self, queue: Deque[Waiter]) -> None:
        """Takes it out of the queue of a pool, if it is there."""
        self.queued = False
        try:
            queue.remove(self)
        except ValueError:
            return

    def eligible(self) -> bool:
        """Whether it may have a connection, if there is one."""
        return True

    def inherit(self, lease: Lease) -> bool:  # noqa: ARG002
        """Takes over a connection on which its request is on the way already."""
        return False

    def lose_patience(self) -> None:
        """It has not been served for some time."""

    def deadline(self, settings: Settings) -> Optional[float]:
        """When its wait ends; None: never."""
        return None if settings.pool_timeout is None else self.began + settings.pool_timeout

    def withdraw(self) -> bool:
        """Whether nothing was done for it; then nothing will be."""
        return True


ENTRIES: Set[CodeType] = set()  # of the methods of a client that send requests: each is once on the stack of a request


def waits_for_itself() -> bool:
    """Whether the caller is a signal handler or a finalizer that has interrupted a request of the same client on its own stack."""
    client: Any = None
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code in ENTRIES:
            other = frame.f_locals["self"]
            if other is client:
                return True
            client = client or other
        frame = frame.f_back
    return False
