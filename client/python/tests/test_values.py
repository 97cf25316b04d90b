"""Values that can or cannot be stored, application types, and lost changes."""

from __future__ import annotations

import copy
import datetime
import enum
import gc
import json
import os
import pickle
import subprocess
import sys
import uuid
import warnings
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from typing import Any, Callable, Dict, Iterator, List

import pytest

import cyberdb_fast
from conftest import CPYTHON, PASSWORD
from cyberdb_fast import CyberDict, Extension, LostChangeWarning, Server, TooLarge, register_type
from cyberdb_fast.extensions import MAX_NESTING
from cyberdb_fast.values import decode_all, encode, encode_all, encode_items, encode_key, encode_keys

Table = CyberDict[Any, Any]


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [object(), len, Colour.RED, Text("a"), memoryview(b"a"), iter([]), json, int, datetime.timezone.utc]
)
def test_what_cannot_be_stored_is_named(d: Table, value: Any) -> None:
    name = type(value).__qualname__
    for wrapped in (value, [value], {"a": {"b": value}}, (1, value), [[bytearray(b"x"), [value]]]):
        with pytest.raises(TypeError, match=f"{name}' cannot be stored"):
            d["k"] = wrapped
    with pytest.raises(TypeError, match="factory"):
        d["k"] = defaultdict(lambda: 1)
    assert len(d) == 0


def test_bytearrays_stay_bytearrays(d: Table) -> None:
    value = {"a": [bytearray(b"1"), {"b": bytearray(b"2"), "c": (bytearray(b"3"),)}], "d": b"4"}
    d["k"] = value
    assert repr(d["k"]) == repr(value)


def test_limits(d: Table) -> None:
    loop: List[Any] = []
    loop.append(loop)
    pair: Any = ([],)
    pair[0].append(pair)
    deep: Any = 1
    for _ in range(129):
        deep = [deep]
    for value in (loop, pair, deep):
        with pytest.raises(ValueError, match="nested more than 128"):
            d["k"] = value
    with pytest.raises(OverflowError, match="8192"):
        d["k"] = 1 << 70000
    with pytest.raises(TooLarge):
        d["k"] = "x" * (33 << 20)
    d["k"] = deep[0]
    assert d["k"] == deep[0]


def test_zones(d: Table) -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    for value in (
        datetime.datetime(2022, 10, 30, 2, 30, fold=1, tzinfo=berlin),
        datetime.datetime(2022, 4, 15, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))),
        datetime.datetime(2022, 4, 15, tzinfo=datetime.timezone(datetime.timedelta(hours=8), "CST")),
        datetime.time(1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-3), "")),
        datetime.time(1, 2, tzinfo=datetime.timezone.utc),
    ):
        d["k"] = value
        got = d["k"]
        assert (got, got.fold, got.tzinfo, got.tzname()) == (value, value.fold, value.tzinfo, value.tzname())


def test_registered_types(d: Table) -> None:
    point = Point(1, 2)
    with pytest.raises(TypeError, match="Point' cannot be stored; register"):
        d["p"] = point
    register_type(Point, 100, lambda p: b"%d,%d" % (p.x, p.y), lambda data: Point(*map(int, data.split(b","))))
    d["p"] = point
    d[point] = [point, {"in": (point,)}]
    assert d["p"] == point
    assert d[Point(1, 2)] == [point, {"in": (point,)}]
    with pytest.raises(ValueError, match="Point already"):
        register_type(Text, 100, str.encode, lambda data: Text(data.decode()))
    with pytest.raises(ValueError, match="64 to 127"):
        register_type(Text, 63, str.encode, lambda data: Text(data.decode()))
    with pytest.raises(TypeError, match="without register_type"):
        register_type(uuid.UUID, 65, lambda u: u.bytes, lambda data: uuid.UUID(bytes=data))


def test_application_types_that_are_not_registered(d: Table) -> None:
    d["p"] = Extension(127, b"1,2")
    d["other"] = d["p"]
    assert d["other"] == Extension(127, b"1,2")


