package shardmap

import (
	"runtime"
	"sync"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func bytesValue(n int) []byte { return msgp.AppendBytes(nil, make([]byte, n)) }

// TestViewKeepsWhatItSees: however often a key is overwritten under a view, only what the view sees
// is kept.
func TestViewKeepsWhatItSees(t *testing.T) {
	for _, size := range []int{100, 3000, 9000, 300000} {
		store, d := newTestDict(t)
		c := &Call{}
		const n = 40
		set := func(times int) {
			for i := range times {
				if err := d.Set(c, msgp.AppendInt(nil, i%n), bytesValue(size-i*7919%(size/2))); err != nil {
					t.Fatal(err)
				}
			}
		}
		set(n)
		mapped, free := store.slabs.Bytes()
		live := mapped - free
		old := store.View()
		set(20 * n)
		if kept := store.Stats().RetiredBytes; kept > 2*live {
			t.Errorf("values of %d: %d bytes are kept, %d were live", size, kept, live)
		}
		middle := store.View()
		set(20 * n)
		both := store.Stats().RetiredBytes
		young := store.View()
		middle.Close()
		if kept := store.Stats().RetiredBytes; size > maxBumpBytes*2 && kept >= both {
			t.Errorf("values of %d: %d bytes are kept, as many as before the middle view was closed", size, kept)
		}
		old.Close()
		young.Close()
		if kept := store.Stats().RetiredBytes; kept != 0 {
			t.Errorf("values of %d: %d bytes are kept for no view", size, kept)
		}
	}
}

// TestDrainReleases: what a view has drained is overwritten in place; before that, an entry that is
// changed costs its record and little more, its page is not copied.
func TestDrainReleases(t *testing.T) {
	const n, size = 50_000, 40
	store, d := newTestDict(t)
	c := &Call{}
	set := func(from, to int) {
		for i := from; i < to; i++ {
			_ = d.Set(c, msgp.AppendInt(nil, i), bytesValue(size))
		}
	}
	used := func() int {
		mapped, free := store.slabs.Bytes()
		return mapped - free
	}
	set(0, n)
	before := used()
	view := store.View()
	for i := 0; i < n; i += pageEntries / 2 { // each page
		set(i, i+1)
	}
	if grown := used() - before; grown > before/10 {
		t.Errorf("%d bytes in use, %d more once each page has a change", before, grown)
	}
	for _, table := range view.Tables() {
		before, seen := 0, 0
		for range table.Dict().Drain() {
			if seen++; seen == n/2 {
				before = used()
				set(0, n/2-2*entriesPerRead)
				if grown := used() - before; grown > 0 {
					t.Errorf("%d bytes more for changes of what was drained", grown)
				}
			}
		}
		set(0, n)
		if grown := used() - before; seen != n || grown > 0 {
			t.Errorf("drained %d entries; %d bytes more after it", seen, grown)
		}
	}
	view.Close()
	if kept := store.Stats().RetiredBytes; kept != 0 {
		t.Errorf("%d bytes are kept", kept)
	}
}

// TestOverwritesInPlaceDoNotCompact: the unused ends of chunks are not dead.
func TestOverwritesInPlaceDoNotCompact(t *testing.T) {
	for _, size := range []int{1000, 1400, 2100, 2500, 3000, 4000, 5000, 8300, 11000} {
		for _, n := range []int{5, 12, 20, 40, 100, 200} {
			_, d := newTestDict(t)
			c := &Call{}
			val := bytesValue(size)
			for i := range n {
				_ = d.Set(c, msgp.AppendInt(nil, i), val)
			}
			sh := d.dir.Load().shards[0]
			index := &sh.index[0]
			for i := range 200 {
				_ = d.Set(c, msgp.AppendInt(nil, i%n), val)
			}
			if &sh.index[0] != index {
				t.Errorf("%d records of %d bytes were compacted", n, size)
			}
		}
	}
}

// TestShardsAreBoundedInBytes: a split copies no more than about 2 MiB.
func TestShardsAreBoundedInBytes(t *testing.T) {
	store, d := newTestDict(t)
	c := &Call{}
	for i := range 4000 {
		_ = d.Set(c, msgp.AppendInt(nil, i), bytesValue(1000))
		_ = d.Update(c, append(msgp.AppendInt(nil, 4000+i), bytesValue(3000)...), 1)
	}
	d.dir.Load().each(func(s *shard) {
		if s.liveBytes > store.minSplitBytes*4/3 {
			t.Errorf("a shard of %d bytes", s.liveBytes)
		}
	})
}

func TestBlocksShrink(t *testing.T) {
	store, d := newTestDict(t)
	c := &Call{MayBlock: true}
	_ = d.Set(c, []byte{1}, bytesValue(32<<20))
	_ = d.Update(&Call{}, append([]byte{1}, bytesValue(17000)...), 1)
	if mapped, free := store.slabs.Bytes(); mapped-free > 64<<10 {
		t.Errorf("a value of 17 KB holds %d bytes", mapped-free)
	}
}

// TestConcurrentClears: of two clears of the same contents one changes something, and a Set that
// comes after it is counted alone.
func TestConcurrentClears(t *testing.T) {
	for range 500 {
		s, d := newTestDict(t)
		s.minSplit = 8
		c := &Call{MayBlock: true}
		for i := range 200 {
			_ = d.Set(c, msgp.AppendInt(nil, i), []byte{1})
		}
		before := s.Clock()
		var tasks sync.WaitGroup
		for range 2 {
			tasks.Go(func() { _ = d.Clear(&Call{MayBlock: true}) })
		}
		tasks.Wait()
		if assigned := s.Clock() - before; assigned != 1 {
			t.Fatalf("two clears assigned %d LSNs", assigned)
		}
	}
}

// TestLenWhileCreated: a call that finds a table finds it filled.
func TestLenWhileCreated(t *testing.T) {
	for _, kind := range []Kind{KindDict, KindList} {
		const n = 100000
		var packed []byte
		for i := range n {
			packed = msgp.AppendInt(packed, i/2)
			if kind == KindDict {
				packed = append(packed, 1)
			}
		}
		want := n
		if kind == KindDict {
			want = n / 2
		}
		s := NewStore()
		var created error
		var tasks sync.WaitGroup
		tasks.Go(func() { _, created = s.Create(&Call{MayBlock: true}, "t", kind, packed, n) })
		for found := false; !found; runtime.Gosched() {
			var table *Table
			if table, found = s.Lookup(&Call{}, []byte("t")); found && table.Len() != want {
				t.Errorf("%v: length %d, want %d", kind, table.Len(), want)
			}
		}
		tasks.Wait()
		if table, _ := s.Lookup(&Call{}, []byte("t")); created != nil || table.Len() != want {
			t.Errorf("%v: length %d, %v", kind, table.Len(), created)
		}
	}
}
