"""Finds the server's binary: the one in the wheel, or an installed one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn, Optional

from .errors import CyberDBError

NAME = "cyberdb-fast.exe" if os.name == "nt" else "cyberdb-fast"
BUNDLED = Path(__file__).parent / "_bin" / NAME


def find(given: Optional[str] = None) -> str:
    """Returns the path of the binary. CyberDBError if there is none.

    It is given, or else CYBERDB_FAST_BINARY, or else the one in the wheel, or else the one on PATH.
    """
    if given := given or os.environ.get("CYBERDB_FAST_BINARY"):
        return given
    if BUNDLED.exists():
        return str(BUNDLED)
    # The script of this package has the same name and must not find itself.
    own = Path(sys.executable).parent
    path = os.pathsep.join(p for p in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(p) != own)
    if found := shutil.which(NAME, path=path):
        return found
    raise CyberDBError(
        f"the server's binary {NAME} was not found: install a wheel that contains it (make wheel), put it on PATH, "
        "or name it in CYBERDB_FAST_BINARY"
    )


def main() -> NoReturn:
    """The script cyberdb-fast: replaces this process by the server."""
    try:
        path = find()
    except CyberDBError as e:
        sys.exit(f"cyberdb-fast: {e}")
    os.execv(path, [path, *sys.argv[1:]])  # noqa: S606 # no shell is needed
