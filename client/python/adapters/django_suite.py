"""Django's tests of all caches, on our adapter: runs in the package of these tests."""

import os
from unittest import skip

from django.core.cache import cache
from django.test import TestCase, override_settings

from .tests import BaseCacheTests, caches_setting_for_tests

needs_pickle = skip("it stores an object of a class, which needs pickle")


def settings(**options):
    return override_settings(
        CACHES=caches_setting_for_tests(
            BACKEND="cyberdb_fast.adapters.django.CyberDBCache",
            LOCATION=os.environ["CYBERDB_URL"],
            OPTIONS=options,
            exclude={"cull", "zero_cull"},
        )
    )


@settings(table="pickled", pickle=True)
class PickleTests(BaseCacheTests, TestCase):
    pass


@settings(table="own types")
class OwnTypesTests(BaseCacheTests, TestCase):
    test_data_types = needs_pickle(BaseCacheTests.test_data_types)
    test_cache_read_for_model_instance = needs_pickle(BaseCacheTests.test_cache_read_for_model_instance)
    test_cache_read_for_model_instance_with_deferred = needs_pickle(
        BaseCacheTests.test_cache_read_for_model_instance_with_deferred
    )
    test_cache_write_for_model_instance_with_deferred = needs_pickle(
        BaseCacheTests.test_cache_write_for_model_instance_with_deferred
    )
    test_cache_write_unpicklable_object = needs_pickle(BaseCacheTests.test_cache_write_unpicklable_object)
    test_add_fail_on_pickleerror = needs_pickle(BaseCacheTests.test_add_fail_on_pickleerror)
    test_set_fail_on_pickleerror = needs_pickle(BaseCacheTests.test_set_fail_on_pickleerror)

    def test_the_types_of_values(self):
        """In the place of test_data_types."""
        for value in ("text", 42, True, [1, 2], (1, 2), {"A": 1, 2: b"B"}, {3}, None):
            cache.set("key", value)
            assert repr(cache.get("key")) == repr(value)

    def test_other_types_are_refused(self):
        """In the place of those that expect PickleErrors."""
        for call in (cache.set, cache.add):
            with self.assertRaisesMessage(TypeError, "OwnTypesTests"):
                call("key", self)
