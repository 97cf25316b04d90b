package shardmap

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// panickingLog panics in the middle of every change: the LSNs are assigned, and nothing is changed
// yet.
type panickingLog struct{}

func (panickingLog) Append(uint64, uint64, int64, []byte) { panic("defect") }

// change is a call that lsns numbers.
type change struct {
	name string
	on   string // the table
	make func(s *Store, c *Call) error
}

// everyChange returns calls of every kind on the dict "d", which holds even numbers, and on the
// list "l".
func everyChange() []change {
	one, two, three := []byte{1}, []byte{2}, []byte{3}
	dict := func(f func(d *Dict, c *Call) error) func(*Store, *Call) error {
		return func(s *Store, c *Call) error {
			t, _ := s.Lookup(c, []byte("d"))
			return f(t.Dict(), c)
		}
	}
	list := func(f func(l *List, c *Call) error) func(*Store, *Call) error {
		return func(s *Store, c *Call) error {
			t, _ := s.Lookup(c, []byte("l"))
			return f(t.List(), c)
		}
	}
	long := func(c *Call, n int) int {
		if c.MayBlock {
			return n
		}
		return 1
	}
	return []change{
		{"Set", "d", dict(func(d *Dict, c *Call) error { return d.Set(c, two, one) })},
		{"Set a large value", "d", dict(func(d *Dict, c *Call) error { return d.Set(c, two, bytesValue(17000)) })},
		{"SetDefault", "d", dict(func(d *Dict, c *Call) error {
			_, _, err := d.SetDefault(c, nil, msgp.AppendInt(nil, 1000), one)
			return err
		})},
		{"Update", "d", dict(func(d *Dict, c *Call) error {
			n := long(c, InlineElements+1)
			return d.Update(c, packedInts(2*n), n)
		})},
		{"Pop", "d", dict(func(d *Dict, c *Call) error { _, err := d.Pop(c, nil, two); return err })},
		{"PopItem", "d", dict(func(d *Dict, c *Call) error { _, err := d.PopItem(c, nil); return err })},
		{"Dict.Delete", "d", dict(func(d *Dict, c *Call) error { return d.Delete(c, two) })},
		{"DeleteMany", "d", dict(func(d *Dict, c *Call) error {
			n := long(c, InlineElements+1)
			_, err := d.DeleteMany(c, nil, packedInts(n), n)
			return err
		})},
		{"Dict.Clear", "d", dict(func(d *Dict, c *Call) error { return d.Clear(c) })},
		{"Increment", "d", dict(func(d *Dict, c *Call) error { _, err := d.Increment(c, nil, two, one); return err })},
		{
			"CompareAndSet",
			"d",
			dict(func(d *Dict, c *Call) error { _, err := d.CompareAndSet(c, two, three, one); return err }),
		},
		{"Append", "l", list(func(l *List, c *Call) error { return l.Append(c, one) })},
		{
			"Extend",
			"l",
			list(func(l *List, c *Call) error { n := long(c, InlineElements+1); return l.Extend(c, packedInts(n), n) }),
		},
		{"Insert", "l", list(func(l *List, c *Call) error { return l.Insert(c, 1, one) })},
		{"List.Set", "l", list(func(l *List, c *Call) error { return l.Set(c, 1, one) })},
		{"List.Delete", "l", list(func(l *List, c *Call) error { return l.Delete(c, 1) })},
		{"List.Pop", "l", list(func(l *List, c *Call) error { _, err := l.Pop(c, nil, 1); return err })},
		{"Remove", "l", list(func(l *List, c *Call) error { return l.Remove(c, one) })},
		{"Reverse", "l", list(func(l *List, c *Call) error { return l.Reverse(c) })},
		{"Sort", "l", list(func(l *List, c *Call) error { return l.Sort(c, nil, true) })},
		{"SetSlice", "l", list(func(l *List, c *Call) error { return l.SetSlice(c, nil, nil, nil, packedInts(3), 3) })},
		{"DelSlice", "l", list(func(l *List, c *Call) error { return l.DelSlice(c, nil, nil, nil) })},
		{"List.Clear", "l", list(func(l *List, c *Call) error { return l.Clear(c) })},
		{
			"Create a dict",
			"new",
			func(s *Store, c *Call) error { _, err := s.Create(c, "new", KindDict, packedInts(4), 2); return err },
		},
		{
			"Create a list",
			"new",
			func(s *Store, c *Call) error { _, err := s.Create(c, "new", KindList, packedInts(4), 4); return err },
		},
		{"Drop", "d", func(s *Store, c *Call) error { return s.Drop(c, "d") }},
		{"Rename", "l", func(s *Store, c *Call) error { return s.Rename(c, "l", "new") }},
	}
}

func packedInts(n int) (packed []byte) {
	for i := range n {
		packed = msgp.AppendInt(packed, i)
	}
	return packed
}

