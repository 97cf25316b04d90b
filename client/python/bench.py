"""Speed of the Python client beside the original CyberDB's and redis-py: one process, each on its own server, in turn.

    make bench-python ARGS="--seconds 2 --rounds 5"

Keys of 16 bytes, values of 32. `get` and `set` are one at a time, a pipeline has as many as --pipeline says. Each figure is the median of
the rounds, with the lowest and the highest; the targets take turns in every round.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import cyberdb_fast
from cyberdb_fast import Server

KEYS = [f"key:{i:012d}" for i in range(1000)]
VALUE = "v" * 32
PASSWORD = "bench"  # the original takes no longer than 32 bytes
Work = Callable[[float], float]


def rate(seconds: float, batch: Callable[[], int]) -> float:
    """Operations per second of batch, which says how many it did."""
    done = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        done += batch()
    return done / elapsed


def one_at_a_time(table: Any) -> Dict[str, Work]:
    """The original and ours: item access."""

    def get() -> int:
        for key in KEYS:
            table[key]
        return len(KEYS)

    def put() -> int:
        for key in KEYS:
            table[key] = VALUE
        return len(KEYS)

    return {"set": lambda s: rate(s, put), "get": lambda s: rate(s, get)}


def ours(url: str, depth: int) -> Dict[str, Work]:
    proxy = cyberdb_fast.connect(url, password=PASSWORD).get_proxy()
    proxy.connect()
    table = proxy.create_cyberdict("bench")

    def pipelined(name: str) -> Callable[[], int]:
        def batch() -> int:
            pipe = proxy.pipeline()
            on = pipe.on(table)
            for i in range(depth):
                if name == "set":
                    on.set(KEYS[i % 1000], VALUE)
                else:
                    on.getitem(KEYS[i % 1000])
            pipe.execute()
            return depth

        return batch

    works = one_at_a_time(table)
    for name in ("set", "get"):
        batch = pipelined(name)
        works[f"{name}, pipeline of {depth}"] = lambda s, batch=batch: rate(s, batch)  # type: ignore[misc]
    return works


def redis_py(port: int, depth: int) -> Dict[str, Work]:
    import redis

    client = redis.Redis(port=port, decode_responses=True)

    def get() -> int:
        for key in KEYS:
            client.get(key)
        return len(KEYS)

    def put() -> int:
        for key in KEYS:
            client.set(key, VALUE)
        return len(KEYS)

    def pipelined(name: str) -> Callable[[], int]:
        def batch() -> int:
            pipe = client.pipeline(transaction=False)
            for i in range(depth):
                if name == "set":
                    pipe.set(KEYS[i % 1000], VALUE)
                else:
                    pipe.get(KEYS[i % 1000])
            pipe.execute()
            return depth

        return batch

    works: Dict[str, Work] = {"set": lambda s: rate(s, put), "get": lambda s: rate(s, get)}
    for name in ("set", "get"):
        batch = pipelined(name)
        works[f"{name}, pipeline of {depth}"] = lambda s, batch=batch: rate(s, batch)  # type: ignore[misc]
    return works


def original_worker(port: int, encrypted: bool) -> None:
    """Runs in the original's Python: a line `set 2.0` on stdin is a measurement, its rate a line on stdout."""
    import cyberdb  # type: ignore[import-not-found,unused-ignore]

    client = cyberdb.connect(host="127.0.0.1", port=port, password=PASSWORD, encrypt=encrypted)
    proxy = client.get_proxy()
    proxy.connect()
    proxy.create_cyberdict("bench")
    works = one_at_a_time(proxy.get_cyberdict("bench"))
    for line in sys.stdin:
        name, seconds = line.split()
        print(works[name](float(seconds)), flush=True)


def original(python: str, port: int, encrypted: bool) -> Tuple[Dict[str, Work], Any]:
    here = str(Path(__file__).resolve())
    flags = ["--encrypted"] if encrypted else []
    # Only this file is taken from here: the package needs what that environment has not.
    code = (
        "import runpy, sys, types; module = sys.modules['cyberdb_fast'] = types.ModuleType('cyberdb_fast'); module.Server = None; "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    worker = subprocess.Popen(
        [
            python,
            "-c",
            code,
            here,
            "--original-worker",
            str(port),
            *flags,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )

    def ask(name: str, seconds: float) -> float:
        if worker.stdin is None or worker.stdout is None:
            raise RuntimeError("the original's worker has no pipes")
        print(name, seconds, file=worker.stdin, flush=True)
        return float(worker.stdout.readline())

    return {name: lambda s, name=name: ask(name, s) for name in ("set", "get")}, worker  # type: ignore[misc]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nobody listens on port {port}")


def start(stack: ExitStack, command: List[str]) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "CYBERDB_PASSWORD": PASSWORD})
    stack.callback(process.wait)
    stack.callback(process.terminate)


def targets(stack: ExitStack, original_python: str, depth: int, work: str) -> Dict[str, Dict[str, Work]]:
    """Starts all servers; the work to be measured on each."""
    found: Dict[str, Dict[str, Work]] = {}
    for encrypt in (False, True):
        server = stack.enter_context(Server(f"{work}/{encrypt}"))
        server.start(port=0, password=PASSWORD, encrypt=encrypt)
        found["cyberdb-fast, encrypted" if encrypt else "cyberdb-fast"] = ours(server.url, depth)
    port = free_port()
    start(stack, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", work])
    wait_for(port)
    import redis

    found[f"redis-py {redis.__version__}"] = redis_py(port, depth)
    peers = str(Path(__file__).resolve().parents[2] / ".ci/peers-server")
    for kind in ("plain", "encrypted"):
        port = free_port()
        start(stack, [original_python, peers, str(port), kind])
        wait_for(port)
        found[f"CyberDB 0.9.3, {kind}"], worker = original(original_python, port, kind == "encrypted")
        stack.callback(worker.wait)
        stack.callback(worker.terminate)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pipeline", type=int, default=100)
    parser.add_argument("--original", help="a Python that has the original CyberDB")
    parser.add_argument("--original-worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--encrypted", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.original_worker:
        original_worker(arguments.original_worker, arguments.encrypted)
        return
    if not shutil.which("redis-server"):
        sys.exit("redis-server is not here")
    os.environ.setdefault("CYBERDB_FAST_BINARY", str(Path(__file__).resolve().parents[2] / "bin/cyberdb-fast"))
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        found = targets(stack, arguments.original, arguments.pipeline, work)
        names = list(next(iter(found.values())))
        rates: Dict[Tuple[str, str], List[float]] = {}
        for _ in range(arguments.rounds + 1):  # the first one warms up
            for name in names:
                for target, works in found.items():
                    if name in works:
                        rates.setdefault((target, name), []).append(works[name](arguments.seconds))
        machine = f"{os.cpu_count()} processors, {platform.machine()}"
        print(f"Python {platform.python_version()}, {machine}, {arguments.rounds} rounds of {arguments.seconds} s")
        print("| operations per second | " + " | ".join(names) + " |")
        print("|---|" + "---|" * len(names))
        for target in found:
            cells = []
            for name in names:
                runs = rates.get((target, name), [])[1:]
                cells.append(f"{statistics.median(runs):,.0f} ({min(runs):,.0f} to {max(runs):,.0f})" if runs else "-")
            print(f"| {target} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
