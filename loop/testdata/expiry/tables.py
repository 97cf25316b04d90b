"""The model of `make expiry`: dicts whose entries expire, as PROTOCOL.md and docs/EXPIRY.md have it.

The model knows bounds of the server's time: a moment is between clock[0] and clock[1], in milliseconds. An entry is LIVE, DEAD or, where
the documents leave slack, UNSURE.
"""

import sys

sys.path.insert(0, sys.argv[1])
import model  # noqa: E402, loop/engine/conformance/model.py, which finds generate.py in argv[2]
from generate import decode, encode  # noqa: E402

ABSENT = model.ABSENT
MINUTE = 60_000
YEARS_100 = 36525 * 24 * 3600 * 1000
IF_VERSION, WANT_VERSION, DURABLE, TIME_TO_LIVE = 1, 2, 8, 16

CREATE_DICT, CREATE_LIST, EXISTS, KIND, TABLES, DROP, RENAME, CONFIGURE, OPTIONS, SAVE = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x03
GET, SET, DELETE, CONTAINS, LEN, SETDEFAULT, UPDATE, POP, POPITEM, CLEAR = range(0x20, 0x2A)
KEYS, VALUES, ITEMS, GET_MANY, INCREMENT, COMPARE_AND_SET, SCAN, TTL, EXPIRE, TOUCH = range(0x2A, 0x34)
LIST_APPEND, LIST_ALL = 0x40, 0x52

OK, KEY_ERROR, TYPE_ERROR, VALUE_ERROR, NO_SUCH_TABLE, TABLE_EXISTS, WRONG_KIND, VERSION_MISMATCH = 0, 1, 3, 4, 16, 17, 18, 19
BAD_ARGUMENTS, UNSUPPORTED, OVERLOADED = 34, 36, 37

LIVE, DEAD, UNSURE = "live", "dead", "unsure"
TAKE_TTL = {SET, SETDEFAULT, UPDATE, INCREMENT, COMPARE_AND_SET, EXPIRE}
OPTION_NAMES = ("ttl", "idle", "max_entries", "max_bytes", "policy")


class Fail(Exception):
    """An error reply."""

    def __init__(self, status):
        self.status = status


class Request:
    """A request: opcode, encoded arguments with the table's name first, and what its flags say."""

    __slots__ = ("args", "durable", "if_version", "op", "ttl", "want")

    def __init__(self, op, *args, ttl=None, if_version=None, want=False, durable=False):
        self.op, self.args, self.ttl, self.if_version, self.want, self.durable = op, args, ttl, if_version, want, durable

    def __repr__(self):
        flags = "".join(f" {n}={getattr(self, n)}" for n in ("ttl", "if_version", "want", "durable") if getattr(self, n) not in (None, False))
        return f"{self.op:#04x} {' '.join(a.hex() if len(a) < 60 else a[:60].hex() + '...' for a in self.args[:9])}{flags}"


class Entry:
    """An entry; deadline, written and used are bounds of moments."""

    __slots__ = ("born", "deadline", "doubt", "exempt", "floor", "key", "seen", "used", "val", "version", "written")
    births = 0

    def __init__(self, key):
        Entry.births += 1
        self.born = Entry.births  # the order of insertion
        self.key, self.val, self.deadline, self.exempt, self.version, self.floor = key, None, None, False, None, 0
        self.doubt = False  # perhaps the server has removed it
        self.seen = None  # the step in which a reply showed it


