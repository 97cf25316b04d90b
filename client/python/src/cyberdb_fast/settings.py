"""The settings of a client, from arguments, a URL and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, Optional

from . import tracked
from .address import parse_address
from .errors import WrongInputCyberDBError, WrongPasswordCyberDBError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 9980
DEFAULT_MAX_REPLY_BYTES = 1 << 30
# Streamed replies go into a temporary file, so they may be this many times larger than
# max_reply_bytes.
STREAM_FACTOR = 64

# The options that a URL may have, with their types. They are arguments of connect().
URL_OPTIONS: Dict[str, Callable[[str], float]] = {
    "time_out": float,
    "max_connections": int,
    "connect_timeout": float,
    "request_timeout": float,
    "pool_timeout": float,
    "max_reply_bytes": int,
}
FIELDS = {"time_out": "max_idle"}  # the fields of Settings that have another name


@dataclass(frozen=True)
class Settings:
    """The settings that all connections of a client share.

    Times are in seconds; None waits forever.
    """

    host: str
    port: int
    unix: str  # path of a Unix socket; empty: TCP
    password: str
    encrypt: bool
    max_idle: float  # connections idle for longer are not used again; 0: no limit
    max_connections: int
    connect_timeout: Optional[float]
    request_timeout: Optional[float]
    pool_timeout: Optional[float]
    max_reply_bytes: int  # of one reply, in memory
    track_changes: bool

    @property
    def max_stream_bytes(self) -> int:
        """The maximum size of a streamed reply."""
        return self.max_reply_bytes * STREAM_FACTOR

    @property
    def address(self) -> str:
        """The address of the server, for messages."""
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
    """Returns the settings for these arguments of connect().

    host may be host:port or a URL (see address.py). The options of a URL take precedence over the
    other arguments. Errors: WrongInputCyberDBError if an argument is not valid;
    WrongPasswordCyberDBError if there is no password.
    """
    if not isinstance(host, str):
        raise WrongInputCyberDBError(f"host must be a str, got {type(host).__name__}")
    given = parse_address(host, URL_OPTIONS)
    settings = Settings(
        given.host or DEFAULT_HOST,
        port if given.port is None else given.port,
        given.unix,
        find_password(password if given.password is None else given.password),
        bool(encrypt or given.encrypt),
        time_out or 0,
        max_connections,
        connect_timeout,
        request_timeout,
        pool_timeout,
        max_reply_bytes,
        tracked.wanted(track_changes),
    )
    settings = replace(settings, **{FIELDS.get(name, name): value for name, value in given.options.items()})
    if settings.max_reply_bytes < 1:
        raise WrongInputCyberDBError(f"max_reply_bytes must be at least 1, got {settings.max_reply_bytes}")
    if settings.max_connections < 1:
        raise WrongInputCyberDBError(f"max_connections must be at least 1, got {settings.max_connections}")
    return settings


def find_password(password: Optional[str]) -> str:
    """Returns password, or if it is None, the password that the environment names.

    WrongPasswordCyberDBError if there is none, or if it is not a string.
    """
    if password is not None and not isinstance(password, str):
        raise WrongPasswordCyberDBError(
            f"the password must be a str, got {type(password).__name__}: write it in quotes"
        )
    if password is None:
        password = os.environ.get("CYBERDB_PASSWORD")
    if password is None and (path := os.environ.get("CYBERDB_PASSWORD_FILE")):
        password = Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    if not isinstance(password, str) or not password:
        raise WrongPasswordCyberDBError(
            "no password: pass password=..., or set CYBERDB_PASSWORD or CYBERDB_PASSWORD_FILE"
        )
    return password
