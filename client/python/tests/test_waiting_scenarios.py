"""The scenarios of client/testdata/waiting.json in four worlds; see waiting_worlds.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from conftest import CPYTHON, PASSWORD
from cyberdb_fast import Server
from waiting_worlds import SCENARIOS

HERE = Path(__file__).parent
WORLDS = ["threads", "asyncio", *(["gevent"] if CPYTHON else []), *(["forks"] if hasattr(os, "fork") else [])]
INTERRUPTED = [scenario["name"] for scenario in SCENARIOS if any("cancel" in step for step in scenario["steps"])]
NAMES = [*(scenario["name"] for scenario in SCENARIOS), "nothing is left"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dict[str, Dict[str, Any]]]:
    """What went wrong in each scenario of each world. All worlds play at the same time."""
    servers = {world: Server(str(tmp_path_factory.mktemp(world))) for world in WORLDS}
    try:
        players = {}
        for world, server in servers.items():
            server.start(port=0, password=PASSWORD)
            command = [sys.executable, "-W", "error", str(HERE / "waiting_worlds.py"), world, server.url, PASSWORD]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            players[world] = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        yield {
            world: dict(json.loads(line) for line in player.communicate(timeout=600)[0].splitlines())
            for world, player in players.items()
        }
    finally:
        for server in servers.values():
            server.stop()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", NAMES)
def test_scenario(outcomes: Dict[str, Dict[str, Any]], world: str, name: str) -> None:
    if not CPYTHON and world == "threads" and name in INTERRUPTED:
        pytest.skip("PyPy cannot interrupt a thread")
    assert name in outcomes[world], "it was not played"
    assert outcomes[world][name] is None, outcomes[world][name]
