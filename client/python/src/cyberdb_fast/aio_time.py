"""Timeouts on an event loop that hold even if a test freezes the loop's clock."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from typing import Any, Awaitable, Callable, Coroutine, Optional, TypeVar, Union

from .clock import MONOTONIC

T = TypeVar("T")

# A loop whose clock differs from MONOTONIC by more than this is frozen: its own timers do not run.
_TOLERANCE_SECONDS = 5.0


class Alarm:
    """Runs callback on a loop after the given seconds of MONOTONIC, unless it is cancelled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]) -> None:
        self._loop, self._callback = loop, callback
        self._at = MONOTONIC[0]() + seconds
        self._timer: Union[asyncio.TimerHandle, threading.Timer, None] = None
        self._set()

    def cancel(self) -> None:
        """Makes sure that callback does not run any more."""
        self._at = math.inf
        if self._timer is not None:
            self._timer.cancel()

    def _set(self) -> None:
        now = MONOTONIC[0]()
        left = max(self._at - now, 0.0)
        if abs(self._loop.time() - now) < _TOLERANCE_SECONDS:
            self._timer = self._loop.call_later(left, self._ring)
        else:
            self._timer = timer = threading.Timer(left, self._ring_from_thread)
            timer.daemon = True
            timer.start()

    def _ring_from_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        if self._at == math.inf:
            return
        if MONOTONIC[0]() < self._at:  # the loop's clock jumped because a test froze it
            self._set()
        else:
            self._callback()


async def first_of(work: Coroutine[Any, Any, T], seconds: Optional[float], end: asyncio.Future[None]) -> Optional[T]:
    """Returns the result of work.

    None if seconds passed or end was done first; then work is cancelled.

    Errors: those of work.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    over: asyncio.Future[None] = loop.create_future()

    def finish(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    task.add_done_callback(retrieve_error)
    task.add_done_callback(finish)
    end.add_done_callback(finish)
    alarm = None if seconds is None else Alarm(loop, seconds, finish)
    try:
        await over
    except BaseException:
        task.cancel()
        raise
    finally:
        end.remove_done_callback(finish)
        if alarm is not None:
            alarm.cancel()
    if task.done() and not task.cancelled():
        return task.result()
    task.cancel()
    return None


def retrieve_error(task: asyncio.Future[Any]) -> None:
    """Marks the task's error as retrieved; otherwise asyncio would log it after a cancellation."""
    if not task.cancelled():
        task.exception()


def current_task() -> Optional[asyncio.Task[Any]]:
    """The task of the caller; None if no event loop runs."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


async def finish(work: Awaitable[T]) -> T:
    """Awaits work, which goes on if the caller is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(retrieve_error)
        raise
