"""The keys under which cached keeps results: the same in every process."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
import types
from typing import Any, Callable, List

import pytest

from conftest import CPYTHON
from cyberdb_fast import aio, cached, connect
from cyberdb_fast.computing import default_key

builtins_differ = pytest.mark.skipif(not CPYTHON, reason="PyPy's builtins have other signatures")


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


def test_functions_of_other_modules_have_other_keys_where_a_decorator_or_a_partial_has_them() -> None:
    def logged(function: Any) -> Any:
        def wrapper(x: Any) -> Any:
            return function(x)

        return wrapper

    def module(name: str) -> Any:
        made: Any = types.ModuleType(name)
        exec("def url(x): return BASE", made.__dict__)
        return made

    one, other = module("one"), module("other")
    for decorate in (logged, functools.partial):
        assert key(decorate(one.url), 1) == key(decorate(module("one").url), 1)
        assert key(decorate(one.url), 1) != key(decorate(other.url), 1)


class Times:
    """Its objects can be called, but are no values of a table."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, x: int) -> int:
        return self.n * x

    def method(self, x: int) -> int:
        return self.n * x

    @classmethod
    def of_class(cls, x: int) -> int:
        return x


class MoreTimes(Times):
    pass


def scale(n: int) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(x: int) -> Any:
            return n * function(x)

        return wrapper

    return decorate


def with_helper(n: int, **options: int) -> Callable[[int], Any]:
    def helper(x: int, n: int = n, *, m: int = options.get("m", 0)) -> int:
        return x * n + m

    return lambda x: helper(x)


def double(x: int) -> int:
    return 2 * x


def triple(x: int) -> int:
    return 3 * x


def late(function: Any) -> Any:
    """A decorator whose wrapper has no variables."""

    def wrapper(x: int) -> Any:
        return wrapper.__wrapped__(x)  # type: ignore[attr-defined]

    return functools.wraps(function)(wrapper)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (scale(2)(double), scale(3)(double)),
        (scale(2)(double), scale(2)(triple)),
        (scale(2)(scale(3)(double)), scale(2)(scale(4)(double))),
        (late(with_helper(1)), late(with_helper(2))),
        (with_helper(1), with_helper(2)),
        (with_helper(1), with_helper(1, m=1)),
        (functools.partial(scale(2)(double)), functools.partial(scale(3)(double))),
        (functools.partial(pow, 2), functools.partial(pow, 3)),
        (functools.partial(double, x=1), functools.partial(double, x=2)),
        pytest.param("ab".strip, "aab".strip, marks=builtins_differ),
        (Times.of_class, MoreTimes.of_class),
        (functools.lru_cache(with_helper(1)), functools.lru_cache(with_helper(2))),
        (scale(True)(double), scale(1)(double)),
    ],
)
def test_functions_that_differ_have_different_keys(one: Any, other: Any) -> None:
    arguments = ((), {"x": 1}) if getattr(one, "keywords", None) else (("5",), {})
    assert default_key(one)(*arguments) == default_key(one)(*arguments)
    assert default_key(one)(*arguments) != default_key(other)(*arguments)


def closing_over(value: Any) -> Callable[[], Any]:
    return lambda: value


def local_class() -> type:
    class Local:
        pass

    return Local


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (Times(2), "this Times is a Times"),
        (Times(2).method, "the object of the method Times.method is a Times"),
        (functools.partial(Times(2).method), "the object of the method Times.method is a Times"),
        (functools.partial(Times(2)), "this partial is a Times"),
        (closing_over(Times(2)), "'value' of the closure of .*lambda.* is a Times"),
        (closing_over([{1: Times(2)}]), "'value' of the closure of .*lambda.* is a Times"),
        (closing_over(local_class()), "is the class local_class.<locals>.Local of a function"),
        (scale(2)(functools.partial(double, Times(2))), "the arguments of .* is a Times"),
        pytest.param(getattr, "getattr does not say what its arguments are", marks=builtins_differ),
        (type, "type does not say what its arguments are"),
    ],
)
def test_functions_without_a_key_are_type_errors_that_name_them(function: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named) as caught:
        default_key(function)((), {})
    assert str(caught.value).endswith("give key=")


def test_arguments_without_a_key_are_type_errors_that_name_them() -> None:
    with pytest.raises(TypeError, match="argument 'self' of Times.method is a Times, which has no key: give key="):
        key(Times.method, Times(2), 1)
    with pytest.raises(TypeError, match=r"argument 'width' of area is no key: unhashable type: 'list': give key="):
        key(area, [1])
    with pytest.raises(TypeError, match="argument 'more' of area is a tuple, which has no key: give key="):
        key(area, 1, 2, Times(2))


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
import collections
from cyberdb_fast.computing import default_key
def make():
    variables = {"d", "e", "f"}, [{1: {"g", "h"}}], collections.deque([frozenset({"i", "j", ("o", "p")})])
    def f(x, names=frozenset({"a", "b", "c"})):
        y = {"r", "s", "t"}
        return x in {"k", "l", "m", "n"} or (lambda z: z)(x) or variables
    return f
print(default_key(make())((1,), {})[2].hex())
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

    assert len({printed(seed) for seed in range(1, 6)} - {""}) == 1


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