// twoTables returns a store with the tables that everyChange is for.
func twoTables(t *testing.T) *Store {
	t.Helper()
	s := NewStore()
	s.minSplit = 8
	for name, kind := range map[string]Kind{"d": KindDict, "l": KindList} {
		if _, err := s.Create(&Call{MayBlock: true}, name, kind, packedInts(200), 200/int(3-kind)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// panics calls f, which is to panic, and abandons the call.
func panics(t *testing.T, c *Call, f func()) (poisoned *Table) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Fatal("no panic")
		}
		c.Log = nil
		poisoned = c.Release()
	}()
	f()
	return nil
}

// inTime fails the test if f does not return: it waits for a lock that is never released.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: hangs", what)
	}
}

// TestPanicInChange: a panic in the middle of a change leaves nothing locked, whatever the change.
// Its table returns ErrPoisoned from then on, until it is dropped; the other table is not affected.
func TestPanicInChange(t *testing.T) {
	for _, mayBlock := range []bool{false, true} {
		for _, first := range everyChange() {
			t.Run(fmt.Sprintf("%s, mayBlock %v", first.name, mayBlock), func(t *testing.T) {
				s := twoTables(t)
				c := &Call{MayBlock: mayBlock, Log: panickingLog{}}
				poisoned := panics(t, c, func() { _ = first.make(s, c) })
				if poisoned == nil {
					t.Fatal("no table is poisoned")
				}
				for _, next := range everyChange() {
					for _, mode := range []bool{false, true} {
						_, there := s.Lookup(&Call{}, []byte(next.on))
						_, taken := s.Lookup(&Call{}, []byte("new"))
						if next.name == "Drop" || taken && (next.on == "new" || next.name == "Rename") ||
							!there && next.on != "new" {
							continue
						}
						inTime(t, next.name, func() {
							err := next.make(s, &Call{MayBlock: mode})
							if onIt := next.on == first.on && there; onIt != errors.Is(err, ErrPoisoned) {
								t.Errorf("then %s, mayBlock %v: %v", next.name, mode, err)
							}
						})
					}
				}
				closed := []string{first.on} // names that the change may have given away
				if first.name == "Rename" {
					closed = append(closed, "new")
				}
				inTime(t, "reading", func() { readPoisoned(t, s, poisoned, closed) })
				inTime(t, "dropping", func() {
					if n := s.Stats().Poisoned; n != len(closed) {
						t.Errorf("%d tables are poisoned", n)
					}
					for _, name := range closed {
						if _, err := s.Create(&Call{}, name, KindDict, nil, 0); !errors.Is(err, ErrTableExists) {
							t.Errorf("%s is created: %v", name, err)
						}
						if err := s.Drop(&Call{}, name); err != nil {
							t.Error(err)
						}
						if _, err := s.Create(&Call{}, name, KindDict, nil, 0); err != nil {
							t.Error(err)
						}
					}
					if n := s.Stats().Poisoned; n != 0 {
						t.Errorf("%d tables are poisoned after the drop", n)
					}
				})
			})
		}
	}
}

// readPoisoned looks that no read gives what a poisoned table holds, and that views say which names
// are closed.
func readPoisoned(t *testing.T, s *Store, poisoned *Table, closed []string) {
	for _, mayBlock := range []bool{false, true} {
		c := &Call{MayBlock: mayBlock}
		if found, _ := s.Lookup(c, []byte(poisoned.Name())); found != poisoned {
			t.Errorf("%s is not there", poisoned.Name())
		}
		var errs []error
		if d := poisoned.Dict(); d != nil {
			_, err1 := d.Get(c, nil, []byte{1})
			_, _, err2 := d.AppendAll(c, nil, Items)
			_, _, _, err3 := d.Scan(c, nil, 0, 1)
			_, err4 := d.View(c)
			_, err5 := d.GetMany(c, nil, []byte{1}, 1)
			errs = []error{err1, err2, err3, err4, err5}
		} else {
			l := poisoned.List()
			_, err1 := l.Get(c, nil, 0)
			_, _, err2 := l.AppendAll(c, nil)
			_, err3 := l.View(c)
			_, err4 := l.Count(c, []byte{1})
			_, err5 := l.Contains(c, []byte{1})
			errs = []error{err1, err2, err3, err4, err5}
		}
		for i, err := range errs {
			if !errors.Is(err, ErrPoisoned) {
				t.Errorf("read %d, mayBlock %v: %v", i+1, mayBlock, err)
			}
		}
	}
	v := s.View()
	defer v.Close()
	for name, table := range v.Tables() {
		if table.Dict() != nil {
			for range table.Dict().Drain() { //nolint:revive // as a save does
			}
		} else {
			table.List().Len()
		}
		if err := table.Err(); errors.Is(err, ErrPoisoned) != slices.Contains(closed, name) {
			t.Errorf("a view of %s: %v", name, err)
		}
	}
}

