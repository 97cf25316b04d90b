"""Values of attrs, pydantic and numpy, which are registered as other classes are."""

from __future__ import annotations

import pathlib
from typing import Any, List

import pytest

import cyberdb_fast
from cyberdb_fast import CyberDict, Unopened, UnpackError, register

attrs = pytest.importorskip("attrs")
numpy = pytest.importorskip("numpy")
pydantic = pytest.importorskip("pydantic")


@register
@attrs.define
class Order:
    _number: int
    items: List[Any] = attrs.field(factory=list, alias="lines")
    state: str = attrs.field(init=False, default="new")


@register
@attrs.frozen
class Size:
    width: int = attrs.field(validator=attrs.validators.ge(0))


@register
class Home(pydantic.BaseModel):
    street_name: str = pydantic.Field(alias="streetName")
    path: pathlib.Path = pathlib.Path("/")


@register
class Person(pydantic.BaseModel):
    name: str
    home: Home
    others: List[Home] = []


register(pathlib.Path)
SCALARS = [
    *(numpy.int8(-5), numpy.uint64(2**64 - 1), numpy.bool_(True), numpy.str_("ä"), numpy.str_(""), numpy.bytes_(b"x")),
    *(numpy.float16(2.5), numpy.float32(0.1), numpy.float64(0.1), numpy.complex64(1 + 2j), numpy.longdouble("0.1")),
    *(numpy.datetime64("2026-01-02T03:04:05.6", "ns"), numpy.datetime64("NaT"), numpy.timedelta64(5, "D")),
]
for _scalar in SCALARS:
    register(type(_scalar))


def test_attrs_classes(d: CyberDict[Any, Any]) -> None:
    order = Order(1, lines=[Size(2), (Order(3),)])
    order.state = "sent"
    d["k"], d[Size(1)] = order, Size(1)
    assert d["k"] == order
    assert d[Size(1)] == Size(1)
    d["k"] = Unopened(f"{__name__}.Size", b"\xc1\x81\xa5width\xff")
    with pytest.raises(UnpackError, match=r"Size cannot be made of \{'width': -1\}: ValueError"):
        d["k"]


def test_pydantic_models(d: CyberDict[Any, Any]) -> None:
    person = Person(name="ada", home=Home(streetName="s"), others=[Home(streetName="t", path="/a")])
    d["k"] = [person, Home(streetName="u")]
    assert d["k"] == [person, Home(streetName="u")]
    d["k"] = Unopened(f"{__name__}.Home", b"\xc1\x80")
    with pytest.raises(UnpackError, match="ValidationError"):
        d["k"]


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_scalars_of_numpy(d: CyberDict[Any, Any], scalar: Any) -> None:
    d["k"] = {"a": [scalar, (scalar,)]}
    got = d["k"]["a"][0]
    assert type(got) is type(scalar)
    assert got.dtype == scalar.dtype
    assert got == scalar or numpy.isnat(scalar)
    d[scalar] = 1
    assert d[scalar] == 1
    if scalar.dtype.kind not in "mM":
        assert d[scalar.item()] == 1


def test_what_numpy_would_not_make_a_scalar_of(d: CyberDict[Any, Any]) -> None:
    for parts in (b"\x92\xa1O\xc4\x080123", b"\x92\xa3<M8\xc4\x00", b"\x92\xa3<i8\xc4\x0801234567", b"\x91\x01"):
        d["k"] = Unopened("numpy.datetime64", b"\xc1" + parts)
        with pytest.raises((UnpackError, cyberdb_fast.ProtocolError)):
            d["k"]
    with pytest.raises(TypeError, match=r"numpy\.ndarray' cannot be stored"):
        d["k"] = numpy.zeros(2)
