"""The tutorial: a database, and a Flask application under gunicorn.

The workers of gunicorn are greenlets, threads and plain processes.

The files are those of examples/flask; their ports are exchanged for free ones.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple

import pytest

import cyberdb_fast
from conftest import ROOT
from cyberdb_fast import ServerUnreachable

PASSWORD = "hWjYvVdqRC"
HELLO = (200, b'{"code":1,"content":"Hello CyberDB!"}')
PATIENCE = 30.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def files(tmp_path: Path, port: int) -> Path:
    """A copy of examples/flask with another port for the database."""
    for source in (ROOT / "examples/flask").glob("*.py"):
        text = source.read_text()
        assert "port=9980" in text
        (tmp_path / source.name).write_text(text.replace("port=9980", f"port={port}"))
    return tmp_path


class Database:
    """cyberdb_serve.py in its own process."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory, self._port = directory, port
        self.init()

    def init(self) -> None:
        """Runs cyberdb_init.py to its end."""
        subprocess.run([sys.executable, "cyberdb_init.py"], cwd=self._directory, check=True, timeout=PATIENCE)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "cyberdb_serve.py"], cwd=self._directory, stdout=subprocess.DEVNULL
        )
        wait_for(self._takes_connections)

    def _takes_connections(self) -> bool:
        assert self._process.poll() is None
        try:
            cyberdb_fast.connect(port=self._port, password=PASSWORD, encrypt=True).close()
        except ServerUnreachable:
            return False
        return True

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        wait_for(lambda: not listens(self._port))


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except OSError:
        return False
    return True


@pytest.fixture
def database(files: Path, port: int) -> Iterator[Database]:
    database = Database(files, port)
    database.start()
    yield database
    database.stop()


def test_the_database_comes_back_and_begins_anew(database: Database, port: int) -> None:
    """Tables survive a restart; a second run of cyberdb_init.py replaces them."""
    hello = {"content": "Hello CyberDB!"}
    with cyberdb_fast.connect(port=port, password=PASSWORD, encrypt=True) as client, client.get_proxy() as proxy:
        centre = proxy.get_cyberdict("centre")
        assert centre == hello
        centre["visits"] = 1
        database.stop()
        database.start()
        assert centre == {**hello, "visits": 1}
        database.stop()
        database.init()
        database.start()
        assert centre == hello


def get(port: int) -> Tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.status, response.read().rstrip(b"\n")
    finally:
        connection.close()


def wait_for(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("workers", ["-w 4 -k gevent", "-w 2 --threads 8", "-w 4 -k sync", "-w 2 -k gevent --preload"])
def test_the_tutorial(files: Path, database: Database, workers: str) -> None:
    web = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        *workers.split(),
        "-b",
        f"127.0.0.1:{web}",
        "app:app",
        "--graceful-timeout",
        "1",
    ]
    with (files / "gunicorn.log").open("wb") as log:
        gunicorn = subprocess.Popen(command, cwd=files, stdout=log, stderr=log)
    try:
        wait_for(lambda: gunicorn.poll() is not None or answers(web))
        assert gunicorn.poll() is None, (files / "gunicorn.log").read_text()
        with ThreadPoolExecutor(32) as threads:
            assert set(threads.map(get, [web] * 600)) == {HELLO}

            database.stop()
            away = list(threads.map(get, [web] * 60))
            assert {status for status, _ in away} == {503}, away[0]

            database.start()
            wait_for(lambda: get(web) == HELLO)
            assert set(threads.map(get, [web] * 600)) == {HELLO}
    finally:
        gunicorn.terminate()
        gunicorn.wait()
