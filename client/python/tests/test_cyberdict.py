"""CyberDict against a real server: the methods of dict, and its own."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict, defaultdict
from typing import Any, Callable, Dict

import pytest

from cyberdb_fast import ABSENT, CyberDict, NoSuchTable, Proxy, TooLarge, VersionMismatch, WrongTableKind

Table = CyberDict[Any, Any]


def test_set_and_get(d: Table) -> None:
    d["a"] = 1
    assert d["a"] == 1
    with pytest.raises(KeyError) as e:
        d["b"]
    assert e.value.args == ("b",)
    del d["a"]
    with pytest.raises(KeyError):
        del d["a"]


@pytest.mark.parametrize("value", [0, 0.0, -0.0, "", b"", (), [], {}, set(), frozenset(), False, None, bytearray()])
def test_falsy_values_come_back_as_themselves(d: Table, value: Any) -> None:
    d["k"] = value
    for got in (d["k"], d.get("k", 1), d.setdefault("k", 1), dict(d.items())["k"], d.get_many(["k"])["k"], d.pop("k")):
        assert repr(got) == repr(value)


def test_default_comes_back_as_itself(d: Table) -> None:
    class Local:
        pass

    default = Local()
    assert d.get("k", default) is default
    assert d.pop("k", default) is default


def test_errors_leave_the_connection_usable(d: Table) -> None:
    for _ in range(3):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            d[[1]]
        with pytest.raises(TypeError, match="unhashable type: 'dict'"):
            d[(1, {})] = 1
        with pytest.raises(KeyError):
            d.popitem()
    d["a"] = 1
    assert len(d) == 1


def test_update_is_all_or_nothing(d: Table) -> None:
    with pytest.raises(TypeError, match="set' cannot be stored|unhashable|object"):
        d.update({"a": 1, "b": object()})
    with pytest.raises(TypeError, match="unhashable"):
        d.update([("a", 1), ([], 2)])
    with pytest.raises(ValueError):
        d.update([("a", 1), (1, 2, 3)])
    assert d == {}
    d.update({"a": 1}, b=2)
    assert d == {"a": 1, "b": 2}


def test_operators(d: Table, proxy: Proxy) -> None:
    d.update(a=1, b=2)
    assert d | {"c": 3} == {"a": 1, "b": 2, "c": 3}
    assert {"c": 3} | d == {"c": 3, "a": 1, "b": 2}
    d |= [("z", 0)]
    assert list(reversed(d)) == ["z", "b", "a"]
    assert d == proxy.get_cyberdict(d.table_name)
    assert d != {"a": 1}
    assert copy.copy(d) == d.copy() == {"a": 1, "b": 2, "z": 0}
    with pytest.raises(TypeError, match="unhashable"):
        hash(d)
    with pytest.raises(TypeError):
        d | [1]


def test_views(d: Table) -> None:
    d.update(a=1, b=2)
    keys, values, items = d.keys(), d.values(), d.items()
    d["c"] = 3
    assert list(keys) == ["a", "b", "c"]
    assert list(values) == [1, 2, 3]
    assert list(items) == [("a", 1), ("b", 2), ("c", 3)]
    assert list(reversed(items))[0] == ("c", 3)
    assert 3 in values
    assert ("a", 1) in items
    assert keys & {"a", "x"} == {"a"}
    assert len(values) == 3
    assert repr(keys) == "dict_keys(['a', 'b', 'c'])"


def test_increment(d: Table) -> None:
    assert d.increment("n") == 1
    assert d.increment("n", 2.5) == 3.5
    d["s"] = "x"
    with pytest.raises(TypeError):
        d.increment("s")


def test_increment_of_what_exists(d: Table) -> None:
    d["n"] = 1
    assert d.increment("n", 2, must_exist=True) == 3
    with pytest.raises(KeyError) as e:
        d.increment("m", must_exist=True)
    assert e.value.args == ("m",)
    assert d == {"n": 3}


def test_add_and_replace(d: Table) -> None:
    assert not d.replace("k", 1)
    assert d == {}
    assert d.add("k", 2, ttl=60)
    assert not d.add("k", 3)
    assert d["k"] == 2
    assert d.ttl("k") is not None
    assert d.replace("k", 4)
    assert (d["k"], d.ttl("k")) == (4, None)
    assert d.replace("k", 5, ttl=60)
    assert d.ttl("k") is not None


def test_versions(d: Table) -> None:
    first = d.set_if("k", "a", 0)
    assert d.get_versioned("k") == ("a", first)
    with pytest.raises(VersionMismatch):
        d.set_if("k", "b", 0)
    second = d.set_if("k", "b", first, ttl=60)
    assert second > first
    third = d.set_if("k", "c", second, keep_ttl=True)
    assert d.ttl("k") is not None
    for version in (0, first, second):
        with pytest.raises(VersionMismatch):
            d.delete_if("k", version)
    d.delete_if("k", third)
    with pytest.raises(VersionMismatch):
        d.delete_if("k", third)
    with pytest.raises(KeyError):
        d.get_versioned("k")
    with pytest.raises(TypeError):
        d.set_if("k", "d", "0")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_conditions_in_a_pipeline(proxy: Proxy, d: Table) -> None:
    d["k"] = 1
    version = d.get_versioned("k").version
    with proxy.pipeline() as pipe:
        on_d = pipe.on(d)
        added, replaced, absent = on_d.add("k", 2), on_d.replace("k", 3), on_d.replace("x", 3)
        incremented, entry = on_d.increment("k", must_exist=True), on_d.get_versioned("k")
        lost = on_d.set_if("k", 4, version), on_d.delete_if("k", version)
        deleted = on_d.delete_many(["x", "k"])
        missing = on_d.increment("x", must_exist=True)
    assert (added.value, replaced.value, absent.value, incremented.value) == (False, True, False, 4)
    assert entry.value.value == 4
    assert deleted.value == ["k"]
    for result in lost:
        assert isinstance(result.error, VersionMismatch)
    assert repr(missing.error) == "KeyError('x')"
    assert d == {}


def test_compare_and_set(d: Table) -> None:
    assert d.compare_and_set("k", ABSENT, 1)
    assert not d.compare_and_set("k", ABSENT, 2)
    assert d.compare_and_set("k", 1.0, 2)
    assert d.compare_and_set("k", 2, ABSENT)
    assert "k" not in d


def test_modify(d: Table) -> None:
    assert d.modify("k", lambda v: [*v, 1], default=[]) == [1]

    def interrupted(value: Any) -> Any:
        if len(value) < 3:
            d["k"] = [0, 0, 0]
        return [*value, 2]

    assert d.modify("k", interrupted) == [0, 0, 0, 2]
    assert d["k"] == [0, 0, 0, 2]
    with pytest.raises(KeyError):
        d.modify("absent", lambda v: v)


def test_delete_many(d: Table) -> None:
    d.update(a=1, b=2, c=3)
    assert d.delete_many(iter(["c", "x", "a", "c"])) == ["c", "a"]
    assert d == {"b": 2}
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        d.delete_many(["b", []])
    assert d.delete_many([]) == []
    assert d == {"b": 2}


def test_get_many(d: Table) -> None:
    d.set_many({"a": None, "b": [1]})
    assert d.get_many(["a", "x", "b"]) == {"a": None, "b": [1]}
    assert d.get_many([]) == {}


def test_iteration_shows_one_moment(d: Table) -> None:
    d.update({i: i for i in range(10_000)})
    seen = []
    for key in d:
        if not seen:
            d.clear()
        seen.append(key)
    assert seen == list(range(10_000))


def test_iteration_beyond_memory_limit(d: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large replies go through a temporary file; the limit here is a few frames."""
    monkeypatch.setattr("cyberdb_fast.replies.SPOOL_BYTES", 100_000)
    for at in range(0, 40, 10):
        d.update({i: bytes([i]) * 100_000 for i in range(at, at + 10)})
    assert [(key, len(value), value[0]) for key, value in d.items()] == [(i, 100_000, i) for i in range(40)]


