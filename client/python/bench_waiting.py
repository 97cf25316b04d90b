"""What bench_worker.py measures of locks, queues and waits, by cyberdb_fast and by redis-py.

lock   acquires and releases a lock that no other caller wants, in `with`
job    puts an item into a queue, takes it and acknowledges it
pop    appends an item to a list, and pops the first one with a wait
wake   sends an item to another thread, greenlet or task, which waits for it, and waits for it to
       come back: two callers are woken

Each function takes the name of its caller. redis-py has no acknowledgements: as Redis' manual says,
a job is moved to another list, and removed from there by its value.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict

ITEM, LAST = "v" * 32, "last"
WAIT = 10  # seconds
LEASE = 30

Call = Callable[[str], Any]
Step = Callable[[str, str], Any]


def fast(proxy: Any) -> Dict[str, Call]:
    """The calls of cyberdb_fast, and "partner", which runs beside wake until it gets LAST."""
    lists: Dict[str, Any] = {}

    def of(name: str) -> Any:
        if name not in lists:
            lists[name] = proxy.create_cyberlist(name, exist_ok=True)
        return lists[name]

    def lock(name: str) -> None:
        with proxy.lock(name, ttl=LEASE):
            pass

    def job(_: str) -> None:
        jobs = of("jobs")
        jobs.put(ITEM)
        jobs.ack(jobs.take(lease=LEASE, wait=WAIT))

    def pop(_: str) -> None:
        items = of("items")
        items.append(ITEM)
        items.popleft(wait=WAIT)

    return {
        "lock": lock,
        "job": job,
        "pop": pop,
        **ping_pong(lambda name, item: of(name).append(item), lambda name: of(name).popleft(wait=WAIT)),
    }


def fast_async(proxy: Any) -> Dict[str, Call]:
    """As fast, for asyncio."""
    lists: Dict[str, Any] = {}

    async def of(name: str) -> Any:
        if name not in lists:
            lists[name] = await proxy.create_cyberlist(name, exist_ok=True)
        return lists[name]

    async def lock(name: str) -> None:
        async with proxy.lock(name, ttl=LEASE):
            pass

    async def job(_: str) -> None:
        jobs = await of("jobs")
        await jobs.put(ITEM)
        await jobs.ack(await jobs.take(lease=LEASE, wait=WAIT))

    async def pop(_: str) -> None:
        items = await of("items")
        await items.append(ITEM)
        await items.popleft(wait=WAIT)

    async def push(name: str, item: str) -> None:
        await (await of(name)).append(item)

    async def get(name: str) -> Any:
        return await (await of(name)).popleft(wait=WAIT)

    return {"lock": lock, "job": job, "pop": pop, **ping_pong_async(push, get)}


def redis_py(client: Any) -> Dict[str, Call]:
    """As fast, by redis-py; the client decodes replies."""

    def lock(name: str) -> None:
        with client.lock(name, timeout=LEASE):
            pass

    def job(name: str) -> None:
        client.rpush("jobs", ITEM)
        client.lrem(f"{name}:taken", 1, client.blmove("jobs", f"{name}:taken", WAIT))

    def pop(_: str) -> None:
        client.rpush("items", ITEM)
        client.blpop("items", WAIT)

    return {"lock": lock, "job": job, "pop": pop, **ping_pong(client.rpush, lambda name: client.blpop(name, WAIT)[1])}


def redis_py_async(client: Any) -> Dict[str, Call]:
    """As redis_py, for asyncio."""

    async def lock(name: str) -> None:
        async with client.lock(name, timeout=LEASE):
            pass

    async def job(name: str) -> None:
        await client.rpush("jobs", ITEM)
        await client.lrem(f"{name}:taken", 1, await client.blmove("jobs", f"{name}:taken", WAIT))

    async def pop(_: str) -> None:
        await client.rpush("items", ITEM)
        await client.blpop("items", WAIT)

    async def get(name: str) -> Any:
        return (await client.blpop(name, WAIT))[1]

    return {"lock": lock, "job": job, "pop": pop, **ping_pong_async(client.rpush, get)}


def ping_pong(push: Step, pop: Call) -> Dict[str, Call]:
    """The call wake, and its partner."""

    def wake(name: str, item: str = ITEM) -> None:
        push(f"{name}:there", item)
        if pop(f"{name}:back") != item:
            raise SystemExit("another item came back")

    def partner(name: str) -> None:
        item = ""
        while item != LAST:
            item = pop(f"{name}:there")
            push(f"{name}:back", item)

    return {"wake": wake, "partner": partner, "end": lambda name: wake(name, LAST)}


def ping_pong_async(
    push: Callable[[str, str], Awaitable[Any]], pop: Callable[[str], Awaitable[Any]]
) -> Dict[str, Call]:
    """As ping_pong, for asyncio."""

    async def wake(name: str, item: str = ITEM) -> None:
        await push(f"{name}:there", item)
        if await pop(f"{name}:back") != item:
            raise SystemExit("another item came back")

    async def partner(name: str) -> None:
        item = ""
        while item != LAST:
            item = await pop(f"{name}:there")
            await push(f"{name}:back", item)

    return {"wake": wake, "partner": partner, "end": lambda name: wake(name, LAST)}
