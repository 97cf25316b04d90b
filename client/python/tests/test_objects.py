"""Objects of a program's own classes, as values and as keys."""

from __future__ import annotations

import asyncio
import enum
import importlib.util
import ipaddress
import pathlib
import subprocess
import sys
import warnings
from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import Client, CyberDict, Proxy, Server, TooLarge, Unopened, UnpackError, aio, objects, register

Table = CyberDict[Any, Any]


@register
@dataclass
class User:
    name: str
    tags: List[Any] = field(default_factory=list)
    boss: Optional[Any] = None
    seen: int = field(default=0, init=False)


@register(name="test.place")
@dataclass(frozen=True)
class Place:
    x: Any
    y: Any = 0


@register
class Pair(NamedTuple):
    left: Any
    right: Any = None


Old = register(namedtuple("Old", "a b"))  # noqa: PYI024


@register
class Colour(enum.Enum):
    RED = (255, 0, 0)
    GREEN = (0, 255, 0)
    GRUEN = GREEN


@register
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@register
class Mode(str, enum.Enum):
    READ = "r"


@register
class Flags(enum.Flag):
    A = 1
    B = 2


@register
class UserId(int): ...


@register
class Email(str): ...


@register
class Celsius(float): ...


@register
class Tags(List[Any]): ...


@register
class Config(Dict[str, Any]): ...


