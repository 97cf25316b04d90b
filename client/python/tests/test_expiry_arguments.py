"""Times to live and options of dicts: which arguments are valid, and the bytes that they become."""

from __future__ import annotations

import asyncio
import math
import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, Callable, Dict, Iterator, List

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import ABSENT, DeadlineExceeded, Server, aio, dict_requests, expiry, frames, replies, requests, values
from cyberdb_fast.errors import ProtocolError
from cyberdb_fast.frames import Reply
from cyberdb_fast.session import Session
from hostile import always, man_in_the_middle

T = requests.table_name("t")
LATE, LATE_BODY = frames.DEADLINE_EXCEEDED, b"\xa4late\xc0\xc1\xc0\xc0"
YEARS_100 = 3_155_760_000  # seconds


@pytest.mark.parametrize(
    ("ttl", "milliseconds"),
    [
        (1, 1000),
        (2.5, 2500),
        (0.0015, 2),
        (0.001, 1),
        (0.07, 70),
        (1e-9, 1),
        (5e-324, 1),
        (1.0000001, 1001),
        (YEARS_100, 3_155_760_000_000),
        (float(YEARS_100), 3_155_760_000_000),
        (timedelta(microseconds=1), 1),
        (timedelta(milliseconds=70), 70),
        (timedelta(milliseconds=70, microseconds=1), 71),
        (timedelta(minutes=30), 1_800_000),
        (timedelta(days=36525), 3_155_760_000_000),
    ],
)
def test_a_ttl_is_rounded_up_to_milliseconds(ttl: Any, milliseconds: int) -> None:
    assert expiry.milliseconds(ttl) == milliseconds


OUT_OF_RANGE = [
    *(0, -1, 0.0, -0.0, -1e-9, math.nan, -math.nan, math.inf, -math.inf, True, False),
    *(timedelta(0), timedelta(microseconds=-1), timedelta.min, timedelta.max),
    *(YEARS_100 + 0.001, YEARS_100 + 1, timedelta(days=36525, milliseconds=1), timedelta(days=36525, microseconds=1)),
    *(1e300, 10**30, 10**400, -(10**400)),
]
WRONG_TYPE = ["60", b"60", Decimal(60), Fraction(60), 60j, [60], datetime.now(timezone.utc), object()]


def ways(d: Any) -> Dict[str, Callable[[Any], Any]]:
    """Every method of a table that takes a time to live."""
    return {
        "set": lambda ttl: d.set("k", 1, ttl=ttl),
        "setdefault": lambda ttl: d.setdefault("k", 1, ttl=ttl),
        "update": lambda ttl: d.update({"k": 1}, ttl=ttl),
        "set_many": lambda ttl: d.set_many({"k": 1}, ttl=ttl),
        "increment": lambda ttl: d.increment("k", ttl=ttl),
        "compare_and_set": lambda ttl: d.compare_and_set("k", ABSENT, 1, ttl=ttl),
        "expire": lambda ttl: d.expire("k", ttl),
    }


class Sent:
    """A server of tables that only remembers the requests."""

    def __init__(self) -> None:
        self.requests: List[requests.Request[Any]] = []

    def _perform(self, request: requests.Request[Any]) -> Any:
        self.requests.append(request)

    _perform_waiting = _perform

    def _perform_stream(self, request: requests.StreamRequest[Any]) -> Iterator[Any]:
        raise NotImplementedError

    def wire(self) -> str:
        """The only request, as the frame with id 1."""
        (request,) = self.requests
        session = Session(None, None, frames.MAX_FRAME_BYTES)
        return session.next_request(request.opcode, request.flags, request.payload).hex()


def table() -> Any:
    return cyberdb_fast.CyberDict(Sent(), "t")


