"""CPython's own tests of mappings and lists, run on tables.

Its package `test` comes with CPython, or with Debian's libpython3.x-testsuite.
"""

from __future__ import annotations

import warnings
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import pytest

from cyberdb_fast import CyberDict, CyberList, LostChangeWarning, Proxy

try:
    from test import list_tests, mapping_tests
except ImportError as e:  # pragma: no cover
    raise RuntimeError(
        "this Python has no package `test`: install libpython3.x-testsuite (Debian), or use another CPython"
    ) from e

_proxy: Optional[Proxy] = None
_new_name: Callable[[], str]


@pytest.fixture(autouse=True)
def _tables(proxy: Proxy, new_name: Callable[[], str]) -> Iterator[None]:
    """The proxy with which the classes below create their tables."""
    global _proxy, _new_name
    _proxy, _new_name = proxy, new_name
    yield
    _proxy = None


class TableDict(CyberDict[Any, Any]):
    """A dict that creates its own table."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        assert _proxy is not None
        name = _new_name()
        _proxy.create_cyberdict(name)
        super().__init__(_proxy, name)
        if args or kwargs:
            self.update(*args, **kwargs)


class TableList(CyberList[Any]):
    """A list that creates its own table."""

    def __init__(self, content: Any = ()) -> None:
        assert _proxy is not None
        name = _new_name()
        _proxy.create_cyberlist(name)
        super().__init__(_proxy, name)
        self.extend(content)


# Tests of CPython that tables cannot pass. Each runs all the same, and must fail with the given
# error for the given reason.
OBJECTS = "compares or hashes by methods of a class of the test's own, which the server cannot call"
LISTED: Dict[str, Dict[str, Tuple[type, str, str]]] = {
    "TestMapping": {
        "test_copy": (AssertionError, "is not an instance of", "copy() is a plain dict: a table has one name"),
        "test_fromkeys": (AttributeError, "fromkeys", "a class method cannot know the name of a new table"),
        "test_setdefault": (
            IndexError,
            "list index",
            "d.setdefault(k, []).append(v) changes a copy: LostChangeWarning",
        ),
        "test_eq": (TypeError, "BadCmp' cannot be stored", OBJECTS),
        "test_getitem": (TypeError, "BadEq' cannot be stored", OBJECTS),
        "test_pop": (TypeError, "BadHash' cannot be stored", OBJECTS),
        "test_repr": (TypeError, "TableDict' cannot be stored", "a dict within itself"),
        "test_repr_deep": (TypeError, "TableDict' cannot be stored", "a table cannot stand in a table"),
    },
    "TestList": {
        "test_contains_fake": (TypeError, "_EQ' cannot be stored", OBJECTS),
        "test_contains_order": (TypeError, "StopCompares' cannot be stored", OBJECTS),
        "test_count": (TypeError, "_EQ' cannot be stored", OBJECTS),
        "test_index": (TypeError, "_EQ' cannot be stored", OBJECTS),
        "test_remove": (TypeError, "_EQ' cannot be stored", OBJECTS),
        "test_exhausted_iterator": (
            AssertionError,
            "differ",
            "iteration shows one moment, not what is appended after it",
        ),
        "test_pickle": (TypeError, "positional arguments", "a table is pickled as a handle, and TableList is none"),
        "test_repr": (TypeError, "TableList' cannot be stored", "a list within itself"),
        "test_print": (TypeError, "TableList' cannot be stored", "a list within itself"),
        "test_repr_deep": (TypeError, "TableList' cannot be stored", "a table cannot stand in a table"),
        "test_sort": (TypeError, "the server runs no code", "sorts by a comparison function"),
    },
}


def _fails_as_listed(name: str, test: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(self: Any) -> None:
        error, text, _reason = LISTED[type(self).__name__][name]
        with pytest.raises(error, match=text), warnings.catch_warnings():
            warnings.simplefilter("ignore", LostChangeWarning)
            test(self)

    return run


def _adapted(tests: Any) -> Any:
    """A base class with the tests of reference; those listed above must fail."""

    class Adapted(tests):  # type: ignore[misc]
        def __init_subclass__(cls) -> None:
            for name in LISTED[cls.__name__]:
                if hasattr(cls, name):
                    setattr(cls, name, _fails_as_listed(name, getattr(cls, name)))

    return Adapted


class TestMapping(_adapted(mapping_tests.TestHashMappingProtocol)):  # type: ignore[misc]
    type2test = TableDict


# An iterator has its own data and does not refer to the handle, which is freed before the test has
# its iterator.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function check_free_after_iterating")
class TestList(_adapted(list_tests.CommonTest)):  # type: ignore[misc]
    type2test = TableList
