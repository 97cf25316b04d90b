"""CyberList against a real server: the methods of list, and its own."""

from __future__ import annotations

import functools
import operator
import random
from typing import Any, Callable

import pytest

from cyberdb_fast import CyberList

New = Callable[..., CyberList[Any]]


def test_pop_returns_the_value(new_list: New) -> None:
    table = new_list([0, None, "x"])
    assert (table.pop(), table.pop(0), table.popleft()) == ("x", 0, None)
    with pytest.raises(IndexError, match="pop from empty list"):
        table.pop()


def test_slices(new_list: New) -> None:
    table = new_list(range(10))
    assert table[2:8:2] == [2, 4, 6]
    assert table[::-1][0] == 9
    table[1:4] = "ab"
    assert table == [0, "a", "b", 4, 5, 6, 7, 8, 9]
    table[::3] = [-1, -2, -3]
    del table[::2]
    assert table == ["a", -2, 6, 8]
    with pytest.raises(ValueError, match="size 1 to extended slice of size 2"):
        table[::2] = [1]
    with pytest.raises(TypeError, match="can only assign an iterable"):
        table[0:1] = 5


def test_wrong_indexes(new_list: New) -> None:
    table = new_list([1, 2])
    for index in ("a", 1.0, None):
        with pytest.raises(TypeError, match=f"list indices must be integers or slices, not {type(index).__name__}"):
            table[index]  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="list index out of range"):
        table[2]
    with pytest.raises(IndexError, match="index-sized"):
        table[2**70]
    with pytest.raises(OverflowError):
        table.insert(2**70, 1)
    assert table[-(2**70) : 2**70] == [1, 2]


def test_operators(new_list: New) -> None:
    table = new_list([1, 2])
    table += [3]
    table += table
    assert table == [1, 2, 3, 1, 2, 3]
    table *= 2
    assert len(table) == 12
    table *= 0
    assert table == []
    table.extend(new_list([1, 2]))
    assert table + [3] == [0][:0] + [1, 2, 3]
    assert [0] + table == [0, 1, 2]
    assert table * 2 == 2 * table == [1, 2, 1, 2]
    assert table < [1, 3]
    assert table >= [1, 2]
    assert list(reversed(table)) == [2, 1]
    with pytest.raises(TypeError):
        table + (1,)


RECORDS = [(i % 3, "aBc"[i % 3] * (i % 5), -i) for i in range(30)]
FIRST = 0
NAMES = ["a", "b"]


def second(x: Any) -> Any:
    return x[1] if type(x) is tuple else x


KEYS: list[Callable[[Any], Any]] = [
    lambda x: x[0],
    lambda x: x[FIRST],
    lambda x: -x[0],
    lambda x: (x[0], -x[2]),
    lambda x: [-x[0], x[1]],
    lambda x: len(x[1]),
    lambda x: (-len(x[1]), x[1].lower()),
    lambda x: str(x[2]),
    lambda x: str(x),
    lambda x: str(x[1]).lower(),
    operator.itemgetter(1),
    operator.itemgetter(1, -1),
    str,
    len,
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("reverse", [False, True])
def test_sort_keys(new_list: New, key: Callable[[Any], Any], reverse: bool) -> None:
    records = RECORDS[:]
    random.Random(1).shuffle(records)
    table = new_list(records)
    table.sort(key=key, reverse=reverse)
    assert table == sorted(records, key=key, reverse=reverse)


def test_sort_by_names_and_defs(new_list: New) -> None:
    def by_age(person: Any) -> Any:
        return person["age"]

    table = new_list([{"age": 3}, {"age": 1}])
    table.sort(key=by_age)
    assert table == [{"age": 1}, {"age": 3}]
    table.clear()
    table.extend(["b", "A"])
    table.sort(key=str.lower)
    assert table == ["A", "b"]


@pytest.mark.parametrize(
    "key",
    [
        lambda x: x[0] + 1,
        lambda x: x[0] == 1,
        lambda x: x[1:],
        lambda x: x.name,
        lambda x: 0,
        lambda x: len(x) + 1,
        lambda x: x[0] if x else 0,
        lambda x: x[x[0]],
        lambda x: f"{x}",
        lambda x: random.random(),
        lambda: 0,
        lambda x: len(x) * 2,
        lambda x: str(x) + "",
        lambda x: sorted(x),
        lambda x: not x[0],
        lambda x: {x[0]: 1},
        lambda x: isinstance(x, tuple),
        lambda x: x[0] if type(x) is tuple else x,
        lambda x: str(type(x)),
        lambda x: NAMES.index(x[1]),
        lambda x: second(x),
        functools.partial(operator.getitem),
    ],
)
def test_sort_keys_that_are_code(new_list: New, key: Any) -> None:
    table = new_list([(2, "b"), (1, "a")])
    with pytest.raises(TypeError, match="the server runs no code"):
        table.sort(key=key)
    assert table == [(2, "b"), (1, "a")]


def test_sort_errors_leave_the_list_whole(new_list: New) -> None:
    table = new_list([3, "a", 1])
    with pytest.raises(TypeError, match="'<' not supported between instances of 'str' and 'int'"):
        table.sort()
    with pytest.raises(TypeError, match="not callable"):
        table.sort(key=5)  # type: ignore[arg-type]
    assert table == [3, "a", 1]


def test_search(new_list: New) -> None:
    table = new_list([1, True, 1.0, "a"])
    assert (table.count(1), table.index(1, 1), table.index("a", -1)) == (3, 1, 3)
    assert "a" in table
    assert None not in table
    with pytest.raises(ValueError, match="not in list"):
        table.index("a", 0, 2)
    with pytest.raises(ValueError, match=r"list.remove\(x\): x not in list"):
        table.remove("zz")
    table.appendleft(0)
    table.reverse()
    assert table == ["a", 1, True, 1, 0]
