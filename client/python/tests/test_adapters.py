"""What all adapters do if their framework is missing, or is not the one that they know."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cyberdb_fast import CyberDBError, UnsupportedFramework
from cyberdb_fast.adapters.frameworks import require


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that makes Python believe that a framework is installed."""

    def install(name: str, version: str) -> None:
        directory = tmp_path / f"{name}-{version}.dist-info"
        directory.mkdir()
        (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def test_the_package_imports_no_adapter() -> None:
    code = "import sys, cyberdb_fast, cyberdb_fast.aio; print([m for m in sys.modules if 'adapters' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_missing_framework_is_named() -> None:
    with pytest.raises(UnsupportedFramework, match=r"needs nosuch 1\.2\.\*.*cyberdb-fast\[nosuch\]") as caught:
        require("nosuch", "1.2")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, CyberDBError)


@pytest.mark.parametrize("version", ["0.17", "0.17.0", "0.17.12", "1.0.1"])
def test_patches_of_known_versions_are_known(install, version: str) -> None:
    install("framework", version)
    require("framework", "0.17", "1.0")


@pytest.mark.parametrize("version", ["0.16.9", "0.18.0", "0.170", "10.17.0"])
def test_other_versions_are_refused(install, version: str) -> None:
    install("framework", version)
    with pytest.raises(UnsupportedFramework, match=rf"0\.17\.\* or 1\.0\.\*, and {version} is installed"):
        require("framework", "0.17", "1.0")


@pytest.mark.parametrize(
    ("framework", "module"),
    [
        ("aiocache", "aiocache"),
        ("cachelib", "cachelib"),
        ("celery", "celery"),
        ("django", "django"),
        ("dogpile.cache", "dogpile"),
        ("kombu", "kombu"),
        ("starlette", "starlette"),
        ("starsessions", "starsessions"),
    ],
)
def test_an_adapter_refuses_another_version(
    install, monkeypatch: pytest.MonkeyPatch, framework: str, module: str
) -> None:
    install(framework, "0.99.0")
    name = f"cyberdb_fast.adapters.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UnsupportedFramework, match=r"0\.99\.0 is installed"):
        importlib.import_module(name)
