"""Asks CPython: makes random values, and prints what Python says of them.

python3 oracle.py SEED COUNT prints COUNT groups of lines "operation TAB argument TAB ... TAB answer". Arguments are encodings in hex; an
answer is T or F, "=" and hex (an encoding or a text), or "!" and the hex of the error's text.
"""

import collections
import copy
import datetime
import decimal
import fractions
import random
import sys
import unicodedata
import uuid
import zoneinfo

sys.dont_write_bytecode = True
from generate import Extension, Unopened, decode, encode  # noqa: E402

UTC = datetime.timezone.utc


def hexed(text):
    return text.encode("utf-8", "surrogatepass").hex()


def answer(f, *args):
    """What f returns or raises."""
    try:
        x = f(*args)
    except decimal.Overflow as e:
        return "!" + hexed(f"OverflowError: {e}")
    except decimal.InvalidOperation as e:
        return "!" + hexed(f"ValueError: {e}")
    except Exception as e:  # the oracle reports every error
        return "!" + hexed(f"{type(e).__name__}: {e}")
    if isinstance(x, bool):
        return "TF"[not x]
    return "=" + (hexed(x) if isinstance(x, str) else x.hex())


INTS = [0, 1, -1, 2, 3, 7, 127, 128, 255, 256, -32, -33, -128, -129, 65535, 65536, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30, -(10**30), 2**1023, 2**1024, 10**400, -(2**200), 10**22, 10**23, -(10**23), 3 * 10**22, 7 * 10**24, 5**23 * 2**40, 2**1023 * 3, 10**2300]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 0.1, 1.5, 2.0, 3.0, 2.0**53, 2.0**63, 2.0**64, -(2.0**63), 1e30, 1e300, 5e-324, float("inf"), float("-inf"), 1e16, 1e-5, 123456.789]
DECIMALS = ["0", "-0", "1", "1.0", "0.5", "0.1", "1.10", "1E+5", "100000", "1E-7", "1E+30", "1E+400", "1E+999999", "-1E+999999", "1E-999999", "9E-999999999", "9.9E+999999999", "NaN", "sNaN", "NaN7", "Infinity", "-Infinity", "0E-9", "0E+7", "1E+2300", "1E-2300", "1E+2465", "1E+2470", "1E+19727", "1E+19730", "5E-19727", "1E-19800", "9007199254740993", "1.5", "2", "3.0", "1E+22", "1E+23", "-1E+23", "3E+22", "7E+24", "0.125", "0.375", "-2.5", "0.0009765625", "1.25E-10", "123456789012345678901234567890.5", "0.3333333333333333333333333333"]
WORDS = ["", "a", "b", "A", "ab", "AB", "Ab", "é", "É", "ß", "ΑΣ", "ΣΑΣ Σ", "ὈΔΥΣΣΕΎΣ", "İI", "it's", '"', "'\"", "\ud800", "\udfff", "\uffff", "😀", "\u2028", "\x00\n", "中文", "x" * 40, "ΑΣ'Β", "ΑΣ.", "\U00010400", "Ǆ", "a\u0345Σ"]
ZONES = [UTC, datetime.timezone(datetime.timedelta(hours=2)), datetime.timezone(datetime.timedelta(hours=-5, minutes=-30)), datetime.timezone(datetime.timedelta(0)), datetime.timezone(datetime.timedelta(seconds=-1)), datetime.timezone(datetime.timedelta(hours=8), "CST"), zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Asia/Tokyo")]
EXCEPTIONS = [ValueError, KeyError, TypeError, RuntimeError, IndexError]


class Maker:
    """Makes random objects."""

    def __init__(self, r):
        self.r = r

    def number(self):
        r = self.r
        kind = r.randrange(12)
        if kind < 4:
            return r.choice(INTS) + r.choice((0, 0, 0, 1, -1)) if r.random() < 0.7 else r.randrange(-(2 ** r.randrange(1, 90)), 2 ** r.randrange(1, 90))
        if kind < 6:
            return r.choice(FLOATS) if r.random() < 0.7 else r.gauss(0, 10 ** r.randrange(-5, 20))
        if kind == 6:
            return float("nan") if r.random() < 0.3 else r.choice((True, False))
        if kind < 9:
            if r.random() < 0.7:
                return decimal.Decimal(r.choice(DECIMALS))
            return decimal.Decimal((r.randrange(2), tuple(r.randrange(10) for _ in range(r.randrange(1, 40))), r.choice((0, 0, -1, -2, -10, 3, r.randrange(-50, 50)))))
        if kind == 9:
            return fractions.Fraction(r.choice(INTS), r.choice((1, 2, 3, 4, 8, 10, 1024, 2**60, 10**20, 3**30, 5**40, 2**90 * 5**40, 10**2300)))
        if kind == 10:
            return complex(r.choice(FLOATS), r.choice((0.0, -0.0, 0.0, 1.0, float("nan"))))
        return r.choice((0, 1, True, False, 1.0, 0.0))

    def count(self):
        """A number that goes into any order."""
        while True:
            x = self.number()
            if type(x) is not complex and x == x and abs(x) < 10**400:
                return x

    def text(self):
        r = self.r
        return "".join(r.choice(WORDS) for _ in range(r.choice((1, 1, 1, 2, 3)))) if r.random() < 0.9 else "".join(c for c in map(chr, (r.randrange(0x110000) for _ in range(3))) if unicodedata.category(c) != "Cn")

    def stamp(self):
        r = self.r
        kind = r.randrange(4)
        tz = r.choice(ZONES) if r.random() < 0.5 else None
        if kind == 0:
            return datetime.date(r.choice((1, 2022, 9999)), r.choice((1, 12)), r.choice((1, 31)))
        if kind == 1:
            return datetime.timedelta(r.choice((0, 1, -1, 2, 999999999, -999999999)), r.choice((0, 1, 3600, 86399)), r.choice((0, 0, 1, 999999)))
        if kind == 2:
            if isinstance(tz, zoneinfo.ZoneInfo):
                tz = UTC
            return datetime.time(r.choice((0, 1, 23)), r.choice((0, 30)), r.choice((0, 0, 5)), r.choice((0, 0, 1)), tzinfo=tz, fold=r.randrange(2))
        year = 2022 if tz else r.choice((1, 1969, 1970, 2022, 9999))
        return datetime.datetime(year, 1, r.choice((1, 2)), r.randrange(24), r.choice((0, 30)), r.choice((0, 5)), r.choice((0, 0, 7)), tzinfo=tz, fold=r.choice((0, 0, 1)) if tz is None else 0)

    def scalar(self):
        r = self.r
        kind = r.randrange(14)
        if kind < 5:
            return self.number()
        if kind < 8:
            return self.text()
        if kind < 10:
            return self.stamp()
        if kind == 10:
            return r.choice((b"", b"a", b"AB\xc0\xff", b"it's")) if r.random() < 0.6 else bytearray(r.choice((b"", b"a", b"B")))
        if kind == 11:
            return r.choice((None, None, ..., NotImplemented))
        if kind == 12:
            return uuid.UUID(int=r.choice((0, 1, 2**127, r.getrandbits(128))))
        step = r.choice((1, 1, 2, -1, -3, 10**19))
        return range(r.choice((0, 1, 5, -5, 10**20)), r.choice((0, 1, 5, 6, -5, 2 * 10**20)), step)

    def hashable(self, depth=2):
        while True:
            x = self.value(depth)
            try:
                hash(x)
                if not has_foreign(x):
                    return x
            except (TypeError, ValueError):
                pass

    def value(self, depth=3):
        r = self.r
        kind = r.randrange(20)
        if depth == 0 or kind < 9:
            return self.scalar()
        n = r.choice((0, 1, 1, 2, 3, 12))
        if kind < 12:
            return [self.value(depth - 1) for _ in range(n)]
        if kind < 14:
            return tuple(self.value(depth - 1) for _ in range(n))
        if kind == 14:
            return r.choice((set, frozenset))(self.hashable(depth - 1) for _ in range(n))
        if kind < 17:
            d = {self.hashable(depth - 1): self.value(depth - 1) for _ in range(n)}
            return r.choice((dict, dict, collections.OrderedDict, lambda x: collections.defaultdict(r.choice((None, int, list)), x)))(d)
        if kind == 17:
            count = self.count if r.random() < 0.3 else lambda: r.randrange(-2, 5)
            return collections.Counter({self.text() if r.random() < 0.7 else self.hashable(1): count() for _ in range(n)})
        if kind == 18:
            items = [self.value(depth - 1) for _ in range(n)]
            return collections.deque(items, r.choice((None, 50)))
        return r.choice((slice(self.scalar(), self.scalar(), None), r.choice(EXCEPTIONS)(*(self.scalar() for _ in range(n % 4))), Extension(64, b"x"), Unopened("a.B", b"")))

    def like(self, x):
        """Something that is often equal to x, and otherwise near it."""
        r = self.r
        kind = r.randrange(10)
        if kind < 3:
            return decode(encode(x))
        if isinstance(x, (bool, int, float, decimal.Decimal, fractions.Fraction, complex)):
            return self.renumber(x)
        if isinstance(x, (tuple, list, collections.deque)) and type(x) in (tuple, list, collections.deque):
            return type(x)(self.like(y) for y in x) if kind < 8 else type(x)(list(x)[: r.randrange(len(x) + 1)])
        if isinstance(x, (set, frozenset)):
            items = list(x)
            r.shuffle(items)
            return r.choice((set, frozenset))(decode(encode(y)) for y in (items if kind < 6 else items[1:]))
        if isinstance(x, dict):
            items = [(decode(encode(k)), self.like(v)) for k, v in x.items()]
            if kind < 6:
                r.shuffle(items)
            orderly = all(type(v) in (int, bool, fractions.Fraction) for v in x.values())
            form = r.choice((dict, collections.OrderedDict, collections.Counter if orderly else dict, lambda d: collections.defaultdict(None, d)))
            return form(dict(items if kind < 9 else items[1:]))
        if type(x) is bytes:
            return bytearray(x) if kind < 7 else x + b"a"
        if isinstance(x, datetime.datetime) and x.tzinfo and 1 < x.year < 9999 and kind < 8:
            return x.astimezone(r.choice(ZONES))
        if type(x) is range and not x[1:] and kind < 8:
            return range(x.start, x.stop, x.step * r.choice((1, 5)))
        if type(x) is str:
            return x + r.choice(("", "a", "\ud800"))
        return self.value()

    def renumber(self, x):
        r = self.r
        if isinstance(x, decimal.Decimal) and abs(x.adjusted()) > 2400:
            return x.copy_negate()
        forms = [int, float, decimal.Decimal, lambda n: fractions.Fraction(n), complex, lambda n: n + 1, bool, lambda n: -n]
        try:
            return r.choice(forms)(x)
        except (ValueError, OverflowError, TypeError, decimal.InvalidOperation, decimal.Overflow):
            return self.number()

    def sort_key(self, depth=2):
        r = self.r
        kind = r.randrange(8 if depth else 3)
        if kind == 0:
            return None
        if kind < 3:
            return ["path", *(r.choice((0, 0, 1, -1, 5, "a", True, None, 1.0, 2**70, (1, 2), [])) for _ in range(r.choice((0, 1, 1, 2))))]
        if kind == 7:
            return ["tuple", *(self.sort_key(depth - 1) for _ in range(r.randrange(3)))]
        return [r.choice(("neg", "len", "lower", "str")), self.sort_key(depth - 1)]


def apply_sort_key(key, x):
    if key is None:
        return x
    form, *rest = key
    if form == "path":
        for index in rest:
            x = copy.copy(x)[index]  # a defaultdict must not grow by what is only looked at
        return x
    if form == "tuple":
        return tuple([apply_sort_key(k, x) for k in rest])
    x = apply_sort_key(rest[0], x)
    if form == "neg":
        return -x
    return len(x) if form == "len" else x.lower() if form == "lower" else str(x)


def parts(x):
    if isinstance(x, dict):
        return [*x, *x.values()]
    if isinstance(x, BaseException):
        return x.args
    if isinstance(x, slice):
        return [x.start, x.stop, x.step]
    if type(x) in (list, tuple, set, frozenset, collections.deque):
        return list(x)
    return []


def has(x, test):
    return test(x) or any(has(y, test) for y in parts(x))


def has_foreign(x):
    """Whether there is something in x of which Python and the server differ: what is compared by identity, or is a class of ours."""
    return has(x, lambda y: isinstance(y, (BaseException, Extension, Unopened)))


def has_snan(x):
    """Whether a signaling nan is in x: == raises an error then, but the server says that they differ."""
    return has(x, lambda y: isinstance(y, decimal.Decimal) and y.is_snan())


def equal(a, b):
    try:
        return bool(a == b)
    except decimal.InvalidOperation:  # a signaling nan
        return False


def key_of(x):
    """Whether x can be a key; that equal keys are equal is for eq to say."""
    hash(x)
    return True


def show(*fields):
    print(*(f.hex() if isinstance(f, bytes) else f for f in fields), sep="\t")


def main(seed, count):
    r = random.Random(seed)
    make = Maker(r)
    for _ in range(count):
        try:
            a = make.number() if r.random() < 0.3 else make.value()
            b = make.like(a) if r.random() < 0.7 else make.number() if r.random() < 0.5 else make.value()
            # Copies have no objects in common, so that Python's shortcut "the same object is equal" does not show.
            x, y = encode(a), encode(b)
            a, b = decode(x), decode(y)
        except (ArithmeticError, ValueError):  # a Decimal out of its range, an int too large to encode, a signaling nan in a set
            continue
        in_order = not has(a, lambda v: isinstance(v, (set, frozenset)))
        if not has_foreign(a) and not has_foreign(b):
            show("eq", x, y, "TF"[not equal(a, b)])
            if not (has_snan(a) or has_snan(b)) or not (parts(a) and parts(b)):
                show("less", x, y, answer(lambda: a < b))
            show("key", x, answer(key_of, a))
        if in_order:
            show("str", x, answer(str, a))
            show("repr", x, answer(repr, a))
            key = make.sort_key()
        if in_order and not has_foreign(a):
            show("sort", encode(key), x, answer(lambda: encode(apply_sort_key(key, a))))
        if all(isinstance(v, (int, float, decimal.Decimal, fractions.Fraction, complex)) for v in (a, b)):
            show("add", x, y, answer(lambda: repr(decode(encode(a + b)))))
        text = make.text() + make.text()
        show("lower", encode(text), "=" + hexed(text.lower()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
