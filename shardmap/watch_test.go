package shardmap

import (
	"sync"
	"sync/atomic"
	"testing"

	"cyberdb-fast/codec/value"
)

// TestWhenChanged: every change of a table, its end and its poisoning wake once, a read and a
// change of another table do not, and neither does a canceled registration.
func TestWhenChanged(t *testing.T) {
	t.Parallel()
	one, k := value.AppendInt(nil, 1), value.AppendStr(nil, "k")
	for name, change := range map[string]func(c *Call, s *Store, d, l *Table) (changed *Table){
		"set":    func(c *Call, _ *Store, d, _ *Table) *Table { _ = d.Dict().Set(c, k, one); return d },
		"delete": func(c *Call, _ *Store, d, _ *Table) *Table { _ = d.Dict().Delete(c, k); return d },
		"clear":  func(c *Call, _ *Store, d, _ *Table) *Table { _ = d.Dict().Clear(c); return d },
		"append": func(c *Call, _ *Store, _, l *Table) *Table { _ = l.List().Append(c, one); return l },
		"reverse": func(c *Call, _ *Store, _, l *Table) *Table {
			_ = l.List().Reverse(c)
			return l
		},
		"drop":      func(c *Call, s *Store, d, _ *Table) *Table { _ = s.Drop(c, "d"); return d },
		"drop list": func(c *Call, s *Store, _, l *Table) *Table { _ = s.Drop(c, "l"); return l },
		"rename":    func(c *Call, s *Store, d, _ *Table) *Table { _ = s.Rename(c, "d", "other"); return d },
		"poison":    func(_ *Call, _ *Store, d, _ *Table) *Table { d.poison(); return d },
		"read": func(c *Call, _ *Store, d, _ *Table) *Table {
			_, _ = d.Dict().Get(c, nil, k)
			return nil
		},
	} {
		c, s := &Call{MayBlock: true}, NewStore()
		d, err := s.Create(c, "d", KindDict, append(append([]byte(nil), k...), one...), 1)
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Create(c, "l", KindList, append(append([]byte(nil), one...), one...), 2)
		if err != nil {
			t.Fatal(err)
		}
		var woken [2]int
		var canceled int
		for range 3 {
			for i, table := range []*Table{d, l} {
				table.WhenChanged(func() { woken[i]++ })
				table.WhenChanged(func() { canceled++ })()
			}
		}
		changed := change(c, s, d, l)
		want := [2]int{}
		switch changed {
		case d:
			want[0] = 3
		case l:
			want[1] = 3
		}
		if woken != want || canceled > 0 {
			t.Errorf("%s: woken %v, want %v; %d canceled ones", name, woken, want, canceled)
		}
		if _, err := s.Create(c, "new", KindList, nil, 0); err != nil || woken != want {
			t.Errorf("%s: woken by another table, %v", name, err)
		}
	}
}

// TestNoLostWakeUp: a caller that looks at the table after WhenChanged, and waits, misses no
// change.
func TestNoLostWakeUp(t *testing.T) {
	t.Parallel()
	const waiters, elements = 8, 20_000
	s := NewStore()
	table, err := s.Create(&Call{}, "l", KindList, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	for range waiters {
		all.Go(func() {
			c := &Call{MayBlock: true}
			for {
				changed := make(chan struct{})
				cancel := table.WhenChanged(func() { close(changed) })
				if _, err := table.List().Pop(c, nil, 0); err == nil {
					cancel()
					if taken.Add(1) == elements {
						close(done)
					}
					continue
				}
				select {
				case <-changed:
				case <-done:
					cancel()
					return
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			c := &Call{MayBlock: true}
			for range elements / 2 {
				if err := table.List().Append(c, value.AppendInt(nil, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if table.watchers.any.Load() || table.watchers.ring != nil {
		t.Error("watchers are left")
	}
}
