"""The programs in the README's section on adapters, each of which needs its framework."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import PASSWORD, ROOT
from cyberdb_fast import Server
from test_readme import URL, run_alone

README = (ROOT / "client/python/README.md").read_text(encoding="utf-8")
PRINTED = {
    "aiocache": "{'year': 2024, 'rows': [(1, 2.5)]} {'year': 2024, 'rows': [(1, 2.5)]}\n",
    "dogpile.cache": "{'number': 1, 'words': ('a', 'b')} {'number': 1, 'words': ('a', 'b')}\n",
}


@pytest.mark.parametrize("section", PRINTED)
def test_example(server: Server, tmp_path: Path, section: str) -> None:
    pytest.importorskip(section.partition(" ")[0].replace("-", "_").lower())
    adapters = README.partition("\n## Adapters\n")[2].partition("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", adapters.partition(f"\n### {section}\n")[2], re.DOTALL)
    assert found is not None
    assert URL in found[1]
    code = f"import cyberdb_fast.adapters.dogpile\n{found[1]}" if section == "dogpile.cache" else found[1]
    printed = run_alone(code.replace(URL, server.url), tmp_path, CYBERDB_PASSWORD=PASSWORD)
    assert printed == PRINTED[section]
