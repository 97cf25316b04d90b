"""The golden vectors of codec and codec/secure, which the server and all clients share."""

from __future__ import annotations

import json
import pydoc
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from conftest import CPYTHON, ROOT
from cyberdb_fast import (
    ABSENT,
    BadRequest,
    LeaseExpired,
    LockLost,
    cpace,
    dict_requests,
    frames,
    list_requests,
    lock_requests,
    methods_aio,
    methods_pipeline,
    methods_sync,
    opcodes,
    requests,
    values,
)
from cyberdb_fast.errors import CyberDBError, ProtocolError
from cyberdb_fast.handshake import CHANNEL, KDF, Opening
from cyberdb_fast.keys import MIN_LOG_N, KeyRing, derive
from cyberdb_fast.records import Opener, Sealer
from cyberdb_fast.requests import Request
from cyberdb_fast.session import Session

CODEC = ROOT / "codec"
unhex = bytes.fromhex


def lines(path: Path) -> List[List[str]]:
    with open(path, encoding="utf-8", errors="surrogatepass", newline="\n") as f:
        return [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]


VALUES = lines(CODEC / "value/testdata/values.txt")


@pytest.mark.parametrize(("data", "text"), [case[1:] for case in VALUES], ids=[case[0] for case in VALUES])
def test_values(data: str, text: str) -> None:
    encoded = unhex(data)
    value = values.decode(encoded)
    assert values.encode(value) == encoded
    if isinstance(value, OrderedDict) or not CPYTHON:
        return  # their repr differs between Python versions
    if not isinstance(value, (values.Extension, values.Unopened)):
        assert repr(value).encode("utf-8", "surrogatepass") == text.encode("utf-8", "surrogatepass")


def test_reprs() -> None:
    """The values of the server's repr tests, recorded from CPython 3.11."""
    cases = lines(CODEC / "value/testdata/repr.txt")
    for data, *_ in cases:
        assert values.encode(values.decode(unhex(data))) == unhex(data)
    assert len(cases) > 500


# ---- frames