def test_large_values_and_frames(d: Table) -> None:
    value = "é" * 10_000_000
    d["big"] = value
    assert d["big"] == value
    with pytest.raises(TooLarge):
        d["bigger"] = bytes((32 << 20) + 1)
    with pytest.raises(TooLarge):
        d.update({i: bytes(30 << 20) for i in range(3)})
    assert len(d) == 1


def test_missing_table(d: Table, proxy: Proxy) -> None:
    proxy.delete_table(d.table_name)
    with pytest.raises(NoSuchTable, match=d.table_name):
        d.get("a")
    proxy.create_cyberlist(d.table_name)
    with pytest.raises(WrongTableKind, match="list.*dict|dict.*list"):
        d.get("a")


def keywords(**items: Any) -> Dict[str, Any]:
    return items


def updated(source: Table) -> Dict[Any, Any]:
    items: Dict[Any, Any] = {}
    items.update(source)
    return items


WHOLE: Dict[str, Callable[[Table], Any]] = {
    "dict(d)": lambda d: dict(d),
    "{**d}": lambda d: {**d},
    "f(**d)": lambda d: keywords(**d),
    "dict(**d)": lambda d: dict(**d),
    "{}.update(d)": updated,
    "OrderedDict(d)": lambda d: dict(OrderedDict(d)),
    "defaultdict(list, d)": lambda d: dict(defaultdict(list, d)),
    "copy()": lambda d: d.copy(),
}


@pytest.mark.parametrize("way", WHOLE)
def test_one_moment_during_writes(d: Table, way: str) -> None:
    """The writer moves a key to another position.

    At each moment one key is missing and the sum is the same.
    """
    d.update({f"k{n}": n for n in range(50)})
    keep_on = True

    def write() -> None:
        n = 0
        while keep_on:
            d[f"k{n % 50}"] = d.pop(f"k{n % 50}")
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            whole = WHOLE[way](d)
            assert len(whole) in (49, 50)
            assert all(whole[f"k{n}"] == n for n in range(50) if f"k{n}" in whole)
    finally:
        keep_on = False
        writer.join()


def test_a_loop_over_keys_sees_the_present(d: Table) -> None:
    d.update({f"k{n}": n for n in range(10)})
    seen = []
    for key in d.keys():  # noqa: SIM118
        d["k9"] = "new"
        seen.append(d[key])
    assert seen == [*range(9), "new"]
    keys = d.keys()
    d["k8"] = "newer"
    assert [d.__getitem__(key) for key in keys][8:] == ["newer", "new"]
    for key in d.keys():  # noqa: SIM118
        del d["k5" if key == "k0" else key]
        if key == "k4":
            break
    with pytest.raises(KeyError):
        d["k5"]
    assert dict(d) == d.copy() == {"k0": 0, "k6": 6, "k7": 7, "k8": "newer", "k9": "new"}
    d["k6"] = "later"
    assert dict(d) == d.copy()


def test_copies_of_strange_keys(d: Table) -> None:
    content = {float("nan"): 1, (1, (2,)): [3], None: None, 1: "one", b"b": b"b"}
    d.update(content)
    assert repr(dict(d)) == repr(content)
    with pytest.raises(TypeError):
        keywords(**d)
    d["a"] = 5
    assert d["a"] == 5
    assert dict(d)["a"] == 5
