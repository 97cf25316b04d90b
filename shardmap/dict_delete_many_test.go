package shardmap

import (
	"bytes"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// deletions notes what a Log is given.
type deletions struct{ lsns, requests int }

func (l *deletions) Append(_, n uint64, _ int64, request []byte) {
	l.lsns += int(n)
	if request != nil {
		l.requests++
	}
}

// TestDeleteManyLarge: a long removal is one change with one LSN. A view from before it shows all
// entries, one from after it those that are left.
func TestDeleteManyLarge(t *testing.T) {
	const n, removed = 30_000, 5 * InlineElements
	s, d := newTestDict(t)
	log := &deletions{}
	c := Call{MayBlock: true}
	var packed, keys, want []byte
	for i := range n {
		packed = append(msgp.AppendInt(packed, i), 7)
	}
	if err := d.Update(&c, packed, n); err != nil {
		t.Fatal(err)
	}
	for i := range removed {
		keys, want = msgp.AppendInt(keys, i+100), msgp.AppendBool(want, true)
	}
	keys = msgp.AppendInt(msgp.AppendInt(keys, 100), -1) // once more, and one that is absent
	want = msgp.AppendBool(msgp.AppendBool(want, false), false)
	contents := func(v *DictView) (all []byte) {
		defer v.Close()
		for key, val := range v.Entries() {
			all = append(append(all, key...), val...)
		}
		return all
	}
	before, err := d.View(&Call{})
	if err != nil {
		t.Fatal(err)
	}
	clock := s.Clock()
	c.Log, c.Request = log, []byte("request")
	got, err := d.DeleteMany(&c, []byte("dst"), keys, removed+2)
	if err != nil || !bytes.Equal(got, slices.Concat([]byte("dst"), want)) {
		t.Fatalf("%v, %x", err, got)
	}
	if *log != (deletions{1, 1}) || s.Clock() != clock+1 || c.Version != clock+1 || d.Len() != n-removed {
		t.Fatalf("%+v logged, clock %d after %d, version %d, %d left", *log, s.Clock(), clock, c.Version, d.Len())
	}
	if !bytes.Equal(contents(before), packed) {
		t.Error("a view from before the removal does not show all entries")
	}
	after, err := d.View(&Call{})
	if err != nil {
		t.Fatal(err)
	}
	var left []byte
	for i := range n {
		if i < 100 || i >= removed+100 {
			left = append(msgp.AppendInt(left, i), 7)
		}
	}
	if !bytes.Equal(contents(after), left) {
		t.Error("a view from after the removal does not show what is left")
	}
	if _, err := d.DeleteMany(&c, nil, keys, removed+2); err != nil || s.Clock() != clock+1 || log.requests != 1 {
		t.Errorf("removing absent keys: %v, clock %d, %+v logged", err, s.Clock(), *log)
	}
}

// TestDeleteManyCompactsFew: an inline call does not compact all shards of a large dict, and those
// that are left are compacted later.
func TestDeleteManyCompactsFew(t *testing.T) {
	const n = 400_000
	_, d := newTestDict(t)
	c := Call{MayBlock: true}
	var packed []byte
	for i := range n {
		packed = append(msgp.AppendInt(packed, i), 7)
	}
	if err := d.Update(&c, packed, n); err != nil {
		t.Fatal(err)
	}
	dead := func() map[*shard]int {
		all := make(map[*shard]int)
		d.dir.Load().each(func(s *shard) { all[s] = s.count - s.live })
		return all
	}
	inline, most := Call{}, 0
	for i := range n * 9 / 10 / 1000 {
		var keys []byte
		for j := range 1000 {
			keys = msgp.AppendInt(keys, i*1000+j)
		}
		before := dead()
		if _, err := d.DeleteMany(&inline, nil, keys, 1000); err != nil {
			t.Fatal(err)
		}
		compacted := 0
		for s, dead := range dead() {
			if dead < before[s] {
				compacted += s.live
			}
		}
		most = max(most, compacted)
	}
	if most == 0 || most > maxCompacted+20_000 {
		t.Errorf("a call compacted %d entries", most)
	}
	for s, dead := range dead() {
		if dead > minDeadEntries && dead > s.live {
			t.Errorf("a shard has %d dead entries and %d others", dead, s.live)
		}
	}
}
