package shardmap

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// expiring is a store whose time a test sets, with a dict "d".
type expiring struct {
	*testing.T
	store *Store
	dict  *Dict
	call  Call
}

func newExpiring(t *testing.T, o Options) *expiring {
	t.Helper()
	e := &expiring{T: t, store: NewStore()}
	e.at(1000)
	e.call.MayBlock, e.call.Options = true, o
	table, err := e.store.Create(&e.call, "d", KindDict, nil, 0)
	e.ok(err)
	e.dict = table.Dict()
	return e
}

func (e *expiring) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// at sets the time.
func (e *expiring) at(now int64) {
	e.store.SetNow(now)
	e.call.Time = now
}

func (e *expiring) set(ttl int64, keys ...any) {
	e.Helper()
	e.call.TTL = ttl
	for _, k := range keys {
		e.ok(e.dict.Set(&e.call, encoded(k), encoded(fmt.Sprint(k))))
	}
	e.call.TTL = DefaultTTL
}

// sweep removes what has expired.
func (e *expiring) sweep() (removed int) {
	for more := true; more; {
		var n int
		n, more = e.store.Sweep(&e.call)
		removed += n
	}
	return removed
}

// keys returns the keys in order, by an inline call and by a view, which must agree.
func (e *expiring) keys() []string {
	e.Helper()
	inline, n, err := e.dict.AppendAll(&Call{}, nil, Keys)
	e.ok(err)
	var keys []string
	for b := inline; len(b) > 0; {
		size := value.Size(b)
		text, err := value.Repr(b[:size])
		e.ok(err)
		keys, b = append(keys, text), b[size:]
	}
	v, err := e.dict.View(&Call{})
	e.ok(err)
	defer v.Close()
	var viewed []byte
	for key := range v.Entries() {
		viewed = append(viewed, key...)
	}
	if n != len(keys) || string(viewed) != string(inline) || v.Len() != n {
		e.Fatalf("inline %x, view %x, length %d", inline, viewed, v.Len())
	}
	return keys
}

func (e *expiring) wantKeys(want ...string) {
	e.Helper()
	if got := e.keys(); !slices.Equal(got, want) {
		e.Fatalf("keys %v, want %v", got, want)
	}
}

func encoded(v any) []byte {
	switch v := v.(type) {
	case int:
		return value.AppendInt(nil, int64(v))
	case float64:
		return msgp.AppendFloat64(nil, v)
	default:
		return value.AppendStr(nil, v.(string))
	}
}

// TestSweepRemoves: the sweep removes the entries whose deadline has passed, also keys that equal
// nothing, and leaves those that have got another deadline since.
func TestSweepRemoves(t *testing.T) {
	e := newExpiring(t, Options{})
	e.set(100, "a", "b", math.NaN(), "c", "d")
	e.set(200, "later")
	e.set(DefaultTTL, "stays", "d")
	e.set(500, "c")
	e.set(KeepTTL, "b")
	e.at(1099)
	if n := e.sweep(); n != 0 {
		t.Fatalf("%d removed before the deadline", n)
	}
	e.wantKeys("'a'", "'b'", "nan", "'c'", "'d'", "'later'", "'stays'")
	e.at(1101)
	e.wantKeys("'c'", "'d'", "'later'", "'stays'")
	if n := e.sweep(); n != 3 || e.dict.Len() != 4 {
		t.Fatalf("%d removed, %d left", n, e.dict.Len())
	}
	e.at(5000)
	if n := e.sweep(); n != 2 || e.dict.Len() != 2 {
		t.Fatalf("%d removed, %d left", n, e.dict.Len())
	}
	if due := e.store.NextDue(); due != 0 {
		t.Fatalf("due at %d", due)
	}
}

// TestViewHidesByItsCut: a view hides what had expired when it was cut, however long it is read.
func TestViewHidesByItsCut(t *testing.T) {
	e := newExpiring(t, Options{})
	e.set(100, "a")
	e.set(200, "b")
	e.at(1150)
	v, err := e.dict.View(&Call{})
	e.ok(err)
	defer v.Close()
	e.at(9000)
	e.sweep()
	var got []string
	for key := range v.Entries() {
		got = append(got, string(key[1:]))
	}
	if !slices.Equal(got, []string{"b"}) || v.Len() != 1 {
		t.Fatalf("the view shows %q, length %d", got, v.Len())
	}
	if v.ShowHidden(); v.Len() != 2 {
		t.Fatalf("the whole view has length %d", v.Len())
	}
}

