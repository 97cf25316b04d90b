"""The programs of the documents run as they are printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Iterator, Set

import pytest

from conftest import PASSWORD, ROOT
from cyberdb_fast import Server

README, OWN_README = ROOT / "README.md", ROOT / "client/python/README.md"
URL = "cyberdb://127.0.0.1:9980"


def program(path: Path, language: str = "python") -> str:
    """The first program of a file."""
    found = re.search(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def run_alone(code: str, here: Path, **environment: str) -> str:
    """What a program prints that runs in a directory."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", code]
    done = subprocess.run(
        command, cwd=here, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quick_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As typed: in the directory in which the server was started, which made its password."""
    monkeypatch.delenv("CYBERDB_PASSWORD", raising=False)
    code = program(README)
    exported = re.search(r"^ +export (\w+)=(\S+)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert exported is not None
    assert URL in code
    with server_of_its_own(tmp_path) as server:
        for visits in (1, 2):
            printed = run_alone(code.replace(URL, server.url), tmp_path, **{exported[1]: exported[2]})
            assert printed == f"Ada {visits}\n"


@contextmanager
def server_of_its_own(here: Path) -> Iterator[Any]:
    """The command, started in a directory without any flag but its port."""
    command = [os.environ["CYBERDB_FAST_BINARY"], "--port", "0", "--end-with-stdin"]
    with subprocess.Popen(
        command, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = next(line.split()[1] for line in process.stdout if line.split()[:1] == ["connect"])
        yield SimpleNamespace(url=url)
        process.stdin.close()


def test_own_readme(start: Callable[..., Server], tmp_path: Path) -> None:
    """On a server on which the other README's program has run."""
    server = start()
    run_alone(program(README).replace(URL, server.url), tmp_path, CYBERDB_PASSWORD=PASSWORD)
    port = server.url.rpartition(":")[2]
    code = program(OWN_README)
    assert 'port=9980, password="..."' in code
    printed = run_alone(code.replace('port=9980, password="..."', f"port={port}, password={PASSWORD!r}"), tmp_path)
    assert printed == "{'age': 36, 'langs': ('en', 'fr')} 2 False\n[4, 3] 1\n[2, 1, 3]\n"


def test_expiry_in_own_readme(server: Server, tmp_path: Path) -> None:
    section = OWN_README.read_text(encoding="utf-8").partition("\n## Expiry and limits\n")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    opening = f"import cyberdb_fast\nclient = cyberdb_fast.connect({server.url!r}, password={PASSWORD!r})\n"
    options = {"ttl": None, "idle": None, "max_entries": None, "max_bytes": 1 << 30, "policy": "s3fifo"}
    assert run_alone(opening + found.group(1), tmp_path) == f"True True\nTrue\n{options}\n"


def test_classes_in_own_readme(server: Server, tmp_path: Path) -> None:
    section = OWN_README.read_text(encoding="utf-8").partition("\n### Classes of your own\n")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    opening = f"import cyberdb_fast\nclient = cyberdb_fast.connect({server.url!r}, password={PASSWORD!r})\n"
    printed = run_alone(opening + found.group(1), tmp_path)
    assert printed.replace("Windows", "Posix") == "User(name='ada', home=PosixPath('/')) 5 /home/bob\n"


# A block whose first line is a comment with these words, and a reason, is not run.
NOT_RUN = re.compile(r"# .*[Nn]ot run by the tests: \w")
DOCUMENTS = [path for path in (OWN_README, *sorted((ROOT / "docs").glob("*.md"))) if "```python\n" in path.read_text()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_all_blocks(path: Path, start: Callable[..., Server], tmp_path: Path) -> None:
    """One after another in one program. Each may use cyberdb, client, and proxy, connected.

    test_adapters_examples.py runs those of the section on adapters, which need their frameworks.
    """
    text = re.sub(r"^## Adapters\n.*?(?=^## )", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    server = start()
    begin = f"client = cyberdb.connect({server.url!r})\nproxy = client.get_proxy()\nproxy.connect()\n"
    port = server.url.rpartition(":")[2]
    blocks = [
        block.replace(URL, server.url)
        .replace("start(port=9980", "start(port=0")
        .replace('port=9980, password="..."', f"port={port}")
        for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if not NOT_RUN.match(block)
    ]
    code = "import cyberdb_fast as cyberdb\n" + "".join(begin + block for block in blocks)
    run_alone(code, tmp_path, CYBERDB_PASSWORD=PASSWORD)


def test_programs_have_tables_of_their_own() -> None:
    """So that they run one after another on one server, in any order."""
    seen: Set[str] = set()
    for path, language, pattern in (
        (README, "go", r'client\.(?:Dict|List)Of\[.*?\]\(db, "(\w+)"'),
        (README, "python", r'create_cyber\w+\("(\w+)"'),
        (OWN_README, "python", r'create_cyber\w+\("(\w+)"'),
    ):
        tables = set(re.findall(pattern, program(path, language)))
        assert tables
        assert not seen & tables
        seen |= tables