D, E, L = requests.table_name("d"), requests.table_name("e"), requests.table_name("l")
ONE, TWO = b"one".ljust(16, b"\0"), b"two".ljust(16, b"\0")
JOBS = lock_requests.name_of("jobs", "lock")
RAW = Request  # a request that no client sends
REQUESTS: Dict[str, Request[Any]] = {
    "ping": requests.ping(),
    "save, nothing kept": requests.save(),
    "create dict": requests.create_dict(D, {"k": 1}, False),
    "create list": requests.create_list(L, [3, 1, 2], False),
    "create what exists": requests.create_dict(D, {}, False),
    "create what exists, exist_ok": requests.create_dict(D, {}, True),
    "create over another kind": requests.create_list(D, [], True),
    "exists": requests.exists(D),
    "kind": requests.kind(L),
    "tables": requests.tables(),
    "dict get": dict_requests.dict_get(D, "k"),
    "dict get, with version": dict_requests.dict_get_versioned(D, "k"),
    "dict get, absent": dict_requests.dict_get(D, "x"),
    "dict get, unhashable": dict_requests.dict_get(D, [1]),
    "dict get, no table": dict_requests.dict_get(requests.table_name("nowhere"), "k"),
    "dict get, of a list": dict_requests.dict_get(L, "k"),
    "dict set": dict_requests.dict_set(D, (1, "a"), 2.5),
    "dict set, if version": dict_requests.dict_set_versioned(D, "new", True, 0),
    "dict set, if present": dict_requests.dict_set_versioned(D, "new", False, 2**64 - 1),
    "dict set, if present, absent": dict_requests.dict_replace(D, "nowhere", True),
    "dict set, within a minute, if version": RAW(
        opcodes.DICT_SET, bytes(8) + D + values.encode("due") + values.encode(1), lambda *_: None, flags=3
    ),
    "dict delete": dict_requests.dict_delete(D, "new"),
    "dict set, gone": dict_requests.dict_set(D, "gone", 1),
    "dict delete many": dict_requests.dict_delete_many(D, ["gone", "x", "gone"]),
    "dict contains": dict_requests.dict_contains(D, "k"),
    "dict len": dict_requests.dict_len(D),
    "dict setdefault": dict_requests.dict_setdefault(D, "s", []),
    "dict update": dict_requests.dict_update(D, {"a": 1, "b": None}),
    "dict pop": dict_requests.dict_pop(D, "a"),
    "dict pop, within a minute": dict_requests.dict_pop(D, "due"),
    "dict popitem": dict_requests.dict_popitem(D),
    "dict increment": dict_requests.dict_increment(D, "k", 41),
    "dict compare and set": dict_requests.dict_compare_and_set(D, "k", 42, "done"),
    "dict compare and set, if absent": dict_requests.dict_compare_and_set(D, "c", ABSENT, 1),
    "dict keys": dict_requests.dict_keys(D),
    "dict values": dict_requests.dict_values(D),
    "dict items": dict_requests.dict_items(D),
    "dict get many": dict_requests.dict_get_many(D, ["k", "x", "c"]),
    "dict set, for a minute": dict_requests.dict_set(D, "brief", 1, 60),
    "dict ttl, none": dict_requests.dict_ttl(D, "brief"),
    "dict ttl, absent": dict_requests.dict_ttl(D, "x"),
    "create dict, options": requests.create_dict(E, {"k": 1}, False, ttl=60),
    "configure": requests.configure(E, max_entries=1000),
    "configure, no such option": requests.configure(E, size=1),
    "options": requests.options(E),
    "drop a dict": requests.drop(E),
    "info, digest": requests.digest(),
    "info, no such parameter": requests.info("digest", {"limit": 1}),
    "dict clear": dict_requests.dict_clear(D),
    "list append": list_requests.list_append(L, "x"),
    "list extend": list_requests.list_extend(L, [5, 4]),
    "list insert": list_requests.list_insert(L, 0, 9),
    "list get": list_requests.list_get(L, -1),
    "list get, out of range": list_requests.list_get(L, 99),
    "list set": list_requests.list_set(L, 4, 7),
    "list delete": list_requests.list_delete(L, 0),
    "list slice": list_requests.list_get(L, slice(None, None, -2)),
    "list set slice": list_requests.list_set(L, slice(1, 2), [6, 6]),
    "list delete slice": list_requests.list_delete(L, slice(0, 1)),
    "list remove": list_requests.list_remove(L, 6),
    "list remove, absent": list_requests.list_remove(L, 99),
    "list count": list_requests.list_count(L, 6),
    "list reverse": list_requests.list_reverse(L),
    "list sort": list_requests.list_sort(L, lambda x: -x, False),
    "list len": list_requests.list_len(L),
    "list contains": list_requests.list_contains(L, 7.0),
    "list all": list_requests.list_all(L),
    "list append left": list_requests.list_append_left(L, 0),
    "list pop left": list_requests.list_pop_left(L),
    "list clear": list_requests.list_clear(L),
    "list put": list_requests.list_put(L, "job"),
    "list put, in a minute": list_requests.list_put(L, "later", 60),
    "list take": list_requests.list_take(L, 60, None, ONE),
    "list take, nothing within its time": list_requests.list_take(L, 60, 0, TWO),
    "list take, again": list_requests.list_take(L, 60, 0, TWO),
    "list held": list_requests.list_held(L, 0),
    "list extend lease": list_requests.list_extend_lease(L, 48, 60),
    "list nack": list_requests.list_nack(L, 48),
    "list ack": list_requests.list_ack(L, 51),
    "list ack, no lease": list_requests.list_ack(L, 51),
    "configure, list": requests.configure(L, dead_letter="dead", max_deliveries=3),
    "options, list": requests.list_options(L),
    "cancel, nothing waits": lock_requests.cancel(1),
    "lock": lock_requests.lock(JOBS, ONE, 60_000, None, 1),
    "lock, held": lock_requests.lock(JOBS, TWO, 60_000, 0, 1),
    "renew lock": lock_requests.renew_lock(JOBS, ONE, 60_000),
    "renew lock, lost": lock_requests.renew_lock(JOBS, TWO, 60_000),
    "dict set, if fence": lock_requests.if_fence(dict_requests.dict_set(D, "k", 1), "jobs", 57),
    "unlock": lock_requests.unlock(JOBS, ONE),
    "lock holders, none": lock_requests.lock_holders(JOBS),
    "dict get or compute, fresh": dict_requests.dict_get_or_compute(D, "k", ONE, 60_000, 0, None),
    "dict get or compute": dict_requests.dict_get_or_compute(D, "made", ONE, 60_000, 0, None),
    "dict get or compute, another does": dict_requests.dict_get_or_compute(D, "made", TWO, 60_000, 0, 0),
    "renew compute": dict_requests.renew_compute(D, "made", ONE, 60_000),
    "computed": dict_requests.computed(D, "made", ONE),
    "subscribe": lock_requests.subscribe(["news", "jobs"], ["log."]),
    "publish": lock_requests.publish("log.web", 7),
    "receive": lock_requests.receive(1, 10, None),
    "receive, nothing within its time": lock_requests.receive(1, 10, 0),
    "receive, no subscription": lock_requests.receive(2, 10, 0),
    "unsubscribe": lock_requests.unsubscribe(1),
    "rename": requests.rename(L, requests.table_name("m")),
    "drop": requests.drop(requests.table_name("m")),
}
# Requests that this client sends in another form, or never sends.
OTHERS = {
    "dict get, absent, default",
    "dict get, no key",
    "dict set, other version",
    "dict pop, deadline passed",
    "dict scan",
    "dict set, time to live out of range",
    "dict expire: persist, with version",
    "dict forget",
    "dict horizon",
    "list index",
    "list pop",
    "list pop, empty",
    "list return",
    "unknown opcode",
    "unknown flag",
    "value cut short",
    "dict set, other fence",
    "create locks",
    "lock grant",
    "lock release",
}
MILLISECONDS = {"dict set, within a minute, if version": 60_000, "dict pop, within a minute": 60_000}
RESULTS: Dict[str, Any] = {
    "tables": [("d", "dict", 1), ("l", "list", 3)],
    "dict get, with version": (1, 2),
    "dict get, absent": KeyError,
    "dict set, if version": 8,
    "dict set, if present": 9,
    "dict set, if present, absent": False,
    "dict popitem": ("b", None),
    "dict ttl, none": None,
    "dict ttl, absent": KeyError,
    "configure, no such option": ValueError,
    "options": {"ttl": 60.0, "idle": None, "max_entries": 1000, "max_bytes": None, "policy": "s3fifo"},
    "options, list": {"max_deliveries": 3, "dead_letter": "dead"},
    "list take, nothing within its time": None,
    "list held": 1,
    "list ack, no lease": LeaseExpired,
    "renew lock, lost": LockLost,
    "lock, held": None,
    "lock holders, none": ([], 0),
    "dict get or compute, fresh": (0, "done", 0),
    "dict get or compute": (3, None, 60),
    "dict get or compute, another does": (4, None, 0),
    "receive": (0, [("log.web", 7)]),
    "receive, nothing within its time": (0, []),
    "receive, no subscription": KeyError,
    "dict items": [("k", "done"), ((1, "a"), 2.5), ("s", []), ("c", 1)],
    "dict delete many": ["gone"],
    "dict get many": {"k": "done", "c": 1},
    "list get, out of range": IndexError,
    "list all": [7, 6, 5, 2],
    "save, nothing kept": BadRequest,
}
FRAMES = lines(CODEC / "testdata/frames.txt")
MODULES: Dict[str, Any] = {"DICT": dict_requests, "LIST": list_requests}


