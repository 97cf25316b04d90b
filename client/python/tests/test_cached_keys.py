"""The keys under which cached keeps results: the same in every process."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from typing import Any, Callable, List

import pytest

from cyberdb_fast import aio, cached, connect
from cyberdb_fast.computing import default_key


def key(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return default_key(function)(args, kwargs)


def area(width: int, height: int = 2, *more: int, unit: str = "m", **rest: Any) -> Any: ...


def test_a_call_has_one_key_however_it_is_written() -> None:
    assert key(area, 1) == key(area, 1, 2) == key(area, width=1, unit="m") == key(area, height=2, width=1)
    assert key(area, 1, a=1, b=2) == key(area, 1, b=2, a=1)
    keys = [key(area, 1), key(area, 2), key(area, 1, 3), key(area, 1, 2, 3), key(area, 1, unit="k"), key(area, 1, a=1)]
    assert len(set(keys)) == len(keys)


def test_a_call_that_does_not_fit_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="width"):
        key(area)


@pytest.mark.parametrize("argument", [[1], {}, {1}, ([],)])
def test_arguments_that_are_not_hashable(argument: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        key(area, argument)


def test_lambdas_and_nested_functions_differ_by_code_and_closure() -> None:
    def adder(n: Any) -> Callable[[int], int]:
        return lambda x: x + n

    assert key(adder(1), 5) == key(adder(1), 5)
    assert key(adder(1), 5) != key(adder(2), 5)
    two: List[Callable[[int], int]] = [lambda x: x + 1, lambda x: x + 2]
    assert key(two[0], 5) != key(two[1], 5)
    assert key(adder(area), 5) != key(adder(adder), 5)  # functions in a closure count by their code
    assert key(adder(int), 5) != key(adder(str), 5)
    assert key(functools.partial(area, 1)) != key(functools.partial(area, 2))


def test_a_function_that_refers_to_itself() -> None:
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert key(factorial, 3) == key(factorial, 3)


def test_a_closure_without_a_key_is_a_type_error_that_names_the_variable() -> None:
    socket = object()

    def ask() -> Any:
        return socket

    with pytest.raises(TypeError, match="'socket' of the closure of .*ask is a object, which has no key: give key="):
        key(ask)


PROGRAM = """
from cyberdb_fast.computing import default_key
def f(x, names=frozenset({"a", "b", "c"})):
    y = {"r", "s", "t"}
    return x in {"k", "l", "m", "n"} or (lambda z: z)(x)
print(default_key(f)((1,), {})[2].hex())
"""


def test_a_key_is_the_same_in_every_process() -> None:
    def printed(seed: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert printed(1) == printed(2) == printed(3) != ""


def test_functions_that_cannot_be_cached() -> None:
    client = connect(password="x", check=False)

    async def coroutine() -> None: ...

    def generator() -> Any:
        yield 1

    with pytest.raises(TypeError, match="needs a client of cyberdb_fast.aio"):
        cached(client)(coroutine)
    with pytest.raises(TypeError, match="generator"):
        cached(client)(generator)
    with pytest.raises(TypeError, match="not a int"):
        cached(client)(1)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="async def"):
        cached(aio.Client(client._settings))(area)
    client.close()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ttl": 0}, ValueError, "ttl"),
        ({"ttl": "1"}, TypeError, "ttl"),
        ({"stale": 1}, ValueError, "stale needs a ttl"),
        ({"ttl": 1, "stale": -1}, ValueError, "stale"),
        ({"ttl": 1, "stale": float("nan")}, ValueError, "stale"),
        ({"lease": 0}, ValueError, "lease"),
        ({"lease": True}, ValueError, "lease"),
    ],
)
def test_bad_times(options: Any, error: Any, text: str) -> None:
    client = connect(password="x", check=False)
    with pytest.raises(error, match=text):
        cached(client, **options)
    client.close()
