"""The end of asyncio clients, of their event loops, and of their processes."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from typing import Any, Awaitable, Callable, Dict, List, Tuple

import pytest

import cyberdb_fast
from conftest import PASSWORD, suspended
from cyberdb_fast import CyberDBError, DisconCyberDBError, RequestTimeout, Server, ServerUnreachable, aio
from hostile import man_in_the_middle

Start = Callable[..., Server]
Table = aio.CyberDict[Any, Any]


async def connected(url: str, **options: Any) -> Tuple[aio.Client, aio.Proxy]:
    client = await aio.connect(url, password=PASSWORD, **options)
    proxy = client.get_proxy()
    await proxy.connect()
    return client, proxy


async def table_of(url: str, **options: Any) -> Tuple[aio.Client, Table]:
    client, proxy = await connected(url, **options)
    return client, await proxy.create_cyberdict("d", exist_ok=True)


async def piped(d: Table) -> Any:
    pipe = d._sender.pipeline()  # type: ignore[union-attr]
    pipe.on(d).set("p", 1)
    pipe.on(d).get("p")
    return await pipe.execute()


async def streamed(d: Table) -> List[Any]:
    return [item async for item in d.items()]


JOBS: Dict[str, Callable[[Table], Awaitable[Any]]] = {
    "read": lambda d: d.get(1),
    "write": lambda d: d.increment("n"),
    "large read": lambda d: d.copy(),
    "stream": streamed,
    "pipeline": piped,
    "modify": lambda d: d.modify("m", lambda value: value + 1, 0),
    "durable write": lambda d: d.durable.set("k", 1),
}


async def all_fail_at_once(tasks: List[asyncio.Future[Any]]) -> None:
    done, waiting = await asyncio.wait(tasks, timeout=30)  # less than the request timeout of 60 s
    for task in waiting:
        task.cancel()
    assert not waiting
    for task in done:
        assert isinstance(task.exception(), CyberDBError)
        assert "the client is closed" in str(task.exception())


def test_close_ends_what_waits_for_a_reply(start: Start) -> None:
    server = start()
    complaints: List[Any] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        client, d = await table_of(server.url)
        await d.update(dict.fromkeys(range(1000), "x" * 100))
        tasks = [asyncio.ensure_future(job(d)) for job in JOBS.values()]
        with suspended(server):
            await asyncio.sleep(0.05)  # most requests have been sent; close must fail the others too
            tasks += [asyncio.ensure_future(job(d)) for job in JOBS.values()]
            await asyncio.sleep(0)
            await client.close()
            waiting = [task for task in tasks if not task.done() or task.exception() is not None]
            await all_fail_at_once(waiting)
            assert len(waiting) >= len(JOBS)
        with pytest.raises(DisconCyberDBError, match="the client is closed"):
            await d.get(1)
        await client.close()

    asyncio.run(story())
    gc.collect()
    assert not complaints


def test_close_ends_what_waits_for_space(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyberdb_fast.aio_connection.MAX_OUTSTANDING_BYTES", 10_000)
    server = start()

    async def story() -> None:
        client, d = await table_of(server.url)
        with suspended(server):
            tasks = [asyncio.ensure_future(d.set(n, "x" * 1000)) for n in range(100)]
            await asyncio.sleep(0)
            await client.close()
            await all_fail_at_once(tasks)

    asyncio.run(story())


def test_close_ends_what_waits_for_a_connection(start: Start) -> None:
    server = start()

    async def story() -> None:
        with suspended(server):
            client = await aio.connect(server.url, password=PASSWORD, check=False, connect_timeout=60)
            tasks = [asyncio.ensure_future(client.get_proxy().connect()) for _ in range(5)]
            await asyncio.sleep(0.05)
            await client.close()
            await all_fail_at_once(tasks)

    asyncio.run(story())


def test_writes_before_close_are_made(start: Start) -> None:
    server = start()

    async def story() -> None:
        client, d = await table_of(server.url)
        task = asyncio.ensure_future(d.set("k", 1))
        await asyncio.sleep(0)
        await client.close()
        await all_fail_at_once([task])
        client, d = await table_of(server.url)
        until = time.monotonic() + 20
        while await d.get("k") is None:
            assert time.monotonic() < until
        await client.close()

    asyncio.run(story())


def test_a_client_works_in_each_event_loop(server: Server) -> None:
    client, d = asyncio.run(table_of(server.url))

    async def use() -> None:
        await asyncio.gather(*[d.set(n, n) for n in range(100)])
        assert await d.get_many(range(100)) == {n: n for n in range(100)}
        assert len(await streamed(d)) >= 100
        proxy = client.get_proxy()
        await proxy.connect()
        assert await proxy.exists("d")

    for _ in range(3):
        asyncio.run(asyncio.wait_for(use(), 20))
    loop = asyncio.new_event_loop()
    for _ in range(2):  # the loop stops in between
        loop.run_until_complete(use())
    loop.run_until_complete(client.close())
    loop.close()
    with pytest.raises(DisconCyberDBError, match="the client is closed"):
        asyncio.run(use())


def test_loops_in_threads_share_a_client(server: Server) -> None:
    errors: List[BaseException] = []
    client, d = asyncio.run(table_of(server.url))

    async def work(thread: int) -> None:
        for n in range(200):
            await asyncio.wait_for(d.set((thread, n), n), 20)
            assert await d.get((thread, n)) == n

    def run(thread: int) -> None:
        try:
            asyncio.run(work(thread))
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    asyncio.run(client.close())


def test_close_reaches_other_loops(start: Start) -> None:
    server = start()
    client, d = asyncio.run(table_of(server.url))
    sent, ended = threading.Event(), threading.Event()
    errors: List[Any] = []

    async def wait() -> None:
        await d.get(1)
        with suspended(server):
            task = asyncio.ensure_future(d.get(1))
            await asyncio.sleep(0.01)
            sent.set()
            await asyncio.wait([task], timeout=20)
        errors.append(task.exception() if task.done() else None)
        ended.set()

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    assert sent.wait(20)
    asyncio.run(client.close())
    assert ended.wait(30)
    thread.join(30)
    assert isinstance(errors[0], DisconCyberDBError)


# ---- forks


def in_child(fork: Callable[[], int], work: Callable[[], None]) -> None:
    """Runs work in a forked child and checks its exit status."""
    pid = fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as e:
            sys.stderr.write(f"child: {type(e).__name__}: {e}\n")
        finally:
            os._exit(code)
    until = time.monotonic() + 60
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(pid, 9)
        time.sleep(0.005)
    assert status == 0


FORKS: Dict[str, Callable[[], int]] = {}
if hasattr(os, "fork"):
    FORKS["os.fork"] = os.fork
    # As in uWSGI: no Python handlers run around the fork. PyPy's threads do not survive that.
    if platform.python_implementation() == "CPython":
        FORKS["fork of C"] = lambda: ctypes.PyDLL(None).fork()


@pytest.mark.parametrize("fork", FORKS)
def test_a_forked_child_has_connections_of_its_own(server: Server, fork: str) -> None:
    client, d = asyncio.run(table_of(server.url))
    loop = asyncio.new_event_loop()

    async def use(name: str) -> None:
        for n in range(100):
            await d.set(name, n)
            assert await d.get(name) == n

    loop.run_until_complete(use("parent"))  # the loop and its connections stay open
    in_child(FORKS[fork], lambda: asyncio.run(asyncio.wait_for(use("child"), 30)))
    loop.run_until_complete(use("parent"))
    loop.run_until_complete(client.close())
    loop.close()


@pytest.mark.parametrize("fork", FORKS)
def test_the_loop_of_a_parent_is_refused_in_a_child(server: Server, fork: str) -> None:
    """In the child, the inherited loop would read replies for the parent."""
    client, d = asyncio.run(table_of(server.url))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(d.set("k", 1))

    async def refused() -> None:
        for job in JOBS.values():
            with pytest.raises(DisconCyberDBError, match="forked child"):
                await job(d)

    in_child(FORKS[fork], lambda: loop.run_until_complete(refused()))
    assert loop.run_until_complete(asyncio.wait_for(d.get("k"), 20)) == 1
    loop.run_until_complete(client.close())
    loop.close()


@pytest.mark.parametrize("fork", FORKS)
def test_fork_inside_a_running_loop(server: Server, fork: str) -> None:
    async def story() -> None:
        client, d = await table_of(server.url)
        await d.set("k", 1)
        pending = asyncio.ensure_future(d.increment("forked " + fork))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first = os.getpid()

        def child() -> None:
            request = d.get("k")
            with pytest.raises(DisconCyberDBError, match="forked child"):
                request.__await__().send(None)  # type: ignore[union-attr]
            client._connections.close()

        in_child(FORKS[fork], child)
        assert os.getpid() == first
        assert await asyncio.wait_for(pending, 20) == 1
        assert await d.get("k") == 1
        await client.close()

    asyncio.run(story())


WAITS_AND_FORKS = """
import asyncio, os, sys, time
from cyberdb_fast import aio

