"""Fixtures of Flask-Caching's tests with our adapter: replaces their conftest.py, which it uses."""

import os
import time
from itertools import count
from pathlib import Path

import flask
import pytest
from flask_caching_fixtures import *  # noqa: F403 # their conftest.py

import cyberdb_fast

LONGEST_WAIT = 5  # seconds
OTHER_CACHES = (
    "test_cache_unlink_if_not",
    "test_cache_delete_many_ignored",
    "test_file_hash_method_is_independent",
)
OBJECTS = {
    "test_cache_timeout_dynamic_via_cached_reponse": "a response",
    "test_cached_view_http_exception": "an exception",
    "test_cached_view_http_exception_runs_error_handler": "an exception",
    "test_cached_view_http_exception_expires": "an exception",
    "test_jinjaext_cache": "a Markup",
}

_tables = count()


def pytest_collection_modifyitems(items):
    """Skips what does not judge our adapter."""
    for item in items:
        name = item.name.partition("[")[0]
        if name in OTHER_CACHES:
            item.add_marker(pytest.mark.skip(reason="it configures another cache, with the options of ours"))
        elif name in OBJECTS and "own types" in item.name:
            item.add_marker(pytest.mark.skip(reason=f"it stores {OBJECTS[name]}, which needs pickle"))


@pytest.fixture(scope="session")
def client():
    """The client of all caches."""
    with cyberdb_fast.connect(os.environ["CYBERDB_URL"]) as client:
        yield client


@pytest.fixture(params=[False, True], ids=["own types", "pickle"])
def settings(request, client):
    """The configuration of a cache in a table of its own."""
    return {
        "CACHE_TYPE": "cyberdb_fast.adapters.cachelib.CyberDBCache",
        "CACHE_ARGS": [client],
        "CACHE_OPTIONS": {"table": f"t{next(_tables)}", "pickle": request.param},
    }


@pytest.fixture
def app(request, settings):
    """The application of a test, as theirs but for the cache."""
    app = flask.Flask(request.module.__name__, template_folder=str(Path(__file__).parent))
    app.testing = True
    app.config.update(settings)
    return app


@pytest.fixture
def clock():
    """Time that passes, where they have a clock that jumps."""

    class Clock:
        def advance(self, seconds):
            if seconds > LONGEST_WAIT:
                pytest.skip(f"the clock of the server does not jump by {seconds} s")
            time.sleep(seconds)

    return Clock()
