"""The campaign of `make expiry`: random requests, and the model that judges the replies.

    campaign.py CONFORMANCE VALUES OPERATIONS SEED     drives a server through stdin and stdout, for TestExpiry
    campaign.py CONFORMANCE VALUES OPERATIONS SEED FAULT    judges the model itself, which has a fault, or "none"; "list" prints the faults

CONFORMANCE is the directory of the conformance test's model.py, VALUES that of generate.py.

Time goes in steps. The clock jumps to a whole minute of the store's time; what a step does must take less than 14 s of real time. Times
to live and idle times end at other seconds of a minute than the first 14, so that whether an entry has expired is certain. Where the
documents leave slack, it is in doubt, and a request on the key decides.

Messages on the pipe are a u32 length, little-endian, and so many bytes. Each gets an answer.

    B connection n (u32), n requests    requests in flight at once; answer: the time (two i64, milliseconds) and n replies
    V connection, request               begins a long read on a connection of its own; answer: the time when its reply began
    R                                   reads the rest of it; answer: as to B
    J time (i64)                        the clock jumps; answer: nothing
    K or S, time, seed                  kills the server, or stops it in order, and starts it at this time; answer: the time
    D text                              the end: what has differed, or nothing; no answer
"""

import os
import random
import struct
import sys
import time

sys.argv[1:3] = [os.path.abspath(a) for a in sys.argv[1:3]]
sys.argv[1], conformance = sys.argv[2], sys.argv[1]  # model.py takes its directory of generate.py first
sys.path.insert(0, conformance)
import tables as m  # noqa: E402
from generate import decode_at  # noqa: E402
from judge import PIECES, Judge, Reply  # noqa: E402
from tables import MINUTE, Request, Table, decode, encode  # noqa: E402

MOST_OF_A_STEP = 14_000
START = 1_900_000_020_000 // MINUTE * MINUTE


class Difference(Exception):
    """The server's reply is wrong."""


class Server:
    """The server behind the pipe."""

    def __init__(self):
        self.inp, self.out = sys.stdin.buffer, sys.stdout.buffer

    def send(self, kind, body):
        self.out.write(struct.pack("<I", len(body) + 1) + kind + body)
        self.out.flush()

    def ask(self, kind, body):
        self.send(kind, body)
        (n,) = struct.unpack("<I", self.inp.read(4))
        return self.inp.read(n)

    def batch(self, connection, requests):
        frames = [frame(r) for r in requests]
        return replies(self.ask(b"B", struct.pack("<BI", connection, len(frames)) + b"".join(frames)))

    def begin_read(self, request):
        return struct.unpack_from("<qq", self.ask(b"V", frame(request)))

    def end_read(self):
        return replies(self.ask(b"R", b""))[1][0]

    def jump(self, now):
        self.ask(b"J", struct.pack("<q", now))

    def restart(self, kills, now, seed):
        return struct.unpack_from("<qq", self.ask(b"K" if kills else b"S", struct.pack("<qQ", now, seed)))

    def done(self, text):
        self.send(b"D", text.encode())


def frame(r):
    flags = m.TIME_TO_LIVE * (r.ttl is not None) | m.IF_VERSION * (r.if_version is not None) | m.WANT_VERSION * r.want | m.DURABLE * r.durable
    fields = b""
    if r.if_version is not None:
        fields += struct.pack("<Q", r.if_version)
    if r.ttl is not None:
        fields += struct.pack("<q", r.ttl)
    payload = bytes([r.op, flags]) + fields + b"".join(r.args)
    return struct.pack("<I", len(payload)) + payload


def replies(b):
    at, out = 16, []
    while at < len(b):
        status, flags, version, n = struct.unpack_from("<BBQI", b, at)
        at += 14
        out.append(Reply(status, b[at : at + n], version if flags & 2 else None))
        at += n
    return struct.unpack_from("<qq", b), out


