"""Expiry of entries, against a real server: methods of tables, asyncio, pipelines, workers."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from datetime import timedelta
from typing import Any, Awaitable, Callable, Dict, List, Optional

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import ABSENT, CyberDict, Proxy, Server, aio
from test_concurrency import run

Table = CyberDict[Any, Any]
SHORT = 0.15  # seconds that entries live in these tests
LONG = 1000.0
TICK = 0.001  # the unit of the server's time: what happens in one has the same time


def wait_until(gone: Callable[[], bool]) -> None:
    """Waits until it is so."""
    began = time.monotonic()
    while not gone():
        assert time.monotonic() - began < 10, "it has not expired"
        time.sleep(0.005)


def is_about(seconds: Optional[float], due: float) -> bool:
    """Whether a time to live that was due a moment ago is as it should be."""
    return seconds is not None and due - 5 < seconds <= due


def test_an_entry_expires(d: Table) -> None:
    """Not before its time, and then in every respect."""
    d.update(first=1, last=3)
    began = time.monotonic()
    d.set("k", 2, ttl=SHORT)
    left = d.ttl("k")
    assert left is not None
    assert 0 < left <= SHORT
    assert (d["k"], "k" in d, len(d)) == (2, True, 3)
    wait_until(lambda: "k" not in d)
    assert time.monotonic() - began > SHORT - TICK
    assert d.copy() == {"first": 1, "last": 3}
    assert (d.get("k", 0), d.get_many(["k", "last"]), d.pop("k", 0)) == (0, {"last": 3}, 0)
    assert list(d.keys()) == list(d) == ["first", "last"]
    wait_until(lambda: len(d) == 2)
    for missing in (lambda: d["k"], lambda: d.pop("k"), lambda: d.__delitem__("k"), lambda: d.ttl("k")):
        with pytest.raises(KeyError) as e:
            missing()
        assert e.value.args == ("k",)
    assert not d.compare_and_set("k", 2, 3)
    assert d.popitem() == ("last", 3)


@pytest.mark.parametrize(
    "write",
    [
        lambda d: d.__setitem__("k", 7),
        lambda d: d.setdefault("k", 7),
        lambda d: d.update(k=7),
        lambda d: d.increment("k", 7),
        lambda d: d.compare_and_set("k", ABSENT, 7),
        lambda d: d.modify("k", lambda v: v + 7, 0),
        lambda d: d.set("k", 7, keep_ttl=True),
    ],
)
def test_a_write_after_expiry_is_an_insert(d: Table, write: Callable[[Table], Any]) -> None:
    """At the end, and with no deadline of its own."""
    d.set("k", 1, ttl=SHORT)
    d["other"] = 1
    wait_until(lambda: "k" not in d)
    write(d)
    assert (list(d.items()), d.ttl("k")) == ([("other", 1), ("k", 7)], None)


def test_a_plain_write_removes_the_deadline(d: Table) -> None:
    for write in (
        lambda: d.__setitem__("k", 2),
        lambda: d.set("k", 2),
        lambda: d.update(k=2),
        lambda: d.set_many({"k": 2}),
    ):
        d.set("k", 1, ttl=LONG)
        write()
        assert (d["k"], d.ttl("k")) == (2, None)


def test_some_writes_keep_the_deadline(d: Table) -> None:
    d.set("k", 1, ttl=LONG)
    d.set("k", 2, keep_ttl=True)
    assert d.setdefault("k", 9) == 2
    assert d.setdefault("k", 9, ttl=1) == 2
    assert d.increment("k") == 3
    assert d.increment("k", ttl=1) == 4
    assert d.compare_and_set("k", 4, 5)
    assert not d.compare_and_set("k", 4, 6, ttl=1)
    assert d.modify("k", lambda v: v + 1) == 6
    assert is_about(d.ttl("k"), LONG)
    d["forever"] = 1
    d.set("forever", 2, keep_ttl=True)
    assert d.ttl("forever") is None


def test_each_write_with_a_ttl(d: Table) -> None:
    hour = timedelta(hours=1)
    d.set("set", 1, ttl=hour)
    assert d.setdefault("setdefault", 1, ttl=hour) == 1
    d.update({"update": 1, "ttl": 2}, other=3, ttl=hour)
    d.set_many([("set_many", 1)], ttl=hour)
    assert d.increment("increment", ttl=hour) == 1
    assert d.compare_and_set("compare_and_set", ABSENT, 1, ttl=hour)
    assert d.modify("modify", lambda v: v + 1, 0, ttl=hour) == 1
    d["expire"] = 1
    d.expire("expire", hour)
    assert len(d) == 10
    for key in d:
        assert is_about(d.ttl(key), 3600), key
    for again in (d.set, d.modify):
        again("set", abs if again == d.modify else 1, ttl=LONG)
        assert is_about(d.ttl("set"), LONG)
    assert d.compare_and_set("set", 1, 2, ttl=hour)
    assert is_about(d.ttl("set"), 3600)


def test_expire_and_persist(d: Table) -> None:
    d.update(a=1, b=2)
    d.expire("a", LONG)
    assert is_about(d.ttl("a"), LONG)
    assert list(d.items()) == [("a", 1), ("b", 2)]
    d.persist("a")
    assert d.ttl("a") is None
    d.persist("a")
    d.touch("a")
    assert d.ttl("a") is None
    d.expire("a", timedelta(microseconds=1))
    wait_until(lambda: "a" not in d)
    for method in (d.ttl, d.persist, d.touch, lambda key: d.expire(key, 1)):
        for key in ("a", ("x", 1)):
            with pytest.raises(KeyError) as e:
                method(key)
            assert e.value.args == (key,)
        with pytest.raises(TypeError, match="unhashable"):
            method([])


def test_the_longest_ttl(d: Table) -> None:
    years = 3_155_760_000.0
    d.set("k", 1, ttl=years)
    assert is_about(d.ttl("k"), years)


def test_the_default_of_a_dict(proxy: Proxy, new_name: Callable[[], str]) -> None:
    """It counts from the last write. It does not apply to keys that have a deadline or none."""
    name = new_name()
    d = proxy.create_cyberdict(name, {"old": 1, "kept": 1, "later": 1, "forever": 1}, ttl=LONG)
    assert is_about(d.ttl("old"), LONG)
    d.set("later", 2, ttl=2 * LONG)
    d.persist("forever")
    d.persist("kept")
    d["kept"] = 2  # a plain write ends the exemption
    assert (is_about(d.ttl("later"), 2 * LONG), d.ttl("forever"), is_about(d.ttl("kept"), LONG)) == (True, None, True)
    proxy.configure(name, ttl=SHORT)
    d["new"] = 1
    wait_until(lambda: "new" not in d)
    assert d.copy() == {"later": 2, "forever": 1}
    proxy.configure(name, ttl=None)
    d["new"] = 2
    assert (d.ttl("new"), d.ttl("forever"), is_about(d.ttl("later"), 2 * LONG)) == (None, None, True)


def test_touch_renews_the_default(proxy: Proxy, new_name: Callable[[], str]) -> None:
    d = proxy.create_cyberdict(new_name(), ttl=1)
    d.update(used=1, unused=1)
    wait_until(lambda: d.touch("used") or "unused" not in d)
    assert d.copy() == {"used": 1}
    wait_until(lambda: "used" not in d)


def test_idle(proxy: Proxy, new_name: Callable[[], str]) -> None:
    """Reads, writes and touches keep an entry; without them it goes in time, but not before."""
    idle = 1.0
    d = proxy.create_cyberdict(new_name(), {"read": 1, "touched": 1, "written": 1, "idle": 1}, idle=idle)
    assert d.ttl("idle") is None
    began = time.monotonic()

    def use() -> bool:
        d["read"]
        d.touch("touched")
        d["written"] = 2
        return len(d) == 3

    wait_until(use)
    assert time.monotonic() - began > idle - TICK
    assert d.copy() == {"read": 1, "touched": 1, "written": 2}
    wait_until(lambda: len(d) == 0)
    assert time.monotonic() - began < 10 * idle


def test_modify_of_an_entry_that_expires(d: Table) -> None:
    """Between reading and writing: the function is called again, with the default."""
    d.set("k", 1, ttl=SHORT)
    seen = []

    def slow(value: int) -> int:
        seen.append(value)
        if value == 1:
            wait_until(lambda: "k" not in d)
        return value + 1

    assert d.modify("k", slow, 10) == 11
    assert (seen, d["k"], d.ttl("k")) == ([1, 10], 11, None)
    d.set("k", 1, ttl=SHORT)
    with pytest.raises(KeyError):
        d.modify("k", slow)


def test_modify_keeps_a_deadline_that_changes(d: Table) -> None:
    """The one of another client counts, even if it came in between."""
    d.set("k", 1, ttl=LONG)

    def change(value: int) -> int:
        if value == 1:
            d.set("k", 5, ttl=2 * LONG)
        return value + 1

    assert d.modify("k", change) == 6
    assert is_about(d.ttl("k"), 2 * LONG)


def test_pipelines(proxy: Proxy, d: Table) -> None:
    with proxy.pipeline() as pipe:
        on = pipe.on(d)
        on.set("a", 1, ttl=LONG)
        on.update({"b": 2, "c": 3}, ttl=SHORT)
        on.set_many({"d": 4}, ttl=LONG)
        counts = [on.increment("n", ttl=LONG) for _ in range(3)]
        default, done = on.setdefault("s", 5, ttl=LONG), on.compare_and_set("a", 1, 2, ttl=2 * LONG)
        on.persist("d")
        on.expire("d", 3 * LONG)
        touched, missing = on.touch("d"), on.expire("x", 1)
        left = [on.ttl(key) for key in ("a", "d", "n", "s")]
        on.set("a", 3, keep_ttl=True)
        on.set("d", 5)
        last = [on.ttl(key) for key in ("a", "d")]
    assert [count.value for count in counts] == [1, 2, 3]
    assert (default.value, done.value, touched.value) == (5, True, None)
    assert isinstance(missing.error, KeyError)
    for result, due in zip(left, (2, 3, 1, 1)):
        assert is_about(result.value, due * LONG)
    assert (is_about(last[0].value, 2 * LONG), last[1].value) == (True, None)
    wait_until(lambda: "b" not in d)
    wait_until(lambda: list(d) == ["a", "d", "n", "s"])


def test_asyncio(server: Server, new_name: Callable[[], str]) -> None:
    async def gone(key: str, d: aio.CyberDict[Any, Any]) -> None:
        until = time.monotonic() + 10
        while await d.contains(key):
            assert time.monotonic() < until
            await asyncio.sleep(0.005)

    async def main() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            name = new_name()
            d = await proxy.create_cyberdict(name, {"first": 1}, ttl=LONG, max_entries=100)
            assert is_about(await d.ttl("first"), LONG)
            await d.set("a", 1, ttl=SHORT)
            writes: List[Awaitable[Any]] = [
                d.update({"b": 2}, ttl=2 * LONG),
                d.set_many({"c": 3}, ttl=2 * LONG),
                d.increment("n", ttl=2 * LONG),
                d.setdefault("s", 5, ttl=2 * LONG),
                d.compare_and_set("x", ABSENT, 1, ttl=2 * LONG),
                d.modify("m", abs, -1, ttl=2 * LONG),
                d.durable.set("l", 1, ttl=timedelta(seconds=2 * LONG)),
            ]
            await asyncio.gather(*writes)
            for key in "bcnsxml":
                assert is_about(await d.ttl(key), 2 * LONG), key
            await d.set("b", 3, keep_ttl=True)
            assert await d.modify("b", lambda v: v + 1) == 4
            assert is_about(await d.ttl("b"), 2 * LONG)
            await d.expire("b", 3 * LONG)
            await d.touch("b")
            assert is_about(await d.ttl("b"), 3 * LONG)
            await d.persist("b")
            assert await d.ttl("b") is None
            for missing in (d.ttl("zz"), d.expire("zz", 1), d.persist("zz"), d.touch("zz")):
                with pytest.raises(KeyError):
                    await missing
            await gone("a", d)
            assert [key async for key in d][0] == "first"
            assert "a" not in await d.copy()

            options = await proxy.options(name)
            assert options == {"ttl": LONG, "idle": None, "max_entries": 100, "max_bytes": None, "policy": "s3fifo"}
            await proxy.configure(name, ttl=None, idle=timedelta(hours=1), policy="none")
            changed = {**options, "ttl": None, "idle": 3600.0, "policy": "none"}
            assert await proxy.options(name) == changed
            await proxy.create_cyberdict(name, exist_ok=True, ttl=1)
            assert await proxy.options(name) == changed
            async with proxy.pipeline() as pipe:
                left = pipe.on(d).ttl("b")
                pipe.on(d).set("b", 1, ttl=LONG)
                then = pipe.on(d).ttl("b")
            assert (left.value, is_about(then.value, LONG)) == (None, True)

    asyncio.run(main())


WORKERS = """
import os, sys
import cyberdb_fast
client = cyberdb_fast.connect(sys.argv[1], max_connections=2)
proxy = client.get_proxy()
proxy.connect()
hits, seen = proxy.create_cyberdict("hits"), proxy.create_cyberlist("seen")
children = []
for worker in range(4):
    pid = os.fork()
    if not pid:
        break
    children.append(pid)
