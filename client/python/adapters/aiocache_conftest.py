"""Fixtures of aiocache's acceptance tests with our adapter: replaces their conftest.py."""

import os
from itertools import count

import pytest
from aiocache.serializers import JsonSerializer

from cyberdb_fast.adapters.aiocache import CyberDBCache

OTHERS = ("redis", "memcached")
OF_MEMORY = {
    "TestNullSerializer": "it expects the same object back, as from the memory of the process",
    "TestHitMissRatioPlugin": "it looks into the cache in the memory of the process",
    "TestTimingPlugin": "it looks into the cache in the memory of the process",
    "test_accept_explicit_args": "it makes another cache",
}

_tables = count()


def pytest_collection_modifyitems(items):
    """Skips what does not judge our adapter."""
    for item in items:
        for mark in OTHERS:
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"it tests the cache of {mark}"))
        for part, reason in OF_MEMORY.items():
            if part in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
async def new_cache():
    """A function that makes a cache in a table of its own."""
    made = []

    def new_cache(**options):
        made.append(CyberDBCache(os.environ["CYBERDB_URL"], table=f"t{next(_tables)}", namespace="test", **options))
        return made[-1]

    yield new_cache
    for cache in made:
        await cache.close()


@pytest.fixture(params=[None, JsonSerializer], ids=["own types", "json"])
async def cache(request, new_cache):
    return new_cache(serializer=request.param and request.param())


@pytest.fixture
async def memory_cache(new_cache):
    """Ours too: their tests of the cache in memory are about what others cannot do."""
    return new_cache()
