"""The tasks of the workers that test_adapters_celery.py starts. They leave marks in tables."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task

import cyberdb_fast
import cyberdb_fast.adapters.celery  # registers cyberdb://

URL = os.environ["CYBERDB_URL"]

app = Celery("tests", broker=URL, backend=URL)
app.conf.update(
    broker_transport_options={"visibility_timeout": float(os.environ["VISIBILITY_TIMEOUT"])},
    broker_connection_retry_on_startup=True,
    result_backend_always_retry=True,
    result_backend_max_sleep_between_retries_ms=200,
    task_publish_retry_policy={"max_retries": 0},
    worker_prefetch_multiplier=1,
)

# Connects in each process, which a pool has forked, at its first request.
client = cyberdb_fast.connect(URL, check=False)


def mark(table: str, value: Any) -> None:
    with client.get_proxy() as proxy:
        proxy.create_cyberlist(table, exist_ok=True).append(value)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True, acks_late=True)
def held(self: Task[Any, Any], table: str, seconds: float) -> int:
    """Marks that it has begun, works for some seconds, and returns how many marks there are.

    The mark says whether this is another delivery, which takes no time.
    """
    redelivered = bool(self.request.delivery_info.get("redelivered"))
    mark(table, redelivered)
    time.sleep(0 if redelivered else seconds)
    with client.get_proxy() as proxy:
        return len(proxy.get_cyberlist(table))


@app.task(acks_late=True)
def slept(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.task(bind=True, max_retries=3)
def third_time(self: Task[Any, Any]) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return int(self.request.retries)


@app.task
def now() -> float:
    return time.time()


@app.task
def connections() -> Any:
    """The process, and the inodes of its connections with the server."""
    return os.getpid(), os.getppid(), sorted(sockets(os.getpid()))


def sockets(pid: int) -> set[str]:
    """The inodes of the connections of a process with the server."""
    port = f":{int(URL.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    theirs = {f"socket:[{line[9]}]" for line in lines if line[2].endswith(port)}
    return theirs & {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
