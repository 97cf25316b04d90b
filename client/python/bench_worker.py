"""One client under test, in its own process: the driver, bench.py, tells it what to do.

    bench_worker.py CLIENT ADDRESS CALLER NUMBER

A line `get 100 2.0` on stdin (operation, pipeline, seconds) is a measurement; its answer is a line
of JSON: operations, seconds, and the CPU time of this process in microseconds. The operations are
get, set and those of bench_waiting.py. The same loops serve every client; each imports its own
package alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any, Awaitable, Callable, Dict, Iterator, List, Tuple

import bench_waiting
from bench_waiting import Call

KEYS = [f"key:{i:012d}" for i in range(1000)]
VALUE = "v" * 32
PASSWORD = "bench"  # CyberDB accepts at most 32 bytes
BATCH = 20  # calls between two clock reads


class Target:
    """A client for one caller: its calls block, or are awaited."""

    def __init__(
        self, calls: Dict[str, Call], check: Call, pipelined: Callable[[str, List[str]], Any] = lambda *_: None
    ) -> None:
        self.calls = calls  # by operation: get and set take a key, those of bench_waiting a caller's name
        self.check = check  # raises an error if the result of a get is wrong
        self.pipelined = pipelined  # sends get or set for all keys at once and returns the last result


def right(value: Any) -> None:
    """The check for clients that return str."""
    if value != VALUE:
        raise SystemExit(f"a get returned {value!r}")


def fast(url: str, caller: str) -> Callable[[], Any]:
    """cyberdb_fast; callers share one client."""
    import cyberdb_fast
    from cyberdb_fast import aio

    if caller == "task":

        async def opened() -> Target:
            proxy = (await aio.connect(url, password=PASSWORD)).get_proxy()
            await proxy.connect()
            table = await proxy.create_cyberdict("bench", exist_ok=True)

            async def pipelined(op: str, keys: List[str]) -> Any:
                pipe = proxy.pipeline()
                on = pipe.on(table)
                for key in keys:
                    on.set(key, VALUE) if op == "set" else on.getitem(key)
                return (await pipe.execute())[-1]

            calls = {"get": table.getitem, "set": lambda key: table.set(key, VALUE)}
            return Target({**calls, **bench_waiting.fast_async(proxy)}, right, pipelined)

        return opened
    proxy = cyberdb_fast.connect(url, password=PASSWORD).get_proxy()
    proxy.connect()
    table = proxy.create_cyberdict("bench", exist_ok=True)

    def pipelined(op: str, keys: List[str]) -> Any:
        pipe = proxy.pipeline()
        on = pipe.on(table)
        for key in keys:
            on.set(key, VALUE) if op == "set" else on.getitem(key)
        return pipe.execute()[-1]

    calls = {"get": table.__getitem__, "set": lambda key: table.__setitem__(key, VALUE)}
    return lambda: Target({**calls, **bench_waiting.fast(proxy)}, right, pipelined)


def redis_py(port: str, caller: str) -> Callable[[], Any]:
    """redis-py; callers share one client."""
    if caller == "task":
        from redis import asyncio as aredis

        async def opened() -> Target:
            client = aredis.Redis(port=int(port), decode_responses=True)
            calls = {"get": client.get, "set": lambda key: client.set(key, VALUE)}
            return Target({**calls, **bench_waiting.redis_py_async(client)}, right)

        return opened
    import redis

    client = redis.Redis(port=int(port), decode_responses=True)

    def pipelined(op: str, keys: List[str]) -> Any:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.set(key, VALUE) if op == "set" else pipe.get(key)
        return pipe.execute()[-1]

    calls = {"get": client.get, "set": lambda key: client.set(key, VALUE)}
    return lambda: Target({**calls, **bench_waiting.redis_py(client)}, right, pipelined)


def original(address: str, _caller: str) -> Callable[[], Any]:
    """CyberDB; each caller has its own proxy, as CyberDB needs.

    The address is PORT,plain or PORT,encrypted.
    """
    import cyberdb  # type: ignore[import-not-found,unused-ignore]

    port, _, channel = address.partition(",")
    client = cyberdb.connect(host="127.0.0.1", port=int(port), password=PASSWORD, encrypt=channel == "encrypted")

    def opened() -> Target:
        proxy = client.get_proxy()
        proxy.connect()
        if not made:
            proxy.create_cyberdict(name)
            made.append(name)
        table = proxy.get_cyberdict(name)
        return Target({"get": table.__getitem__, "set": lambda key: table.__setitem__(key, VALUE)}, right)

    name = f"bench{os.getpid()}"
    made: List[str] = []
    return opened


def bare(port: str, _caller: str) -> Callable[[], Any]:
    """The upper bound for any client: send and recv of the same bytes, on an echo server."""
    import socket

    sock = socket.create_connection(("127.0.0.1", int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b"x" * 40

    def echo(_: str) -> bytes:
        sock.sendall(data)
        return sock.recv(65536)

    def check(value: bytes) -> None:
        if value != data:
            raise SystemExit(f"the echo was {value!r}")

    return lambda: Target({"get": echo, "set": echo}, check)


CLIENTS: Dict[str, Callable[[str, str], Callable[[], Any]]] = {
    "fast": fast,
    "redis": redis_py,
    "original": original,
    "bare": bare,
}


def batches(pipeline: int, keys: List[str]) -> Iterator[List[str]]:
    """Batches of keys, without end."""
    size = BATCH if pipeline == 1 else pipeline
    at = 0
    while True:
        yield [keys[(at + i) % len(keys)] for i in range(size)]
        at += size


def call(target: Target, op: str, keys: List[str], pipeline: int, until: float) -> int:
    """Calls until the time until; returns the number of operations."""
    done = 0
    one = target.calls[op]
    for batch in batches(pipeline, keys):
        if pipeline > 1:
            last = target.pipelined(op, batch)
        else:
            for key in batch:
                last = one(key)
        if op == "get":
            target.check(last)
        done += len(batch)
        if time.perf_counter() >= until:
            return done
    raise AssertionError  # batches never ends


async def call_async(target: Target, op: str, keys: List[str], pipeline: int, until: float) -> int:
    """As call, with await."""
    done = 0
    one: Callable[[str], Awaitable[Any]] = target.calls[op]
    for batch in batches(pipeline, keys):
        if pipeline > 1:
            last = await target.pipelined(op, batch)
        else:
            for key in batch:
                last = await one(key)
        if op == "get":
            target.check(last)
        done += len(batch)
        if time.perf_counter() >= until:
            return done
    raise AssertionError


def keys_of(op: str, name: str) -> List[str]:
    """What the caller of that name calls with."""
    return KEYS if op in ("get", "set") else [name]


def measure_threads(targets: List[Target], op: str, pipeline: int, seconds: float) -> Tuple[int, float]:
    """Runs one thread or greenlet per target; returns the operations and the CPU time."""
    names = [f"caller {n}" for n in range(len(targets))]
    until = time.perf_counter() + seconds
    before = time.process_time()
    if len(targets) == 1 and op != "wake":
        return call(targets[0], op, keys_of(op, names[0]), pipeline, until), time.process_time() - before
    done: List[int] = []

    def run(target: Target, name: str) -> None:
        ops = call(target, op, keys_of(op, name), pipeline, until)
        if op == "wake":
            target.calls["end"](name)
        done.append(ops)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(targets, names)]
    if op == "wake":
        threads += [threading.Thread(target=t.calls["partner"], args=[name]) for t, name in zip(targets, names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(done) < len(targets):
        raise SystemExit("a caller failed")
    return sum(done), time.process_time() - before


async def measure_tasks(target: Target, number: int, op: str, pipeline: int, seconds: float) -> Tuple[int, float]:
    """As measure_threads, with tasks that share a target."""
    names = [f"caller {n}" for n in range(number)]
    until = time.perf_counter() + seconds
    before = time.process_time()
    partners = [asyncio.ensure_future(target.calls["partner"](name)) for name in names if op == "wake"]

    async def run(name: str) -> int:
        ops = await call_async(target, op, keys_of(op, name), pipeline, until)
        if partners:
            await target.calls["end"](name)
        return ops

    done = await asyncio.gather(*[run(name) for name in names])
    await asyncio.gather(*partners)
    return sum(done), time.process_time() - before


def answer(measured: Tuple[int, float], began: float) -> None:
    """Prints the result."""
    ops, cpu = measured
    print(json.dumps({"ops": ops, "seconds": time.perf_counter() - began, "cpu_us": cpu * 1e6}), flush=True)


def serve_threads(opened: Callable[[], Target], number: int) -> None:
    """Measures until stdin ends."""
    targets = [opened() for _ in range(number)]
    for key in KEYS:
        targets[0].calls["set"](key)
    for line in sys.stdin:
        op, pipeline, seconds = line.split()
        began = time.perf_counter()
        answer(measure_threads(targets, op, int(pipeline), float(seconds)), began)


async def serve_tasks(opened: Callable[[], Awaitable[Target]], number: int) -> None:
    """As serve, with tasks that share a target.

    Reading stdin may block the loop, on which nothing else runs.
    """
    target = await opened()
    for key in KEYS:
        await target.calls["set"](key)
    for line in sys.stdin:
        op, pipeline, seconds = line.split()
        began = time.perf_counter()
        answer(await measure_tasks(target, number, op, int(pipeline), float(seconds)), began)


def main() -> None:
    """Reads the arguments."""
    client, address, caller, number = sys.argv[1:]
    if caller == "greenlet":
        from gevent import monkey

        monkey.patch_all(sys=False)
    opened = CLIENTS[client](address, caller)
    if caller == "task":
        asyncio.run(serve_tasks(opened, int(number)))
    else:
        serve_threads(opened, int(number))


if __name__ == "__main__":
    main()
