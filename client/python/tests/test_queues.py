"""Lists as queues: blocking pops, leases, delays and dead letters."""

from __future__ import annotations

import asyncio
import os
import platform
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import pytest

from conftest import PASSWORD, ROOT
from cyberdb_fast import (
    Client,
    CyberDBError,
    CyberList,
    Extension,
    LeaseExpired,
    Proxy,
    QueueItem,
    Server,
    WrongTableKind,
    aio,
    decoding,
    list_requests,
)
from cyberdb_fast.connection import Connection
from cyberdb_fast.frames import Reply
from cyberdb_fast.requests import WaitingRequest
from cyberdb_fast.values import encode
from test_subscriptions import settle

Start = Callable[..., Server]
NewList = Callable[..., CyberList[Any]]
NAN = float("nan")


def held(queue: CyberList[Any]) -> List[int]:
    return [queue.leased(), queue.delayed()]


# ---- blocking pops


def test_pop_and_popleft_wait_for_an_element(proxy: Proxy, new_list: NewList) -> None:
    queue = new_list()
    with ThreadPoolExecutor(2) as threads:
        left, right = threads.submit(queue.popleft, wait=20), threads.submit(queue.pop, wait=None)
        settle(lambda: proxy.info()["waiting_requests"] == 2)
        queue.extend([1, 2])
        assert sorted([left.result(), right.result()]) == [1, 2]
    for pop in (queue.pop, queue.popleft):
        began = time.monotonic()
        with pytest.raises(IndexError):
            pop(wait=0.2)
        assert 0.2 <= time.monotonic() - began < 2
        with pytest.raises(IndexError):
            pop()
    queue.extend([1, 2, 3])
    assert (queue.pop(1, wait=1), queue.popleft(wait=1), queue.pop(wait=1)) == (2, 1, 3)
    assert proxy.info()["waiting_requests"] == 0


@pytest.mark.parametrize(("wait", "error"), [(-1, ValueError), (NAN, ValueError), (True, ValueError), ("1", TypeError)])
def test_bad_waits(new_list: NewList, wait: Any, error: Any) -> None:
    queue = new_list([1])
    for use in (queue.pop, queue.popleft, queue.take):
        with pytest.raises(error, match="wait"):
            use(wait=wait)
    assert queue.copy() == [1]


# ---- leases


def test_an_item_is_taken_and_acknowledged(new_list: NewList) -> None:
    queue = new_list(["a", {"b": (1,)}])
    first = queue.take()
    second = queue.take(lease=5)
    assert isinstance(first, QueueItem)
    assert second is not None
    assert (first.value, first.deliveries) == ("a", 1)
    assert (second.value, second.deliveries) == ({"b": (1,)}, 1)
    assert first.receipt != second.receipt
    assert "value='a'" in repr(first)
    assert (len(queue), list(queue), "a" in queue, held(queue)) == (0, [], False, [2, 0])
    queue.clear()
    assert held(queue) == [2, 0]
    queue.ack(first)
    queue.nack(second.receipt)
    assert (queue.copy(), held(queue)) == ([{"b": (1,)}], [0, 0])
    again = queue.take(wait=0)
    assert again is not None
    assert again.deliveries == 2
    queue.extend(again, 30)
    queue.extend(again)
    queue.extend(again.receipt, lease=30)
    queue.extend_lease(again)
    queue.ack(again)
    assert queue.take(wait=0) is None


def test_what_is_late_is_refused(new_list: NewList) -> None:
    queue, other = new_list([1]), new_list([2])
    item, theirs = queue.take(), other.take()
    assert item is not None
    assert theirs is not None
    for use in (other.ack, other.nack, other.extend_lease):
        with pytest.raises(LeaseExpired) as e:
            use(item)
        assert isinstance(e.value, CyberDBError)
    queue.ack(item)
    for use in (queue.ack, queue.nack, queue.extend_lease):
        with pytest.raises(LeaseExpired):
            use(item)
    other.ack(theirs.receipt)
    for receipt in (0, -1, 2**63, 2**70):
        with pytest.raises((LeaseExpired, ValueError, OverflowError)):
            queue.ack(receipt)