CHANGES: Dict[str, Any] = {
    "append": ([1], lambda v: v.append(2)),
    "item": ([1], lambda v: v.__setitem__(0, 2)),
    "+=": ([1], lambda v: v.__iadd__([2])),
    "dict": ({"a": 1}, lambda v: v.__setitem__("b", 2)),
    "nested": ({"a": [[]]}, lambda v: v["a"][0].append(1)),
    "in a tuple": (([],), lambda v: v[0].append(1)),
    "set": ({1}, lambda v: v.add(2)),
    "bytearray": (bytearray(b"a"), lambda v: v.extend(b"b")),
    "deque": (deque([1]), lambda v: v.appendleft(2)),
    "OrderedDict": (OrderedDict(a=1), lambda v: v.move_to_end("a")),
    "Counter": (Counter("a"), lambda v: v.update("b")),
    "defaultdict": (defaultdict(list, {"a": [1]}), lambda v: v["a"].append(1)),
}


@pytest.fixture
def tracking(server: Server, new_name: Callable[[], str]) -> Iterator[Table]:
    """A dict of a client that tracks changes."""
    with cyberdb_fast.connect(server.url, password=PASSWORD, track_changes=True) as client, client.get_proxy() as proxy:
        yield proxy.create_cyberdict(new_name())


def collect() -> None:
    """Collects all garbage. PyPy needs more rounds for the elements of a container."""
    for _ in range(1 if CPYTHON else 5):
        gc.collect()


@pytest.mark.parametrize("name", CHANGES)
def test_lost_changes_warn(tracking: Table, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, change = CHANGES[name]
    monkeypatch.setattr("cyberdb_fast.tracked._warned", {})
    d = tracking
    d["k"] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        change(d["k"])
        collect()
    assert [w.category for w in caught] == [LostChangeWarning]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        changed = d["k"]
        change(changed)
        d["k"] = changed  # nothing is lost
        assert d["k"] == changed
        mine = copy.deepcopy(d["k"])  # a copy is not tracked
        change(mine)
        del changed, mine
        collect()


UNCHANGING: Dict[str, Any] = {
    "missing key of a defaultdict": (defaultdict(list), lambda v: v["missing"]),
    "missing key of a Counter": (Counter("a"), lambda v: v["missing"]),
    "deque + deque": (deque([1]), lambda v: (v + v).append(2)),
    "deque * 2": (deque([1]), lambda v: (v * 2).append(2)),
    "2 * deque": (deque([1]), lambda v: (2 * v).append(2)),
    "OrderedDict | dict": (OrderedDict(a=1), lambda v: (v | {"b": 2}).update(c=3)),
    "dict | OrderedDict": (OrderedDict(a=1), lambda v: ({"b": 2} | v).update(c=3)),
    "defaultdict | dict": (defaultdict(list), lambda v: (v | {"b": 2}).update(c=3)),
    "set | set": ({1}, lambda v: (v | {2}).add(3)),
    "list + list": ([1], lambda v: (v + [2]).append(3)),
    "bytearray + bytes": (bytearray(b"a"), lambda v: (v + b"b").append(3)),
    "slice": ([1], lambda v: v[:].append(3)),
    "copy": ([[1]], lambda v: copy.deepcopy(v)[0].append(3)),
    "extend by nothing": ([1], lambda v: v.extend([])),
    "+= nothing": ([1], lambda v: v.__iadd__([])),
    "update with nothing": ({"a": 1}, lambda v: v.update({})),
    "setdefault of what is there": ({"a": 1}, lambda v: v.setdefault("a", 2)),
    "pop of what is not there": ({"a": 1}, lambda v: v.pop("b", None)),
    "discard of what is not there": ({1}, lambda v: v.discard(2)),
    "add of what is there": ({1}, lambda v: v.add(1)),
    "rotate by 0": (deque([1, 2]), lambda v: v.rotate(0)),
    "sort of what is sorted": ([1, 2], lambda v: v.sort()),
    "clear of nothing": ([], lambda v: v.clear()),
}


@pytest.mark.parametrize("name", UNCHANGING)
def test_what_changes_nothing_does_not_warn(tracking: Table, name: str) -> None:
    value, read = UNCHANGING[name]
    tracking["k"] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tracking["k"])
        collect()


