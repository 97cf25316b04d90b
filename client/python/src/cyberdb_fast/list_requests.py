"""The requests about lists, which are queues too; see requests.py."""

from __future__ import annotations

import operator
import os
from typing import (
    Any,
    Callable,
    Generic,
    Iterable,
    List,
    Optional,
    SupportsIndex,
    TypeVar,
    Union,
)

from . import frames, opcodes
from .expiry import Duration, delay_milliseconds, milliseconds, wait_milliseconds
from .frames import Reply
from .replies import MISSING, Missing, read_all, read_bool, read_length, read_nothing, read_one, read_pair
from .requests import Request, WaitingRequest, bounds, index_of, many, slice_index
from .sortkey import sort_key
from .values import PLAIN, Decoder, encode, split

T = TypeVar("T")

# The time, in seconds, for which an item that was taken from a queue is leased.
DEFAULT_LEASE = 60

# Without a wait, a request would be before those that stand in line for an item.
IN_LINE = 1

Index = Union[SupportsIndex, slice]
Slice = slice  # in classes that have a method of that name


def _position(index: Any) -> bytes:
    try:
        return index_of(index)
    except TypeError:
        raise TypeError(f"list indices must be integers or slices, not {type(index).__name__}") from None


def list_get(t: bytes, index: Index) -> Request[Any]:
    if isinstance(index, slice):
        return Request(opcodes.LIST_SLICE, t + bounds(index), read_all)
    return Request(opcodes.LIST_GET, t + _position(index), read_one)


def list_set(t: bytes, index: Index, value: Any) -> Request[None]:
    if isinstance(index, slice):
        return Request(opcodes.LIST_SET_SLICE, t + bounds(index) + many(_iterable(index, value)), read_nothing)
    return Request(opcodes.LIST_SET, t + _position(index) + encode(value), read_nothing)


def _iterable(s: slice, value: Any) -> List[Any]:
    if s.step is not None and slice_index(s.step) == 0:
        raise ValueError("slice step cannot be zero")
    try:
        return list(value)
    except TypeError as e:
        if hasattr(type(value), "__iter__"):
            raise
        extended = s.step is not None and s.step != 1
        raise TypeError("must assign iterable to extended slice" if extended else "can only assign an iterable") from e


def list_delete(t: bytes, index: Index) -> Request[None]:
    if isinstance(index, slice):
        return Request(opcodes.LIST_DELETE_SLICE, t + bounds(index), read_nothing)
    return Request(opcodes.LIST_DELETE, t + _position(index), read_nothing)


def list_append(t: bytes, value: Any) -> Request[None]:
    return Request(opcodes.LIST_APPEND, t + encode(value), read_nothing)


def list_append_left(t: bytes, value: Any) -> Request[None]:
    return Request(opcodes.LIST_APPEND_LEFT, t + encode(value), read_nothing)


def list_extend(t: bytes, values: Iterable[Any]) -> Request[None]:
    return Request(opcodes.LIST_EXTEND, t + many(values), read_nothing)


def list_insert(t: bytes, index: SupportsIndex, value: Any) -> Request[None]:
    at = operator.index(index)
    if not -(2**63) <= at < 2**63:
        raise OverflowError("Python int too large to convert to C ssize_t")
    return Request(opcodes.LIST_INSERT, t + encode(at) + encode(value), read_nothing)


def list_pop(t: bytes, index: SupportsIndex) -> Request[Any]:
    return Request(opcodes.LIST_POP, t + index_of(index), read_one)


def list_pop_left(t: bytes) -> Request[Any]:
    return Request(opcodes.LIST_POP_LEFT, t, read_one)


def list_pop_waiting(t: bytes, index: SupportsIndex, wait: Optional[Duration]) -> WaitingRequest[Any]:
    at = operator.index(index)

    def undo(reply: Reply) -> Optional[Request[Any]]:
        if reply.status != frames.OK:
            return None
        if at == -1:
            return Request(opcodes.LIST_APPEND, t + reply.body, read_nothing)
        return Request(opcodes.LIST_INSERT, t + encode(at if at >= 0 else at + 1) + reply.body, read_nothing)

    return _popping(opcodes.LIST_POP, t + encode(at), wait, undo)


def list_pop_left_waiting(t: bytes, wait: Optional[Duration]) -> WaitingRequest[Any]:
    def undo(reply: Reply) -> Optional[Request[Any]]:
        return None if reply.status else Request(opcodes.LIST_APPEND_LEFT, t + reply.body, read_nothing)

    return _popping(opcodes.LIST_POP_LEFT, t, wait, undo)


def _popping(
    opcode: int, before: bytes, wait: Optional[Duration], undo: Callable[[Reply], Optional[Request[Any]]]
) -> WaitingRequest[Any]:
    return WaitingRequest(
        opcode,
        before,
        wait_milliseconds(wait),
        read_one,
        vain=lambda reply: reply.status == frames.INDEX_ERROR,
        undo=undo,
        repeatable=False,
        trial=IN_LINE,
    )


