"""A monotonic clock that stays real where a test freezes time."""

from __future__ import annotations

import functools
import sys
import time
from typing import Callable, Tuple


def _real() -> Callable[[], float]:
    """Freezegun replaces time.monotonic, perhaps before this import, but not clock_gettime, which Windows does not have."""
    if hasattr(time, "clock_gettime"):
        return functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    freezegun = sys.modules.get("freezegun.api")
    return time.monotonic if freezegun is None else freezegun.real_monotonic


# Seconds on the machine's own clock. freezegun replaces time.monotonic wherever a module has it as an attribute, so it stands in a tuple.
CLOCK: Tuple[Callable[[], float]] = (_real(),)


def monotonic() -> float:
    """Seconds on the machine's own clock; comparable with time.monotonic while that is not frozen."""
    return CLOCK[0]()
