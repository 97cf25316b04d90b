"""The programs of the two READMEs do what they seem to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

import pytest

from conftest import PASSWORD, ROOT
from cyberdb_fast import Server


def program(path: Path) -> str:
    """The first Python program of a file."""
    found = re.search(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def run(code: str, before: str, after: str) -> None:
    assert before in code
    scope: dict[str, object] = {}
    exec(code.replace(before, after), scope)
    scope["client"].close()  # type: ignore[attr-defined]


def test_quick_start(start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    run(program(ROOT / "README.md"), '"cyberdb://127.0.0.1:9980"', repr(start().url))
    assert capsys.readouterr().out == "Ada False [('ada', {'name': 'Ada', 'age': 36})]\napple ['banana', 'cherry']\n"


def test_own_readme(start: Callable[..., Server], capsys: pytest.CaptureFixture[str]) -> None:
    port = start().url.rpartition(":")[2]
    run(program(ROOT / "client/python/README.md"), 'port=9980, password="..."', f"port={port}, password={PASSWORD!r}")
    assert capsys.readouterr().out == "{'age': 36, 'langs': ('en', 'fr')} 2 False\n[4, 3] 1\n[2, 1, 3]\n"
