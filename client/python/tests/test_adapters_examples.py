"""The programs in the README's section on adapters, each of which needs its framework."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import PASSWORD, ROOT
from cyberdb_fast import Server
from test_readme import URL, run_alone

README = (ROOT / "client/python/README.md").read_text(encoding="utf-8")
# What each program needs before and after it, and what it prints.
EXAMPLES = {
    "dogpile.cache": (
        "import cyberdb_fast.adapters.dogpile  # as if the package was installed",
        "",
        "{'number': 1, 'words': ('a', 'b')} {'number': 1, 'words': ('a', 'b')}\n",
    ),
    "aiocache": ("", "", "{'year': 2024, 'rows': [(1, 2.5)]} {'year': 2024, 'rows': [(1, 2.5)]}\n"),
    "Starlette and FastAPI": (
        "from starlette.testclient import TestClient",
        """with TestClient(app, "https://testserver") as browser:
    print(browser.get("/").json(), browser.post("/login/ada").status_code, browser.get("/").json())""",
        "nobody 200 ada\n",
    ),
    "Flask-Session": (
        "",
        """browser = app.test_client()
for n in range(3):
    print(browser.get(f"/{n}", base_url="https://localhost").text)""",
        "(0,)\n(0, 1)\n(0, 1, 2)\n",
    ),
    "shelve": ("", "", "{'red': ['rose', 'cherry']}\n"),
    "starsessions": (
        "from starlette.testclient import TestClient",
        """with TestClient(app, "https://testserver") as browser:
    for n in range(3):
        print(browser.get(f"/{n}").json())""",
        "(0,)\n(0, 1)\n(0, 1, 2)\n",
    ),
}


@pytest.mark.parametrize("section", EXAMPLES)
def test_example(server: Server, tmp_path: Path, section: str) -> None:
    for framework in section.lower().replace("-", "_").split(" and "):
        pytest.importorskip(framework)
    adapters = README.partition("\n## Adapters\n")[2].partition("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", adapters.partition(f"\n### {section}\n")[2], re.DOTALL)
    assert found is not None
    assert URL in found[1]
    before, after, expected = EXAMPLES[section]
    code = f"{before}\n{found[1].replace(URL, server.url)}\n{after}"
    assert run_alone(code, tmp_path, CYBERDB_PASSWORD=PASSWORD) == expected
