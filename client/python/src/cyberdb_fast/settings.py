"""Where the server is and how its clients behave, from arguments, a URL and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional
from urllib.parse import unquote, urlsplit

from . import tracked
from .errors import WrongInputCyberDBError, WrongPasswordCyberDBError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 9980
DEFAULT_MAX_REPLY_BYTES = 1 << 30
# What is read piece by piece goes into a temporary file, where there is more room than in memory.
STREAM_FACTOR = 64


@dataclass(frozen=True)
class Settings:
    """What every connection of a client has in common. Times are seconds; None waits for ever."""

    host: str
    port: int
    unix: str  # path of a Unix socket; empty: TCP
    password: str
    encrypt: bool
    max_idle: float  # connections that were idle for longer are not used again; 0: no limit
    max_connections: int
    connect_timeout: Optional[float]
    request_timeout: Optional[float]
    pool_timeout: Optional[float]
    max_reply_bytes: int  # of one reply, in memory
    track_changes: bool

    @property
    def max_stream_bytes(self) -> int:
        """The most bytes of one reply that is read piece by piece."""
        return self.max_reply_bytes * STREAM_FACTOR

    @property
    def address(self) -> str:
        """Where the server is, for people."""
        return self.unix or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def make_settings(
    host: str,
    port: int,
    password: Optional[str],
    encrypt: bool,
    time_out: Optional[float],
    max_connections: int,
    connect_timeout: Optional[float],
    request_timeout: Optional[float],
    pool_timeout: Optional[float],
    max_reply_bytes: int = DEFAULT_MAX_REPLY_BYTES,
    track_changes: Optional[bool] = None,
) -> Settings:
    """Host may be a URL: cyberdb://:password@host:port, unix:///path, and cyberdbs:// or unixs:// for encryption.

    Errors: WrongInputCyberDBError for what is no address; WrongPasswordCyberDBError without a password.
    """
    unix = ""
    if "://" in host:
        url = urlsplit(host)
        if url.scheme not in ("cyberdb", "cyberdbs", "unix", "unixs"):
            raise WrongInputCyberDBError(f"a URL begins with cyberdb://, cyberdbs://, unix:// or unixs://, not with {url.scheme}://")
        encrypt = encrypt or url.scheme.endswith("s")
        if url.password is not None:
            password = unquote(url.password)
        if url.scheme.startswith("unix"):
            unix = unquote(url.path)
        try:
            host, port = url.hostname or DEFAULT_HOST, url.port or DEFAULT_PORT
        except ValueError as e:
            raise WrongInputCyberDBError(f"the port of the URL: {e}") from None
    if max_reply_bytes < 1:
        raise WrongInputCyberDBError(f"max_reply_bytes is at least 1, not {max_reply_bytes}")
    if max_connections < 1:
        raise WrongInputCyberDBError(f"max_connections is at least 1, not {max_connections}")
    return Settings(
        host,
        port,
        unix,
        find_password(password),
        bool(encrypt),
        time_out or 0,
        max_connections,
        connect_timeout,
        request_timeout,
        pool_timeout,
        max_reply_bytes,
        tracked.wanted(track_changes),
    )


def find_password(password: Optional[str]) -> str:
    """password, or else that of the environment. WrongPasswordCyberDBError if there is none."""
    if password is None:
        password = os.environ.get("CYBERDB_PASSWORD")
    if password is None and (path := os.environ.get("CYBERDB_PASSWORD_FILE")):
        password = Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    if not isinstance(password, str) or not password:
        raise WrongPasswordCyberDBError("no password: pass password=..., or set CYBERDB_PASSWORD or CYBERDB_PASSWORD_FILE")
    return password
