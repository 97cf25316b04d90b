"""Forks, with Python's handlers or without, as in uWSGI: no child has what its parent has."""

from __future__ import annotations

import os
import platform
from typing import Callable

import pytest

from cyberdb_fast import Server
from test_concurrency import run

Start = Callable[..., Server]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

FORK = """
import ctypes, os, sys
import cyberdb_fast
fork = ctypes.CDLL(None).fork
client = cyberdb_fast.connect(sys.argv[1], max_connections=2, pool_timeout=10)
proxy = client.get_proxy()
proxy.connect()
d = proxy.create_cyberdict("d", {i: i for i in range(50)})
rows = proxy.create_cyberlist("rows", [str(i) * 20 for i in range(2000)])
assert d[1] == 1
children = []
for worker in range(4):
    pid = fork()
    if not pid:
        break
    children.append(pid)
def work(me):
    for i in range(200):
        d[me, i] = (me, i)
        assert d[me, i] == (me, i)
        with proxy.pipeline() as pipe:
            on = pipe.on(d)
            results = [on.getitem((me, i)), on.getitem(i % 50)]
        assert [one.value for one in results] == [(me, i), i % 50]
        if i % 20 == 0:
            assert list(rows) == [str(i) * 20 for i in range(2000)]
status = 1
try:
    work(os.getpid())
    status = 0
finally:
    if len(children) < 4:
        os._exit(status)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
assert len(d) == 50 + 5 * 200
client.close()
"""


def test_a_fork_from_c(start: Start) -> None:
    run(FORK, start())


STREAM = """
import ctypes, itertools, os, sys
import cyberdb_fast
from cyberdb_fast import replies
replies.SPOOL_BYTES = 100_000
client = cyberdb_fast.connect(sys.argv[1])
proxy = client.get_proxy()
proxy.connect()
rows = [str(i) * 300 for i in range(20_000)]
table = proxy.create_cyberlist("rows", rows)
reading = iter(table)
assert list(itertools.islice(reading, 10)) == rows[:10]
pid = ctypes.CDLL(None).fork()
whole = list(reading) == rows[10:]
if not pid:
    os._exit(not whole)
assert whole
assert os.waitpid(pid, 0)[1] == 0
client.close()
"""


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="PyPy closes what is dropped later, and warns")
def test_a_fork_while_a_table_is_read(start: Start) -> None:
    """Parent and child both read the rest of a streamed reply from its temporary file."""
    run(STREAM, start())


OWNING = """
import asyncio, ctypes, os, sys, traceback
import cyberdb_fast
from cyberdb_fast import aio
fork = os.fork if sys.argv[2] == "python" else ctypes.CDLL(None).fork

async def child():
    async with await aio.connect(sys.argv[1]) as client, client.get_proxy() as proxy:
        d = await proxy.create_cyberdict("d", exist_ok=True)
        async with proxy.lock("l") as lock, proxy.subscribe("c") as messages:
            fenced = d.fenced(lock)
            cyberdb_fast.connect(sys.argv[1], check=False)  # only its kind of client tells the processes apart
            assert not lock.lost
            assert lock.fence is not None
            await fenced.set("k", 1)
            pid = fork()
            if not pid:  # the child of the child, where no loop runs
                os._exit(not lock._holds[0].lost)
            assert os.waitpid(pid, 0)[1] == 0
            assert await proxy.publish("c", 1) == 1
            assert (await messages.receive(5)).value == 1
        assert not await lock.locked()

pid = fork()
if not pid:
    status = 1
    try:
        asyncio.run(child())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("fork", ["python", "c"])
def test_a_forked_child_keeps_what_it_has_acquired_by_tasks(start: Start, fork: str) -> None:
    run(OWNING, start(), fork)
