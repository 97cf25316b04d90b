"""The requests about dicts; see requests.py."""

from __future__ import annotations

import operator
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Tuple,
    TypeVar,
)

from . import errors, expiry, frames, opcodes
from .expiry import Duration, milliseconds
from .frames import Reply
from .replies import (
    ABSENT,
    MISSING,
    read_all,
    read_bool,
    read_dict,
    read_int,
    read_length,
    read_nothing,
    read_one,
    read_pair,
    read_pairs,
    read_seconds,
    read_streamed,
)
from .requests import Request, StreamRequest, WaitingRequest, with_extension, with_ttl
from .values import Decoder, encode, encode_items, encode_key, encode_keys

T = TypeVar("T")
V = TypeVar("V")


ONE: Any = 1  # the default of increment, whatever the type of its values


class Versioned(Tuple[V, int]):
    """A value and the version of its entry: a pair."""

    __slots__ = ()

    def __new__(cls, value: V, version: int) -> Versioned[V]:
        """As Versioned(value, version)."""
        return super().__new__(cls, (value, version))

    def __getnewargs__(self) -> Tuple[V, int]:
        return self.value, self.version

    def __repr__(self) -> str:
        return f"Versioned(value={self.value!r}, version={self.version!r})"

    @property
    def value(self) -> V:
        """The value, as it was read."""
        return self[0]

    @property
    def version(self) -> int:
        """The version of the entry."""
        return self[1]


class _WithVersion(Request[Versioned[Any]]):
    __slots__ = ()

    def result(self, reply: Reply) -> Versioned[Any]:
        return Versioned(super().result(reply), reply.version)


def dict_get(t: bytes, key: Any) -> Request[Any]:
    return Request(opcodes.DICT_GET, t + encode_key(key), read_one, key)


def dict_get_or(t: bytes, key: Any, default: Any, opcode: int = opcodes.DICT_GET) -> Request[Any]:
    """GET or POP with a default, which is not sent and may be any object."""
    return _WithDefault(opcode, t + encode_key(key), read_one, default)


class _WithDefault(Request[Any]):
    __slots__ = ()

    def result(self, reply: Reply) -> Any:
        if reply.status == frames.KEY_ERROR:
            return self.key
        return super().result(reply)


def dict_get_versioned(t: bytes, key: Any) -> Request[Versioned[Any]]:
    return _WithVersion(opcodes.DICT_GET, t + encode_key(key), read_one, key, frames.WANT_VERSION)


def dict_set(t: bytes, key: Any, value: Any, ttl: Optional[Duration] = None, keep_ttl: bool = False) -> Request[None]:
    request = Request(opcodes.DICT_SET, t + encode_key(key) + encode(value), read_nothing, key)
    if not keep_ttl:
        return request if ttl is None else with_ttl(request, milliseconds(ttl))
    if ttl is not None:
        raise ValueError("ttl and keep_ttl exclude each other")
    return with_ttl(request, expiry.KEEP_TTL)


def dict_set_if(t: bytes, key: Any, value: Any, version: int, ttl: Optional[int] = None) -> Request[None]:
    """Sets key if its version matches. Version 0: only if the key is absent.

    ttl is as in with_ttl.
    """
    request = dict_set(t, key, value)
    if ttl is not None:
        with_ttl(request, ttl)
    return if_version(request, version)


# The version of every entry. On the wire: do not change.
ANY_VERSION = 2**64 - 1


def if_version(request: Request[T], version: int) -> Request[T]:
    """Makes request fail with VersionMismatch unless the entry has this version. Returns request.

    Version 0: unless the key is absent. ANY_VERSION: unless it is present. The time to live of the
    request, if it has one, is given before.
    """
    request.payload = operator.index(version).to_bytes(8, "little") + request.payload
    request.flags |= frames.IF_VERSION
    return request


class _NewVersion(Request[Any]):
    __slots__ = ()

    def result(self, reply: Reply) -> int:
        super().result(reply)
        return reply.version


def dict_set_versioned(
    t: bytes, key: Any, value: Any, version: int, ttl: Optional[Duration] = None, keep_ttl: bool = False
) -> Request[int]:
    """Sets key if its version matches; the result is the new version."""
    request = dict_set(t, key, value, ttl, keep_ttl)
    flags = request.flags | frames.WANT_VERSION
    return if_version(_NewVersion(opcodes.DICT_SET, request.payload, read_nothing, key, flags), version)


