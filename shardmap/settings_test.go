package shardmap

import (
	"math/rand/v2"
	"sort"
	"sync"
	"testing"
)

func newDictOf(t *testing.T, s *Store, name string) *Dict {
	t.Helper()
	table, err := s.Create(&Call{}, name, KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return table.Dict()
}

// TestSettingsOfView: a view shows the settings as of its cut, however often they change, and while
// shards split.
func TestSettingsOfView(t *testing.T) {
	s := NewStore()
	d := newDictOf(t, s, "d")
	var mu sync.Mutex
	var changes []uint64 // LSNs; the nth has set MaxEntries to n
	var writers sync.WaitGroup
	stop := make(chan struct{})
	writers.Go(func() {
		c := &Call{MayBlock: true}
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			mu.Lock() // no cut is between the change and the note of it
			if err := d.Configure(c, func(o *Options) { o.MaxEntries = n }); err != nil {
				t.Error(err)
			}
			changes = append(changes, c.Version)
			mu.Unlock()
		}
	})
	writers.Go(func() {
		c := &Call{MayBlock: true}
		for {
			select {
			case <-stop:
				return
			default:
			}
			key := append([]byte{0xcf}, make([]byte, 8)...)
			for i := range 8 {
				key[1+i] = byte(rand.Uint32())
			}
			if err := d.Set(c, key, []byte{1}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 10_000 {
		views := []*View{s.View(), s.View()}
		for _, v := range views {
			for _, table := range v.Tables() {
				got := table.Dict().Settings().MaxEntries
				mu.Lock()
				want := sort.Search(len(changes), func(i int) bool { return changes[i] > v.LSN() })
				mu.Unlock()
				if got != int64(want) {
					t.Fatalf("at LSN %d MaxEntries is %d, not %d", v.LSN(), got, want)
				}
			}
			v.Close()
		}
	}
	close(stop)
	writers.Wait()
}

// TestSinceOfOptions: entries of a dict that gets a default time to live count as written then,
// though the store knows when they were written. Those that are written later do not.
func TestSinceOfOptions(t *testing.T) {
	s := NewStore()
	d := newDictOf(t, s, "d")
	c := &Call{MayBlock: true}
	at := func(time int64) {
		s.SetNow(time)
		c.Time = time
		s.MarkTime()
	}
	set := func(key byte) {
		if err := d.Set(c, []byte{key}, []byte{1}); err != nil {
			t.Fatal(err)
		}
		s.MarkTime()
	}
	keys := func() (n int) {
		v, err := d.View(c)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		return v.Len()
	}
	at(1_000_000)
	set(1)
	at(2_000_000)
	if err := d.Configure(c, func(o *Options) { o.TTL = 100_000 }); err != nil {
		t.Fatal(err)
	}
	if ttl, err := d.TTL(c, []byte{1}); ttl != 100_000 || err != nil {
		t.Fatal(ttl, err)
	}
	at(2_010_000)
	set(2)
	at(2_100_000)
	if n := keys(); n != 2 {
		t.Fatalf("%d entries", n)
	}
	at(2_100_001)
	if n := keys(); n != 1 {
		t.Fatalf("%d entries", n)
	}
	at(2_110_000)
	if n := keys(); n != 1 {
		t.Fatalf("%d entries", n)
	}
	at(2_110_001)
	if n := keys(); n != 0 {
		t.Fatalf("%d entries", n)
	}
}

// TestMarksOfView: the marks of a view are few, and by them the entries that are shown as expired
// stay so.
func TestMarksOfView(t *testing.T) {
	s := NewStore()
	c := &Call{MayBlock: true, Options: Options{TTL: 1_000_000}}
	table, err := s.Create(c, "d", KindDict, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := table.Dict()
	now := int64(1e12)
	for range 20_000 {
		now += rand.Int64N(200)
		s.SetNow(now)
		if err := d.Set(c, []byte{1}, []byte{1}); err != nil {
			t.Fatal(err)
		}
		s.MarkTime()
	}
	v, err := d.View(c)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	list := v.Marks()
	if len(list) < 500 || len(list) > 2100 {
		t.Fatalf("%d marks", len(list))
	}
	saved := &marks{list: list}
	for age := int64(0); age < 1_100_000; age += 1 + rand.Int64N(500) {
		exact, _ := s.marks.upTo(now-age, now)
		kept, _ := saved.upTo(now-age, now)
		coarse, _ := s.marks.upTo(now-age-1_000_000/agePrecision-1, now)
		if kept > exact || kept < coarse && age <= 1_000_000 {
			t.Fatalf("at an age of %d ms: LSN %d, before %d", age, kept, exact)
		}
	}
	exact, _ := s.marks.upTo(now-1_000_000, now)
	if kept, _ := saved.upTo(now-1_000_000, now); kept != exact {
		t.Fatalf("what has expired is up to LSN %d, was %d", kept, exact)
	}
}
