"""A program whose every expression has a type: mypy and pyright check it, and a test runs it.

No expression may be Any (disallow_any_expr of mypy, reportUnknown... of pyright).
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple, TypedDict, Union

from cyberdb_fast import ABSENT, CyberDict, CyberList, Proxy, QueueItem, Result, VersionMismatch, aio, connect

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value: object, kind: object) -> None:
        """For type checkers."""


class Person(TypedDict):
    """What the program knows of somebody."""

    name: str
    visits: int


class Site:
    """A site that counts its visitors."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.people = proxy.create_cyberdict("people", str, Person, exist_ok=True)
        self.hits = proxy.create_cyberdict("hits", {"home": 0}, exist_ok=True)
        self.shares = proxy.create_cyberdict("shares", str, float, exist_ok=True, max_entries=100)
        self.jobs = proxy.create_cyberlist("jobs", str, exist_ok=True)
        assert_type(self.people, CyberDict[str, Person])
        assert_type(self.hits, CyberDict[str, int])
        assert_type(self.shares, CyberDict[str, float])
        assert_type(self.jobs, CyberList[str])
        assert_type(proxy.get_cyberdict("hits", str, int), CyberDict[str, int])
        assert_type(proxy.get_cyberlist("jobs", str), CyberList[str])
        assert_type(proxy.create_cyberlist("primes", [2, 3], exist_ok=True), CyberList[int])

    def visit(self, name: str, page: str) -> int:
        """Counts a visit; returns how many there were."""
        person = self.people.setdefault(name, Person(name=name, visits=0))
        assert_type(person, Person)
        person["visits"] += 1
        self.people[name] = person
        assert_type(self.people.get(name), Optional[Person])
        assert_type(self.hits.get(page, 0), int)
        assert_type(self.hits.get(page, "none"), Union[int, str])
        assert_type(self.shares.increment(page, 0.5), float)
        return self.hits.increment(page)

    def change(self) -> None:
        """Changes entries under conditions, and many at once."""
        entry = self.hits.get_versioned("home")
        value, version = entry
        assert_type(value, int)
        assert_type(entry.value, int)
        assert_type(version, int)
        try:
            assert_type(self.hits.set_if("home", value + 1, entry.version), int)
            self.hits.delete_if("home", version)
        except VersionMismatch as e:
            print(e)
        assert_type(self.hits.compare_and_set("home", 2, 3), bool)
        self.hits.compare_and_set("new", ABSENT, 1)
        self.hits.compare_and_set("new", 1, ABSENT)
        assert_type(self.hits.modify("home", lambda count: count + 1, 0), int)
        assert_type(self.hits.pop("away", None), Optional[int])
        assert_type(self.hits.popitem(), Tuple[str, int])
        self.hits.update({"a": 1})
        self.hits.update([("b", 2)], c=3)
        self.hits.update(ttl=60, d=4)
        self.hits.set_many({"e": 5})
        assert_type(self.hits.get_many(["a", "b"]), Dict[str, int])
        assert_type(self.hits.delete_many(["a"]), List[str])
        assert_type(self.hits | {"f": 6}, Dict[str, int])
        assert_type(self.hits | {"g": "seven"}, Dict[str, Union[int, str]])
        self.hits |= {"h": 8}
        assert_type(self.hits.copy(), Dict[str, int])
        assert_type([(page.upper(), count + 1) for page, count in self.hits.items()], List[Tuple[str, int]])
        assert_type(sorted(self.hits), List[str])
        assert_type(self.hits.durable, CyberDict[str, int])

    def work(self) -> None:
        """Does jobs."""
        self.jobs.extend(["mail", "print", "sort"])
        self.jobs += ["sing"]
        assert_type(self.jobs[0], str)
        assert_type(self.jobs[1:], List[str])
        self.jobs[0] = "post"
        assert_type(self.jobs + ["more"], List[str])
        assert_type(self.jobs + [1], List[Union[str, int]])
        assert_type(self.jobs * 2, List[str])
        assert_type(self.jobs.pop(), str)
        self.jobs.sort(key=len)
        item = self.jobs.take(lease=10, wait=1)
        assert_type(item, Optional[QueueItem[str]])
        if item is not None:
            print(item.value.upper())
            self.jobs.ack(item)

    def together(self) -> None:
        """Sends several requests at once."""
        with self._proxy.pipeline() as pipe:
            hits, jobs = pipe.on(self.hits), pipe.on(self.jobs)
            counts = [hits.increment(page) for page in ("home", "away")]
            entry = hits.get_versioned("home")
            there = hits.setdefault("home", 7)
            done = hits.compare_and_set("home", 1, 2)
            first = jobs.get(0)
            jobs.set(0, "begin")
        assert_type(counts, List[Result[int]])
        assert_type(sum(count.value for count in counts), int)
        assert_type(entry.value.value, int)
        assert_type(there.value, int)
        assert_type(done.value, bool)
        assert_type(first.value, str)


async def asynchronously(url: str) -> None:
    """The same with asyncio."""
    async with await aio.connect(url, retries=2, request_timeout=None) as client, client.get_proxy() as proxy:
        hits = await proxy.create_cyberdict("hits", str, int, exist_ok=True)
        jobs = await proxy.get_cyberlist("jobs", str)
        assert_type(hits, aio.CyberDict[str, int])
        assert_type(jobs, aio.CyberList[str])
        assert_type(await hits.increment("home"), int)
        assert_type(await hits.setdefault("home", 1), int)
        assert_type(await hits["home"], int)
        assert_type(await hits.get("away"), Optional[int])
        assert_type((await hits.get_versioned("home")).value, int)
        assert_type(await hits.modify("home", lambda count: count + 1), int)
        assert_type(await hits.compare_and_set("home", 1, ABSENT), bool)
        await hits.update({"x": 1}, y=2)
        async for page, count in hits.items():
            print(page.upper(), count + 1)
        await jobs.append("last")
        assert_type(await jobs[0], str)
        assert_type(await jobs[0:1], List[str])
        async with proxy.pipeline() as pipe:
            counted = pipe.on(hits).increment("home")
        assert_type(counted.value, int)


def main(url: str) -> None:
    """Runs the program on a server, whose password is in the environment."""
    with connect(url, time_out=60, retries=2, health_check=30) as client, client.get_proxy() as proxy:
        site = Site(proxy)
        print([site.visit("ada", page) for page in ("home", "away", "home")])
        site.change()
        site.work()
        site.together()
    asyncio.run(asynchronously(url))
