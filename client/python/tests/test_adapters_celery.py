"""Celery with its worker processes on our broker and result backend: `.ci/adapters` runs it."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Iterator

import pytest

pytest.importorskip("celery")

from celery import chord, group
from kombu import pools
from kombu.exceptions import OperationalError

from cyberdb_fast import Server, connect
from cyberdb_fast.errors import ServerUnreachable

HERE = Path(__file__).parent
PASSWORD = "correct horse"
START_SECONDS = 60  # of a worker, on a busy machine


class Workers:
    """Starts workers of one server, and has the tasks for this process."""

    def __init__(self, url: str, lease: float, log: Path) -> None:
        self.environment = {
            **os.environ,
            "CYBERDB_URL": url,
            "CYBERDB_PASSWORD": PASSWORD,
            "VISIBILITY_TIMEOUT": str(lease),
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        }
        self.log = log
        self.running: list[subprocess.Popen[bytes]] = []
        os.environ.update(self.environment)
        sys.path.insert(0, str(HERE))
        try:
            sys.modules.pop("celery_worker_tasks", None)
            self.tasks: ModuleType = importlib.import_module("celery_worker_tasks")
        finally:
            sys.path.remove(str(HERE))

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "celery_worker_tasks", "worker", "-l", "INFO", *options]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True, cwd=HERE
            )
        self.running.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kills the process of a worker, and those of its pool, if they run."""
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        self.running.remove(worker)

    def close(self) -> None:
        for worker in list(self.running):
            self.kill(worker)
        pools.reset()
        self.tasks.app.close()
        self.tasks.app.backend.close()
        self.tasks.client.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CYBERDB_URL", "CYBERDB_PASSWORD", "VISIBILITY_TIMEOUT", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # Workers sets them


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    made: list[Workers] = []

    def make(url: str, lease: float = 60) -> Workers:
        made.append(Workers(url, lease, tmp_path / "worker.log"))
        return made[-1]

    yield make
    for one in made:
        one.close()
        print(one.log.read_text() if one.log.exists() else "")


def wait_until(condition: Callable[[], Any], seconds: float = START_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def marks(server: Server, table: str) -> list[Any]:
    with connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        return proxy.get_cyberlist(table).copy() if proxy.exists(table) else []


def requests_of(server: Server) -> int:
    with connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        return int(proxy.info()["requests"])


def test_a_prefork_worker(start: Callable[..., Server], workers: Callable[..., Workers]) -> None:
    server = start()
    mine = workers(server.url, lease=1)
    tasks = mine.tasks
    worker = mine.start("-c", "2")

    assert tasks.add.delay(1, 2).get(timeout=START_SECONDS) == 3
    assert group(tasks.add.s(i, i) for i in range(50))().get(timeout=30) == [2 * i for i in range(50)]
    assert chord([tasks.add.s(i, 0) for i in range(3)])(tasks.total.s()).get(timeout=30) == 3

    later = tasks.now.apply_async(countdown=2.5)  # longer than the lease
    sent = time.time()
    assert tasks.third_time.delay().get(timeout=30) == 2

    processes = {tuple(tasks.connections.delay().get(timeout=30)[:2]) for _ in range(10)}
    assert {parent for _, parent in processes} == {worker.pid}
    for pid, parent in processes:
        assert tasks.sockets(parent)
        assert not tasks.sockets(parent) & tasks.sockets(pid)

    assert later.get(timeout=30) - sent >= 2.4
    before = requests_of(server)
    time.sleep(1)
    assert requests_of(server) - before < 20  # an idle worker does not poll

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    with connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        for table in proxy.tables():
            if table.kind == "list":
                jobs = proxy.get_cyberlist(table.name)
                assert (len(jobs), jobs.leased(), jobs.delayed()) == (0, 0, 0)


def test_the_program_of_the_readme(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start()
    section = (HERE.parent / "README.md").read_text(encoding="utf-8").partition("\n### Celery and kombu\n")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    (tmp_path / "shop.py").write_text(found[1].replace("cyberdb://127.0.0.1:9980", server.url))
    environment = {**os.environ, "CYBERDB_PASSWORD": PASSWORD}
    code = "import shop; print(shop.total.delay([1, 2]).get(timeout=60))"
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-P", "solo"]
        worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True)
    finally:
        worker.kill()
        worker.wait()
    assert printed == "3\n"


def test_a_task_of_a_killed_worker_runs_again(start: Callable[..., Server], workers: Callable[..., Workers]) -> None:
    server = start()
    mine = workers(server.url, lease=2)
    first = mine.start("-c", "1")
    result = mine.tasks.held.delay("killed", 600)
    wait_until(lambda: marks(server, "killed"))
    mine.kill(first)
    mine.start("-c", "1")
    assert result.get(timeout=START_SECONDS) == 2
    assert marks(server, "killed") == [False, True]


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_task_may_take_longer_than_its_lease(
    start: Callable[..., Server], workers: Callable[..., Workers], pool: str
) -> None:
    server = start()
    mine = workers(server.url, lease=1)
    for _ in range(2):
        mine.start("-c", "1", "-P", pool)
    assert mine.tasks.held.delay("long", 3).get(timeout=START_SECONDS) == 1


def test_a_busy_worker_holds_no_other_task(start: Callable[..., Server], workers: Callable[..., Workers]) -> None:
    server = start()
    mine = workers(server.url)
    tasks = mine.tasks
    for _ in range(2):
        mine.start("-c", "1", "-P", "solo")
    wait_until(lambda: len(tasks.app.control.ping(timeout=0.5)) == 2)
    tasks.held.delay("busy", 600)
    wait_until(lambda: marks(server, "busy"))
    for _ in range(5):
        assert tasks.add.delay(1, 1).get(timeout=START_SECONDS) == 2


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def test_the_server_is_away_and_is_restarted(start: Callable[..., Server], workers: Callable[..., Workers]) -> None:
    port = free_port()
    mine = workers(f"cyberdb://127.0.0.1:{port}", lease=1)
    tasks = mine.tasks
    with pytest.raises(OperationalError) as raised:
        tasks.add.delay(1, 2)
    assert isinstance(raised.value.__cause__, ServerUnreachable)
    mine.start("-c", "2")
    wait_until(lambda: mine.log.exists() and b"Trying again" in mine.log.read_bytes())

    server = start(port=port)
    results = [tasks.slept.delay(0.05) for _ in range(40)]
    wait_until(results[3].ready)
    server.stop()
    time.sleep(0.5)
    start(port=port)
    assert [result.get(timeout=START_SECONDS) for result in results] == [0.05] * 40
