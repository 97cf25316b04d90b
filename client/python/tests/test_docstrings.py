"""Docstrings: what is public has one, is on a page of the documentation, and its examples run."""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import re
import textwrap
from itertools import groupby
from typing import Any, Dict, Iterator, List, Tuple

import pytest

import cyberdb_fast
from conftest import PASSWORD, ROOT
from cyberdb_fast import Server, aio

AIO = ("Client", "CyberDict", "CyberList", "Lock", "Pipeline", "Proxy", "Subscription", "connect")
PAGES = ROOT / "docs/api"


def public() -> Iterator[Tuple[str, Any]]:
    """What users import, and its methods, by name."""
    named = [("", cyberdb_fast, cyberdb_fast.__all__), ("aio.", aio, AIO)]
    yield from (("cyberdb_fast", cyberdb_fast), ("aio", aio))
    for prefix, module, names in named:
        for name in names:
            found = getattr(module, name)
            yield prefix + name, found
            if inspect.isclass(found):
                for method, what in inspect.getmembers(found):
                    if not method.startswith("_") and _is_ours(what):
                        yield f"{prefix}{name}.{method}", what


def _is_ours(what: Any) -> bool:
    """Whether it is a method or property of this package, and not one of Python's own classes."""
    function = getattr(what, "fget", what)
    return str(getattr(function, "__module__", "")).startswith("cyberdb_fast")


def test_whatever_is_public_has_a_docstring() -> None:
    found = dict(public())
    assert len(found) > 300
    assert [name for name, what in found.items() if not (what.__doc__ or "").strip()] == []


def test_whatever_is_public_is_on_a_page() -> None:
    pages = "".join(page.read_text() for page in PAGES.glob("*.rst"))
    documented = set(re.findall(r"^\.\. auto\w+:: cyberdb_fast\.([\w.]+)$", pages, re.MULTILINE))
    errors = {name for name in cyberdb_fast.__all__ if getattr(cyberdb_fast, name).__module__ == "cyberdb_fast.errors"}
    names = {*cyberdb_fast.__all__, *(f"aio.{name}" for name in AIO)} - errors
    assert names - documented == set(), f"add them to a page in {PAGES}"
    assert "errors" in documented


def examples_of(doc: str) -> List[str]:
    """The indented paragraphs of a docstring, as code.

    After a single line of text, Python takes the indentation of what follows for that of the
    docstring: then only a session, with >>>, is an example.
    """
    paragraphs = inspect.cleandoc(doc).split("\n\n")
    parts = groupby(paragraphs, key=lambda paragraph: paragraph.startswith(("    ", ">>>")))
    return [textwrap.dedent("\n\n".join(part)) for is_code, part in parts if is_code]


EXAMPLES = {
    f"{name} {number}": code
    for name, what in {id(what.__doc__): (name, what) for name, what in public()}.values()
    for number, code in enumerate(examples_of(what.__doc__ or ""))
}


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(str(tmp_path_factory.mktemp("examples"))) as server:
        server.start(port=0, password=PASSWORD)
        yield server


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With d, an empty dict, and l, an empty list, on a server without other tables."""
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    port = own_server.url.rpartition(":")[2]
    code = EXAMPLES[name].replace("9980", port).replace('password="..."', f"password={PASSWORD!r}")
    with cyberdb_fast.connect(own_server.url, password=PASSWORD) as client, client.get_proxy() as proxy:
        names: Dict[str, Any] = {"cyberdb": cyberdb_fast, "client": client, "proxy": proxy}
        names.update(d=proxy.create_cyberdict("d"), l=proxy.create_cyberlist("l"))
        try:
            if name.startswith("aio."):
                asyncio.run(run_with_await(code, own_server.url, names))
            elif ">>>" in code:
                run_session(code, names, name)
            else:
                exec(compile(code, name, "exec"), names)
        finally:
            for table in proxy.tables():
                proxy.delete_table(table.name)
            names["client"].close()  # an example may have made one


def run_session(code: str, names: Dict[str, Any], name: str) -> None:
    """Runs what is typed after >>>, and compares what it shows."""
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    report: List[str] = []
    runner.run(doctest.DocTestParser().get_doctest(code + "\n", names, name, None, 0), out=report.append)
    assert runner.failures == 0, "".join(report)
    assert runner.tries > 0


async def run_with_await(code: str, url: str, names: Dict[str, Any]) -> None:
    async with await aio.connect(url, password=PASSWORD) as client, client.get_proxy() as proxy:
        compiled = compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(compiled, {**names, "client": client, "proxy": proxy})
        if running is not None:
            await running