class Table:
    """A dict with its options."""

    def __init__(self, options):
        self.entries, self.late, self.slack = {}, 0, 0
        self.options = dict.fromkeys(OPTION_NAMES)
        self.options.update(options)
        self.ttl, self.idle = self.options["ttl"], self.options["idle"]
        self.more_slack()

    def more_slack(self):
        """By how much the default may be late, and idle time imprecise: what the options ever allowed, on a busy machine."""
        self.slack = max(self.slack, 2000, (self.ttl or 0) // 1000)

    def configure(self, options, clock):
        begins = options.get("ttl") is not None and self.ttl is None
        for e in self.entries.values():
            if begins:
                e.written = (e.written[0], clock[1])  # they count as written now, or earlier
            if "idle" in options:
                e.used = (e.used[0], clock[1])
        self.options.update(options)
        self.ttl, self.idle = self.options["ttl"], self.options["idle"]
        self.more_slack()


cache = {}


def key_of(raw):
    """The key that is encoded, always the same object unless it equals nothing."""
    if raw in cache:
        return cache[raw]
    try:
        key = decode(raw)
        hash(key)
    except TypeError:
        raise Fail(TYPE_ERROR) from None
    if key == decode(raw):
        cache[raw] = key
    return key


def equals_itself(raw):
    """Whether an entry with this key can be found by it."""
    key_of(raw)
    return raw in cache


class Model:
    """The tables, and what requests do to them."""

    def __init__(self):
        self.tables = {}  # name -> Table, or list
        self.clock = (0, 0)
        self.step = 0
        self.highest = 0  # version seen

    # Time

    def state(self, t, e):
        lo, hi = self.clock
        dead, live = False, not e.doubt
        if e.deadline:
            dead, live = e.deadline[1] <= lo, live and e.deadline[0] > hi
        elif t.ttl and not e.exempt:
            dead, live = e.written[1] + t.ttl + t.slack <= lo, live and e.written[0] + t.ttl > hi
        if t.idle and not e.exempt:
            dead, live = dead or e.used[1] + 2 * t.idle + t.slack <= lo, live and e.used[0] + t.idle > hi
        return DEAD if dead else LIVE if live or e.seen == self.step else UNSURE

    def advance(self, clock):
        """The clock has jumped: what has expired is gone."""
        self.clock = clock
        self.step += 1
        for t in self.tables.values():
            if type(t) is Table:
                dead = [k for k, e in t.entries.items() if self.state(t, e) is DEAD]
                for k in dead:
                    del t.entries[k]
                t.late += len(dead)

    def restarted(self, clock, calm):
        """The server has started again: idle time begins anew. If it was not calm, it may have removed before what was idle for long."""
        for t in self.tables.values():
            if type(t) is Table and t.idle:
                for e in t.entries.values():
                    e.doubt = e.doubt or not calm and e.used[0] + t.idle <= self.clock[1]
                    e.used = clock
        self.advance(clock)

    def unsure(self, t):
        return [e for e in t.entries.values() if self.state(t, e) is UNSURE]

    # Requests

    def table(self, name, kind=Table):
        t = self.tables.get(name)
        if t is None:
            raise Fail(NO_SUCH_TABLE)
        if type(t) is not kind:
            raise Fail(WRONG_KIND)
        return t

    def execute(self, r):
        """The pieces of the body that a server sends; an error raises Fail."""
        if r.ttl is not None and r.op not in TAKE_TTL:
            raise Fail(UNSUPPORTED)
        if r.ttl is not None and not -1 <= r.ttl <= YEARS_100:
            raise Fail(VALUE_ERROR)
        if r.op == TABLES:
            return [x for name, t in self.tables.items() for x in (encode(name), encode("dict" if type(t) is Table else "list"), encode(self.length(t)))]
        if r.op == SAVE:
            return [encode(True)]
        name = decode(r.args[0])
        if r.op in NAMED:
            return NAMED[r.op](self, name, *r.args[1:])
        if r.op in (LIST_APPEND, LIST_ALL):
            content = self.table(name, list)
            return content if r.op == LIST_ALL else content.append(r.args[1]) or []
        t = self.table(name)
        return getattr(self, DICT[r.op])(t, r, *r.args[1:])

    def length(self, t):
        return len(t.entries) if type(t) is Table else len(t)

    def create(self, name, how, *flat):
        how = decode(how)
        options = how if type(how) is dict else {"exist_ok": how}
        exist_ok = options.pop("exist_ok", False)
        check_options(options)
        keys = [key_of(k) for k in flat[::2]]
        if name in self.tables:
            if not exist_ok:
                raise Fail(TABLE_EXISTS)
            self.table(name)
            return [encode(False)]
        t = self.tables[name] = Table(options)
        for k, raw, val in zip(keys, flat[::2], flat[1::2]):
            self.put(t, k, raw, val, None)
        return [encode(True)]

    def create_list(self, name, exist_ok, *vals):
        if name in self.tables:
            if not decode(exist_ok):
                raise Fail(TABLE_EXISTS)
            self.table(name, list)
            return [encode(False)]
        self.tables[name] = list(vals)
        return [encode(True)]

    def kind(self, name):
        if name not in self.tables:
            raise Fail(NO_SUCH_TABLE)
        return [encode("dict" if type(self.tables[name]) is Table else "list")]

    def drop(self, name):
        self.kind(name)
        del self.tables[name]
        return []

    def rename(self, name, new):
        self.kind(name)
        new = decode(new)
        if new in self.tables:
            raise Fail(TABLE_EXISTS)
        self.tables = {new if n == name else n: t for n, t in self.tables.items()}
        return []

    def configure(self, name, options):
        t, options = self.table(name), decode(options)
        check_options(options)
        t.configure(options, self.clock)
        return []

    def options(self, name):
        if type(self.tables.get(name)) is list:
            return [encode({"max_deliveries": None, "dead_letter": None})]
        options = dict(self.table(name).options)
        limited = options["max_entries"] or options["max_bytes"]
        options["policy"] = options["policy"] or ("s3fifo" if limited else "none")
        return [encode(options)]

    # Entries

    def entry(self, r):
        """The table and the entry of a request that acts on a key."""
        if r.op in ON_KEY:
            t = self.tables.get(decode(r.args[0]))
            try:
                e = type(t) is Table and t.entries.get(key_of(r.args[1]))
            except Fail:
                e = None
            if e:
                return t, e
        return None

    def written(self, e):
        """The entry gets a new version, which is not known yet."""
        e.written = e.used = self.clock
        e.floor, e.version = e.version or e.floor, None

    def put(self, t, key, raw, val, ttl, keeps=False):
        e = t.entries.get(key)
        if e is None:
            self.room(t, 1)
            e = t.entries[key] = Entry(raw)
        elif ttl is None and not keeps:
            e.deadline, e.exempt = None, False
        e.val = val
        if ttl is not None and ttl >= 0:
            self.set_deadline(e, ttl)
        self.written(e)
        return e

    def room(self, t, n):
        most = t.options["max_entries"]
        if most and len(t.entries) + n > most:
            raise Fail(OVERLOADED)

    def set_deadline(self, e, ttl):
        lo, hi = self.clock
        e.deadline, e.exempt = ((lo + ttl, hi + ttl), False) if ttl else (None, True)

    def read(self, e):
        e.used = self.clock

    def check_version(self, e, r):
        if r.if_version is not None and r.if_version != (e.version if e else 0):
            raise Fail(VERSION_MISMATCH)

    def get(self, t, r, raw, default=None):
        e = t.entries.get(key_of(raw))
        if e is None:
            if default is None:
                raise Fail(KEY_ERROR)
            return [default]
        self.read(e)
        return [e.val]

    def set(self, t, r, raw, val):
        key = key_of(raw)
        self.check_version(t.entries.get(key), r)
        self.put(t, key, raw, val, r.ttl)
        return []

    def delete(self, t, r, raw):
        key = key_of(raw)
        e = t.entries.get(key)
        self.check_version(e, r)
        if e is None:
            raise Fail(KEY_ERROR)
        del t.entries[key]
        return []

    def contains(self, t, r, raw):
        e = t.entries.get(key_of(raw))
        if e:
            e.used = (e.used[0], self.clock[1])  # perhaps it counts as a use
        return [encode(e is not None)]

    def len(self, t, r):
        return [encode(len(t.entries))]

    def setdefault(self, t, r, raw, val):
        key = key_of(raw)
        e = t.entries.get(key)
        if e is None:
            self.put(t, key, raw, val, r.ttl)
            return [val]
        e.used = (e.used[0], self.clock[1])
        return [e.val]

    def update(self, t, r, *flat):
        keys = [key_of(k) for k in flat[::2]]
        self.room(t, len({k for k in keys if k not in t.entries}))
        for k, raw, val in zip(keys, flat[::2], flat[1::2]):
            self.put(t, k, raw, val, r.ttl)
        return []

    def pop(self, t, r, raw, default=None):
        key = key_of(raw)
        e = t.entries.get(key)
        self.check_version(e, r)
        if e is None and default is None:
            raise Fail(KEY_ERROR)
        return [t.entries.pop(key).val if e else default]

    def popitem(self, t, r):
        if not t.entries:
            raise Fail(KEY_ERROR)
        _, e = t.entries.popitem()
        return [e.key, e.val]

    def clear(self, t, r):
        t.entries.clear()
        t.late = 0
        return []

    def get_many(self, t, r, *raws):
        found = [t.entries.get(key_of(raw)) for raw in raws]
        for e in found:
            if e:
                self.read(e)
        return [e.val if e else ABSENT for e in found]

    def increment(self, t, r, raw, by):
        key = key_of(raw)
        e = t.entries.get(key)
        self.check_version(e, r)
        try:
            (new,) = model.increment({key: decode(e.val)} if e else {}, key, decode(by))
        except TypeError:
            raise Fail(TYPE_ERROR) from None
        except OverflowError:
            raise Fail(model.STATUS[OverflowError]) from None
        self.put(t, key, raw, encode(new), None if e else r.ttl, keeps=True)
        return [encode(new)]

    def compare_and_set(self, t, r, raw, old, new):
        key = key_of(raw)
        e = t.entries.get(key)
        if old == ABSENT:
            done = e is None
        else:
            done = e is not None and decode(e.val) == decode(old)
        if done and new != ABSENT:
            self.put(t, key, raw, new, r.ttl, keeps=True)
        elif done:
            t.entries.pop(key, None)
        elif e:
            e.used = (e.used[0], self.clock[1])
        return [encode(done)]

    def keys(self, t, r):
        return [e.key for e in t.entries.values()]

    def values(self, t, r):
        return [e.val for e in t.entries.values()]

    def items(self, t, r):
        return [x for e in t.entries.values() for x in (e.key, e.val)]

    def scan(self, t, r, cursor, limit):
        flat, most = self.items(t, r), 2 * decode(limit)
        return [encode(1 if len(flat) > most else 0), *flat[:most]]

    def time_left(self, t, r, raw):
        e = t.entries.get(key_of(raw))
        if e is None:
            raise Fail(KEY_ERROR)
        e.used = (e.used[0], self.clock[1])
        left = self.left(t, e)
        return [encode(left and max(left[0], 1))]

    def left(self, t, e):
        """Bounds of what TTL replies, or None."""
        lo, hi = self.clock
        if e.deadline:
            return e.deadline[0] - hi, e.deadline[1] - lo
        if t.ttl and not e.exempt:
            return e.written[0] + t.ttl - hi, e.written[1] + t.ttl + t.slack - lo
        return None

    def expire(self, t, r, raw):
        if r.ttl is None or r.ttl < 0:
            raise Fail(BAD_ARGUMENTS)
        e = t.entries.get(key_of(raw))
        self.check_version(e, r)
        if e is None:
            raise Fail(KEY_ERROR)
        self.set_deadline(e, r.ttl)
        self.written(e)
        return []

    def touch(self, t, r, raw):
        e = t.entries.get(key_of(raw))
        if e is None:
            raise Fail(KEY_ERROR)
        if t.ttl and not e.deadline and not e.exempt:
            self.written(e)
        self.read(e)
        return []


def check_options(options):
    if type(options) is not dict:
        raise Fail(TYPE_ERROR)
    for name, val in options.items():
        if name not in OPTION_NAMES:
            raise Fail(VALUE_ERROR)
        if val is None:
            continue
        if type(val) is not (str if name == "policy" else int):
            raise Fail(TYPE_ERROR)
        if name == "policy":
            bad = val not in ("none", "s3fifo", "ttl")
        else:
            bad = not 1 <= val <= (YEARS_100 if name in ("ttl", "idle") else 1 << 48)
        if bad:
            raise Fail(VALUE_ERROR)


NAMED = {
    CREATE_DICT: Model.create, CREATE_LIST: Model.create_list, EXISTS: lambda m, name: [encode(name in m.tables)], KIND: Model.kind,
    DROP: Model.drop, RENAME: Model.rename, CONFIGURE: Model.configure, OPTIONS: Model.options,
}  # fmt: skip
DICT = {
    GET: "get", SET: "set", DELETE: "delete", CONTAINS: "contains", LEN: "len", SETDEFAULT: "setdefault",
    UPDATE: "update", POP: "pop", POPITEM: "popitem", CLEAR: "clear", KEYS: "keys", VALUES: "values",
    ITEMS: "items", GET_MANY: "get_many", INCREMENT: "increment", COMPARE_AND_SET: "compare_and_set", SCAN: "scan",
    TTL: "time_left", EXPIRE: "expire", TOUCH: "touch",
}  # fmt: skip
ON_KEY = {GET, SET, DELETE, CONTAINS, SETDEFAULT, POP, INCREMENT, COMPARE_AND_SET, TTL, EXPIRE, TOUCH}