def example(name: str, request: str) -> Request[Any]:
    """The request that the function of this name makes from the same arguments."""
    module, name_of_function = MODULES[name[:4].upper()], name.replace(" ", "_")
    function = getattr(module, name_of_function, None)
    assert function, f"client/python/src/{module.__name__.replace('.', '/')}.py has no {name_of_function}: add it"
    _, *arguments = values.PLAIN.all(unhex(request)[frames.HEADER_BYTES :])
    made: Request[Any] = function(D if name.startswith("dict") else L, *arguments)
    return made


def test_frames() -> None:
    """Encodes every request of testdata/frames.txt to its bytes, and decodes every reply."""
    session = Session(None, None, frames.MAX_FRAME_BYTES)
    checked = set()
    for request_id, (name, request, reply) in enumerate(FRAMES, 1):
        (parsed,) = session.receive(unhex(reply))
        assert parsed.id == request_id
        if name in OTHERS:
            continue
        made = REQUESTS[name] if name in REQUESTS else example(name, request)
        session.last_id = request_id - 1
        milliseconds = MILLISECONDS.get(name, 0)
        assert session.next_frame(made.opcode, made.flags, made.payload, milliseconds).hex() == request, name
        checked.add(name)
        try:
            result: Any = made.result(parsed)
        except Exception as e:
            result = type(e)
        assert result == RESULTS.get(name, result), name
    assert checked >= set(REQUESTS)