// TestLargeValueKeepsDeadline: a large value has room for the deadline that its entry has.
func TestLargeValueKeepsDeadline(t *testing.T) {
	e := newExpiring(t, Options{})
	large := value.AppendStr(nil, string(make([]byte, 3<<20)))
	for _, ttl := range []int64{100, ForeverTTL, DefaultTTL} {
		e.set(ttl, "k")
		e.call.TTL = KeepTTL
		e.ok(e.dict.Set(&e.call, encoded("k"), large))
		e.call.TTL = DefaultTTL
		got, err := e.dict.Get(&e.call, nil, encoded("k"))
		e.ok(err)
		left, err := e.dict.TTL(&e.call, encoded("k"))
		if e.ok(err); string(got) != string(large) || left != max(ttl, 0) {
			t.Fatalf("ttl %d: %d bytes, %d ms left", ttl, len(got), left)
		}
		for _, next := range []int64{700, ForeverTTL, 800} {
			e.call.TTL = next
			e.ok(e.dict.Expire(&e.call, encoded("k")))
			e.call.TTL = DefaultTTL
			got, err := e.dict.Get(&e.call, nil, encoded("k"))
			e.ok(err)
			left, err := e.dict.TTL(&e.call, encoded("k"))
			if e.ok(err); string(got) != string(large) || left != max(next, 0) {
				t.Fatalf("expire %d: %d bytes, %d ms left", next, len(got), left)
			}
		}
	}
}

// TestPopItemOverExpired: popitem looks at many expired entries, but not at all of them at once.
func TestPopItemOverExpired(t *testing.T) {
	e := newExpiring(t, Options{})
	e.set(DefaultTTL, "first")
	e.call.TTL = 100
	const n = 20_000
	for i := range n {
		e.ok(e.dict.Set(&e.call, encoded(i), encoded(i)))
	}
	e.at(2000)
	before := e.dict.Len()
	if _, err := e.dict.PopItem(&Call{}, nil); !errors.Is(err, ErrLong) {
		t.Fatalf("an inline popitem over %d expired entries: %v", n, err)
	}
	if looked := before - e.dict.Len(); looked == 0 || looked > 4096 {
		t.Fatalf("an inline popitem removes %d expired entries", looked)
	}
	got, err := e.dict.PopItem(&e.call, nil)
	if e.ok(err); string(got[1:6]) != "first" || e.dict.Len() != 0 {
		t.Fatalf("popitem gives %q, %d entries are left", got, e.dict.Len())
	}
}

// TestIdle: an entry lives for at least the time to idle after its last use, and at most twice as
// long, whether the sweep comes late or not; what was made to live for ever stays.
func TestIdle(t *testing.T) {
	for _, sweepEvery := range []int64{7, 90, 1300} {
		for _, policy := range []Options{{}, {MaxEntries: 1000}} {
			o := policy
			o.Idle = 1000
			e := newExpiring(t, o)
			e.sweep()
			rng := rand.New(rand.NewPCG(uint64(sweepEvery), 1))
			e.set(ForeverTTL, "forever")
			used := make(map[string]int64)
			for now := int64(2000); now < 30_000; now += 1 + rng.Int64N(20) {
				e.at(now)
				if now/sweepEvery != (now-20)/sweepEvery {
					e.sweep()
				}
				k := string(rune('a' + rng.IntN(20)))
				has, err := e.dict.Contains(&e.call, encoded(k))
				e.ok(err)
				last, known := used[k]
				switch since := now - last; {
				case !known && has:
					t.Fatalf("%q is there again at %d", k, now)
				case known && !has && since < o.Idle:
					t.Fatalf("sweep each %d: %q was used %d ms ago, and is absent", sweepEvery, k, since)
				case known && has && since > 2*o.Idle+sweepEvery:
					t.Fatalf("sweep each %d: %q was used %d ms ago, and is there", sweepEvery, k, since)
				}
				delete(used, k)
				if !has && rng.IntN(30) == 0 {
					e.set(DefaultTTL, k)
					has = true
				}
				if has {
					used[k] = now
				}
			}
			if has, _ := e.dict.Contains(&e.call, encoded("forever")); !has {
				t.Fatal("what lives for ever is absent")
			}
			e.at(60_000)
			e.wantKeys("'forever'")
		}
	}
}

// BenchmarkSweep removes entries that expire at the same time.
func BenchmarkSweep(b *testing.B) {
	s := NewStore()
	c := Call{MayBlock: true, Time: 1000, TTL: 100}
	s.SetNow(1000)
	table, err := s.Create(&c, "d", KindDict, nil, 0)
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if err := table.Dict().Set(&c, encoded(i), encoded(i)); err != nil {
			b.Fatal(err)
		}
	}
	s.SetNow(2000)
	b.ResetTimer()
	slowest := time.Duration(0)
	for more := true; more; {
		begin := time.Now()
		_, more = s.Sweep(&c)
		slowest = max(slowest, time.Since(begin))
	}
	if n := table.Dict().Len(); n != 0 {
		b.Fatalf("%d entries are left", n)
	}
	b.ReportMetric(float64(slowest.Microseconds()), "slowest-us")
}

