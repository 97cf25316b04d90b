"""To which process, and under gevent to which event loop, a socket belongs.

A connection must not be used in another process than the one that opened it. C code can fork
without running the handlers of os.register_at_fork (uWSGI does), so the process is compared before
each use. A socket that gevent has patched also belongs to the event loop of the thread that made
it, and each native thread of gevent's thread pool has its own event loop.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any, Protocol

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK of Linux: the page is zero in a child


class Location(Protocol):
    """Item 0 is the process, and under gevent the event loop, of the caller; it compares by ==."""

    def __getitem__(self, index: int, /) -> Any: ...


class _Pid:
    """The fallback on systems that cannot wipe a page at a fork."""

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def _process() -> Any:
    """Item 0 is the number of this process, read without a system call.

    It is 0 in a child that C code has forked, until the child calls assign_process_number.
    """
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
    except (AttributeError, OSError, TypeError, ValueError):
        return _Pid()
    return memoryview(page).cast("Q")


PROCESS = _process()
_last = [0]  # the last number given to this process or to one of its ancestors


def assign_process_number() -> None:
    """Gives this process a number, unless it has one."""
    if not PROCESS[0]:
        _last[0] += 1
        PROCESS[0] = _last[0]


def current_process() -> Any:
    """The number of this process, which it keeps: an owner compares it with PROCESS[0]."""
    assign_process_number()
    return PROCESS[0]


class _ProcessAndHub:
    """The location under gevent: process and event loop."""

    def __init__(self) -> None:
        import gevent

        self.hub = gevent.get_hub

    def __getitem__(self, index: int) -> Any:
        return PROCESS[0], id(self.hub())


def current_location() -> Location:
    """An object that tells the location of each caller, in this process and in forked children."""
    assign_process_number()
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        return _ProcessAndHub()
    location: Location = PROCESS
    return location


def current_hub() -> Any:
    """The event loop of gevent in this thread."""
    import gevent

    return gevent.get_hub()


assign_process_number()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=assign_process_number)
