package shardmap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// recorder is a Log that keeps effects apart from requests.
type recorder struct {
	effects []effect
	steps   []func(c *Call, d *Dict) error // everything that was logged, to do it again
	present func(c *Call, d *Dict) error   // the request of the call
}

type effect struct {
	reason  Reason
	entries []Forgotten
}

// Forget implements Effects.
func (r *recorder) Forget(dst []byte, _ string, reason Reason, entries []Forgotten) []byte {
	e := effect{reason: reason}
	for _, f := range entries {
		f.Key = append([]byte(nil), f.Key...)
		if len(f.Key) == 0 {
			f.Key = nil
		}
		e.entries = append(e.entries, f)
	}
	r.effects = append(r.effects, e)
	return append(dst, 1)
}

// Horizon implements Effects.
func (r *recorder) Horizon(dst []byte, _ string, _ uint64) []byte { return append(dst, 2) }

// Return implements Effects.
func (r *recorder) Return(dst []byte, _, _ string, _ []Returned) []byte { return append(dst, 3) }

// CreateList implements Effects.
func (r *recorder) CreateList(dst []byte, _ string) []byte { return append(dst, 4) }

// Append implements Log.
func (r *recorder) Append(_, _ uint64, time int64, request []byte) {
	step := r.present
	if len(request) == 1 {
		e := r.effects[len(r.effects)-1]
		step = func(c *Call, d *Dict) error { return d.Forget(c, e.reason, e.entries) }
	}
	r.steps = append(r.steps, func(c *Call, d *Dict) error {
		c.Time = time
		return step(c, d)
	})
}

// limited is a dict with a limit, whose changes are recorded.
type limited struct {
	t     *testing.T
	store *Store
	d     *Dict
	c     Call
	r     recorder
}

