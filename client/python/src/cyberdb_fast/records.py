"""The records of an encrypted connection: AES-256-CTR, then HMAC-SHA-256 over the ciphertext.

See codec/PROTOCOL.md, "Records".
"""

from __future__ import annotations

import hmac
import struct
from typing import List

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from .errors import ProtocolError

MAX_RECORD_BYTES = 65536
LENGTH_BYTES = 4
TAG_BYTES = 16
# The keys change before a record that would exceed one of these.
MAX_KEY_BYTES = 64 << 30
MAX_KEY_RECORDS = 1 << 31
_LENGTH = struct.Struct("<I")
_AUTHENTICATED = struct.Struct("<QI")  # the tag covers these and the ciphertext: sequence, length


def hkdf_extract(salt: bytes, key: bytes) -> bytes:
    """RFC 5869 with SHA-256."""
    return hmac.digest(salt, key, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256."""
    out, block = b"", b""
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:length]


class Direction:
    """One direction of a connection: a secret, its keys, and how much they have been used."""

    def __init__(self, secret: bytes, max_bytes: int = MAX_KEY_BYTES, max_records: int = MAX_KEY_RECORDS) -> None:
        self._secret = secret
        self._max_bytes, self._max_records = max_bytes, max_records
        self._sequence = 0
        self._make_keys()

    def _make_keys(self) -> None:
        keys = hkdf_expand(self._secret, b"cyberdb-fast 1 record keys", 80)
        # CTR is its own inverse, so both directions encrypt.
        self._cipher = Cipher(AES(keys[:32]), CTR(keys[32:48])).encryptor()
        self._mac = HMAC(keys[48:], SHA256())  # copied for each record, which is cheaper than a new one
        self._bytes = self._records = 0

    def _count(self, n: int) -> None:
        """Counts a record of n bytes.

        First changes the keys if the record would exceed their limits.
        """
        if self._bytes + n > self._max_bytes or self._records + 1 > self._max_records:
            self._secret = hkdf_expand(self._secret, b"cyberdb-fast 1 next stream", 32)
            self._make_keys()
        self._bytes += n
        self._records += 1

    def _tag(self, ciphertext: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(_AUTHENTICATED.pack(self._sequence, len(ciphertext)) + ciphertext)
        self._sequence += 1
        return mac.finalize()[:TAG_BYTES]


class Sealer(Direction):
    """Encrypts one direction."""

    def seal(self, plain: bytes) -> bytes:
        """Returns plain in as many records as necessary."""
        if len(plain) <= MAX_RECORD_BYTES:
            return self._record(plain) if plain else b""
        return b"".join(
            self._record(plain[at : at + MAX_RECORD_BYTES]) for at in range(0, len(plain), MAX_RECORD_BYTES)
        )

    def end(self) -> bytes:
        """Returns the end record. It is the last one."""
        return self._record(b"")

    def _record(self, plain: bytes) -> bytes:
        self._count(len(plain))
        ciphertext = self._cipher.update(plain)
        return _LENGTH.pack(len(plain)) + ciphertext + self._tag(ciphertext)


class Opener(Direction):
    """Decrypts one direction. The records may arrive in any pieces."""

    def __init__(self, secret: bytes, max_bytes: int = MAX_KEY_BYTES, max_records: int = MAX_KEY_RECORDS) -> None:
        super().__init__(secret, max_bytes, max_records)
        self._buffer = b""
        self.ended = False  # the end record has come

    def hold(self, data: bytes) -> None:
        """Buffers data for the next open."""
        self._buffer = data

    def open(self, data: bytes) -> bytes:
        """Returns the content of the records that data completes.

        ProtocolError if one was altered.
        """
        if self._buffer:
            data = self._buffer + data
        plain: List[bytes] = []
        at = 0
        while len(data) - at >= LENGTH_BYTES and not self.ended:
            (length,) = _LENGTH.unpack_from(data, at)
            if length > MAX_RECORD_BYTES:
                raise ProtocolError(f"a record of {length} bytes, the limit is {MAX_RECORD_BYTES}")
            end = at + LENGTH_BYTES + length
            if len(data) < end + TAG_BYTES:
                break
            plain.append(self._open_one(data[at + LENGTH_BYTES : end], data[end : end + TAG_BYTES]))
            at = end + TAG_BYTES
        self._buffer = data[at:]
        return plain[0] if len(plain) == 1 else b"".join(plain)

    def _open_one(self, ciphertext: bytes, tag: bytes) -> bytes:
        self._count(len(ciphertext))
        if not hmac.compare_digest(self._tag(ciphertext), tag):
            raise ProtocolError("a record's tag is wrong: the data was altered on the way")
        self.ended = not ciphertext
        return self._cipher.update(ciphertext)