def test_a_new_value_of_a_defaultdict_is_watched(tracking: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyberdb_fast.tracked._warned", {})
    tracking["k"] = defaultdict(list)
    with pytest.warns(LostChangeWarning, match="append"):
        tracking["k"]["new"].append(1)
        collect()


SWITCH = """
import gc, sys, warnings
import cyberdb_fast
with cyberdb_fast.connect(sys.argv[1], password=sys.argv[2]) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict(sys.argv[3], {"k": []})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        d["k"].append(1)
        gc.collect()
        gc.collect()
    print([w.category.__name__ for w in caught if w.category is cyberdb_fast.LostChangeWarning])
"""


@pytest.mark.parametrize(
    ("options", "said", "on"), [([], "", 0), ([], "1", 1), (["-X", "dev"], "", 1), (["-X", "dev"], "0", 0)]
)
def test_what_turns_tracking_on(
    server: Server, new_name: Callable[[], str], options: List[str], said: str, on: int
) -> None:
    command = [sys.executable, *options, "-c", SWITCH, server.url, PASSWORD, new_name()]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDEVMODE"}
    done = subprocess.run(
        command,
        env={**environment, "CYBERDB_TRACK_CHANGES": said},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{['LostChangeWarning'] * on}\n"


def test_tracking_is_each_clients_own(tracking: Table, d: Table, server: Server) -> None:
    with (
        cyberdb_fast.connect(server.url, password=PASSWORD, track_changes=False) as client,
        client.get_proxy() as proxy,
    ):
        plain = proxy.get_cyberdict(tracking.table_name)
        tracking["k"] = [{}]
        assert (type(plain["k"]), type(plain["k"][0]), type(plain.copy()["k"])) == (list, dict, list)
        assert type(tracking["k"]) is not list


def test_each_line_warns_once(tracking: Table) -> None:
    d = tracking
    d["k"] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            d["k"].append(1)
        collect()
    assert len(caught) == 1


def test_what_warns_is_what_was_stored(tracking: Table) -> None:
    """Tracked types look like the plain types."""
    d = tracking
    for value, _ in CHANGES.values():
        d["k"] = value
        got = d["k"]
        assert isinstance(got, type(value))
        assert repr(got) == repr(value)
        assert got == value
        for copied in (copy.copy(got), copy.deepcopy(got), pickle.loads(pickle.dumps(got))):
            assert type(copied) is type(value)
            assert copied == value
    d["k"] = {"a": [1, {"b": None}]}
    assert json.dumps(d["k"]) == '{"a": [1, {"b": null}]}'
    assert type(d["k"].copy()) is dict


def test_numbers_are_exact(d: Table) -> None:
    for value in (2**64, -(2**63) - 1, 2**2000, Decimal("1.10"), 5e-324, float("inf"), -0.0, 1 + 0j):
        d["k"] = value
        assert repr(d["k"]) == repr(value)


def test_many_values_are_encoded_as_each_is() -> None:
    """The packer gets them in one call, and its depth and its limits are those of one value."""
    deep: Any = []
    for _ in range(MAX_NESTING - 1):
        deep = [deep]
    tuples: Any = ((1, ("a", {"b": (2.5, None)})), bytearray(b"c"), deque([{1, 2}], 9))
    for size in (0, 1, 2, 15, 16, 17, 65535, 65536):
        numbers: List[Any] = list(range(size))
        assert encode_all(numbers) == b"".join(map(encode, numbers))
    for values in ([deep, deep], [1, tuples], [tuples, "x"], [{"a": [1, {"b": 2}]}] * 3, [2**100, uuid.UUID(int=1)]):
        assert encode_all(values) == b"".join(map(encode, values))
        assert decode_all(encode_all(values)) == values
    items = {"a": tuples, 1: [1], (1, "b"): None}
    assert encode_items(items) == b"".join(encode(key) + encode(value) for key, value in items.items())
    assert encode_keys(["a", (1, (2,)), 2**70]) == b"".join(map(encode_key, ["a", (1, (2,)), 2**70]))
    with pytest.raises(TypeError, match="object"):
        encode_all([1, object()])
    with pytest.raises(ValueError, match="nested"):
        encode_all([1, [deep, [deep]]])
