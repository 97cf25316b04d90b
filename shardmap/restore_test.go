package shardmap

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// copied restores a copy of a store from a view of it, a batch of entries at a time, all tables at
// once.
func copied(t testing.TB, from *Store, batch int) *Store {
	t.Helper()
	view := from.View()
	defer view.Close()
	to := NewStore()
	to.SetClock(view.LSN())
	var all sync.WaitGroup
	for name, table := range view.Tables() {
		all.Go(func() {
			if err := copyTable(to, name, table, batch); err != nil {
				t.Errorf("table %q: %v", name, err)
			}
		})
	}
	all.Wait()
	return to
}

func copyTable(to *Store, name string, table *TableView, batch int) error {
	if table.Kind() == KindList {
		r, err := to.Restore(name, KindList, table.Created(), 0)
		if err != nil {
			return err
		}
		for elems := range slices.Chunk(slices.Collect(table.List().Values()), batch) {
			if err := r.Elements(bytes.Join(elems, nil), len(elems)); err != nil {
				return err
			}
		}
		return r.Done()
	}
	r, err := to.Restore(name, KindDict, table.Created(), table.Dict().Len())
	if err != nil {
		return err
	}
	for entries := range slices.Chunk(slices.Collect(table.Dict().EntriesVersioned()), batch) {
		if err := r.Entries(entries); err != nil {
			return err
		}
	}
	return r.Done()
}

// textOf returns all that a store holds.
func textOf(s *Store) string {
	view := s.View()
	defer view.Close()
	return textOfView(view)
}

// textOfView returns all that a view shows.
func textOfView(view *View) string {
	var b strings.Builder
	for name, table := range view.Tables() {
		fmt.Fprintf(&b, "%s %q created %d\n", table.Kind(), name, table.Created())
		if l := table.List(); l != nil {
			for elem := range l.Values() {
				fmt.Fprintf(&b, "  %x\n", elem)
			}
			continue
		}
		for e := range table.Dict().EntriesVersioned() {
			fmt.Fprintf(&b, "  %x: %x version %d place %d until %d\n", e.Key, e.Val, e.Version, e.Place, e.Deadline)
		}
	}
	return b.String()
}

// TestRestore restores dicts after random operations, in batches of all sizes, and continues with
// both.
func TestRestore(t *testing.T) {
	pick := seeded(t)
	for _, c := range []struct {
		keys, steps, batch, split int
		big                       bool
	}{{40, 300, 3, minSplit, true}, {300, 2000, 7, 8, false}, {3000, 6000, 1500, 100, false}} {
		s := newSession(t, pick, c.keys)
		s.store.minSplit = c.split
		s.big, s.call.MayBlock = c.big, c.big
		for range c.steps {
			s.step()
		}
		for i := range 3 {
			packed := bytes.Repeat([]byte{1, 0xa1, 'x'}, i*3000)
			_, err := s.store.Create(&Call{MayBlock: true}, fmt.Sprint("list ", i), KindList, packed, 2*i*3000)
			s.ok(err)
		}
		to := copied(t, s.store, c.batch) // with shards of the usual size
		if textOf(to) != textOf(s.store) {
			t.Fatal("the copy differs")
		}
		table, _ := to.Lookup(&Call{}, []byte("table"))
		for len(s.views) > 0 {
			s.closeView()
		}
		s.equal("clock", to.Clock(), s.store.Clock())
		s.store, s.dict = to, table.Dict()
		for range c.steps {
			s.step()
		}
		s.check()
	}
}

