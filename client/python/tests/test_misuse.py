"""Errors for unsupported operations say what to do instead."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from cyberdb_fast import Client, CyberDict, Proxy


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
def test_pickle_and_deepcopy(client: Client, proxy: Proxy, d: CyberDict[Any, Any], duplicate: Any) -> None:
    with pytest.raises(TypeError, match=r"call connect\(\) in each process"):
        duplicate(client)
    with pytest.raises(TypeError, match=r"call get_proxy\(\)"):
        duplicate(proxy)
    with pytest.raises(TypeError, match=r"copy\(\) returns the content"):
        duplicate(d)
    d["a"] = [1]
    assert copy.copy(d) == d.copy() == {"a": [1]}
