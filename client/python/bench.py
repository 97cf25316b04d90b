"""Compares the speed of this client with CyberDB's own and redis-py.

Each client runs in its own process, on its own server, in turn.

    make bench-python ARGS="--seconds 2 --rounds 5"

Keys have 16 bytes and values 32; nothing is saved on disk. Callers (bench_worker.py) wait for each
reply before the next call: one thread, or several threads, greenlets of gevent or tasks of asyncio
in one process. A pipeline of one thread has --pipeline operations. bench_waiting.py says what the
operations on locks and queues are; redis-py alone has such. The first round warms up. Each
measurement is a line of JSON in the file of --out, from which `make bench-report` makes a table.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from bench_worker import KEYS, PASSWORD, VALUE

import cyberdb_fast

KEYED, WAITING = ("get", "set"), ("lock", "job", "pop", "wake")
HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]


class Peer(NamedTuple):
    """A client and its server."""

    kind: str  # of bench_worker.CLIENTS
    client: str
    server: str
    address: str
    python: str


class Case(NamedTuple):
    """A measurement, for every peer that supports it."""

    op: str
    pipeline: int
    caller: str  # thread, greenlet or task
    callers: int


class Worker:
    """A process of bench_worker.py."""

    def __init__(self, peer: Peer, caller: str, callers: int) -> None:
        # The environment of CyberDB has only CyberDB, and must not find this package.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" or peer.kind == "fast"}
        command = [peer.python, str(HERE / "bench_worker.py"), peer.kind, peer.address, caller, str(callers)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._name = f"{peer.client}, {callers} {caller}"

    def measure(self, case: Case, seconds: float) -> Dict[str, Any]:
        """The operations, seconds and CPU microseconds of one run."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError(f"{self._name}: no pipes")
        print(case.op, case.pipeline, seconds, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name}: the worker ended in {case.op}")
        result: Dict[str, Any] = json.loads(line)
        return result

    def end(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


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
    raise RuntimeError(f"no server listens on port {port}")


def start(stack: ExitStack, command: List[str], **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "CYBERDB_PASSWORD": PASSWORD}
    process = subprocess.Popen(
        command, stdout=options.pop("stdout", subprocess.DEVNULL), text=True, env=environment, **options
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def start_all(stack: ExitStack, original_python: str, work: str) -> List[Peer]:
    """Starts all servers and returns the peers."""
    peers = []
    for encrypt in (False, True):
        port = free_port()
        command = [
            str(TOP / "bin/cyberdb-fast"),
            "-p",
            str(port),
            "--dir",
            f"{work}/{encrypt}",
            "--no-journal",
            "--cycle",
            "0",
        ]
        start(stack, command + ["--encrypt"] * encrypt, stderr=subprocess.DEVNULL)
        wait_for(port)
        url = f"cyberdb{'s' * encrypt}://127.0.0.1:{port}"
        with cyberdb_fast.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
            info = proxy.info()
        name = f"cyberdb-fast {info['version']}, {info['event_loops']} event loops" + ", encrypted" * encrypt
        peers.append(Peer("fast", f"cyberdb_fast {cyberdb_fast.__version__}", name, url, sys.executable))
    import redis

    port = free_port()
    start(
        stack,
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", work],
    )
    wait_for(port)
    version = redis.Redis(port=port).info("server")["redis_version"]
    peers.append(Peer("redis", f"redis-py {redis.__version__}", f"redis {version}", str(port), sys.executable))
    for kind in ("plain", "encrypted"):
        port = free_port()
        start(stack, [original_python, str(TOP / ".ci/peers-server"), str(port), kind])
        wait_for(port)
        encrypted = ", encrypted" * (kind == "encrypted")
        peers.append(
            Peer("original", "CyberDB 0.9.3", f"the original CyberDB{encrypted}", f"{port},{kind}", original_python)
        )
    echo = start(
        stack, [str(TOP / "bin/cyberdb-bench"), "serve-gnet-echo", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if echo.stdout is None:
        raise RuntimeError("the echo server has no pipe")
    port = int(echo.stdout.readline().rpartition(":")[2])
    peers.append(Peer("bare", "a bare socket (send, recv)", "gnet echo, 1 event loops", str(port), sys.executable))
    return peers


def cases(ops: List[str], pipeline: int, threads: int, greenlets: int, tasks: int) -> List[Case]:
    """The measurements, in the order in which they run and are shown."""
    ways = [
        (1, "thread", 1),
        (pipeline, "thread", 1),
        (1, "thread", threads),
        (1, "greenlet", greenlets),
        (1, "task", tasks),
    ]
    return [Case(op, *way) for op in ops for way in ways if op in KEYED or way[0] == 1]


def has(peer: Peer, case: Case) -> bool:
    """CyberDB has neither pipelines nor a working asyncio client; a bare socket has one caller."""
    if case.op not in KEYED:
        return peer.kind in ("fast", "redis")
    if peer.kind == "original":
        return case.pipeline == 1 and case.caller != "task"
    return peer.kind != "bare" or case == Case(case.op, 1, "thread", 1)


def field(path: str, name: str) -> str:
    """The value of the first `name : value` in a file of /proc."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def machine() -> Dict[str, Any]:
    """The machine and the versions, as bench.Machine in Go."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", "-C", str(TOP), *command], capture_output=True, text=True, check=False
        ).stdout.strip()

    # Results do not count as changes of the commit.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results", ":!BENCHMARKS.md")
    return {
        "processor": field("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory_gib": round(int(field("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20), 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "commit": git("rev-parse", "--short=12", "HEAD") + ("+" if changed else ""),
    }


def line(peer: Peer, case: Case, measured: Dict[str, Any], common: Dict[str, Any]) -> Dict[str, Any]:
    """One measurement, as bench.PythonRun in Go."""
    return {
        "calls_per_s": round(measured["ops"] / measured["seconds"], 1),
        "client": peer.client,
        "server": peer.server,
        "op": case.op,
        "pipeline": case.pipeline,
        "caller": case.caller,
        "callers": case.callers,
        "ops": measured["ops"],
        "duration_s": round(measured["seconds"], 6),
        "client_cpu_us_per_op": round(measured["cpu_us"] / measured["ops"], 4),
        "keys": len(KEYS) if case.op in KEYED else 0,
        "key_size": len(KEYS[0]) if case.op in KEYED else 0,
        "value_size": len(VALUE),
        **common,
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def measure_all(
    stack: ExitStack, peers: List[Peer], wanted: List[Case], arguments: argparse.Namespace
) -> List[Dict[str, Any]]:
    common = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "command": " ".join(
            ["make bench-python", *([f"ARGS={shlex.quote(arguments.said)}"] if arguments.said else [])]
        ),
        "machine": machine(),
    }
    workers: Dict[Any, Worker] = {}
    lines = []
    for number in range(arguments.rounds + 1):
        for case in wanted:
            for peer in peers:
                if not has(peer, case):
                    continue
                which = peer, case.caller, case.callers
                if which not in workers:
                    workers[which] = Worker(*which)
                    stack.callback(workers[which].end)
                measured = workers[which].measure(case, arguments.seconds)
                if number:  # the first round warms up
                    lines.append(line(peer, case, measured, common))
        print(f"round {number} of {arguments.rounds} is done", file=sys.stderr)
    return lines


def show(lines: List[Dict[str, Any]]) -> None:
    """Prints the medians. BENCHMARKS.md has more."""
    rates: Dict[Any, List[float]] = {}
    for one in lines:
        name = one["op"], one["pipeline"], one["callers"], one["caller"], one["client"], one["server"]
        rates.setdefault(name, []).append(one["calls_per_s"])
    for (op, pipeline, callers, caller, client, server), runs in rates.items():
        who = f"{op}, pipeline of {pipeline}, {callers} {caller}{'s' if callers > 1 else ''}"
        print(
            f"{who:42} {statistics.median(runs):10,.0f}/s ({min(runs):,.0f} to {max(runs):,.0f})  {client} on {server}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ops", nargs="+", choices=[*KEYED, *WAITING], default=KEYED)
    parser.add_argument("--pipeline", type=int, default=100)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--greenlets", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--out", type=Path, help="file for the measurements, made anew")
    parser.add_argument("--original", required=True, help="a Python that has the original CyberDB")
    parser.add_argument("--said", default="", help="what stands in the results as the command's ARGS")
    arguments = parser.parse_args()
    if not shutil.which("redis-server"):
        sys.exit("redis-server is not here")
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        peers = start_all(stack, arguments.original, work)
        wanted = cases(arguments.ops, arguments.pipeline, arguments.threads, arguments.greenlets, arguments.tasks)
        lines = measure_all(stack, peers, wanted, arguments)
    if arguments.out:
        arguments.out.write_text("".join(json.dumps(one) + "\n" for one in lines))
    show(lines)


if __name__ == "__main__":
    main()