class QueueItem(Generic[T]):
    """An item that was taken from a queue and is leased.

    value       what was put
    receipt     the number of this delivery, for ack, nack and extend
    deliveries  how often the item was delivered, with this time
    """

    __slots__ = ("deliveries", "receipt", "value")

    def __init__(self, receipt: int, deliveries: int, value: T) -> None:
        self.receipt, self.deliveries, self.value = receipt, deliveries, value

    def __repr__(self) -> str:
        return f"QueueItem(receipt={self.receipt}, deliveries={self.deliveries}, value={self.value!r})"


Receipt = Union[QueueItem[Any], int]


def _receipt(item: Receipt) -> bytes:
    receipt: Any = item.receipt if isinstance(item, QueueItem) else item
    if type(receipt) is not int:
        raise TypeError(f"a QueueItem or its receipt is due, not {type(receipt).__name__}")
    return encode(receipt)


def list_put(t: bytes, value: Any, delay: Duration = 0) -> Request[None]:
    return Request(opcodes.LIST_PUT, t + encode(value) + encode(delay_milliseconds(delay)), read_nothing)


def list_take(
    t: bytes, lease: Duration, wait: Optional[Duration], claim: Optional[bytes] = None
) -> WaitingRequest[Optional[QueueItem[Any]]]:
    """claim, 16 bytes, names this acquisition: when it is repeated, it gets the same item."""
    failed: List[bool] = []  # the item could not be decoded

    def read(decoder: Decoder, body: bytes) -> Optional[QueueItem[Any]]:
        if body == frames.NIL:
            return None
        try:
            receipt, deliveries, value = decoder.all(body)
        except Exception:  # it stays leased: given back, it would come again at once
            failed.append(True)
            raise
        return QueueItem(receipt, deliveries, value)

    def undo(reply: Reply) -> Optional[Request[Any]]:
        if failed or reply.status or reply.body == frames.NIL:
            return None
        return never_delivered(t, PLAIN.one(split(reply.body)[0]))  # the value may not be decodable here

    return WaitingRequest(
        opcodes.LIST_TAKE,
        t + encode(claim or os.urandom(16)) + encode(milliseconds(lease, "lease")),
        wait_milliseconds(wait),
        read,
        undo=undo,
        trial=IN_LINE,
    )


def list_ack(t: bytes, item: Receipt) -> Request[None]:
    return Request(opcodes.LIST_ACK, t + _receipt(item), read_nothing)


def list_nack(t: bytes, item: Receipt, delay: Duration = 0) -> Request[None]:
    return Request(opcodes.LIST_NACK, t + _receipt(item) + encode(delay_milliseconds(delay)), read_nothing)


def never_delivered(t: bytes, receipt: int) -> Request[None]:
    """Gives an item back whose delivery has reached no caller: it does not count."""
    return Request(opcodes.LIST_NACK, t + _receipt(receipt) + encode(None), read_nothing)


def list_extend_lease(t: bytes, item: Receipt, lease: Union[Duration, Missing]) -> Request[None]:
    time = DEFAULT_LEASE if isinstance(lease, Missing) else lease
    return Request(opcodes.LIST_EXTEND_LEASE, t + _receipt(item) + encode(milliseconds(time, "lease")), read_nothing)


def is_lease(item: Any, lease: Any) -> bool:
    """Whether the arguments of CyberList.extend are those of extend_lease."""
    return isinstance(item, QueueItem) or lease is not MISSING


def list_held(t: bytes, which: int) -> Request[int]:
    """The number of leased items (which is 0), or of delayed items (1)."""
    return Request(opcodes.LIST_HELD, t, lambda decoder, body: read_pair(decoder, body)[which])


def list_remove(t: bytes, value: Any) -> Request[None]:
    return Request(opcodes.LIST_REMOVE, t + encode(value), read_nothing)


def list_count(t: bytes, value: Any) -> Request[int]:
    return Request(opcodes.LIST_COUNT, t + encode(value), read_length)


def list_index(t: bytes, value: Any, start: SupportsIndex, stop: SupportsIndex) -> Request[int]:
    try:
        ends = operator.index(start), operator.index(stop)
    except TypeError:
        raise TypeError("slice indices must be integers or have an __index__ method") from None
    return Request(opcodes.LIST_INDEX, t + encode(value) + many(ends), read_length)


def list_contains(t: bytes, value: Any) -> Request[bool]:
    return Request(opcodes.LIST_CONTAINS, t + encode(value), read_bool)


def list_len(t: bytes) -> Request[int]:
    return Request(opcodes.LIST_LEN, t, read_length)


def list_reverse(t: bytes) -> Request[None]:
    return Request(opcodes.LIST_REVERSE, t, read_nothing)


def list_sort(t: bytes, key: Optional[Callable[[Any], Any]], reverse: Any) -> Request[None]:
    return Request(opcodes.LIST_SORT, t + encode(sort_key(key)) + encode(bool(reverse)), read_nothing)


def list_clear(t: bytes) -> Request[None]:
    return Request(opcodes.LIST_CLEAR, t, read_nothing)


def list_all(t: bytes) -> Request[List[Any]]:
    return Request(opcodes.LIST_ALL, t, read_all)
