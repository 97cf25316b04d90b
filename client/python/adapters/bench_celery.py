"""Celery's broker and result backend on a server, beside those on Redis.

    python client/python/adapters/bench_celery.py [SECONDS]

It needs celery, redis-py, redis-server and the server's binary in CYBERDB_FAST_BINARY. Rounds of
the two alternate. Each line has the medians of operations per second, and of the CPU time of the
process of the client per operation.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Tuple

import kombu
from celery import Celery, uuid

import cyberdb_fast.adapters.celery  # noqa: F401 # registers cyberdb://
from cyberdb_fast import Server

ROUNDS = 5
BODY = [[1, 2], {"name": "ada"}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
HEADERS = {"lang": "py", "task": "shop.send", "id": "6f6b4d4b-0d5d-4b4c-9d39-5e3b8f8a3a55", "retries": 0, "eta": None}

Figure = Tuple[float, float]  # operations per second, microseconds of CPU per operation


def measured(seconds: float, work: Callable[[], int]) -> Figure:
    """Repeats work, which returns how much it has done."""
    done, began, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began), (time.process_time() - cpu) / done * 1e6


class Broker:
    """Publishes, consumes and acks messages, as kombu's users do."""

    def __init__(self, url: str, name: str, prefetch: int) -> None:
        self.connection = kombu.Connection(url)
        self.queue = kombu.Queue(name, exchange=kombu.Exchange(""), routing_key=name)
        self.producer = kombu.Producer(self.connection)
        self.got = 0
        self.consumer = kombu.Consumer(
            self.connection, [self.queue], callbacks=[self.received], prefetch_count=prefetch
        )

    def received(self, _: Any, message: Any) -> None:
        message.ack()
        self.got += 1

    def publish(self) -> int:
        for _ in range(50):
            self.producer.publish(BODY, headers=HEADERS, routing_key=self.queue.name, serializer="json")
        return 50

    def consume(self, count: int) -> int:
        self.got = 0
        while self.got < count:
            self.connection.drain_events(timeout=10)
        return count

    def round_trip(self) -> int:
        return self.consume(self.publish())

    def one(self) -> int:
        self.producer.publish(BODY, headers=HEADERS, routing_key=self.queue.name, serializer="json")
        return self.consume(1)


def broker(url: str, seconds: float) -> Dict[str, Figure]:
    """The figures of a broker."""
    figures: Dict[str, Figure] = {}
    one = Broker(url, "bench", 8)
    with one.connection:
        figures["publish"] = measured(seconds, one.publish)
        one.queue(one.connection.default_channel).purge()
        with one.consumer:
            figures["publish, consume, ack"] = measured(seconds, one.round_trip)
            figures["one message at a time"] = measured(seconds, one.one)
    return figures


def backend(url: str, seconds: float) -> Dict[str, Figure]:
    """The figures of a result backend."""
    app = Celery("bench", broker="memory://", backend=url)
    backend: Any = app.backend
    ids: List[str] = []

    def store() -> int:
        for _ in range(50):
            ids.append(uuid())
            backend.store_result(ids[-1], {"rows": [1, 2, 3]}, "SUCCESS")
        return 50

    def store_and_get() -> int:
        for _ in range(50):
            task_id = uuid()
            backend.store_result(task_id, {"rows": [1, 2, 3]}, "SUCCESS")
            app.AsyncResult(task_id).get()
        return 50

    def join() -> int:
        ids.clear()
        store()
        app.GroupResult(uuid(), [app.AsyncResult(task_id) for task_id in ids]).join_native()
        return 50

    return {
        "store a result": measured(seconds, store),
        "store and get a result": measured(seconds, store_and_get),
        "store and join 50 results": measured(seconds, join),
    }


@contextmanager
def redis() -> Iterator[str]:
    """A server of Redis, with its journal as that of cyberdb-fast: synced once per second."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "yes", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while True:
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def main(seconds: float) -> None:
    os.environ.update(CYBERDB_PASSWORD="bench", CYBERDB_LOG_LEVEL="warn")
    found: Dict[str, Dict[str, List[Figure]]] = {}
    with tempfile.TemporaryDirectory() as directory, Server(directory) as server, redis() as other:
        server.start(port=0, password="bench")
        for _ in range(ROUNDS):
            for name, url in (("cyberdb-fast", server.url), ("Redis", other)):
                for measure in (broker, backend):
                    for what, figure in measure(url, seconds).items():
                        found.setdefault(what, {}).setdefault(name, []).append(figure)
    for what, figures in found.items():
        rates = {name: statistics.median(rate for rate, _ in rounds) for name, rounds in figures.items()}
        cpus = {name: statistics.median(cpu for _, cpu in rounds) for name, rounds in figures.items()}
        ratio = rates["cyberdb-fast"] / rates["Redis"]
        columns = "  ".join(f"{name} {rates[name]:8,.0f}/s {cpus[name]:6.0f} us" for name in rates)
        print(f"{what:28} {columns}  {ratio:.2f} x", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
