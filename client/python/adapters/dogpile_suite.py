"""dogpile.cache's generic tests of backends, on our adapter."""

import os
from itertools import count

import pytest
from dogpile.testing.fixtures import _GenericBackendTestSuite, _GenericMutexTestSuite, _GenericSerializerTestSuite

import cyberdb_fast.adapters.dogpile  # noqa: F401 # registers the backend

_tables = count()


class Configured:
    """A table for each class, and the warning about the arguments that one test makes up."""

    backend = "cyberdb_fast"
    pytestmark = pytest.mark.filterwarnings("ignore:the backend cyberdb_fast has no argument arbitrary")

    def __init_subclass__(cls, **options):
        arguments = {"url": os.environ["CYBERDB_URL"], "table": f"t{next(_tables)}", **options}
        cls.config_args = {"arguments": arguments}


class TestOwnTypes(Configured, _GenericBackendTestSuite):
    pass


class TestPickle(Configured, _GenericBackendTestSuite, pickle=True):
    pass


class TestThreadLock(Configured, _GenericBackendTestSuite, distributed_lock=False):
    pass


class TestSerializer(Configured, _GenericSerializerTestSuite, _GenericBackendTestSuite):
    pass


class TestMutex(Configured, _GenericMutexTestSuite):
    pass
