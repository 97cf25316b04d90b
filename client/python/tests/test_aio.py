"""The asyncio client against a real server."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any, Awaitable, Callable

import pytest

from conftest import PASSWORD, suspended
from cyberdb_fast import (
    ABSENT,
    ConnectionLost,
    DisconCyberDBError,
    NoSuchTable,
    RequestTimeout,
    Server,
    ServerUnreachable,
    TableExists,
    VersionMismatch,
    WrongInputCyberDBError,
    WrongPasswordCyberDBError,
    WrongTableKind,
    aio,
)

Story = Callable[[aio.Proxy], Awaitable[None]]


def first_connection(client: aio.Client) -> Any:
    return client._connections.for_loop().all[0]


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def tell(request: Any, start: Callable[..., Server]) -> Callable[[Story], None]:
    """Runs a coroutine function with a connected proxy."""
    url = start(encrypt=request.param).url

    def tell(story: Story) -> None:
        async def run() -> None:
            async with await aio.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
                await story(proxy)

        asyncio.run(run())

    return tell


def test_dict(tell: Callable[[Story], None]) -> None:
    async def story(proxy: aio.Proxy) -> None:
        d = await proxy.create_cyberdict("d", {"a": 1})
        await d.set("b", [1])
        assert (await d["a"], await d.getitem("b"), await d.get("c"), await d.get("c", 0)) == (1, [1], None, 0)
        with pytest.raises(KeyError) as e:
            await d["c"]
        assert e.value.args == ("c",)
        assert await d.setdefault("c", 3) == 3
        await d.update({"x": 0}, y=0)
        assert [k async for k in d] == ["a", "b", "c", "x", "y"]
        assert [v async for v in d.values()] == [1, [1], 3, 0, 0]
        assert [i async for i in d.items()][0] == ("a", 1)
        assert (await d.len(), await d.contains("x"), await d.pop("x"), await d.pop("x", None)) == (5, True, 0, None)
        assert await d.popitem() == ("y", 0)
        assert await d.increment("a") == 2
        assert await d.compare_and_set("z", ABSENT, 1)
        assert await d.get_many(["a", "q"]) == {"a": 2}
        await d.set("q", 1)
        assert await d.delete_many(["q", "absent"]) == ["q"]
        assert (await d.add("q", 1), await d.add("q", 2), await d.replace("q", 3)) == (True, False, True)
        value, version = await d.get_versioned("q")
        assert value == 3
        version = await d.set_if("q", 4, version)
        assert await d.increment("q", must_exist=True) == 5
        with pytest.raises(VersionMismatch):
            await d.delete_if("q", version)
        await d.delete("q")
        assert not await d.replace("q", 6)
        assert await d.modify("n", lambda n: n + 1, default=0) == 1
        await d.delete("z")
        assert await d.copy() == {"a": 2, "b": [1], "c": 3, "n": 1}
        with pytest.raises(TypeError, match="len"):
            bool(d)
        with pytest.raises(TypeError, match="contains"):
            "a" in d  # noqa: B015
        with pytest.raises(TypeError, match="not iterable"):
            list(d)  # type: ignore[call-overload]
        await d.clear()
        assert await d.copy() == {}

    tell(story)


def test_list(tell: Callable[[Story], None]) -> None:
    async def story(proxy: aio.Proxy) -> None:
        table = await proxy.create_cyberlist("l", [3, 1, 2])
        await table.sort(key=lambda x: -x)
        assert await table[0:2] == [3, 2]
        await table.set(slice(0, 1), [9, 8])
        await table.append(7)
        assert [v async for v in table] == await table.copy() == [9, 8, 2, 1, 7]
        assert (await table.pop(), await table.popleft(), await table.index(2), await table[-1]) == (7, 9, 1, 1)
        with pytest.raises(IndexError):
            await table[99]

    tell(story)


def test_tables(tell: Callable[[Story], None], capsys: pytest.CaptureFixture[str]) -> None:
    async def story(proxy: aio.Proxy) -> None:
        await proxy.create_cyberdict("d")
        with pytest.raises(TableExists):
            await proxy.create_cyberdict("d")
        with pytest.raises(WrongInputCyberDBError):
            await proxy.create_cyberlist("l", "text")
        with pytest.raises(WrongTableKind):
            await proxy.get_cyberlist("d")
        await proxy.rename_table("d", "e")
        assert await proxy.exists("e")
        await proxy.print_tables()
        assert capsys.readouterr().out == "table name: e  type name: CyberDict\n"
        await proxy.delete_table("e")
        with pytest.raises(NoSuchTable):
            await proxy.get_cyberdict("e")
        await proxy.close()
        with pytest.raises(DisconCyberDBError, match="no connection"):
            await proxy.ping()

    tell(story)


def test_thousands_of_tasks_share(tell: Callable[[Story], None]) -> None:
    async def story(proxy: aio.Proxy) -> None:
        d = await proxy.create_cyberdict("d")

        async def one(i: int) -> None:
            await d.set(i, f"value of {i}")
            assert await d[i] == f"value of {i}"
            await d.increment("n")

        await asyncio.gather(*map(one, range(3000)))
        assert await d["n"] == 3000

    tell(story)


def test_cancelled_tasks_leave_the_rest_alone(tell: Callable[[Story], None]) -> None:
    async def story(proxy: aio.Proxy) -> None:
        d = await proxy.create_cyberdict("d", {i: i for i in range(100)})
        tasks = [asyncio.ensure_future(d.getitem(i % 100)) for i in range(1000)]
        for task in tasks[::3]:
            task.cancel()
        for i, result in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            assert isinstance(result, asyncio.CancelledError) if i % 3 == 0 else result == i % 100

    tell(story)


def test_large_replies(tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyberdb_fast.replies.SPOOL_BYTES", 100_000)

    async def story(proxy: aio.Proxy) -> None:
        d = await proxy.create_cyberdict("d")
        for i in range(8):
            await d.set(i, bytes([i]) * 1_000_000)
        big, small = await asyncio.gather(d.copy(), d.len())
        assert small == 8
        assert {k: v async for k, v in d.items()} == big == {i: bytes([i]) * 1_000_000 for i in range(8)}

    tell(story)


def test_wrong_password(server: Server) -> None:
    with pytest.raises(WrongPasswordCyberDBError):
        asyncio.run(aio.connect(server.url, password="wrong"))


def test_server_gone_and_back(start: Callable[..., Server]) -> None:
    server = start()
    port = int(server.url.rpartition(":")[2])

    async def story() -> None:
        client = await aio.connect(port=port, password=PASSWORD)
        proxy = client.get_proxy()
        await proxy.connect()
        await proxy.create_cyberdict("d", {"a": 1})
        server.stop()
        with pytest.raises((ConnectionLost, ServerUnreachable)):
            await proxy.create_cyberdict("e")
        with pytest.raises(ServerUnreachable):
            await proxy.ping()
        server.start(port=port, password=PASSWORD)
        assert await proxy.tables() == [("d", "dict", 1)]
        await client.close()

    asyncio.run(story())


def test_a_pipeline(tell: Callable[[Story], None]) -> None:
    async def story(proxy: aio.Proxy) -> None:
        d = await proxy.create_cyberdict("d", {"a": 1})
        table = await proxy.create_cyberlist("l")
        async with proxy.pipeline() as pipe:
            on = pipe.on(d)
            a, missing = on.increment("a"), on.getitem("b")
            length = pipe.on(table).len()
            with pytest.raises(RuntimeError, match="not been executed"):
                a.value
        assert (a.value, length.value) == (2, 0)
        assert isinstance(missing.error, KeyError)
        pipe = proxy.pipeline()
        pipe.on(table).extend(["x", "y"])
        pipe.on(table).get(5)
        pipe.on(table).copy()
        _, error, content = await pipe.execute()
        assert isinstance(error, IndexError)
        assert content == await table.tolist() == ["x", "y"]
        with pytest.raises(ZeroDivisionError):
            async with proxy.pipeline() as pipe:
                pipe.on(d).clear()
                1 / 0
        assert await d.todict() == {"a": 2}
        with pytest.raises(TypeError, match="not on dict"):
            pipe.on({})  # type: ignore[call-overload]

    tell(story)


def test_pipelines_larger_than_what_may_be_on_its_way(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyberdb_fast.aio_connection.MAX_OUTSTANDING_BYTES", 100_000)

    async def story(proxy: aio.Proxy) -> None:
        d = await proxy.create_cyberdict("d")

        async def one(n: int) -> None:
            async with proxy.pipeline() as pipe:
                on = pipe.on(d)
                for i in range(50):
                    on.set((n, i), "x" * 9_000)

        await asyncio.gather(*map(one, range(4)))
        assert await d.len() == 200

    tell(story)


def test_a_pipeline_that_is_cut_off(start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets one error, and asyncio logs no unretrieved exception."""
    monkeypatch.setattr("cyberdb_fast.aio_connection.MAX_OUTSTANDING_BYTES", 10_000)
    server = start()
    complaints = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with (
            await aio.connect(server.url, password=PASSWORD, request_timeout=20) as client,
            client.get_proxy() as proxy,
        ):
            d = await proxy.create_cyberdict("d")
            connection = first_connection(client)
            assert connection is not None
            with suspended(server):
                pipe = proxy.pipeline()
                for i in range(50):
                    pipe.on(d).set(i, "x" * 1_000)
                sending = asyncio.ensure_future(pipe.execute())
                while not connection._space_waiters:
                    await asyncio.sleep(0.01)
                connection._transport.abort()
                with pytest.raises(ConnectionLost):
                    await sending
            await proxy.ping()

    asyncio.run(story())
    gc.collect()  # futures log unretrieved exceptions when they are freed
    assert not complaints