class Money:
    """Of no known kind."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __repr__(self) -> str:
        return f"Money({self.cents})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    __hash__ = None


register(Money, pack=lambda money: {"cents": money.cents}, unpack=lambda value: Money(value["cents"]))
for _cls in (
    *(pathlib.Path, pathlib.PureWindowsPath, ipaddress.IPv4Address, ipaddress.IPv6Network),
    ipaddress.IPv4Interface,
):
    register(_cls)


def seen(user: User, times: int) -> User:
    user.seen = times
    return user


OBJECTS = [
    seen(User("ada", ["x", (1,)], User("bob", [User("eve")])), 3),
    Place(1, {"in": [Place(2, Colour.RED)]}),
    Pair(1, Pair(2, [3])),
    Old(1, b"2"),
    Colour.RED,
    Colour.GRUEN,
    Level.HIGH,
    Mode.READ,
    Flags.A,
    Flags.A | Flags.B,
    Flags(0),
    UserId(7),
    UserId(1 << 80),
    Email("a@b"),
    Celsius(-0.0),
    Tags([1, User("ada")]),
    Config(a=[1], b=Level.LOW),
    Money(5),
    pathlib.Path("/a/b"),
    pathlib.PureWindowsPath("C:/a"),
    ipaddress.IPv4Address("127.0.0.1"),
    ipaddress.IPv6Network("fe80::/64"),
    ipaddress.IPv4Interface("10.0.0.1/8"),
]


@pytest.mark.parametrize("value", OBJECTS, ids=repr)
def test_objects_come_back_as_they_were(d: Table, value: Any) -> None:
    for wrapped in (value, [value, value], (value,), {"k": {"l": (1, [value])}}, Pair(value, User("x", [value]))):
        d["k"] = wrapped
        assert repr(d["k"]) == repr(wrapped)
        assert d["k"] == wrapped
        assert type(d["k"]) is type(wrapped)
    assert type(d["k"].left) is type(value)
    assert getattr(d["k"].left, "seen", 0) == getattr(value, "seen", 0)


def test_in_pipelines_and_with_asyncio(proxy: Proxy, server: Server, d: Table) -> None:
    with proxy.pipeline() as pipe:
        on = pipe.on(d)
        on.set(Level.LOW, User("ada"))
        on.set((Place(1), Level.LOW), Colour.RED)
        got = on.get(1)
        both = on.get_many([Level.LOW, (Place(1), 1)])
    assert got.value == User("ada")
    assert both.value == {Level.LOW: User("ada"), (Place(1), 1): Colour.RED}

    async def main() -> None:
        client = await aio.connect(server.url, password=PASSWORD)
        async with client, client.get_proxy() as proxy:
            table = await proxy.get_cyberdict(d.table_name)
            assert await table[1] == User("ada")
            await table.update({Level.HIGH: Pair(1)})
            assert await table.get(Level.HIGH) == Pair(1)
            assert [value async for value in table.values()] == [User("ada"), Colour.RED, Pair(1)]

    asyncio.run(main())
    assert d[2] == Pair(1)


def test_a_key_that_equals_a_plain_value_is_that_value(d: Table) -> None:
    """As in a dict."""
    for key, plain in (
        *((Level.LOW, 1), (Mode.READ, "r"), (UserId(3), 3), (Email("e"), "e"), (Celsius(0.5), 0.5)),
        *((Pair(1, Level.HIGH), (1, 2)), ((Level.LOW, (Mode.READ,)), (1, ("r",))), (frozenset({UserId(9)}), {9})),
    ):
        d.clear()
        d[key] = "set"
        (found,) = d.keys()
        assert found == plain
        assert type(found) in (int, str, float, tuple, frozenset)
        assert d[key] == d[found] == "set"
        assert key in d
        assert d.delete_many([key]) == [key]


def test_other_objects_are_keys_by_what_is_stored(d: Table) -> None:
    d.update({Place(1): "a", Colour.RED: "c", pathlib.Path("p"): "d", (Place(1), 2): "e"})
    d[Place(1.0)], d[Place(float("nan"))] = "b", "f"
    assert [d[Place(1)], d[Place(1.0)], d[Place(float("nan"))]] == ["a", "b", "f"]
    assert [*d][1:4] == [Colour.RED, pathlib.Path("p"), (Place(1), 2)]
    for key in (User("ada"), (User("ada"),), Money(1), Place([]), Tags([1])):
        with pytest.raises(TypeError, match="unhashable type"):
            d[key] = 1
    assert len(d) == 6


def test_a_class_that_is_not_registered_is_named_with_the_line_to_write(d: Table) -> None:
    @dataclass
    class Order:
        n: int

    class Plain: ...

    for wrapped in (Order(1), [Order(1)], {"a": (Order(1),)}, {Pair(1): [Order(1)]}, User("a", [Order(1)])):
        with pytest.raises(TypeError, match=r"Order' cannot be stored.*: cyberdb_fast\.register\(Order\)$"):
            d["k"] = wrapped
    with pytest.raises(TypeError, match=r"register\(Plain, pack=\.\.\., unpack=\.\.\.\)$"):
        d["k"] = Plain()
    with pytest.raises(TypeError, match=r"PurePosixPath' .*register\(PurePath\)$"):
        d["k"] = pathlib.PurePosixPath("a")
    assert len(d) == 0


def test_where_a_class_is_not_registered_its_objects_stay_unopened(d: Table, server: Server) -> None:
    d["k"] = [Place(1), {"a": (Place(2),)}]
    code = f"""if True:
        import cyberdb_fast
        with cyberdb_fast.connect({server.url!r}, password={PASSWORD!r}).get_proxy() as proxy:
            table = proxy.get_cyberdict({d.table_name!r})
            table["again"] = table["k"]
            print(type(table["k"][0]).__name__, table["k"][0].path)
            table["k"][0].x
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "Unopened test.place\n"
    assert "AttributeError: no attribute 'x'" in done.stderr
    assert "write cyberdb_fast.register(place) before" in done.stderr
    assert d["again"] == [Place(1), {"a": (Place(2),)}]


def test_names_are_stable_and_belong_to_one_class() -> None:
    assert objects.by_class[User].name == f"{__name__}.User"
    assert objects.by_class[type(pathlib.Path())].name == "pathlib.Path"

    def define() -> Any:
        class Local(int): ...

        return Local

    with pytest.raises(ValueError, match="not stable: give another one, name="):
        register(define())
    with pytest.raises(ValueError, match=r"'test\.place' belongs to .*Place already"):
        register(define(), name="test.place")
    with pytest.raises(ValueError, match="registered under the name"):
        register(User, name="user")
    for name in ("", "x" * 256, 3):
        with pytest.raises(ValueError, match="at most 255 bytes"):
            register(define(), name=name)
    register(User)


