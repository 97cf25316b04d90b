"""The program that type checkers check, on a server."""

from __future__ import annotations

import copy
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import pytest

import cyberdb_fast
from conftest import PASSWORD
from cyberdb_fast import CyberDict, Proxy, Server, Versioned, WrongInputCyberDBError

PROGRAM = Path(__file__).parent / "typed" / "program.py"


def test_the_program_runs(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CYBERDB_PASSWORD", PASSWORD)
    spec = importlib.util.spec_from_file_location("program", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.main(server.url)
    assert "[1, 1, 2]" in capsys.readouterr().out
    with cyberdb_fast.connect(server.url) as client, client.get_proxy() as proxy:
        for name in ("people", "hits", "shares", "jobs", "primes"):
            proxy.delete_table(name)


def test_types_are_no_content(proxy: Proxy, new_name: Any) -> None:
    assert proxy.create_cyberdict(new_name(), str, int) == {}
    assert proxy.create_cyberlist(new_name(), int) == []
    names = proxy.create_cyberlist(new_name(), str)
    assert proxy.get_cyberlist(names.table_name, str) == []
    with pytest.raises(WrongInputCyberDBError, match="not both"):
        proxy.create_cyberdict("no", {}, int)  # type: ignore[call-overload]
    with pytest.raises(WrongInputCyberDBError, match="mapping, got type"):
        proxy.create_cyberdict("no", str)  # type: ignore[call-overload]
    assert not proxy.exists("no")


def test_a_versioned_value_is_a_pair(d: CyberDict[Any, Any]) -> None:
    d["k"] = "v"
    entry = d.get_versioned("k")
    value, version = entry
    assert (value, version) == entry == ("v", entry.version)
    assert repr(entry) == f"Versioned(value='v', version={version})"
    for other in (copy.deepcopy(entry), pickle.loads(pickle.dumps(entry))):
        assert other == entry
        assert type(other) is Versioned
    with pytest.raises(AttributeError):
        entry.value = 1  # type: ignore[misc]