METHODS = (ROOT / "client/python/methods.py").read_text()
LOGGED = {"DICT FORGET", "DICT HORIZON", "LIST RETURN"}  # only the server's log has them
OWN = {"DICT GET OR COMPUTE"}  # which CyberDict.get_or_compute sends
SLICES = {"LIST SLICE", "LIST SET SLICE", "LIST DELETE SLICE"}  # made by list_get, list_set and list_delete
COMMANDS = [
    name
    for name in opcodes.OPCODE_NAMES.values()
    if name.startswith(("DICT ", "LIST ")) and name not in SLICES | LOGGED | OWN
]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "DICT SCAN"])
def test_every_command_has_a_method(name: str) -> None:
    """The requests of dicts and lists have it, and methods.py a method that sends it."""
    function, module = name.lower().replace(" ", "_"), MODULES[name[:4]].__name__
    called = f"{module.rpartition('.')[2]}.{function}"
    assert hasattr(MODULES[name[:4]], function), (
        f"client/python/src/{module.replace('.', '/')}.py has no {function}: add it"
    )
    assert f"{called}(" in METHODS, (
        f"client/python/methods.py has no method that returns {called}: add it, and run make generate"
    )


@pytest.mark.parametrize("methods", [methods_sync, methods_aio, methods_pipeline])
def test_help_shows_every_method(methods: Any) -> None:
    for kind in (methods.DictMethods, methods.ListMethods):
        text = pydoc.plain(pydoc.render_doc(kind))
        for name, method in vars(kind).items():
            if callable(method):
                assert method.__doc__, name
                assert method.__doc__.splitlines()[0] in text


def test_frames_in_pieces() -> None:
    """The replies are the same however the stream is cut."""
    stream = b"".join(unhex(reply) for _, _, reply in FRAMES)
    whole = frames.FrameReader().receive(stream)
    assert len(whole) == len(FRAMES)
    for size in range(1, 40):
        reader = frames.FrameReader()
        pieces = [frame for at in range(0, len(stream), size) for frame in reader.receive(stream[at : at + size])]
        assert pieces == whole


