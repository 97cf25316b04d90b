"""Keys from passwords, cached per process: a derivation takes about 70 ms and 32 MiB."""

from __future__ import annotations

import hashlib
import ipaddress
import sys
import threading
import unicodedata
from typing import Any, Dict, Optional, Tuple

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from .clock import MONOTONIC
from .errors import DisconCyberDBError, ProtocolError
from .handshake import KDF

MIN_LOG_N, MAX_LOG_N = 14, 17
KEY_BYTES = 32
# The minimum time between two new salts of one address. It keeps a hostile server from making its
# clients derive keys all the time.
NEW_SALT_SECONDS = 60.0
MAX_KEYS = 256
# How long a derivation may wait for another one, which takes about 70 ms.
LOCK_SECONDS = 1.0


def derive(kdf: KDF, password: str) -> bytes:
    """Derives a key: scrypt over the password's NFC form.

    ProtocolError if the cost that the server asks for is out of bounds.
    """
    if not MIN_LOG_N <= kdf.log_n <= MAX_LOG_N:
        raise ProtocolError(
            f"the server asks for a key of log2(N) {kdf.log_n}, this client accepts {MIN_LOG_N} to {MAX_LOG_N}"
        )
    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    n = 1 << kdf.log_n
    try:
        if hasattr(hashlib, "scrypt"):
            return hashlib.scrypt(text, salt=kdf.salt, n=n, r=8, p=1, dklen=KEY_BYTES, maxmem=256 << 20)
        return Scrypt(kdf.salt, KEY_BYTES, n, 8, 1).derive(text)  # PyPy
    except (MemoryError, ValueError) as e:
        raise DisconCyberDBError(
            f"deriving the key from the password failed; it needs {n * 1024 >> 20} MiB of memory: {e}"
        ) from e


def on_this_machine(address: str) -> bool:
    """Whether address, as in Settings, is a loopback address or a Unix socket.

    There NEW_SALT_SECONDS does not apply: no other machine can impersonate the server, and tests
    start many servers one after another.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in address:
        return True
    host = host.strip("[]").rstrip(".").lower()
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


class KeyRing:
    """Caches keys by password and salt, and remembers the last salt of each address."""

    def __init__(self) -> None:
        self._keys: Dict[Tuple[KDF, str], bytes] = {}
        self._salts: Dict[str, Tuple[KDF, Optional[float]]] = {}  # the time is None for an address's first salt
        self._lock: Any = None  # made when first needed, because gevent may patch threading.Lock before that

    def known(self, password: str, kdf: KDF) -> Optional[bytes]:
        """The key if it is in the cache, else None."""
        return self._keys.get((kdf, password))

    def key(self, address: str, password: str, kdf: KDF) -> bytes:
        """Returns the key of password for the server at address, which sent kdf.

        A derivation takes about 70 ms; other threads and greenlets continue. Errors: ProtocolError
        for a new salt within NEW_SALT_SECONDS of the last one, and those of derive.
        """
        known = self._keys.get((kdf, password))
        if known is not None:
            return known
        if self._lock is None:
            self._lock = threading.Lock()
        # The lock may never be released, if its owner was interrupted. Then the key is derived
        # twice.
        lock, held = self._lock, False
        try:
            held = lock.acquire(timeout=LOCK_SECONDS)
            known = self._keys.get((kdf, password))
            return self._derive(address, password, kdf) if known is None else known
        finally:
            if held:
                lock.release()

    def _derive(self, address: str, password: str, kdf: KDF) -> bytes:
        last, at = self._salts.get(address, (kdf, None))
        now = MONOTONIC[0]()
        if last != kdf and at is not None and now - at < NEW_SALT_SECONDS and not on_this_machine(address):
            wait = NEW_SALT_SECONDS - (now - at)
            raise ProtocolError(
                f"{address} has sent a second new salt within a minute; the next key is derived in {wait:.0f} s"
            )
        key = _derive_in_background(kdf, password)
        if len(self._keys) >= MAX_KEYS:
            self._keys.clear()
        if len(self._salts) >= MAX_KEYS:
            self._salts = {a: s for a, s in self._salts.items() if s[1] is not None and now - s[1] < NEW_SALT_SECONDS}
        self._keys[kdf, password] = key
        self._salts[address] = (kdf, at if last == kdf else now)
        return key


def _derive_in_background(kdf: KDF, password: str) -> bytes:
    """As derive, but under gevent in a thread of its pool, so that other greenlets continue."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return derive(kdf, password)
    import gevent

    result: bytes = gevent.get_hub().threadpool.apply(derive, (kdf, password))
    return result


key_ring = KeyRing()
