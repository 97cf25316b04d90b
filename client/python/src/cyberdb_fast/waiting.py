"""Requests that wait in the server, over lost connections; aio_waiting.py is the counterpart."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Optional

from . import frames
from .calls import Call
from .clock import MONOTONIC
from .connection import NotSent
from .errors import ConnectionLost, ConnectionRefused, EncryptionMismatch, Overloaded, ServerUnreachable
from .frames import MAX_MILLISECONDS, Reply
from .log import REPEATING, log
from .opcodes import OPCODE_NAMES
from .requests import WaitingRequest
from .settings import Settings

if TYPE_CHECKING:
    from .background import Background

# How long a caller pauses before it asks again after a lost connection; the pauses grow.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.02, 1.0
# What a caller that has lost its connection may get when a new one is opened, and not later: the
# server is restarted, or has no place for it yet.
UNREACHED = (ServerUnreachable, Overloaded, ConnectionRefused)


def wait_for(background: Background, request: WaitingRequest[Any]) -> Reply:
    """The reply to request, which waits in the server for at most its wait.

    After a lost connection it is repeated, if that is safe, until its wait ends or the server has
    not been reached for request_timeout. Its place among those that wait is lost then. Errors:
    those of Background.wait.
    """
    try:
        return _wait_for(background, request)
    except BaseException:
        if request.release is not None:
            background.give_back(request.release)
        raise


def _wait_for(background: Background, request: WaitingRequest[Any]) -> Reply:
    settings = background.settings
    wait = request.wait
    until = None if wait is None else MONOTONIC[0]() + wait / 1000
    lost_at: Optional[float] = None  # since when the server cannot be reached, after it could
    pause = FIRST_PAUSE_SECONDS
    sent: Optional[Call] = None  # the last call whose reply was perhaps lost
    while True:
        seconds = None if until is None else max(0.0, until - MONOTONIC[0]())
        request.asking(None if seconds is None else math.ceil(seconds * 1000))
        began = MONOTONIC[0]()
        call = Call(request, deadline_of(request, settings))
        try:
            return background.wait(call, seconds)
        except (ConnectionLost, *UNREACHED) as e:
            if isinstance(e, EncryptionMismatch):
                raise
            reached = isinstance(e, ConnectionLost)
            if background.closed or (reached and not request.repeatable and not isinstance(e, NotSent)):
                raise
            now = MONOTONIC[0]()
            if reached:
                sent = call
                lost_at, pause = now, FIRST_PAUSE_SECONDS if now - began > 1 else pause
            patience = settings.request_timeout
            if lost_at is None or (until is not None and now >= until):
                raise
            if patience is not None and now - lost_at > patience:
                raise
            log.warning(REPEATING, OPCODE_NAMES[request.opcode], pause, e)
        try:
            time.sleep(pause)
        except BaseException:
            if sent is not None:
                background.cancel(sent)
            raise
        pause = min(pause * 2, MAX_PAUSE_SECONDS)


def shutting_down(settings: Settings) -> NotSent:
    """The error for a request that the server has not done because it shuts down."""
    return NotSent(f"{settings.address}: the server is shutting down; nothing was done")


def deadline_of(request: WaitingRequest[Any], settings: Settings) -> int:
    """The deadline of a waiting request in the server, in milliseconds; 0 for none."""
    if request.wait is None or settings.request_timeout is None:
        return 0
    return min(request.wait + frames.milliseconds_of(settings.request_timeout), MAX_MILLISECONDS)