def test_each_request_has_its_own_time(start: Callable[..., Server]) -> None:
    server = start()

    async def story() -> None:
        async with (
            await aio.connect(server.url, password=PASSWORD, request_timeout=1.0) as client,
            client.get_proxy() as proxy,
        ):
            took = []

            async def one(delay: float) -> None:
                await asyncio.sleep(delay)
                began = time.monotonic()
                with pytest.raises(RequestTimeout, match="1.0 s"):
                    await proxy.ping()
                took.append(time.monotonic() - began)

            with suspended(server):
                await asyncio.gather(*[one(i * 0.2) for i in range(4)])
            assert all(0.99 < each < 10 for each in took)

    asyncio.run(story())


def test_a_silent_connection_is_replaced(start: Callable[..., Server]) -> None:
    """A connection that is silent, as behind a firewall, times out only its own requests."""
    server = start()

    async def story() -> None:
        async with (
            await aio.connect(server.url, password=PASSWORD, request_timeout=1.0) as client,
            client.get_proxy() as proxy,
        ):
            await proxy.ping()
            silent = first_connection(client)
            assert silent is not None
            silent._transport.pause_reading()
            with pytest.raises(RequestTimeout):
                await proxy.ping()
            await proxy.ping()
            assert silent._transport.is_closing()

    asyncio.run(story())


def test_request_timeout(start: Callable[..., Server]) -> None:
    server = start()

    async def story() -> None:
        async with (
            await aio.connect(server.url, password=PASSWORD, request_timeout=1.0) as client,
            client.get_proxy() as proxy,
        ):
            with suspended(server), pytest.raises(RequestTimeout):
                await proxy.ping()
            await proxy.ping()

    asyncio.run(story())
