"""The differential test: random operations on plain dicts and lists and on tables.

Results, errors and contents must be the same.

    python tests/conformance.py [--operations N] [--seed N]

Known differences, which it does not test: nan found by identity (a table never finds it); sorting
of elements without a total order (nan, sets); the content after a failed sort or update (a table is
unchanged); pop of an unhashable key from an empty dict (CPython does not look at the key).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter, OrderedDict, deque
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple
from uuid import UUID

import cyberdb_fast
from cyberdb_fast import ABSENT, CyberDict, CyberList, Proxy, Server, tracked, values

Random = random.Random
NAN = "nan"  # a new object each time, because Python finds the same nan by identity


def keys(r: Random) -> Any:
    """A key out of few. Many are equal to keys of other types, and some are not hashable."""
    return r.choice(
        [
            *(
                0,
                1,
                2,
                -1,
                0.0,
                -0.0,
                1.0,
                2.5,
                True,
                False,
                None,
                "",
                "a",
                "b",
                "1",
                b"",
                b"a",
                (),
                (1,),
                (1.0, "a"),
                ((),),
            ),
            *(
                Decimal(1),
                Decimal("2.50"),
                Fraction(5, 2),
                1 + 0j,
                2j,
                2**53 + 1,
                float(2**53),
                2**100,
                float(2**100),
                -(2**63),
            ),
            *(
                frozenset(),
                frozenset([1, "a"]),
                date(2022, 4, 15),
                datetime(2022, 4, 15),
                datetime(2022, 4, 15, tzinfo=timezone.utc),
            ),
            *(timedelta(1), UUID(int=5), range(0), range(1, 1), "é", "\ud800", float("inf"), float(NAN), ...),
            *([], {}, set(), bytearray(), ([],), (1, {})),
        ]
    )


def scalars(r: Random) -> Any:
    return r.choice([keys, lambda r: r.randint(-5, 5), lambda r: r.random(), lambda r: "x" * r.randint(0, 40)])(r)


def nested(r: Random, depth: int = 3) -> Any:
    """A value of any kind."""
    if depth == 0 or r.random() < 0.6:
        return scalars(r)
    items = [nested(r, depth - 1) for _ in range(r.randint(0, 4))]
    kind = r.randint(0, 6)
    if kind in (0, 1):
        return items
    if kind == 2:
        return tuple(items)
    pairs = [(hashables(r), item) for item in items]
    if kind == 3:
        return dict(pairs)
    if kind == 4:
        return OrderedDict(pairs)
    if kind == 5:
        return deque(items, r.choice([None, 2]))
    return Counter(["a", "b", "a"][: r.randint(0, 3)])


def hashables(r: Random) -> Any:
    while True:
        try:
            key = keys(r)
            hash(key)
        except TypeError:
            continue
        return key


def same(a: Any, b: Any) -> bool:
    """Whether a and b are equal and have the same types throughout."""
    a, b = (tracked.plain(x) if type(x) in tracked.BASE_OF else x for x in (a, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items()))
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(map(same, a, b)) and getattr(a, "maxlen", None) == getattr(b, "maxlen", None)
    if isinstance(a, BaseException):
        return not isinstance(a, KeyError) or same(a.args, b.args)
    return a == b or repr(a) == repr(b)


def holds(value: Any, what: Callable[[Any], bool]) -> bool:
    if isinstance(value, dict):
        return any(holds(x, what) for x in (*value, *value.values()))
    return what(value) or (isinstance(value, (list, tuple, deque)) and any(holds(x, what) for x in value))


def unordered(x: Any) -> bool:
    return isinstance(x, (set, frozenset, Counter)) or x != x


def outcome(do: Callable[[Any], Any], target: Any) -> Any:
    try:
        result = do(target)
    except Exception as e:
        return e
    return "itself" if result is target else result


# ---- operations

# An operation is made twice from the same random numbers, once for each side, so that the sides
# share no object. n is the length of the table; look returns a copy of its content.

Look = Callable[[], Any]
Maker = Callable[[Random, int, Look], Callable[[Any], Any]]


def _assign(target: Any, place: Any, value: Any) -> None:
    target[place] = value


def _remove(target: Any, place: Any) -> None:
    del target[place]


def _increment(r: Random, _n: int, _look: Look) -> Callable[[Any], Any]:
    key, by = hashables(r), r.choice([1, -1, 2.5, 2**70, Decimal(3), Fraction(1, 2), True])

    def do(target: Any) -> Any:
        if isinstance(target, CyberDict):
            return target.increment(key, by)
        if isinstance(target.get(key, 0), (str, bytes, list, tuple, dict, deque, bytearray)):
            raise TypeError
        target[key] = target.get(key, 0) + by
        return target[key]

    return do


def _compare_and_set(r: Random, _n: int, look: Look) -> Callable[[Any], Any]:
    key, new = hashables(r), r.choice([ABSENT, nested(r)])
    old = r.choice([ABSENT, nested(r), look().get(key, ABSENT)])

    def do(target: Any) -> Any:
        if isinstance(target, CyberDict):
            return target.compare_and_set(key, old, new)
        there = target.get(key, ABSENT)
        done = there is ABSENT if old is ABSENT else there is not ABSENT and there == old
        if done and new is not ABSENT:
            target[key] = new
        elif done:
            target.pop(key, None)
        return done

    return do


def _get_many(r: Random, _n: int, _look: Look) -> Callable[[Any], Any]:
    asked = [hashables(r) for _ in range(r.randint(0, 5))]
    return lambda t: t.get_many(asked) if isinstance(t, CyberDict) else {key: t[key] for key in asked if key in t}


def _key(do: Callable[[Any, Any], Any]) -> Maker:
    """An operation with a key."""

    def make(r: Random, _n: int, _look: Look) -> Callable[[Any], Any]:
        key = keys(r)
        return lambda target: do(target, key)

    return make


def _key_and(do: Callable[[Any, Any, Any], Any]) -> Maker:
    """An operation with a key and a value."""

    def make(r: Random, _n: int, _look: Look) -> Callable[[Any], Any]:
        key, value = keys(r), nested(r)
        return lambda target: do(target, key, value)

    return make


def _pairs(do: Callable[[Any, Any], Any]) -> Maker:
    """An operation with items: a dict, pairs, or an argument that is not valid."""

    def make(r: Random, _n: int, _look: Look) -> Callable[[Any], Any]:
        pairs: Any = [(hashables(r), nested(r)) for _ in range(r.randint(0, 4))]
        form = r.randint(0, 9)
        items = [pairs, dict(pairs), OrderedDict(pairs), iter(pairs), 5, [(1, 2, 3)], [1], None, pairs, dict(pairs)][
            form
        ]
        return lambda target: do(target, items)

    return make


def _same_moment(do: Callable[[Any, Any], Any]) -> Maker:
    """An operation with the table's own content, sometimes changed."""

    def make(r: Random, _n: int, look: Look) -> Callable[[Any], Any]:
        other = look()
        if other and r.random() < 0.5:
            other.pop(next(iter(other))) if isinstance(other, dict) else other.pop()
        return lambda target: do(target, other)

    return make


