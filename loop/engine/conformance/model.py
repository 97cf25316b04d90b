"""The model of the server's conformance test: real dicts and lists of CPython behind the operations of PROTOCOL.md.

Reads batches from stdin, answers each on stdout. All numbers are u32 little-endian; `bytes` is a length and the bytes.

    start    stdout: families of encoded values to test with: count, then for each: name (bytes), count, values (bytes each)
    batch    stdin: bytes; in it: operations, each: opcode, count of arguments, arguments (bytes each)
             stdout: bytes; in it for each operation: status, strict, bytes, bytes: the body and nothing, or for an error its message
             ("" if ours to choose) and the encoded argument of a KeyError; then the count of tables, for each its name and length
    compare  an operation with opcode 0 and two bodies: status 0 if they hold the same values, 1 if not

Usage: model.py DIRECTORY_OF_generate.py SEED
"""

import collections
import datetime
import decimal
import fractions
import math
import random
import struct
import sys
import uuid

sys.path.insert(0, sys.argv[1])
import generate  # noqa: E402

encode = generate.encode
ABSENT = b"\xc1"
NOTHING = object()


class TableError(Exception):
    """An error about tables: its status, in our own words."""

    def __init__(self, status):
        self.status = status


NO_SUCH_TABLE, TABLE_EXISTS, WRONG_KIND = 16, 17, 18
STATUS = {KeyError: 1, IndexError: 2, TypeError: 3, ValueError: 4, decimal.InvalidOperation: 4, AttributeError: 5, OverflowError: 6}

tables = {}


def table(name, kind):
    if name not in tables:
        raise TableError(NO_SUCH_TABLE)
    if type(tables[name]) is not kind:
        raise TableError(WRONG_KIND)
    return tables[name]


# Tables


def create(name, kind, exist_ok, content):
    if name in tables:
        if not exist_ok:
            raise TableError(TABLE_EXISTS)
        if type(tables[name]) is not kind:
            raise TableError(WRONG_KIND)
        return [False]
    tables[name] = content
    return [True]


def pairs(flat):
    made = list(zip(flat[::2], flat[1::2]))
    for key, _ in made:
        hash(key)  # all or nothing
    return made


def kind_of(name):
    if name not in tables:
        raise TableError(NO_SUCH_TABLE)
    return "dict" if type(tables[name]) is dict else "list"


def drop(name):
    kind_of(name)
    del tables[name]
    return []


def rename(name, new):
    kind_of(name)
    if new in tables:
        raise TableError(TABLE_EXISTS)
    order = list(tables.items())
    tables.clear()
    tables.update((new if n == name else n, t) for n, t in order)
    return []


# Dicts


def get(d, key, default=NOTHING):
    try:
        return [d[key]]
    except KeyError:
        if default is NOTHING:
            raise
        return [default]


def pop(d, key, default=NOTHING):
    hash(key)  # CPython forgets to while the dict is empty
    return [d.pop(key)] if default is NOTHING else [d.pop(key, default)]


def set_item(c, key, val):
    c[key] = val
    return []


def delete_item(c, key):
    del c[key]
    return []


def delete_many(d, *keys):
    for key in keys:
        hash(key)  # all or nothing
    return [d.pop(key, NOTHING) is not NOTHING for key in keys]


def update(d, *flat):
    d.update(pairs(flat))
    return []


def type_name(x):
    """The name as messages have it: that of a type made in C goes with its module."""
    t, in_python = type(x), 1 << 9
    return t.__name__ if t.__module__ == "builtins" or t.__flags__ & in_python else f"{t.__module__}.{t.__name__}"


def increment(d, key, by):
    old = d.get(key, 0)
    for number in (old, by):
        if not isinstance(number, (int, float, complex, decimal.Decimal, fractions.Fraction)):
            raise TypeError(f"unsupported operand type(s) for +: '{type_name(old)}' and '{type_name(by)}'")
    new = old + by
    d[key] = new
    return [new]


def compare_and_set(d, key, old, new):
    if old is NOTHING:
        same = key not in d
    else:
        same = key in d and d[key] == old
    if same and new is not NOTHING:
        d[key] = new
    elif same:
        d.pop(key, None)
    return [same]


def scan(d, cursor, limit):
    """The first page only; the cursor is replaced by whether there is more."""
    items = list(d.items())
    return [len(items) > limit] + [part for item in items[:limit] for part in item]


