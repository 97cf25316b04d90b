"""The adapter of dogpile.cache, beyond dogpile's own tests: `.ci/adapters` runs both."""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Callable, ContextManager

import pytest

pytest.importorskip("dogpile.cache")

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE, CachedValue
from dogpile.cache.region import CacheRegion
from dogpile.util import PluginLoader

from conftest import PASSWORD, ROOT
from cyberdb_fast import Client, Server
from cyberdb_fast.adapters.dogpile import CyberDBBackend
from cyberdb_fast.errors import DisconCyberDBError, ServerUnreachable
from test_readme import run_alone

ENTRY_POINT = 'cyberdb_fast = "cyberdb_fast.adapters.dogpile:CyberDBBackend"'


def make(client: Client, region: Any = None, **arguments: Any) -> CacheRegion:
    made = make_region(**(region or {}))
    return made.configure("cyberdb_fast", expiration_time=60, arguments={"url": client, "table": "dogs", **arguments})


@pytest.fixture
def region(client: Client) -> CacheRegion:
    with client.get_proxy() as proxy:
        proxy.create_cyberdict("dogs", exist_ok=True).clear()
    return make(client)


def test_values_keep_their_types(client: Client, region: CacheRegion) -> None:
    for value in ((1, 2), {1: "a", (2, 3): {4}}, b"\x80\x04", 2**70, None):
        region.set("k", value)
        assert repr(region.get("k")) == repr(value)
    with client.get_proxy() as proxy:
        payload, metadata = proxy.get_cyberdict("dogs")["k"]
        assert payload is None
        assert metadata.keys() == {"ct", "v"}


def test_objects_need_pickle(client: Client, region: CacheRegion) -> None:
    with pytest.raises(TypeError, match="Pattern"):
        region.set("k", re.compile("a"))
    pickled = make(client, pickle=True)
    pickled.set("k", re.compile("a"))
    assert pickled.get("k") == re.compile("a")
    assert region.get("k") is NO_VALUE  # nothing is unpickled unless asked for
    region.set("k", 1)
    assert pickled.get("k") is NO_VALUE


def test_each_method_is_one_request(client: Client, region: CacheRegion, sent: Counter[str]) -> None:
    backend = CyberDBBackend({"url": client, "table": "dogs"})
    backend.delete("a")  # connects
    value = CachedValue(1, {})
    calls: list[Callable[[], Any]] = [
        lambda: backend.set("a", value),
        lambda: backend.get("a"),
        lambda: backend.set_multi({"a": value, "b": value}),
        lambda: backend.get_multi(["a", "b"]),
        lambda: backend.get_serialized_multi(["a", "b"]),
        lambda: backend.delete("a"),
        lambda: backend.delete_multi(["a", "b"]),
    ]
    for call in calls:
        sent.clear()
        call()
        assert sent == {"perform": 1}
    sent.clear()
    assert backend.get_multi([]) == []
    backend.set_multi({})
    backend.delete_multi([])
    assert not sent


@pytest.mark.parametrize("key", [1, b"a", None])
def test_keys_are_strings(key: Any) -> None:
    backend = CyberDBBackend({"url": "127.0.0.1:1", "password": PASSWORD})  # nothing is sent
    value = CachedValue(1, {})
    calls: list[Callable[[], Any]] = [
        lambda: backend.get(key),
        lambda: backend.set(key, value),
        lambda: backend.delete(key),
        lambda: backend.get_multi(["a", key]),
        lambda: backend.set_multi({key: value}),
        lambda: backend.delete_multi(["a", key]),
        lambda: backend.get_mutex(key),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=f"a cache key must be a str, got {type(key).__name__}"):
            call()


def test_the_server_may_be_away_at_start(start: Callable[..., Server], free_port: int) -> None:
    arguments = {"url": f"cyberdb://127.0.0.1:{free_port}", "password": PASSWORD}
    region = make_region().configure("cyberdb_fast", arguments=arguments)
    with pytest.raises(ServerUnreachable):
        region.get_or_create("a", lambda: 1)
    start(port=free_port)
    assert region.get_or_create("a", lambda: 1) == 1
    region.actual_backend.close()
    with pytest.raises(DisconCyberDBError):
        region.get_or_create("b", lambda: 1)


