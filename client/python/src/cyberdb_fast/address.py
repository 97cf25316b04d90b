"""Where a server is, as text: a URL, host:port, or a host alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .errors import WrongInputCyberDBError

SCHEMES = ("cyberdb", "cyberdbs", "unix", "unixs")
FORMS = "write cyberdb://:password@host:port or unix://:password@/path (cyberdbs: and unixs: encrypt), with the password percent-encoded"


@dataclass(frozen=True)
class Address:
    """What a text says of a server. None and the empty text: it says nothing of that."""

    host: str = ""
    port: Optional[int] = None
    unix: str = ""  # path of a Unix socket
    password: Optional[str] = None
    encrypt: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_address(text: str, options: Mapping[str, Callable[[str], float]]) -> Address:
    """Reads a URL, host:port or a host; options holds the type of each option that a URL may name.

    A URL is cyberdb://:password@host:port?option=value, unix://:password@/path, unix:/path, or unix://./path for a path that is
    relative to the working directory. An IPv6 address with a port stands in brackets.

    Errors: WrongInputCyberDBError, which names the part that is wrong and never shows the password.
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
    except ValueError:  # its text may show the password
        raise WrongInputCyberDBError(f"the URL cannot be read: {FORMS}") from None
    if problem := _problem(url, host):
        raise WrongInputCyberDBError(f"the URL {problem}: {FORMS}")
    password = None if url.password is None else unquote(url.password)
    found = _options(url.query, options)
    if scheme.startswith("unix"):
        return Address(unix=host + unquote(url.path), password=password, encrypt=scheme == "unixs", options=found)
    return Address(host, port, "", password, scheme == "cyberdbs", found)


def _without_scheme(text: str) -> Address:
    """host:port, [::1]:port, or a host, which may be an IPv6 address."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return Address(text.strip("[]"))
    if not port.isdecimal() or int(port) > 65535:
        raise WrongInputCyberDBError(f"the port of {text!r} is not a number from 0 to 65535")
    return Address(host.strip("[]"), int(port))


def _problem(url: SplitResult, host: str) -> str:
    """What stands in a URL and would have no effect; empty: nothing."""
    unix = url.scheme.startswith("unix")
    if url.username:
        return "names a user, and there are none"
    if url.fragment:
        return "has a #: write it as %23 in a password"
    if not unix and url.path not in ("", "/"):
        return "has a path behind the address, and there are no numbered databases: write / in a password as %2F"
    if unix and host not in ("", ".", ".."):
        return "has a host where the socket's path begins: unix:///path, or unix://./path for a relative one"
    if unix and not url.path:
        return "has no path"
    return ""


def _options(query: str, types: Mapping[str, Callable[[str], float]]) -> Dict[str, Any]:
    """The options behind the question mark. Errors: WrongInputCyberDBError for one that is not known, or no number."""
    found: Dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in types:
            raise WrongInputCyberDBError(f"the URL's option {name!r} is not one of {', '.join(types)}")
        try:
            found[name] = types[name](value)
        except ValueError:
            raise WrongInputCyberDBError(f"the URL's option {name} is a number, not {value!r}") from None
        if not found[name] >= 0:
            raise WrongInputCyberDBError(f"the URL's option {name} is not below 0: {value}")
    return found