# Lists


def method(f):
    """An operation without a result."""

    def run(*args):
        f(*args)
        return []

    return run


def delete_slice(c, start, stop, step):
    del c[slice(start, stop, step)]
    return []


def set_slice(c, start, stop, step, *vals):
    c[slice(start, stop, step)] = vals
    return []


def sort_key(spec):
    if spec is None:
        return lambda x: x
    name, *rest = spec
    if name in ("neg", "len", "lower", "str"):
        (_,) = rest
    if name == "path":

        def path(x):
            for index in rest:
                x = x[index]
            return x

        return path
    inner = [sort_key(k) for k in rest]
    return {
        "neg": lambda x: -inner[0](x),
        "len": lambda x: len(inner[0](x)),
        "lower": lambda x: inner[0](x).lower(),
        "str": lambda x: str(inner[0](x)),
        "tuple": lambda x: tuple(k(x) for k in inner),
    }[name]


class Loose(Exception):
    """An error whose text depends on which elements a sort happens to compare."""


def sort(c, spec, reverse):
    try:
        key = sort_key(spec)
    except (KeyError, TypeError, ValueError, IndexError):
        raise TableError(STATUS[ValueError]) from None
    keys = [key(x) for x in c]
    try:
        order = sorted(range(len(c)), key=keys.__getitem__, reverse=reverse)
    except TypeError:
        raise Loose from None
    c[:] = [c[i] for i in order]
    return []


NAMED = {
    0x10: lambda t, ok, *flat: create(t, dict, ok, dict(pairs(flat))),
    0x11: lambda t, ok, *vals: create(t, list, ok, list(vals)),
    0x12: lambda t: [t in tables],
    0x13: lambda t: [kind_of(t)],
    0x14: lambda: [x for n, c in tables.items() for x in (n, kind_of(n), len(c))],
    0x15: drop,
    0x16: rename,
}
DICT = {
    0x20: get,
    0x21: set_item,
    0x22: delete_item,
    0x23: lambda d, k: [k in d],
    0x24: lambda d: [len(d)],
    0x25: lambda d, k, v: [d.setdefault(k, v)],
    0x26: update,
    0x27: pop,
    0x28: lambda d: list(d.popitem()),
    0x29: method(dict.clear),
    0x2A: lambda d: list(d),
    0x2B: lambda d: list(d.values()),
    0x2C: lambda d: [x for item in d.items() for x in item],
    0x2D: lambda d, *keys: [d.get(k, NOTHING) for k in keys],
    0x2E: increment,
    0x2F: compare_and_set,
    0x30: scan,
    0x37: delete_many,
}
LIST = {
    0x40: method(list.append),
    0x41: lambda c, *vals: method(list.extend)(c, vals),
    0x42: method(list.insert),
    0x43: lambda c, i: [c[i]],
    0x44: set_item,
    0x45: delete_item,
    0x46: lambda c, start, stop, step: c[slice(start, stop, step)],
    0x47: set_slice,
    0x48: delete_slice,
    0x49: lambda c, *i: [c.pop(*i[:1])],  # with a wait of 0, which is over
    0x4A: method(list.remove),
    0x4B: lambda c, v: [c.count(v)],
    0x4C: lambda c, *args: [c.index(*args)],
    0x4D: method(list.reverse),
    0x4E: sort,
    0x4F: method(list.clear),
    0x50: lambda c: [len(c)],
    0x51: lambda c, v: [v in c],
    0x52: lambda c: c,
    0x53: lambda c, v: method(list.insert)(c, 0, v),
    0x54: lambda c, wait=0: [c.pop(0)],
}


def run(op, args):
    if op in NAMED:
        return NAMED[op](*args)
    if op in DICT:
        return DICT[op](table(args[0], dict), *args[1:])
    if op in LIST:
        return LIST[op](table(args[0], list), *args[1:])
    sys.exit(f"loop/engine/conformance/model.py does not know opcode {op:#04x}: add what CPython does for it to DICT or LIST")


# Comparing what may be encoded in several ways


