"""Values of maximum nesting in threads with small stacks: 512 KiB on macOS, 128 KiB with musl."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict, defaultdict, deque
from typing import Any, Callable, Dict, List

import pytest

from conftest import PASSWORD
from cyberdb_fast import CyberDict, Server, TooLarge, values

Table = CyberDict[Any, Any]

WRAPS: Dict[str, Callable[[Any], Any]] = {
    "tuple": lambda inner: (inner,),
    "list": lambda inner: [inner],
    "dict": lambda inner: {"k": inner},
    "set": lambda inner: frozenset([inner]),
    "list of tuples": lambda inner: [(inner, 1), (2, 3)],
    "deque": lambda inner: deque([inner], 3),
    "OrderedDict": lambda inner: OrderedDict(k=inner),
    "defaultdict": lambda inner: defaultdict(list, k=inner),
    "exception": lambda inner: ValueError(inner),
    "slice": lambda inner: slice(inner),
    "dict with tuples for keys": lambda inner: {(1, (2, 3)): (inner,)},
    "bytearray next to it": lambda inner: [bytearray(b"x"), inner],
}
DEPTHS = {
    "list of tuples": 63,
    "dict with tuples for keys": 63,
    "defaultdict": 63,
    "set": 15,
}  # two levels each; keys have a limit of 16

SCRIPT = """
import sys, threading
from cyberdb_fast import connect
from test_nested import DEPTHS, WRAPS

name, size = sys.argv[2], int(sys.argv[3])
threading.stack_size(size)

def use():
    value = None
    for _ in range(DEPTHS.get(name, 127)):
        value = WRAPS[name](value)
    with connect(sys.argv[1], password=sys.argv[4]) as client, client.get_proxy() as proxy:
        table = proxy.create_cyberdict(f"nested {name} {size}")
        table["k"] = value
        read = table["k"]
        assert type(read) is type(value)
        for kind in (dict, list):
            assert len(kind(table.values() if kind is list else table)) == 1
        table["k"] = read
        sys.stdout.write("read and written\\n")

thread = threading.Thread(target=use)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("kibibytes", [128, 512])
@pytest.mark.parametrize("name", WRAPS)
def test_small_stacks(server: Server, name: str, kibibytes: int, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, "-c", SCRIPT, server.url, name, str(kibibytes << 10), PASSWORD]
    done = subprocess.run(command, cwd=request.path.parent, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "read and written\n"), done.stderr


def levels(value: Any) -> int:
    """The nesting depth of lists and tuples, without the recursion of a comparison."""
    depth = 0
    while isinstance(value, (list, tuple)):
        value = value[0]
        depth += 1
    return depth


def test_the_limit_is_that_of_the_server(d: Table) -> None:
    for kinds in ((list,), (tuple,), (list, tuple), (tuple, tuple, list)):
        value: Any = None
        for depth in range(1, 131):
            value = kinds[depth % len(kinds)]([value])
            if depth <= 128:
                d["k"] = value
                assert levels(d["k"]) == depth
            else:
                with pytest.raises(ValueError, match="nested more than 128"):
                    d["k"] = value


def test_what_holds_itself(d: Table) -> None:
    one: List[Any] = []
    one.append(one)
    two: List[Any] = [[], []]
    two[0].append(two)
    two[1].append(two)
    in_tuple: Any = ([],)
    in_tuple[0].append(in_tuple)
    in_dict: Dict[str, Any] = {}
    in_dict["me"] = OrderedDict(me=in_dict)
    error = ValueError()
    error.args = ([error],)
    for loop in (one, two, in_tuple, in_dict, error, {"k": (one,)}, deque([one])):
        with pytest.raises(ValueError, match="nested more than 128|limit is"):
            d["k"] = loop
    assert len(d) == 0


def test_what_is_shared_is_copied_and_bounded(d: Table) -> None:
    shared: Any = [1]
    d["k"] = ([shared, shared], (shared,), {"a": shared})
    assert d["k"] == ([[1], [1]], ([1],), {"a": [1]})
    for make in (lambda inner: [inner, inner], lambda inner: (inner, inner), lambda inner: [(inner,), [inner]]):
        value: Any = ("x" * 100,)
        for _ in range(40):
            value = make(value)
        with pytest.raises(TooLarge):
            d["k"] = value


def test_wide_values(d: Table) -> None:
    for value in (
        [((n, (n, str(n))), {"a": [n, (n,)]}) for n in range(2000)],
        {(n, (n,)): [{(n,): bytearray(b"x")}] for n in range(500)},
        ({frozenset({(1, (2,))}): OrderedDict([((1, (2,)), {3, (4, (5,))})])}, slice((1, (2,)), None, [((),)])),
    ):
        d["k"] = value
        assert d["k"] == value
        assert repr(d["k"]) == repr(value)
        assert values.encode(d["k"]) == values.encode(value)