@pytest.mark.parametrize("ttl", OUT_OF_RANGE, ids=lambda ttl: repr(ttl)[:20])
def test_a_ttl_out_of_range_is_a_value_error(ttl: Any) -> None:
    """Nothing is sent then."""
    d = table()
    for way, call in {**ways(d), "modify": lambda ttl: d.modify("k", abs, ttl=ttl)}.items():
        with pytest.raises(ValueError, match="^ttl (must be above 0|is a time)"):
            call(ttl)
        assert not d._sender.requests, way
    for option in ("ttl", "idle"):
        for function in (requests.configure, lambda t, **option: requests.create_dict(t, {}, False, **option)):
            with pytest.raises(ValueError, match=f"^{option} (must be above 0|is a time)"):
                function(T, **{option: ttl})


@pytest.mark.parametrize("ttl", WRONG_TYPE, ids=lambda ttl: type(ttl).__name__)
def test_a_ttl_of_another_type_is_a_type_error(ttl: Any) -> None:
    d = table()
    for way, call in {**ways(d), "modify": lambda ttl: d.modify("k", abs, ttl=ttl)}.items():
        with pytest.raises(TypeError, match="^ttl is a time in seconds or a timedelta, not [a-zA-Z]+$"):
            call(ttl)
        assert not d._sender.requests, way
    for option in ("ttl", "idle"):
        for function in (requests.configure, lambda t, **option: requests.create_dict(t, {}, False, **option)):
            with pytest.raises(TypeError, match=f"^{option} is a time in seconds"):
                function(T, **{option: ttl})


def test_a_deadline_cannot_be_none() -> None:
    with pytest.raises(TypeError, match="not NoneType"):
        table().expire("k", None)


def test_the_rounding_is_the_least_that_is_not_shorter() -> None:
    seed = random.getrandbits(64)
    random.seed(seed)
    for _ in range(10_000):
        seconds = 10 ** random.uniform(-4, 9.4)
        if random.random() < 0.5:
            seconds = max(0.001, round(seconds, 3))
        got = expiry.milliseconds(seconds)
        assert (got - 1) / 1000 < seconds <= got / 1000, f"seed {seed}, {seconds!r}"
        whole = random.randint(1, expiry.MAX_MILLISECONDS)
        assert expiry.milliseconds(whole / 1000) == whole, f"seed {seed}, {whole} ms"


def test_subclasses() -> None:
    class Delta(timedelta):
        """Has operators of its own, as those of pandas and pendulum do."""

        def __floordiv__(self, other: Any) -> Any:
            raise NotImplementedError

        __divmod__ = __truediv__ = total_seconds = __floordiv__  # type: ignore[assignment]

    class Int(int):
        def __mul__(self, other: Any) -> Any:
            raise NotImplementedError

    assert expiry.milliseconds(Delta(seconds=1, microseconds=1)) == 1001
    assert expiry.milliseconds(Int(3)) == 3000


def test_ttl_and_keep_ttl_exclude_each_other() -> None:
    d = table()
    for ttl in (1, 0, timedelta(1)):
        with pytest.raises(ValueError, match="^ttl and keep_ttl exclude each other$"):
            d.set("k", 1, ttl=ttl, keep_ttl=True)
    assert not d._sender.requests


