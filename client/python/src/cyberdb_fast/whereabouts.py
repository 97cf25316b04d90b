"""Where a caller is: in which process, and under gevent in which native thread. What holds a socket of elsewhere must not use it.

Forks from C code (uWSGI's) run no handlers of os.register_at_fork, so it is looked at before each use. A socket that gevent has patched belongs
to the event loop of the thread that made it, and gevent's pool of native threads has other loops.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any, Protocol

_WIPE_ON_FORK = 18  # of Linux's madvise: the page is zeros in a child


class Whereabouts(Protocol):
    """Its item 0 compares equal as long as the caller is where it was."""

    def __getitem__(self, index: int, /) -> Any: ...


class _Pid:
    """Where there are no pages that a fork wipes."""

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def _process() -> Any:
    """A number of this process that is read without a system call; 0 in a child that has not called settle."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
    except (AttributeError, OSError, TypeError, ValueError):
        return _Pid()
    return memoryview(page).cast("Q")


PROCESS = _process()
_last = [0]  # number that was given to this process or to one that it comes from


def settle() -> None:
    """Gives this process a number of its own, unless it has one."""
    if not PROCESS[0]:
        _last[0] += 1
        PROCESS[0] = _last[0]


class _Loops:
    """Under gevent: process and event loop."""

    def __init__(self) -> None:
        import gevent

        self.loop = gevent.get_hub

    def __getitem__(self, index: int) -> Any:
        return PROCESS[0], id(self.loop())


def whereabouts() -> Whereabouts:
    """What tells the whereabouts of callers, in this process and in those that are forked from it."""
    settle()
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        return _Loops()
    here: Whereabouts = PROCESS
    return here


def beside() -> Any:
    """What a caller's own connections are kept by, if they end with it: gevent's event loop of this thread."""
    import gevent

    return gevent.get_hub()


settle()
