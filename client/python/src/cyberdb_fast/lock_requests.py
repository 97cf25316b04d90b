"""The requests about locks, waits and channels. They are about no table; see requests.py."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from . import errors, frames, opcodes, replies, requests
from .requests import Request, WaitingRequest
from .values import Decoder, encode

MAX_NAME_BYTES = 1024


def name_of(name: object, what: str) -> bytes:
    """Encodes the name of a lock or channel.

    Errors: TypeError if it is not a str; ValueError if it is empty, too long or not in UTF-8.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} is a str, not {type(name).__name__}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as e:
        raise ValueError(f"the name of a {what} is text in UTF-8, which has no surrogates: {name!r}") from e
    if not 0 < size <= MAX_NAME_BYTES:
        raise ValueError(f"the name of a {what} has 1 to {MAX_NAME_BYTES} bytes, got {len(name)} characters")
    return encode(str(name))


def _fence(decoder: Decoder, body: bytes) -> Optional[int]:
    fence = decoder.one(body)
    if fence is not None and type(fence) is not int:
        raise errors.ProtocolError(f"a fence of {type(fence).__name__}")
    return fence


def lock(name: bytes, owner: bytes, ttl: int, wait: Optional[int], n: int) -> WaitingRequest[Optional[int]]:
    """The fence; None if the wait ended.

    ttl and wait are in milliseconds; owner is 16 bytes, new for each acquisition.
    """
    before = name + encode(owner) + encode(ttl)
    return WaitingRequest(opcodes.LOCK, before, wait, _fence, encode(n), release=unlock(name, owner))


def unlock(name: bytes, owner: bytes) -> Request[bool]:
    """Whether owner has held the lock. It ends the wait of an owner that waits for it."""
    return Request(opcodes.UNLOCK, name + encode(owner), replies.read_bool)


def renew_lock(name: bytes, owner: bytes, ttl: int) -> Request[Optional[int]]:
    """The fence. ttl is in milliseconds, from now on."""
    return Request(opcodes.RENEW_LOCK, name + encode(owner) + encode(ttl), _fence)


class Holders(NamedTuple):
    """Who holds a lock, and how many wait for it."""

    held: List[Tuple[int, float]]  # fence, and time until the lease ends, in seconds
    waiting: int


def lock_holders(name: bytes) -> Request[Holders]:
    """The owners of a lock, and the number of those that wait."""

    def read(decoder: Decoder, body: bytes) -> Holders:
        held, waiting = decoder.all(body)
        return Holders([(fence, left / 1000) for fence, left in held], waiting)

    return Request(opcodes.LOCK_HOLDERS, name, read)


def if_fence(request: Request[Any], name: str, fence: int) -> Request[Any]:
    """Makes request fail with LockLost unless the lock is held with this fence."""
    return requests.with_extension(request, frames.IF_FENCE, fence.to_bytes(8, "little") + name.encode())


def cancel(request_id: int) -> Request[bool]:
    """Ends the wait of a request of the same connection; whether it has waited."""
    return Request(opcodes.CANCEL, encode(request_id), replies.read_bool)


def publish(channel: str, value: Any) -> Request[int]:
    """The number of subscriptions that value goes to."""
    return Request(opcodes.PUBLISH, name_of(channel, "channel") + encode(value), replies.read_int)


def subscribe(channels: Sequence[str], prefixes: Sequence[str]) -> Request[int]:
    """The number of the subscription, which belongs to the connection."""
    return Request(opcodes.SUBSCRIBE, encode([*channels]) + encode([*prefixes]), replies.read_int)


class Message(NamedTuple):
    """A message of a subscription.

    missed is the number of messages before this one that were lost because the subscriber was slow,
    and UNKNOWN if its connection was lost in between, or a message could not be decoded.
    """

    channel: str
    value: Any
    missed: int = 0


UNKNOWN = -1


class Messages(NamedTuple):
    """The reply to RECEIVE."""

    missed: int
    values: List[Tuple[str, Any]]


def receive(subscription: int, limit: int, wait: Optional[int]) -> WaitingRequest[Messages]:
    """At most limit messages; none if the wait, in milliseconds, ended."""

    def read(decoder: Decoder, body: bytes) -> Messages:
        missed, *flat = decoder.all(body)
        return Messages(missed, list(zip(flat[::2], flat[1::2])))

    before = encode(subscription) + encode(limit)
    return WaitingRequest(opcodes.RECEIVE, before, wait, read, repeatable=False)


def unsubscribe(subscription: int) -> Request[bool]:
    """Whether there was such a subscription."""
    return Request(opcodes.UNSUBSCRIBE, encode(subscription), replies.read_bool)
