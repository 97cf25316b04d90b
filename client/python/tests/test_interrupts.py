"""Interrupts at any byte code of a request lose no connection and block no caller.

They are exceptions from signals, signal handlers, and finalizers that use the client.
"""

from __future__ import annotations

import gc
import linecache
import platform
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, Optional, Set

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, Server
from test_concurrency import run

Start = Callable[..., Server]
Table = CyberDict[Any, Any]

SOURCES = Path(cyberdb_fast.__file__).parent
# The modules of the pool. Some tests trace only these, because a login has some 100,000 byte codes.
POOLING = {"batcher.py", "client.py", "connection.py", "pool.py", "waiter.py"}


class Stop(BaseException):
    """The exception that a signal raises."""


class Tracer:
    """Runs an action at the at-th byte code of a call in the client, or in some files."""

    def __init__(self, act: Callable[[], None], files: Optional[Set[str]] = None) -> None:
        self._act, self._files = act, files
        self.events = 0
        self.seen: Set[str] = set()
        self.struck = False
        self.function = self.line = ""  # where it struck

    def run(self, call: Callable[[], Any], at: int) -> Any:
        self.events, self.struck, self._at = 0, False, at
        sys._getframe().f_trace_opcodes = True  # CPython 3.12 counts byte codes if settrace finds one that is set
        sys.settrace(self._enter)
        try:
            return call()
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        path = Path(frame.f_code.co_filename)
        if path.parent != SOURCES or (self._files is not None and path.name not in self._files):
            return None
        if frame.f_code.co_name == "<genexpr>":  # Python ignores an exception where an unfinished one is closed
            return None
        self.seen.add(path.name)
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            self.events += 1
            if self.events == self._at:
                self.struck = True
                self.function = frame.f_code.co_name
                self.line = linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0).strip()
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
        server.url,
        password=PASSWORD,
        **{"max_connections": 1, "pool_timeout": 30.0, "request_timeout": 60.0, **options},
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
    """The only connection is available for the next request."""
    assert d["a"] == 1
    counts = client_of(d).stats()
    assert counts["open"] == counts["idle"] == 1, counts
    assert counts["waiting"] == 0, counts


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="PyPy's traces have no byte codes")
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
            kept = e  # its traceback keeps the local variables of all frames alive
            in_order(d)
            del kept
        if not tracer.struck:
            break
        at += 1
    in_order(d)
    if sys.version_info[:2] != (3, 13):  # its first releases do not trace all byte codes
        assert tracer.seen >= POOLING - {"batcher.py", "waiter.py"}
    client_of(d).close()


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="PyPy's traces have no byte codes")
@pytest.mark.parametrize("name", ["get", "pipeline", "iteration"])
def test_a_finalizer_at_any_byte_code(start: Start, name: str) -> None:
    """A __del__ uses the table inside a request that has the only connection."""
    d = table(start())
    operation = OPERATIONS[name]
    run = 0

    class Session:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal run
            d.increment("gone")
            run += 1

    def collect() -> None:
        Session()
        gc.collect(0)

    tracer = Tracer(collect, POOLING)
    at = 1
    while True:
        tracer.run(lambda: operation(d), at)
        if not tracer.struck:
            break
        at += 3
    gc.collect()
    assert d.get("gone", 0) == run
    if sys.version_info[:2] != (3, 13):  # its first releases do not trace all byte codes
        assert run > 10
    in_order(d)
    client_of(d).close()


class Signals:
    """Signals from a timer, at random times."""

    def __init__(self, handler: Callable[[], None]) -> None:
        self._handler = handler

    def __enter__(self) -> Signals:
        self._before = signal.signal(signal.SIGALRM, lambda *_: self._handler())
        return self

    def every(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    def __exit__(self, *exc: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)


needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that signal")


@needs_signals
@pytest.mark.parametrize("name", ["get", "pipeline", "iteration"])
@pytest.mark.parametrize("max_connections", [1, 8])
def test_a_signal_handler_uses_the_table(start: Start, name: str, max_connections: int) -> None:
    d = table(start(), max_connections=max_connections)
    handled = 0
    inside = False

    def handler() -> None:
        nonlocal handled, inside
        if not inside:
            inside = True
            d.increment("signals")
            handled += 1
            inside = False

    with Signals(handler) as signals:
        signals.every(0.0007)
        until = time.monotonic() + 60
        while handled < 100 and time.monotonic() < until:
            OPERATIONS[name](d)
    assert d["signals"] == handled >= 100
    client_of(d).close()


STRUCK = """
import ctypes, signal, sys, threading, time, warnings
import cyberdb_fast

warnings.simplefilter("ignore")  # about sockets that the standard library drops

class Stop(Exception):
    pass

client = cyberdb_fast.connect(sys.argv[1], max_connections=1)
proxy = client.get_proxy()
proxy.connect()
d = proxy.create_cyberdict("d", {"a": 1})

def work(times):
    for _ in range(times):
        assert d["a"] == 1
        with proxy.pipeline() as pipe:
            pipe.on(d).get("a")
"""

BY_SIGNAL = """
def strike(*_):
    raise Stop

signal.signal(signal.SIGALRM, strike)
struck = 0
for n in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001 + n % 7 * 0.0003)
        work(1000)
    except Stop:
        struck += 1
assert struck > 200, struck  # the interpreter ignores exceptions in a finalizer
assert d["a"] == 1
assert client.stats()["waiting"] == 0
client.close()
"""

BY_THREAD = """
armed, over, struck = threading.Event(), threading.Event(), 0

def worker():
    global struck
    while True:
        try:
            while not over.is_set():
                try:
                    armed.set()
                    work(1 << 40)
                except Stop:
                    struck += 1
            return
        except Stop:  # late, on a busy machine
            struck += 1

thread = threading.Thread(target=worker)
thread.start()
for n in range(100):
    armed.wait(1)  # it does not come if the interpreter ignored it in a finalizer
    armed.clear()
    time.sleep(n % 10 * 0.0003 + 0.0005)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
armed.wait(1)
over.set()
while thread.is_alive():
    armed.clear()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
    thread.join(1)
assert struck > 60, struck
assert d["a"] == 1
assert client.stats()["waiting"] == 0
client.close()
"""


@needs_signals
def test_exceptions_of_signals_lose_no_connection(start: Start) -> None:
    """Interrupts come at any moment, also inside the standard library and the interpreter."""
    run(STRUCK + BY_SIGNAL, start())


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="CPython's own")
def test_exceptions_from_another_thread_lose_no_connection(start: Start) -> None:
    """Interrupts another thread as some libraries do: with PyThreadState_SetAsyncExc."""
    run(STRUCK + BY_THREAD, start())