def test_a_request_that_waits_stands_in_line_from_the_first(
    proxy: Proxy, new_list: NewList, new_name: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a wait it would be before those that wait already."""
    tried: List[Any] = []
    exchange = Connection.exchange_waiting

    def noted(self: Connection, request: WaitingRequest[Any]) -> Reply:
        tried.append(request.wait)
        return exchange(self, request)

    monkeypatch.setattr(Connection, "exchange_waiting", noted)
    queue = new_list(range(6))
    for call in (queue.take, queue.pop, queue.popleft):
        for wait in (20, 0):
            call(wait=wait)
    assert tried == [1, 0, 1, 1]  # pop(wait=0) is a plain pop
    with proxy.lock(new_name(), wait=20):
        assert tried.pop() == 0  # it is refused if others wait


def refuse(data: bytes) -> Any:
    raise OSError(data)


def test_an_item_that_cannot_be_decoded_stays_leased(new_list: NewList, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_list([Extension(127, b"?"), "next"])
    monkeypatch.setitem(decoding.unpackers, 127, refuse)
    for wait in (0, 20):
        with pytest.raises(OSError, match="[?]"):
            queue.take(lease=0.3, wait=wait)
        assert held(queue) == [1, 0]
        item = queue.take()
        assert item is not None
        assert item.value == "next"
        queue.nack(item)
        settle(lambda: len(queue) == 2)


def test_an_item_is_given_back_without_being_decoded(
    client: Client, proxy: Proxy, new_list: NewList, new_name: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what an interrupted take has got. Others that wait learn nothing of it."""
    queue = new_list()
    monkeypatch.setitem(decoding.unpackers, 127, refuse)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(proxy.create_cyberlist(new_name()).take, wait=1)
        settle(lambda: proxy.info()["waiting_requests"] == 1)
        taking = client.background.quietly(list_requests.list_take(encode(queue.table_name), 60, 20))
        taking.unwanted = True
        client.background.post(taking)
        settle(lambda: proxy.info()["waiting_requests"] == 2)
        queue.append(Extension(127, b"?"))
        settle(lambda: taking.done and held(queue) == [0, 0] and len(queue) == 1)
        assert waiting.result(10) is None


@pytest.mark.parametrize("receipt", [None, "1", 1.0, True, (1,)])
def test_what_is_no_receipt(new_list: NewList, receipt: Any) -> None:
    queue = new_list([1])
    for use in (queue.ack, queue.nack, queue.extend_lease):
        with pytest.raises(TypeError, match="receipt"):
            use(receipt)
    with pytest.raises(TypeError, match="receipt"):
        queue.extend(receipt, lease=1)


@pytest.mark.parametrize(
    ("time_", "error"),
    [(-1, ValueError), (NAN, ValueError), (float("inf"), ValueError), (None, Exception), ("1", TypeError)],
)
def test_bad_leases_and_delays(new_list: NewList, time_: Any, error: Any) -> None:
    queue = new_list([1])
    with pytest.raises(error):
        queue.take(lease=time_)
    with pytest.raises(error):
        queue.put(2, delay=time_)
    item = queue.take()
    assert item is not None
    with pytest.raises(error):
        queue.nack(item, delay=time_)
    with pytest.raises(error):
        queue.extend_lease(item, time_)
    queue.ack(item)


def test_elements_are_still_added_by_extend(new_list: NewList) -> None:
    queue = new_list()
    queue.extend([1])
    queue.extend(iter((2, 3)))
    queue += [4]
    assert queue.copy() == [1, 2, 3, 4]
    with pytest.raises(TypeError):
        queue.extend(5)  # type: ignore[call-overload]
    item: Any = queue.take(lease=30)
    with pytest.raises(TypeError, match="not iterable"):
        queue += item  # which has a lease, and is no list
    queue += [item.value]
    assert queue.copy() == [2, 3, 4, 1]


def test_pipelines_take_and_acknowledge(proxy: Proxy, new_list: NewList) -> None:
    queue = new_list([1, 2])
    with proxy.pipeline() as pipe:
        on = pipe.on(queue)
        taken = [on.take(), on.take(), on.take()]
    items = [one.value for one in taken]
    assert items[2] is None
    with proxy.pipeline() as pipe:
        on = pipe.on(queue)
        ends = [on.ack(items[0]), on.nack(items[1], delay=60), on.leased(), on.delayed(), on.ack(items[0])]
        on.put("late", delay=60)
    assert [one.error for one in ends[:2]] == [None, None]
    assert (ends[2].value, ends[3].value) == (0, 1)
    assert isinstance(ends[4].error, LeaseExpired)
    assert held(queue) == [0, 2]


def test_options_of_a_queue(proxy: Proxy, new_name: Callable[[], str]) -> None:
    name = new_name()
    queue = proxy.create_cyberlist(name, ["x"], max_deliveries=1, dead_letter=f"{name} dead")
    assert proxy.list_options(name) == {"max_deliveries": 1, "dead_letter": f"{name} dead"}
    item = queue.take()
    assert item is not None
    queue.nack(item)
    assert queue.copy() == []
    assert proxy.get_cyberlist(f"{name} dead").copy() == ["x"]
    proxy.configure(name, max_deliveries=None, dead_letter=None)
    assert proxy.list_options(name) == {"max_deliveries": None, "dead_letter": None}
    assert proxy.create_cyberlist(name, exist_ok=True, max_deliveries=2, dead_letter="d") == []
    with pytest.raises(WrongTableKind, match="is a list"):
        proxy.options(name)
    proxy.create_cyberdict(f"{name} dict")
    with pytest.raises(WrongTableKind, match="is a dict"):
        proxy.list_options(f"{name} dict")
    for bad in ({"max_deliveries": 0}, {"max_deliveries": 1001}, {"max_deliveries": 3}, {"dead_letter": "x"}):
        with pytest.raises(ValueError, match=r"max_deliveries|dead_letter"):
            proxy.create_cyberlist(new_name(), **bad)  # type: ignore[arg-type]


def test_each_item_is_worked_on_once_by_workers_that_live(new_list: NewList, d: Any) -> None:
    """And at least once by those that forget some."""
    queue = new_list()
    over = threading.Event()

    def work(seed: int) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            item = queue.take(lease=0.3, wait=0.2)
            if item is None:
                continue
            fate = dice.random()
            if fate < 0.1:
                continue  # it forgets the item, whose lease ends
            if fate < 0.2:
                queue.nack(item, delay=0.05)
                continue
            d.increment(item.value)
            try:
                queue.ack(item)
            except LeaseExpired:
                d.increment(item.value, -1)

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(work, seed) for seed in range(8)]
        for n in range(300):
            queue.put(n, delay=n % 3 * 0.05)
        settle(lambda: sum(d.values()) == 300 and held(queue) == [0, 0] and len(queue) == 0, 30)
        over.set()
        for one in done:
            one.result()
    assert dict(d) == Counter(range(300))


