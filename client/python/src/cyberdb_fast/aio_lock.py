"""Locks and semaphores for asyncio; lock.py is their counterpart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Coroutine, Optional

from . import lock_requests
from .aio_time import current_task, finish
from .clock import MONOTONIC
from .errors import ConnectionLost, DisconCyberDBError, LockTimeout
from .expiry import Duration
from .holds import BaseLock, Hold, chain, may_hold, rest_of
from .lock_requests import Holders

if TYPE_CHECKING:
    from .aio import Proxy


class Lock(BaseLock):
    """A lock in the server, which all its clients share; use it in `async with`.

        async with proxy.lock("nightly report", ttl=30, wait=10) as lock:
            reports = await proxy.create_cyberdict("reports", exist_ok=True)
            await reports.fenced(lock).set("today", "a report")

    It is cyberdb_fast.Lock, whose owner is the task that calls acquire(), also if another one
    awaits it, as asyncio.wait_for and gather do. A task of the client renews the lease while the
    owner is not done.
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

    def acquire(self, blocking: bool = True, timeout: Duration = -1) -> Coroutine[Any, Any, bool]:
        """As cyberdb_fast.Lock.acquire."""
        return self._acquire(self._owner(), blocking, timeout)

    async def _acquire(self, caller: Any, blocking: bool, timeout: Duration) -> bool:
        wait = self._wait_of(blocking, timeout)
        owner = caller or self._owner()  # without a caller, as in asyncio.run(lock.acquire()): this task
        if self._enter_again(owner):
            return True
        began = MONOTONIC[0]()
        while (acquired := await self._try(owner, rest_of(wait, began))) is None:
            pass
        return acquired

    async def _try(self, owner: Any, wait: Optional[int]) -> Optional[bool]:
        """As cyberdb_fast.Lock._try."""
        hold, asked_at = self._new_hold(owner), MONOTONIC[0]()
        try:
            fence = await self._proxy._perform_waiting(self._acquiring(hold, wait))
            if fence is None:
                return False
            hold.fence = fence
            hold.granted(asked_at)
            if not hold.is_young():
                asked_at = MONOTONIC[0]()
                if not self._confirm(hold, await self._holders(), asked_at):
                    return None
        except BaseException as e:
            if hold.fence or may_hold(e):
                self._proxy._client.give_back(self._unlocking(hold))
            raise
        self._add(hold)
        if self._renew:
            self._proxy._client.keeper.renew(hold)
        return True

    def release(self) -> Coroutine[Any, Any, None]:
        """As cyberdb_fast.Lock.release. If it is cancelled, the lock is released all the same."""
        return self._release(self._owner())

    async def _release(self, caller: Any) -> None:
        hold = self._to_release(caller or self._owner())
        if hold is None:
            return
        self._drop(hold)
        self._proxy._client.keeper.discard(hold)
        if not await finish(self._unlock(hold)):
            raise self._was_lost()

    async def _unlock(self, hold: Hold) -> bool:
        """Whether hold lasted until now. Afterwards, it is over."""
        client = self._proxy._client
        try:
            try:
                return await client.perform(self._unlocking(hold))
            except ConnectionLost:
                # Perhaps the first request has released it.
                return await client.perform(self._unlocking(hold)) or not hold.lost
        except DisconCyberDBError:
            client.give_back(self._unlocking(hold))
            raise

    async def locked(self) -> bool:
        """Whether anybody holds it, in any process."""
        return bool((await self._holders()).held)

    async def _holders(self) -> Holders:
        return await self._proxy._perform(lock_requests.lock_holders(self._encoded))

    async def __aenter__(self) -> Lock:
        if not await self.acquire():
            raise LockTimeout(f"lock {self._name!r} did not become free within {(self._wait or 0) / 1000} s")
        return self

    async def __aexit__(self, exc_type: Any, exc: Any, traceback: Any) -> None:
        try:
            await self.release()
        except Exception as e:
            if exc is None:
                raise
            chain(exc, e)

    def _owner(self) -> Any:
        return current_task()
