"""Exceptions of signals, signal handlers and finalizers, at any byte code of a request: no connection is lost, and nothing waits for ever."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, Optional, Set

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, Server

Start = Callable[..., Server]
Table = CyberDict[Any, Any]

SOURCES = Path(cyberdb_fast.__file__).parent
CPYTHON = platform.python_implementation() == "CPython"
# What takes part in giving out connections, and is traced where the rest is too much: a login alone is some 100,000 byte codes.
POOLING = {"batcher.py", "client.py", "connection.py", "pool.py", "waiter.py"}


class Stop(BaseException):
    """What a signal raises."""


class Tracer:
    """Does something at the at-th byte code of a call that is in the client's sources, or in some files of them."""

    def __init__(self, act: Callable[[], None], files: Optional[Set[str]] = None) -> None:
        self._act, self._files = act, files
        self.events = 0
        self.seen: Set[str] = set()
        self.struck = False

    def run(self, call: Callable[[], Any], at: int) -> Any:
        self.events, self.struck, self._at = 0, False, at
        sys.settrace(self._enter)
        try:
            return call()
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        path = Path(frame.f_code.co_filename)
        if path.parent != SOURCES or (self._files is not None and path.name not in self._files):
            return None
        self.seen.add(path.name)
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            self.events += 1
            if self.events == self._at:
                self.struck = True
                sys.settrace(None)
                self._act()
        return self._step


def stop() -> None:
    raise Stop


def pipeline(d: Table) -> None:
    with d._sender.pipeline() as pipe:  # type: ignore[attr-defined]
        result = pipe.on(d).get("a")
    assert result.value == 1


def iterate(d: Table) -> None:
    assert "a" in list(d)


def with_block(d: Table) -> None:
    with d._sender as proxy:  # type: ignore[attr-defined]
        assert proxy.get_cyberdict("d")["a"] == 1


OPERATIONS: Dict[str, Callable[[Table], Any]] = {
    "get": lambda d: d["a"],
    "set": lambda d: d.__setitem__("b", (1, 2)),
    "missing": lambda d: d.get("none"),
    "long": lambda d: d.copy(),
    "pipeline": pipeline,
    "iteration": iterate,
    "with": with_block,
}


def table(server: Server, **options: Any) -> Table:
    """A table of a client with one connection."""
    client = cyberdb_fast.connect(
        server.url, password=PASSWORD, **{"max_connections": 1, "pool_timeout": 5.0, "request_timeout": 20.0, **options}
    )
    proxy = client.get_proxy()
    proxy.connect()
    d = proxy.create_cyberdict("d", exist_ok=True)
    d["a"] = 1
    return d


def client_of(d: Table) -> Client:
    client: Client = d._sender._client  # type: ignore[attr-defined]
    return client


def in_order(d: Table) -> None:
    """The one place is there for the next request."""
    assert d["a"] == 1
    counts = client_of(d).stats()
    assert counts["open"] == counts["idle"] == 1, counts
    assert counts["waiting"] == 0, counts


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_exception_at_any_byte_code(start: Start, name: str) -> None:
    d = table(start())
    operation = OPERATIONS[name]
    tracer = Tracer(stop)
    at = 1
    while True:
        try:
            tracer.run(lambda: operation(d), at)
        except Stop as e:
            kept = e  # a traceback that is kept keeps the variables of all functions that the exception went through
            in_order(d)
            del kept
        if not tracer.struck:
            break
        at += 1
    in_order(d)
    assert tracer.events == at - 1, "not each byte code was struck"
    client_of(d).close()