// TestSweepGoesOnWithoutDeadlines: a dict whose deadlines are all gone does not keep the sweep from
// those of others.
func TestSweepGoesOnWithoutDeadlines(t *testing.T) {
	e := newExpiring(t, Options{})
	other, err := e.store.Create(&e.call, "other", KindDict, nil, 0)
	e.ok(err)
	e.call.TTL = 1000
	e.ok(other.Dict().Set(&e.call, encoded("a"), encoded("a")))
	for i := range 2 * minDeadEntries {
		e.set(500, i)
	}
	for i := range 2 * minDeadEntries {
		e.set(DefaultTTL, i)
	}
	for i := range 2 * minDeadEntries {
		e.ok(e.dict.Delete(&e.call, encoded(i)))
	}
	if due := e.store.NextDue(); due == 0 || due > 2000 {
		t.Fatalf("due at %d", due)
	}
	e.at(2001)
	if n := e.sweep(); n != 1 || other.Len() != 0 {
		t.Fatalf("%d removed, %d left", n, other.Len())
	}
}

// TestNothingIsDueWithoutDefault: once no dict has a default time to live, the sweep has nothing to
// do.
func TestNothingIsDueWithoutDefault(t *testing.T) {
	e := newExpiring(t, Options{TTL: 100})
	e.set(DefaultTTL, "a")
	e.sweep()
	e.ok(e.store.Drop(&e.call, "d"))
	for range 3 {
		e.at(e.store.Now() + markGap)
		e.sweep()
	}
	if due := e.store.NextDue(); due != 0 {
		t.Fatalf("due at %d, now is %d", due, e.store.Now())
	}
}

// TestDefaultIsRemoved: what has expired by the table's default stays absent when the default is
// removed, and is removed from memory.
func TestDefaultIsRemoved(t *testing.T) {
	e := newExpiring(t, Options{TTL: 100})
	e.set(DefaultTTL, "a")
	e.sweep()
	e.at(1200)
	e.set(DefaultTTL, "b")
	e.wantKeys("'b'")
	e.ok(e.dict.Configure(&e.call, func(o *Options) { o.TTL = 0 }))
	if e.dict.horizon.Load() == 0 {
		t.Error("the horizon, which is what a restart knows, has not moved")
	}
	e.at(9000)
	e.wantKeys("'b'")
	if n := e.sweep(); n != 1 || e.dict.Len() != 1 {
		t.Fatalf("%d removed, %d left", n, e.dict.Len())
	}
}

// TestIdleStaysAbsent: entries that expire while the sweep looks at their shard stay absent.
func TestIdleStaysAbsent(t *testing.T) {
	const entries = 2*maxForgotten + 100
	e := newExpiring(t, Options{Idle: 100})
	for i := range entries {
		e.set(DefaultTTL, i)
	}
	e.sweep() // the first generation begins
	e.at(1101)
	e.sweep()
	e.at(1150)
	for i := range 100 {
		e.ok(e.dict.Touch(&e.call, encoded(i)))
	}
	e.at(1299)
	e.store.Sweep(&e.call)
	e.at(1300)
	e.wantKeys()
	e.sweep()
	e.wantKeys()
}

// TestReasonsOfRemovals: changes that meet entries which have expired count them by the reason for
// which each goes.
func TestReasonsOfRemovals(t *testing.T) {
	const entries = 30
	for name, change := range map[string]func(e *expiring) error{
		"popitem": func(e *expiring) error {
			_, err := e.dict.PopItem(&e.call, nil)
			return err
		},
		"update": func(e *expiring) error {
			var packed []byte
			for i := range entries {
				packed = append(append(packed, encoded(i)...), encoded(i)...)
			}
			return e.dict.Update(&e.call, packed, entries)
		},
		"delete many": func(e *expiring) error {
			var packed []byte
			for i := range entries {
				packed = append(packed, encoded(i)...)
			}
			_, err := e.dict.DeleteMany(&e.call, nil, packed, entries)
			return err
		},
		"set": func(e *expiring) (err error) {
			for i := range entries {
				err = errors.Join(err, e.dict.Set(&e.call, encoded(i), encoded(i)))
			}
			return err
		},
	} {
		e := newExpiring(t, Options{Idle: 1000})
		for i := range entries {
			e.set(DefaultTTL, i)
		}
		for now := int64(1000); now < 3000; now += 500 {
			e.at(now)
			e.sweep() // a generation may begin
			for i := 0; i < entries; i += 3 {
				e.ok(e.dict.Touch(&e.call, encoded(i)))
			}
		}
		e.at(2990)
		for i := 0; i < entries; i += 3 {
			e.set(50, i)
		}
		e.at(3041)
		e.call.TTL = DefaultTTL
		if err := change(e); err != nil && !errors.Is(err, ErrEmpty) {
			t.Fatal(err)
		}
		want := Removals{Expired: entries / 3, Idle: entries - entries/3}
		if got := e.dict.Removals(); got != want {
			t.Errorf("%s: %+v, not %+v", name, got, want)
		}
	}
}

// TestCountWhileFilled: a dict that is being created has the length that it will have.
func TestCountWhileFilled(t *testing.T) {
	e := newExpiring(t, Options{})
	e.dict.table.filling.Store(5)
	if n, err := e.dict.Count(&Call{}); n != 5 || err != nil {
		t.Fatalf("%d entries, %v", n, err)
	}
}
