"""Celery's tests of backends that store keys and values, on ours.

It runs in t/unit/backends of Celery's sdist.
"""

import os
import threading
from itertools import count

import pytest
from celery.backends.base import KeyValueStoreBackend
from t.unit.backends import test_base

from cyberdb_fast.adapters.celery import CyberDBBackend

_tables = count()
_made = []


class Backend(CyberDBBackend):
    """What Celery's tests call KVBackend. Each has a table of its own."""

    # These tests send no header of a chord, and so store no size.
    on_chord_part_return = KeyValueStoreBackend.on_chord_part_return

    def __init__(self, app, *args, **kwargs):
        table = f"results {next(_tables)}"
        app.conf.result_backend_transport_options = {**app.conf.result_backend_transport_options, "table": table}
        super().__init__(os.environ["CYBERDB_URL"], *args, app=app, **kwargs)
        _made.append(self)

    @property
    def db(self):
        self._proxy.connect()
        return self._proxy.create_cyberdict(self._name, exist_ok=True)


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    monkeypatch.setattr(test_base, "KVBackend", Backend)
    monkeypatch.setattr(test_base, "CompressingKVBackend", Backend)
    yield
    while _made:
        _made.pop().close()
    for thread in threading.enumerate():
        if thread.name.startswith("cyberdb_fast"):
            thread.join(5)


def skipped(reason):
    @pytest.mark.skip(reason=reason)
    def test(self):
        pass

    return test


class test_KeyValueStore(test_base.test_KeyValueStoreBackend):
    test_on_chord_part_return = test_chord_apply_fallback = skipped("for backends without incr")
    test_get_many__does_not_sleep_past_the_timeout = skipped("it watches time.sleep")
    test_get_many__ids_completing_on_the_deadline_is_not_a_timeout = skipped("it replaces time.sleep and mget")


class test_compression(test_base.test_result_compression):
    test_ignored_when_the_backend_cannot_store_bytes = skipped("for backends that cannot store bytes")


class test_compression_of_bytes(test_base.test_result_compression_binary_serializer):
    pass
