"""The reference encoder and decoder of VALUES.md, with nothing but the standard library.

encode(obj) -> bytes and decode(data) -> obj are the inverse of each other. Run as a script it writes the golden vectors values.txt and
repr.txt next to itself; the latter needs the recorded repr_cases.jsonl as its argument.
"""

import builtins
import collections
import dataclasses
import datetime
import decimal
import fractions
import struct
import uuid
import zoneinfo

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, repr=False)
class Extension:
    """A value of an application type, code 64 to 127."""

    code: int
    data: bytes

    def __repr__(self):
        return f"<extension {self.code}: {len(self.data)} bytes>"


@dataclasses.dataclass(frozen=True, repr=False)
class Unopened:
    """An object that is kept unopened."""

    path: str
    data: bytes

    def __repr__(self):
        return f"<{self.path} object>"


def header(n, fix, fix_max, *codes):
    """The header of n elements or bytes; codes are those for lengths of 1, 2 and 4 bytes, None where there is none."""
    if n <= fix_max:
        return bytes([fix | n])
    for code, form, most in zip(codes, ">BB >BH >BI".split(), (0xFF, 0xFFFF, 0xFFFFFFFF)):
        if code is not None and n <= most:
            return struct.pack(form, code, n)
    raise ValueError("too long")


def ext(code, payload):
    n = len(payload)
    if n in (1, 2, 4, 8, 16):
        return bytes([0xD4 + n.bit_length() - 1, code]) + payload
    return header(n, 0, -1, 0xC7, 0xC8, 0xC9) + bytes([code]) + payload


def array(items):
    items = list(items)
    return header(len(items), 0x90, 15, None, 0xDC, 0xDD) + b"".join(map(encode, items))


def mapping(d):
    return header(len(d), 0x80, 15, None, 0xDE, 0xDF) + b"".join(encode(k) + encode(v) for k, v in d.items())


