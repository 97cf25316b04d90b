"""The differential test finds each of the faults below. `make conformance` is its long run."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from conformance import Comparison
from cyberdb_fast import CyberDict, CyberList, Proxy

OPERATIONS = 20_000


def broken(base: Any, name: str, method: Any) -> Any:
    return type(base.__name__, (base,), {"__slots__": (), name: method})


FAULTS: Dict[str, Any] = {
    "falsy values are lost": broken(CyberDict, "__getitem__", lambda t, k: CyberDict.__getitem__(t, k) or None),
    "a stored None is taken for absent": broken(
        CyberDict, "get", lambda t, k, d=None: CyberDict.get(t, k) if CyberDict.get(t, k) is not None else d
    ),
    "pop of an absent key is None": broken(CyberDict, "pop", lambda t, k, d=None: CyberDict.pop(t, k, d)),
    "popitem takes the oldest": broken(CyberDict, "popitem", lambda t: (k := next(iter(t)), t.pop(k))),
    "the order is lost": broken(CyberDict, "items", lambda t: sorted(CyberDict.items(t), key=repr)),
    "the wrong error": broken(CyberDict, "__delitem__", lambda t, k: CyberDict.pop(t, k, None)),
    "an overwritten key moves": broken(
        CyberDict, "__setitem__", lambda t, k, v: (CyberDict.pop(t, k, None), CyberDict.__setitem__(t, k, v))[1]
    ),
    "1 and True are two keys": broken(
        CyberDict, "__contains__", lambda t, k: any(repr(k) == repr(x) for x in CyberDict.keys(t))
    ),
    "pop returns nothing": broken(CyberList, "pop", lambda t, i=-1: CyberList.pop(t, i) and None),
    "insert is off by one": broken(CyberList, "insert", lambda t, i, v: CyberList.insert(t, i + 1 if i else i, v)),
    "a negative step is ignored": broken(CyberList, "__getitem__", lambda t, i: CyberList.__getitem__(t, forwards(i))),
    "sort is not stable": broken(
        CyberList,
        "sort",
        lambda t, key=None, reverse=False: CyberList.__setitem__(t, slice(None), unstable(t, key, reverse)),
    ),
    "remove takes the last": broken(
        CyberList,
        "remove",
        lambda t, v: CyberList.__delitem__(t, len(t) - 1 - t.copy()[::-1].index(v)) if v in t else [].remove(v),
    ),
    "counts by type": broken(CyberList, "count", lambda t, v: sum(type(v) is type(x) and v == x for x in t)),
}


def forwards(index: Any) -> Any:
    if isinstance(index, slice) and isinstance(index.step, int) and index.step < 0:
        return slice(index.start, index.stop, -index.step)
    return index


def unstable(table: Any, key: Any, reverse: Any) -> List[Any]:
    return sorted(table.copy()[::-1], key=key, reverse=reverse)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(proxy: Proxy, fault: str) -> None:
    kind = FAULTS[fault]
    types = {"dict_type": kind} if issubclass(kind, CyberDict) else {"list_type": kind}
    comparison = Comparison(proxy, seed=7, **types)
    comparison.run(OPERATIONS, stop_at=1)
    assert comparison.differences


def test_tables_have_none(proxy: Proxy) -> None:
    comparison = Comparison(proxy, seed=11)
    comparison.run(5000)
    assert comparison.differences == []