def test_a_reply_of_several_frames() -> None:
    def frame(request_id: int, status: int, flags: int, body: bytes) -> bytes:
        return struct.pack("<IIBB", 6 + len(body), request_id, status, flags) + body

    session = Session(None, None, frames.MAX_FRAME_BYTES)
    assert session.receive(frame(1, 0, frames.MORE, b"\xa2a") + frame(2, 0, 0, b"\x05")) == [(2, 0, 0, b"\x05", False)]
    assert session.receive(frame(1, 0, 0, b"b")) == [(1, 0, 0, b"\xa2ab", False)]
    assert session.receive(frame(3, 0, frames.MORE, b"void") + frame(3, 34, 0, b"why")) == [(3, 34, 0, b"why", False)]
    with pytest.raises(ProtocolError):
        session.receive(frame(1, 0, 0x40, b""))


# ---- handshake and records

SECURE = json.loads((CODEC / "secure/testdata/secure.json").read_text())
CPACE = json.loads((CODEC / "secure/testdata/cpace_x25519_sha512.json").read_text())


def test_cpace() -> None:
    v = {name: unhex(text) for name, text in CPACE["G_25519"].items()}
    assert cpace.generator(v["PRS"], v["CI"], v["sid"]) == v["g"]
    assert cpace.x25519(v["ya"], v["g"]) == v["Ya"]
    assert cpace.x25519(v["yb"], v["Ya"]) == cpace.x25519(v["ya"], v["Yb"]) == v["K"]
    assert cpace.session_key(v["sid"], v["K"], v["Ya"], v["Yb"], v["ADa"], v["ADb"]) == v["ISK_IR"]


@pytest.mark.parametrize("name", [f"Invalid Y{i}" for i in (0, 1, 2, 3, 4, 5, 7)])
def test_points_of_low_order(name: str) -> None:
    with pytest.raises(ValueError):  # the text is cryptography's
        cpace.x25519(bytes(range(32)), unhex(CPACE["X25519_points"][name]))


def opened(messages: Dict[str, str], encrypt: bool) -> Tuple[Opening, Session]:
    """The handshake of the vectors, checked message by message."""
    p, h = SECURE["password"], SECURE["handshake"]
    opening = Opening(encrypt, unhex(h["client_nonce"]), unhex(h["client_scalar"]))
    assert opening.hello().hex() == messages["hello"]
    assert opening.receive(unhex(messages["greeting"])) == b""
    assert opening.kdf == KDF(p["log_n"], unhex(p["salt"]))
    key = derive(opening.kdf, p["text"])
    assert key.hex() == p["prs"]
    assert CHANNEL.hex() == h["ci"]
    assert cpace.generator(key, CHANNEL, unhex(h["sid"])).hex() == h["generator"]
    assert opening.use_key(key).hex() == messages["client_share"]
    assert opening.receive(unhex(messages["server_share"])).hex() == messages["client_fin"]
    assert opening.receive(unhex(messages["server_fin"])) == b""
    assert opening.session is not None
    return opening, opening.session


def test_handshake() -> None:
    _, session = opened(SECURE["plain"], False)
    assert not session.encrypted


def convinced(opening: Opening, messages: List[bytes]) -> bool:
    """Whether a client accepts these messages as those of a server that knows the password."""
    opening.hello()
    try:
        for message in messages:
            opening.receive(message)
            if opening.kdf is not None:
                opening.use_key(unhex(SECURE["password"]["prs"]))
    except CyberDBError:
        pass
    return opening.session is not None