async def story():
    client = await aio.connect(sys.argv[1], password=sys.argv[2])
    proxy = client.get_proxy()
    await proxy.connect()
    queue = await proxy.get_cyberlist("queue")
    messages = await proxy.subscribe("news").__aenter__()
    tasks = [asyncio.ensure_future(work) for work in (queue.popleft(wait=None), proxy.lock("l").acquire())]
    while (await proxy.info())["waiting_requests"] < 2:
        await asyncio.sleep(0.01)
    child = os.fork()
    if not child:  # as a worker of a pool of processes, which does not use the client
        time.sleep(60)
        os._exit(0)
    print(child, flush=True)
    await asyncio.wait(tasks)

asyncio.run(story())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_does_not_keep_the_connections_of_a_parent_that_has_died(start: Start) -> None:
    server = start()
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        queue, held = proxy.create_cyberlist("queue"), proxy.lock("l")
        held.acquire()
        command = [sys.executable, "-c", WAITS_AND_FORKS, server.url, PASSWORD]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            try:
                parent.kill()
                parent.wait()
                until = time.monotonic() + 20
                while proxy.info()["waiting_requests"] or proxy.publish("news", 1):
                    assert time.monotonic() < until, "the server still waits for the process that has died"
                    time.sleep(0.01)
                queue.append("item")
                assert queue.copy() == ["item"]
                held.release()
                assert not held.locked()
            finally:
                os.kill(child, signal.SIGKILL)


