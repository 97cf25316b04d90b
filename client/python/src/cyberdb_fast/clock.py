"""The system's monotonic clock, also under libraries that stop or shift the clocks of Python's modules in tests (freezegun).

They replace time.monotonic, and what modules hold of it by a name of their own; what is inside a tuple stays.
"""

from __future__ import annotations

import sys
import time
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from types import BuiltinFunctionType
from typing import Callable, Tuple


def _monotonic() -> Callable[[], float]:
    """time.monotonic itself, even if it is replaced already."""
    if isinstance(time.monotonic, BuiltinFunctionType):
        return time.monotonic
    spec = BuiltinImporter.find_spec("time")
    if spec is not None:
        own = module_from_spec(spec)  # another module object of the same code
        BuiltinImporter.exec_module(own)
        if isinstance(own.monotonic, BuiltinFunctionType):
            real: Callable[[], float] = own.monotonic
            return real
    freezegun = sys.modules.get("freezegun.api")
    return getattr(freezegun, "real_monotonic", time.monotonic)


REAL: Tuple[Callable[[], float]] = (_monotonic(),)  # seconds
