"""Flask-Caching's tests of all backends, on our adapter: runs in the directory of these tests."""

import flask
import pytest
from flask_caching import Cache
from test_backend_cache import GenericCacheTests


class TestCyberDBCache(GenericCacheTests):
    _can_use_fast_sleep = False

    @pytest.fixture
    def make_cache(self, settings):
        def make():
            app = flask.Flask(__name__)
            cache = Cache(app, config=settings)
            return app.extensions["cache"][cache]

        return make