def test_false_servers() -> None:
    """The client rejects the server's messages if any bit is changed, and if they are replayed."""
    h = SECURE["handshake"]
    messages = [unhex(h[name]) for name in ("greeting", "server_share", "server_fin")]

    def opening() -> Opening:
        return Opening(True, unhex(h["client_nonce"]), unhex(h["client_scalar"]))

    assert convinced(opening(), messages)
    assert not convinced(Opening(True), messages)
    for at, message in enumerate(messages):
        for bit in range(len(message) * 8):
            changed = bytearray(message)
            changed[bit // 8] ^= 1 << bit % 8
            assert not convinced(opening(), [*messages[:at], bytes(changed), *messages[at + 1 :]]), (at, bit)


def test_handshake_and_records() -> None:
    _, session = opened(SECURE["handshake"], True)
    wire = b""
    for record in SECURE["records"]:
        plain = unhex(record["plain"])
        if record["from"] == "server":
            wire += unhex(record["wire"])
        else:
            assert (session.seal(plain) or session.end()).hex() == record["wire"]
    received = [reply for at in range(0, len(wire), 7) for reply in session.receive(wire[at : at + 7])]
    assert received == [(1, 0, 0, b"", False)]
    assert session.ended


def test_records_with_new_keys() -> None:
    v = SECURE["new_keys"]
    sealer, opener = (kind(unhex(v["secret"]), max_records=v["max_records"]) for kind in (Sealer, Opener))
    for plain, wire in zip(v["plain"], v["wire"]):
        assert sealer.seal(unhex(plain)).hex() == wire
        assert opener.open(unhex(wire)).hex() == plain


def test_records_tampered() -> None:
    v = SECURE["new_keys"]
    wire = unhex(v["wire"][0])
    for bit in range(len(wire) * 8):
        changed = bytearray(wire)
        changed[bit // 8] ^= 1 << bit % 8
        opener = Opener(unhex(v["secret"]))
        try:
            assert opener.open(bytes(changed)) == b""  # the length is larger: the opener waits for the rest
        except ProtocolError:
            pass
    opener = Opener(unhex(v["secret"]))
    opener.open(wire)
    with pytest.raises(ProtocolError, match="tag"):
        opener.open(wire)


@pytest.mark.parametrize("log_n", [13, 18])
def test_kdf_bounds(log_n: int) -> None:
    with pytest.raises(ProtocolError, match="14 to 17"):
        derive(KDF(log_n, bytes(16)), "x")


def test_new_salt_at_most_once_a_minute() -> None:
    """A hostile server cannot make a client derive many keys.

    Known keys, other passwords and addresses pass.
    """
    ring = KeyRing()
    first, second, third = (KDF(MIN_LOG_N, bytes([i]) * 16) for i in range(3))
    key = ring.key("host:1", "password", first)
    assert ring.key("host:1", "password", second) != key
    with pytest.raises(
        ProtocolError, match=r"host:1 has sent a second new salt within a minute; the next key is derived in \d+ s"
    ):
        ring.key("host:1", "password", third)
    assert ring.key("host:1", "password", first) == key
    assert ring.key("host:1", "corrected", second) != ring.key("host:1", "password", second)
    assert ring.key("host:2", "password", third) != key


@pytest.mark.parametrize(
    ("address", "here"),
    [
        *[
            (address, True)
            for address in (
                "127.0.0.1:9980",
                "127.8.9.10:1",
                "[::1]:9980",
                "[::ffff:127.0.0.1]:1",
                "localhost:1",
                "LocalHost:1",
            )
        ],
        *[(address, True) for address in ("/run/s.sock", "./s.sock", "/run/s:1")],
        *[
            (address, False)
            for address in (
                "10.0.0.1:1",
                "[::2]:1",
                "[::]:1",
                "0.0.0.0:1",
                "localhost.example:1",
                "127.0.0.1.example:1",
            )
        ],
    ],
)
def test_new_salts_on_this_machine(address: str, here: bool) -> None:
    """New servers may follow each other quickly on one local port."""
    ring = KeyRing()
    salts = [KDF(MIN_LOG_N, bytes([i]) * 16) for i in range(4)]
    keys = {ring.key(address, "password", salt) for salt in salts[:2]}
    for salt in salts[2:]:
        if here:
            keys.add(ring.key(address, "password", salt))
        else:
            with pytest.raises(ProtocolError, match="second new salt"):
                ring.key(address, "password", salt)
    assert len(keys) == (4 if here else 2)
