"""Generates the methods of tables from methods.py; see there.

`.ci/python generate` runs it and formats the result.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, TypeVar

HERE = Path(__file__).parent
F = TypeVar("F", bound=Callable[..., Any])


def only(*kinds: str) -> Callable[[F], F]:  # noqa: ARG001 # read from the source
    """The kinds of table that have the method: sync, aio, pipeline."""
    return lambda method: method


def python(name: str) -> Callable[[F], F]:  # noqa: ARG001
    """The name of the method for sync tables, which Python itself calls."""
    return lambda method: method


def waits(method: F) -> F:
    """Marks a method whose request waits in the server."""
    return method


class Kind(NamedTuple):
    """One kind of table, and how its methods send requests."""

    name: str
    doc: str
    result: str  # format of the result type
    send: str  # the function that sends the request
    base: str  # the class that has send
    needs: str  # the import of base


KINDS = (
    Kind("sync", "CyberDict and CyberList", "{}", "self._perform", "Handle", "from .table import Handle"),
    Kind(
        "aio",
        "the tables of cyberdb_fast.aio",
        "Awaitable[{}]",
        "self._perform",
        "Handle",
        "from .aio_table import Handle",
    ),
    Kind(
        "pipeline",
        "the tables of a pipeline",
        "Result[{}]",
        "self._add",
        "Adding",
        "from .result import Adding, Result",
    ),
)

HEADER = '''"""The methods of {doc}.

Generated from methods.py by `.ci/python generate`: do not edit.
"""

# pyright: strict
from __future__ import annotations

import sys
from typing import (Any, Awaitable, Callable, Dict, Generic, Iterable, List, Mapping, Optional, SupportsIndex, Tuple,
    TypeVar, Union, cast, overload)

from . import dict_requests, list_requests, requests
from .expiry import Duration
from .replies import ABSENT, MISSING, Missing
from .table import Items, as_dict, as_list, updates
{needs}

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
'''


# Interrupts may come until the method returns.
WAITING = """\
        request = {}
        try:
            return self._perform_waiting(request)
        except BaseException:
            self._withdraw(request)
            raise
"""


def marks(method: ast.FunctionDef) -> Dict[str, List[Any]]:
    """The decorators of a method and their arguments."""
    found: Dict[str, List[Any]] = {}
    for decorator in method.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name):
            found[decorator.func.id] = [ast.literal_eval(argument) for argument in decorator.args]
        elif isinstance(decorator, ast.Name):
            found[decorator.id] = []
        else:
            raise SystemExit(f"methods.py, line {decorator.lineno}: an unknown decorator")
    return found


def without_examples(doc: str) -> str:
    """A docstring without its examples, which are calls of the methods of sync tables."""
    kept = [paragraph.rstrip() for paragraph in doc.split("\n\n") if not paragraph.lstrip().startswith(">>>")]
    return "\n\n".join(kept) + ("\n        " if len(kept) > 1 else "")


def method_lines(kind: Kind, method: ast.FunctionDef) -> Iterator[str]:
    """The lines of the method for a kind of table; none if it lacks the method."""
    marked = marks(method)
    if kind.name not in marked.get("only", [kind.name]):
        return
    name, doc = method.name, ast.get_docstring(method, clean=False)
    if kind.name == "sync" and "python" in marked:
        (name,) = marked["python"]
    if method.returns is None:
        raise SystemExit(f"methods.py, line {method.lineno}: {method.name} has no type")
    result = ast.unparse(method.returns)
    signature = f"def {name}({ast.unparse(method.args)}) -> {kind.result.format(result)}:"
    if "overload" in marked:
        yield from ("    @overload", f"    {signature} ...")
        return
    last = method.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        raise SystemExit(f"methods.py, line {method.lineno}: {method.name} does not end with a return of its request")
    yield f"    {signature}"
    if doc is not None:
        yield f'        """{doc if kind.name == "sync" else without_examples(doc)}"""'
    if kind.name == "sync" and "waits" in marked:
        yield WAITING.format(ast.unparse(last.value))
        return
    send = "self._perform_waiting" if "waits" in marked and kind.name != "pipeline" else kind.send
    sent = f"{send}({ast.unparse(last.value)})"
    if kind.name == "sync" and result == "V":
        sent = f"cast(V, {sent})"
    if kind.name != "sync" or result != "None":
        sent = f"return {sent}"
    yield from (f"        {sent}", "")


def module(kind: Kind, classes: List[ast.ClassDef]) -> str:
    """The module with all methods of a kind of table."""
    lines = [HEADER.format(doc=kind.doc, needs=kind.needs)]
    for described in classes:
        lines += [
            "",
            f"class {described.name}({kind.base}, {', '.join(map(ast.unparse, described.bases))}):",
            f'    """The methods of {kind.doc}."""',
            "",
        ]
        if kind.name == "sync":
            lines += ["    __slots__ = ()", ""]
        for method in described.body:
            if isinstance(method, ast.FunctionDef):
                lines += method_lines(kind, method)
    return "\n".join(lines)


def main() -> None:
    """Writes the modules into the directory that is the first argument."""
    tree = ast.parse((HERE / "methods.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for kind in KINDS:
        (Path(sys.argv[1]) / f"methods_{kind.name}.py").write_text(module(kind, classes))


if __name__ == "__main__":
    main()
