"""Measures Flask under gunicorn with each database: one read of a table for each page.

    make bench-flask ARGS="--seconds 2 --rounds 9"

bench_flask_app.py has the applications; each runs under `gunicorn -w 4 -k gevent`. wrk asks for
their pages over 50 connections, in turn: one measurement of each application in a round, and the
first round warms up. Everything is on 127.0.0.1 and shares the processors, so CPU time of a worker
is the steadier figure. Each measurement is a line of JSON in the file of --out, from which
`make bench-report` makes a table.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from bench import HERE, TOP, free_port, machine, start, wait_for
from bench_worker import PASSWORD

import cyberdb_fast

CONTENT = "Hello CyberDB!"
CONNECTIONS, WORKERS = 50, 4
# What wrk prints at its end.
DONE = """
done = function(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format("%d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""


class Scene(NamedTuple):
    """An application that is running."""

    client: str
    server: str
    port: int
    gunicorn: subprocess.Popen[str]


class Database(NamedTuple):
    """A database that is running."""

    name: str
    port: int


def start_databases(stack: ExitStack, work: str) -> Dict[str, Database]:
    """Starts the databases and fills them."""
    redis, fast, original = free_port(), free_port(), free_port()
    start(stack, ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", work])
    binary = str(TOP / "bin/cyberdb-fast")
    start(
        stack,
        [binary, "-p", str(fast), "--encrypt", "--dir", f"{work}/fast", "--no-journal", "--cycle", "0"],
        stderr=subprocess.DEVNULL,
    )
    start(stack, [sys.executable, str(TOP / ".ci/peers-server"), str(original), "encrypted"], stderr=subprocess.DEVNULL)
    for port in (redis, fast, original):
        wait_for(port)
    from redis import Redis

    store = Redis(port=redis)
    store.set("content", CONTENT)
    import cyberdb  # type: ignore[import-not-found,unused-ignore]

    for module, port in ((cyberdb_fast, fast), (cyberdb, original)):
        client: Any = module.connect(host="127.0.0.1", port=port, password=PASSWORD, encrypt=True)
        proxy = client.get_proxy()
        proxy.connect()
        proxy.create_cyberdict("centre")
        proxy.get_cyberdict("centre")["content"] = CONTENT
        proxy.close()
    with cyberdb_fast.connect(f"cyberdbs://127.0.0.1:{fast}", password=PASSWORD) as client, client.get_proxy() as proxy:
        info = proxy.info()
    return {
        "redis": Database(f"redis {store.info('server')['redis_version']}", redis),
        "fast": Database(f"cyberdb-fast {info['version']}, {info['event_loops']} event loops, encrypted", fast),
        "original": Database("the original CyberDB, encrypted", original),
    }


def start_scenes(stack: ExitStack, databases: Dict[str, Database]) -> List[Scene]:
    """Starts the applications. The first one is what the others are compared with."""
    ours, theirs = f"cyberdb_fast {cyberdb_fast.__version__}", f"CyberDB {version('cyberdb')}"
    scenes = []
    for client, kind, (server, port) in (
        (f"redis-py {version('redis')}", "redis", databases["redis"]),
        (ours, "fast", databases["fast"]),
        (f"{ours}, the tutorial's code", "tutorial", databases["fast"]),
        (f"{theirs}, the tutorial's code", "original", databases["original"]),
        ("no database", "none", Database("", 0)),
    ):
        at = free_port()
        command = [str(Path(sys.executable).with_name("gunicorn")), "-w", str(WORKERS), "-k", "gevent"]
        os.environ["SCENE"] = f"{kind}:{port}"  # start passes it on
        gunicorn = start(
            stack,
            [*command, "-b", f"127.0.0.1:{at}", "--chdir", str(HERE), "bench_flask_app:app"],
            stderr=subprocess.DEVNULL,
        )
        wait_for(at)
        scenes.append(Scene(client, server, at, gunicorn))
    return scenes


def workers(gunicorn: subprocess.Popen[str]) -> List[str]:
    return Path(f"/proc/{gunicorn.pid}/task/{gunicorn.pid}/children").read_text().split()


def cpu_us(pids: List[str]) -> float:
    """The CPU time that processes have used."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000


def measure(scene: Scene, seconds: int, script: str) -> Dict[str, Any]:
    """One measurement, as bench.PythonRun in Go. Errors: RuntimeError if a request failed."""
    pids = workers(scene.gunicorn)
    if len(pids) != WORKERS:
        raise RuntimeError(f"{scene.client}: {len(pids)} workers")
    before = cpu_us(pids)
    wrk = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", script]
    output = subprocess.run([*wrk, f"http://127.0.0.1:{scene.port}/"], capture_output=True, text=True, check=True)
    requests, took, p99, failed = map(int, output.stdout.splitlines()[-1].split())
    if failed or not requests:
        raise RuntimeError(f"{scene.client}: {failed} of {requests} requests failed")
    return {
        "calls_per_s": round(requests / took * 1e6, 1),
        "client": scene.client,
        "server": scene.server,
        "op": "page",
        "pipeline": 1,
        "caller": "connection",
        "callers": CONNECTIONS,
        "ops": requests,
        "duration_s": took / 1e6,
        "client_cpu_us_per_op": round((cpu_us(pids) - before) / requests, 1),
        "p99_us": p99,
        "keys": 1,
        "key_size": len("content"),
        "value_size": len(CONTENT),
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def measure_all(scenes: List[Scene], arguments: argparse.Namespace, work: str) -> List[Dict[str, Any]]:
    common = {
        "python": f"{platform.python_implementation()} {platform.python_version()}, gevent {version('gevent')}",
        "command": " ".join(["make bench-flask", *([f"ARGS={shlex.quote(arguments.said)}"] if arguments.said else [])]),
        "machine": machine(),
    }
    script = Path(work, "done.lua")
    script.write_text(DONE)
    time.sleep(1)  # the last worker starts
    lines = []
    for number in range(arguments.rounds + 1):
        for scene in scenes:
            measured = measure(scene, arguments.seconds, str(script))
            if number:  # the first round warms up
                lines.append({**measured, **common})
        print(f"round {number} of {arguments.rounds} is done", file=sys.stderr)
    return lines


def show(lines: List[Dict[str, Any]]) -> None:
    """Prints the medians."""
    for client in dict.fromkeys(line["client"] for line in lines):
        rate, p99, cpu = (
            statistics.median(line[name] for line in lines if line["client"] == client)
            for name in ("calls_per_s", "p99_us", "client_cpu_us_per_op")
        )
        print(f"{client:40} {rate:7,.0f} pages/s, p99 {p99 / 1000:6.1f} ms, {cpu:6.1f} us of CPU in workers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="file for the measurements, made anew")
    parser.add_argument("--said", default="", help="what stands in the results as the command's ARGS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        scenes = start_scenes(stack, start_databases(stack, work))
        lines = measure_all(scenes, arguments, work)
    if arguments.out:
        arguments.out.write_text("".join(json.dumps(one) + "\n" for one in lines))
    show(lines)


if __name__ == "__main__":
    main()