func newLimited(t *testing.T, split int, o Options) *limited {
	l := &limited{t: t, store: NewStore()}
	l.store.minSplit = split
	l.c = Call{Log: &l.r, Effects: &l.r, Options: o, MayBlock: true}
	table, err := l.store.Create(&l.c, "d", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.d = table.Dict()
	l.r.steps = nil
	return l
}

// do runs a change and records it.
func (l *limited) do(f func(c *Call, d *Dict) error) error {
	l.r.effects, l.r.present = nil, f
	l.c.Request = []byte{0, 0}
	err := f(&l.c, l.d)
	l.r.present = nil
	return err
}

func (l *limited) set(key, val []byte) error {
	return l.do(func(c *Call, d *Dict) error { return d.Set(c, key, val) })
}

func number(n int) []byte { return msgp.AppendInt(nil, n) }

// entriesOf returns all entries of a dict by key.
func entriesOf(t *testing.T, d *Dict) map[string]Entry {
	t.Helper()
	v, err := d.View(&Call{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	all := map[string]Entry{}
	for e := range v.ShowHidden().EntriesVersioned() {
		all[string(e.Key)] = Entry{
			Val: append([]byte(nil), e.Val...), Version: e.Version, Place: e.Place, Deadline: e.Deadline,
		}
	}
	return all
}

// checkCounts compares what a dict has counted with what it has.
func checkCounts(t *testing.T, d *Dict) {
	t.Helper()
	entries, bytes := 0, 0
	d.dir.Load().each(func(s *shard) {
		small := 0
		s.eachLive(func(num int, _ *page, e *entry) {
			entries++
			bytes += len(s.record(e))
			if s.usage != nil && num >= s.usage.edge {
				small++
			}
		})
		if u := s.usage; u != nil && (u.small != small || u.edge > s.count || u.lapEnd > s.count || u.hand > s.count) {
			t.Fatalf("usage %+v of a shard of %d, %d are new", u, s.count, small)
		}
	})
	if d.Len() != entries || d.UsedBytes() != int64(bytes+EntryOverhead*entries) {
		t.Fatalf("Len is %d and UsedBytes %d, of %d entries with %d bytes", d.Len(), d.UsedBytes(), entries, bytes)
	}
}

// TestLimits makes random changes to dicts with limits. After each, the dict is within its limit
// and has what was written last. A replay of what was logged has the same entries.
func TestLimits(t *testing.T) {
	for _, o := range []Options{
		{MaxEntries: 1},
		{MaxEntries: 40},
		{MaxEntries: 300},
		{MaxBytes: 9000},
		{MaxEntries: 100, MaxBytes: 5000},
		{MaxEntries: 40, Policy: NoEviction},
		{MaxBytes: 2000, Policy: NoEviction},
		{MaxEntries: 40, Policy: NearestDeadline},
		{MaxBytes: 4000, Policy: NearestDeadline},
	} {
		for _, split := range []int{8, minSplit} {
			t.Run(fmt.Sprintf("%+v, %d", o, split), func(t *testing.T) { testLimits(t, split, o) })
		}
	}
}

func testLimits(t *testing.T, split int, o Options) {
	pick := seeded(t)
	l := newLimited(t, split, o)
	var views []*DictView
	for range 1000 {
		key, val := number(pick.IntN(600)), str(fmt.Sprintf("%0*d", pick.IntN(60), 0))
		l.c.TTL = DefaultTTL
		if pick.IntN(2) == 0 {
			l.c.TTL = int64(1_000_000 + pick.IntN(1000))
		}
		before := entriesOf(t, l.d)
		written, err := key, error(nil)
		ttl := l.c.TTL
		with := func(f func(c *Call, d *Dict) error) error {
			return l.do(func(c *Call, d *Dict) error {
				c.TTL = ttl
				return f(c, d)
			})
		}
		switch pick.IntN(10) {
		case 0:
			var packed []byte
			n := 1 + pick.IntN(30)
			if pick.IntN(10) == 0 {
				n = 500
			}
			for range n {
				written = number(pick.IntN(600))
				packed = append(append(packed, written...), val...)
			}
			err = with(func(c *Call, d *Dict) error { return d.Update(c, packed, n) })
		case 1:
			err = with(func(c *Call, d *Dict) error {
				_, _, err := d.SetDefault(c, nil, key, val)
				return err
			})
		case 2:
			key = number(1000 + pick.IntN(100))
			written = key
			err = with(func(c *Call, d *Dict) error {
				_, err := d.Increment(c, nil, key, number(1))
				return err
			})
		case 3:
			written = nil
			err = with(func(c *Call, d *Dict) error { return d.Delete(c, key) })
			if errors.Is(err, ErrNoKey) {
				err = nil
			}
		case 4:
			if len(views) > 2 {
				views[0].Close()
				views = views[1:]
			} else if v, err := l.d.View(&Call{}); err == nil {
				views = append(views, v)
			}
			continue
		default:
			err = with(func(c *Call, d *Dict) error { return d.Set(c, key, val) })
		}
		l.check(before, written, err)
	}
	for _, v := range views {
		v.Close()
	}
	l.replay()
}

// check checks the dict after a change.
func (l *limited) check(before map[string]Entry, written []byte, err error) {
	t, o := l.t, l.d.Options()
	t.Helper()
	checkCounts(t, l.d)
	after := entriesOf(t, l.d)
	if o.MaxEntries > 0 && len(after) > int(o.MaxEntries) || o.MaxBytes > 0 && l.d.UsedBytes() > o.MaxBytes {
		t.Fatalf("%d entries and %d bytes with the limits %+v", len(after), l.d.UsedBytes(), o)
	}
	evicted := 0
	for _, e := range l.r.effects {
		if e.reason != Evicted {
			t.Fatal("removed for reason", e.reason)
		}
		evicted += len(e.entries)
		for _, f := range e.entries {
			if o.Policy == NearestDeadline && before[string(f.Key)].Deadline == 0 {
				t.Fatalf("%x had no deadline", f.Key)
			}
		}
	}
	switch {
	case errors.Is(err, ErrFull) && o.Policy == NoEviction:
		if len(after) != len(before) {
			t.Fatalf("refused, and %d entries became %d", len(before), len(after))
		}
	case errors.Is(err, ErrFull) && o.Policy == NearestDeadline:
		for key, e := range after {
			if e.Deadline > 0 && o.MaxEntries > 0 && l.r.effects == nil {
				t.Fatalf("refused, and %x could have made room", key)
			}
		}
	case err != nil:
		t.Fatal(err)
	case written != nil:
		if _, there := after[string(written)]; !there {
			t.Fatalf("%x, just written, is not there; evicted %d", written, evicted)
		}
	}
	if o.Policy == NoEviction && evicted > 0 {
		t.Fatalf("%d evicted", evicted)
	}
}

// replay repeats what was logged on another store.
func (l *limited) replay() {
	t := l.t
	t.Helper()
	store := NewStore()
	c := Call{Replay: true, MayBlock: true, Options: l.d.Options()}
	table, err := store.Create(&c, "d", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range l.r.steps {
		if err := step(&c, table.Dict()); err != nil {
			t.Fatal(err)
		}
	}
	want, got := entriesOf(t, l.d), entriesOf(t, table.Dict())
	if store.Clock() != l.store.Clock() || len(got) != len(want) {
		t.Fatalf("a replay has %d entries at LSN %d, not %d at %d", len(got), store.Clock(), len(want), l.store.Clock())
	}
	for key, e := range want {
		if other := got[key]; other.Place != e.Place || other.Version != e.Version ||
			string(other.Val) != string(e.Val) {
			t.Fatalf("%x is %+v in a replay, not %+v", key, other, e)
		}
	}
}

// TestLimitHoldsForAllCalls fills a dict from several goroutines. It is within its limit when no
// call is executed. Meanwhile it is above by at most an entry of each other call, if others always
// take the room that a call makes, and only if entries that are not used make room.
func TestLimitHoldsForAllCalls(t *testing.T) {
	const most, callers, keys = 500, 4, 5000
	for _, policy := range []Policy{S3FIFO, NoEviction, NearestDeadline} {
		l := newLimited(t, 64, Options{MaxEntries: most, Policy: policy})
		meanwhile := most
		if policy == S3FIFO {
			meanwhile += callers - 1
		}
		var running sync.WaitGroup
		for i := range callers {
			pick := rand.New(rand.NewPCG(uint64(i), 1))
			running.Go(func() {
				c := Call{TTL: 1_000_000}
				for range 20_000 {
					key := number(pick.IntN(keys))
					if err := l.d.Set(&c, key, key); err != nil && !errors.Is(err, ErrFull) {
						t.Error(err)
						return
					}
					if _, err := l.d.Get(&c, nil, number(pick.IntN(keys))); err != nil && !errors.Is(err, ErrNoKey) {
						t.Error(err)
						return
					}
					if n := l.d.Len(); n > meanwhile {
						t.Errorf("%v: %d entries of at most %d", policy, n, meanwhile)
						return
					}
				}
			})
		}
		running.Wait()
		checkCounts(t, l.d)
		if n := l.d.Len(); n < most-callers || n > most {
			t.Errorf("%v: %d entries of %d", policy, n, most)
		}
		switch r := l.d.Removals(); {
		case policy == NoEviction && (r.Refused == 0 || r.Evicted > 0),
			policy == S3FIFO && (r.Refused > 0 || r.Evicted == 0):
			t.Errorf("%v: %+v", policy, r)
		}
	}
}

// TestScanDoesNotEvictWhatIsUsed reads ten times as many keys as the dict has room for, once each,
// beside some that are read again and again.
func TestScanDoesNotEvictWhatIsUsed(t *testing.T) {
	const most, used, once = 1000, 200, 10_000
	l := newLimited(t, minSplit, Options{MaxEntries: most})
	var c Call
	misses := 0
	lookAside := func(n int) {
		if _, err := l.d.Get(&c, nil, number(n)); errors.Is(err, ErrNoKey) {
			misses++
			if err := l.d.Set(&c, number(n), number(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range once {
		lookAside(i % used)
		lookAside(i % used)
		if i == once/10 {
			misses = 0
		}
		lookAside(used + i)
	}
	if want := once - once/10; misses > want+used/10 {
		t.Errorf("%d keys that are used all the time were evicted", misses-want)
	}
}

// TestNearestDeadline fills a dict whose entries expire in another order than that of insertion.
func TestNearestDeadline(t *testing.T) {
	l := newLimited(t, minSplit, Options{MaxEntries: 3, Policy: NearestDeadline})
	set := func(key int, ttl int64) error {
		l.c.TTL = ttl
		return l.set(number(key), number(key))
	}
	for key, ttl := range map[int]int64{1: 3000, 2: 1000, 3: DefaultTTL} {
		if err := set(key, ttl); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		key     int
		ttl     int64
		evicted int // 0: refused
	}{{4, 9000, 2}, {5, 500, 1}, {6, DefaultTTL, 5}, {7, DefaultTTL, 4}, {8, 1, 0}} {
		err := set(step.key, step.ttl)
		if step.evicted == 0 {
			if !errors.Is(err, ErrFull) || len(l.r.effects) > 0 {
				t.Errorf("setting %d: %v, and %d effects", step.key, err, len(l.r.effects))
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if e := l.r.effects; len(e) != 1 || string(e[0].entries[0].Key) != string(number(step.evicted)) {
			t.Errorf("setting %d has evicted %+v, not %d", step.key, e, step.evicted)
		}
	}
}

// TestLowerLimit gives a dict a limit that it exceeds: the store evicts the rest in the background,
// a few entries at a time.
func TestLowerLimit(t *testing.T) {
	const entries, most = 5000, 300
	l := newLimited(t, 64, Options{})
	for i := range entries {
		if err := l.set(number(i), number(i)); err != nil {
			t.Fatal(err)
		}
	}
	l.store.SetNow(1)
	woken := 0
	l.store.OnDue(func() { woken++ })
	configure := func(c *Call, d *Dict) error {
		return d.Configure(c, func(o *Options) { o.MaxEntries = most })
	}
	if err := l.do(configure); err != nil {
		t.Fatal(err)
	}
	if n, err := l.d.Count(&l.c); n != most || err != nil {
		t.Errorf("the length is %d (%v) while entries are being evicted, not %d", n, err, most)
	}
	if woken == 0 || l.store.NextDue() == 0 {
		t.Error("nothing is due")
	}
	for more, before := true, l.d.Len(); more; before = l.d.Len() {
		_, more = l.store.Sweep(&l.c)
		if n := before - l.d.Len(); n > maxForgotten {
			t.Fatalf("%d entries were evicted at once", n)
		}
	}
	if l.d.Len() != most {
		t.Errorf("%d entries, not %d", l.d.Len(), most)
	}
	checkCounts(t, l.d)
	l.replay()
}

// TestLargeValueMakesRoom stores a value that needs the room of very many entries.
func TestLargeValueMakesRoom(t *testing.T) {
	const entries, most = 4000, 400_000
	l := newLimited(t, 64, Options{MaxBytes: most})
	for i := range entries {
		if err := l.set(number(i), str(fmt.Sprintf("%050d", i))); err != nil {
			t.Fatal(err)
		}
	}
	large := msgp.AppendBytes(nil, make([]byte, most-1000))
	l.c.MayBlock = false
	if err := l.set(number(1), large); !errors.Is(err, ErrLong) {
		t.Errorf("an inline call: %v", err)
	}
	l.c.MayBlock = true
	if err := l.set(number(1), large); err != nil {
		t.Fatal(err)
	}
	if got, err := l.d.Get(&l.c, nil, number(1)); len(got) != len(large) || l.d.UsedBytes() > most {
		t.Errorf("%d bytes of %d (%v), %d used", len(got), len(large), err, l.d.UsedBytes())
	}
	if err := l.set(number(2), append(large, make([]byte, 1000)...)); !errors.Is(err, ErrFull) {
		t.Errorf("a value larger than the limit: %v", err)
	}
	checkCounts(t, l.d)
	l.replay()
}

// TestCreateFull creates dicts with more content than their limit allows.
func TestCreateFull(t *testing.T) {
	var packed []byte
	for i := range 100 {
		packed = append(append(packed, number(i)...), number(i)...)
	}
	s := NewStore()
	c := Call{Options: Options{MaxEntries: 10}}
	table, err := s.Create(&c, "evicts", KindDict, packed, 100)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := table.Dict().Contains(&c, number(99)); table.Len() != 10 || !there || err != nil {
		t.Errorf("%d entries; the last one is there: %v, %v", table.Len(), there, err)
	}
	c.Options.Policy = NoEviction
	if _, err := s.Create(&c, "refuses", KindDict, packed, 100); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if _, there := s.Lookup(&c, []byte("refuses")); there {
		t.Error("the table is there")
	}
}

// TestLimitAfterRestore loads a dict that is above its limit.
func TestLimitAfterRestore(t *testing.T) {
	const entries, most = 1000, 100
	s := NewStore()
	s.SetClock(entries + 1)
	r, err := s.Restore("d", KindDict, 1, entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Configure(Settings{Options: Options{MaxEntries: most}}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		e := Entry{Key: number(i), Val: number(i), Place: uint64(i + 2), Version: uint64(i + 2)}
		if err := r.Entries([]Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Done(); err != nil {
		t.Fatal(err)
	}
	var c Call
	for more := true; more; {
		_, more = s.Sweep(&c)
	}
	table, _ := s.Lookup(&c, []byte("d"))
	if table.Len() != most {
		t.Errorf("%d entries, not %d", table.Len(), most)
	}
	checkCounts(t, table.Dict())
}

// TestTrimWaitsForLongWrite lowers the limit of a dict while a long write owns it: the sweep does
// not spin, and evicts afterwards.
func TestTrimWaitsForLongWrite(t *testing.T) {
	l := newLimited(t, minSplit, Options{})
	for i := range 100 {
		if err := l.set(number(i), number(i)); err != nil {
			t.Fatal(err)
		}
	}
	l.store.SetNow(1000)
	if err := l.d.Configure(&l.c, func(o *Options) { o.MaxEntries = 10 }); err != nil {
		t.Fatal(err)
	}
	h, err := l.d.own(&l.c)
	if err != nil {
		t.Fatal(err)
	}
	for sweeps := 0; ; sweeps++ {
		if _, more := l.store.Sweep(&l.c); !more {
			break
		}
		if sweeps > 10 {
			t.Fatal("the sweep does not end")
		}
	}
	if due := l.store.NextDue(); due <= 1000 || l.d.Len() != 100 {
		t.Errorf("due at %d, with %d entries", due, l.d.Len())
	}
	l.d.table.lock.release(h)
	l.store.SetNow(l.store.NextDue())
	for more := true; more; {
		_, more = l.store.Sweep(&l.c)
	}
	if l.d.Len() != 10 || l.store.NextDue() != 0 {
		t.Errorf("%d entries, due at %d", l.d.Len(), l.store.NextDue())
	}
}
