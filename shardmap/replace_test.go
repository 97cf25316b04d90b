package shardmap

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// logged keeps the LSNs that were assigned, of calls of one at a time.
type logged struct {
	ranges *[][2]uint64
	mu     *sync.Mutex
}

func (l logged) Append(lsn, n uint64, _ int64, _ []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.ranges = append(*l.ranges, [2]uint64{lsn, n})
}

// restoredTables makes restored tables for a store: dicts and lists by turns, of n elements that
// are all value, with their own LSNs.
func restoredTables(
	t testing.TB,
	s *Store,
	call *Call,
	names []string,
	n int,
	value string,
) (tables []*Restorer, at uint64) {
	t.Helper()
	lsn := s.Reserve(call, uint64(len(names)*(n+1)))
	for i, name := range names {
		kind := []Kind{KindDict, KindList}[i%2]
		r, err := s.Restore(name, kind, lsn, n)
		if err != nil {
			t.Fatal(err)
		}
		lsn++
		var packed []byte
		for k := range n {
			val := msgp.AppendString(nil, value)
			packed = append(packed, val...)
			if kind == KindDict {
				err = errors.Join(
					err,
					r.Entries([]Entry{{Key: msgp.AppendInt(nil, k), Val: val, Version: lsn, Place: lsn}}),
				)
			}
			lsn++
		}
		if kind == KindList {
			err = r.Elements(packed, n)
		}
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, r)
	}
	return tables, s.Clock() + 1000
}

func create(t testing.TB, s *Store, call *Call, name string, kind Kind, n int, value string) {
	t.Helper()
	var packed []byte
	for k := range n {
		if kind == KindDict {
			packed = msgp.AppendInt(packed, k)
		}
		packed = msgp.AppendString(packed, value)
	}
	if _, err := s.Create(call, name, kind, packed, n); err != nil {
		t.Fatal(err)
	}
}