// TestPanicInRead: a panic in a call that has changed nothing leaves no lock, and the table as it
// was.
func TestPanicInRead(t *testing.T) {
	noEncoding := []byte{0xda}
	s := twoTables(t)
	c := &Call{}
	found, _ := s.Lookup(c, []byte("d"))
	d := found.Dict()
	found, _ = s.Lookup(c, []byte("l"))
	l := found.List()
	if err := errors.Join(d.Set(c, []byte{1}, noEncoding), l.Set(c, 0, noEncoding)); err != nil {
		t.Fatal(err)
	}
	str := msgp.AppendString(nil, "x")
	for name, read := range map[string]func(){
		"Increment":     func() { _, _ = d.Increment(c, nil, []byte{1}, str) },
		"CompareAndSet": func() { _, _ = d.CompareAndSet(c, []byte{1}, str, str) },
		"Contains":      func() { _, _ = l.Contains(c, str) },
		"Count":         func() { _, _ = l.Count(c, str) },
		"Remove":        func() { _ = l.Remove(c, str) },
		"Sort":          func() { _ = l.Sort(c, nil, false) },
	} {
		for _, mayBlock := range []bool{false, true} {
			c.MayBlock = mayBlock
			if poisoned := panics(t, c, read); poisoned != nil {
				t.Errorf("%s, mayBlock %v: poisons", name, mayBlock)
			}
			inTime(t, name, func() {
				if err := errors.Join(
					d.Set(&Call{}, []byte{2}, str),
					l.Append(&Call{}, str),
					l.Reverse(&Call{MayBlock: true}),
					l.Reverse(&Call{MayBlock: true}),
				); err != nil {
					t.Errorf("after %s, mayBlock %v: %v", name, mayBlock, err)
				}
			})
		}
	}
}

// TestPanicInSplit: the halves of a shard whose split panics are not left locked.
func TestPanicInSplit(t *testing.T) {
	s := twoTables(t)
	c := &Call{}
	found, _ := s.Lookup(c, []byte("d"))
	d := found.Dict()
	d.dir.Load().each(func(s *shard) { s.entry(0).loc = 1 << 31 })
	poisoned := panics(t, c, func() {
		for i := range 1000 {
			_ = d.Set(c, msgp.AppendInt(nil, 1000+i), []byte{1})
		}
	})
	if poisoned != found || len(c.lockedShards) > 0 {
		t.Fatal(poisoned, len(c.lockedShards))
	}
	inTime(t, "after a split", func() {
		for i := range 100 {
			if _, err := d.Get(&Call{MayBlock: true}, nil, msgp.AppendInt(nil, i)); !errors.Is(err, ErrPoisoned) {
				t.Error(err)
			}
		}
		if err := s.Drop(&Call{}, "d"); err != nil {
			t.Error(err)
		}
	})
}

// changesPanic panics in the middle of every change, but not in the cut of a view.
type changesPanic struct{}

func (changesPanic) Append(_, _ uint64, _ int64, request []byte) {
	if request != nil {
		panic("defect")
	}
}

// TestPanicInPop: a panic while a large value is taken out leaves no view open.
func TestPanicInPop(t *testing.T) {
	key := msgp.AppendInt(nil, 1000)
	for name, pop := range map[string]func(d *Dict, c *Call) error{
		"Pop":     func(d *Dict, c *Call) error { _, err := d.Pop(c, nil, key); return err },
		"PopItem": func(d *Dict, c *Call) error { _, err := d.PopItem(c, nil); return err },
	} {
		s := twoTables(t)
		c := &Call{MayBlock: true, Request: []byte("pop")}
		found, _ := s.Lookup(c, []byte("d"))
		if err := found.Dict().Set(c, key, bytesValue(InlineBytes+1)); err != nil {
			t.Fatal(err)
		}
		c.Log = changesPanic{}
		if poisoned := panics(t, c, func() { _ = pop(found.Dict(), c) }); poisoned != found {
			t.Errorf("%s: poisons %v", name, poisoned != nil)
		}
		if n := s.Stats().Views; n != 0 {
			t.Errorf("%s: %d views are open", name, n)
		}
	}
}

// TestPanicInHandover: a table whose drop panics before the dict is given up can be dropped again.
func TestPanicInHandover(t *testing.T) {
	s := twoTables(t)
	v := s.View()
	defer v.Close()
	v.cut.parts = nil // the view cannot be given anything
	c := &Call{}
	poisoned := panics(t, c, func() { _ = s.Drop(c, "d") })
	if found, _ := s.Lookup(c, []byte("d")); found == nil || found != poisoned {
		t.Fatalf("found: %v, poisoned: %v", found != nil, poisoned != nil)
	}
	if err := s.Drop(c, "d"); err != nil {
		t.Fatal(err)
	}
	if stats := s.Stats(); stats.Tables != 1 || stats.Poisoned != 0 {
		t.Errorf("%+v", stats)
	}
}

// TestPanicInFreeing: a drop that panics while memory is given back has dropped the table.
func TestPanicInFreeing(t *testing.T) {
	s := twoTables(t)
	c := &Call{}
	found, _ := s.Lookup(c, []byte("d"))
	found.Dict().dir.Load().each(func(s *shard) { s.createdLSNs = nil })
	if poisoned := panics(t, c, func() { _ = s.Drop(c, "d") }); poisoned != nil {
		t.Error("poisons", poisoned.Name())
	}
	if found, _ := s.Lookup(c, []byte("d")); found != nil {
		t.Error("the table is found")
	}
	if stats := s.Stats(); stats.Tables != 1 || stats.Poisoned != 0 {
		t.Errorf("%+v", stats)
	}
}
