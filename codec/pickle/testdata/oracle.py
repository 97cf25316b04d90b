"""CPython as the oracle of pickles: python3 oracle.py SEED COUNT prints COUNT lines "protocol TAB pickle TAB encoding TAB repr", the first two and the repr in
hex, of random values. Each line of stdin, "pickle TAB encoding" in hex, is then loaded and compared; what differs is printed to stderr.
"""

import os
import pathlib
import pickle
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "value" / "testdata"))
import generate  # noqa: E402
from generate import encode  # noqa: E402
from oracle import Maker, has_foreign, hexed  # noqa: E402


def is_shared(x):
    """Whether x is to be pickled with an object in it twice."""
    return isinstance(x, (list, dict, tuple)) and len(x) > 0


def ask(seed, count):
    r = random.Random(seed)
    make = Maker(r)
    asked = 0
    while asked < count:
        try:
            x = make.value()
            if has_foreign(x) or "zoneinfo" in repr(x):
                continue
            if is_shared(x) and r.random() < 0.3:
                x = [x, {"again": x}, (x,)]
            protocol = r.randrange(6)
            if protocol < 4 and "fold=1" in repr(x):
                continue
            form = pickle._dumps if r.random() < 0.2 else pickle.dumps
            print(protocol, form(x, protocol).hex(), encode(x).hex(), hexed(repr(x)), sep="\t")
        except (ArithmeticError, ValueError):  # a Decimal out of its range, an int too large to encode
            continue
        asked += 1
    sys.stdout.flush()
    os.close(sys.stdout.fileno())  # nothing more is asked


def in_order(code):
    """An encoder of sets that has their members in one order: that of Python is the process's own."""
    return lambda x: generate.ext(code, generate.header(len(x), 0x90, 15, None, 0xDC, 0xDD) + b"".join(sorted(map(encode, x))))


def answer():
    generate.ENCODERS[set], generate.ENCODERS[frozenset] = in_order(3), in_order(4)
    wrong = 0
    for line in sys.stdin:
        made, encoding = map(bytes.fromhex, line.split())
        x, want = pickle.loads(made), generate.decode(encoding)
        if encode(x) != encode(want):
            print(f"{made.hex()} is {x!r}, not {want!r}", file=sys.stderr)
            wrong += 1
    return wrong > 0


if __name__ == "__main__":
    ask(int(sys.argv[1]), int(sys.argv[2]))
    sys.exit(answer())