def canonical(x):
    """An encoding of x that has one form: the members of sets are sorted by theirs."""
    if isinstance(x, (set, frozenset)):
        return (type(x).__name__, sorted(map(canonical, x), key=repr))
    if isinstance(x, dict):
        return (type(x).__name__, [(canonical(k), canonical(v)) for k, v in x.items()])
    if isinstance(x, (list, tuple)):
        return (type(x).__name__, [canonical(i) for i in x])
    return encode(x)


def body_values(b):
    at, out = 0, []
    while at < len(b):
        if b[at : at + 1] == ABSENT:
            out.append(None)
            at += 1
            continue
        x, at = generate.decode_at(b, at)
        out.append(canonical(x))
    return out


# The pipe


def u32(b, at):
    return struct.unpack_from("<I", b, at)[0]


def packed(b):
    return struct.pack("<I", len(b)) + b


def encode_all(values):
    return b"".join(ABSENT if v is NOTHING else encode(v) for v in values)


def answer(op, raw):
    if op == 0:
        same = body_values(raw[0]) == body_values(raw[1])
        return struct.pack("<II", 0 if same else 1, 0) + packed(b"") * 2
    try:
        args = [NOTHING if a == ABSENT else generate.decode(a) for a in raw]
        return struct.pack("<II", 0, 1) + packed(encode_all(run(op, args))) + packed(b"")
    except TableError as e:
        return struct.pack("<II", e.status, 0) + packed(b"") * 2
    except Loose:
        return struct.pack("<II", STATUS[TypeError], 0) + packed(b"") * 2
    except tuple(STATUS) as e:
        key = encode(e.args[0]) if type(e) is KeyError else b""
        text = str(e).encode("utf-8", "surrogatepass")
        return struct.pack("<II", STATUS[type(e)], 1) + packed(text) + packed(key)


def batch(b):
    at, out = 0, []
    while at < len(b):
        op, n = u32(b, at), u32(b, at + 4)
        at += 8
        raw = []
        for _ in range(n):
            length = u32(b, at)
            raw.append(b[at + 4 : at + 4 + length])
            at += 4 + length
        out.append(answer(op, raw))
    out.append(struct.pack("<I", len(tables)))
    for name, content in tables.items():
        out.append(packed(name.encode()) + struct.pack("<I", len(content)))
    return b"".join(out)


# Values to test with