def test_a_class_that_is_defined_again_replaces_the_first(d: Table) -> None:
    """As in a notebook, or by importlib.reload."""

    def define() -> Any:
        class Cell(int): ...

        return register(Cell, name="test.cell")

    first, second = define(), define()
    d["k"] = first(1)
    assert type(d["k"]) is second


def test_classes_that_cannot_be_registered() -> None:
    for cls in (int, dict, type(None), ipaddress.ip_address, User("a")):
        with pytest.raises(TypeError):
            register(cls)
    with pytest.raises(TypeError, match="given together"):
        register(User, pack=repr)

    @dataclass
    class Secret:
        password: InitVar[str]

    class Slots(int):
        __slots__ = ()

    class Counted(dict):
        __slots__ = ("count",)

    for cls in (Secret, Counted, object, enum):
        with pytest.raises(TypeError):
            register(cls, name="test.refused")
    register(Slots, name="test.slots")
    with pytest.raises(TypeError, match="can be stored without"):
        cyberdb_fast.register_type(Slots, 90, bytes, Slots)


def test_attributes_that_would_be_lost_are_refused(d: Table) -> None:
    tags = Tags([1])
    tags.owner = "ada"
    with pytest.raises(TypeError, match=r"Tags with attributes \(owner\) .*register\(Tags, pack="):
        d["k"] = tags


@dataclass
class Policed:
    n: int


class Coloured(enum.IntEnum):
    RED = 1


