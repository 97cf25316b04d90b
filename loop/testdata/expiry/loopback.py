"""The model as a server, with a fault on demand: what the judge must find."""

import random

import tables as m
from judge import Reply
from tables import Fail, Model

FAULTS = ("set keeps the deadline", "expire moves the entry", "increment begins anew", "setdefault begins anew", "keep removes the deadline",
    "persist leaves the default", "plain set stays exempt", "a deadline is forgotten", "idle ends early", "idle ends late", "the default ends early",
    "the default ends late", "a restart shortens deadlines", "a restart brings back", "touch keeps the version", "an expired key keeps its place",
    "nan stays", "len counts the expired", "a view is not of its moment", "persist is ignored", "counters live longer with each hit")  # fmt: skip


class Exact(Model):
    """The model that knows its time, and decides for itself where there is slack."""

    def __init__(self, fault, seed):
        super().__init__()
        self.fault, self.rng, self.lsn = fault, random.Random(seed), 1000

    def state(self, t, e):
        now = self.clock[0]
        dead = False
        if e.deadline:
            dead = e.deadline[0] <= now and not (self.fault == "nan stays" and not m.equals_itself(e.key))
        elif t.ttl and not e.exempt:
            late = {"the default ends early": -m.MINUTE, "the default ends late": m.MINUTE}.get(self.fault, 0)
            dead = e.written[0] + t.ttl + late <= now
        if t.idle and not e.exempt:
            factor = {"idle ends early": 0.4, "idle ends late": 4}.get(self.fault, 1.5)
            dead = dead or e.used[0] + factor * t.idle <= now
        return m.DEAD if dead else m.LIVE

    def written(self, e):
        super().written(e)
        self.lsn += self.rng.randint(1, 3)
        e.version = self.lsn

    def put(self, t, key, raw, val, ttl, keeps=False):
        e = t.entries.get(key)
        old = (e.deadline, e.exempt) if e else (None, False)
        e = super().put(t, key, raw, val, ttl, keeps)
        if self.fault == "set keeps the deadline" and ttl is None and old[0] or self.fault == "plain set stays exempt" and ttl is None and old[1]:
            e.deadline, e.exempt = old
        if self.fault == "keep removes the deadline" and ttl == -1:
            e.deadline = None
        if self.fault == "a deadline is forgotten" and e.deadline and self.rng.randrange(50) == 0:
            e.deadline = None
        return e

    def set_deadline(self, e, ttl):
        super().set_deadline(e, ttl)
        if self.fault == "persist leaves the default":
            e.exempt = False

    def expire(self, t, r, raw):
        if self.fault == "persist is ignored" and r.ttl == 0:
            return self.contains(t, r, raw) and []
        out = super().expire(t, r, raw)
        if self.fault == "expire moves the entry":
            key = m.key_of(raw)
            t.entries[key] = t.entries.pop(key)
        return out

    def increment(self, t, r, raw, by):
        out = super().increment(t, r, raw, by)
        e = t.entries.get(m.key_of(raw))
        if self.fault == "counters live longer with each hit" and e and r.ttl and r.ttl > 0:
            self.set_deadline(e, r.ttl)
        if self.fault == "increment begins anew" and e:
            e.deadline = None
        return out

    def setdefault(self, t, r, raw, val):
        out = super().setdefault(t, r, raw, val)
        e = t.entries.get(m.key_of(raw))
        if self.fault == "setdefault begins anew" and e and r.ttl and r.ttl > 0:
            self.set_deadline(e, r.ttl)
        return out

    def touch(self, t, r, raw):
        e = t.entries.get(m.key_of(raw))
        before = e and e.version
        out = super().touch(t, r, raw)
        if self.fault == "touch keeps the version":
            e.version = before
        return out

    def advance(self, clock):
        hidden = {}
        if self.fault == "an expired key keeps its place":
            self.clock = clock
            for name, t in self.tables.items():
                if type(t) is m.Table:
                    hidden[name] = [k for k, e in t.entries.items() if self.state(t, e) is m.DEAD]
        super().advance(clock)
        for name, keys in hidden.items():  # the newest of the dead stands at the front from now on
            t = self.tables[name]
            if keys and t.entries:
                first = next(iter(t.entries))
                t.entries[first] = t.entries.pop(first)


class Loopback:
    """What campaign.Server is, without a server."""

    def __init__(self, fault, seed, start):
        if fault == "list":
            print(*FAULTS, sep="\n")
            raise SystemExit
        if fault not in (*FAULTS, "none"):
            raise SystemExit(f"no fault {fault!r}")
        self.fault, self.model, self.now, self.view = fault, Exact(fault, seed), start, None

    def batch(self, _, requests):
        self.now += 3
        self.model.clock = self.now, self.now
        got = [self.reply(r) for r in requests]
        return (self.now - 1, self.now + 1), got

    def reply(self, r):
        try:
            if r.op == m.SCAN:
                return self.scan(r)
            body = b"".join(self.model.execute(r))
        except Fail as e:
            return Reply(e.status)
        if r.op == m.LEN and self.fault == "len counts the expired":
            body = m.encode(m.decode(body) + self.model.tables[m.decode(r.args[0])].late)
        known = self.model.entry(r)
        return Reply(m.OK, body, (known[1].version if known else 0) if r.want else None)

    def scan(self, r):
        """A cursor is the number of the entry after which it continues."""
        t = self.model.table(m.decode(r.args[0]))
        if r.ttl is not None:
            raise Fail(m.UNSUPPORTED)
        cursor, limit = m.decode(r.args[1]), m.decode(r.args[2])
        left = [e for e in t.entries.values() if e.born > cursor]
        page = left[:limit]
        more = page[-1].born if len(left) > limit else 0
        return Reply(m.OK, m.encode(more) + b"".join(x for e in page for x in (e.key, e.val)))

    def begin_read(self, r):
        if self.fault != "a view is not of its moment":
            self.view = self.batch(0, [r])[1][0]
        else:
            self.view = r
        return self.now - 1, self.now + 1

    def end_read(self):
        return self.view if type(self.view) is Reply else self.batch(0, [self.view])[1][0]

    def jump(self, now):
        self.now = now
        self.model.advance((now, now))

    def restart(self, kills, now, seed):
        self.now = now
        for t in self.model.tables.values():
            for e in t.entries.values() if type(t) is m.Table else ():
                if e.deadline and self.fault == "a restart shortens deadlines":
                    e.deadline = e.deadline[0] - m.MINUTE, e.deadline[1] - m.MINUTE
                if e.deadline and self.fault == "a restart brings back":
                    e.deadline = e.deadline[0] + 10 * m.MINUTE, e.deadline[1] + 10 * m.MINUTE
        self.model.restarted((now, now), True)
        return now - 1, now + 1

    def done(self, text):
        print("expiry:", text)