def families(rng):
    """Values by family; those named sort* may be sorted: whether that fails does not depend on the sort's algorithm."""
    D, F = decimal.Decimal, fractions.Fraction
    utc = datetime.timezone.utc
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    day = datetime.datetime(2024, 2, 29, 12, 30, 1, 5)
    nan = float("nan")
    ints = [rng.randint(-20, 20) for _ in range(60)] + [s * (1 << b) + d for b in (7, 8, 15, 16, 31, 32, 53, 63, 64, 100) for s in (1, -1) for d in (-1, 0, 1)]
    floats = [0.0, -0.0, 1.0, -1.0, 0.1, 1e300, -1e-300, math.inf, -math.inf, 2.0**53, 2.0**53 + 2, 2.0**63, 2.0**64, 2.5] + [rng.uniform(-30, 30) for _ in range(30)]
    words = ["", "a", "A", "b", "ab", "ä", "ß", "İ", "ΑΣ", "日本", "\U0001f600", "\ud800", "\udfff", "\x00", "'", '"', "\\", "a\nb", "x" * 31, "y" * 32, "z" * 300]
    words += ["".join(rng.choice("abcXYZé") for _ in range(rng.randint(1, 6))) for _ in range(40)]
    blobs = [b"", b"a", b"ab", b"\x00", b"\xff" * 40, bytes(range(256)), bytearray(b""), bytearray(b"a"), bytearray(b"abc")]
    times = [
        datetime.date(2024, 2, 29), datetime.date.min, datetime.date.max, day, day.replace(fold=1), day.replace(tzinfo=utc), day.replace(tzinfo=zone),
        datetime.datetime.max, datetime.time(1, 2, 3, 4), datetime.time(0), datetime.time(1, tzinfo=utc), datetime.timedelta(0), datetime.timedelta(days=-1, microseconds=5),
    ]
    decimals = [D(x) for x in ("0", "-0", "1", "1.0", "1.10", "2.5", "1E+5", "-7", "Infinity", "-Infinity", "0.1", "1E-9")]
    fracs = [F(1), F(0), F(1, 2), F(5, 2), F(-3, 7), F(10**20, 3)]
    other = [
        None, True, False, 1 + 0j, 0j, 1j, complex(2.5, -1), uuid.UUID(int=5), uuid.UUID(int=1 << 100), range(0), range(3), range(0, 10, 3), range(0, 12, 3),
        Ellipsis, NotImplemented,
    ]
    nested = [
        [], [1], [1.0], [None, [True]], (), (1,), (1.0,), (1, "a"), ((1, 2), (3,)), {}, {"a": 1}, {1: {2: [3]}}, {"b": 1, "a": 2}, {"a": 2, "b": 1},
        collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), collections.deque([1, 2], 3), collections.deque(), ["x" * 50] * 5, [0] * 20, [""] * 3,
    ]
    sets = [set(), {1}, {1, "a"}, frozenset(), frozenset({1}), frozenset({1.0, "b"}), frozenset({frozenset({2})})]
    strange = [
        nan, [nan], (nan,), D("NaN"), collections.Counter("aab"), collections.defaultdict(list, a=[1]), slice(1, None, 2), complex(nan, 1),
    ]
    hashable = [
        *words, *ints[:90], *floats, nan, *times, *decimals, *fracs, *other, *[b for b in blobs if type(b) is bytes], (), (1,), (1.0,), (True,), (1, "a"), (1.0, "a"),
        ((1, 2), (3,)), (nan,), (None, ""), ("", None), frozenset(), frozenset({1}), frozenset({1.0}), frozenset({"a", 2}), D("NaN"),
    ]
    unhashable = [[], [1], {}, {"a": 1}, set(), {1}, bytearray(b"a"), ([],), (1, ({},)), collections.deque(), collections.OrderedDict(), collections.Counter(), slice(1), D("sNaN")]
    records = [{"n": rng.randint(-9, 9), "name": rng.choice(words[:12]), "deep": [rng.randint(0, 3), {"x": rng.random()}]} for _ in range(60)]
    rows = [(rng.randint(-9, 9), rng.choice(words), rng.choice(floats)) for _ in range(60)]
    lists = [[rng.randint(0, 3) for _ in range(rng.randint(0, 4))] for _ in range(60)]
    made = {
        "key": hashable,
        "unhashable": unhashable,
        "any": [*words, *ints, *floats, *times, *decimals, *fracs, *other, *blobs, *nested, *sets, *strange],
        "number": [*ints[:60], *floats, nan, True, False, 1 << 70, *words[:3], None],
        "sort int": ints,
        "sort number": [*ints, *floats, True, False, *decimals],
        "sort fraction": [*ints, *floats, True, *fracs],
        "sort str": words,
        "sort bytes": blobs,
        "sort record": records,
        "sort row": rows,
        "sort list": lists,
        "sort time": [x for x in times if type(x) is datetime.timedelta] + [datetime.timedelta(seconds=rng.randint(-99, 99)) for _ in range(30)],
        "sort mixed": [*words[:20], *ints[:30], *floats[:10], *times, *decimals, None, True, 1j, range(3), range(4), uuid.UUID(int=5), *nested[:12], *blobs],
    }
    made = {name: [encode(x) for x in values] for name, values in made.items()}
    # Encodings longer than need be.
    forms = [b"\xd3" + struct.pack(">q", n) for n in (0, 1, -1, 5, 200)] + [b"\xcf" + struct.pack(">Q", n) for n in (0, 1, 1 << 63)]
    forms += [b"\xca" + struct.pack(">f", x) for x in (0.0, 1.0, 2.5)] + [b"\xd9\x01a", b"\xda\x00\x01a", b"\xdb\x00\x00\x00\x01a", b"\xc5\x00\x01a", b"\xdc\x00\x01\x01", b"\xc7\x02\x02\x91\x01"]
    made["key"] += forms[:13]
    made["any"] += forms
    return made


def main():
    out, inp = sys.stdout.buffer, sys.stdin.buffer
    made = families(random.Random(int(sys.argv[2])))
    out.write(struct.pack("<I", len(made)))
    for name, values in made.items():
        out.write(packed(name.encode()) + struct.pack("<I", len(values)) + b"".join(map(packed, values)))
    out.flush()
    while True:
        head = inp.read(4)
        if len(head) < 4:
            return
        out.write(packed(batch(inp.read(u32(head, 0)))))
        out.flush()


if __name__ == "__main__":
    main()
