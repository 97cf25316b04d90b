"""What the client logs: connections, losses and repetitions, and no secrets."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from typing import Any, Callable, Iterable, List

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import ConnectionLost, Server, ServerUnreachable, aio
from hostile import frame, man_in_the_middle

SECRETS = (PASSWORD, "the key", "the value", "the table")


def logged(caplog: pytest.LogCaptureFixture) -> List[str]:
    """The levels and messages since the last call."""
    found = [f"{one.levelname} {one.getMessage()}" for one in caplog.records if one.name == "cyberdb_fast"]
    caplog.clear()
    for secret in SECRETS:
        assert secret not in "\n".join(found)
    return found


def kinds(messages: Iterable[str], address: str) -> List[str]:
    """The messages without their address and what the system says of the loss."""
    short = [one.replace(f"{address}: ", "") for one in messages]
    return [one.partition(":")[0].partition(" in 0.")[0] for one in short]


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> Iterable[None]:
    with caplog.at_level(logging.DEBUG, "cyberdb_fast"):
        yield


@pytest.mark.usefixtures("debug")
def test_connections_losses_and_repetitions(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    seen: List[bytes] = []

    def answer(request_id: int) -> Iterable[bytes]:
        if len(seen) == 1:
            raise ConnectionError
        return [frame(request_id, b"\x05")]

    lost = ["DEBUG opened a connection", "WARNING lost a connection", "DEBUG closed a connection"]
    again = ["WARNING repeating DICT GET", "DEBUG opened a connection", "DEBUG closed a connection"]

    async def asynchronous(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            d: Any = aio.CyberDict(proxy, "the table")
            assert await d["the key"] == 5
            seen.clear()
            with pytest.raises(ConnectionLost):
                await d.set("the key", "the value")

    with man_in_the_middle(server, answer, seen) as url:
        address = url.partition("://")[2]
        with cyberdb_fast.connect(url, password=PASSWORD) as client:
            proxy = client.get_proxy()
            proxy.connect()
            d: Any = cyberdb_fast.CyberDict(proxy, "the table")
            assert d["the key"] == 5
        messages = logged(caplog)
        assert kinds(messages, address) == lost + again
        assert messages[0] == f"DEBUG {address}: opened a connection"
        assert messages[1].startswith(f"WARNING {address}: lost a connection: ")
        seen.clear()
        with cyberdb_fast.connect(url, password=PASSWORD) as client:
            proxy = client.get_proxy()
            proxy.connect()
            with pytest.raises(ConnectionLost):
                cyberdb_fast.CyberDict(proxy, "the table").set("the key", "the value")
        assert kinds(logged(caplog), address) == lost
        seen.clear()
        asyncio.run(asynchronous(url))
        assert kinds(logged(caplog), address) == [*lost[:2], *again[:2], "WARNING lost a connection"]


@pytest.mark.usefixtures("debug")
def test_a_server_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ServerUnreachable):
        cyberdb_fast.connect(f"cyberdb://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:1", retries=2, backoff=0.001)
    first, second = logged(caplog)
    assert first.startswith("WARNING repeating the attempt to connect in 0.000 s: no connection to 127.0.0.1:1: ")
    assert second.startswith("WARNING repeating the attempt to connect in 0.00")


@pytest.mark.usefixtures("debug")
def test_requests_that_wait(start: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        queue = proxy.create_cyberlist("the table")
        assert server._process is not None
        threading.Timer(0.2, server._process.kill).start()
        with pytest.raises((ConnectionLost, ServerUnreachable)):
            queue.take(wait=0.6)
    assert any(one.startswith("WARNING repeating LIST TAKE in 0.") for one in logged(caplog))


def test_nothing_is_printed_without_a_setting() -> None:
    code = "import cyberdb_fast\ntry: cyberdb_fast.connect(port=1, password='x', retries=3)\nexcept OSError: pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"", b"")
