"""Locks and semaphores for threads and greenlets; aio_lock.py is their counterpart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from . import lock_requests
from .clock import MONOTONIC
from .errors import ConnectionLost, LockTimeout
from .expiry import Duration
from .holds import BaseLock, Hold, chain, may_hold, rest_of
from .lock_requests import Holders

if TYPE_CHECKING:
    from .proxy import Proxy


class Lock(BaseLock):
    """A lock in the server, which all its clients share; use it in `with`.

    >>> with proxy.lock("nightly report", ttl=30, wait=10) as lock:
    ...     d.fenced(lock)["today"] = "a report"

    The methods are those of threading.Lock. The server gives the lock to the caller that has waited
    longest, for a lease of ttl. A thread of the client renews the lease while the thread or
    greenlet that acquired the lock lives. Threads may share one Lock: each has, and releases, what
    it has acquired itself. When the client is closed, leases are not renewed any more.
    """

    def __init__(
        self,
        proxy: Proxy,
        name: str,
        ttl: Duration,
        wait: Optional[Duration],
        renew: bool,
        max_hold: Optional[Duration],
        reentrant: bool,
        n: int = 1,
    ) -> None:
        super().__init__(name, ttl, wait, renew, max_hold, reentrant, n)
        self._proxy: Proxy = proxy

    def acquire(self, blocking: bool = True, timeout: Duration = -1) -> bool:
        """Acquires the lock; returns whether it did.

        It waits for the time that the lock was made with, for timeout seconds, or not at all.
        Errors: those of each request; LockLost if a reentrant lock was lost by the caller;
        ValueError if blocking is False and there is a timeout.

        >>> lock = proxy.lock("nightly report")
        >>> if lock.acquire(blocking=False):
        ...     lock.release()
        """
        wait = self._wait_of(blocking, timeout)
        owner = self._owner()
        if self._enter_again(owner):
            return True
        began = MONOTONIC[0]()
        while (acquired := self._try(owner, rest_of(wait, began))) is None:
            pass
        return acquired

    def _try(self, owner: Any, wait: Optional[int]) -> Optional[bool]:
        """Whether it acquires the lock; None if that was lost before this process noticed it."""
        hold, asked_at = self._new_hold(owner), MONOTONIC[0]()
        try:
            fence = self._proxy._perform_waiting(self._acquiring(hold, wait))
            if fence is None:
                return False
            hold.fence = fence
            hold.granted(asked_at)
            if not hold.is_young():
                asked_at = MONOTONIC[0]()
                if not self._confirm(hold, self._holders(), asked_at):
                    return None
            self._add(hold)
            if self._renew:
                self._proxy._client.background.renew(hold)
        except BaseException as e:
            if hold.fence or may_hold(e):
                self._abandon(hold)
            raise
        return True

    def release(self) -> None:
        """Releases what the caller has acquired.

        Errors: LockLost if the lease had ended, or may have ended while the connection was lost, or
        if a forked child releases what its parent has; RuntimeError if the caller holds nothing,
        also if another thread does.
        """
        hold = self._to_release(self._owner())
        if hold is None:
            return
        try:
            self._drop(hold)
            self._proxy._client.background.renewals.discard(hold)
            was_held = self._unlock(hold)
        except BaseException:
            if not hold.is_inherited():
                self._abandon(hold)
            raise
        if not was_held:
            raise self._was_lost()

    def _unlock(self, hold: Hold) -> bool:
        """Whether hold lasted until now. Afterwards, it is over."""
        try:
            return self._proxy._send(self._unlocking(hold))
        except ConnectionLost:
            # Perhaps the first request has released it.
            return self._proxy._send(self._unlocking(hold)) or not hold.lost

    def locked(self) -> bool:
        """Whether anybody holds it, in any process. It may have changed when this returns."""
        return bool(self._holders().held)

    def _holders(self) -> Holders:
        return self._proxy._perform(lock_requests.lock_holders(self._encoded))

    def __enter__(self) -> Lock:
        if not self.acquire():
            raise LockTimeout(f"lock {self._name!r} did not become free within {(self._wait or 0) / 1000} s")
        return self

    def __exit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        try:
            self.release()
        except Exception as e:
            if exc is None:
                raise
            chain(exc, e)

    def _owner(self) -> Any:
        return self._proxy._client.background.owner()

    def _abandon(self, hold: Hold) -> None:
        """Gives back what an interrupted caller has acquired, or has not released."""
        hold.released = True
        if hold in self._holds:
            self._holds.remove(hold)
        background = self._proxy._client.background
        background.renewals.discard(hold)
        background.give_back(self._unlocking(hold))
