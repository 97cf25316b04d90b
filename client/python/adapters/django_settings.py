"""Settings of Django's own tests with our cache: those for SQLite, and CACHES."""

import os

from test_sqlite import *  # noqa: F403

CACHES = {
    "default": {
        "BACKEND": "cyberdb_fast.adapters.django.CyberDBCache",
        "LOCATION": os.environ["CYBERDB_URL"],
        "OPTIONS": {"table": "sessions"},
    }
}
