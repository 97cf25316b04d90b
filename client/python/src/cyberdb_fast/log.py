"""The logger of this package, "cyberdb_fast", which is silent until the program sets up logging.

DEBUG   a connection was opened, or closed
WARNING a connection was lost, or a request is repeated

Messages have addresses, names of commands and errors of the connection; no password, key or value.
"""

from __future__ import annotations

import logging

REPEATING = "repeating %s in %.3f s: %s"

log = logging.getLogger("cyberdb_fast")
log.addHandler(logging.NullHandler())