# ---- streams


def test_cancelled_streams_leave_nothing_open(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyberdb_fast.replies.SPOOL_BYTES", 1000)  # so that replies go to real files
    server = start()

    async def story() -> None:
        client, d = await table_of(server.url)
        await d.update(dict.fromkeys(range(3000), "x" * 1000))
        for turns in range(60):
            task = asyncio.ensure_future(streamed(d) if turns % 2 else d.copy())  # type: ignore[arg-type]
            for _ in range(turns // 2):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(streamed(d), turns / 100_000)
        async for _ in d.items():
            break
        async for _ in d:
            break
        never = d.values()
        del never
        with suspended(server):
            task = asyncio.ensure_future(streamed(d))
            await asyncio.sleep(0)
            await client.close()
            await all_fail_at_once([task])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(story())
        gc.collect()
    assert [str(one.message) for one in caught if issubclass(one.category, ResourceWarning)] == []


# ---- time


FROZEN = """
import asyncio, sys, time
import freezegun
frozen = freezegun.freeze_time("2024-05-06 07:08:09")
if sys.argv[3] == "before":
    frozen.start()
from cyberdb_fast import CyberDBError, aio
if sys.argv[3] == "after":
    frozen.start()

async def timed(work):
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    try:
        await work
        print("no error")
    except CyberDBError as e:
        print(type(e).__name__, time.clock_gettime(time.CLOCK_MONOTONIC) - began < 30)

async def main():
    client = await aio.connect(sys.argv[1], password=sys.argv[2], connect_timeout=30, request_timeout=1.0)
    async with client, client.get_proxy() as proxy:
        if sys.argv[3] == "between":
            frozen.start()
        await timed(proxy.ping())
    await timed(aio.connect("cyberdb://127.0.0.1:" + sys.argv[4], password=sys.argv[2], connect_timeout=1.0))

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["before", "after", "between"])
def test_time_runs_out_where_the_clock_is_frozen(server: Server, when: str) -> None:
    with man_in_the_middle(server, lambda request_id: []) as url, socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = [url, PASSWORD, when, str(silent.getsockname()[1])]
        done = subprocess.run([sys.executable, "-c", FROZEN, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["RequestTimeout True", "ServerUnreachable True"]


def test_connect_timeout() -> None:
    async def connect(port: int) -> None:
        began = time.monotonic()
        with pytest.raises(ServerUnreachable, match="not authenticated within 0.2 s"):
            await aio.connect(port=port, password=PASSWORD, connect_timeout=0.2)
        assert time.monotonic() - began < 20

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(connect(silent.getsockname()[1]))


def test_no_space_within_the_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyberdb_fast.aio_connection.MAX_OUTSTANDING_BYTES", 10_000)
    server = start()

    async def story() -> None:
        client, d = await table_of(server.url, request_timeout=2.0)
        with suspended(server):
            results = await asyncio.gather(*[d.set(n, "x" * 1000) for n in range(100)], return_exceptions=True)
        assert all(isinstance(result, (RequestTimeout, DisconCyberDBError)) for result in results)
        await client.close()

    asyncio.run(story())