@pytest.mark.parametrize(
    ("call", "wire"),
    [
        (lambda d: d.set("k", 1), "0b000000 01000000 21 00 a174a16b01"),
        (lambda d: d.set("k", 1, ttl=None, keep_ttl=False), "0b000000 01000000 21 00 a174a16b01"),
        (lambda d: d.set("k", 1, ttl=1.5), "13000000 01000000 21 10 dc05000000000000 a174a16b01"),
        (lambda d: d.set("k", 1, ttl=YEARS_100), "13000000 01000000 21 10 002cf4c1de020000 a174a16b01"),
        (lambda d: d.set("k", 1, keep_ttl=True), "13000000 01000000 21 10 ffffffffffffffff a174a16b01"),
        (lambda d: d.durable.set("k", 1, ttl=1), "13000000 01000000 21 18 e803000000000000 a174a16b01"),
        (lambda d: d.setdefault("k", 1, ttl=1), "13000000 01000000 25 10 e803000000000000 a174a16b01"),
        (lambda d: d.update({"k": 1}, ttl=1), "13000000 01000000 26 10 e803000000000000 a174a16b01"),
        (lambda d: d.update(k=1, ttl=1), "13000000 01000000 26 10 e803000000000000 a174a16b01"),
        (lambda d: d.update({"ttl": 1}), "0d000000 01000000 26 00 a174a374746c01"),
        (lambda d: d.set_many([("k", 1)], ttl=1), "13000000 01000000 26 10 e803000000000000 a174a16b01"),
        (lambda d: d.increment("k", ttl=1), "13000000 01000000 2e 10 e803000000000000 a174a16b01"),
        (lambda d: d.compare_and_set("k", 1, 2, ttl=1), "14000000 01000000 2f 10 e803000000000000 a174a16b0102"),
        (lambda d: d.ttl("k"), "0a000000 01000000 31 00 a174a16b"),
        (lambda d: d.expire("k", timedelta(seconds=1)), "12000000 01000000 32 10 e803000000000000 a174a16b"),
        (lambda d: d.persist("k"), "12000000 01000000 32 10 0000000000000000 a174a16b"),
        (lambda d: d.touch("k"), "0a000000 01000000 33 00 a174a16b"),
    ],
)
def test_each_method_is_one_request(call: Callable[[Any], Any], wire: str) -> None:
    d = table()
    call(d)
    assert d._sender.wire() == wire.replace(" ", "")


@pytest.mark.parametrize(
    ("request_", "wire"),
    [
        (dict_requests.dict_set(T, "k", 1, 60), "17000000 01000000 21 14 e8030000 60ea000000000000 a174a16b01"),
        (
            dict_requests.dict_set_if(T, "k", 1, 7, 60_000),
            "1f000000 01000000 21 15 0700000000000000 e8030000 60ea000000000000 a174a16b01",
        ),
        (dict_requests.dict_persist(T, "k"), "16000000 01000000 32 14 e8030000 0000000000000000 a174a16b"),
    ],
)
def test_the_ttl_follows_the_fields_of_lower_flags(request_: requests.Request[Any], wire: str) -> None:
    """The version, and the time for which the client waits: 1 s here."""
    session = Session(None, None, frames.MAX_FRAME_BYTES)
    session.milliseconds = 1000
    arguments = request_.opcode, request_.flags, request_.payload
    assert session.next_request(*arguments).hex() == wire.replace(" ", "")
    session.last_id = 0
    assert session.next_frame(*arguments, 1000).hex() == wire.replace(" ", "")


@pytest.mark.parametrize(
    ("given", "second"),
    [
        ({}, True),
        ({"ttl": None, "policy": None}, True),
        ({"ttl": 0.5}, {"ttl": 500, "exist_ok": True}),
        (
            {"idle": timedelta(minutes=1), "max_entries": 10, "max_bytes": 2**40, "policy": "ttl"},
            {"idle": 60_000, "max_entries": 10, "max_bytes": 2**40, "policy": "ttl", "exist_ok": True},
        ),
    ],
)
def test_create_sends_options_only_if_there_are_any(given: Dict[str, Any], second: Any) -> None:
    """So that servers without options accept the request."""
    request = requests.create_dict(T, {"k": 1}, True, **given)
    assert values.decode_all(request.payload) == ["t", second, "k", 1]


def test_configure_sends_what_is_given() -> None:
    """None removes an option. A limit is sent as it is: the server checks it."""
    request = requests.configure(T, ttl=None, idle=2, max_entries=replies.MISSING, max_bytes=None, policy="none")
    changes = {"ttl": None, "idle": 2000, "max_bytes": None, "policy": "none"}
    assert values.decode_all(request.payload) == ["t", changes]
    assert values.decode_all(requests.configure(T).payload) == ["t", {}]


def reply(value: Any) -> Reply:
    return Reply(1, 0, 0, values.encode(value), False)


