"""The shelf: CPython's tests of mappings, which its own tests of shelve run too, and ours."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import Any, Callable, ContextManager, Iterator, Optional

import pytest

from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, NoSuchTable, Proxy, ReadOnly, Server
from cyberdb_fast.adapters import shelve
from cyberdb_fast.errors import ServerUnreachable

mapping_tests = pytest.importorskip("test.mapping_tests")

_client: Optional[Client] = None
_new_name: Callable[[], str]


@pytest.fixture(autouse=True)
def _clients(client: Client, new_name: Callable[[], str]) -> Iterator[None]:
    global _client, _new_name
    _client, _new_name = client, new_name
    yield
    _client = None


class TestMapping(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
    options: dict[str, Any] = {}
    type2test = shelve.Shelf

    def _reference(self) -> dict[str, Any]:
        return {"key1": "value1", "key2": 2, "key3": (1, 2, 3)}

    def _empty_mapping(self) -> shelve.Shelf[Any, Any]:
        assert _client is not None
        return shelve.open(_client, _new_name(), **self.options)


class TestWriteback(TestMapping):
    options = {"writeback": True}


class TestPickle(TestMapping):
    options = {"writeback": True, "pickle": True}


@pytest.fixture
def name(new_name: Callable[[], str]) -> str:
    return new_name()


@pytest.fixture
def reopen(server: Server, name: str) -> Callable[..., shelve.Shelf[Any, Any]]:
    """A function that opens a shelf as a program does."""
    return lambda *flag, **options: shelve.open(server.url, name, *flag, password=PASSWORD, **options)


def test_a_shelf_keeps_values_and_their_types(
    reopen: Callable[..., Any], leaks_nothing: Callable[[], ContextManager[None]]
) -> None:
    with leaks_nothing():
        with reopen() as shelf:
            shelf["a"] = (1, {2: b"x"})
            shelf[3] = {4}
        with reopen("r") as shelf:
            assert repr(dict(shelf)) == "{'a': (1, {2: b'x'}), 3: {4}}"


def test_changes_within_values_need_writeback(reopen: Callable[..., Any]) -> None:
    with reopen() as shelf:
        shelf["a"] = [1]
        shelf["a"].append(2)
        assert shelf["a"] == [1]
    with reopen(writeback=True) as shelf:
        shelf["a"].append(2)
        shelf["b"] = {}
        assert shelf.get("b") is shelf["b"] is dict(shelf.items())["b"]
        shelf["b"]["c"] = 1
        with reopen() as other:
            assert dict(other) == {"a": [1], "b": {}}  # what was assigned is there at once
            shelf.sync()
            assert dict(other) == {"a": [1, 2], "b": {"c": 1}}
            other["a"] = [5]
            assert shelf["a"] == [5]  # sync forgets what was read
            for changed in shelf.setdefault("d", []), shelf["d"]:
                changed.append(1)
    with reopen() as shelf:
        assert dict(shelf) == {"a": [5], "b": {"c": 1}, "d": [1, 1]}


def test_writeback_writes_only_what_has_changed(reopen: Callable[..., Any], proxy: Proxy, sent: Counter[str]) -> None:
    with reopen(writeback=True) as shelf, reopen() as other:
        shelf.update({"read": [1], "changed": [1], "deleted": [1], "popped": [1]})
        for value in shelf.values():
            assert value == [1]
        shelf["changed"].append(2)
        del shelf["deleted"]
        assert shelf.pop("popped") == [1]
        other["read"] = "other"
        sent.clear()
        shelf.sync()
        shelf.sync()
        assert sent == {"perform": 1}
        assert dict(other) == {"read": "other", "changed": [1, 2]}


def test_each_method_is_one_request(reopen: Callable[..., Any], sent: Counter[str]) -> None:
    with reopen() as shelf:
        calls: list[Callable[[], Any]] = [
            lambda: shelf.update({"a": 1, "b": 2}, c=3),
            lambda: shelf.get("a"),
            lambda: shelf.setdefault("d", 4),
            lambda: shelf.pop("d"),
            lambda: shelf.popitem(),
            lambda: dict(shelf.items()),
            lambda: set(shelf.values()),
            lambda: len(shelf),
            lambda: shelf.clear(),
        ]
        for call in calls:
            sent.clear()
            call()
            assert sum(sent.values()) == 1


def test_flags(reopen: Callable[..., Any], name: str) -> None:
    for flag in ("r", "w"):
        with pytest.raises(NoSuchTable, match=name):
            reopen(flag)
    with pytest.raises(ValueError, match="'x'"):
        reopen("x")
    with reopen("n") as shelf:
        shelf["a"] = [1]
    with reopen("r", writeback=True) as shelf:
        changes: list[Callable[[], Any]] = [
            lambda: shelf.update(a=2),
            lambda: shelf.__setitem__("a", 2),
            lambda: shelf.__delitem__("a"),
            lambda: shelf.setdefault("a", 2),
            lambda: shelf.pop("a"),
            lambda: shelf.popitem(),
            lambda: shelf.clear(),
        ]
        for change in changes:
            with pytest.raises(ReadOnly, match="'r'"):
                change()
        assert dict(shelf) == {"a": [1]}
    with reopen("w") as shelf:
        assert dict(shelf) == {"a": [1]}
    with reopen("n") as shelf:
        assert not shelf


def test_a_closed_shelf(client: Client, reopen: Callable[..., Any], name: str) -> None:
    shelf = reopen()
    shelf.close()
    shelf.close()
    calls: list[Callable[[], Any]] = [
        lambda: shelf["a"],
        lambda: shelf.get("a"),
        lambda: shelf.update(a=1),
        lambda: len(shelf),
        lambda: list(shelf),
        lambda: list(shelf.items()),
        lambda: "a" in shelf,
        lambda: shelf.clear(),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the shelf is closed"):
            call()
    shelve.open(client, name).close()
    client.check()  # it is open still
    with pytest.raises(TypeError, match="a client has its options already: password"):
        shelve.open(client, name, password="x")


def test_objects_need_pickle(reopen: Callable[..., Any], d: CyberDict[Any, Any]) -> None:
    with reopen(writeback=True) as shelf, pytest.raises(TypeError, match="Pattern"):
        shelf["a"] = re.compile("a")
    with reopen(pickle=True) as shelf:
        shelf["a"] = re.compile("a")
        assert shelf["a"] == re.compile("a")
    with reopen() as shelf:
        assert type(shelf["a"]) is bytes  # nothing is unpickled unless asked for


def test_threads_share_a_shelf(reopen: Callable[..., Any]) -> None:
    with reopen() as shelf:
        threads = [threading.Thread(target=lambda n=n: shelf.update({(n, i): i for i in range(50)})) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(shelf) == 400


def test_the_server_may_be_away(free_port: int, leaks_nothing: Callable[[], ContextManager[None]]) -> None:
    with leaks_nothing(), pytest.raises(ServerUnreachable):
        shelve.open(f"cyberdb://127.0.0.1:{free_port}", password=PASSWORD)
