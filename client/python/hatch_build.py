"""Puts the server's binary into the wheel if CYBERDB_FAST_BINARY names it.

Without it, the wheel has only Python code and fits any machine.
"""

from __future__ import annotations

import os
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BinaryHook(BuildHookInterface[Any]):
    """The build hook named in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 # hatchling's signature
        """Adds the binary and its platform.

        The binary is linked statically, so it runs on any Linux with that processor.
        """
        binary = os.environ.get("CYBERDB_FAST_BINARY")
        if not binary:
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        if platform.startswith("linux_"):
            machine = platform.removeprefix("linux_")
            platform = f"manylinux_2_17_{machine}.musllinux_1_1_{machine}"
        build_data["force_include"][binary] = "cyberdb_fast/_bin/cyberdb-fast"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
