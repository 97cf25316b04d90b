"""Which versions of a framework an adapter knows."""

from __future__ import annotations

from importlib import metadata

from cyberdb_fast.errors import UnsupportedFramework


def require(name: str, *versions: str) -> None:
    """Makes sure that a framework is installed in one of the versions, as "0.17", or a later patch.

    Errors: UnsupportedFramework.
    """
    known = " or ".join(f"{version}.*" for version in versions)
    advice = f"pip install 'cyberdb-fast[{name}]'"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise UnsupportedFramework(f"this adapter needs {name} {known}, which is not installed: {advice}") from None
    if not any(found == version or found.startswith(version + ".") for version in versions):
        raise UnsupportedFramework(f"this adapter knows {name} {known}, and {found} is installed: {advice}")