// TestReplace: all tables are others at one LSN; views from before show the old ones complete,
// also those that are read afterwards, and what they kept is freed with them.
func TestReplace(t *testing.T) {
	s := NewStore()
	var ranges [][2]uint64
	call := &Call{MayBlock: true, Log: logged{&ranges, new(sync.Mutex)}}
	create(t, s, call, "d", KindDict, 30_000, "old")
	create(t, s, call, "l", KindList, 5000, "old")
	create(t, s, call, "gone", KindDict, 3, "old")
	before := textOf(s)
	view := s.View()
	dict, _ := s.Lookup(&Call{}, []byte("d"))
	dictView, err := dict.Dict().View(call)
	if err != nil {
		t.Fatal(err)
	}
	tables, at := restoredTables(t, s, call, []string{"d", "l", "more"}, 20, "new")
	if err := s.Replace(call, tables, at); err != nil {
		t.Fatal(err)
	}
	if s.Clock() != at {
		t.Errorf("the clock is at %d, not %d", s.Clock(), at)
	}
	if got := textOfView(view); got != before {
		t.Errorf("a view from before shows\n%.300s\ninstead of\n%.300s", got, before)
	}
	n := 0
	for _, val := range dictView.Entries() {
		if n++; string(val) != string(msgp.AppendString(nil, "old")) {
			t.Fatalf("a view of a dict from before shows %q", val)
		}
	}
	if n != 30_000 {
		t.Errorf("a view of a dict from before shows %d entries", n)
	}
	var names []string
	s.Tables(func(name string, kind Kind, length int) bool {
		names = append(names, fmt.Sprintf("%s %v %d", name, kind, length))
		return true
	})
	if want := []string{"d dict 20", "l list 20", "more dict 20"}; !slices.Equal(names, want) {
		t.Errorf("the tables are %v, not %v", names, want)
	}
	if got := textOf(
		s,
	); strings.Contains(got, fmt.Sprintf("%x", "old")) ||
		strings.Count(got, fmt.Sprintf("%x", "new")) != 60 {
		t.Errorf("a view from after shows\n%s", got)
	}
	dictView.Close()
	view.Close()
	for _, name := range []string{"d", "l", "more"} {
		if err := s.Drop(call, name); err != nil {
			t.Error(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		stats := s.Stats()
		if stats.SlabBytes == stats.SlabFreeBytes && stats.RetiredBytes == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v after all is gone", stats)
		}
	}
	noGap(t, ranges)
}

// noGap checks that every LSN was logged, once. The LSNs of the views of textOf were not.
func noGap(t *testing.T, ranges [][2]uint64) {
	t.Helper()
	slices.SortFunc(ranges, func(a, b [2]uint64) int { return int(a[0]) - int(b[0]) })
	missing := 0
	for i, r := range ranges[1:] {
		end := ranges[i][0] + ranges[i][1]
		if r[0] < end {
			t.Fatalf("the LSNs from %d on were logged twice", r[0])
		}
		missing += int(r[0] - end)
	}
	if missing > 2 {
		t.Errorf("%d LSNs were not logged", missing)
	}
}

// TestReplaceTooLate: if the LSN has been assigned meanwhile nothing happens, and everything
// continues.
func TestReplaceTooLate(t *testing.T) {
	s := NewStore()
	call := &Call{MayBlock: true}
	create(t, s, call, "d", KindDict, 10, "old")
	create(t, s, call, "l", KindList, 10, "old")
	before := textOf(s)
	tables, at := restoredTables(t, s, call, []string{"d"}, 10, "new")
	s.Reserve(call, at-s.Clock())
	if err := s.Replace(call, tables, at); !errors.Is(err, ErrClock) {
		t.Fatal(err)
	}
	for _, r := range tables {
		r.Discard()
	}
	if got := textOf(s); got != before {
		t.Fatalf("the tables are\n%s\ninstead of\n%s", got, before)
	}
	table, _ := s.Lookup(&Call{}, []byte("d"))
	if err := table.Dict().Set(&Call{}, msgp.AppendInt(nil, 1), msgp.AppendInt(nil, 2)); err != nil {
		t.Error(err)
	}
}

// TestPanicInReplace: a panic before the tables are exchanged leaves the old ones, and a later one
// the new ones. The tables remain usable and can be replaced again.
func TestPanicInReplace(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("after the exchange ", after), func(t *testing.T) {
			s := NewStore()
			call := &Call{MayBlock: true}
			names := []string{"d", "l", "other"}
			for i, name := range names {
				create(t, s, call, name, []Kind{KindDict, KindList}[i%2], 10, "old")
			}
			view := s.View()
			defer view.Close()
			tables, at := restoredTables(t, s, call, names, 10, "new")
			if after {
				view.cut.parts = nil // the view cannot be given anything
			} else {
				call.Log = panickingLog{}
			}
			if poisoned := panics(t, call, func() { _ = s.Replace(call, tables, at) }); poisoned != nil {
				t.Error("poisons", poisoned.Name())
			}
			view.Close()
			inTime(t, "going on", func() {
				has := func(value string) bool { return strings.Contains(textOf(s), fmt.Sprintf("%x", value)) }
				if has("new") != after || has("old") == after {
					t.Error(textOf(s))
				}
				for _, mayBlock := range []bool{false, true} {
					c := &Call{MayBlock: mayBlock}
					d, _ := s.Lookup(c, []byte("d"))
					l, _ := s.Lookup(c, []byte("l"))
					err := errors.Join(
						d.Dict().Set(c, msgp.AppendInt(nil, 1), msgp.AppendInt(nil, 2)),
						l.List().Append(c, msgp.AppendInt(nil, 1)),
						s.Rename(c, "other", "another"),
						s.Rename(c, "another", "other"),
					)
					if err != nil {
						t.Error(err)
					}
				}
				tables, at := restoredTables(t, s, call, names, 10, "newer")
				if err := s.Replace(call, tables, at); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestReplaceWaits: a long write under way is waited for, and the other tables are not held up by
// that; calls on the old tables that come in between wait, and are repeated on the new ones
// afterwards.
func TestReplaceWaits(t *testing.T) {
	s := NewStore()
	create(t, s, &Call{}, "d", KindDict, 10, "old")
	create(t, s, &Call{}, "l", KindList, 10, "old")
	list, _ := s.Lookup(&Call{}, []byte("l"))
	long := list.lock.acquire()
	tables, at := restoredTables(t, s, &Call{}, []string{"d", "l"}, 10, "new")
	done := make(chan error, 1)
	go func() { done <- s.Replace(&Call{MayBlock: true}, tables, at+1<<30) }()

	dict, _ := s.Lookup(&Call{}, []byte("d"))
	key, val := msgp.AppendInt(nil, 1), msgp.AppendString(nil, "changed")
	// the replacement holds the lock of d only briefly at a time while it waits
	for begin := time.Now(); ; {
		err := dict.Dict().Set(&Call{}, key, val)
		if waited := time.Since(begin); err == nil && waited > 50*time.Millisecond {
			break
		} else if err != nil && !errors.Is(err, ErrBusy) || waited > 10*time.Second {
			t.Fatal(err)
		}
	}
	unlocked := make(chan struct{})
	if err := list.List().
		Append(&Call{}, val); !errors.Is(err, ErrBusy) ||
		!list.WhenUnlocked(func() { close(unlocked) }) {
		t.Fatal(err)
	}
	list.lock.release(long)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	<-unlocked
	// Calls that have found the old tables look again.
	for _, mayBlock := range []bool{false, true} {
		call := &Call{MayBlock: mayBlock}
		if err := dict.Dict().Set(call, key, val); !errors.Is(err, ErrBusy) || dict.WhenUnlocked(func() {}) {
			t.Error(err)
		}
		if err := list.List().Append(call, val); !errors.Is(err, ErrBusy) || list.WhenUnlocked(func() {}) {
			t.Error(err)
		}
		if _, err := list.List().View(call); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if _, _, err := dict.Dict().AppendAll(call, nil, Keys); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		if _, err := dict.Dict().view(call); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	}
	if dict.Len() != 10 || list.Len() != 10 {
		t.Errorf("a call that found the old tables reads the lengths %d and %d", dict.Len(), list.Len())
	}
}

// TestReplacePoisoned: poisoned tables are replaced too, and are no longer counted.
func TestReplacePoisoned(t *testing.T) {
	s := NewStore()
	names := []string{"d", "l"}
	create(t, s, &Call{}, "d", KindDict, 10, "old")
	create(t, s, &Call{}, "l", KindList, 10, "old")
	for _, name := range names {
		table, _ := s.Lookup(&Call{}, []byte(name))
		table.poison()
	}
	tables, at := restoredTables(t, s, &Call{}, names, 10, "new")
	inTime(t, "Replace", func() {
		if err := s.Replace(&Call{MayBlock: true}, tables, at); err != nil {
			t.Error(err)
		}
	})
	if n := s.Stats().Poisoned; n != 0 {
		t.Errorf("%d tables are poisoned", n)
	}
	dict, _ := s.Lookup(&Call{}, []byte("d"))
	list, _ := s.Lookup(&Call{}, []byte("l"))
	val := msgp.AppendString(nil, "changed")
	if err := errors.Join(
		dict.Dict().Set(&Call{}, msgp.AppendInt(nil, 1), val),
		list.List().Append(&Call{}, val),
	); err != nil {
		t.Error(err)
	}
}

// TestReplaceOneMoment: while clients write and read, the tables are replaced again and again. Each
// write is in the tables to which its LSN belongs, and after a new table no old one is visible.
func TestReplaceOneMoment(t *testing.T) {
	pick := seeded(t)
	s := NewStore()
	names := []string{"a", "b", "c", "d"} // dicts and lists by turns
	tables, at := restoredTables(t, s, &Call{}, names, 0, "")
	if err := s.Adopt(&Call{}, tables, at, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	written := make(map[string]uint64) // table and value: the write's LSN
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range 3 {
		order := pick.Perm(len(names))
		all.Go(func() {
			mine := writeUntil(t, s, &stop, fmt.Sprint("of ", i), names, order)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(written, mine)
		})
	}
	all.Go(func() { readUntil(t, s, &stop, names) })

	const rounds = 40
	var shown []moment
	for range rounds {
		tables, at := restoredTables(t, s, &Call{}, names, 0, "")
		time.Sleep(time.Duration(pick.IntN(3)) * time.Millisecond)
		view := s.View()
		if err := s.Replace(&Call{MayBlock: true}, tables, at+1<<30); err != nil {
			t.Error(err)
			break
		}
		shown = append(shown, momentOf(t, view))
		view.Close()
	}
	stop.Store(true)
	all.Wait()
	for _, m := range shown {
		m.check(t, written)
	}
	t.Logf("%d writes, %d replacements", len(written), rounds)
}

// writeUntil writes values of its own to the tables, and returns the LSN of each write.
func writeUntil(t *testing.T, s *Store, stop *atomic.Bool, who string, names []string, order []int) map[string]uint64 {
	call, mine := &Call{}, make(map[string]uint64)
	for n := 0; !stop.Load(); n++ {
		name := names[order[n%len(names)]]
		val := msgp.AppendString(nil, fmt.Sprint(n, who))
		err := untilFree(s, call, name, func(table *Table) error {
			if table.dict != nil {
				return table.dict.Set(call, val, val)
			}
			return table.list.Append(call, val)
		})
		if err != nil {
			t.Error(err)
			return mine
		}
		mine[name+string(val)] = call.Version
	}
	return mine
}

// readUntil reads the tables in turn: none is older than one that was read before.
func readUntil(t *testing.T, s *Store, stop *atomic.Bool, names []string) {
	call, newest := &Call{}, uint64(0)
	for n := 0; !stop.Load(); n++ {
		var named uint64
		err := untilFree(s, call, names[n%len(names)], func(table *Table) (err error) {
			named = table.namedLSN
			if table.dict != nil {
				_, err = table.dict.Contains(call, msgp.AppendNil(nil))
			} else {
				_, err = table.list.Get(call, nil, 0)
			}
			if errors.Is(err, ErrBusy) {
				return err
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if named < newest {
			t.Errorf("a table of %d was read after one of %d", named, newest)
		}
		newest = max(newest, named)
	}
}

// moment is what a view of the store has shown: tables of one replacement, and what was written to
// them.
type moment struct {
	from, to uint64
	found    map[string]bool
}

func momentOf(t *testing.T, view *View) moment {
	t.Helper()
	m := moment{to: view.LSN(), found: make(map[string]bool)}
	for name, table := range view.Tables() {
		if m.from == 0 {
			m.from = table.table.namedLSN
		}
		if table.table.namedLSN != m.from {
			t.Errorf("a view shows tables of %d and %d", m.from, table.table.namedLSN)
		}
		if table.List() != nil {
			for val := range table.List().Values() {
				m.found[name+string(val)] = true
			}
			continue
		}
		for _, val := range table.Dict().Entries() {
			m.found[name+string(val)] = true
		}
	}
	return m
}

// check compares what was shown with the writes of that time.
func (m *moment) check(t *testing.T, written map[string]uint64) {
	t.Helper()
	n := 0
	for val, lsn := range written {
		if m.from < lsn && lsn <= m.to {
			if n++; !m.found[val] {
				t.Fatalf("the write with the number %d is not in the tables of %d to %d", lsn, m.from, m.to)
			}
		}
	}
	if n != len(m.found) {
		t.Fatalf("the tables of %d to %d hold %d writes, and %d were made", m.from, m.to, len(m.found), n)
	}
}

// untilFree repeats a call on the table with a name until the table is not locked.
func untilFree(s *Store, call *Call, name string, f func(t *Table) error) error {
	for {
		table, ok := s.Lookup(call, []byte(name))
		if !ok {
			return fmt.Errorf("%w: %q", ErrNoTable, name)
		}
		err := f(table)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		free := make(chan struct{})
		if table.WhenUnlocked(func() { close(free) }) {
			<-free
		}
	}
}

// TestAdoptBlocksOnlyCreations: while the adopted tables are made durable, creations wait (inline
// ones return ErrLong), and nothing else does.
func TestAdoptBlocksOnlyCreations(t *testing.T) {
	s := NewStore()
	tables, at := restoredTables(t, s, &Call{}, []string{"a"}, 0, "")
	keeping, kept := make(chan struct{}), make(chan struct{})
	adopted := make(chan error)
	go func() {
		adopted <- s.Adopt(&Call{}, tables, at, func() error {
			close(keeping)
			<-kept
			return nil
		})
	}()
	<-keeping
	if _, err := s.Create(&Call{}, "b", KindList, nil, 0); !errors.Is(err, ErrLong) {
		t.Errorf("a creation inline: %v", err)
	}
	created := make(chan error)
	for _, name := range []string{"a", "b"} {
		go func() {
			_, err := s.Create(&Call{MayBlock: true}, name, KindList, nil, 0)
			created <- err
		}()
	}
	if n := s.Stats().Tables; n != 0 {
		t.Errorf("%d tables", n)
	}
	if err := s.Drop(&Call{}, "a"); !errors.Is(err, ErrNoTable) {
		t.Error(err)
	}
	s.View().Close()
	close(kept)
	if err := <-adopted; err != nil {
		t.Fatal(err)
	}
	if one, other := <-created, <-created; errors.Is(one, ErrTableExists) == errors.Is(other, ErrTableExists) ||
		one != nil && other != nil {
		t.Errorf("the creations afterwards: %v, %v", one, other)
	}
	if n := s.Len(); n != 2 {
		t.Errorf("%d tables", n)
	}
	tables, at = restoredTables(t, s, &Call{}, []string{"c"}, 0, "")
	if err := s.Adopt(&Call{}, tables, at, func() error { t.Error("kept"); return nil }); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
	if _, err := s.Create(&Call{}, "d", KindList, nil, 0); err != nil {
		t.Error(err)
	}
}
