"""Times to live, and the options of dicts: arguments become wire values, and replies Python's."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Dict, Literal, Optional, TypedDict, Union

from . import errors

# Seconds, or a timedelta.
Duration = Union[float, timedelta]
Policy = Literal["none", "s3fifo", "ttl"]

# Times to live on the wire that are no times. On the wire: do not change.
KEEP_TTL, NO_DEADLINE = -1, 0

MAX_MILLISECONDS = 3_155_760_000_000  # 100 years of 365.25 days
_MILLISECOND = timedelta(milliseconds=1)


class ListOptions(TypedDict):
    """The options of a list that is a queue. None: it has no dead letters.

    max_deliveries  an item that was delivered so often goes to the dead letters
    dead_letter     the name of the list of dead letters
    """

    max_deliveries: Optional[int]
    dead_letter: Optional[str]


class DictOptions(TypedDict):
    """The options of a dict. None: the dict has no such limit.

    ttl          default time to live of an entry, in seconds after its last write
    idle         time without reads and writes after which an entry is removed, in seconds
    max_entries  limit of the number of entries
    max_bytes    limit of their bytes
    policy       what happens to a write beyond a limit: "s3fifo", "ttl" or "none"
    """

    ttl: Optional[float]
    idle: Optional[float]
    max_entries: Optional[int]
    max_bytes: Optional[int]
    policy: Policy


class NewDict(TypedDict, total=False):
    """How a dict is created: see Proxy.create_cyberdict."""

    exist_ok: bool
    ttl: Optional[Duration]
    idle: Optional[Duration]
    max_entries: Optional[int]
    max_bytes: Optional[int]
    policy: Optional[Policy]


class NewList(TypedDict, total=False):
    """How a list is created: see Proxy.create_cyberlist."""

    exist_ok: bool
    max_deliveries: Optional[int]
    dead_letter: Optional[str]


def wait_milliseconds(wait: Optional[Duration], name: str = "wait") -> Optional[int]:
    """Returns a time to wait as milliseconds, rounded up; None if it is None or infinite.

    Errors: those of milliseconds, but 0 is a time to wait.
    """
    if wait is None or (isinstance(wait, float) and wait == math.inf):
        return None
    if not isinstance(wait, bool) and not wait and isinstance(wait, (int, float, timedelta)):
        return 0
    try:
        return milliseconds(wait, name)
    except ValueError:
        raise ValueError(f"{name} must be at least 0 and at most 100 years, got {wait!r}") from None


def delay_milliseconds(delay: Optional[Duration], name: str = "delay") -> int:
    """As wait_milliseconds, for a delay, which is neither None nor infinite."""
    found = wait_milliseconds(delay, name)
    if found is None:
        raise ValueError(f"{name} must be at least 0 and at most 100 years, got {delay!r}")
    return found


def milliseconds(duration: Duration, name: str = "ttl") -> int:
    """Returns a duration as milliseconds, rounded up. name is that of the argument, for errors.

    The result is the least number of milliseconds that, in seconds, is not below the duration.
    Errors: ValueError if duration is not above 0, is above 100 years, is not a number or is a bool;
    TypeError if it is neither an int, a float nor a timedelta.
    """
    if isinstance(duration, bool):
        raise ValueError(f"{name} is a time in seconds or a timedelta, not {duration}")
    if isinstance(duration, timedelta):
        whole, rest = timedelta.__divmod__(duration, _MILLISECOND)
        rounded = whole + bool(rest)
    elif isinstance(duration, int):
        rounded = int(duration) * 1000
    elif not isinstance(duration, float):
        raise TypeError(f"{name} is a time in seconds or a timedelta, not {type(duration).__name__}")
    elif 0 < duration <= MAX_MILLISECONDS / 1000:
        rounded = math.ceil(duration * 1000)
        rounded += (rounded / 1000 < duration) - ((rounded - 1) / 1000 >= duration)
    else:  # also if it is not a number
        rounded = 0
    if not 0 < rounded <= MAX_MILLISECONDS:
        raise ValueError(f"{name} must be above 0 and at most 100 years, got {duration!r}")
    return rounded


def field(ttl: int) -> bytes:
    """Encodes the field of the flag TIME TO LIVE."""
    return ttl.to_bytes(8, "little", signed=True)


def on_wire(given: Dict[str, Any]) -> Dict[str, Any]:
    """Returns options of a dict as the server takes them. Errors: those of milliseconds."""
    return {
        name: milliseconds(value, name) if name in ("ttl", "idle") and value is not None else value
        for name, value in given.items()
    }


def list_options_of(reply: Any) -> ListOptions:
    """Returns the options of a list in a reply. Errors: ProtocolError."""
    try:
        return {"max_deliveries": reply["max_deliveries"], "dead_letter": reply["dead_letter"]}
    except (KeyError, TypeError):
        raise errors.ProtocolError(f"a reply of {reply!r} where the options of a list are due") from None


def options_of(reply: Any) -> DictOptions:
    """Returns the options in a reply. Errors: ProtocolError."""
    try:
        ttl, idle = (None if reply[name] is None else reply[name] / 1000 for name in ("ttl", "idle"))
        max_entries, max_bytes, policy = reply["max_entries"], reply["max_bytes"], reply["policy"]
    except (KeyError, TypeError):
        raise errors.ProtocolError(f"a reply of {reply!r} where the options of a dict are due") from None
    return {"ttl": ttl, "idle": idle, "max_entries": max_entries, "max_bytes": max_bytes, "policy": policy}
