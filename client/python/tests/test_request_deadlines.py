"""Requests carry the time that the client waits for them, and the reply DeadlineExceeded."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import (
    CyberDBError,
    DeadlineExceeded,
    RequestTimeout,
    Server,
    aio,
    dict_requests,
    frames,
    opcodes,
    replies,
    requests,
)
from cyberdb_fast.connection import PIPELINE_TIMEOUTS
from cyberdb_fast.session import Session
from hostile import HEADER, frame, man_in_the_middle

T = requests.table_name("t")
LATE = 42
LATE_BODY = b"\xa4late\xc0\xc1\xc0\xc0"  # message, table, key, kinds


def late(request_id: int) -> Iterable[bytes]:
    """Answers every request with DeadlineExceeded."""
    return [frame(request_id, LATE_BODY, LATE)]


def deadline(request: bytes) -> Tuple[int, Optional[int]]:
    """The opcode and the deadline in milliseconds of a request frame."""
    _, _, opcode, flags = HEADER.unpack_from(request)
    if not flags & 0x04:
        return opcode, None
    at = HEADER.size + (8 if flags & 0x01 else 0)
    return opcode, int.from_bytes(request[at : at + 4], "little")


@pytest.mark.parametrize(
    ("limit", "milliseconds"),
    [
        (None, 0),
        (60.0, 60_000),
        (1, 1000),
        (0.0015, 2),
        (1e-9, 1),
        (0, 1),
        (4_294_967.2949, 2**32 - 1),
        (5e6, 2**32 - 1),
    ],
)
def test_milliseconds(limit: Optional[float], milliseconds: int) -> None:
    assert frames.milliseconds_of(limit) == milliseconds
    assert frames.milliseconds_of(math.inf) == 2**32 - 1


def test_a_deadline_is_never_later_than_the_time_limit() -> None:
    seed = random.getrandbits(64)
    random.seed(seed)
    for _ in range(10_000):
        limit = random.uniform(0.001, 10 ** random.uniform(-2, 6))
        assert 0 <= frames.milliseconds_of(limit) - limit * 1000 < 1, f"seed {seed}, limit {limit}"


@pytest.mark.parametrize(
    ("request_", "milliseconds", "wire"),
    [
        (dict_requests.dict_get(T, "k"), 0, "0a000000 01000000 20 00 a174a16b"),
        (dict_requests.dict_get(T, "k"), 1500, "0e000000 01000000 20 04 dc050000 a174a16b"),
        (dict_requests.dict_get_versioned(T, "k"), 1, "0e000000 01000000 20 06 01000000 a174a16b"),
        (dict_requests.dict_set_if(T, "k", 1, 7), 0, "13000000 01000000 21 01 0700000000000000 a174a16b01"),
        (
            dict_requests.dict_set_if(T, "k", 1, 7),
            60_000,
            "17000000 01000000 21 05 0700000000000000 60ea0000 a174a16b01",
        ),
        (requests.durable(dict_requests.dict_set(T, "k", 1)), 2**32 - 1, "0f000000 01000000 21 0c ffffffff a174a16b01"),
        (requests.ping(), 1000, "0a000000 01000000 01 04 e8030000"),
    ],
)
def test_frames(request_: requests.Request[Any], milliseconds: int, wire: str) -> None:
    wire = wire.replace(" ", "")
    session = Session(None, None, frames.MAX_FRAME_BYTES)
    session.milliseconds = milliseconds
    arguments = request_.opcode, request_.flags, request_.payload
    assert session.next_request(*arguments).hex() == wire
    session.last_id = 0
    assert session.next_frame(*arguments, milliseconds).hex() == wire


def test_the_largest_frame_has_room_for_the_deadline() -> None:
    session = Session(None, None, 1000)
    session.milliseconds = 5
    sizes = []
    for size in range(980, 1010):
        payload = dict_requests.dict_set_if(T, "", "", 1).payload.ljust(size, b"\0")
        try:
            sizes.append(len(session.next_request(opcodes.DICT_SET, frames.IF_VERSION, payload)) - 4)
        except cyberdb_fast.TooLarge:
            continue
    assert max(sizes) == 1000


def each_way(proxy: cyberdb_fast.Proxy) -> Dict[str, Callable[[], object]]:
    """Every way of sending requests."""
    proxy.connect()
    d: Any = cyberdb_fast.CyberDict(proxy, "t")

    def pipeline(size: int) -> object:
        pipe = proxy.pipeline()
        on = pipe.on(d)
        results = [on.set("k", i) for i in range(size)]
        pipe.execute()
        return [result.value for result in results]

    return {
        "get": lambda: d["k"],
        "set": lambda: d.__setitem__("k", 1),
        "durable": lambda: d.durable.__setitem__("k", 1),
        "modify": lambda: d.modify("k", lambda v: v, 0),
        "iterate": lambda: list(d.keys()),
        "copy": lambda: d.copy(),
        "tables": proxy.tables,
        "pipeline of one": lambda: pipeline(1),
        "pipeline": lambda: pipeline(3),
    }


@pytest.mark.parametrize(("timeout", "milliseconds"), [(None, None), (2.5, 2500), (0.5, 500)])
def test_each_way_of_sending_has_the_deadline(
    server: Server, timeout: Optional[float], milliseconds: Optional[int]
) -> None:
    """The connections stay usable after the reply."""
    seen: List[bytes] = []
    with (
        man_in_the_middle(server, late, seen) as url,
        cyberdb_fast.connect(url, password=PASSWORD, request_timeout=timeout) as client,
    ):
        for way, send in each_way(client.get_proxy()).items():
            seen.clear()
            with pytest.raises(DeadlineExceeded, match="^late; nothing was done$"):
                send()
            factor = PIPELINE_TIMEOUTS if way == "pipeline" else 1
            want = milliseconds and milliseconds * factor
            assert {deadline(one)[1] for one in seen} == {want}, way
        assert client.stats()["open"] == 1


def test_batches_have_the_deadline(server: Server) -> None:
    """Threads that share a connection, and with it a write."""
    seen: List[bytes] = []
    with (
        man_in_the_middle(server, late, seen) as url,
        cyberdb_fast.connect(url, password=PASSWORD, request_timeout=7.0, max_connections=1) as client,
    ):
        proxy = client.get_proxy()
        proxy.connect()
        d: Any = cyberdb_fast.CyberDict(proxy, "t")
        together = threading.Barrier(16)

        def work(i: int) -> None:
            together.wait(60)
            for _ in range(20):
                with pytest.raises(DeadlineExceeded):
                    d[i]

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(work, range(16)))
    assert len(seen) == 16 * 20
    assert {deadline(one) for one in seen} == {(opcodes.DICT_GET, 7000)}


@pytest.mark.parametrize(("timeout", "milliseconds"), [(None, None), (2.5, 2500)])
def test_asyncio_has_the_deadline(server: Server, timeout: Optional[float], milliseconds: Optional[int]) -> None:
    seen: List[bytes] = []

    async def main(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD, request_timeout=timeout) as client:
            proxy = client.get_proxy()
            await proxy.connect()
            d: Any = aio.CyberDict(proxy, "t")
            pipe = proxy.pipeline()
            for i in range(3):
                pipe.on(d).set("k", i)
            results = await pipe.execute()
            results += await asyncio.gather(
                d["k"], d.set("k", 1), d.durable.set("k", 1), d.modify("k", abs), d.copy(), return_exceptions=True
            )
            for result in results:
                assert isinstance(result, DeadlineExceeded), result
            with pytest.raises(DeadlineExceeded):
                [key async for key in d]

    with man_in_the_middle(server, late, seen) as url:
        asyncio.run(main(url))
    assert len(seen) == 9
    assert {deadline(one)[1] for one in seen} == {milliseconds}


def test_a_repeated_request_has_what_is_left_of_the_time(server: Server) -> None:
    """The connection is lost; the second request has the deadline of the first."""
    seen: List[bytes] = []

    def answer(request_id: int) -> Iterable[bytes]:
        if len(seen) == 1:
            raise ConnectionError
        return [frame(request_id, b"\x05")]

    with (
        man_in_the_middle(server, answer, seen) as url,
        cyberdb_fast.connect(url, password=PASSWORD, request_timeout=30) as client,
        client.get_proxy() as proxy,
    ):
        assert cyberdb_fast.CyberDict(proxy, "t")["k"] == 5
    (_, first), (opcode, second) = [deadline(one) for one in seen]
    assert (opcode, first) == (opcodes.DICT_GET, 30_000)
    assert second is not None
    assert 0 < second <= 30_000


def test_the_error() -> None:
    """What catches a time-out of the client catches this too. It survives pickling and copying."""
    reply = frames.Reply(1, LATE, 0, LATE_BODY, False)
    error = replies.reply_error(reply)
    assert type(error) is DeadlineExceeded
    for kind in (RequestTimeout, TimeoutError, ConnectionError, CyberDBError):
        assert isinstance(error, kind)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other)) == (DeadlineExceeded, "late; nothing was done")
    assert repr(error) == "DeadlineExceeded('late; nothing was done')"


@contextmanager
def sorting(server: Server, name: str) -> Iterator[None]:
    """Makes a list of that name, and sorts it again and again. Each sort locks it for a while."""
    with cyberdb_fast.connect(server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        random.seed(1)
        table = proxy.create_cyberlist(name, (random.randrange(10**9) for _ in range(200_000)))
        done = threading.Event()

        def sort() -> None:
            while not done.is_set():
                table.sort()
                table.sort(key=str)

        thread = threading.Thread(target=sort)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


class Tally:
    """Counts what became of requests, until enough were late."""

    def __init__(self) -> None:
        self.late = self.in_time = 0
        self._until = time.monotonic() + 30

    def goes_on(self) -> bool:
        return self.late < 10 and time.monotonic() < self._until

    def add(self, outcome: object) -> None:
        if isinstance(outcome, DeadlineExceeded):
            assert "nothing was done" in str(outcome)
            self.late += 1
        else:
            assert outcome is None
            self.in_time += 1


def test_late_requests_do_nothing(server: Server, new_name: Callable[[], str]) -> None:
    """Exactly the requests that succeeded have had an effect. The connection stays usable."""
    name, tally = new_name(), Tally()
    with (
        cyberdb_fast.connect(server.url, password=PASSWORD, max_connections=1) as client,
        client.get_proxy() as proxy,
    ):
        lease = client._pool.acquire()
        lease[0]._session.milliseconds = 5  # the client waits for longer, and so sees the reply
        client._pool.release(lease)
        table: Any = cyberdb_fast.CyberList(proxy, name)
        with sorting(server, name):
            while tally.goes_on():
                try:
                    tally.add(table.append(-1))
                except DeadlineExceeded as e:
                    tally.add(e)
        lease = client._pool.acquire()
        lease[0]._session.milliseconds = 0
        client._pool.release(lease)
        assert tally.late, "no request was late: the test proves nothing"
        assert table.count(-1) == tally.in_time
        assert client.stats()["open"] == 1


def test_late_requests_of_asyncio_do_nothing(server: Server, new_name: Callable[[], str]) -> None:
    """As above, with pipelines."""
    name, tally = new_name(), Tally()

    async def main() -> None:
        async with await aio.connect(server.url, password=PASSWORD, max_connections=1) as client:
            connection = client._connections.ready()
            assert connection is not None
            assert connection._session is not None
            connection._session.milliseconds = 5
            proxy = client.get_proxy()
            await proxy.connect()
            table: Any = aio.CyberList(proxy, name)
            with sorting(server, name):
                while tally.goes_on():
                    pipe = proxy.pipeline()
                    for _ in range(2):
                        pipe.on(table).append(-1)
                    for outcome in await pipe.execute():
                        tally.add(outcome)
            connection._session.milliseconds = 0
            assert tally.late, "no request was late: the test proves nothing"
            assert await table.count(-1) == tally.in_time

    asyncio.run(main())