status = 1
try:
    seen.extend([hits.increment("/", ttl=1000) for _ in range(50)])
    status = 0
finally:
    if len(children) < 4:
        os._exit(status)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
assert sorted(seen) == list(range(1, 251))
assert 900 < hits.ttl("/") <= 1000
hits.expire("/", 0.001)
while "/" in hits:
    pass
assert hits.increment("/", ttl=1000) == 1
client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_workers_share_a_window(start: Callable[..., Server]) -> None:
    """Forked workers count in one window, which begins with the first hit of any of them."""
    run(WORKERS, start())


def test_threads_see_no_expired_entry_again(server: Server, new_name: Callable[[], str]) -> None:
    """Once a thread has seen that a key is gone, no thread sees it any more."""
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict(new_name())
        keys = range(200)
        for key in keys:
            d.set(key, 1, ttl=0.05 + key / 1000)
        gone_at: Dict[int, float] = {}
        found: List[int] = []

        def watch() -> None:
            while len(gone_at) < len(keys):
                for key in keys:
                    asked = time.monotonic()
                    if key not in d:
                        gone_at.setdefault(key, time.monotonic())
                    elif gone_at.get(key, asked) < asked:
                        found.append(key)

        threads = [threading.Thread(target=watch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not found
        wait_until(lambda: len(d) == 0)


def test_deadlines_survive_a_restart(start: Callable[..., Server]) -> None:
    """They are absolute: time goes on while the server is stopped."""
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", ttl=2 * LONG, max_entries=50)
        d.set("short", 1, ttl=SHORT)
        d.set("long", 1, ttl=LONG)
        d["default"] = 1
        d["forever"] = 1
        d.persist("forever")
        options = proxy.options("d")
    server.stop()
    time.sleep(SHORT)
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.get_cyberdict("d")
        assert d.copy() == {"long": 1, "default": 1, "forever": 1}
        assert proxy.options("d") == options
        assert is_about(d.ttl("long"), LONG)
        assert is_about(d.ttl("default"), 2 * LONG)
        assert d.ttl("forever") is None
