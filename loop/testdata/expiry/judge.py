"""The judge of `make expiry`: compares a server's replies with the model.

Where the model is in doubt about an entry, both answers are right. The judge then adopts the one that it saw.
"""

import model
from generate import decode, decode_at, encode
from tables import (
    CONTAINS, DEAD, EXPIRE, INCREMENT, ITEMS, KEY_ERROR, KEYS, LEN, OK, OPTIONS, POPITEM, SCAN, SET, TABLES, TTL, UNSURE, VALUES, Fail, Model,
    Table, key_of,
)  # fmt: skip


PAGE_BYTES = 1 << 20


class Reply:
    """A reply; version is None if it carries none."""

    __slots__ = ("body", "status", "version")

    def __init__(self, status, body=b"", version=None):
        self.status, self.body, self.version = status, body, version

    def __repr__(self):
        return f"status {self.status}, version {self.version}, {len(self.body)} bytes {self.body[:150].hex()}"


def same(a, b):
    """Whether two bodies hold the same values, whatever their encodings."""
    try:
        return model.body_values(a) == model.body_values(b)
    except (IndexError, ValueError):
        return False


class Judge(Model):
    """The model of a server that replies."""

    def judge(self, r, reply):
        """None, or how the reply differs from what is right; the tables are then as the reply says."""
        known = self.entry(r)
        if known and self.state(*known) is UNSURE:
            self.adopt(known, r, reply)
        collective = COLLECTIVE.get(r.op)
        try:
            t = self.tables.get(decode(r.args[0])) if r.args else None
            if collective and (r.op == TABLES or type(t) is Table) and r.ttl is None:
                return collective(self, t, r, reply)
            want, status = self.execute(r), OK
        except Fail as e:
            want, status = [], e.status
        if reply.status != status:
            return f"want status {status}"
        if status != OK:
            return None
        body = b"".join(want)
        if body != reply.body and not same(body, reply.body) and not (r.op == OPTIONS and decode(body) == decode(reply.body)):
            return f"want {body[:150].hex()}"
        return self.judge_version(r, reply)

    def adopt(self, known, r, reply):
        """The reply decides about an entry in doubt."""
        t, e = known
        if reply.status == KEY_ERROR or r.op == CONTAINS and reply.body == encode(False):
            del t.entries[key_of(r.args[1])]
            t.late += 1
        else:
            e.doubt, e.seen = False, self.step

    def judge_version(self, r, reply):
        known = self.entry(r)
        if not r.want or not known:
            return None
        _, e = known
        v = reply.version
        if v is None:
            return "want a version"
        if e.version is None and v <= (self.highest if r.op in (SET, EXPIRE, INCREMENT) else e.floor):
            return f"want a version above {max(e.floor, self.highest)}"
        if e.version is not None and e.version != v:
            return f"want version {e.version}"
        e.version, self.highest = v, max(v, self.highest)
        return None

    def judge_all(self, t, r, reply):
        """KEYS, VALUES and ITEMS."""
        pieces = PIECES[r.op]
        doubtful = {id(e) for e in self.unsure(t)}
        body = reply.body
        if reply.status != OK:
            return "want all of it"
        if not doubtful:
            want = b"".join(x for e in t.entries.values() for x in pieces(e))
            return None if body == want or same(body, want) else f"want {len(t.entries)} entries, {len(want)} bytes: {want[:150].hex()}"
        ends, took = {0}, []
        for e in t.entries.values():
            piece = b"".join(pieces(e))
            next_ends = {at + len(piece) for at in ends if body.startswith(piece, at)}
            if id(e) in doubtful:
                took.append((e, bool(next_ends)))
                next_ends |= ends
            ends = next_ends
        if len(body) not in ends:
            return f"want up to {len(t.entries)} entries, {len(doubtful)} of them in doubt"
        if r.op == ITEMS and len({e.key + e.val for e in t.entries.values()}) == len(t.entries):
            for e, there in took:
                if there:
                    e.doubt = False
                else:
                    self.remove(t, e)
        return None

    def remove(self, t, e):
        for k, other in t.entries.items():
            if other is e:
                del t.entries[k]
                t.late += 1
                return

    def judge_len(self, t, r, reply):
        unsure = len(self.unsure(t))
        least = len(t.entries) - unsure
        n = decode(reply.body) if reply.status == OK else None
        if n is None or not least <= n <= least + unsure + t.late:
            return f"want length {least}" + f" to {least + unsure + t.late}" * (unsure + t.late > 0)
        if not unsure and n == least:
            t.late = 0
        return None

    def judge_tables(self, _, r, reply):
        flat = body_objects(reply.body) if reply.status == OK else []
        if flat[::3] != list(self.tables) or flat[1::3] != ["dict" if type(t) is Table else "list" for t in self.tables.values()]:
            return f"want the tables {list(self.tables)}"
        for name, n in zip(flat[::3], flat[2::3]):
            t = self.tables[name]
            if type(t) is not Table:
                wrong = n != len(t)
            else:
                wrong = self.judge_len(t, r, Reply(OK, encode(n)))
            if wrong:
                return f"{name}: length {n}: {wrong}"
        return None

    def judge_popitem(self, t, r, reply):
        for e in reversed(list(t.entries.values())):
            is_it = reply.status == OK and (reply.body == e.key + e.val or same(reply.body, e.key + e.val))
            if is_it or self.state(t, e) is UNSURE:
                self.remove(t, e)
                t.late -= is_it
                if is_it:
                    return None
                continue
            return f"want {e.key.hex()} {e.val[:100].hex()}"
        return None if reply.status == KEY_ERROR else "want KeyError"

    def judge_scan(self, t, r, reply, after=0):
        """A page; cursors are the server's own."""
        if reply.status != OK:
            return "want a page"
        cursor, at = decode_at(reply.body, 0)
        entries = list(t.entries.values())[after:]
        if self.unsure(t):
            return None  # KEYS, VALUES and ITEMS are judged
        n = len(self.page(t, r, reply, after))
        want = b"".join(x for e in entries[:n] for x in (e.key, e.val))
        if reply.body[at:] != want and not same(reply.body[at:], want):
            return f"want a page of {n} of {len(entries)}: {want[:150].hex()}"
        if len(entries) > n and not cursor:
            return "want a cursor: there is more"
        return None

    def page(self, t, r, reply, after):
        """The entries of a page: as many as the request says, unless they are more than PAGE_BYTES."""
        n = decode(r.args[2])
        if len(reply.body) > PAGE_BYTES:
            n = len(body_objects(reply.body)) // 2
        return list(t.entries.values())[after : after + n]

    def judge_ttl(self, t, r, reply):
        try:
            e = t.entries.get(key_of(r.args[1]))
        except Fail as fail:
            return None if reply.status == fail.status else f"want status {fail.status}"
        if e is None or reply.status != OK:
            return None if e is None and reply.status == KEY_ERROR else f"want {'a time' if e else 'KeyError'}"
        e.used = (e.used[0], self.clock[1])
        left, bounds = decode(reply.body), self.left(t, e)
        if left is None or bounds is None:
            return None if left is bounds else f"want {bounds} ms left"
        if not max(bounds[0], 1) <= left <= max(bounds[1], 1):
            return f"want {bounds} ms left, got {left}"
        if e.deadline:
            lo, hi = self.clock
            e.deadline = max(e.deadline[0], lo + left), min(e.deadline[1], hi + left)
        return None


def body_objects(b):
    at, out = 0, []
    while at < len(b):
        x, at = decode_at(b, at)
        out.append(x)
    return out


PIECES = {KEYS: lambda e: (e.key,), VALUES: lambda e: (e.val,), ITEMS: lambda e: (e.key, e.val)}
COLLECTIVE = {
    KEYS: Judge.judge_all, VALUES: Judge.judge_all, ITEMS: Judge.judge_all, LEN: Judge.judge_len, TABLES: Judge.judge_tables,
    POPITEM: Judge.judge_popitem, SCAN: Judge.judge_scan, TTL: Judge.judge_ttl,
}  # fmt: skip