def _plainly(do: Callable[[Any], Any]) -> Maker:
    """An operation without arguments."""
    return lambda r, n, look: do


def _update(target: Any, items: Any) -> None:
    """The reference does all or nothing, as tables do."""
    target.update(dict(items))


def _pop(target: Any, key: Any, *default: Any) -> Any:
    hash(key)
    return target.pop(key, *default)


DICT: List[Tuple[str, int, Maker]] = [
    ("d[k]", 8, _key(lambda t, k: t[k])),
    ("d[k] = v", 12, _key_and(_assign)),
    ("del d[k]", 5, _key(_remove)),
    ("k in d", 4, _key(lambda t, k: k in t)),
    ("len", 2, _plainly(len)),
    ("bool", 1, _plainly(bool)),
    ("get", 4, _key(lambda t, k: t.get(k))),
    ("get default", 4, _key_and(lambda t, k, v: t.get(k, v))),
    ("setdefault", 4, _key_and(lambda t, k, v: t.setdefault(k, v))),
    ("setdefault None", 1, _key(lambda t, k: t.setdefault(k))),
    ("pop", 4, _key(_pop)),
    ("pop default", 3, _key_and(_pop)),
    ("popitem", 3, _plainly(lambda t: t.popitem())),
    ("clear", 1, _plainly(lambda t: t.clear())),
    ("update", 3, _pairs(_update)),
    ("update keywords", 1, _key_and(lambda t, k, v: t.update(a=v, b=v))),
    ("|=", 2, _pairs(lambda t, i: t.__ior__(dict(i)))),
    ("|", 2, _pairs(lambda t, i: t | i)),
    ("reflected |", 2, _pairs(lambda t, i: i | t)),
    ("keys", 1, _plainly(lambda t: list(t.keys()))),
    ("values", 1, _plainly(lambda t: list(t.values()))),
    ("items", 1, _plainly(lambda t: list(t.items()))),
    ("iter", 1, _plainly(list)),
    ("reversed", 1, _plainly(lambda t: list(reversed(t)))),
    ("reversed items", 1, _plainly(lambda t: list(reversed(t.items())))),
    ("in values", 1, _key(lambda t, v: v in t.values())),
    ("in items", 1, _key_and(lambda t, k, v: (k, v) in t.items())),
    ("keys &", 1, _key(lambda t, k: t.keys() & {k})),
    ("==", 2, _same_moment(lambda t, o: t == o)),
    ("!=", 1, _same_moment(lambda t, o: o != t)),
    ("< ", 1, _same_moment(lambda t, o: t < o)),
    ("copy", 1, _plainly(lambda t: t.copy())),
    ("increment", 3, _increment),
    ("compare_and_set", 3, _compare_and_set),
    ("get_many", 2, _get_many),
]


