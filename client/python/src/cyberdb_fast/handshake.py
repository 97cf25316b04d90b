"""The client's side of the handshake in codec/PROTOCOL.md.

Bytes in, bytes out, no sockets and no clock.

    opening = Opening(encrypt)
    send(opening.hello())
    while opening.session is None:
        answer = opening.receive(received)
        if opening.kdf is not None:
            answer = opening.use_key(key of the password for opening.kdf)
        send(answer)
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import NamedTuple, Optional

from . import cpace, foreign
from .errors import ConnectionRefused, EncryptionMismatch, Overloaded, ProtocolError, WrongPasswordCyberDBError
from .records import Opener, Sealer, hkdf_expand, hkdf_extract
from .session import Session

MAGIC = b"\xf7CDBF\r\n\x1a"
PROTOCOL_VERSION = 1
SUITE_CPACE = 2
OPTION_ENCRYPT = 1

HELLO, GREETING, CLIENT_SHARE, SERVER_SHARE, CLIENT_FIN, SERVER_FIN, REFUSAL = 1, 2, 3, 4, 5, 6, 127
NOTHING = -1  # the client has to derive its key; the server may only send a refusal
REFUSED_TOO_MANY, REFUSED_PASSWORD, REFUSED_ENCRYPTION = 1, 2, 9
MAX_MESSAGE_BYTES = 2048

NONCE_BYTES = 32
SALT_BYTES = 16
CHANNEL = cpace.lv_cat(b"cyberdb-fast 1 client", b"cyberdb-fast 1 server")


class KDF(NamedTuple):
    """The parameters of scrypt for the key: N = 2 ** log_n, r = 8, p = 1, and the salt."""

    log_n: int
    salt: bytes


def message(kind: int, body: bytes) -> bytes:
    """Encodes one handshake message: type, length, body."""
    return bytes([kind]) + len(body).to_bytes(2, "little") + body


class Opening:
    """One handshake, from Hello to the session."""

    def __init__(self, encrypt: bool, nonce: Optional[bytes] = None, scalar: Optional[bytes] = None) -> None:
        self._encrypt = encrypt
        self._nonce = nonce or os.urandom(NONCE_BYTES)
        self._scalar = scalar or os.urandom(32)
        self._transcript = hashlib.sha256()
        self._buffer = b""
        self._await = GREETING
        self._sid = self._share = self._prk = self._th = b""
        self.kdf: Optional[KDF] = None  # if set, the caller has to call use_key
        self.session: Optional[Session] = None  # set when both sides have authenticated
        self.max_frame_bytes = 0

    def hello(self) -> bytes:
        """Returns the first message, with its magic."""
        options = OPTION_ENCRYPT if self._encrypt else 0
        hello = MAGIC + message(HELLO, bytes([PROTOCOL_VERSION, PROTOCOL_VERSION, options]))
        self._transcript.update(hello)
        return hello

    def receive(self, data: bytes) -> bytes:
        """Processes received data and returns the bytes to send; none while kdf is set.

        Errors: ConnectionRefused and its kinds, WrongPasswordCyberDBError, Overloaded,
        ProtocolError.
        """
        self._buffer += data
        if self._other_server(cut=False):
            return b""
        if len(self._buffer) < 3:
            return b""
        kind, length = self._buffer[0], int.from_bytes(self._buffer[1:3], "little")
        if kind not in (self._await, REFUSAL) or length > MAX_MESSAGE_BYTES:
            due = f"type {self._await}" if self._await != NOTHING else "none"
            raise ProtocolError(f"handshake message of type {kind} and {length} bytes, expected {due}")
        if len(self._buffer) < 3 + length:
            return b""
        received, self._buffer = self._buffer[: 3 + length], self._buffer[3 + length :]
        if kind == REFUSAL:
            raise refusal(received[3:])
        if kind == GREETING:
            return self._greeting(received)
        if kind == SERVER_SHARE:
            return self._server_share(received)
        return self._server_fin(received[3:])

    def end(self) -> None:
        """Called when the server has closed the connection.

        ProtocolError if it is another kind of server.
        """
        self._other_server(cut=True)

    def _other_server(self, cut: bool) -> bool:
        """Whether the server speaks another protocol.

        OtherServer once its name is certain, or if cut.
        """
        if self._await != GREETING or not self._buffer or self._buffer[0] in (GREETING, REFUSAL):
            return False
        what, sure = foreign.describe(self._buffer)
        if sure or cut:
            raise foreign.OtherServer(what)
        return True

    def _greeting(self, received: bytes) -> bytes:
        body = received[3:]
        fixed = 3 + SALT_BYTES + NONCE_BYTES + 1
        if len(body) < fixed or len(body) != fixed + body[fixed - 1]:
            raise ProtocolError("the server's greeting has the wrong length")
        version, options = body[0], body[1]
        if version != PROTOCOL_VERSION:
            raise ProtocolError(f"the server speaks protocol version {version}, this client {PROTOCOL_VERSION}")
        if options & ~OPTION_ENCRYPT or SUITE_CPACE not in body[fixed:]:
            raise ProtocolError("the server requires options or suites that this client does not support")
        if options != (OPTION_ENCRYPT if self._encrypt else 0):
            raise EncryptionMismatch(
                "the server does not encrypt but this client does: start it with --encrypt, or pass encrypt=False"
                if self._encrypt
                else "the server encrypts but this client does not: pass encrypt=True"
            )
        self._transcript.update(received)
        self._sid = self._nonce + body[3 + SALT_BYTES : fixed - 1]
        self.kdf = KDF(body[2], body[3 : 3 + SALT_BYTES])
        self._await = NOTHING
        return self.receive(b"")

    def use_key(self, prs: bytes) -> bytes:
        """Continues with the key of the password for kdf; returns the bytes to send."""
        self.kdf = None
        self._share = cpace.x25519(self._scalar, cpace.generator(prs, CHANNEL, self._sid))
        out = message(CLIENT_SHARE, bytes([SUITE_CPACE, 0]) + self._nonce + self._share)
        self._transcript.update(out)
        self._await = SERVER_SHARE
        return out

    def _server_share(self, received: bytes) -> bytes:
        body = received[3:]
        if len(body) != 12 + 32:
            raise ProtocolError("the server's share has the wrong length")
        self.max_frame_bytes = int.from_bytes(body[:4], "little")
        share = body[12:]
        try:
            shared = cpace.x25519(self._scalar, share)
        except ValueError:
            raise ProtocolError("the server's share is a point of low order") from None
        self._transcript.update(received)
        self._th = self._transcript.digest()
        self._prk = hkdf_extract(self._th, cpace.session_key(self._sid, shared, self._share, share))
        self._await = SERVER_FIN
        return message(CLIENT_FIN, self._tag(b"client"))

    def _tag(self, side: bytes) -> bytes:
        return hmac.digest(hkdf_expand(self._prk, b"cyberdb-fast 1 " + side + b" finished", 32), self._th, "sha256")

    def _server_fin(self, tag: bytes) -> bytes:
        if not hmac.compare_digest(tag, self._tag(b"server")):
            raise WrongPasswordCyberDBError("the server could not prove that it knows the password")
        sealer = opener = None
        if self._encrypt:
            sealer = Sealer(hkdf_expand(self._prk, b"cyberdb-fast 1 client stream", 32))
            opener = Opener(hkdf_expand(self._prk, b"cyberdb-fast 1 server stream", 32))
        self.session = Session(sealer, opener, self.max_frame_bytes, self._buffer)
        return b""


def refusal(body: bytes) -> Exception:
    """The error for a Refusal."""
    code, text = (body[0], body[1:].decode("utf-8", "replace")) if body else (0, "no reason given")
    text = "".join(
        c if c.isprintable() else "\ufffd" for c in text
    )  # the server is not authenticated yet, and the text goes to logs and terminals
    if code == REFUSED_PASSWORD:
        return WrongPasswordCyberDBError("incorrect password" if text in ("", "wrong password") else text)
    if code == REFUSED_ENCRYPTION:
        return EncryptionMismatch(text)
    if code == REFUSED_TOO_MANY:
        return Overloaded(text)
    return ConnectionRefused(text)
