"""A caller that waits for a connection, and the check whether it waits for itself."""

from __future__ import annotations

import gc
import platform
import sys
import threading
from types import CodeType
from typing import Any, Deque, List, Optional, Set

from .clock import MONOTONIC
from .connection import Connection
from .settings import Settings

# A lease holds no connection or one. A connection moves by lease.append(other.pop()), so it is
# never in a local variable, which the frame of a traceback could keep alive after an interrupt. It
# is in one lease, or among the pool's idle connections, or it is freed and its slot with it.
Lease = List[Connection]

# Without reference counts (PyPy), a dropped connection keeps its slot until a garbage collection.
# Waiting callers run one, but not more often than this.
_COLLECT_SECONDS = None if platform.python_implementation() == "CPython" else 2.0
_collected_at = [0.0]


def collect() -> None:
    """Frees the slots of dropped connections, for a caller that has waited for some time."""
    if _COLLECT_SECONDS is not None and MONOTONIC[0]() - _collected_at[0] > _COLLECT_SECONDS:
        _collected_at[0] = MONOTONIC[0]()
        gc.collect()


class Waiter:
    """A caller that waits for a connection.

    Each has its own lock, so a waiter blocks no other caller.
    """

    exclusive = True  # it does not share its connection with other callers
    done = False  # it needs no connection any more
    queued = True  # it is in the pool's queue
    polls = False  # it wakes up by itself from time to time
    check_requested = False  # another waiter asks it to check is_reentrant
    checked = False  # it has checked is_reentrant

    def __init__(self) -> None:
        self.began = MONOTONIC[0]()
        self._lock = lock = threading.Lock()
        lock.acquire()

    def wait(self, timeout: Optional[float]) -> bool:
        """Waits until wake is called. False if timeout, in seconds, has passed first."""
        if timeout is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=timeout)

    def wake(self) -> None:
        """Ends the current wait, or the next one."""
        lock = self._lock
        if lock.locked():
            try:
                lock.release()
            except RuntimeError:  # another caller has released it
                return

    def leave(self, queue: Deque[Waiter]) -> None:
        """Removes the waiter from a pool's queue, if it is in it."""
        self.queued = False
        try:
            queue.remove(self)
        except ValueError:
            return

    def eligible(self) -> bool:
        """Whether the waiter may take a connection, if there is one."""
        return True

    def take_over(self, lease: Lease) -> bool:  # noqa: ARG002
        """Moves the connection on which its request was already sent into lease, if it is free."""
        return False

    def timed_out(self) -> None:
        """The pool calls it when a wait has timed out without a connection."""

    def deadline(self, settings: Settings) -> Optional[float]:
        """When the whole wait ends, by MONOTONIC; None: never."""
        return None if settings.pool_timeout is None else self.began + settings.pool_timeout

    def withdraw(self) -> bool:
        """Withdraws the request. False if it may have been sent already."""
        return True


# The code of each method of a client that sends requests. One of them is on the stack of each
# request.
ENTRY_POINTS: Set[CodeType] = set()


def is_reentrant() -> bool:
    """Whether the caller is a signal handler or finalizer inside a request of its client.

    Its stack then holds a connection that it could wait for in vain.
    """
    client: Any = None
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code in ENTRY_POINTS:
            other = frame.f_locals["self"]
            if other is client:
                return True
            client = client or other
        frame = frame.f_back
    return False
