"""Starlette's tests of its session middleware, on ours: replaces the module that they import."""

import os
from itertools import count

import pytest
import tests.middleware.session_tests as theirs

from cyberdb_fast.adapters import starlette

_tables = count()


class SessionMiddleware(starlette.SessionMiddleware):
    """Ours, without their secret: the cookie is not signed. Each application has its own table."""

    def __init__(self, app, **options):
        del options["secret_key"]
        super().__init__(app, os.environ["CYBERDB_URL"], table=f"t{next(_tables)}", **options)


@pytest.fixture(autouse=True)
def ours(monkeypatch, anyio_backend_name):
    if anyio_backend_name != "asyncio":
        pytest.skip("the client is one of asyncio")
    monkeypatch.setattr(theirs, "SessionMiddleware", SessionMiddleware)
    monkeypatch.setattr(theirs, "Session", starlette.Session)


from tests.middleware.session_tests import *  # noqa: E402, F403
