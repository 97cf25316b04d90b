"""What locks of threads and of asyncio have in common: their settings and what they hold."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from . import lock_requests
from .affinity import PROCESS
from .clock import MONOTONIC
from .errors import CyberDBError, DisconCyberDBError, LockLost
from .expiry import Duration, milliseconds, wait_milliseconds
from .leases import Lease
from .lock_requests import Holders
from .requests import Request, WaitingRequest

if TYPE_CHECKING:
    from .table import Prepare

MAX_SEMAPHORE = 1024


class Hold(Lease):
    """One acquisition of a lock."""

    fence = 0
    count = 1  # acquisitions of a reentrant lock


class BaseLock:
    """The settings of a lock or semaphore, and what its users in this process hold."""

    _proxy: Any

    def __init__(
        self,
        name: str,
        ttl: Duration,
        wait: Optional[Duration],
        renew: bool,
        max_hold: Optional[Duration],
        reentrant: bool,
        n: int,
    ) -> None:
        """Errors: TypeError and ValueError, which name the argument."""
        self._encoded = lock_requests.name_of(name, "lock")
        self._name, self._renew, self._reentrant = name, bool(renew), bool(reentrant)
        self._ttl = milliseconds(ttl, "ttl")
        self._wait = wait_milliseconds(wait)
        held = None if max_hold is None else milliseconds(max_hold, "max_hold")
        if held is not None:
            self._ttl = min(self._ttl, held)
        self._max_hold = None if held is None else held / 1000
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n is an int, not {type(n).__name__}")
        if not 0 < n <= MAX_SEMAPHORE:
            raise ValueError(f"n must be 1 to {MAX_SEMAPHORE}, got {n}")
        self._n = n
        self._holds: List[Hold] = []  # each change is one operation of the list

    def __reduce__(self) -> Tuple[Any, ...]:
        """A copy, also from a pickle, is the same lock, of which nothing is held."""
        times = (self._ttl, self._wait, None if self._max_hold is None else self._max_hold * 1000)
        ttl, wait, max_hold = (None if time is None else timedelta(milliseconds=time) for time in times)
        return type(self), (self._proxy, self._name, ttl, wait, self._renew, max_hold, self._reentrant, self._n)

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._name

    @property
    def fence(self) -> Optional[int]:
        """The fencing token of the caller's hold; None if there is none, as in a forked child.

        Each acquisition of a lock gets a larger one, over restarts of the server too.
        """
        hold = self._mine(self._owner())
        return None if hold is None or hold.is_inherited() else hold.fence

    @property
    def lost(self) -> bool:
        """Whether the caller's lease has ended, or may have ended because it was not renewed.

        False if the caller, which is a thread, greenlet or task, does not hold the lock.
        """
        hold = self._mine(self._owner())
        return hold is not None and hold.lost

    def fencing(self) -> Prepare:
        """What makes a request fail unless the caller's present hold lasts; see CyberDict.fenced.

        Errors: LockLost if the caller does not hold the lock; that function's: LockLost in a forked
        child.
        """
        hold = self._mine(self._owner())
        if hold is None:
            raise LockLost(f"lock {self._name!r} is not held by the caller: it has no fence")
        if hold.is_inherited():
            raise self._of_parent()
        fence, process = hold.fence, hold.process  # not the hold: what nothing refers to is not renewed

        def fence_request(request: Request[Any]) -> Request[Any]:
            if process != PROCESS[0]:
                raise self._of_parent()
            return lock_requests.if_fence(request, self._name, fence)

        return fence_request

    def __repr__(self) -> str:
        hold = self._mine(self._owner())
        state = "not held by the caller" if hold is None else "lost" if hold.lost else f"held, fence {hold.fence}"
        return f"<{type(self).__name__} {self._name!r}: {state}>"

    def _owner(self) -> Any:
        """The caller: its thread, greenlet or task."""
        raise NotImplementedError

    def _mine(self, owner: Any) -> Optional[Hold]:
        """The newest hold of owner; in a forked child, perhaps one that its parent has."""
        for hold in self._holds[::-1]:
            if hold.is_owned_by(owner):
                return hold
        return None

    def _enter_again(self, owner: Any) -> bool:
        """Whether the lock is reentrant and owner holds it already; then it is counted."""
        if not self._reentrant:
            return False
        for hold in self._holds:
            if hold.is_owned_by(owner) and not hold.is_inherited():
                if hold.lost:
                    raise LockLost(f"lock {self._name!r} was lost while it was held: release it first")
                hold.count += 1
                return True
        return False

    def _new_hold(self, owner: Any) -> Hold:
        hold = Hold(owner, self._ttl, self._max_hold)
        name, token = self._encoded, hold.token
        hold.renewing = lambda ttl: lock_requests.renew_lock(name, token, ttl)
        return hold

    def _acquiring(self, hold: Hold, wait: Optional[int]) -> WaitingRequest[Optional[int]]:
        return lock_requests.lock(self._encoded, hold.token, self._ttl, wait, self._n)

    def _add(self, hold: Hold) -> None:
        """Notes a hold, and forgets those that can be released by no caller any more."""
        for other in self._holds[::-1]:
            if other.lost and not other.has_owner():
                with suppress(ValueError):  # another thread has forgotten it
                    self._holds.remove(other)
        self._holds.append(hold)

    def _confirm(self, hold: Hold, holders: Holders, asked_at: float) -> bool:
        """Takes the reply to a question for the holders, which was asked at this time, about hold.

        Whether it lasts. A grant is as old as the wait for it at most; if that was long, perhaps
        because this process was stopped, the lease may have ended meanwhile.
        """
        for fence, left in holders.held:
            if fence == hold.fence:
                hold.granted(asked_at + left - self._ttl / 1000)
                return True
        return False

    def _to_release(self, owner: Any) -> Optional[Hold]:
        """The hold of owner, to be released; None if it is held on, being reentrant.

        Errors: RuntimeError if owner holds nothing.
        """
        hold = self._mine(owner)
        if hold is None:
            raise RuntimeError(f"lock {self._name!r} is not held by the caller: it cannot be released")
        if self._reentrant and hold.count > 1:
            hold.count -= 1
            return None
        return hold

    def _drop(self, hold: Hold) -> None:
        """Ends a hold in this process. Errors: LockLost in a forked child."""
        hold.released = True
        with suppress(ValueError):  # another thread has released it
            self._holds.remove(hold)
        if hold.is_inherited():
            raise self._of_parent()

    def _of_parent(self) -> LockLost:
        return LockLost(f"lock {self._name!r} belongs to the parent process: a forked child owns nothing")

    def _unlocking(self, hold: Hold) -> Request[bool]:
        return lock_requests.unlock(self._encoded, hold.token)

    def _was_lost(self) -> LockLost:
        return LockLost(f"lock {self._name!r} was lost before it was released: its lease had ended")

    def _wait_of(self, blocking: bool, timeout: Duration) -> Optional[int]:
        """The wait for acquire(), in milliseconds. Errors: those of threading.Lock.acquire."""
        if not blocking:
            if timeout != -1:
                raise ValueError("can't specify a timeout for a non-blocking call")
            return 0
        return self._wait if timeout == -1 else wait_milliseconds(timeout, "timeout")


def rest_of(wait: Optional[int], since: float) -> Optional[int]:
    """What is left of a wait, which is in milliseconds and began at a time by MONOTONIC."""
    return None if wait is None else max(0, wait - int((MONOTONIC[0]() - since) * 1000))


def may_hold(e: BaseException) -> bool:
    """Whether, after a request for a lock has failed with e, it may have been granted."""
    return isinstance(e, DisconCyberDBError) or not isinstance(e, (CyberDBError, TypeError, ValueError))


def chain(error: BaseException, release_error: Exception) -> None:
    """Keeps the error of the release with that of the body of a `with`, which is the one raised."""
    if error.__cause__ is None and error is not release_error:
        error.__cause__ = release_error