def encode_int(n):
    if 0 <= n < 128 or -32 <= n < 0:
        return struct.pack("B", n & 0xFF)
    forms = ((0xCC, ">BB"), (0xCD, ">BH"), (0xCE, ">BI"), (0xCF, ">BQ")) if n > 0 else ((0xD0, ">Bb"), (0xD1, ">Bh"), (0xD2, ">Bi"), (0xD3, ">Bq"))
    for code, form in forms:
        try:
            return struct.pack(form, code, n)
        except struct.error:
            pass
    payload = n.to_bytes((n if n >= 0 else ~n).bit_length() // 8 + 1, "big", signed=True)
    if len(payload) > 8192:
        raise OverflowError("int of more than 8192 bytes")
    return ext(1, payload)


def zone(x, offset):
    """The flags and the zone of a datetime or time."""
    if offset is None:
        return bytes([x.fold])
    name = x.tzinfo.key if isinstance(x.tzinfo, zoneinfo.ZoneInfo) else "UTC" if x.tzinfo is datetime.timezone.utc else "="
    if name == "=":
        name = "".join(["=" + own for own in x.tzinfo.__getinitargs__()[1:]])
    seconds, micros = divmod(offset // MICROSECOND, 1000000)
    return struct.pack(">BiI", x.fold | 2, seconds, micros) + name.encode()


def encode_datetime(x):
    return ext(7, struct.pack(">q", (x.replace(tzinfo=None, fold=0) - EPOCH) // MICROSECOND) + zone(x, x.utcoffset()))


def encode_time(x):
    micros = ((x.hour * 60 + x.minute) * 60 + x.second) * 1000000 + x.microsecond
    return ext(9, struct.pack(">q", micros) + zone(x, x.utcoffset()))


ENCODERS = {
    type(None): lambda x: b"\xc0",
    bool: lambda x: b"\xc3" if x else b"\xc2",
    int: encode_int,
    float: lambda x: struct.pack(">Bd", 0xCB, x),
    str: lambda x: (lambda b: header(len(b), 0xA0, 31, 0xD9, 0xDA, 0xDB) + b)(x.encode("utf-8", "surrogatepass")),
    bytes: lambda x: header(len(x), 0, -1, 0xC4, 0xC5, 0xC6) + x,
    list: array,
    dict: mapping,
    tuple: lambda x: ext(2, array(x)),
    set: lambda x: ext(3, array(x)),
    frozenset: lambda x: ext(4, array(x)),
    bytearray: lambda x: ext(5, bytes(x)),
    collections.OrderedDict: lambda x: ext(6, mapping(x)),
    datetime.datetime: encode_datetime,
    datetime.date: lambda x: ext(8, struct.pack(">i", x.toordinal())),
    datetime.time: encode_time,
    datetime.timedelta: lambda x: ext(10, struct.pack(">iII", x.days, x.seconds, x.microseconds)),
    decimal.Decimal: lambda x: ext(11, str(x).encode()),
    fractions.Fraction: lambda x: ext(12, array([x.numerator, x.denominator])),
    uuid.UUID: lambda x: ext(13, x.bytes),
    complex: lambda x: ext(14, struct.pack(">dd", x.real, x.imag)),
    range: lambda x: ext(15, array([x.start, x.stop, x.step])),
    slice: lambda x: ext(16, array([x.start, x.stop, x.step])),
    collections.deque: lambda x: ext(17, array([x.maxlen, *x])),
    collections.Counter: lambda x: ext(18, mapping(x)),
    collections.defaultdict: lambda x: ext(19, b"\x92" + encode(x.default_factory and x.default_factory.__name__) + mapping(x)),
    type(...): lambda x: ext(20, b"\0"),
    type(NotImplemented): lambda x: ext(20, b"\1"),
    Unopened: lambda x: ext(22, array([x.path, x.data])),
    Extension: lambda x: ext(x.code, x.data),
}


def encode(x):
    """The encoding of x. TypeError if the type has no place among the values."""
    if type(x) in ENCODERS:
        return ENCODERS[type(x)](x)
    if isinstance(x, BaseException):
        return ext(21, array([type(x).__name__, *x.args]))
    raise TypeError(f"no encoding for {type(x).__name__}")


def decode(data):
    """The object that data, one whole encoding, stands for."""
    x, at = decode_at(data, 0)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes after the value")
    return x


def many(data, at, n):
    items = []
    for _ in range(n):
        x, at = decode_at(data, at)
        items.append(x)
    return items, at


def decode_map(data, at, n):
    flat, at = many(data, at, 2 * n)
    return dict(zip(flat[::2], flat[1::2])), at


def decode_at(data, at):
    """The object at data[at:] and where it ends."""
    c = data[at]
    at += 1
    if c < 0x80:
        return c, at
    if c >= 0xE0:
        return c - 256, at
    if c < 0x90:
        return decode_map(data, at, c & 15)
    if c < 0xA0:
        return many(data, at, c & 15)
    if c < 0xC0:
        return data[at : at + (c & 31)].decode("utf-8", "surrogatepass"), at + (c & 31)
    if c in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[c], at
    if c in NUMBERS:
        form = NUMBERS[c]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if 0xD4 <= c <= 0xD8:
        n = 1 << (c - 0xD4)
        return decode_ext(data[at], bytes(data[at + 1 : at + 1 + n])), at + 1 + n
    form = LENGTHS[c]
    n = struct.unpack_from(form, data, at)[0]
    at += struct.calcsize(form)
    if c in (0xDC, 0xDD):
        return many(data, at, n)
    if c in (0xDE, 0xDF):
        return decode_map(data, at, n)
    if c in (0xC7, 0xC8, 0xC9):
        return decode_ext(data[at], bytes(data[at + 1 : at + 1 + n])), at + 1 + n
    if c in (0xC4, 0xC5, 0xC6):
        return bytes(data[at : at + n]), at + n
    return data[at : at + n].decode("utf-8", "surrogatepass"), at + n


NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
LENGTHS = {c: form for codes, form in (((0xC4, 0xC7, 0xD9), ">B"), ((0xC5, 0xC8, 0xDA, 0xDC, 0xDE), ">H"), ((0xC6, 0xC9, 0xDB, 0xDD, 0xDF), ">I")) for c in codes}


def decode_zone(payload):
    """The fold and the tzinfo in the payload of a datetime or time."""
    flags = payload[8]
    if not flags & 2:
        return flags & 1, None
    seconds, micros = struct.unpack_from(">iI", payload, 9)
    name = payload[17:].decode()
    if name == "UTC":
        return flags & 1, datetime.timezone.utc
    if name and name[0] != "=":
        return flags & 1, zoneinfo.ZoneInfo(name)
    return flags & 1, datetime.timezone(datetime.timedelta(seconds=seconds, microseconds=micros), *([name[1:]] if name else []))


def decode_datetime(payload):
    fold, tz = decode_zone(payload)
    return (EPOCH + int.from_bytes(payload[:8], "big", signed=True) * MICROSECOND).replace(fold=fold, tzinfo=tz)


def decode_time(payload):
    fold, tz = decode_zone(payload)
    reading = (EPOCH + int.from_bytes(payload[:8], "big") * MICROSECOND).time()
    return reading.replace(fold=fold, tzinfo=tz)


def decode_timedelta(payload):
    days, seconds, micros = struct.unpack(">iII", payload)
    return datetime.timedelta(days, seconds, micros)


DECODERS = {
    1: lambda p: int.from_bytes(p, "big", signed=True),
    2: lambda p: tuple(decode(p)),
    3: lambda p: set(decode(p)),
    4: lambda p: frozenset(decode(p)),
    5: bytearray,
    6: lambda p: collections.OrderedDict(decode(p)),
    7: decode_datetime,
    8: lambda p: datetime.date.fromordinal(int.from_bytes(p, "big")),
    9: decode_time,
    10: decode_timedelta,
    11: lambda p: decimal.Decimal(p.decode()),
    12: lambda p: fractions.Fraction(*decode(p)),
    13: lambda p: uuid.UUID(bytes=p),
    14: lambda p: complex(*struct.unpack(">dd", p)),
    15: lambda p: range(*decode(p)),
    16: lambda p: slice(*decode(p)),
    17: lambda p: (lambda maxlen, *items: collections.deque(items, maxlen))(*decode(p)),
    18: lambda p: collections.Counter(decode(p)),
    19: lambda p: (lambda name, items: collections.defaultdict(name and getattr(builtins, name), items))(*decode(p)),
    20: lambda p: (..., NotImplemented)[p[0]],
    21: lambda p: (lambda name, *args: getattr(builtins, name)(*args))(*decode(p)),
    22: lambda p: Unopened(*decode(p)),
}


def decode_ext(code, payload):
    if 64 <= code <= 127:
        return Extension(code, payload)
    if code not in DECODERS:
        raise ValueError(f"extension code {code}")
    return DECODERS[code](payload)


GOLDEN = {
    "none": None, "true": True, "false": False,
    **{f"int_{name}": n for name, n in {
        "0": 0, "1": 1, "127": 127, "128": 128, "255": 255, "256": 256, "65535": 65535, "65536": 65536, "2e31": 2**31, "2e32-1": 2**32 - 1,
        "2e32": 2**32, "2e63-1": 2**63 - 1, "2e63": 2**63, "2e64-1": 2**64 - 1, "2e64": 2**64, "-1": -1, "-32": -32, "-33": -33, "-128": -128,
        "-129": -129, "-32768": -32768, "-32769": -32769, "-2e31": -(2**31), "-2e31-1": -(2**31) - 1, "-2e63": -(2**63), "-2e63-1": -(2**63) - 1,
        "2e100": 2**100, "-2e100": -(2**100), "-2e71": -(2**71), "2e2040": 2**2040}.items()},
    **{f"float_{x!r}": x for x in (0.0, -0.0, 1.0, 1.5, -2.25, 1e16, 1e15, 1e-5, 0.0001, 1 / 3, 1.7976931348623157e308, 5e-324, float("inf"), float("-inf"), float("nan"))},
    "str_empty": "", "str_ascii": "hello", "str_chinese": "你好，世界", "str_emoji": "😀", "str_quote": "it's", "str_quotes": "both ' and \" ",
    "str_control": "a\tb\nc\rd\x00e\x7f\x85\xa0\xad\u2028\ufeff\\", "str_31": "x" * 31, "str_32": "x" * 32, "str_256": "y" * 256, "str_surrogate": "a\ud800\udfffb",
    "bytes_empty": b"", "bytes_ascii": b"bytes", "bytes_all": bytes(range(256)), "bytes_quote": b"it's", "bytearray": bytearray(b"ab\0"),
    "list_empty": [], "list_mixed": [None, True, 1, 1.5, "a", b"b", (1,), [2], {3: 4}], "list_16": list(range(16)),
    "tuple_empty": (), "tuple_1": (1,), "tuple_2": (1, "b"), "tuple_nested": ((), ((1, 2), "a")),
    "dict_empty": {}, "dict_mixed": {"s": 1, 2: "i", (3, 4): "t", None: "n", 1.5: "f", b"b": "y", True: "bool"}, "dict_16": {i: str(i) for i in range(16)},
    "set_empty": set(), "set": {1, 2, 3}, "frozenset_empty": frozenset(), "frozenset": frozenset({1, 2}),
    "nested": {"a": [1, {"b": (2, [3, {"c": {4}}])}], "d": {"e": {"f": {"g": None}}}},
    "datetime": datetime.datetime(2022, 4, 15, 13, 7, 9, 123456), "datetime_min": datetime.datetime.min, "datetime_max": datetime.datetime.max,
    "datetime_utc": datetime.datetime(2022, 4, 15, tzinfo=datetime.timezone.utc),
    "datetime_offset": datetime.datetime(2022, 4, 15, 1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))),
    "datetime_named_offset": datetime.datetime(2022, 4, 15, 1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=8), "CST")),
    "datetime_odd_offset": datetime.datetime(2022, 4, 15, 1, tzinfo=datetime.timezone(-datetime.timedelta(microseconds=1))),
    "datetime_zone": datetime.datetime(2022, 10, 30, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    "datetime_fold": datetime.datetime(2022, 10, 30, 2, 30, fold=1),
    "date": datetime.date(2022, 4, 15), "date_min": datetime.date.min, "date_max": datetime.date.max,
    "time": datetime.time(13, 7, 9), "time_micros": datetime.time(23, 59, 59, 999999), "time_fold": datetime.time(1, 2, fold=1), "time_utc": datetime.time(1, 2, tzinfo=datetime.timezone.utc),
    "timedelta": datetime.timedelta(days=-1, seconds=5, microseconds=6), "timedelta_0": datetime.timedelta(0), "timedelta_max": datetime.timedelta.max, "timedelta_min": datetime.timedelta.min,
    **{f"decimal_{s}": decimal.Decimal(s) for s in ("0", "-0", "1.10", "1E+5", "1E-7", "0.000001", "-12.5E-20", "NaN", "sNaN12", "-NaN3", "Infinity", "-Infinity", "0E-9", "123456789012345678901234567890.5")},
    "fraction": fractions.Fraction(1, 3), "fraction_negative": fractions.Fraction(-(10**30), 7), "fraction_whole": fractions.Fraction(4),
    "uuid": uuid.UUID("12345678123456781234567812345678"),
    "complex": 1 + 2j, "complex_imaginary": 1j, "complex_zeros": complex(-0.0, -0.0), "complex_nan": complex(float("nan"), float("inf")),
    "range": range(1, 10, 2), "range_plain": range(5), "range_down": range(10**20, 0, -3),
    "slice": slice(1, None, 2), "slice_none": slice(None), "ellipsis": ..., "notimplemented": NotImplemented,
    "ordereddict": collections.OrderedDict([("b", 1), ("a", 2)]), "ordereddict_empty": collections.OrderedDict(),
    "defaultdict": collections.defaultdict(list, {"a": [1]}), "defaultdict_none": collections.defaultdict(None, {1: 2}),
    "deque": collections.deque([1, 2], maxlen=5), "deque_unbounded": collections.deque(["a"]),
    "counter": collections.Counter("abcbb"), "counter_unordered": collections.Counter({"a": 1, "b": "x"}), "counter_empty": collections.Counter(),
    "valueerror": ValueError("boom", 3), "keyerror": KeyError("k"), "keyerror_tuple": KeyError((1, 2)), "keyerror_empty": KeyError(),
    "unopened": Unopened("customthings.Point", b"\x80\x04N."), "extension_64": Extension(64, b""), "extension_127": Extension(127, b"abc"),
}  # fmt: skip


def write_values(folder):
    with open(folder / "values.txt", "w", encoding="utf-8", errors="surrogatepass") as f:
        for name, x in GOLDEN.items():
            print(name, encode(x).hex(), repr(x), sep="\t", file=f)


def write_repr_cases(folder, recorded):
    """Turns the recorded cases into lines of encoding, repr and str, each in hex."""
    import json
    import pickle

    with open(folder / "repr.txt", "w") as f:
        for case in map(json.loads, open(recorded)):
            if case["kind"] == "float":
                x = struct.unpack(">d", bytes.fromhex(case["bits"]))[0]
            elif case["kind"] == "str":
                x = bytes.fromhex(case["utf8_surrogatepass"]).decode("utf-8", "surrogatepass")
                case["repr"] = bytes.fromhex(case["repr_utf8_surrogatepass"]).decode("utf-8", "surrogatepass")
            elif case["kind"] == "bytes":
                x = bytes.fromhex(case["hex"])
            else:
                x = pickle.loads(bytes.fromhex(case["pickle4"]))
            try:
                data = encode(x)
            except TypeError:
                continue  # a bare timezone has no place among the values
            texts = [case["repr"], case.get("str", str(x))]
            print(data.hex(), *(t.encode("utf-8", "surrogatepass").hex() for t in texts), sep="\t", file=f)


if __name__ == "__main__":
    import pathlib
    import sys

    write_values(pathlib.Path(__file__).parent)
    if len(sys.argv) > 1:
        write_repr_cases(pathlib.Path(__file__).parent, sys.argv[1])
