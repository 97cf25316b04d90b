"""Leases, and which of them are due for renewal. Threads and asyncio send the renewals."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections import deque
from typing import Any, Callable, Deque, List, Optional, Set, Tuple

from . import frames
from .affinity import PROCESS, current_process
from .clock import MONOTONIC
from .frames import Reply
from .requests import Request

# A lease is renewed when this part of it has passed, and after a failure again when so much more of
# it has.
RENEW_AFTER = 1 / 3
AGAIN_AFTER = 1 / 12
NEVER = float("inf")


class Lease:
    """What a thread, greenlet or task of this process has for a time, and may have renewed."""

    # Makes the request that renews it, for a time in milliseconds.
    renewing: Callable[[int], Request[Any]]

    def __init__(self, owner: Any, ttl: int, max_hold: Optional[float]) -> None:
        """Ttl is in milliseconds, max_hold in seconds."""
        self.token = os.urandom(16)
        self.process = current_process()
        self.ttl = ttl
        self.due_at = NEVER  # when it is to be renewed, by MONOTONIC
        self.released = False
        self._owner = weakref.ref(owner)
        self._max_hold = max_hold
        self._hold_until = NEVER  # when max_hold is over
        self._until = 0.0  # when the lease ends at the earliest
        self._lost = False
        self.reference: weakref.ReferenceType[Lease] = weakref.ref(self)

    def granted(self, since: float) -> None:
        """The lease has begun at this time, by MONOTONIC, or later."""
        if self._max_hold is not None:
            self._hold_until = since + self._max_hold
        self._until = since + self.ttl / 1000
        self.due_at = since + self.ttl / 1000 * RENEW_AFTER

    def is_young(self) -> bool:
        """Whether it is too early to renew it."""
        return MONOTONIC[0]() <= self.due_at

    @property
    def lost(self) -> bool:
        """Whether the lease has ended, or may have ended because it was not renewed."""
        return self._lost or self.is_inherited() or MONOTONIC[0]() >= self._until

    def is_owned_by(self, owner: Any) -> bool:
        """Whether owner has it, or has had it in the process that was forked."""
        return owner is not None and self._owner() is owner

    def has_owner(self) -> bool:
        """Whether its owner still runs."""
        return _is_alive(self._owner())

    def is_inherited(self) -> bool:
        """Whether it is the parent's, and this process is a forked child."""
        return bool(self.process != PROCESS[0])

    def is_kept(self) -> bool:
        """Whether it is to be renewed: its owner lives and has not released it."""
        return not self.released and not self.lost and self.has_owner()

    def next_ttl(self, now: float) -> int:
        """The time to renew the lease for, in milliseconds; 0 or less if max_hold is over."""
        return int(min(self.ttl, (self._hold_until - now) * 1000))

    def answered(self, reply: Optional[Reply], asked_at: float, ttl: int) -> None:
        """Takes the reply to a renewal for ttl milliseconds; None: there was none."""
        if reply is not None and reply.status == frames.OK:
            self._until = asked_at + ttl / 1000
            self.due_at = asked_at + self.ttl / 1000 * RENEW_AFTER
        elif reply is not None and reply.status == frames.LOCK_LOST:
            self._lost, self.due_at = True, NEVER
        else:
            self.due_at = MONOTONIC[0]() + self.ttl / 1000 * AGAIN_AFTER


def _is_alive(owner: Any) -> bool:
    """Whether a thread, greenlet or task still runs."""
    if owner is None:
        return False
    if isinstance(owner, asyncio.Future):
        return not owner.done()
    if isinstance(owner, threading.Thread):
        # is_alive() does not see the end of a thread that Python has not started.
        return owner.is_alive() and owner.ident in sys._current_frames()
    return not getattr(owner, "dead", False)


class Renewals:
    """The leases that are renewed. It forgets a lease that nobody refers to any more.

    Any thread may call add and discard; one thread, or the event loop, the rest.
    """

    def __init__(self) -> None:
        self._next_at = NEVER  # when the first one is due; earlier does no harm
        self._added: Deque[float] = deque()  # when those are due that callers have added
        self._active: Set[weakref.ReferenceType[Lease]] = set()

    def __bool__(self) -> bool:
        return bool(self._active)

    @property
    def next_at(self) -> float:
        """When the first lease is due, or earlier."""
        while self._added:
            self.hasten(self._added.popleft())
        return self._next_at

    def add(self, lease: Lease) -> bool:
        """Begins to renew a lease that was granted. Whether it is now the first one that is due."""
        lease.reference = weakref.ref(lease, self._active.discard)
        self._active.add(lease.reference)
        self._added.append(lease.due_at)  # one thread alone writes _next_at
        return lease.due_at < self._next_at

    def discard(self, lease: Lease) -> None:
        """Ends the renewal of a lease."""
        lease.released = True
        self._active.discard(lease.reference)

    def hasten(self, due_at: float) -> None:
        """Makes sure that next_at is not after due_at."""
        self._next_at = min(self._next_at, due_at)

    def due(self, now: float) -> List[Tuple[Lease, int]]:
        """The leases to be renewed now, and for how many milliseconds; answered() is to follow."""
        found: List[Tuple[Lease, int]] = []
        self._next_at = NEVER  # before the leases are read: add() may run meanwhile
        for reference in list(self._active):
            lease = reference()
            if lease is None or not lease.is_kept():
                self._active.discard(reference)
                continue
            if lease.due_at <= now:
                ttl = lease.next_ttl(now)
                if ttl <= 0:
                    self._active.discard(reference)
                    continue
                lease.due_at = NEVER
                found.append((lease, ttl))
            self.hasten(lease.due_at)
        return found