class _WhetherPresent(Request[Any]):
    __slots__ = ()

    def result(self, reply: Reply) -> bool:
        if reply.status == frames.VERSION_MISMATCH:
            return False
        super().result(reply)
        return True


def dict_replace(t: bytes, key: Any, value: Any, ttl: Optional[Duration] = None) -> Request[bool]:
    """Sets key if it is present; the result is whether it was."""
    request = dict_set(t, key, value, ttl)
    return if_version(_WhetherPresent(opcodes.DICT_SET, request.payload, read_nothing, key, request.flags), ANY_VERSION)


def dict_delete(t: bytes, key: Any) -> Request[None]:
    return Request(opcodes.DICT_DELETE, t + encode_key(key), read_nothing, key)


def dict_delete_if(t: bytes, key: Any, version: int) -> Request[None]:
    return if_version(dict_delete(t, key), version)


def dict_delete_many(t: bytes, keys: Iterable[Any]) -> Request[List[Any]]:
    asked = list(keys)

    def read(decoder: Decoder, body: bytes) -> List[Any]:
        were = decoder.all(body)
        if len(were) != len(asked):
            raise errors.ProtocolError(f"{len(were)} bools for {len(asked)} keys")
        return [key for key, was in zip(asked, were) if was is True]

    return Request(opcodes.DICT_DELETE_MANY, t + encode_keys(asked), read)


def dict_contains(t: bytes, key: Any) -> Request[bool]:
    return Request(opcodes.DICT_CONTAINS, t + encode_key(key), read_bool)


def dict_len(t: bytes) -> Request[int]:
    return Request(opcodes.DICT_LEN, t, read_length)


def dict_setdefault(t: bytes, key: Any, default: Any, ttl: Optional[Duration] = None) -> Request[Any]:
    request = Request(opcodes.DICT_SETDEFAULT, t + encode_key(key) + encode(default), read_one)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_update(t: bytes, items: Dict[Any, Any], ttl: Optional[Duration] = None) -> Request[None]:
    request = Request(opcodes.DICT_UPDATE, t + encode_items(items), read_nothing)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_pop(t: bytes, key: Any, default: Any = MISSING) -> Request[Any]:
    if default is not MISSING:
        return dict_get_or(t, key, default, opcodes.DICT_POP)
    return Request(opcodes.DICT_POP, t + encode_key(key), read_one, key)


def dict_popitem(t: bytes) -> Request[Tuple[Any, Any]]:
    return Request(opcodes.DICT_POPITEM, t, read_pair)


def dict_clear(t: bytes) -> Request[None]:
    return Request(opcodes.DICT_CLEAR, t, read_nothing)


def dict_all(t: bytes) -> Request[Dict[Any, Any]]:
    return Request(opcodes.DICT_ITEMS, t, read_dict)


def dict_items(t: bytes) -> Request[List[Tuple[Any, Any]]]:
    return Request(opcodes.DICT_ITEMS, t, read_pairs)


def dict_keys(t: bytes) -> Request[List[Any]]:
    return Request(opcodes.DICT_KEYS, t, read_all)


def dict_values(t: bytes) -> Request[List[Any]]:
    return Request(opcodes.DICT_VALUES, t, read_all)


def dict_scan(t: bytes, limit: int) -> Request[Tuple[int, List[Tuple[Any, Any]]]]:
    """The first items, at most limit, and the cursor of the next one: 0 if these are all."""

    def read(decoder: Decoder, body: bytes) -> Tuple[int, List[Tuple[Any, Any]]]:
        following, *flat = decoder.all(body)
        if type(following) is not int or len(flat) % 2:
            raise errors.ProtocolError(f"a scan that begins with {following!r}, and {len(flat)} keys and values")
        return following, list(zip(flat[::2], flat[1::2]))

    return Request(opcodes.DICT_SCAN, t + encode(0) + encode(limit), read)


def stream(opcode: int, t: bytes) -> StreamRequest[Any]:
    """Streams DICT KEYS, VALUES or ITEMS (keys and values in turn), or LIST ALL."""
    return StreamRequest(opcode, t, read_streamed)