def test_ttl(client: Client, region: CacheRegion) -> None:
    timed = make(client, ttl=100)
    timed.set("a", 1)
    timed.set_multi({"b": 1})
    region.set("c", 1)
    with client.get_proxy() as proxy:
        entries = proxy.get_cyberdict("dogs")
        assert [99 < (entries.ttl(key) or 0) <= 100 for key in "abc"] == [True, True, False]


def test_regions_of_several_clients_create_a_value_once(
    server: Server, region: CacheRegion, leaks_nothing: Callable[[], ContextManager[None]]
) -> None:
    """As processes do: each region has its own lock."""
    calls: list[int] = []
    go = threading.Barrier(4)

    def create() -> int:
        calls.append(1)
        return len(calls)

    def work() -> None:
        arguments = {"url": server.url, "password": PASSWORD, "table": "dogs"}
        own = make_region().configure("cyberdb_fast", arguments=arguments)
        go.wait(10)
        assert own.get_or_create("once", create) == 1
        own.actual_backend.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    with leaks_nothing():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert calls == [1]


def test_another_thread_may_create_and_release(client: Client) -> None:
    """As with dogpile's async_creation_runner."""
    created = threading.Event()

    def runner(cache: CacheRegion, key: str, creator: Callable[[], Any], mutex: Any) -> None:
        def run() -> None:
            try:
                cache.set(key, creator())
            finally:
                mutex.release()
                created.set()

        threading.Thread(target=run).start()

    region = make(client, {"async_creation_runner": runner})
    region.set("k", "old")
    region.invalidate(hard=False)
    assert region.get_or_create("k", lambda: "new") == "old"
    assert created.wait(10)
    assert region.get_or_create("k", lambda: "newer") == "new"
    assert not region.key_is_locked("k")


def test_a_lost_lock_is_no_error_and_others_keep_theirs(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    mutex = CyberDBBackend({"url": client, "table": "dogs", "lock_timeout": 0.05}).get_mutex("lost")
    assert mutex is not None
    assert mutex.acquire()
    client.background.renewals._active.clear()  # as if this process was suspended
    assert mutex.acquire()  # when the lease has ended
    mutex.release()  # what was acquired first
    assert "was lost" in caplog.text
    assert mutex.locked()
    mutex.release()
    assert not mutex.locked()
    with pytest.raises(RuntimeError, match="not held"):
        mutex.release()


FORKED = """
import os
from cyberdb_fast.adapters.dogpile import CyberDBBackend

backend = CyberDBBackend({"url": URL, "table": "dogs"})
mutex = backend.get_mutex("forked")
mutex.acquire()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.read(reading, 1)
    mutex.acquire()
    mutex.release()
    os._exit(mutex.locked())
mutex.release()
os.write(writing, b".")
print(os.waitpid(child, 0)[1])
"""


def test_a_forked_child_holds_and_releases_its_own(server: Server, tmp_path: Path) -> None:
    code = FORKED.replace("URL", repr(server.url))
    assert run_alone(code, tmp_path, CYBERDB_PASSWORD=PASSWORD) == "0\n"


def test_keys_of_any_length_have_locks(client: Client) -> None:
    backend = CyberDBBackend({"url": client, "table": "dogs"})
    one, other = backend.get_mutex("k" * 2000 + "1"), backend.get_mutex("k" * 2000 + "2")
    assert one is not None
    assert other is not None
    assert one.acquire()
    assert other.acquire(False)
    one.release()
    other.release()


def test_without_distributed_lock(client: Client) -> None:
    assert CyberDBBackend({"url": client, "distributed_lock": False}).get_mutex("k") is None


def test_other_arguments_are_ignored_with_a_warning(client: Client) -> None:
    with pytest.warns(UserWarning, match="no argument expiry, tables"):
        CyberDBBackend({"url": client, "tables": "dogs", "expiry": 1})


def test_the_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pyproject.toml says makes dogpile find the backend."""
    project = (ROOT / "client/python/pyproject.toml").read_text()
    assert f'[project.entry-points."dogpile.cache"]\n{ENTRY_POINT}\n' in project
    directory = tmp_path / "installed-1.dist-info"
    directory.mkdir()
    (directory / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    (directory / "entry_points.txt").write_text("[dogpile.cache]\n" + ENTRY_POINT.replace('"', "") + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # of stevedore
    assert PluginLoader("dogpile.cache").load("cyberdb_fast") is CyberDBBackend