// TestRestoreMany restores a dict of many shards.
func TestRestoreMany(t *testing.T) {
	from := newBenchDict(t, 60_000).store
	if to := copied(t, from, 20_000); textOf(to) != textOf(from) {
		t.Fatal("the copy differs")
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := NewStore()
	s.SetClock(10)
	entry := func(key, val []byte, place, version uint64) []Entry {
		return []Entry{{Key: key, Val: val, Version: version, Place: place}}
	}
	one, two := msgp.AppendInt(nil, 1), msgp.AppendFloat64(nil, 2)
	if _, err := s.Restore("t", KindDict, 11, 0); err == nil {
		t.Error("a table from beyond the clock")
	}
	if _, err := s.Restore("t", 9, 1, 0); !errors.Is(err, ErrKind) {
		t.Errorf("kind 9: %v", err)
	}
	for name, entries := range map[string][]Entry{
		"place 0":              entry(one, one, 0, 1),
		"places go down":       slices.Concat(entry(one, one, 3, 3), entry(two, one, 2, 3)),
		"version below place":  entry(one, one, 3, 2),
		"version beyond clock": entry(one, one, 3, 11),
		"the same key":         slices.Concat(entry(one, one, 2, 2), entry(msgp.AppendFloat64(nil, 1), one, 3, 3)),
		"two values":           entry(one, []byte{1, 1}, 3, 3),
		"no value":             entry(one, nil, 3, 3),
		"torn key":             entry([]byte{0xd9, 5}, one, 3, 3),
		"deadline below 0":     {{Key: one, Val: one, Version: 3, Place: 3, Deadline: -2}},
		"deadline too late":    {{Key: one, Val: one, Version: 3, Place: 3, Deadline: MaxDeadline + 1}},
		"unhashable key":       entry([]byte{0x90}, one, 3, 3),
	} {
		r, err := s.Restore("t", KindDict, 1, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Entries(entries); err == nil {
			t.Errorf("%s: no error", name)
		}
		r.Discard()
	}
	r, err := s.Restore("t", KindList, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, packed := range []string{"", "\x01", "\x01\x01\x01", "\x01\xd9"} {
		if r.Elements([]byte(packed), 2) == nil {
			t.Errorf("%x is two elements", packed)
		}
	}
	if err := errors.Join(r.Elements([]byte{1, 1}, 2), r.Done()); err != nil {
		t.Error(err)
	}
	if err := r.Done(); !errors.Is(err, ErrTableExists) {
		t.Errorf("done twice: %v", err)
	}
	if stats := s.Stats(); stats.SlabBytes != stats.SlabFreeBytes || stats.Tables != 1 {
		t.Errorf("%+v after discarding", stats)
	}
}

// BenchmarkRestore restores a dict of 2 M entries in batches of a .cdb block.
func BenchmarkRestore(b *testing.B) {
	const n, batch = 2_000_000, 15_000
	from := newBenchDict(b, n)
	view, err := from.View(&Call{})
	if err != nil {
		b.Fatal(err)
	}
	defer view.Close()
	entries := slices.Collect(view.EntriesVersioned())
	for b.Loop() {
		s := NewStore()
		s.SetClock(view.LSN())
		start := time.Now()
		r, err := s.Restore("bench", KindDict, 1, n)
		for from := 0; from < n && err == nil; from += batch {
			err = r.Entries(entries[from:min(from+batch, n)])
		}
		if err = errors.Join(err, r.Done()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start))/n, "ns/entry")
		b.StopTimer()
		if err := s.Drop(&Call{}, "bench"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// TestRestoreOldZones restores values that an earlier version accepted, and that no client can
// store now.
func TestRestoreOldZones(t *testing.T) {
	zone := append([]byte{0xc7, 24, value.ExtDateTime, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}, "America"...)
	old := append(zone[:len(zone)-1:len(zone)-1], '/')
	if _, err := value.Check(old); err == nil {
		t.Fatal("this zone can be stored now too")
	}
	from := NewStore()
	for name, packed := range map[string][]byte{"dict": slices.Concat(old, old, zone, old), "list": slices.Concat(old, zone)} {
		kind := map[string]Kind{"dict": KindDict, "list": KindList}[name]
		if _, err := from.Create(&Call{MayBlock: true}, name, kind, packed, 2); err != nil {
			t.Fatal(err)
		}
	}
	if to := copied(t, from, 1); textOf(to) != textOf(from) {
		t.Error("the copy differs")
	}
}
