"""cachelib's tests of all caches, on our adapter. It runs in the directory of these tests."""

import os
from itertools import count

import pytest
from clear import ClearTests
from common import CommonTests
from has import HasTests
from serializer import SerializerTests

from cyberdb_fast.adapters.cachelib import CyberDBCache

_tables = count()


@pytest.fixture(autouse=True, params=[False, True], ids=["own types", "pickle"])
def cache_factory(request):
    """What the tests make their caches with; each cache has a table of its own."""
    made = []

    def factory(self, *args, **kwargs):
        kwargs.update(table=f"t{next(_tables)}", pickle=request.param)
        made.append(CyberDBCache(os.environ["CYBERDB_URL"], *args, **kwargs))
        return made[-1]

    request.cls.cache_factory = factory
    yield
    for cache in made:
        cache.close()


class TestCyberDBCache(CommonTests, ClearTests, HasTests, SerializerTests):
    pass
