"""The address of a server: a URL, host:port, or a host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Mapping, Optional
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .errors import WrongInputCyberDBError

SCHEMES = ("cyberdb", "cyberdbs", "unix", "unixs")
FORMS = (
    "write cyberdb://:password@host:port or unix://:password@/path (cyberdbs: and unixs: encrypt), "
    "with the password percent-encoded"
)


@dataclass(frozen=True)
class Address:
    """A parsed address. A part that the text does not name is None or empty."""

    host: str = ""
    port: Optional[int] = None
    unix: str = ""  # path of a Unix socket
    password: Optional[str] = None
    encrypt: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


def parse_address(text: str) -> Address:
    """Parses a URL, host:port or a host.

    A URL is cyberdb://:password@host:port?option=value, unix://:password@/path, unix:/path, or
    unix://./path for a path relative to the working directory. An IPv6 address with a port is in
    brackets.

    Errors: WrongInputCyberDBError, which names the wrong part and never contains the password.
    """
    text = text.strip()
    if "://" not in text and not text.startswith(("unix:/", "unixs:/")):
        return _without_scheme(text)
    scheme = text.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise WrongInputCyberDBError(f"the URL begins with {scheme}://: {FORMS}")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:  # its text may contain the password
        raise WrongInputCyberDBError(f"the URL cannot be parsed: {FORMS}") from None
    if problem := _problem(url, host):
        raise WrongInputCyberDBError(f"the URL {problem}: {FORMS}")
    password = None if url.password is None else unquote(url.password)
    found = _options(url.query)
    if scheme.startswith("unix"):
        return Address(unix=host + unquote(url.path), password=password, encrypt=scheme == "unixs", options=found)
    return Address(host, port, "", password, scheme == "cyberdbs", found)


def _without_scheme(text: str) -> Address:
    """host:port, [::1]:port, or a host, which may be an IPv6 address."""
    if "@" in text:  # what is before it may be a password
        raise WrongInputCyberDBError(f"the address has an @, but it is no URL: {FORMS}")
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return Address(text.strip("[]"))
    if not port.isdecimal() or int(port) > 65535:
        raise WrongInputCyberDBError(f"the port of {text!r} is not a number from 0 to 65535")
    return Address(host.strip("[]"), int(port))


def _problem(url: SplitResult, host: str) -> str:
    """Which part of a URL would have no effect; empty: none."""
    unix = url.scheme.startswith("unix")
    if url.username:
        return "names a user, but the server has no users"
    if url.fragment:
        return "has a #: write it as %23 in a password"
    if "@" in url.query:
        return "has a ? before an @: write ? in a password as %3F, and @ in an option as %40"
    if unix and url.port is not None:
        return "has a port, which a Unix socket has not: write / in a password as %2F"
    if not unix and url.path not in ("", "/"):
        return "has a path after the address, but there are no numbered databases: write / in a password as %2F"
    if unix and host not in ("", ".", ".."):
        return "has a host instead of a path: write unix:///path, or unix://./path for a relative path"
    if unix and not url.path:
        return "has no path"
    return ""


def _options(query: str) -> Dict[str, str]:
    """The options after the ?. WrongInputCyberDBError if one is given twice."""
    found: Dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in found:
            raise WrongInputCyberDBError(f"the URL's option {name!r} is given twice")
        found[name] = value
    return found