# ---- asyncio


def test_tasks_that_are_cancelled_leave_no_lease(server: Server) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
            options: Any = {"max_deliveries": 1, "dead_letter": "dead of cancelled tasks"}
            queue = await proxy.create_cyberlist("of cancelled tasks", **options)
            dead = await proxy.create_cyberlist("dead of cancelled tasks")
            dice, got = random.Random(3), 0
            for n in range(200):
                task = asyncio.ensure_future(queue.take(lease=60, wait=20) if n % 3 else queue.popleft(wait=20))
                for _ in range(n % 7):
                    await asyncio.sleep(0)
                await queue.append("x" * (2 << 20 if n % 50 == 1 else 1))  # some come in several frames
                await asyncio.sleep(dice.random() * 0.001)
                task.cancel()
                try:
                    item: Any = await task
                except asyncio.CancelledError:
                    pass
                else:
                    got += 1
                    if isinstance(item, QueueItem):
                        await queue.ack(item)
                while await queue.leased() or (await proxy.info())["waiting_requests"]:
                    await asyncio.sleep(0.001)
                await queue.clear()
            assert got > 10
            assert await queue.delayed() == 0
            assert await dead.len() == 0  # a delivery to a task that has gone does not count

    asyncio.run(story())


def test_an_item_that_comes_just_after_a_cancellation_is_given_back(server: Server, proxy: Proxy) -> None:
    async def story() -> None:
        async with await aio.connect(server.url, password=PASSWORD) as client, client.get_proxy() as own:
            queue = await own.create_cyberlist("just after")
            for waiting in (queue.take(wait=20), queue.popleft(wait=20)):
                task = asyncio.ensure_future(waiting)
                while (await own.info())["waiting_requests"] < 1:
                    await asyncio.sleep(0.01)
                proxy.get_cyberlist("just after").append("item")
                while proxy.get_cyberlist("just after"):  # the reply is on its way
                    time.sleep(0.01)
                time.sleep(0.05)
                await asyncio.sleep(0)  # this task goes on before the loop reads the reply
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                while not await queue.len():
                    await asyncio.sleep(0.01)
                item = await queue.take()
                assert (item.value, item.deliveries) == ("item", 1)
                await queue.ack(item)

    asyncio.run(asyncio.wait_for(story(), 20))


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="it takes its time to start processes")
def test_the_example(server: Server) -> None:

    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/workers/workers.py")],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done: 19 failed: [13]\n"
