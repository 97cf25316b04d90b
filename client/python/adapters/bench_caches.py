"""Measures the adapter of each cache beside the Redis backend of its framework.

    make bench-adapters ARGS="--seconds 0.2 --rounds 9"

One thread, or one task, calls the caches of both in turn, each with its usual serializer: pickle or
JSON for Redis, Python's types for cyberdb-fast. Neither server writes to the disk. The operations
on many keys have 100; add has a new key each time, and delete_many deletes keys that are there. The
first round warms up. Each measurement is a line of JSON in the file of --out, from which `make
bench-report` makes a table.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

from bench import TOP, free_port, machine, start, wait_for
from bench_worker import PASSWORD

import cyberdb_fast

MANY = 100
KEYS = [f"key:{i:012d}" for i in range(MANY)]
VALUE = {"id": 7, "name": "Ada", "tags": ["a", "b"], "score": 2.5, "active": True}
ITEMS = dict.fromkeys(KEYS, VALUE)
OURS, THEIRS = "cyberdb_fast", "Redis backend"

# What is measured, and what is done before it each time.
Operation = Tuple[Callable[[], Any], Callable[[], Any]]
Operations = Dict[str, Operation]


def nothing() -> None:
    pass


def cachelib_operations(cache: Any) -> Operations:
    """Those of cachelib, and of Flask-Caching."""
    fresh = count()
    return {
        "get": (lambda: cache.get(KEYS[0]), nothing),
        "set": (lambda: cache.set(KEYS[0], VALUE), nothing),
        "get_many": (lambda: cache.get_many(*KEYS), nothing),
        "set_many": (lambda: cache.set_many(ITEMS), nothing),
        "incr": (lambda: cache.inc("number"), nothing),
        "add": (lambda: cache.add(f"new:{next(fresh)}", VALUE), nothing),
        "delete_many": (lambda: cache.delete_many(*KEYS), lambda: cache.set_many(ITEMS)),
    }


def of_cachelib(url: str, port: int) -> Dict[str, Operations]:
    from cachelib import RedisCache

    from cyberdb_fast.adapters.cachelib import CyberDBCache

    return {
        OURS: cachelib_operations(CyberDBCache(url, password=PASSWORD, table="cachelib")),
        THEIRS: cachelib_operations(RedisCache(port=port, key_prefix="cachelib:")),
    }


def of_flask_caching(url: str, port: int) -> Dict[str, Operations]:
    from flask import Flask
    from flask_caching import Cache

    app = Flask(__name__)
    app.app_context().push()
    ours = {
        "CACHE_TYPE": "cyberdb_fast.adapters.cachelib.CyberDBCache",
        "CACHE_ARGS": [url],
        "CACHE_OPTIONS": {"password": PASSWORD, "table": "flask"},
    }
    theirs = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_PORT": port, "CACHE_KEY_PREFIX": "flask:"}
    found = {}
    for name, config in ((OURS, ours), (THEIRS, theirs)):
        cache = Cache()
        cache.init_app(app, config)
        found[name] = cachelib_operations(app.extensions["cache"][cache])
    return found


def of_django(url: str, port: int) -> Dict[str, Operations]:
    import django
    from django.conf import settings

    settings.configure(
        CACHES={
            OURS: {
                "BACKEND": "cyberdb_fast.adapters.django.CyberDBCache",
                "LOCATION": url,
                "OPTIONS": {"table": "django", "password": PASSWORD},
            },
            THEIRS: {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{port}",
                "KEY_PREFIX": "django",
            },
            "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        }
    )
    django.setup()
    from django.core.cache import caches

    def operations(cache: Any) -> Operations:
        fresh = count()
        cache.set("number", 0)
        return {
            "get": (lambda: cache.get(KEYS[0]), nothing),
            "set": (lambda: cache.set(KEYS[0], VALUE), nothing),
            "get_many": (lambda: cache.get_many(KEYS), nothing),
            "set_many": (lambda: cache.set_many(ITEMS), nothing),
            "incr": (lambda: cache.incr("number"), nothing),
            "add": (lambda: cache.add(f"new:{next(fresh)}", VALUE), nothing),
            "delete_many": (lambda: cache.delete_many(KEYS), lambda: cache.set_many(ITEMS)),
        }

    return {name: operations(caches[name]) for name in (OURS, THEIRS)}


def of_dogpile(url: str, port: int) -> Dict[str, Operations]:
    from dogpile.cache import make_region

    import cyberdb_fast.adapters.dogpile  # noqa: F401 # it registers its name

    def operations(backend: str, arguments: Dict[str, Any]) -> Operations:
        region = make_region().configure(backend, arguments=arguments)
        return {
            "get": (lambda: region.get(KEYS[0]), nothing),
            "set": (lambda: region.set(KEYS[0], VALUE), nothing),
            "get_many": (lambda: region.get_multi(KEYS), nothing),
            "set_many": (lambda: region.set_multi(ITEMS), nothing),
            "delete_many": (lambda: region.delete_multi(KEYS), lambda: region.set_multi(ITEMS)),
        }

    return {
        OURS: operations("cyberdb_fast", {"url": url, "password": PASSWORD, "table": "dogpile"}),
        THEIRS: operations("dogpile.cache.redis", {"port": port, "db": 1}),
    }


def of_aiocache(url: str, port: int) -> Dict[str, Operations]:
    from aiocache import RedisCache

    from cyberdb_fast.adapters.aiocache import CyberDBCache

    def operations(cache: Any) -> Operations:
        fresh = count()
        pairs = list(ITEMS.items())

        async def idle() -> None:
            pass

        return {
            "get": (lambda: cache.get(KEYS[0]), idle),
            "set": (lambda: cache.set(KEYS[0], VALUE), idle),
            "get_many": (lambda: cache.multi_get(KEYS), idle),
            "set_many": (lambda: cache.multi_set(pairs), idle),
            "incr": (lambda: cache.increment("number"), idle),
            "add": (lambda: cache.add(f"new:{next(fresh)}", VALUE), idle),
        }

    return {
        OURS: operations(CyberDBCache(url, password=PASSWORD, table="aiocache")),
        THEIRS: operations(RedisCache(endpoint="127.0.0.1", port=port, namespace="aiocache")),
    }


# By the name of the project on PyPI.
FRAMEWORKS: Dict[str, Callable[[str, int], Dict[str, Operations]]] = {
    "cachelib": of_cachelib,
    "Flask-Caching": of_flask_caching,
    "Django": of_django,
    "dogpile.cache": of_dogpile,
    "aiocache": of_aiocache,
}


def run(operation: Operation, seconds: float) -> Tuple[int, float, float]:
    """Calls for so long; returns the number of calls, and the seconds and the CPU time in them."""
    call, prepare = operation
    done, took, cpu = 0, 0.0, 0.0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        prepare()
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in range(1 if prepare is not nothing else 10):
            call()
            done += 1
        took += time.perf_counter() - began
        cpu += time.process_time() - cpu_began
    return done, took, cpu


async def run_async(operation: Operation, seconds: float) -> Tuple[int, float, float]:
    """As run, with await."""
    call, _ = operation
    done = 0
    began, cpu_began = time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        for _ in range(10):
            await call()
            done += 1
    return done, time.perf_counter() - began, time.process_time() - cpu_began


def check(framework: str, operations: Dict[str, Operations], loop: asyncio.AbstractEventLoop) -> None:
    """Raises an error if a cache does not return what was set."""
    for name, found in operations.items():
        for operation in ("set", "set_many"):
            result = found[operation][0]()
            if framework == "aiocache":
                loop.run_until_complete(result)
        one, many = found["get"][0](), found["get_many"][0]()
        if framework == "aiocache":
            one, many = loop.run_until_complete(one), loop.run_until_complete(many)
        many = list(many.values()) if isinstance(many, dict) else many
        if one != VALUE or many != [VALUE] * MANY:
            raise SystemExit(f"{framework}, {name}: get returned {one!r}")


def start_servers(stack: ExitStack, work: str) -> Tuple[str, int]:
    """Starts both servers; returns the URL of one and the port of the other."""
    fast, redis = free_port(), free_port()
    command = [str(TOP / "bin/cyberdb-fast"), "-p", str(fast), "--dir", f"{work}/fast", "--no-journal", "--cycle", "0"]
    start(stack, command, stderr=subprocess.DEVNULL)
    start(stack, ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", work])
    wait_for(fast)
    wait_for(redis)
    return f"cyberdb://127.0.0.1:{fast}", redis


def names_of(url: str, port: int) -> Dict[str, str]:
    """The names of the servers, with their versions."""
    import redis

    with cyberdb_fast.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
        info = proxy.info()
    return {
        OURS: f"cyberdb-fast {info['version']}, {info['event_loops']} event loops",
        THEIRS: f"redis {redis.Redis(port=port).info('server')['redis_version']}",
    }


def measure_all(
    caches: Dict[str, Dict[str, Operations]], names: Dict[str, str], arguments: argparse.Namespace
) -> List[Dict[str, Any]]:
    common = {
        "pipeline": 1,
        "callers": 1,
        "keys": MANY,
        "key_size": len(KEYS[0]),
        "value_size": len(json.dumps(VALUE)),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "command": " ".join(
            ["make bench-adapters", *([f"ARGS={shlex.quote(arguments.said)}"] if arguments.said else [])]
        ),
        "machine": machine(),
    }
    clients = {OURS: f"{OURS} {cyberdb_fast.__version__}", THEIRS: f"{THEIRS}, redis-py {version('redis')}"}
    loop = asyncio.new_event_loop()
    lines = []
    for framework, of_both in caches.items():
        check(framework, of_both, loop)
    for number in range(arguments.rounds + 1):
        for framework, of_both in caches.items():
            for operation in of_both[OURS]:
                for name, operations in of_both.items():
                    if framework == "aiocache":
                        measured = loop.run_until_complete(run_async(operations[operation], arguments.seconds))
                    else:
                        measured = run(operations[operation], arguments.seconds)
                    done, took, cpu = measured
                    if number:  # the first round warms up
                        lines.append(
                            {
                                "calls_per_s": round(done / took, 1),
                                "client": clients[name],
                                "server": names[name],
                                "op": f"{framework} {operation}",
                                "caller": "task" if framework == "aiocache" else "thread",
                                "ops": done,
                                "duration_s": round(took, 6),
                                "client_cpu_us_per_op": round(cpu / done * 1e6, 2),
                                "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                                **common,
                            }
                        )
        print(f"round {number} of {arguments.rounds} is done", file=sys.stderr)
    loop.close()
    return lines


def show(lines: List[Dict[str, Any]]) -> None:
    """Prints the medians and their ratios."""
    rates: Dict[str, Dict[str, List[float]]] = {}
    for one in lines:
        rates.setdefault(one["op"], {}).setdefault(one["client"], []).append(one["calls_per_s"])
    for op, clients in rates.items():
        ours, theirs = (statistics.median(runs) for runs in clients.values())
        print(f"{op:26} {ours:8,.0f}/s, Redis {theirs:8,.0f}/s, {ours / theirs:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.06, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    parser.add_argument("--out", type=Path, help="file for the measurements, made anew")
    parser.add_argument("--said", default="", help="what stands in the results as the command's ARGS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        servers = start_servers(stack, work)
        caches = {name: FRAMEWORKS[name](*servers) for name in arguments.only}
        lines = measure_all(caches, names_of(*servers), arguments)
    if arguments.out:
        arguments.out.write_text("".join(json.dumps(one) + "\n" for one in lines))
    show(lines)


if __name__ == "__main__":
    main()