def indexes(r: Random, n: int) -> Any:
    if r.random() < 0.06:
        return r.choice(["a", 1.5, None, True, False, 2**70, -(2**70), [], b""])
    return r.randint(-n - 2, n + 1)


def slices(r: Random, n: int) -> slice:
    ends = [None, *(r.randint(-n - 3, n + 3) for _ in range(3)), 2**70, -(2**70)]
    step = r.choice([None, None, None, 1, -1, 2, -2, 3, 0, 2**70, True]) if r.random() < 0.97 else r.choice(["a", 1.5])
    return slice(r.choice(ends), r.choice(ends), step)


def _at(place: Callable[[Random, int], Any], do: Callable[[Any, Any], Any]) -> Maker:
    def make(r: Random, n: int, _look: Look) -> Callable[[Any], Any]:
        at = place(r, n)
        return lambda target: do(target, at)

    return make


def _some(r: Random, n: int, look: Look) -> Any:
    """An element of the list, or any value."""
    content = look()
    return content[r.randrange(n)] if n and r.random() < 0.5 else Comparison.profile(r)


def _element(do: Callable[..., Any], *places: Callable[[Random, int], Any]) -> Maker:
    def make(r: Random, n: int, look: Look) -> Callable[[Any], Any]:
        value, arguments = _some(r, n, look), [place(r, n) for place in places]
        return lambda target: do(target, value, *arguments)

    return make


def _many(do: Callable[..., Any], *places: Callable[[Random, int], Any]) -> Maker:
    """An operation with several values in an iterable, or with an argument that is not iterable."""

    def make(r: Random, n: int, _look: Look) -> Callable[[Any], Any]:
        arguments = [place(r, n) for place in places]
        items = [Comparison.profile(r) for _ in range(r.choice([0, 1, 1, 2, 3, n]) if n < 40 else r.randint(0, 2))]
        held: Any = r.choice([list, list, list, tuple, iter, deque])(items)
        held = r.choice([held] * 12 + ["ab", range(2), {1: 2}, b"ab", 5, None])
        return lambda target: do(target, held, *arguments)

    return make


def _extend(target: Any, items: Any) -> None:
    """The reference does all or nothing, as tables do."""
    target.extend([item for item in items])  # noqa: C416


def _sort(r: Random, _n: int, look: Look) -> Callable[[Any], Any]:
    key = r.choice(
        [
            None,
            None,
            itemgetter(0),
            lambda x: x[1],
            lambda x: (x[1], -x[0]),
            lambda x: -x,
            len,
            str,
            lambda x: x.lower(),
        ]
    )
    reverse = r.choice([False, True, 0, 1])
    if holds(look(), unordered):
        return lambda target: None  # sort algorithms differ for elements without a total order

    def do(target: Any) -> None:
        if isinstance(target, CyberList):
            target.sort(key=key, reverse=reverse)  # type: ignore[arg-type]
        else:
            target[:] = sorted(target, key=key, reverse=reverse)  # type: ignore[arg-type]

    return do


def _times(r: Random, n: int, _look: Look) -> Callable[[Any], Any]:
    times = r.choice([-1, 0, 1, 2 if n < 40 else 1, "a", 1.5])
    return lambda t: t.__imul__(times) if isinstance(times, int) else t * times


LIST: List[Tuple[str, int, Maker]] = [
    ("l[i]", 6, _at(indexes, lambda t, i: t[i])),
    ("l[i] = v", 5, _element(lambda t, v, i: _assign(t, i, v), indexes)),
    ("del l[i]", 4, _at(indexes, _remove)),
    ("l[a:b:c]", 4, _at(slices, lambda t, i: t[i])),
    ("l[a:b:c] = ...", 4, _many(lambda t, v, i: _assign(t, i, v), slices)),
    ("del l[a:b:c]", 3, _at(slices, _remove)),
    ("append", 8, _element(lambda t, v: t.append(v))),
    ("extend", 4, _many(_extend)),
    ("insert", 5, _element(lambda t, v, i: t.insert(i, v), indexes)),
    ("pop", 3, _plainly(lambda t: t.pop())),
    ("pop(i)", 3, _at(indexes, lambda t, i: t.pop(i))),
    ("remove", 3, _element(lambda t, v: t.remove(v))),
    ("count", 2, _element(lambda t, v: t.count(v))),
    ("index", 2, _element(lambda t, v: t.index(v))),
    ("index(v, a)", 1, _element(lambda t, v, a: t.index(v, a), indexes)),
    ("index(v, a, b)", 2, _element(lambda t, v, a, b: t.index(v, a, b), indexes, indexes)),
    ("in", 2, _element(lambda t, v: v in t)),
    ("len", 1, _plainly(len)),
    ("bool", 1, _plainly(bool)),
    ("iter", 1, _plainly(list)),
    ("reversed", 1, _plainly(lambda t: list(reversed(t)))),
    ("reverse", 2, _plainly(lambda t: t.reverse())),
    ("sort", 4, _sort),
    ("clear", 1, _plainly(lambda t: t.clear())),
    ("copy", 1, _plainly(lambda t: t.copy())),
    ("==", 2, _same_moment(lambda t, o: t == o)),
    ("<", 1, _same_moment(lambda t, o: t < o)),
    (">=", 1, _same_moment(lambda t, o: t >= o)),
    ("+", 1, _many(lambda t, v: t + v)),
    ("reflected +", 1, _many(lambda t, v: v + t if isinstance(v, list) else None)),
    ("+=", 2, _many(lambda t, v: t.__iadd__([item for item in v]))),  # noqa: C416
    ("*", 1, _times),
]


