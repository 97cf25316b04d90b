"""Runs list operations in CPython: one JSON object a line in, one out.

In: op, i, start, stop, step (None if absent), vals (encodings in hex), key (Python source of a sort key, or None), reverse.
Out: err ("IndexError: list index out of range", or None), out (what the operation gave, encodings in hex), n (a number that it gave), list (the list after it, encodings in hex).
"""

import json
import struct
import sys


def encode(v):
    """Returns the encoding that the test's encoder gives v."""
    if v is None:
        return b"\xc0"
    if v is False or v is True:
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        for low, high, lead, form in (
            (-0x20, 0x7F, None, "b"), (-0x80, -1, 0xD0, "b"), (-0x8000, 0x7FFF, 0xD1, ">h"), (-(2**31), 2**31 - 1, 0xD2, ">i"), (-(2**63), 2**63 - 1, 0xD3, ">q"),
        ):
            if low <= v <= high:
                return (b"" if lead is None else bytes([lead])) + struct.pack(form, v)
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, str):
        b = v.encode()
        return (bytes([0xA0 | len(b)]) if len(b) < 32 else bytes([0xD9, len(b)])) + b
    if isinstance(v, bytes):
        return bytes([0xC4, len(v)]) + v
    if isinstance(v, list):
        return bytes([0x90 | len(v)]) + b"".join(map(encode, v))
    if isinstance(v, frozenset):
        return extension(4, encode(sorted(v)))
    raise TypeError(type(v))


def extension(code, payload):
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}
    head = bytes([fixed[len(payload)]]) if len(payload) in fixed else bytes([0xC7, len(payload)])
    return head + bytes([code]) + payload


def decode(b, i=0):
    """Returns the value at b[i:] and the index after it."""
    lead = b[i]
    i += 1
    if lead < 0x80 or lead >= 0xE0:
        return struct.unpack("b", bytes([lead]))[0], i
    if 0xA0 <= lead < 0xC0:
        return b[i : i + (lead & 31)].decode(), i + (lead & 31)
    if 0x90 <= lead < 0xA0:
        items = []
        for _ in range(lead & 15):
            item, i = decode(b, i)
            items.append(item)
        return items, i
    if lead in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[lead], i
    if lead in (0xC4, 0xD9):
        raw = b[i + 1 : i + 1 + b[i]]
        return (raw if lead == 0xC4 else raw.decode()), i + 1 + b[i]
    forms = {0xCB: ">d", 0xCC: "B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: "b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    if lead in forms:
        size = struct.calcsize(forms[lead])
        return struct.unpack(forms[lead], b[i : i + size])[0], i + size
    sizes = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
    size, i = (b[i], i + 1) if lead == 0xC7 else (sizes[lead], i)
    assert b[i] == 4
    items, end = decode(b, i + 1)
    assert end == i + 1 + size
    return frozenset(items), end


def run(items, r):
    """Runs one operation on items; returns (values, number)."""
    op, i, vals = r["op"], r["i"], [decode(bytes.fromhex(v))[0] for v in r["vals"]]
    part = slice(r["start"], r["stop"], r["step"])
    if op == "get":
        return [items[i]], 0
    if op == "set":
        items[i] = vals[0]
    elif op == "append":
        items.append(vals[0])
    elif op == "extend":
        items.extend(vals)
    elif op == "insert":
        items.insert(i, vals[0])
    elif op == "delete":
        del items[i]
    elif op == "pop":
        return [items.pop(i)], 0
    elif op == "slice":
        got = items[part]
        return got, len(got)
    elif op == "set slice":
        items[part] = vals
    elif op == "delete slice":
        del items[part]
    elif op == "contains":
        return [], int(vals[0] in items)
    elif op == "count":
        return [], items.count(vals[0])
    elif op == "index":
        bounds = [0 if r["start"] is None else r["start"], sys.maxsize if r["stop"] is None else r["stop"]]
        return [], items.index(vals[0], *bounds)
    elif op == "remove":
        items.remove(vals[0])
    elif op == "reverse":
        items.reverse()
    elif op == "sort":
        items.sort(key=eval(r["key"]) if r["key"] else None, reverse=r["reverse"])
    elif op == "clear":
        items.clear()
    else:
        raise AssertionError(op)
    return [], 0


def main():
    items = []
    for line in sys.stdin:
        err, out, n = None, [], 0
        try:
            out, n = run(items, json.loads(line))
        except (IndexError, ValueError, TypeError, KeyError) as e:
            err = f"{type(e).__name__}: {e}"
        answer = {"err": err, "out": b"".join(map(encode, out)).hex(), "n": n, "list": b"".join(map(encode, items)).hex()}
        print(json.dumps(answer), flush=True)


main()