def test_replies() -> None:
    assert dict_requests.dict_ttl(T, "k").result(reply(1500)) == 1.5
    assert dict_requests.dict_ttl(T, "k").result(reply(None)) is None
    wire = {"ttl": 1500, "idle": None, "max_entries": 5, "max_bytes": None, "policy": "s3fifo"}
    options = requests.options(T).result(reply(wire))
    assert options == {**wire, "ttl": 1.5}
    again = values.decode_all(requests.configure(T, **options).payload)
    assert again == ["t", wire]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1", []])
def test_a_false_time_to_live(value: Any) -> None:
    with pytest.raises(ProtocolError, match="time to live"):
        dict_requests.dict_ttl(T, "k").result(reply(value))


@pytest.mark.parametrize("value", [None, 1, [], {}, {"ttl": "x", "idle": 1}, {"ttl": 1, "idle": 1}])
def test_false_options(value: Any) -> None:
    with pytest.raises(ProtocolError, match="options of a dict"):
        requests.options(T).result(reply(value))


def all_ways(d: Any) -> List[Callable[[], Any]]:
    """A call of every method of a table about times to live."""
    seconds = timedelta(seconds=2)
    return [
        *(partial(call, seconds) for call in ways(d).values()),
        *(partial(method, "k") for method in (d.ttl, d.persist, d.touch)),
    ]


def test_asyncio_and_pipelines_send_the_same(server: Server) -> None:
    """Each method, in all three forms. Invalid arguments of asyncio's send nothing."""
    seen: List[bytes] = []

    async def main(url: str) -> None:
        async with await aio.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
            d = aio.CyberDict[Any, Any](proxy, "t")
            for wrong, error in ((0, ValueError), ("1", TypeError)):
                for call in ways(d).values():
                    with pytest.raises(error):
                        await call(wrong)
                with pytest.raises(error):
                    await d.modify("k", abs, ttl=wrong)  # type: ignore[arg-type]
                with pytest.raises(error):
                    await proxy.create_cyberdict("t", ttl=wrong)  # type: ignore[arg-type]
                with pytest.raises(error):
                    await proxy.configure("t", idle=wrong)  # type: ignore[arg-type]
            assert not seen
            for send in all_ways(d):
                with pytest.raises(DeadlineExceeded):
                    await send()
            with pytest.raises(DeadlineExceeded):
                await proxy.create_cyberdict("t", {"k": 1}, exist_ok=True, ttl=1, idle=2, policy="ttl")
            with pytest.raises(DeadlineExceeded):
                await proxy.configure("t", max_bytes=None, max_entries=3)
            with pytest.raises(DeadlineExceeded):
                await proxy.options("t")

    def sync(url: str) -> None:
        with cyberdb_fast.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
            for send in all_ways(cyberdb_fast.CyberDict(proxy, "t")):
                with pytest.raises(DeadlineExceeded):
                    send()
            with pytest.raises(DeadlineExceeded):
                proxy.create_cyberdict("t", {"k": 1}, exist_ok=True, ttl=1, idle=2, policy="ttl")
            with pytest.raises(DeadlineExceeded):
                proxy.configure("t", max_bytes=None, max_entries=3)
            with pytest.raises(DeadlineExceeded):
                proxy.options("t")

    def pipelined(url: str) -> None:
        with cyberdb_fast.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
            pipe = proxy.pipeline()
            results = [send() for send in all_ways(pipe.on(cyberdb_fast.CyberDict(proxy, "t")))]
            pipe.execute()
            assert all(isinstance(result.error, DeadlineExceeded) for result in results)

    def sent() -> List[bytes]:
        """The requests without length, id and deadline."""
        without = [one[8:10] + one[14:] for one in seen]
        seen.clear()
        return without

    with man_in_the_middle(server, always(LATE_BODY, LATE), seen) as url:
        asyncio.run(main(url))
        twins = sent()
        assert len(twins) == 13
        sync(url)
        assert sent() == twins
        pipelined(url)
        assert sent() == twins[:10]
