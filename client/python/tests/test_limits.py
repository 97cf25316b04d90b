"""Options of dicts, and what writes do at a limit, against a real server."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest

from cyberdb_fast import CyberDict, NoSuchTable, Overloaded, Proxy, TableExists, WrongTableKind

NO_LIMITS: Dict[str, Any] = {"ttl": None, "idle": None, "max_entries": None, "max_bytes": None, "policy": "none"}


def test_options(proxy: Proxy, new_name: Callable[[], str]) -> None:
    """configure changes what it names, and None removes it."""
    name, other = new_name(), new_name()
    proxy.create_cyberdict(name)
    assert proxy.options(name) == NO_LIMITS
    proxy.configure(name)
    assert proxy.options(name) == NO_LIMITS
    proxy.configure(name, ttl=1.0005, max_entries=10)
    assert proxy.options(name) == {**NO_LIMITS, "ttl": 1.001, "max_entries": 10, "policy": "s3fifo"}
    proxy.configure(name, idle=60, max_bytes=1000, policy="ttl")
    options = {"ttl": 1.001, "idle": 60.0, "max_entries": 10, "max_bytes": 1000, "policy": "ttl"}
    assert proxy.options(name) == options
    proxy.create_cyberdict(other, exist_ok=True, **proxy.options(name))
    assert proxy.options(other) == options
    proxy.create_cyberdict(other, exist_ok=True, ttl=5, policy="none")
    assert proxy.options(other) == options
    proxy.configure(name, ttl=None, policy=None)
    assert proxy.options(name) == {**options, "ttl": None, "policy": "s3fifo"}
    proxy.configure(other, **proxy.options(name))
    assert proxy.options(other) == proxy.options(name)
    proxy.configure(name, idle=None, max_entries=None, max_bytes=None)
    assert proxy.options(name) == NO_LIMITS


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_entries": 0}, ValueError),
        ({"max_bytes": -1}, ValueError),
        ({"max_entries": 2**64}, ValueError),
        ({"policy": "lru"}, ValueError),
        ({"max_entries": True}, TypeError),
        ({"max_bytes": 1.0}, TypeError),
        ({"max_entries": "10"}, TypeError),
        ({"policy": 3}, TypeError),
        ({"ttl": 0}, ValueError),
        ({"idle": "1"}, TypeError),
    ],
)
def test_wrong_options(proxy: Proxy, new_name: Callable[[], str], options: Dict[str, Any], error: Any) -> None:
    """Nothing is created, and nothing is changed, not even by the other options."""
    name, new = new_name(), new_name()
    proxy.create_cyberdict(name)
    with pytest.raises(error):
        proxy.create_cyberdict(new, **options)
    assert not proxy.exists(new)
    with pytest.raises(error):
        proxy.configure(name, **{"ttl": 5, "max_entries": 5, **options})
    assert proxy.options(name) == NO_LIMITS


def test_only_dicts_have_options(proxy: Proxy, new_name: Callable[[], str]) -> None:
    name, missing = new_name(), new_name()
    proxy.create_cyberlist(name)
    with pytest.raises(WrongTableKind, match="is a list"):
        proxy.options(name)
    with pytest.raises(ValueError, match='no option "ttl": a list has'):
        proxy.configure(name, ttl=1)
    for call in (proxy.options, lambda name: proxy.configure(name, ttl=1)):
        with pytest.raises(NoSuchTable, match=missing):
            call(missing)
    with pytest.raises(WrongTableKind):
        proxy.create_cyberdict(name, exist_ok=True, ttl=1)
    proxy.create_cyberdict(missing, ttl=1)
    with pytest.raises(TableExists):
        proxy.create_cyberdict(missing, ttl=2)
    assert proxy.options(missing)["ttl"] == 1


def limited(proxy: Proxy, name: str, **options: Any) -> CyberDict[Any, Any]:
    return proxy.create_cyberdict(name, {i: i for i in range(10)}, max_entries=10, **options)


def test_a_full_dict_refuses(proxy: Proxy, new_name: Callable[[], str]) -> None:
    """With the policy none. What adds no entry is done."""
    d = limited(proxy, new_name(), policy="none")
    for add in (
        lambda: d.__setitem__("new", 1),
        lambda: d.set("new", 1, ttl=5),
        lambda: d.setdefault("new", 1),
        lambda: d.update({0: 1, "new": 1}),
        lambda: d.increment("new"),
    ):
        with pytest.raises(Overloaded):
            add()
    assert d.copy() == {i: i for i in range(10)}
    d[0] = 5
    d.increment(1)
    del d[2]
    d["new"] = 1
    assert len(d) == 10


def test_a_full_dict_makes_room(proxy: Proxy, new_name: Callable[[], str]) -> None:
    """With the policy s3fifo. The key just written is there when its request returns."""
    d = limited(proxy, new_name())
    for i in range(1000):
        d[i] = i
        assert d[i] == i
        assert len(d) <= 10
    d.update({("many", i): i for i in range(8)})
    assert len(d) <= 10
    assert ("many", 7) in d


def test_a_limit_of_bytes(proxy: Proxy, new_name: Callable[[], str]) -> None:
    d = proxy.create_cyberdict(new_name(), max_bytes=10_000)
    for i in range(1000):
        d[i] = bytes(100)
        assert i in d
    assert 40 < len(d) < 100


def test_the_nearest_deadline_makes_room(proxy: Proxy, new_name: Callable[[], str]) -> None:
    d = limited(proxy, new_name(), policy="ttl")
    with pytest.raises(Overloaded):  # no entry has a deadline
        d["new"] = 1
    d.expire(3, 1000)
    d.expire(5, 500)
    d["first"] = 1
    assert (5 in d, 3 in d) == (False, True)
    d["second"] = 1
    assert (3 in d, len(d)) == (False, 10)
    with pytest.raises(Overloaded):
        d["third"] = 1
