"""Wrong uses: a `type: ignore` is an error itself if a type checker finds nothing there."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from cyberdb_fast import Client, Proxy, aio, connect


def options() -> Client:
    """Options that do not exist, or have another type."""
    connect(timeout=5)  # type: ignore[call-arg]
    connect(retries="3")  # type: ignore[arg-type]
    connect(retries=None)  # type: ignore[arg-type]
    return connect("db", "9980")  # type: ignore[arg-type]


def dicts(proxy: Proxy) -> None:
    """Keys and values of other types than those of the dict."""
    hits = proxy.create_cyberdict("hits", str, int)
    hits[1] = 1  # type: ignore[index]
    hits["home"] = "one"  # type: ignore[assignment]
    hits.set("home", "one")  # type: ignore[arg-type]
    hits.increment(1)  # type: ignore[arg-type]
    hits.increment("home", 0.5)  # type: ignore[arg-type]
    hits.increment("home").upper()  # type: ignore[attr-defined]
    hits.setdefault("home", "one")  # type: ignore[arg-type]
    hits.setdefault("home")  # type: ignore[call-arg]
    hits.compare_and_set("home", "one", 2)  # type: ignore[arg-type]
    hits.get_versioned("home").value.upper()  # type: ignore[attr-defined]
    hits.modify("home", str.upper)  # type: ignore[arg-type]
    hits.update({"home": "one"})  # type: ignore[dict-item]
    hits.update(home="one")  # type: ignore[call-overload]
    proxy.create_cyberdict("hits", str)  # type: ignore[call-overload]
    proxy.create_cyberdict("hits", {"home": 1}, ttl="one")  # type: ignore[call-overload]
    proxy.create_cyberdict("hits", {"home": 1}, size=3)  # type: ignore[call-overload]


def lists(proxy: Proxy) -> None:
    """Elements of another type than that of the list."""
    jobs = proxy.create_cyberlist("jobs", str)
    jobs.append(1)  # type: ignore[arg-type]
    jobs[0] = 1  # type: ignore[call-overload]
    jobs[0].hex()  # type: ignore[attr-defined]
    pipe = proxy.pipeline()
    pipe.on(jobs).get(0).value.hex()  # type: ignore[attr-defined]
    pipe.on(jobs).set(0, 1)  # type: ignore[call-overload]
    pipe.on({})  # type: ignore[call-overload]


async def asynchronous(proxy: aio.Proxy) -> None:
    """The same with asyncio, and what is not awaited."""
    hits = await proxy.get_cyberdict("hits", str, int)
    await hits.set("home", "one")  # type: ignore[arg-type]
    (await hits.increment("home")).upper()  # type: ignore[attr-defined]
    hits.increment("home") + 1  # type: ignore[operator]
    hits["home"] = 1  # type: ignore[index]
