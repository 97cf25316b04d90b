"""The system's monotonic clock, even in tests that freeze or shift Python's clocks (freezegun).

Such libraries replace time.monotonic and every module attribute that refers to it. They do not look
inside tuples, so MONOTONIC is one.
"""

from __future__ import annotations

import sys
import time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import BuiltinFunctionType
from typing import Callable, Tuple


def _monotonic() -> Callable[[], float]:
    """The original time.monotonic, even if it has been replaced already."""
    if isinstance(time.monotonic, BuiltinFunctionType):
        return time.monotonic
    spec = BuiltinImporter.find_spec("time")
    if spec is not None:
        own = module_from_spec(spec)  # a second module object of the built-in module
        BuiltinImporter.exec_module(own)
        if isinstance(own.monotonic, BuiltinFunctionType):
            real: Callable[[], float] = own.monotonic
            return real
    freezegun = sys.modules.get("freezegun.api")
    return getattr(freezegun, "real_monotonic", time.monotonic)


MONOTONIC: Tuple[Callable[[], float]] = (_monotonic(),)  # MONOTONIC[0]() is in seconds
