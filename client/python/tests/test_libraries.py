"""Values from tables have Python's own types, which libraries accept.

Values that libraries make can be stored, or the error names their type.
"""

from __future__ import annotations

import copy
import datetime
import json
import marshal
import pickle
import plistlib
import pprint
import subprocess
import sys
import xmlrpc.client
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Callable, Dict, List

import msgpack
import pytest
import pytz
import yaml
from dateutil import tz

from conftest import PASSWORD
from cyberdb_fast import CyberDict, Server, Unopened, values

Table = CyberDict[Any, Any]

CONFIG = {"name": "x" * 30, "list": [{"k": "v" * 30, "n": n} for n in range(4)], "z": 1, "a": {"b": [1, 2, 3]}}
WRITERS: Dict[str, Callable[[Any], Any]] = {
    "yaml.safe_dump": yaml.safe_dump,
    "yaml.dump": yaml.dump,
    "json": json.dumps,
    "pprint": pprint.pformat,
    "marshal": lambda value: marshal.loads(marshal.dumps(value)),
    "xmlrpc": lambda value: xmlrpc.client.dumps((value,)),
    "plistlib": plistlib.dumps,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "msgpack": lambda value: msgpack.packb(value, strict_types=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_libraries_take_what_is_read(d: Table, name: str) -> None:
    d["k"] = CONFIG
    for read in (d["k"], d.get("k"), d.copy()["k"], next(iter(d.values())), d.get_many(["k"])["k"]):
        assert WRITERS[name](read) == WRITERS[name](CONFIG)


def kinds(value: Any) -> Any:
    inside = (
        list(value.items())
        if isinstance(value, dict)
        else value
        if isinstance(value, (list, tuple, set, frozenset, deque))
        else ()
    )
    return type(value), [kinds(item) for item in inside]


def test_what_is_read_is_of_pythons_own_types(d: Table) -> None:
    value = [
        {"a": [1, {2}]},
        (bytearray(b"x"), [deque([[]], 3)]),
        OrderedDict(a=Counter("a")),
        defaultdict(list, a=[{}]),
    ]
    d["k"] = value
    assert kinds(d["k"]) == kinds(value)
    assert kinds(list(d.items())) == kinds([("k", value)])


# ---- zones

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
KEPT: List[Any] = [
    datetime.time(12, 0, tzinfo=PARIS),
    datetime.time(12, 0, 1, 5, fold=1, tzinfo=PARIS),
    datetime.time(12, 0, tzinfo=zoneinfo.ZoneInfo("UTC")),
    datetime.time(12, 0, tzinfo=zoneinfo.ZoneInfo("Etc/GMT+5")),
    datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Etc/UTC")),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
    datetime.datetime(2022, 10, 30, 2, 30, fold=1, tzinfo=PARIS),
    datetime.datetime(2022, 3, 27, 2, 30, tzinfo=PARIS),
]


@pytest.mark.parametrize("value", KEPT, ids=repr)
def test_zones_are_kept(d: Table, value: Any) -> None:
    d["k"] = [value]
    assert repr(d["k"]) == repr([value])
    d["again"] = d["k"]
    assert repr(d["again"]) == repr([value])


def paris(zone: Any, *reading: int, **more: Any) -> datetime.datetime:
    return (
        pytz.timezone("Europe/Paris").localize(datetime.datetime(*reading), **more)
        if zone is pytz
        else datetime.datetime(*reading, tzinfo=zone)
    )


@pytest.mark.parametrize("zone", [pytz, tz.gettz("Europe/Paris")])
def test_zones_of_other_libraries_keep_their_name(d: Table, zone: Any) -> None:
    for value in (paris(zone, 2024, 3, 30, 12), paris(zone, 2024, 7, 1), paris(zone, 2024, 10, 27, 2, 30)):
        d["k"] = value
        read = d["k"]
        assert read.tzinfo == PARIS
        assert (read.utcoffset(), read.replace(tzinfo=None, fold=0)) == (
            value.utcoffset(),
            value.replace(tzinfo=None, fold=0),
        )
    for is_dst in (False, True):
        value = pytz.timezone("Europe/Paris").localize(datetime.datetime(2024, 10, 27, 2, 30), is_dst=is_dst)
        d["k"] = value
        assert (d["k"].utcoffset(), d["k"].fold) == (value.utcoffset(), 0 if is_dst else 1)


@pytest.mark.parametrize(
    "zone", [pytz.utc, tz.tzutc(), pytz.FixedOffset(90), tz.tzoffset("CST", 28800), tz.tzoffset(None, -3600)]
)
def test_fixed_offsets_of_other_libraries(d: Table, zone: Any) -> None:
    value = datetime.datetime(2024, 1, 1, tzinfo=zone)
    d["k"] = [value, datetime.time(1, tzinfo=zone)]
    read, of_day = d["k"]
    assert (read, read.utcoffset()) == (value, value.utcoffset())
    assert of_day.utcoffset() == value.utcoffset()
    assert isinstance(read.tzinfo, datetime.timezone)
    if isinstance(zone, tz.tzoffset):
        assert read.tzname() == (value.tzname() or "UTC-01:00")


class Odd(datetime.tzinfo):
    """A zone without a known name and without a fixed offset."""

    def __init__(self, offset: Any) -> None:
        self._offset = offset

    def utcoffset(self, moment: Any) -> Any:
        return None if moment is None else self._offset

    def dst(self, moment: Any) -> Any:
        return None

    def tzname(self, moment: Any) -> str:
        return "odd"


HOUR = datetime.timedelta(hours=1)
LOST: Dict[str, Any] = {
    "no name": datetime.datetime(2024, 1, 1, tzinfo=Odd(HOUR)),
    "no offset": datetime.datetime(2024, 1, 1, tzinfo=Odd(None)),
    "time": datetime.time(1, tzinfo=Odd(HOUR)),
    "rule": datetime.datetime(2024, 1, 1, tzinfo=tz.tzstr("EST5EDT")),
    "local mean time of pytz": datetime.datetime(2024, 1, 1, tzinfo=pytz.timezone("Europe/Paris")),
}


@pytest.mark.parametrize("name", LOST)
def test_what_would_lose_its_meaning_is_refused(d: Table, name: str) -> None:
    for value in (LOST[name], [LOST[name]]):
        with pytest.raises((TypeError, ValueError), match="cannot be stored"):
            d["k"] = value
    assert len(d) == 0


UNKNOWN = [
    "America",
    "Mars/Base",
    "a" * 300,
    "a" * 5000,
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "__init__.py",
    "Europe/",
    ".",
    "é",
    "a/" * 1500,
]


def test_unknown_zones_are_read_as_their_offset() -> None:
    """Zones that are unknown on this machine, written by another client."""
    for name in UNKNOWN:
        payload = bytes(8) + b"\2" + (3600).to_bytes(4, "big") + bytes(4) + name.encode()
        read = values.decode(msgpack.packb([msgpack.ExtType(7, payload), msgpack.ExtType(9, payload)]))
        assert [one.utcoffset() for one in read] == [HOUR, HOUR]
        assert read[0] == datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone(HOUR))


FROZEN = """
import sys, datetime
import freezegun
frozen = freezegun.freeze_time("2024-05-06 07:08:09")
if sys.argv[3] == "before":
    frozen.start()
import cyberdb_fast
if sys.argv[3] != "before":
    frozen.start()
with cyberdb_fast.connect(sys.argv[1], password=sys.argv[2]) as client, client.get_proxy() as proxy:
    d = proxy.create_cyberdict("frozen " + sys.argv[3])
    values = [datetime.datetime.now(), datetime.datetime.now(datetime.timezone.utc), datetime.date.today()]
    values += [datetime.time(1), (datetime.date(2020, 1, 2),)]
    d["k"] = values
    d[datetime.date.today()] = 1
    assert d["k"] == values, d["k"]
    assert d[datetime.date(2024, 5, 6)] == 1
    frozen.stop()
    utc = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    assert repr(d["k"]) == repr([datetime.datetime(2024, 5, 6, 7, 8, 9), utc,
        datetime.date(2024, 5, 6), datetime.time(1), (datetime.date(2020, 1, 2),)])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_frozen_time(server: Server, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, server.url, PASSWORD, when], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


# ---- exceptions


def noted(error: Any, *notes: str) -> Any:
    error.__notes__ = [*notes]
    return error


def named(error: Any, **attributes: Any) -> Any:
    vars(error).update(attributes)
    return error


ERRORS: Dict[str, BaseException] = {
    "OSError": OSError(2, "No such file or directory", "/etc/x"),
    "two files": OSError(18, "Invalid cross-device link", "/a", None, "/b"),
    "bytes for a file": PermissionError(13, "Permission denied", b"/x"),
    "ImportError": ImportError("m", name="mod", path="/a/mod.py"),
    "notes": noted(ValueError("n", (1, [2])), "hello", "there"),
    "attributes": named(KeyError("k"), code=5, detail={"a": (1,)}),
    "in another": ValueError(noted(OSError(2, "x", "/y"), "z")),
    "StopIteration": StopIteration(5),
    "SystemExit": SystemExit(3),
    "UnicodeDecodeError": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "SyntaxError": SyntaxError("bad", ("f.py", 3, 1, "x =")),
    "none": Exception(),
}


def described(error: Any) -> Any:
    arguments = [described(one) if isinstance(one, BaseException) else one for one in error.args]
    known = {
        name: getattr(error, name, None)
        for name in ("filename", "filename2", "name", "path", "errno", "code", "detail", "lineno")
    }
    return (
        type(error),
        str(error) if not any(isinstance(a, BaseException) for a in error.args) else "",
        arguments,
        known,
        getattr(error, "__notes__", None),
    )


@pytest.mark.parametrize("name", ERRORS)
def test_exceptions_are_whole(d: Table, name: str) -> None:
    d["k"] = [ERRORS[name]]
    assert described(d["k"][0]) == described(ERRORS[name])
    d["k"] = d["k"]
    assert described(d["k"][0]) == described(ERRORS[name])


def test_exceptions_that_cannot_be_made_here(d: Table) -> None:
    """They stay Unopened, and the values around them are decoded."""
    for payload in ([b"UnicodeDecodeError", 1], [b"ExceptionGroup", "x", 3], [b"NoSuchError", 1, (2,)], [b"print", 1]):
        name = payload[0].decode()  # type: ignore[attr-defined]
        raw = msgpack.ExtType(21, values.encode([name, *payload[1:]]))
        assert values.decode(msgpack.packb([raw, 1])) == [Unopened(name, raw.data), 1]


# ---- views and copies


def test_what_is_in_items(d: Table) -> None:
    d.update({"x": 1, "y": [1]})
    mine = {"x": 1, "y": [1]}
    for item in (
        "a",
        "xy",
        5,
        None,
        ("x",),
        ("x", 1),
        ("x", 1.0),
        ("x", 2),
        ["x", 1],
        ("z", 1),
        ("y", [1]),
        ("x", 1, 2),
    ):
        assert (item in d.items()) == (item in mine.items()), item
    for item, view in (([], d.keys()), (([], 1), d.items())):
        with pytest.raises(TypeError, match="unhashable"):
            assert item not in view
    assert d.items() <= {"x": 1, "y": [1], "z": 2}.items()
