"""Writes sources of random literals, and what CPython's repr says of them, as lines of JSON."""

import ast
import json
import random
import sys
import warnings

warnings.simplefilter("ignore")
rng = random.Random(int(sys.argv[1]))


def text():
    quote = rng.choice(["'", '"', "'''", '"""'])
    prefix = rng.choice(["", "", "", "r", "R", "u", "b", "B", "rb", "bR"])
    pieces = ["a", "Z", " ", "é", "日", "\\n", "\\t", "\\x41", "\\xff", "\\101", "\\777", "\\0", "\\u00e9", "\\ud800",
              "\\U0001f600", "\\N{BULLET}", "\\N{greek small letter alpha}", "\\'", '\\"', "\\\\", "\\q", "\\\n", "{x}", "#", "\n", "'", '"']
    body = "".join(rng.choice(pieces) for _ in range(rng.randrange(8)))
    return prefix + quote + body + quote


def number():
    digits = lambda n=9: str(rng.randrange(1, 10 ** rng.randrange(1, n)))
    return rng.choice([
        lambda: digits(40), lambda: "0", lambda: "00", lambda: "0_0", lambda: digits() + "_" + digits(),
        lambda: hex(rng.getrandbits(rng.choice([4, 63, 64, 65, 200]))), lambda: "0B1_01", lambda: "0o17", lambda: "0X_fF",
        lambda: digits() + "." + digits(), lambda: "." + digits(), lambda: digits() + ".", lambda: digits() + "e" + digits(3),
        lambda: "1.5E-7", lambda: "1e999", lambda: digits() + "j", lambda: "1.5J", lambda: digits() + "+2j", lambda: "1.5-2.5j",
        lambda: "1__0", lambda: "1_", lambda: "0x", lambda: "012", lambda: "1e", lambda: "0b2", lambda: "1_.5", lambda: "0_1", lambda: "09.5", lambda: "1_e5",
    ])()


def literal(depth):
    kind = rng.randrange(12 if depth else 6)
    if kind < 2:
        return number()
    if kind < 4:
        return text()
    if kind == 4:
        return rng.choice(["None", "True", "False", "...", "()", "[]", "{}", "set()"])
    if kind == 5:
        return rng.choice(["-", "+", "- "]) + number()
    parts = [literal(depth - 1) for _ in range(rng.randrange(4))]
    comma = rng.choice([", ", ",", ",\n", ", # note\n"])
    tail = rng.choice(["", ","]) if parts else ""
    if kind < 8:
        return "[" + comma.join(parts) + tail + "]"
    if kind < 9:
        return "(" + comma.join(parts) + ("," if len(parts) == 1 else tail) + ")"
    if kind < 11:
        return "{" + comma.join(f"{literal(0)}: {p}" for p in parts) + tail + "}"
    return " ".join(text() for _ in range(2))


for _ in range(int(sys.argv[2])):
    source = literal(3)
    try:
        answer = repr(ast.literal_eval(source))
    except Exception as error:
        answer = None
    print(json.dumps([source, answer]))