class Campaign:
    def __init__(self, server, operations, seed):
        self.server, self.most, self.rng = server, operations, random.Random(seed)
        self.model = Judge()
        self.now = START
        self.operations = self.restarts = self.kills = self.begun = 0
        made = m.model.families(random.Random(seed))
        self.keys = [k for k in made["key"] if len(k) < 100]
        self.nothing = [k for k in self.keys if not m.equals_itself(k)]  # keys that equal nothing
        self.few = [encode(x) for x in (0, 1, 1.0, True, "a", "b", "c", "d", None, (1,), 2.5)]
        self.unhashable = made["unhashable"]
        self.values = [v for v in made["any"] if len(v) < 100]
        self.numbers = made["number"]
        self.count = 0
        self.unmarked = False  # whether such a table was written since the last jump
        self.aging = True  # whether this step writes tables with a default time to live
        self.last = {}  # name of a table -> the key used last
        self.recent = []  # requests and replies

    def chance(self, n):
        return self.rng.randrange(n) == 0

    # Requests to the server, judged

    def ask(self, *requests):
        """Sends requests at once and judges the replies."""
        self.unmarked = self.unmarked or any(map(self.ages, requests))
        clock, got = self.server.batch(self.rng.randrange(3), requests)
        self.tick(clock)
        for i, (r, reply) in enumerate(zip(requests, got)):
            self.recent.append((self.model.clock, r, reply))
            wrong = self.model.judge(r, reply)
            if wrong:
                self.differs(r, reply, wrong, list(zip(requests, got))[i + 1 :])
        self.operations += len(requests)
        del self.recent[:-4000]
        return got

    def ages(self, r):
        """Whether a request may write an entry that lives by a default, or begin the idle time of a table."""
        t = self.model.tables.get(m.key_of(r.args[0])) if r.args else None
        return r.op in (m.CREATE_DICT, m.CONFIGURE, m.RENAME) or type(t) is Table and bool(t.ttl or t.idle) and r.op in WRITES

    def tick(self, clock):
        if clock[1] - self.now >= MOST_OF_A_STEP:
            raise Difference(f"a step took {clock[1] - self.now} ms, more than {MOST_OF_A_STEP}: this machine is too slow for exact answers")
        self.model.clock = clock

    def differs(self, r, reply, wrong, later=()):
        lines = [f"at {self.now} + {self.model.clock[0] - self.now} ms: {r!r}", f"got {reply!r}", wrong]
        entry = self.model.entry(r)
        if entry:
            t, e = entry
            lines.append(f"state {self.model.state(t, e)}: {({n: getattr(e, n) for n in e.__slots__ if n != 'val'})}")
        table = self.model.tables.get(decode(r.args[0])) if r.args else None
        if type(table) is Table:
            lines.append(f"{len(table.entries)} entries, {len(self.model.unsure(table))} in doubt, {table.late} late, options {table.options}")
        about = [x for x in self.recent if x[1].args[:1] == r.args[:1] and (r.op not in m.ON_KEY or x[1].op not in m.ON_KEY or x[1].args[1] == r.args[1])]
        lines += [f"  {c[0] - self.now:+} {q!r} -> {a!r}" for c, q, a in about[-16:]]
        lines += [f"  later {q!r} -> {a!r}" for q, a in later[:40] if q.args[:1] == r.args[:1] or r.op == m.TABLES]
        raise Difference("\n".join(lines))

    def agree(self, request):
        """Asks until the reply is right, for a second at most."""
        until = time.monotonic() + 1
        while True:
            clock, (reply,) = self.server.batch(self.rng.randrange(3), [request])
            self.tick(clock)
            wrong = self.model.judge(request, reply)
            if not wrong and (request.op != m.LEN or self.settled(request)):
                break
            if time.monotonic() > until:
                self.recent.append((self.model.clock, request, reply))
                self.differs(request, reply, wrong or "want expired entries to be no longer counted")
            time.sleep(0.005)
        self.operations += 1

    def settled(self, request):
        """Whether the model knows that the server has removed all that has expired, unless some is in doubt."""
        t = self.model.tables[decode(request.args[0])]
        return type(t) is not Table or not t.late or bool(self.model.unsure(t))

    # Time

    def jump(self, more=0):
        """The clock jumps."""
        self.marked()
        self.next_minute()
        self.now += more
        self.server.jump(self.now)
        self.model.advance((self.now, self.now + 1000))

    def marked(self):
        """Waits until the server knows when the last entries were written that live by a default: it notes the time now and then.

        It needs as long to begin the idle time of a table that is new or empty."""
        if self.unmarked:
            name, t = self.rng.choice([(n, t) for n, t in self.model.tables.items() if type(t) is Table and t.ttl])
            key = encode("the last")
            self.ask(Request(m.SET, encode(name), key, encode(1)))
            time.sleep(0.1)
            until = time.monotonic() + 1
            left = t.ttl
            while left > t.ttl - 20:  # until then its age is not known
                if time.monotonic() > until:
                    raise Difference(f"{name}: after a second the server does not know when an entry was written")
                time.sleep(0.03)
                left = decode(self.ask(Request(m.TTL, encode(name), key))[0].body)
        self.unmarked, self.aging = False, self.chance(3)

    def next_minute(self):
        n = self.rng.choices((self.rng.randint(1, 4), self.rng.randint(5, 200), self.rng.randint(1000, 10_000)), (85, 12, 3))[0]
        self.now = (self.model.clock[1] // MINUTE + n) * MINUTE

    def ttl(self):
        """What the flag says, or None."""
        n = self.rng.randrange(100)
        if n < 45:
            return None
        if n < 55:
            return -1
        if n < 63:
            return 0
        if n < 65:
            return self.rng.choice((-2, m.YEARS_100 + 1, -(2**63), 2**63 - 1, m.YEARS_100))
        return self.period(30_000)

    def period(self, ends):
        """A time that ends at this millisecond of a minute."""
        return ends + MINUTE * (self.rng.randrange(7) if self.rng.randrange(20) else self.rng.randrange(600))

    # Random requests

    def begin(self):
        ttl, idle = 2 * MINUTE + 30_000, 3 * MINUTE + 15_000
        self.ask(*(
            Request(m.CREATE_DICT, encode(name), encode(options)) for name, options in (
                ("plain", {}), ("few", {}), ("counters", {"exist_ok": True}), ("default", {"ttl": ttl}), ("idle", {"idle": idle}),
                ("both", {"ttl": 4 * MINUTE + 30_000, "idle": idle}), ("full", {"max_entries": 20, "policy": "none"}),
            )
        ), Request(m.CREATE_LIST, encode("list"), encode(False), encode(1)), Request(m.CREATE_DICT, encode("big"), encode(False)))  # fmt: skip

    def names(self, early):
        """Tables for random requests. Early in a step the server may not have removed what has expired: it counts for limits."""
        return [
            n
            for n, t in self.model.tables.items()
            if type(t) is Table and n != "big" and not (early and t.options["max_entries"]) and not ((t.ttl or t.idle) and not self.aging)
        ]

    def fresh(self):
        self.count += 1
        return encode(self.count)

    def key(self, name, t):
        if self.chance(100):
            return self.rng.choice(self.unhashable)
        if name == "few" or name == "full" and self.chance(3):
            return self.rng.choice(self.few)
        if self.chance(25):
            return self.rng.choice(self.nothing)
        if name in self.last and self.chance(4):
            return self.last[name]
        self.last[name] = key = self.some_key(t)
        return key

    def some_key(self, t):
        if t.entries and self.chance(3):
            return next(iter(t.entries.values())).key if self.chance(3) else self.rng.choice(list(t.entries.values())).key
        return self.rng.choice(self.keys)

    def value(self, name, key):
        if name == "counters":
            return self.rng.choice(self.numbers)
        if key in self.nothing or self.chance(4):
            return self.fresh()
        return self.rng.choice(self.values)

    def request(self, early=False):
        if self.chance(25) and not early:
            return self.directory()
        name = self.rng.choice(self.names(early))
        t = self.model.tables[name]
        op = self.rng.choice(OFTEN)
        if len(t.entries) > 120 and self.chance(3):
            op = self.rng.choice((m.POPITEM, m.POPITEM, m.POPITEM, m.POPITEM, m.CLEAR))
        if op == m.CLEAR and len(t.entries) < 100 and not self.chance(6):
            op = m.GET
        return self.on(op, name, t)

    def on(self, op, name, t):
        r = self.plain(op, name, t)
        if op in m.TAKE_TTL:
            r.ttl = self.ttl()
        elif self.chance(300):
            r.ttl = self.period(30_000)
        if op == m.EXPIRE and r.ttl is None and not self.chance(9):
            r.ttl = self.period(30_000) if self.chance(2) else 0
        if op in WANT and self.chance(2):
            r.want = True
        if op in IF_VERSION and self.chance(5) and r.args[1] not in self.unhashable:
            r.if_version = self.version(t, r.args[1])
        return r

    def version(self, t, raw):
        """A version to ask for: right, or surely wrong."""
        e = t.entries.get(m.key_of(raw))
        if e and self.chance(4):
            return 0
        if e and e.version is not None and not self.asked(raw):
            return e.version if self.chance(2) else 2**48 + e.version
        return 2**48 if self.chance(2) else 0

    def asked(self, raw):
        """Whether an earlier request of this batch may write the key: its version is then unknown."""
        return any(raw in r.args for r in self.batch) or any(r.op in (m.CLEAR, m.POPITEM, m.DROP, m.RENAME, m.UPDATE) for r in self.batch)

    def plain(self, op, name, t):
        n = encode(name)
        if op in (m.LEN, m.POPITEM, m.CLEAR, m.KEYS, m.VALUES, m.ITEMS):
            return Request(op, n)
        if op == m.SCAN:
            return Request(op, n, encode(0), encode(self.rng.randint(1, 40)))
        if op == m.GET_MANY:
            return Request(op, n, *(self.rng.choice(self.keys) for _ in range(self.rng.randrange(8))))
        if op == m.UPDATE:
            keys = [self.key(name, t) for _ in range(self.rng.randrange(8))]
            return Request(op, n, *(x for k in keys for x in (k, self.value(name, k))))
        key = self.key(name, t)
        if op in (m.SET, m.SETDEFAULT):
            return Request(op, n, key, self.value(name, key))
        if op == m.INCREMENT:
            return Request(op, n, key, self.rng.choice(self.numbers))
        if op == m.COMPARE_AND_SET:
            e = None if key in self.unhashable else t.entries.get(m.key_of(key))
            old = e.val if e and not self.chance(4) else m.ABSENT if self.chance(2) else self.value(name, key)
            return Request(op, n, key, old, m.ABSENT if self.chance(5) else self.value(name, key))
        if op in (m.GET, m.POP) and self.chance(3):
            return Request(op, n, key, encode("default"))
        return Request(op, n, key)

    def directory(self):
        """A request on tables as such, or one that does not fit its table."""
        name = self.rng.choice(("coming", "going", "list", "big", "none"))
        n, passing = encode(name), name in ("coming", "going")
        pick = self.rng.randrange(12)
        if pick < 3 and passing:
            pairs = [x for _ in range(self.rng.randrange(4)) for x in (self.rng.choice(self.keys), self.fresh())]
            return Request(m.CREATE_DICT, n, encode(self.chance(2) or {"exist_ok": self.chance(2), **self.some_options()}), *pairs)
        if pick == 3 and passing:
            return Request(m.DROP, n)
        if pick == 4 and passing:
            return Request(m.RENAME, n, encode(self.rng.choice(("coming", "going", "plain"))))
        if pick == 5:
            return Request(m.TABLES)
        if pick == 6:
            return Request(m.OPTIONS, encode(self.rng.choice(list(self.model.tables))))
        if pick == 7:
            bad = ({"ttl": 0}, {"ttl": m.YEARS_100 + 1}, {"idle": -5}, {"idle": "soon"}, {"max_entries": 0}, {"policy": "lru"}, {"policy": 5}, {"speed": 1}, 7)
            return Request(m.CONFIGURE, encode("both"), encode(self.rng.choice(bad)))
        if pick == 8:
            return Request(self.rng.choice((m.TTL, m.TOUCH, m.GET)), encode(self.rng.choice(("list", "none"))), encode(1))
        if pick == 9:
            return Request(self.rng.choice((m.LIST_APPEND, m.EXPIRE)), encode("list"), encode(2), ttl=self.period(30_000))
        if pick == 10:
            return Request(m.LIST_ALL, encode("list"))
        return Request(self.rng.choice((m.EXISTS, m.KIND)), n)

    def some_options(self):
        made = {"ttl": self.period(30_000), "idle": self.period(15_000), "max_entries": None, "policy": None}
        return {name: made[name] for name in self.rng.sample(list(made), self.rng.randrange(3))}

    # Steps

    def random_batch(self, n, early=False):
        self.batch = []  # what is sent next
        for _ in range(n):
            self.batch.append(self.request(early))
        self.ask(*self.batch)

    def resolve(self):
        """Asks for all keys in doubt, so that none is until the next step."""
        requests = []
        for name, t in self.model.tables.items():
            if type(t) is Table:
                for e in self.model.unsure(t):
                    if m.equals_itself(e.key):
                        op = self.rng.choice((m.GET, m.GET, m.CONTAINS, m.TTL, m.TOUCH, m.POP, m.DELETE))
                        requests.append(Request(op, encode(name), e.key))
        if requests:
            self.ask(*requests)

    def settle(self):
        """Waits until the server has removed what has expired."""
        for name, t in list(self.model.tables.items()):
            if type(t) is Table:
                if self.model.unsure(t):
                    self.agree(Request(m.KEYS, encode(name)))
                self.agree(Request(m.LEN, encode(name)))

    def run(self):
        self.now = START
        self.begin()
        while self.operations < self.most:
            self.next_step()
            self.random_steps()
        return self.operations

    def next_step(self):
        """The clock jumps, perhaps while the server does not run."""
        if self.chance(8):
            self.restart()
        else:
            self.jump()
            self.resolve()
            self.random_batch(self.rng.randrange(1, 60), early=True)
        self.settle()
        self.resolve()

    def restart(self):
        kills, calm = self.chance(2), True
        doubtful = [n for n, t in self.model.tables.items() if type(t) is Table and t.idle and self.model.unsure(t)]
        self.ask(
            *(Request(m.CLEAR, encode(n)) for n in doubtful),
            Request(m.SET, encode("plain"), encode("durable"), self.fresh(), durable=True),
        )
        self.marked()
        if self.chance(3):  # within what the jump makes the server do
            kills, calm = True, False
            self.next_minute()
            self.server.jump(self.now)
            self.model.clock = self.now, self.now + 1000
            time.sleep(self.rng.randrange(80) / 1000)  # a random moment, not a wait
        self.next_minute()
        self.model.clock = clock = self.server.restart(kills, self.now, self.rng.randrange(2**63))
        self.model.restarted(clock, calm)
        self.unmarked = True
        self.restarts += not kills
        self.kills += kills
        self.aging = True
        self.resolve()
        self.random_batch(self.rng.randrange(1, 60), early=True)

    def random_steps(self):
        for _ in range(self.rng.randrange(1, 6)):
            self.random_batch(self.rng.randrange(1, 230))
        if self.chance(6):
            self.ask(Request(m.SAVE))
        if self.chance(6):
            self.scan()
        if self.chance(25):
            self.long_read()
        if self.chance(4):
            self.ask(Request(m.CONFIGURE, encode(self.rng.choice(("both", "coming", "going"))), encode(self.some_options())))
        elif self.chance(2):
            self.short_lives()

    def short_lives(self):
        """Entries that expire with the next jump, whatever it is."""
        self.ask(*(
            Request(op, encode(self.rng.choice(("plain", "idle", "both"))), encode(f"short {i}"), self.fresh(), ttl=self.rng.choice((1, 2, 50, 999, 20_000)))
            for i, op in enumerate(self.rng.choices((m.SET, m.SETDEFAULT, m.UPDATE, m.INCREMENT), k=self.rng.randrange(30)))
        ))  # fmt: skip

    def scan(self):
        """A dict page by page, while the clock jumps."""
        name = self.rng.choice([n for n in ("plain", "counters", "few", "big") if n in self.model.tables])
        limit = self.rng.randint(1, 30) if name != "big" else 4000
        t, cursor, last = self.model.tables[name], 0, None
        jump_at = self.rng.randrange(6)
        for page in range(1000):
            if page == jump_at:
                self.jump()
                self.resolve()
            request = Request(m.SCAN, encode(name), encode(cursor), encode(limit))
            clock, (reply,) = self.server.batch(0, [request])
            self.tick(clock)
            self.operations += 1
            entries = list(t.entries.values())
            after = len([e for e in entries if e.born <= last]) if last is not None else 0
            wrong = self.model.judge_scan(t, request, reply, after)
            if wrong:
                self.differs(request, reply, f"page {page}: {wrong}")
            cursor, _ = decode_at(reply.body, 0)
            shown = self.model.page(t, request, reply, after)
            last = shown[-1].born if shown else last
            if not cursor:
                break
        self.settle()
        self.resolve()

    def long_read(self):
        """Reads a large dict slowly: the reply shows the moment at which it was asked for, however long it is read."""
        t = self.model.tables["big"]
        for first in range(0, 4500, 500):
            pairs = [x for i in range(first, first + 500) for x in (encode(i), encode(f"{self.count} {'x' * 4000}"))]
            if len(t.entries) < 4500:
                self.ask(Request(m.UPDATE, encode("big"), *pairs, ttl=self.period(30_000) if self.chance(2) else None))
        op = self.rng.choice((m.KEYS, m.VALUES, m.ITEMS, m.ITEMS))
        request = Request(op, encode("big"))
        self.tick(self.server.begin_read(request))
        shown = dict(t.entries)
        self.jump(10 * MINUTE)
        time.sleep(self.rng.randrange(100) / 1000)  # a random moment, not a wait
        reply = self.server.end_read()
        want = b"".join(x for e in shown.values() for x in PIECES[op](e))
        if reply.status != m.OK or reply.body != want:
            self.differs(request, reply, f"want the {len(shown)} entries of the moment at which it began")
        self.operations += 1
        self.settle()
        self.resolve()


WANT = {m.GET, m.SET, m.SETDEFAULT, m.INCREMENT, m.COMPARE_AND_SET, m.EXPIRE}
WRITES = {*m.TAKE_TTL, m.TOUCH, m.CLEAR}
IF_VERSION = {m.SET, m.DELETE, m.POP, m.INCREMENT, m.EXPIRE}
OFTEN = [
    *[m.SET] * 5, *[m.GET] * 4, *[m.UPDATE] * 2, *[m.EXPIRE] * 3, *[m.TTL] * 3, *[m.INCREMENT] * 2, *[m.SETDEFAULT] * 2, *[m.COMPARE_AND_SET] * 2,
    *[m.TOUCH] * 2, *[m.POP] * 2, m.DELETE, m.CONTAINS, m.CONTAINS, m.LEN, m.POPITEM, m.CLEAR, m.KEYS, m.VALUES, m.ITEMS, m.GET_MANY, m.SCAN,
]  # fmt: skip


def main():
    operations, seed = int(sys.argv[3]), int(sys.argv[4])
    if len(sys.argv) > 5:
        import loopback

        server = loopback.Loopback(sys.argv[5], seed, START)
    else:
        server = Server()
    campaign = Campaign(server, operations, seed)
    text = ""
    try:
        campaign.run()
    except Difference as e:
        text = f"after {campaign.operations} operations, {campaign.restarts} restarts, {campaign.kills} kills: {e}"
    summary = f"{campaign.operations} operations, {campaign.restarts} restarts, {campaign.kills} kills, {int(bool(text))} differences"
    server.done(summary + ("\n" + text if text else ""))


main()
