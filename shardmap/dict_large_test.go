package shardmap

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// TestBigValues: values above InlineBytes go in and out complete, by every method, and never by an
// inline call.
func TestBigValues(t *testing.T) {
	store := NewStore()
	table, err := store.Create(&Call{}, "t", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := table.Dict()
	inline, background := &Call{}, &Call{MayBlock: true}
	one, oneFloat, other := msgp.AppendInt(nil, 1), msgp.AppendFloat64(nil, 1), msgp.AppendString(nil, "k")
	big := func(b byte, n int) []byte { return msgp.AppendBytes(nil, bytes.Repeat([]byte{b}, n)) }
	expect := func(what string, got []byte, err error, want []byte) {
		t.Helper()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: %d bytes, want %d, %v", what, len(got), len(want), err)
		}
	}
	long := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrLong) {
			t.Fatalf("%s: %v, want ErrLong", what, err)
		}
	}
	for round, val := range [][]byte{big('a', 2<<20), big('b', 2<<20), big('c', 5<<20), big('d', 3<<20), big('e', 20000), big('f', 2<<20)} {
		key := one
		if round%2 == 1 {
			key = oneFloat // equal: the key first written stays
		}
		if err := d.Set(background, key, val); err != nil {
			t.Fatal(err)
		}
		got, err := d.Get(background, nil, one)
		expect("get", got, err, val)
		keys, _, err := d.AppendAll(background, nil, Keys)
		expect("keys", keys, err, one)
	}
	want := big('f', 2<<20)
	_, err = d.Get(inline, nil, one)
	long("get", err)
	_, _, err = d.SetDefault(inline, nil, one, other)
	long("setdefault", err)
	_, err = d.Pop(inline, nil, one)
	long("pop", err)
	_, err = d.PopItem(inline, nil)
	long("popitem", err)
	_, err = d.GetMany(inline, nil, one, 1)
	long("get many", err)
	_, _, _, err = d.Scan(inline, nil, 0, 10)
	long("scan", err)
	_, _, err = d.AppendAll(inline, nil, Values)
	long("values", err)
	long("update", d.Update(inline, append(bytes.Clone(other), want...), 1))

	got, _, err := d.SetDefault(background, nil, one, other)
	expect("setdefault", got, err, want)
	got, err = d.GetMany(background, nil, one, 1)
	expect("get many", got, err, want)
	got, _, _, err = d.Scan(background, nil, 0, 10)
	expect("scan", got, err, append(bytes.Clone(one), want...))
	if err := d.Update(
		background,
		append(append(bytes.Clone(other), want...), append(bytes.Clone(one), other...)...),
		2,
	); err != nil {
		t.Fatal(err)
	}
	got, err = d.Pop(background, nil, other)
	expect("pop", got, err, want)

	// Views keep what they show while big values are changed.
	if err := d.Set(background, one, want); err != nil {
		t.Fatal(err)
	}
	view, err := d.View(&Call{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set(background, one, big('g', 2<<20)); err != nil {
		t.Fatal(err)
	}
	for _, val := range view.Entries() {
		expect("view", val, nil, want)
	}
	view.Close()
	if stats := store.Stats(); stats.RetiredBytes != 0 || stats.Views != 0 {
		t.Fatalf("%d bytes and %d views are kept", stats.RetiredBytes, stats.Views)
	}

	values := bytes.Repeat(append(bytes.Clone(other), big('v', 3<<20)...), 1)
	for i := range 30 {
		if err := d.Set(background, msgp.AppendInt(nil, 100+i), values[len(other):]); err != nil {
			t.Fatal(err)
		}
	}
	var keys []byte
	for i := range 30 {
		keys = msgp.AppendInt(keys, 100+i)
	}
	if _, err := d.GetMany(background, nil, keys, 30); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("90 MB in one answer: %v", err)
	}
}

// TestBigElements is the same for lists.
func TestBigElements(t *testing.T) {
	store := NewStore()
	table, err := store.Create(&Call{}, "t", KindList, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := table.List()
	inline, background := &Call{}, &Call{MayBlock: true}
	val := msgp.AppendBytes(nil, bytes.Repeat([]byte{7}, 2<<20))
	given := bytes.Clone(val)
	if err := errors.Join(
		l.Append(background, given),
		l.Insert(background, 0, given),
		l.Set(background, 0, given),
		l.Extend(background, given, 1),
	); err != nil {
		t.Fatal(err)
	}
	clear(given) // the list has its own
	if _, err := l.Get(inline, nil, 0); !errors.Is(err, ErrLong) {
		t.Fatalf("get: %v", err)
	}
	if _, err := l.Pop(inline, nil, 0); !errors.Is(err, ErrLong) {
		t.Fatalf("pop: %v", err)
	}
	for i := range int64(3) {
		if got, err := l.Get(background, nil, i); err != nil || !bytes.Equal(got, val) {
			t.Fatalf("element %d: %d bytes, %v", i, len(got), err)
		}
	}
	for range 3 {
		if got, err := l.Pop(background, nil, 0); err != nil || !bytes.Equal(got, val) {
			t.Fatalf("pop: %d bytes, %v", len(got), err)
		}
	}
}
