"""sort(key=...) does the same as sorted(), or raises TypeError with nothing sent."""

from __future__ import annotations

import builtins
import datetime
import functools
import operator
import random
import types
import warnings
import zoneinfo
from typing import Any, Callable, Dict, List, Tuple

import pytest

from conftest import CPYTHON
from cyberdb_fast import CyberList, Proxy
from cyberdb_fast.list_requests import list_sort
from cyberdb_fast.requests import table_name

NewList = Callable[..., CyberList[Any]]
T = table_name("l")

FIRST, NAME = 0, "name"
length = len
functions = {"length": len, "other": lambda x: -len(x)}


class Weights:
    def __init__(self) -> None:
        self.of = {"a": 2, "b": 1}

    def weigh(self, element: Any) -> Any:
        return self.of.get(element[0], 0)

    def __call__(self, element: Any) -> Any:
        return self.weigh(element)


class Alike:
    """Compares equal to len but does something else."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(len)

    def __call__(self, element: Any) -> Any:
        return -len(element)


def caught(x: Any) -> Any:
    try:
        return x[9]
    except IndexError:
        return -len(x)


def wrapped(x: Any) -> Any:
    return functools.reduce(operator.add, x)


def unused(x: Any) -> Any:
    x[9]
    return x[0]


def doubling(x: Any) -> Any:
    a = (x, x)
    b = (a, a, a, a, a, a, a, a)
    c = (b, b, b, b, b, b, b, b)
    d = (c, c, c, c, c, c, c, c)
    e = (d, d, d, d, d, d, d, d)
    f = (e, e, e, e, e, e, e, e)
    g = (f, f, f, f, f, f, f, f)
    return (g, g, g, g, g, g, g, g)


def empties(x: Any) -> Any:
    n = FIRST
    a = (n, n)
    b = (a, a, a, a, a, a, a, a)
    c = (b, b, b, b, b, b, b, b)
    d = (c, c, c, c, c, c, c, c)
    e = (d, d, d, d, d, d, d, d)
    f = (e, e, e, e, e, e, e, e)
    return x[(f, f, f, f, f, f, f, f)]


async def later(x: Any) -> Any:
    return x[0]


def closure_over(inner: Any) -> Callable[[Any], Any]:
    return lambda x: inner(x)


weights = Weights()
own_len: Dict[str, Any] = {"__builtins__": {"len": lambda x: -builtins.len(x)}}
UNPROVED: Dict[str, Any] = {
    "module attribute": lambda x: operator.neg(x[0]),
    "method of its own": weights.weigh,
    "object": weights,
    "attribute": lambda x: x.real,
    "global function": lambda x: length(x[0]) if x else 0,
    "closure": closure_over(lambda x: -len(x)),
    "closure over a method": closure_over(weights.weigh),
    "default argument": lambda x, f=weights.weigh: f(x),
    "default argument with a name": (lambda x, *, f=weights.weigh: f(x)),
    "dict of functions": lambda x: functions["other"](x),
    "dict as a default": lambda x, of=weights.of: of[x[0]],
    "comparison": lambda x: x[0] > 1,
    "comparison inside": lambda x: (x[0] == 1, x[1]),
    "identity": lambda x: x is None,
    "containment": lambda x: 1 in x,
    "condition": lambda x: x[0] if x else 0,
    "and": lambda x: x[0] and x[1],
    "not": lambda x: not x,
    "sum": lambda x: x[0] + 1,
    "text": lambda x: f"{x}",
    "slice": lambda x: x[1:],
    "index by length": lambda x: x[len(x)],
    "index by negative length": lambda x: x[-len(x)],
    "index by itself": lambda x: x[x[0]],
    "index of a tuple with itself": lambda x: x[(1, x[0])],
    "element of a text": lambda x: str(x)[0],
    "constant": lambda x: 5,
    "length of a constant": lambda x: len("abc"),
    "upper": lambda x: x.upper(),
    "lower, not called": lambda x: x.lower,
    "lower with an argument": lambda x: x.lower("x"),
    "comprehension": lambda x: [-y for y in x],
    "unpacking": lambda x: (*x,),
    "call of itself": lambda x: x(),
    "try": caught,
    "reduce": wrapped,
    "unused": unused,
    "doubling": doubling,
    "doubling of constants": empties,
    "coroutine": later,
    "partial": functools.partial(operator.getitem, [1]),
    "cmp_to_key": functools.cmp_to_key(lambda a, b: 0),
    "class": Weights,
    "abs": abs,
    "repr": repr,
    "equal to len": Alike(),
    "another len": types.FunctionType((lambda x: len(x)).__code__, own_len),
    "methodcaller": operator.methodcaller("upper"),
    "attrgetter": operator.attrgetter("real"),
    "two arguments": lambda x, y: x,
}


@pytest.mark.parametrize("name", UNPROVED)
def test_untranslatable_keys_are_refused(proxy: Proxy, new_list: NewList, name: str) -> None:
    content = [["b", 1], ["a", 2], ["a", 1]]
    table = new_list(content)
    with pytest.raises(TypeError, match="cannot be translated to data"):
        list_sort(T, UNPROVED[name], False)  # before anything is sent
    with pytest.raises(TypeError, match="cannot be translated to data"):
        table.sort(key=UNPROVED[name])
    assert table == content


def test_no_function(new_list: NewList) -> None:
    for key in (5, "x", [1]):
        with pytest.raises(TypeError, match="not callable"):
            new_list([1]).sort(key=key)  # type: ignore[arg-type]


class Maker:
    """Generates sources of key functions, and elements for which they work or fail."""

    def __init__(self, r: random.Random) -> None:
        self.r = r

    def expression(self, depth: int) -> str:
        if depth == 0:
            return "x"
        inner = self.expression(depth - self.r.randint(1, depth))
        return self.r.choice(self.forms()).replace("?", inner).replace("!", self.expression(depth - 1))

    def forms(self) -> List[str]:
        provable = [
            "?[0]",
            "?[-1]",
            "?[FIRST]",
            "?[i]",
            "-?",
            "len(?)",
            "str(?)",
            "?.lower()",
            "str(?).lower()",
            "(?, !)",
            "[?, !]",
            "-len(?)",
            "(?,)",
        ]
        others = [
            "?[j]",
            "(? < !)",
            "(? == 1)",
            "(? and !)",
            "(? + 1)",
            "abs(?)",
            "g(?)",
            "f(?)",
            "(not ?)",
            "?[0:1]",
            "?[len(!)]",
            "?.upper()",
            "?[!]",
        ]
        return provable * 3 + others

    def function(self) -> Tuple[str, Callable[[Any], Any]]:
        source = self.expression(self.r.randint(1, 3))
        made: Dict[str, Any] = {"FIRST": 1, "g": self.r.choice((len, lambda x: -len(x)))}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "tuple indices must be integers"
            exec(f"def outer(i, f):\n    return lambda x, j={self.r.randrange(2)}: {source}", made)
        return source, made["outer"](self.r.randrange(2), self.r.choice((len, abs, str)))

    def elements(self) -> List[Any]:
        make = self.r.choice(
            (
                lambda: self.r.randint(-3, 3),
                lambda: self.r.choice(("a", "B", "b", "aB", "Ab", "")),
                lambda: [self.r.randint(-2, 2), self.r.choice("aAbB")],
                lambda: (self.r.choice(("ab", "AB", "b")), [self.r.randint(0, 2)] * self.r.randint(1, 3)),
                lambda: [[self.r.randint(0, 1), self.r.randint(0, 1)], [self.r.randint(0, 2)]],
            )
        )
        return [make() for _ in range(self.r.randint(0, 8))]


def outcome(sort: Callable[[], Any]) -> Any:
    try:
        return sort()
    except Exception as e:
        return type(e)


def test_generated_functions(new_list: NewList) -> None:
    """Random key functions: the translated ones do the same as sorted(), errors included."""
    seed = random.randrange(2**32)
    print("seed", seed)
    maker = Maker(random.Random(seed))
    table = new_list()
    taken = refused = 0
    for _ in range(1500):
        source, key = maker.function()
        content = maker.elements()
        try:
            list_sort(T, key, False)
        except TypeError:
            refused += 1
            continue
        taken += 1
        table[:] = content
        reverse = maker.r.random() < 0.3

        def sort() -> List[Any]:
            table.sort(key=key, reverse=reverse)  # noqa: B023
            return table.copy()

        wanted = outcome(lambda: sorted(content, key=key, reverse=reverse))  # noqa: B023
        got = outcome(sort)
        if not (len(content) < 2 and isinstance(wanted, type)):
            assert got == wanted, (source, content)
    assert min(taken, refused) > 200


TAKEN: Dict[str, Any] = {
    "itself": lambda x: x,
    "item": lambda x: x[1],
    "item by a global": lambda x: x[FIRST],
    "item by a default": lambda x, i=1: x[i],
    "negative": lambda x: (-x[1], x[0]),
    "itemgetter": operator.itemgetter(1, 0),
    "text": str,
    "text of an item": lambda x: str(x[0]).lower(),
    "length": len,
    "any number of arguments": lambda *x: x[0][1],
    "nothing": lambda x: (),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken(new_list: NewList, name: str) -> None:
    content = [["b", 1], ["A", 2], ["a", 1], ["B", 0, 0]]
    table = new_list(content)
    table.sort(key=TAKEN[name])
    assert table == sorted(content, key=TAKEN[name])
    names = new_list(["b", "A", "a"])
    for key in (str.lower, operator.methodcaller("lower")):
        names.sort(key=key)
        assert names == ["A", "a", "b"]


def noted(error: Exception) -> Exception:
    vars(error)["__notes__"] = ["a note"]
    return error


TEXTS: List[Any] = [
    OSError(2, "No such file"),
    OSError(2, "No such file", "/etc/x"),
    OSError(18, "Cross-device link", "/a", None, b"/b"),
    TimeoutError("late"),
    noted(ValueError("x", 1)),
    noted(KeyError("k")),
    ImportError("m", name="mod"),
    datetime.time(12, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
    datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
    [
        datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        noted(ValueError(1)),
        PermissionError(13, "No", "/x"),
    ],
]


@pytest.mark.parametrize(
    "value", TEXTS if CPYTHON else TEXTS[:-1], ids=repr
)  # PyPy shows a ZoneInfo without its module
def test_texts_are_pythons(new_list: NewList, value: Any) -> None:
    """The server's str of a value sorts between its neighbours."""
    text = str(value)
    table = new_list([text + "\0", value, text[:-1]])
    table.sort(key=str)
    kinds = [type(one) for one in table]
    assert kinds == [str, type(value), str]
    assert table[0] == text[:-1]
    table[:] = [value, text]
    table.sort(key=str)
    assert table[1] == text
    table[:] = [text, value]
    table.sort(key=str)
    assert table[0] == text
