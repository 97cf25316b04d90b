"""Checks secure.json by PROTOCOL.md alone: Python's integers, hashlib and hmac, and AES of the openssl command."""

import hashlib
import hmac
import json
import subprocess
import sys
import unicodedata

P = 2**255 - 19
A = 486662


def leb(n):
    out = b""
    while True:
        n, low = n >> 7, n & 0x7F
        out += bytes([low | (0x80 if n else 0)])
        if not n:
            return out


def lv(*parts):
    return b"".join(leb(len(p)) + p for p in parts)


def x25519(scalar, point):
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = int.from_bytes(point, "little") % 2**255
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in reversed(range(255)):
        swap = k >> bit & 1
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        aa, bb = a * a, b * b
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def generator(prs, ci, sid):
    dsi = b"CPace255"
    zeros = max(0, 128 - 1 - len(lv(prs)) - len(lv(dsi)))
    digest = hashlib.sha512(lv(dsi, prs, bytes(zeros), ci, sid)).digest()
    u = int.from_bytes(digest[:32], "little") % 2**255
    x = -A * pow(1 + 2 * u * u, P - 2, P) % P
    if pow(x**3 + A * x * x + x, (P - 1) // 2, P) == P - 1:
        x = (-x - A) % P
    return x.to_bytes(32, "little")


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand(prk, info, n):
    out, block, i = b"", b"", 0
    while len(out) < n:
        i += 1
        block = mac(prk, block + info + bytes([i]))
        out += block
    return out[:n]


def aes_ctr(key, counter, data):
    command = ["openssl", "enc", "-aes-256-ctr", "-K", key.hex(), "-iv", counter.hex()]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


class Stream:
    """One direction's records, opened."""

    def __init__(self, secret, max_records=2**31):
        self.secret, self.max_records, self.sequence = secret, max_records, 0
        self.keys()

    def keys(self):
        k = expand(self.secret, b"cyberdb-fast 1 record keys", 80)
        self.cipher, self.counter, self.mac = k[:32], k[32:48], k[48:]
        self.text, self.records = b"", 0

    def open(self, wire):
        if self.records == self.max_records:
            self.secret = expand(self.secret, b"cyberdb-fast 1 next stream", 32)
            self.keys()
        self.records += 1
        length, body, tag = wire[:4], wire[4:-16], wire[-16:]
        same(int.from_bytes(length, "little"), len(body))
        same(mac(self.mac, self.sequence.to_bytes(8, "little") + length + body)[:16], tag)
        self.sequence += 1
        before, self.text = len(self.text), self.text + body
        return aes_ctr(self.cipher, self.counter, self.text)[before:]


checks = 0


def same(got, want):
    global checks
    checks += 1
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def handshake(prs, nonces, scalars, messages, ci):
    hello, greeting, client_share, server_share, client_fin, server_fin = messages
    for message in (hello[8:], *messages[1:]):
        same(int.from_bytes(message[1:3], "little"), len(message) - 3)
    same(greeting[3 + 3 + 16 :][:32], nonces[1])
    same(client_share[3 + 2 :][:32], nonces[0])
    sid = nonces[0] + nonces[1]
    g = generator(prs, ci, sid)
    ya, yb = x25519(scalars[0], g), x25519(scalars[1], g)
    same(client_share[-32:], ya)
    same(server_share[-32:], yb)
    k = x25519(scalars[0], yb)
    same(x25519(scalars[1], ya), k)
    isk = hashlib.sha512(lv(b"CPace255_ISK", sid, k, ya, b"", yb, b"")).digest()
    th = hashlib.sha256(hello + greeting + client_share + server_share).digest()
    prk = mac(th, isk)
    for side, message in (("client", client_fin), ("server", server_fin)):
        same(message[3:], mac(expand(prk, f"cyberdb-fast 1 {side} finished".encode(), 32), th))
    return sid, g, th, prk


def main(name):
    with open(name, encoding="utf-8") as f:
        v = json.load(f)
    unhex = bytes.fromhex
    p, h = v["password"], v["handshake"]
    text = unicodedata.normalize("NFC", p["text"]).encode()
    prs = hashlib.scrypt(text, salt=unhex(p["salt"]), n=2 ** p["log_n"], r=8, p=1, dklen=32, maxmem=2**27)
    same(prs.hex(), p["prs"])
    ci = lv(b"cyberdb-fast 1 client", b"cyberdb-fast 1 server")
    same(ci.hex(), h["ci"])
    names = ["hello", "greeting", "client_share", "server_share", "client_fin", "server_fin"]
    nonces = [unhex(h["client_nonce"]), unhex(h["server_nonce"])]
    scalars = [unhex(h["client_scalar"]), unhex(h["server_scalar"])]
    handshake(prs, nonces, scalars, [unhex(v["plain"][n]) for n in names], ci)
    sid, g, th, prk = handshake(prs, nonces, scalars, [unhex(h[n]) for n in names], ci)
    same(sid.hex(), h["sid"])
    same(g.hex(), h["generator"])
    same(th.hex(), h["transcript_hash"])
    streams = {}
    for side in ("client", "server"):
        secret = expand(prk, f"cyberdb-fast 1 {side} stream".encode(), 32)
        same(secret.hex(), h[f"{side}_stream_secret"])
        streams[side] = Stream(secret)
    for record in v["records"]:
        same(streams[record["from"]].open(unhex(record["wire"])).hex(), record["plain"])
    n = v["new_keys"]
    stream = Stream(unhex(n["secret"]), n["max_records"])
    for plain, wire in zip(n["plain"], n["wire"]):
        same(stream.open(unhex(wire)).hex(), plain)
    print(checks)


main(sys.argv[1])
