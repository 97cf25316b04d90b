"""The settings of a client, from arguments, a URL and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional, TypedDict

from . import tracked
from .address import parse_address
from .errors import WrongInputCyberDBError, WrongPasswordCyberDBError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 9980
DEFAULT_MAX_REPLY_BYTES = 1 << 30
# Streamed replies go into a temporary file, so they may be this many times larger than
# max_reply_bytes.
STREAM_FACTOR = 64


class Option(NamedTuple):
    """What an option of connect() may be, as an argument or in a URL."""

    kind: type  # float, int or bool
    default: Any
    least: float = 0
    most: float = 0
    unit: str = ""
    none: str = ""  # what None means, which a URL calls "none"; empty: it is not allowed

    @property
    def allowed(self) -> str:
        """What the option may be, for errors."""
        or_none = f", or None ({self.none})" if self.none else ""
        if self.kind is bool:
            return f"True or False{or_none}"
        number = "a whole number" if self.kind is int else "a number"
        return f"{number}{self.unit and ' of ' + self.unit} from {self.least:,} to {self.most:,}{or_none}"

    def parse(self, text: str) -> Any:
        """The value that a URL writes as text. ValueError or KeyError if it is none."""
        if self.none and text == "none":
            return None
        if self.kind is bool:
            return {"true": True, "false": False}[text]
        return self.kind(text)

    def allows(self, value: Any) -> bool:
        """Whether the option may have this value."""
        if value is None:
            return bool(self.none)
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        return isinstance(value, (int, float) if self.kind is float else int) and self.least <= value <= self.most


def _seconds(default: Optional[float], none: str = "", least: float = 0.001) -> Option:
    """An option that is a time."""
    return Option(float, default, least, 10**9, "seconds", none)


# The options, which have the same names as arguments of connect() and in a URL. Options and
# Settings, below, have their types.
OPTIONS: Dict[str, Option] = {
    "time_out": _seconds(None, "no limit", 0),
    "max_connections": Option(int, 64, 1, 1_000_000),
    "connect_timeout": _seconds(5.0, "no limit"),
    "request_timeout": _seconds(60.0, "no limit"),
    "pool_timeout": _seconds(30.0, "no limit", 0),
    "retries": Option(int, 1, 0, 1000),
    "backoff": _seconds(0.02),
    "max_backoff": _seconds(1.0),
    "health_check": _seconds(None, "off", 0.1),
    "keep_alive": Option(int, 60, 1, 32767, "seconds", "off"),
    "max_reply_bytes": Option(int, DEFAULT_MAX_REPLY_BYTES, 1, 1 << 50, "bytes"),
    "track_changes": Option(bool, None, none="as the environment says"),
    "tracing": Option(bool, False),
    "check": Option(bool, True),
}


class Options(TypedDict, total=False):
    """The options of connect(); OPTIONS has their limits."""

    max_connections: int
    connect_timeout: Optional[float]
    request_timeout: Optional[float]
    pool_timeout: Optional[float]
    retries: int
    backoff: float
    max_backoff: float
    health_check: Optional[float]
    keep_alive: Optional[int]
    max_reply_bytes: int
    track_changes: Optional[bool]
    tracing: bool
    check: bool


@dataclass(frozen=True)
class Settings:
    """The settings that all connections of a client share.

    Times are in seconds; None waits forever.
    """

    host: str
    port: int
    unix: str  # path of a Unix socket; empty: TCP
    password: str = field(repr=False)
    encrypt: bool
    time_out: Optional[float]  # connections idle for longer are not used again
    max_connections: int
    connect_timeout: Optional[float]
    request_timeout: Optional[float]
    pool_timeout: Optional[float]
    retries: int  # how often a request may be repeated
    backoff: float  # the pause before the second repetition is up to this; before later ones, it doubles
    max_backoff: float  # at most
    health_check: Optional[float]  # connections idle for longer are tried before use
    keep_alive: Optional[int]  # the system asks a silent server for a sign of life after this time
    max_reply_bytes: int  # of one reply, in memory
    track_changes: bool
    tracing: bool  # whether requests have spans of OpenTelemetry
    check: bool  # whether connect() opens a connection

    @property
    def max_stream_bytes(self) -> int:
        """The maximum size of a streamed reply."""
        return self.max_reply_bytes * STREAM_FACTOR

    @property
    def address(self) -> str:
        """The address of the server, for messages."""
        return self.unix or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def make_settings(
    host: str = DEFAULT_HOST,
    port: Optional[int] = None,
    password: Optional[str] = None,
    encrypt: bool = False,
    time_out: Optional[float] = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    **defaults: Any,
) -> Settings:
    """Returns the settings for these arguments of connect().

    host may be host:port or a URL (see address.py). An argument wins over the URL, and the URL over
    defaults, which replace those of OPTIONS. Connections are encrypted if either says so. Errors:
    WrongInputCyberDBError if an argument is not valid; TypeError if there is no such option;
    WrongPasswordCyberDBError if there is no password.
    """
    if not isinstance(host, str):
        raise WrongInputCyberDBError(f"host must be a str, got {type(host).__name__}")
    given = parse_address(host)
    try:
        given.host.encode("idna")  # as sockets do
    except UnicodeError:
        raise WrongInputCyberDBError(f"{given.host!r} is not the name of a host") from None
    if port is None:
        port = DEFAULT_PORT if given.port is None else given.port
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise WrongInputCyberDBError(f"port must be a whole number from 0 to 65535, got {port!r}")
    values = {name: option.default for name, option in OPTIONS.items()}
    values.update(defaults)
    values.update(_parsed(given.options))
    values.update(_checked(options if time_out is None else {**options, "time_out": time_out}))
    values["track_changes"] = tracked.wanted(values["track_changes"])
    return Settings(
        host=given.host or DEFAULT_HOST,
        port=port,
        unix=given.unix,
        password=find_password(given.password if password is None else password),
        encrypt=bool(encrypt or given.encrypt),
        **values,
    )


def _parsed(texts: Mapping[str, str]) -> Dict[str, Any]:
    """The values of a URL's options. Errors: WrongInputCyberDBError."""
    values: Dict[str, Any] = {}
    for name, text in texts.items():
        option = OPTIONS.get(name)
        if option is None:
            raise WrongInputCyberDBError(f"the URL's option {name!r} is not one of {', '.join(OPTIONS)}")
        try:
            values[name] = option.parse(text)
            allowed = option.allows(values[name])
        except (KeyError, ValueError):
            allowed = False
        if not allowed:
            what = option.allowed.replace("None", "none").replace("True or False", "true or false")
            raise WrongInputCyberDBError(f"the URL's option {name} must be {what}, got {text!r}") from None
    return values


def _checked(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options that are arguments. Errors: WrongInputCyberDBError, TypeError."""
    for name, value in values.items():
        option = OPTIONS.get(name)
        if option is None:
            raise TypeError(f"connect() has no option {name!r}; its options are {', '.join(OPTIONS)}")
        if not option.allows(value):
            raise WrongInputCyberDBError(f"{name} must be {option.allowed}, got {value!r}")
    return values


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
        try:
            password = Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, ValueError) as e:
            raise WrongPasswordCyberDBError(f"CYBERDB_PASSWORD_FILE: {path} cannot be read: {e}") from e
    if not isinstance(password, str) or not password:
        raise WrongPasswordCyberDBError(
            "no password: pass password=..., or set CYBERDB_PASSWORD or CYBERDB_PASSWORD_FILE"
        )
    return password