def dict_get_many(t: bytes, keys: Iterable[Any]) -> Request[Dict[Any, Any]]:
    asked = list(keys)

    def read(decoder: Decoder, body: bytes) -> Dict[Any, Any]:
        values = decoder.some(body, ABSENT)
        if len(values) != len(asked):
            raise errors.ProtocolError(f"{len(values)} values for {len(asked)} keys")
        return {key: value for key, value in zip(asked, values) if value is not ABSENT}

    return Request(opcodes.DICT_GET_MANY, t + encode_keys(asked), read)


def dict_increment(t: bytes, key: Any, by: Any, ttl: Optional[Duration] = None) -> Request[Any]:
    request = Request(opcodes.DICT_INCREMENT, t + encode_key(key) + encode(by), read_one, key)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


class _IfPresent(Request[Any]):
    __slots__ = ()

    def result(self, reply: Reply) -> Any:
        if reply.status == frames.VERSION_MISMATCH:
            raise KeyError(self.key)
        return super().result(reply)


def dict_increment_present(t: bytes, key: Any, by: Any) -> Request[Any]:
    """Increments key; KeyError if it is absent."""
    return if_version(_IfPresent(opcodes.DICT_INCREMENT, t + encode_key(key) + encode(by), read_one, key), ANY_VERSION)


def dict_compare_and_set(t: bytes, key: Any, old: Any, new: Any, ttl: Optional[Duration] = None) -> Request[bool]:
    sides = (frames.ABSENT if side is ABSENT else encode(side) for side in (old, new))
    request = Request(opcodes.DICT_COMPARE_AND_SET, t + encode_key(key) + b"".join(sides), read_bool)
    return request if ttl is None else with_ttl(request, milliseconds(ttl))


def dict_ttl(t: bytes, key: Any) -> Request[Optional[float]]:
    """The time to live that key has left, in seconds; None if it has no deadline."""
    return Request(opcodes.DICT_TTL, t + encode_key(key), read_seconds, key)


def dict_expire(t: bytes, key: Any, ttl: Duration) -> Request[None]:
    return with_ttl(Request(opcodes.DICT_EXPIRE, t + encode_key(key), read_nothing, key), milliseconds(ttl))


def dict_persist(t: bytes, key: Any) -> Request[None]:
    return with_ttl(Request(opcodes.DICT_EXPIRE, t + encode_key(key), read_nothing, key), expiry.NO_DEADLINE)


def dict_touch(t: bytes, key: Any) -> Request[None]:
    return Request(opcodes.DICT_TOUCH, t + encode_key(key), read_nothing, key)


class Computing(NamedTuple):
    """The answer to DICT GET OR COMPUTE."""

    state: int  # FRESH, STALE, RENEW, ABSENT or NOTHING of compute.py
    value: Any
    fence: int  # of the lease, if the caller is to compute


# The states: fresh; stale, and another client computes; stale or absent, and this one computes; the
# wait ended. On the wire: do not change.
FRESH, STALE, RENEW, COMPUTE, IN_VAIN = range(5)


def dict_get_or_compute(
    t: bytes, key: Any, owner: bytes, lease: int, stale: int, wait: Optional[int]
) -> WaitingRequest[Computing]:
    def read(decoder: Decoder, body: bytes) -> Computing:
        state, *rest = decoder.all(body)
        if state in (FRESH, STALE):
            return Computing(state, rest[0], 0)
        return Computing(state, rest[1] if state == RENEW else None, rest[0] if state != IN_VAIN else 0)

    k = encode_key(key)
    return WaitingRequest(
        opcodes.DICT_GET_OR_COMPUTE,
        t + k + encode(owner) + encode(lease) + encode(stale),
        wait,
        read,
        vain=lambda reply: reply.status == frames.OK and reply.body == encode(IN_VAIN),
        release=computed(t, key, owner),
    )


def computed(t: bytes, key: Any, owner: bytes) -> Request[bool]:
    """Ends the lease of dict_get_or_compute."""
    return Request(opcodes.COMPUTED, t + encode_key(key) + encode(owner), read_bool)


def renew_compute(t: bytes, key: Any, owner: bytes, lease: int) -> Request[int]:
    return Request(opcodes.RENEW_COMPUTE, t + encode_key(key) + encode(owner) + encode(lease), read_int)


def if_computing(request: Request[T], t: bytes, key: Any, fence: int) -> Request[T]:
    """Makes request fail with LockLost unless this lease of key lasts. Returns request."""
    return with_extension(request, frames.IF_COMPUTE_FENCE, fence.to_bytes(8, "little") + t + encode_key(key))
