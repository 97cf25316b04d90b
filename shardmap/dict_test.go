package shardmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

func str(text string) []byte { return msgp.AppendString(nil, text) }

func newTestDict(t testing.TB) (*Store, *Dict) {
	s := NewStore()
	table, err := s.Create(&Call{}, "table", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, table.Dict()
}

func TestDictSession(t *testing.T) {
	_, d := newTestDict(t)
	var c Call
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	items := func(want string) {
		t.Helper()
		packed, n, err := d.AppendAll(&c, nil, Items)
		must(err)
		var texts []string
		for range n {
			for range 2 {
				text, _ := value.Repr(packed)
				texts = append(texts, text)
				packed = packed[value.Size(packed):]
			}
		}
		if got := strings.Join(texts, " "); got != want {
			t.Fatalf("items are %s, want %s", got, want)
		}
	}
	one, oneFloat, true_ := msgp.AppendInt(nil, 1), msgp.AppendFloat64(nil, 1), msgp.AppendBool(nil, true)
	must(d.Set(&c, oneFloat, str("a")))
	must(d.Set(&c, str("k"), str("b")))
	must(d.Set(&c, true_, str("longer than before")))
	must(d.Set(&c, one, str("c")))
	items(`1.0 'c' 'k' 'b'`)
	if _, err := d.Get(&c, nil, true_); err != nil || c.Version != 5 {
		t.Fatalf("get: version %d, error %v, want version 5", c.Version, err)
	}
	must(d.Delete(&c, one))
	must(d.Set(&c, one, str("d")))
	items(`'k' 'b' 1 'd'`)
	list := []byte{0x90}
	var unhashable *value.Error
	if err := d.Set(
		&c,
		list,
		one,
	); !errors.As(err, &unhashable) ||
		unhashable.Error() != "TypeError: unhashable type: 'list'" {
		t.Fatalf("set with a list as key: %v", err)
	}
	if err := d.Update(&c, slices.Concat(str("new"), one, list, one), 2); !errors.As(err, &unhashable) {
		t.Fatalf("update with a list as key: %v", err)
	}
	if _, err := d.DeleteMany(&c, nil, slices.Concat(one, list), 2); !errors.As(err, &unhashable) {
		t.Fatalf("delete many with a list as key: %v", err)
	}
	items(`'k' 'b' 1 'd'`)
}

func TestDictLimits(t *testing.T) {
	s, d := newTestDict(t)
	c := Call{MayBlock: true}
	var packed []byte
	n := InlineElements + 1
	for i := range n {
		packed = append(msgp.AppendInt(packed, i), 0)
	}
	inline := Call{}
	if err := d.Update(&inline, packed, n); !errors.Is(err, ErrLong) {
		t.Fatalf("long update: %v, want ErrLong", err)
	}
	if _, err := s.Create(&inline, "other", KindDict, packed, n); !errors.Is(err, ErrLong) {
		t.Fatalf("long create: %v, want ErrLong", err)
	}
	if _, err := d.DeleteMany(&inline, nil, packed, n); !errors.Is(err, ErrLong) {
		t.Fatalf("long delete many: %v, want ErrLong", err)
	}
	if s.Clock() != 1 {
		t.Fatalf("clock is %d after calls that did nothing, want 1", s.Clock())
	}
	if err := d.Update(&c, packed, n); err != nil {
		t.Fatal(err)
	}
	if d.Len() != n || c.Version != uint64(n)+1 {
		t.Fatalf("len %d version %d", d.Len(), c.Version)
	}
	if _, _, err := d.AppendAll(&inline, nil, Keys); !errors.Is(err, ErrLong) {
		t.Fatalf("long AppendAll: %v, want ErrLong", err)
	}
	all, got, err := d.AppendAll(&c, nil, Items)
	if err != nil || got != n || string(all) != string(packed) {
		t.Fatalf("AppendAll: %d bytes, %d entries, error %v", len(all), got, err)
	}
	keys, _, _ := d.AppendAll(&c, nil, Keys)
	if _, err := d.GetMany(&inline, nil, keys, n); !errors.Is(err, ErrLong) {
		t.Fatalf("long GetMany: %v, want ErrLong", err)
	}
	vals, err := d.GetMany(&c, nil, keys, n)
	if err != nil || string(vals) != strings.Repeat("\x00", n) {
		t.Fatalf("GetMany: %d bytes, error %v", len(vals), err)
	}
}

// TestTableLock checks that calls find a table locked by a long write, wait, and are woken; and
// what a view shows of a write in progress.
func TestTableLock(t *testing.T) {
	s, d := newTestDict(t)
	var c Call
	key := str("key")
	if err := d.Set(&c, key, key); err != nil {
		t.Fatal(err)
	}
	h, err := d.own(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(&c, nil, key); !errors.Is(err, ErrBusy) {
		t.Errorf("get: %v, want ErrBusy", err)
	}
	if _, err := d.PopItem(&c, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("popitem: %v, want ErrBusy", err)
	}
	if err := d.Update(&c, slices.Concat(key, key), 1); !errors.Is(err, ErrBusy) {
		t.Errorf("update: %v, want ErrBusy", err)
	}
	if err := s.Drop(&Call{}, "table"); !errors.Is(err, ErrBusy) {
		t.Errorf("drop: %v, want ErrBusy", err)
	}
	if _, err := d.View(&Call{}); !errors.Is(err, ErrBusy) {
		t.Errorf("view: %v, want ErrBusy", err)
	}
	woken, background, seen := 0, make(chan error), make(chan int)
	if !d.table.WhenUnlocked(func() { woken++ }) {
		t.Error("WhenUnlocked: false while the table is locked")
	}
	early, _ := d.view(&Call{})
	first, vs := h.assign(&c, d.table, 1)
	late, _ := d.view(&Call{})
	go func() {
		background <- d.Delete(&Call{MayBlock: true}, key)
	}()
	if early.Len() != 1 {
		t.Errorf("the view before the write has %d entries, want 1", early.Len())
	}
	go func() { seen <- late.Len() }()
	if err := d.readPairs(&c, slices.Concat(str("new"), key), 1); err != nil {
		t.Fatal(err)
	}
	w := d.table.write(first, vs)
	d.updateOwned(&c, &w, slices.Concat(str("new"), key))
	d.table.lock.release(h)
	if n := <-seen; n != 2 {
		t.Errorf("the view after the write has %d entries, want 2", n)
	}
	if err := <-background; err != nil {
		t.Errorf("delete background: %v", err)
	}
	if woken != 1 || d.table.WhenUnlocked(func() {}) {
		t.Errorf("woken %d times, want once", woken)
	}
	early.Close()
	late.Close()
}

func TestTables(t *testing.T) {
	s := NewStore()
	var c Call
	pair := slices.Concat(str("a"), str("b"))
	is := func(got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Fatalf("error %v, want %v", got, want)
		}
	}
	names := func(want string) {
		t.Helper()
		var all []string
		s.Tables(func(name string, kind Kind, n int) bool {
			all = append(all, fmt.Sprintf("%s:%s:%d", name, kind, n))
			return true
		})
		if got := strings.Join(all, " "); got != want {
			t.Fatalf("tables are %s, want %s", got, want)
		}
	}
	_, err := s.Create(&c, "one", KindDict, pair, 1)
	is(err, nil)
	two, err := s.Create(&c, "two", KindList, pair, 2)
	is(err, nil)
	if c.Version != 5 || s.Clock() != 5 {
		t.Fatalf("version %d clock %d, want 5: one number a table, one an element", c.Version, s.Clock())
	}
	_, err = s.Create(&c, "one", KindDict, nil, 0)
	is(err, ErrTableExists)
	_, err = s.Create(&c, "three", Kind(9), nil, 0)
	is(err, ErrKind)
	is(s.Rename(&Call{}, "none", "three"), ErrNoTable)
	is(s.Rename(&Call{}, "one", "two"), ErrTableExists)
	view := s.View()
	defer view.Close()
	is(s.Rename(&Call{}, "one", "three"), nil)
	names("three:dict:1 two:list:2")
	if _, ok := s.Lookup(&Call{}, []byte("one")); ok {
		t.Fatal("the old name still leads to a table")
	}
	three, _ := s.Lookup(&Call{}, []byte("three"))
	is(s.Drop(&Call{}, "three"), nil)
	is(s.Drop(&Call{}, "three"), ErrNoTable)
	is(three.Dict().Set(&c, str("a"), str("a")), ErrNoTable)
	_, err = three.Dict().View(&Call{})
	is(err, ErrNoTable)
	is(s.Drop(&Call{}, "two"), nil)
	is(two.List().Append(&c, str("a")), ErrNoTable)
	_, err = s.Create(&c, "one", KindList, nil, 0)
	is(err, nil)
	names("one:list:0")
	var seen []string
	for name, table := range view.Tables() {
		n := 0
		if table.Kind() == KindDict {
			n = table.Dict().Len()
		} else {
			n = table.List().Len()
		}
		seen = append(seen, fmt.Sprintf("%s:%s:%d", name, table.Kind(), n))
	}
	if got := strings.Join(seen, " "); got != "one:dict:1 two:list:2" {
		t.Fatalf("the view shows %s", got)
	}
}

// TestLookupAgain looks up a name again and again by one Call, which remembers the table, while the
// name comes to mean another table or none.
func TestLookupAgain(t *testing.T) {
	s := NewStore()
	var reader, writer Call
	name := []byte("name")
	leadsTo := func(want *Table) {
		t.Helper()
		for range 2 {
			if got, ok := s.Lookup(&reader, name); got != want || ok != (want != nil) {
				t.Fatalf("the name leads to %p, want %p", got, want)
			}
		}
	}
	create := func(name string) *Table {
		t.Helper()
		table, err := s.Create(&writer, name, KindDict, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	leadsTo(nil)
	first := create("name")
	leadsTo(first)
	if err := s.Drop(&writer, "name"); err != nil {
		t.Fatal(err)
	}
	leadsTo(nil)
	second := create("name")
	leadsTo(second)
	if err := s.Rename(&writer, "name", "other"); err != nil {
		t.Fatal(err)
	}
	leadsTo(nil)
	third := create("name")
	leadsTo(third)
	if err := s.Drop(&writer, "name"); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(&writer, "other", "name"); err != nil {
		t.Fatal(err)
	}
	leadsTo(second)
	if table, ok := NewStore().Lookup(&reader, name); ok {
		t.Fatalf("another store leads to %p", table)
	}
}

func TestDictCallsDoNotAllocate(t *testing.T) {
	s, d := newTestDict(t)
	var c Call
	var dst []byte
	key, val, packed := str("0123456789abcdef"), msgp.AppendBytes(nil, make([]byte, 32)), []byte(nil)
	for i := range 1000 {
		packed = append(append(packed, msgp.AppendInt(nil, i)...), val...)
	}
	if err := d.Update(&c, packed, 1000); err != nil {
		t.Fatal(err)
	}
	one, name := []byte{1}, []byte("table")
	keys := slices.Concat(key, one, key)
	cases := []struct {
		name string
		call func() error
	}{
		{"Set", func() error { return d.Set(&c, key, val) }},
		{"Get", func() (err error) { dst, err = d.Get(&c, dst[:0], key); return }},
		{"GetMany", func() (err error) { dst, err = d.GetMany(&c, dst[:0], keys, 3); return }},
		{"Contains", func() (err error) { _, err = d.Contains(&c, key); return }},
		{"Update", func() error { return d.Update(&c, packed, 1000) }},
		{"Set and DeleteMany", func() (err error) {
			if err = d.Set(&c, key, val); err == nil {
				dst, err = d.DeleteMany(&c, dst[:0], keys, 3)
			}
			return errors.Join(err, d.Set(&c, key, val))
		}},
		{"Scan", func() (err error) { dst, _, _, err = d.Scan(&c, dst[:0], 0, 100); return }},
		{"AppendAll", func() (err error) { dst, _, err = d.AppendAll(&c, dst[:0], Items); return }},
		{"Pop and SetDefault", func() (err error) {
			if dst, err = d.Pop(&c, dst[:0], key); err == nil {
				dst, _, err = d.SetDefault(&c, dst[:0], key, val)
			}
			return
		}},
		{"PopItem and Increment", func() (err error) {
			if dst, err = d.PopItem(&c, dst[:0]); err == nil {
				dst, err = d.Increment(&c, dst[:0], key, one)
			}
			return
		}},
		{"Get of an absent key", func() error {
			if _, err := d.Get(&c, nil, val); !errors.Is(err, ErrNoKey) {
				return errors.New("the key is there")
			}
			return nil
		}},
		{"Lookup", func() error {
			if _, ok := s.Lookup(&Call{}, name); !ok {
				return ErrNoTable
			}
			return nil
		}},
	}
	for _, c := range cases {
		var err error
		n := testing.AllocsPerRun(1000, func() {
			if callErr := c.call(); callErr != nil {
				err = callErr
			}
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if n >= 1 {
			t.Errorf("%s: %v allocations, want 0", c.name, n)
		}
	}
}
