"""Fixtures for all tests: a real server, as a child process, on a free port."""

from __future__ import annotations

import os
import platform
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterator

import pytest

import cyberdb_fast
from cyberdb_fast import Client, CyberDict, CyberList, Proxy, Server, aio

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "correct horse"

os.environ.setdefault("CYBERDB_FAST_BINARY", str(ROOT / "bin" / "cyberdb-fast"))
_names = count()

# CPython is the reference. Tables do not have PyPy's differences (nan identity, texts of errors).
CPYTHON = platform.python_implementation() == "CPython"
collect_ignore = [] if CPYTHON else ["test_cpython.py", "test_conformance.py"]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for all servers: they share a salt, so a key is derived only once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def server(data_dir: Path) -> Iterator[Server]:
    with Server(str(data_dir)) as server:
        server.start(port=0, password=PASSWORD)
        yield server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts servers for one test."""
    servers = []

    def start(**settings: Any) -> Server:
        server = Server(str(tmp_path / "data"))
        servers.append(server)
        server.start(**{"port": 0, "password": PASSWORD, **settings})
        return server

    yield start
    for server in servers:
        server.stop()


@contextmanager
def suspended(server: Server) -> Iterator[None]:
    """Suspends the server, so that it answers nothing."""
    process = server._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the requests, and the pipelines, of clients made from now on."""
    counts: Counter[str] = Counter()

    def count(kind: Any, name: str) -> None:
        original = getattr(kind, name)

        def counted(self: Any, request: Any) -> Any:
            counts[name] += 1
            return original(self, request)

        monkeypatch.setattr(kind, name, counted)

    for name in ("perform", "perform_all", "perform_stream", "perform_waiting"):
        count(Client, name)
    for name in ("exchange", "exchange_all", "perform_waiting"):
        count(aio.Client, name)
    return counts


@pytest.fixture
def leaks_nothing() -> Callable[[], ContextManager[None]]:
    """A `with` after which this process has no more threads and sockets than before."""

    def counts() -> Counter[str]:
        targets = []
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                targets.append(link.readlink().name)
        sockets = sum(target.startswith("socket:") for target in targets)
        return Counter(sockets=sockets, threads=threading.active_count())

    @contextmanager
    def leaks_nothing() -> Iterator[None]:
        before = counts()
        yield
        until = time.monotonic() + 5
        while counts() - before and time.monotonic() < until:
            time.sleep(0.01)
        assert not counts() - before

    return leaks_nothing


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 on which no server listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client:
        yield client


@pytest.fixture
def proxy(client: Client) -> Iterator[Proxy]:
    with client.get_proxy() as proxy:
        yield proxy


@pytest.fixture
def new_name() -> Callable[[], str]:
    return lambda: f"table {next(_names)}"


@pytest.fixture
def d(proxy: Proxy, new_name: Callable[[], str]) -> CyberDict[Any, Any]:
    return proxy.create_cyberdict(new_name())


@pytest.fixture
def new_list(proxy: Proxy, new_name: Callable[[], str]) -> Callable[..., CyberList[Any]]:
    return lambda content=(): proxy.create_cyberlist(new_name(), content)
