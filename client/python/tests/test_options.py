"""The options of connect(): the same by argument and in a URL, and what each of them does."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, List

import pytest

import cyberdb_fast
from conftest import PASSWORD, ROOT
from cyberdb_fast import (
    ConnectionLost,
    DisconCyberDBError,
    Server,
    ServerUnreachable,
    UnsupportedFramework,
    WrongInputCyberDBError,
    aio,
    opcodes,
)
from cyberdb_fast.settings import OPTIONS, Options, Settings, make_settings
from hostile import frame, man_in_the_middle

Start = Callable[..., Server]

# One other value than the default of each option, and how a URL writes it.
OTHERS = {
    "time_out": (30.0, "30"),
    "max_connections": (3, "3"),
    "connect_timeout": (2.5, "2.5"),
    "request_timeout": (None, "none"),
    "pool_timeout": (0.0, "0"),
    "retries": (5, "5"),
    "backoff": (0.1, "0.1"),
    "max_backoff": (2.0, "2"),
    "health_check": (15.0, "15"),
    "keep_alive": (None, "none"),
    "max_reply_bytes": (1000, "1000"),
    "track_changes": (True, "true"),
    "tracing": (True, "true"),
    "check": (False, "false"),
}


def settings(url: str = "cyberdb://db", **options: Any) -> Settings:
    return make_settings(url, password="x", options=options)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_url_and_arguments_have_the_same_options(name: str) -> None:
    value, text = OTHERS[name]
    by_argument, by_url = settings(**{name: value}), settings(f"cyberdb://db?{name}={text}")
    assert by_argument == by_url
    assert getattr(by_url, name) == value
    assert by_url != settings()


def test_arguments_win_over_the_url() -> None:
    assert settings("cyberdb://db?retries=5&backoff=2", retries=0) == settings(retries=0, backoff=2.0)
    assert settings("cyberdb://db?request_timeout=5", request_timeout=None).request_timeout is None
    both = make_settings("cyberdb://:secret@db:9000?time_out=5", 9001, "other", time_out=6, options={})
    assert (both.host, both.port, both.password, both.time_out) == ("db", 9001, "other", 6)
    assert make_settings("cyberdbs://:secret@db", encrypt=False).encrypt


def test_asyncio_has_the_same_options(server: Server) -> None:
    async def main() -> None:
        client = await aio.connect(f"{server.url}?retries=7&pool_timeout=3&check=false", password=PASSWORD)
        assert (client._settings.retries, client._settings.max_connections) == (7, 2)
        client = await aio.connect(f"{server.url}?max_connections=5", password=PASSWORD, retries=0)
        assert (client._settings.retries, client._settings.max_connections) == (0, 5)
        await client.close()
        with pytest.raises(WrongInputCyberDBError, match="max_connections must be a whole number from 1"):
            await aio.connect(server.url, password=PASSWORD, max_connections=0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("retries", -1, "retries must be a whole number from 0 to 1,000, got -1"),
        ("retries", 1.5, "retries must be a whole number"),
        ("retries", True, "retries must be a whole number"),
        ("retries", None, "retries must be a whole number from 0 to 1,000, got None"),
        ("request_timeout", 0, "request_timeout must be a number of seconds from 0.001 to 1,000,000,000, or None"),
        ("request_timeout", float("nan"), "request_timeout must be a number"),
        ("connect_timeout", float("inf"), "connect_timeout must be a number"),
        (
            "pool_timeout",
            "5",
            "pool_timeout must be a number of seconds from 0 to 1,000,000,000, or None (no limit), got '5'",
        ),
        ("keep_alive", 0, "keep_alive must be a whole number of seconds from 1 to 32,767, or None (off), got 0"),
        ("max_reply_bytes", 0, "max_reply_bytes must be a whole number of bytes from 1 to"),
        ("check", 1, "check must be True or False, got 1"),
    ],
)
def test_arguments_that_are_refused(name: str, value: Any, text: str) -> None:
    with pytest.raises(WrongInputCyberDBError) as refused:
        cyberdb_fast.connect("cyberdb://db", password="x", **{name: value})
    assert text in str(refused.value)


def test_an_unknown_argument() -> None:
    with pytest.raises(TypeError, match=r"^connect\(\) has no option 'timeout'; its options are time_out, max_conn"):
        cyberdb_fast.connect(timeout=5)  # type: ignore[call-arg]
    for port in (-1, 65536, "9980"):
        with pytest.raises(WrongInputCyberDBError, match="port must be a whole number from 0 to 65535"):
            cyberdb_fast.connect("db", port)  # type: ignore[arg-type]


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is not None, reason="it is installed")
def test_tracing_needs_its_extra() -> None:
    for connect in (cyberdb_fast.connect, lambda *args, **options: asyncio.run(aio.connect(*args, **options))):
        with pytest.raises(UnsupportedFramework, match=r"pip install 'cyberdb-fast\[opentelemetry\]'"):
            connect(password="x", tracing=True, check=False)


def test_the_documents_have_all_options() -> None:
    readme = (ROOT / "client/python/README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.*?) \|", readme, re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(table)))
    assert set(OPTIONS) <= named
    assert set(OPTIONS) - {"time_out"} == set(Options.__annotations__)
    documented = inspect.getdoc(cyberdb_fast.connect) or ""
    for name in OPTIONS:
        assert re.search(rf"\b{name}\b", documented), name


def test_a_password_is_not_in_the_repr_of_settings() -> None:
    assert "secret" not in repr(settings("cyberdb://:secret@db"))


# ---- retries


@contextmanager
def restarted(start: Start, servers: List[Server]) -> Iterator[None]:
    """Kills the last of the servers; another one is there on the same port a little later."""
    port = int(servers[-1].url.rpartition(":")[2])
    process = servers[-1]._process
    assert process is not None
    process.kill()
    process.wait()

    def again() -> None:
        time.sleep(0.1)
        servers.append(start(port=port))

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        thread.join()


PATIENT: Any = {"retries": 200, "backoff": 0.01, "max_backoff": 0.1}


def test_requests_survive_a_restart_of_the_server(start: Start) -> None:
    """Reads are repeated after the loss, changes when they find no server."""
    servers = [start()]
    with cyberdb_fast.connect(servers[0].url, password=PASSWORD, **PATIENT) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("d", {"k": 1}).durable
        proxy.save()
        with restarted(start, servers):
            with proxy.pipeline() as pipe:
                value = pipe.on(d).get("k")
            assert value.value == 1
        with restarted(start, servers):
            client._pool.drop_idle()
            client.check()  # it finds no server, and waits
            assert d.increment("k") == 2
            assert list(d.items()) == [("k", 2)]
        assert client.stats()["open"] == 1


def test_requests_of_asyncio_survive_a_restart_of_the_server(start: Start) -> None:
    servers = [start()]

    async def main() -> None:
        async with await aio.connect(servers[0].url, password=PASSWORD, **PATIENT) as client:
            async with client.get_proxy() as proxy:
                d = await proxy.create_cyberdict("d", {i: i for i in range(20)})
                await proxy.save()
                with restarted(start, servers):
                    assert await asyncio.gather(*[d[i] for i in range(20)]) == list(range(20))
                with restarted(start, servers):
                    await asyncio.sleep(0.05)  # the client learns of the loss
                    assert await d.increment(0) == 1
                    async with proxy.pipeline() as pipe:
                        value = pipe.on(d).get(0)
                    assert value.value == 1

    asyncio.run(main())


def milliseconds(request: bytes) -> int:
    """The deadline of a request frame."""
    return int.from_bytes(request[10:14], "little")


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_the_number_of_retries(server: Server, retries: int) -> None:
    """A read is sent again so often; a change is sent once."""
    seen: List[bytes] = []

    def lose(request_id: int) -> Iterable[bytes]:
        raise ConnectionError

    async def asynchronous(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD, retries=retries, backoff=0.001) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            d: Any = aio.CyberDict(proxy, "t")
            for send, times in ((d.get, 1 + retries), (d.increment, 1)):
                seen.clear()
                with pytest.raises(ConnectionLost):
                    await send("k")
                assert len(seen) == times

    with man_in_the_middle(server, lose, seen) as url:
        with cyberdb_fast.connect(url, password=PASSWORD, retries=retries, backoff=0.001) as client:
            proxy = client.get_proxy()
            proxy.connect()
            d: Any = cyberdb_fast.CyberDict(proxy, "t")
            for send, times in ((d.get, 1 + retries), (d.increment, 1)):
                seen.clear()
                with pytest.raises(ConnectionLost, match="may or may not have been applied"):
                    send("k")
                assert len(seen) == times
        asyncio.run(asynchronous(url))


def test_no_retry_after_the_time_limit(server: Server) -> None:
    seen: List[bytes] = []

    def lose(request_id: int) -> Iterable[bytes]:
        raise ConnectionError

    limits: Any = {"retries": 1000, "backoff": 0.05, "max_backoff": 0.05, "request_timeout": 1.0}

    async def asynchronous(url: str) -> float:
        async with await aio.connect(url, password=PASSWORD, **limits) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            began = time.monotonic()
            with pytest.raises(DisconCyberDBError):
                await aio.CyberDict(proxy, "t")["k"]
            return time.monotonic() - began

    with man_in_the_middle(server, lose, seen) as url:
        with cyberdb_fast.connect(url, password=PASSWORD, **limits) as client:
            proxy = client.get_proxy()
            proxy.connect()
            began = time.monotonic()
            with pytest.raises(DisconCyberDBError):
                cyberdb_fast.CyberDict(proxy, "t")["k"]
            took = time.monotonic() - began
        for one in (took, asyncio.run(asynchronous(url))):
            assert 0.6 < one < 20
    # The server learns what is left of the limit: each request has a shorter deadline.
    deadlines = [milliseconds(one) for one in seen]
    assert max(deadlines) == deadlines[0] == 1000
    assert min(deadlines) < 950


def test_the_last_attempt_has_what_is_left_of_the_time(server: Server) -> None:
    """The server learns it, and nobody waits for longer."""
    seen: List[bytes] = []
    lost = threading.Event()

    def answer(request_id: int) -> Iterable[bytes]:
        if len(seen) == 1:
            lost.wait(0.6)
            raise ConnectionError
        return []

    async def asynchronous(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD, request_timeout=1.0) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            with pytest.raises(DisconCyberDBError):
                await aio.CyberDict(proxy, "t")["k"]

    with man_in_the_middle(server, answer, seen) as url:
        with cyberdb_fast.connect(url, password=PASSWORD, request_timeout=1.0) as client:
            proxy = client.get_proxy()
            proxy.connect()
            with pytest.raises(DisconCyberDBError):
                cyberdb_fast.CyberDict(proxy, "t")["k"]
        limits = [milliseconds(one) for one in seen]
        seen.clear()
        asyncio.run(asynchronous(url))
        for first, *later in (limits, [milliseconds(one) for one in seen]):
            assert first == 1000
            assert all(1 <= one <= 400 for one in later)  # none, if this machine is too slow


def test_a_pipeline_whose_beginning_was_applied_is_not_repeated(server: Server) -> None:
    """The server answers the first part of a large pipeline, and then the connection is lost."""
    seen: List[bytes] = []
    value = bytes(600_000)
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        d = proxy.create_cyberdict("a large pipeline", exist_ok=True)
        lease = client._pool.acquire()
        connection = lease[0]
        client._pool.release(lease)
        exchange, batches = connection._exchange_batch, []

        def cut(batch: Any) -> Any:
            batches.append(len(batch))
            if len(batches) == 2:
                connection.socket.shutdown(socket.SHUT_WR)
            return exchange(batch)

        connection._exchange_batch = cut  # type: ignore[method-assign]
        pipe = proxy.pipeline()
        pipe.on(d).increment("n")
        for key in range(4):
            pipe.on(d).set(key, value)
        with pytest.raises(ConnectionLost, match="earlier requests of the pipeline have been applied"):
            pipe.execute()
        assert d["n"] == 1
        proxy.delete_table("a large pipeline")
    assert not seen


def test_close_ends_the_pause_before_a_retry(start: Start) -> None:
    """Of threads and of tasks; nothing is left of them."""
    server = start()
    limits: Any = {"retries": 5, "backoff": 1000.0, "max_backoff": 1000.0, "request_timeout": None}
    client = cyberdb_fast.connect(server.url, password=PASSWORD, **limits)
    proxy = client.get_proxy()
    proxy.connect()
    d = proxy.create_cyberdict("d", {"k": 1})
    ended: List[BaseException] = []

    def read() -> None:
        try:
            d["k"]
        except DisconCyberDBError as e:
            ended.append(e)

    async def main() -> None:
        asynchronous = await aio.connect(server.url, password=PASSWORD, **limits)
        other = asynchronous.get_proxy()
        await other.connect()
        table = await other.get_cyberdict("d")
        server.stop()
        task = asyncio.ensure_future(table["k"])
        cancelled = asyncio.ensure_future(table["k"])
        await asyncio.sleep(0.1)
        cancelled.cancel()
        await asyncio.sleep(0)
        await asynchronous.close()
        with pytest.raises(DisconCyberDBError, match="closed"):
            await asyncio.wait_for(task, 10)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    thread = threading.Thread(target=read)
    thread.start()
    until = time.monotonic() + 20
    while not client._pool._pausing and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.005)
    client.close()
    thread.join(20)
    assert not thread.is_alive()
    assert [str(e) for e in ended] == ["the client is closed"]
    assert not client._pool._pausing


def test_a_server_that_is_away_at_the_start() -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        cyberdb_fast.connect(port=1, password="x", retries=3, backoff=0.01)
    with pytest.raises(ServerUnreachable):
        asyncio.run(aio.connect(port=1, password="x", retries=3, backoff=0.01))  # type: ignore[arg-type]
    assert time.monotonic() - began < 5


def test_an_attempt_to_connect_that_took_its_time_is_not_repeated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options: Any = {"password": "x", "connect_timeout": 0.2, "retries": 50}
        began = time.monotonic()
        with pytest.raises(ServerUnreachable):
            cyberdb_fast.connect(port=silent.getsockname()[1], **options)
        with pytest.raises(ServerUnreachable):
            asyncio.run(aio.connect(port=silent.getsockname()[1], **options))
        assert time.monotonic() - began < 4


# ---- idle connections


def idle_for(client: Any, seconds: float) -> None:
    """Makes the idle connections of a client look as if they had been idle for longer."""
    if isinstance(client, aio.Client):
        for connection in client._connections.for_loop().all:
            if connection is not None:
                connection._heard_at -= seconds
    else:
        for connection in client._pool._idle:
            connection.used_at -= seconds


def test_idle_connections_are_checked(server: Server) -> None:
    """One on which the server is silent is replaced, before a request is lost on it."""
    seen: List[bytes] = []
    silent = [False]  # to PING

    def answer(request_id: int) -> Iterable[bytes]:
        return [] if silent[0] and seen[-1][8] == opcodes.PING else [frame(request_id, b"\x05")]

    options: Any = {"password": PASSWORD, "health_check": 10, "request_timeout": 0.8}

    async def asynchronous(url: str) -> None:
        async with await aio.connect(url, max_connections=1, **options) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            d: Any = aio.CyberDict(proxy, "t")
            assert await d.increment("k") == 5
            assert [one[8] for one in seen] == [opcodes.DICT_INCREMENT]
            idle_for(client, 11)
            seen.clear()
            assert await asyncio.gather(*[d.increment("k") for _ in range(3)]) == [5, 5, 5]
            assert [one[8] for one in seen] == [opcodes.PING, *[opcodes.DICT_INCREMENT] * 3]
            connection = client._connections.ready()
            idle_for(client, 11)
            silent[0] = True
            assert await d.increment("k") == 5
            assert client._connections.ready() is not connection
            idle_for(client, 11)
            silent[0] = True
            cancelled = asyncio.ensure_future(d.increment("k"))
            await asyncio.sleep(0.05)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            silent[0] = False
            assert await d.increment("k") == 5

    with man_in_the_middle(server, answer, seen) as url:
        with cyberdb_fast.connect(url, **options) as client:
            proxy = client.get_proxy()
            proxy.connect()
            d: Any = cyberdb_fast.CyberDict(proxy, "t")
            assert d.increment("k") == 5
            idle_for(client, 11)
            seen.clear()
            assert d.increment("k") == 5
            assert [one[8] for one in seen] == [opcodes.PING, opcodes.DICT_INCREMENT]
            idle_for(client, 11)
            silent[0] = True
            assert d.increment("k") == 5
            assert client.stats()["open"] == 1
        seen.clear()
        asyncio.run(asynchronous(url))


def test_connections_that_were_idle_for_time_out_are_not_used(server: Server) -> None:
    async def asynchronous() -> None:
        async with await aio.connect(server.url, password=PASSWORD, time_out=10, max_connections=1) as client:
            async with client.get_proxy() as proxy:
                first = client._connections.ready()
                await proxy.ping()
                assert client._connections.ready() is first
                idle_for(client, 11)
                await proxy.ping()
                assert client._connections.ready() is not first

    asyncio.run(asynchronous())
    with cyberdb_fast.connect(server.url, password=PASSWORD, time_out=10) as client, client.get_proxy() as proxy:
        first = client._pool._idle[0].socket
        proxy.ping()
        assert client._pool._idle[0].socket is first
        idle_for(client, 11)
        proxy.ping()
        assert client._pool._idle[0].socket is not first


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has other names")
@pytest.mark.parametrize(("keep_alive", "want"), [(None, (0,)), (90, (1, 90, 30, 3)), (1, (1, 1, 1, 3))])
def test_keep_alive(server: Server, keep_alive: Any, want: Any) -> None:
    names = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    )

    def found(descriptor: int) -> List[int]:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return [sock.getsockopt(*name) for name in names][: len(want)]

    async def asynchronous() -> List[int]:
        async with await aio.connect(server.url, password=PASSWORD, keep_alive=keep_alive) as client:
            connection = client._connections.ready()
            assert connection is not None
            return found(connection._transport.get_extra_info("socket").fileno())

    with cyberdb_fast.connect(server.url, password=PASSWORD, keep_alive=keep_alive) as client:
        assert found(client._pool._idle[0].socket.fileno()) == list(want)
    assert asyncio.run(asynchronous()) == list(want)
