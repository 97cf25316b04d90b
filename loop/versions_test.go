package loop

import (
	"math/rand/v2"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
)

// versioned is a dict of ints with its versions, as a client sees them.
type versioned struct {
	*testing.T
	w       *wire
	entries map[int]versionedEntry
	newest  uint64 // highest version seen
}

type versionedEntry struct {
	val     int64
	version uint64 // 0: absent
}

// request sends one request with the flags; ifVersion counts if its flag is set.
func (v *versioned) request(op codec.Opcode, flags codec.RequestFlags, ifVersion uint64, args ...any) codec.Reply {
	v.Helper()
	v.w.id++
	v.w.write(codec.AppendRequest(nil, &codec.Request{
		ID: v.w.id, Op: op, Flags: flags, IfVersion: ifVersion, Args: encodeArgs(v, append([]any{"d"}, args...)...),
	}))
	reply, err := v.w.reply()
	if err != nil {
		v.Fatal(err)
	}
	if wanted := flags&codec.FlagWantVersion != 0 &&
		reply.Status == codec.StatusOK; wanted != (reply.Flags&codec.FlagVersion != 0) {
		v.Fatalf("%v with flags %#x: the reply has flags %#x", op, flags, reply.Flags)
	}
	return reply
}

// fresh checks that a change has a version higher than all before it.
func (v *versioned) fresh(version uint64) {
	v.Helper()
	if version <= v.newest || version >= 1<<48 {
		v.Fatalf("version %d after %d", version, v.newest)
	}
	v.newest = version
}

// TestConformanceVersions makes random conditional requests: they take effect exactly if the entry
// has the given version, and the versions in replies are those of the last change.
func TestConformanceVersions(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 7))
	v := &versioned{T: t, w: dial(t, startServer(t, nil)), entries: make(map[int]versionedEntry)}
	v.w.ok(codec.OpCreateDict, "d", false)
	outcomes := make(map[codec.Status]int)
	for range conformance.Count(t, 5000, 1000) {
		key, val := rng.IntN(4), rng.Int64N(100)
		entry := v.entries[key]
		given := pickFrom(rng, []uint64{
			entry.version, entry.version, 0, entry.version + 1, v.newest, codec.AnyVersion, 1<<64 - 2,
		})
		flags := codec.RequestFlags(0)
		if rng.IntN(4) > 0 {
			flags = codec.FlagIfVersion
		}
		acts := flags == 0 || given == entry.version || given == codec.AnyVersion && entry.version != 0
		var reply codec.Reply
		want := codec.StatusOK
		switch op := pickFrom(rng, []codec.Opcode{codec.OpDictSet, codec.OpDictSet, codec.OpDictDelete, codec.OpDictPop, codec.OpDictIncrement}); op {
		case codec.OpDictSet, codec.OpDictIncrement:
			reply = v.request(op, flags|codec.FlagWantVersion, given, key, val)
			if op == codec.OpDictIncrement {
				val += entry.val
			}
			if acts {
				v.fresh(reply.Version)
				v.entries[key] = versionedEntry{val, reply.Version}
			}
		default:
			reply = v.request(op, flags, given, key)
			if entry.version == 0 {
				want = codec.StatusKeyError
			}
			if acts {
				delete(v.entries, key)
			}
		}
		if !acts {
			want = codec.StatusVersionMismatch
		}
		if reply.Status != want {
			t.Fatalf(
				"request %d: %v, want %v (the version is %d, given %d)",
				reply.ID,
				reply.Status,
				want,
				entry.version,
				given,
			)
		}
		outcomes[reply.Status]++
		v.check(key)
	}
	for _, status := range []codec.Status{codec.StatusOK, codec.StatusKeyError, codec.StatusVersionMismatch} {
		if outcomes[status] == 0 {
			t.Errorf("no request ended with %v", status)
		}
	}
}

// TestAnyVersion: every command that takes IF VERSION can ask that the entry is present. One that
// has expired is absent.
func TestAnyVersion(t *testing.T) {
	t.Parallel()
	clock := &wallClock{}
	w := dial(t, startLimited(t, nil, clock.limit))
	w.ok(codec.OpCreateDict, "d", false)
	tried := 0
	for op, command := range engine.Protocol() {
		if !command.Conditional {
			continue
		}
		tried++
		op := codec.Opcode(op)
		request := func(key string, want codec.Status) {
			t.Helper()
			w.id++
			req := codec.Request{ID: w.id, Op: op, Flags: codec.FlagIfVersion, IfVersion: codec.AnyVersion}
			args := []any{"d", key, 1}
			req.Args = encodeArgs(w, args[:1+codec.Shapes[op].Min]...)
			if op == codec.OpDictExpire {
				req.Flags, req.TTL = req.Flags|codec.FlagTimeToLive, 60_000
			}
			w.write(codec.AppendRequest(nil, &req))
			if reply, err := w.reply(); err != nil || reply.Status != want {
				t.Errorf("%v of %s: %v, %v", op, key, reply.Status, err)
			}
		}
		w.ok(codec.OpDictSet, "d", "here", 1)
		w.doLiving(codec.OpDictSet, 60_000, "d", "brief", 1)
		clock.jump(2 * time.Minute)
		request("here", codec.StatusOK)
		request("brief", codec.StatusVersionMismatch)
		request("nowhere", codec.StatusVersionMismatch)
		for _, key := range []string{"brief", "nowhere"} {
			w.fails(codec.StatusKeyError, codec.OpDictGet, "d", key)
		}
	}
	if tried < 5 {
		t.Errorf("%d commands take IF VERSION", tried)
	}
}

// check reads an entry in three ways.
func (v *versioned) check(key int) {
	v.Helper()
	entry := v.entries[key]
	got := v.request(codec.OpDictGet, codec.FlagWantVersion, 0, key, -1)
	want := entry.val
	if entry.version == 0 {
		want = -1
	}
	if val := decodeAll(v, got.Body)[0]; got.Version != entry.version || val != want {
		v.Fatalf("key %d: %v with version %d, want %d with %d", key, val, got.Version, want, entry.version)
	}
	if entry.version == 0 {
		return
	}
	got = v.request(codec.OpDictSetDefault, codec.FlagWantVersion, 0, key, 1000)
	if val := decodeAll(v, got.Body)[0]; got.Version != entry.version || val != want {
		v.Fatalf("setdefault, key %d: %v with version %d, want %d with %d", key, val, got.Version, want, entry.version)
	}
	got = v.request(codec.OpDictCompareAndSet, codec.FlagWantVersion, 0, key, entry.val, entry.val+1)
	v.fresh(got.Version)
	v.entries[key] = versionedEntry{entry.val + 1, got.Version}
}