class Comparison:
    """Runs operations on a model and a table side by side."""

    profile: Callable[[Random], Any] = nested  # makes the list elements of this episode

    def __init__(self, proxy: Proxy, seed: int, dict_type: Any = CyberDict, list_type: Any = CyberList) -> None:
        self._r = Random(seed)
        self._proxy = proxy
        self._types: Dict[str, Any] = {"dict": dict_type, "list": list_type}
        self._names = (f"conformance {seed} {n}" for n in count())
        self.operations = 0
        self.differences: List[str] = []

    def run(self, operations: int, stop_at: int = 10) -> None:
        """Runs until the given number of operations or differences."""
        while self.operations < operations and len(self.differences) < stop_at:
            self._episode(
                self._r.choice(["dict", "list"]), min(self._r.randint(50, 2000), operations - self.operations)
            )

    def _episode(self, kind: str, length: int) -> None:
        """One new table; the episode ends with the first difference."""
        name = next(self._names)
        getattr(self._proxy, f"create_cyber{kind}")(name)
        table = self._types[kind](self._proxy, name)
        model: Any = {} if kind == "dict" else []
        choices = DICT if kind == "dict" else LIST
        weights = [weight for _, weight, _ in choices]
        Comparison.profile = staticmethod(self._r.choice(PROFILES))
        known = len(self.differences)
        for n in range(length):
            what, _, make = self._r.choices(choices, weights)[0]
            self._step(what, make, model, table)
            if n % 64 == 63 or n == length - 1:
                self._compare("the content", model, _content(model), outcome(_content, table))
            if len(self.differences) > known:
                break
            if len(model) > 200:
                model.clear()
                table.clear()
        self._proxy.delete_table(name)

    def _step(self, what: str, make: Maker, model: Any, table: Any) -> None:
        self.operations += 1
        seed, n, before = self._r.getrandbits(64), len(model), values.encode(model)

        def look() -> Any:
            return tracked.plain(values.decode(before))

        wanted = outcome(make(Random(seed), n, look), model)
        self._compare(what, look(), wanted, outcome(make(Random(seed), n, look), table))

    def _compare(self, what: str, where: Any, wanted: Any, got: Any) -> None:
        if not same(wanted, got):
            self.differences.append(f"{what}: wanted {wanted!r}, got {got!r}, on {where!r}"[:2000])


def _content(target: Any) -> List[Any]:
    return list(target.items()) if isinstance(target, (dict, CyberDict)) else list(target)


PROFILES: List[Callable[[Random], Any]] = [
    lambda r: r.choice([r.randint(-9, 9), r.random(), True, Decimal(r.randint(0, 5)), 2**70]),
    lambda r: r.choice("abcéA") * r.randint(0, 3),
    lambda r: (r.randint(0, 3), r.choice("xyZ")),
    nested,
    nested,
]


def main() -> int:
    parser = argparse.ArgumentParser(description="random operations on plain dicts and lists and on tables")
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    print(f"conformance: seed {arguments.seed}, Python {sys.version.split()[0]}", flush=True)
    os.environ.setdefault("CYBERDB_FAST_BINARY", str(Path(__file__).resolve().parents[3] / "bin" / "cyberdb-fast"))
    with tempfile.TemporaryDirectory() as directory, Server(directory) as server:
        server.start(port=0, password="conformance")
        with cyberdb_fast.connect(server.url, password="conformance") as client, client.get_proxy() as proxy:
            comparison = Comparison(proxy, arguments.seed)
            comparison.run(arguments.operations)
    for difference in comparison.differences:
        print(difference)
    print(f"conformance: {comparison.operations} operations, {len(comparison.differences)} differences")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