def test_a_policy_registers_classes_when_they_are_met(d: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    unread = Unopened(f"{__name__}.Policed", b"\xc1\x81\xa1n\x05")
    d["read"] = [unread, Unopened("os.path.join", unread.data), Unopened(f"{__name__}.pytest.Class", unread.data)]
    assert d["read"][0] == unread
    monkeypatch.setattr(objects, "policies", [])
    cyberdb_fast.register_where(lambda cls: cls.__module__ == __name__)
    assert d["read"][0] == Policed(5)
    assert [type(value) for value in d["read"][1:]] == [Unopened, Unopened]
    d[Coloured.RED] = [Policed(6), bytearray(b"x")]
    assert d[1] == [Policed(6), bytearray(b"x")]
    with pytest.raises(TypeError, match="register"):
        d["k"] = Server()


def test_a_stored_name_runs_no_code_to_find_its_class(
    d: Table, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_module.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.find_spec("lazy_module")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "lazy_module", module)
    monkeypatch.setitem(vars(sys.modules[__name__]), "asks", AsksForItsClass())
    monkeypatch.setattr(objects, "policies", [lambda cls: True])
    for name in ("lazy_module.Class", f"{__name__}.asks", f"{__name__}.asks.Class"):
        d["k"] = Unopened(name, b"\xc1\x81\xa1n\x05")
        assert type(d["k"]) is Unopened


class AsksForItsClass:
    """As the lazy settings of Django, which are loaded then."""

    @property
    def __class__(self) -> Any:
        raise AssertionError("it was asked for its class")


@register(name="test.even")
@dataclass
class Even:
    n: int

    def __post_init__(self) -> None:
        if self.n % 2:
            raise ValueError(f"{self.n} is odd")


def test_a_constructor_that_refuses_what_is_stored(client: Client, proxy: Proxy, d: Table) -> None:
    odd = Unopened("test.even", b"\xc1\x81\xa1n\x07")
    d.update({"good": Even(2), "k": {"in": [odd]}})
    connections = client.stats()["open"]
    where = rf"^table '{d.table_name}', key 'k': test\.even cannot be made of \{{'n': 7\}}: ValueError: 7 is odd$"
    for read in (lambda: d["k"], lambda: d.get("k"), lambda: d.setdefault("k"), lambda: d.get_versioned("k")):
        with pytest.raises(UnpackError, match=where) as caught:
            read()
        assert isinstance(caught.value.__cause__, ValueError)
        assert caught.value.parts == {"n": 7}
    readers: List[Callable[[], Any]] = [d.copy, lambda: [*d.values()], lambda: list(d.items()), d.popitem]
    for read in (lambda: d.get_many(["k"]), *readers):
        with pytest.raises(UnpackError, match="7 is odd"):
            read()
    d["k"] = odd
    with proxy.pipeline() as pipe:
        bad, good = pipe.on(d).get("k"), pipe.on(d).get("good")
    assert good.value == Even(2)
    with pytest.raises(UnpackError, match="7 is odd"):
        bad.value
    assert d["good"] == Even(2)
    assert client.stats()["open"] == connections


@pytest.mark.parametrize(
    "parts",
    [b"\x90", b"\x91\x01", b"\x80", b"\x82\xa1n\x02\xa1m\x01", b"\x81\x01\x02", b"\x01", b"\xc0", b"\x81\xa1n\xa1x"],
)
def test_parts_that_no_object_has(d: Table, parts: bytes) -> None:
    for name in ("test.even", "pathlib.Path", f"{__name__}.Level", f"{__name__}.Config"):
        d["k"] = Unopened(name, b"\xc1" + parts)
        with pytest.raises(UnpackError, match=r"key 'k'"):
            d["k"]


@pytest.mark.parametrize("parts", [b"", b"\x81", b"\xc1", b"\x91\xd4\x20\x00", b"\x90\x90", b"\xdd\xff\xff\xff\xff"])
def test_parts_that_are_no_value(d: Table, parts: bytes) -> None:
    for value in (Unopened("test.even", b"\xc1" + parts), [(Unopened("test.even", b"\xc1" + parts),)]):
        d["k"] = value
        with pytest.raises(cyberdb_fast.ProtocolError):
            d["k"]
    d["k"] = Unopened("test.even", parts[1:])
    assert d["k"] == Unopened("test.even", parts[1:])


def test_fields_that_the_class_did_not_have(d: Table) -> None:
    d["old"] = Unopened(f"{__name__}.User", b"\xc1\x81\xa4name\xa3ada")
    assert d["old"] == User("ada")
    d["new"] = Unopened(f"{__name__}.User", b"\xc1\x82\xa4name\xa3ada\xa3age\x05")
    with pytest.raises(UnpackError, match="unexpected keyword argument 'age'"):
        d["new"]


def test_cycles_and_sizes(d: Table) -> None:
    user = User("ada")
    user.boss = user
    pair = [User("a"), User("b")]
    pair[0].tags, pair[1].tags = [pair[1]] * 3, [pair[0]] * 3
    for value in (user, [user], Pair(user), pair[0]):
        with pytest.raises(ValueError, match=r"nested more than 128 deep, or contains itself|has \d+ bytes"):
            d["k"] = value
    deep: Any = None
    for _ in range(60):
        deep = User("x", boss=[deep])
    d["k"] = deep
    assert d["k"] == deep
    with pytest.raises(TooLarge):
        d["k"] = User("x" * (33 << 20))
    shared = User("x")
    d["k"] = [shared] * 20_000
    assert d["k"] == [shared] * 20_000


def test_lost_changes_in_objects(server: Server, d: Table) -> None:
    register_counted()
    d["user"], d["counted"] = User("ada", [1]), Counted({"a": 1})
    with cyberdb_fast.connect(server.url, password=PASSWORD, track_changes=True) as client, client.get_proxy() as proxy:
        table = proxy.get_cyberdict(d.table_name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert table["counted"] == Counted({"a": 1})  # its function changes what it gets
            user = table["user"]
            user.tags.append(2)
            table["user"] = user
            del user
        with pytest.warns(cyberdb_fast.LostChangeWarning):
            table["user"].tags.append(3)


class Counted:
    def __init__(self, counts: Dict[str, int]) -> None:
        self.counts = counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and self.counts == other.counts

    __hash__ = None


def register_counted() -> None:
    def unpack(counts: Dict[str, int]) -> Counted:
        return Counted({"a": counts.pop("a")})

    register(Counted, pack=lambda counted: dict(counted.counts), unpack=unpack)
