"""Hostile or broken servers cause only errors of this package, in bounded time and memory."""

from __future__ import annotations

import asyncio
import random
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import msgpack
import pytest

import cyberdb_fast
from conftest import CPYTHON, PASSWORD, ROOT
from cyberdb_fast import (
    CyberDBError,
    ProtocolError,
    Proxy,
    ReplyTooLarge,
    RequestTimeout,
    Server,
    aio,
    dict_requests,
    requests,
    values,
)
from hostile import always, frame, man_in_the_middle, without_end
from test_golden import VALUES, lines

CODEC = ROOT / "codec"


def ext(code: int, payload: bytes) -> bytes:
    return msgpack.packb(msgpack.ExtType(code, payload))


def packed(*items: Any) -> bytes:
    return msgpack.packb(list(items))


MALFORMED: Dict[str, bytes] = {
    "tuple of a range": ext(2, ext(15, packed(0, 10**9, 1))),
    "set of a range": ext(3, ext(15, packed(0, 10**9, 1))),
    "frozenset of a range": ext(4, ext(15, packed(0, 10**9, 1))),
    "deque of a range": ext(17, ext(15, packed(0, 10**9, 1))),
    "Counter of a range": ext(18, ext(15, packed(0, 10**9, 1))),
    "set of a dict": ext(3, b"\x80"),
    "tuple of a text": ext(2, msgpack.packb("ab")),
    "OrderedDict of an array": ext(6, packed(packed(1, 2))),
    "Counter of a text": ext(18, msgpack.packb("ab")),
    "Fraction of a text": ext(12, packed("1e300000000", 1)),
    "Fraction of one text": ext(12, packed("1e300000000")),
    "Fraction of a Decimal": ext(12, packed(msgpack.ExtType(11, b"1E+99999999"), 1)),
    "Fraction over 0": ext(12, packed(1, 0)),
    "Fraction over less than 0": ext(12, packed(1, -2)),
    "Fraction of a bool": ext(12, packed(True, 1)),
    "range with step 0": ext(15, packed(0, 1, 0)),
    "range of floats": ext(15, packed(0.0, 1.0, 1.0)),
    "slice of four": ext(16, packed(1, 2, 3, 4)),
    "deque without a maxlen": ext(17, packed()),
    "deque with a text for maxlen": ext(17, packed("x", 1)),
    "deque longer than its maxlen": ext(17, packed(1, 1, 2)),
    "defaultdict without a dict": ext(19, packed("list", 1)),
    "defaultdict with a number for a factory": ext(19, packed(1, {})),
    "exception without a name": ext(21, packed()),
    "exception with a number for a name": ext(21, packed(5)),
    "unopened object of texts": ext(22, packed("a.b", "c")),
    "set with equal members": ext(3, packed(1, 1.0)),
    "set with an unhashable member": ext(3, packed([1])),
    "dict with an unhashable key": b"\x81\x90\x01",
    "int within 64 bits": ext(1, b"\x01"),
    "int of 8193 bytes": ext(1, b"\x01" * 8193),
    "Decimal of nothing": ext(11, b""),
    "Decimal with a space": ext(11, b" 1"),
    "Decimal with an exponent beyond all": ext(11, b"1E+9999999999999999999"),
    "UUID of 3 bytes": ext(13, b"abc"),
    "complex of 3 bytes": ext(14, b"abc"),
    "singleton 9": ext(20, b"\x09"),
    "no singleton": ext(20, b""),
    "date 0": ext(8, bytes(4)),
    "date of 5 bytes": ext(8, bytes(5)),
    "timedelta not in normal form": ext(10, struct.pack(">iII", 0, 86400, 0)),
    "timedelta out of range": ext(10, struct.pack(">iII", 2**31 - 1, 0, 0)),
    "datetime out of range": ext(7, struct.pack(">qB", 2**63 - 1, 0)),
    "datetime with unknown flags": ext(7, struct.pack(">qB", 0, 4)),
    "datetime with more after it": ext(7, struct.pack(">qB", 0, 0) + b"x"),
    "datetime cut short": ext(7, struct.pack(">qB", 0, 2) + b"\0\0"),
    "datetime with an offset of a day": ext(7, struct.pack(">qBiI", 0, 2, 86400, 0)),
    "datetime with a zone that is no text": ext(7, struct.pack(">qBiI", 0, 2, 3600, 0) + b"\xff"),
    "time of 24 hours": ext(9, struct.pack(">qB", 86_400_000_000, 0)),
    "unknown extension code": ext(23, b""),
    "extension code -5": b"\xc7\x00\xfb",
    "an array that is not there": b"\xdd\x00\x0f\xff\xff",
    "arrays that are not there, in one another": b"\xdd\x00\x0f\xff\xff" * 120,
    "more of them": b"\xdd\x00\x0f\xff\xff" * 1000,
    "a dict that is not there": b"\xdf\xff\xff\xff\xff",
    "a text that is not there": b"\xdb\xff\xff\xff\xff",
    "100,000 arrays in one another": b"\x91" * 100_000 + b"\xc0",
    "what is absent": b"\xc1",
    "nothing": b"",
    "two values": b"\x01\x02",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_values(name: str) -> None:
    data = MALFORMED[name]
    began = time.process_time()
    for malformed in (data, b"\x91" + data, ext(2, b"\x91" + data), ext(2, b"\x91" + ext(2, b"\x91" + data))):
        if name == "two values" and malformed is not data:
            continue
        with pytest.raises(ProtocolError):
            values.decode(malformed)
    assert time.process_time() - began < 5


def nested(wrap: Callable[[bytes], bytes], depth: int) -> bytes:
    data = b"\xc0"
    for _ in range(depth):
        data = wrap(data)
    return data


WRAPS: Dict[str, Callable[[bytes], bytes]] = {
    "tuple": lambda inner: ext(2, b"\x91" + inner),
    "list and tuple": lambda inner: b"\x91" + ext(2, b"\x91" + inner),
    "set": lambda inner: ext(4, b"\x91" + inner),
    "OrderedDict": lambda inner: ext(6, b"\x81\x01" + inner),
    "key": lambda inner: ext(6, b"\x81" + ext(2, b"\x91\x01") + ext(2, b"\x91" + inner)),
    "deque": lambda inner: ext(17, b"\x92\xc0" + inner),
    "defaultdict": lambda inner: ext(19, b"\x92\xc0\x81\x01" + inner),
    "exception": lambda inner: ext(21, b"\x92\xa9Exception" + inner),
    "slice": lambda inner: ext(16, b"\x93\xc0\xc0" + inner),
}


@pytest.mark.parametrize("name", WRAPS)
def test_nesting_has_a_limit(name: str) -> None:
    for depth in (129, 400, 3000):
        with pytest.raises(ProtocolError, match="nested more than 128"):
            values.decode(nested(WRAPS[name], depth))


def golden() -> List[bytes]:
    return [bytes.fromhex(case[1]) for case in VALUES] + [
        bytes.fromhex(data) for data, *_ in lines(CODEC / "value/testdata/repr.txt")
    ]


def mutated(r: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(r.randint(1, 4)):
        at = r.randrange(len(changed) + 1)
        what = r.randrange(4)
        if what == 0 and changed:
            changed[at % len(changed)] = r.randrange(256)
        elif what == 1:
            changed[at:at] = bytes(
                r.choice(
                    (
                        b"\xdd\x00\x0f\xff\xff",
                        b"\xc7",
                        b"\x91",
                        b"\xc8\xff\xff\x02",
                        b"\xd4\x02",
                        b"\xdf\xff\xff\xff\xff",
                    )
                )
            )
        elif what == 2:
            del changed[at : at + r.randint(1, 9)]
        else:
            changed[at:at] = r.choice(GOLDEN)
    return bytes(changed)


GOLDEN = golden()
READS: Dict[str, Any] = {
    "get": dict_requests.dict_get(b"", "k"),
    "contains": dict_requests.dict_contains(b"", "k"),
    "len": dict_requests.dict_len(b""),
    "kind": requests.kind(b""),
    "tables": requests.tables(),
    "info": requests.info(),
    "digest": requests.digest(),
    "items": dict_requests.dict_all(b""),
    "pairs": dict_requests.dict_items(b""),
    "popitem": dict_requests.dict_popitem(b""),
    "keys": dict_requests.dict_keys(b""),
    "get_many": dict_requests.dict_get_many(b"", ["a", "b"]),
    "delete_many": dict_requests.dict_delete_many(b"", ["a", "b"]),
}


def test_random_values_and_replies() -> None:
    """Each reply soon ends in a value or in an error of this package."""
    seed = random.randrange(2**32)
    print("seed", seed)
    r = random.Random(seed)
    for _ in range(6000):
        data = mutated(r, r.choice(GOLDEN))
        began = time.process_time()
        try:
            repr(values.decode(data))
        except (CyberDBError, ValueError):  # repr raises an error for ints of more than 4300 digits
            pass
        body = data + r.choice((b"", r.choice(GOLDEN)))
        request = READS[r.choice(list(READS))]
        cause = None
        try:
            request.result(cyberdb_fast.frames.Reply(1, r.choice((0, 0, 0, 1, 3, 16, 38, 200)), 0, body, False))
        except CyberDBError:
            pass
        except (KeyError, TypeError, ValueError, IndexError) as e:
            cause = (
                e.__cause__ or e.__context__
            )  # a valid error reply raises its error; any other raises an error of this package
        assert cause is None, (request.opcode, body.hex())
        assert time.process_time() - began < 10, (data.hex(), body.hex())


WRONG: Dict[str, Tuple[Callable[[Proxy], Any], bytes]] = {
    "len": (lambda p: len(p.get_cyberdict("d")), b"\xa4dict"),
    "a negative length": (lambda p: p._perform(dict_requests.dict_len(b"")), b"\xff"),
    "exists": (lambda p: p.exists("d"), b"\x05"),
    "info": (lambda p: p.info(), b"\xa1{"),
    "digest": (lambda p: p.digest(), b"\xa1{"),
    "info of an array": (lambda p: p.info(), b"\x90"),
    "info of other text": (lambda p: p.info(), b"\xa3\xe2\x80\xb0"),
    "info of half a pair": (lambda p: p.info(), b"\xa3\xed\xa0\x80"),
    "tables": (lambda p: p.tables(), b"\xa1d\xa4dict"),
}


@pytest.mark.parametrize("name", WRONG)
def test_replies_of_the_wrong_type(server: Server, name: str) -> None:
    call, body = WRONG[name]
    with (
        man_in_the_middle(server, always(body)) as url,
        cyberdb_fast.connect(url, password=PASSWORD) as client,
        client.get_proxy() as proxy,
    ):
        with pytest.raises(CyberDBError):
            call(proxy)


@pytest.mark.parametrize(
    "body", [b"", b"\x05", b"\xc1", b"\xdd\xff\xff\xff\xff", ext(1, b"\x7f" * 8000), nested(WRAPS["tuple"], 400)]
)
def test_error_replies_without_a_text(server: Server, body: bytes) -> None:
    for status in (3, 16, 35, 200):
        with (
            man_in_the_middle(server, always(body, status)) as url,
            cyberdb_fast.connect(url, password=PASSWORD) as client,
        ):
            with client.get_proxy() as proxy, pytest.raises(ProtocolError):
                proxy.ping()


ENDLESS: Dict[str, Callable[[Proxy], Any]] = {
    "request": lambda p: p.exists("d"),
    "read piece by piece": lambda p: list(cyberdb_fast.CyberDict(p, "d")),
    "pipeline": lambda p: pipelined(p),
}


def pipelined(proxy: Proxy) -> None:
    with proxy.pipeline() as pipe:
        pipe.on(cyberdb_fast.CyberDict(proxy, "d")).get("k")


@pytest.mark.parametrize("name", ENDLESS)
def test_replies_without_end_are_too_large(server: Server, name: str) -> None:
    with man_in_the_middle(server, without_end(b"\x01" * 200_000)) as url:
        with (
            cyberdb_fast.connect(url, password=PASSWORD, max_reply_bytes=1 << 20) as client,
            client.get_proxy() as proxy,
        ):
            with pytest.raises(ReplyTooLarge, match="max_reply_bytes"):
                ENDLESS[name](proxy)


@pytest.mark.parametrize("name", ENDLESS)
def test_replies_without_end_take_too_long(server: Server, name: str) -> None:
    def slowly(request_id: int) -> Iterator[bytes]:
        while True:
            yield frame(request_id, b"\x01", flags=1)
            time.sleep(0.01)

    with man_in_the_middle(server, slowly) as url:
        with cyberdb_fast.connect(url, password=PASSWORD, request_timeout=0.5) as client, client.get_proxy() as proxy:
            began = time.monotonic()
            with pytest.raises(RequestTimeout):
                ENDLESS[name](proxy)
            assert time.monotonic() - began < 20


def test_replies_without_end_with_asyncio(server: Server) -> None:
    async def ask(url: str) -> None:
        client = await aio.connect(url, password=PASSWORD, max_reply_bytes=1 << 20)
        async with client, client.get_proxy() as proxy:
            with pytest.raises(ReplyTooLarge, match="max_reply_bytes"):
                await proxy.exists("d")
            with pytest.raises(CyberDBError, match="max_reply_bytes"):
                [key async for key in aio.CyberDict(proxy, "d")]

    with man_in_the_middle(server, without_end(b"\x01" * 200_000)) as url:
        asyncio.run(ask(url))


@pytest.mark.parametrize("name", ENDLESS)
def test_replies_without_end_take_too_long_with_asyncio(server: Server, name: str) -> None:
    def slowly(request_id: int) -> Iterator[bytes]:
        while True:
            yield frame(request_id, b"\x01", flags=1)
            time.sleep(0.01)

    async def ask(url: str) -> None:
        client = await aio.connect(url, password=PASSWORD, request_timeout=0.5)
        async with client, client.get_proxy() as proxy:
            d = aio.CyberDict[Any, Any](proxy, "d")
            began = time.monotonic()
            with pytest.raises(RequestTimeout):
                if name == "request":
                    await proxy.exists("d")
                elif name == "pipeline":
                    async with proxy.pipeline() as pipe:
                        pipe.on(d).get("k")
                else:
                    [key async for key in d]
            assert time.monotonic() - began < 20

    with man_in_the_middle(server, slowly) as url:
        asyncio.run(ask(url))


SMALL = """
import asyncio, resource, sys
import cyberdb_fast
from cyberdb_fast import CyberDBError, aio, frames

def limit(more):
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, -1))

def expect(name, call):
    try:
        call()
    except CyberDBError as e:
        print(name, type(e).__name__)

def pipelined(p, d):
    with p.pipeline() as pipe:
        pipe.on(d).copy()
        pipe.on(d).get("k")
    return pipe

def use():
    with cyberdb_fast.connect(sys.argv[1], password=sys.argv[2]) as client, client.get_proxy() as proxy:
        d = cyberdb_fast.CyberDict(proxy, "d")
        limit(200 << 20)
        expect("copy", d.copy)
        expect("get", lambda: d.get("k"))
        expect("list", lambda: list(d))
        expect("pipeline", lambda: pipelined(proxy, d))

async def ask():
    client = await aio.connect(sys.argv[1], password=sys.argv[2])
    proxy = client.get_proxy()
    await proxy.connect()
    d = aio.CyberDict(proxy, "d")
    limit(200 << 20)
    calls = {"copy": d.copy, "get": lambda: d.get("k"), "list": lambda: stream(d), "pipeline": lambda: piped(proxy, d)}
    for name, call in calls.items():
        try:
            await call()
        except CyberDBError as e:
            print(name, type(e).__name__)
    limit(8 << 30)
    await client.close()

async def piped(proxy, d):
    pipe = proxy.pipeline()
    pipe.on(d).copy()
    await pipe.execute()

async def stream(d):
    return [key async for key in d]

asyncio.run(ask()) if sys.argv[3] == "aio" else use()
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or not CPYTHON,
    reason="needs the limits of Linux; PyPy's collector ends the process",
)
@pytest.mark.parametrize("kind", ["sockets", "aio"])
def test_there_is_no_memory_for_a_reply(server: Server, tmp_path: Path, kind: str) -> None:
    """Wherever memory runs out, the client raises an error of this package."""
    part = b"\xc4\xff" + bytes(255)
    body = part * (1_000_000 // len(part))

    def large(request_id: int) -> Iterator[bytes]:
        for _ in range(600):
            yield frame(request_id, body, flags=1)
        yield frame(request_id, body)

    with man_in_the_middle(server, large) as url:
        done = subprocess.run(
            [sys.executable, "-c", SMALL, url, PASSWORD, kind],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4, done.stdout + done.stderr


def test_large_replies_are_whole(proxy: Proxy, new_name: Callable[[], str]) -> None:
    """Streamed replies with all kinds of values, cut into pieces at any byte."""
    content = {f"key {n}": [n, b"\xdd\x00" * (n % 700), {"x": (n, [n])}] for n in range(4000)}
    content["large"] = ["x" * 3_000_000, b"\xdd\x00\x0f\xff\xff" * 100_000]
    table = proxy.create_cyberdict(new_name(), content)
    assert dict(table.items()) == content
    assert list(table) == list(content)
    assert list(table.values()) == list(content.values())
    assert table.copy() == content
    assert table.get_many([*content, "not there"]) == content
