"""Which requests are repeated after an error, and when."""

from __future__ import annotations

import random
import socket
from typing import Any, Optional, Sequence

from .clock import MONOTONIC
from .connection import NotSent
from .errors import ConnectionLost, ConnectionRefused, EncryptionMismatch, ServerUnreachable
from .log import REPEATING, log
from .opcodes import OPCODE_NAMES, READS
from .requests import Request
from .settings import Settings

# The program's own random numbers may be seeded, and a fork copies their state.
_random = random.SystemRandom()


class Attempts:
    """The attempts at a request, or at the requests of a pipeline, as the settings allow them."""

    def __init__(self, settings: Settings, batch: Sequence[Request[Any]], began: float) -> None:
        """Began is when the first attempt began, by MONOTONIC."""
        self.began = began
        self._settings, self._batch, self._repeated = settings, batch, 0

    @property
    def until(self) -> Optional[float]:
        """When the time for all attempts ends, by MONOTONIC; None: never."""
        timeout = self._settings.request_timeout
        return None if timeout is None else self.began + timeout

    def pause_after(self, e: BaseException) -> Optional[float]:
        """Seconds until the next attempt, after one has failed with e; None: there is none."""
        settings = self._settings
        if self._repeated >= settings.retries or not self._may_repeat(e):
            return None
        pause = 0.0
        if self._repeated:
            longest = min(settings.backoff * 2 ** min(self._repeated - 1, 60), settings.max_backoff)
            pause = _random.uniform(0, longest)
        until = self.until
        if until is not None and MONOTONIC[0]() + pause >= until:
            return None
        self._repeated += 1
        what = OPCODE_NAMES[self._batch[0].opcode] if self._batch else "the attempt to connect"
        if len(self._batch) > 1:
            what += f" and {len(self._batch) - 1} more"
        log.warning(REPEATING, what, pause, e)
        return pause

    def _may_repeat(self, e: BaseException) -> bool:
        """Whether no request was executed for certain, or all of them change nothing.

        An attempt to connect that took all its time is not repeated.
        """
        if isinstance(e, ConnectionLost):
            return isinstance(e, NotSent) or all(request.opcode in READS for request in self._batch)
        if isinstance(e, EncryptionMismatch) or isinstance(e.__cause__, (socket.timeout, TimeoutError)):
            return False
        return isinstance(e, (ServerUnreachable, ConnectionRefused))
