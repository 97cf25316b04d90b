"""CPace with X25519 and SHA-512 (draft-irtf-cfrg-cpace-21), the client's side.

Both sides prove that they know one password, and neither sends it.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

DOMAIN = b"CPace255"
HASH_BLOCK_BYTES = 128
P = 2**255 - 19
A = 486662  # of the curve y^2 = x^3 + A x^2 + x
NON_SQUARE = 2


def leb128(n: int) -> bytes:
    """Encodes a length as the draft does: seven bits per byte, lowest first."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def lv_cat(*parts: bytes) -> bytes:
    """Concatenates the parts, each after its length."""
    return b"".join(leb128(len(part)) + part for part in parts)


def map_to_curve(u: int) -> int:
    """Elligator 2 for Curve25519 (RFC 9380, 6.7.1): maps a field element to a u-coordinate."""
    x = -A * pow(1 + NON_SQUARE * u * u, -1, P) % P
    is_square = pow(x * (x * (x + A) + 1), (P - 1) // 2, P) != P - 1
    return x if is_square else (-x - A) % P


def generator(prs: bytes, ci: bytes, sid: bytes) -> bytes:
    """The base point, which depends on the password-related string, the channel and the session."""
    zeros = max(0, HASH_BLOCK_BYTES - 1 - len(lv_cat(prs)) - len(lv_cat(DOMAIN)))
    digest = hashlib.sha512(lv_cat(DOMAIN, prs, bytes(zeros), ci, sid)).digest()
    u = int.from_bytes(digest[:32], "little") % 2**255
    return map_to_curve(u).to_bytes(32, "little")


def x25519(scalar: bytes, point: bytes) -> bytes:
    """X25519 of RFC 7748. ValueError if the result is zero: the point is of low order."""
    return X25519PrivateKey.from_private_bytes(scalar).exchange(X25519PublicKey.from_public_bytes(point))


def session_key(sid: bytes, shared: bytes, ya: bytes, yb: bytes, ada: bytes = b"", adb: bytes = b"") -> bytes:
    """ISK, 64 bytes, from both shares, each with its associated data."""
    return hashlib.sha512(lv_cat(DOMAIN + b"_ISK", sid, shared) + lv_cat(ya, ada) + lv_cat(yb, adb)).digest()
