package shardmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func mustCreate(t *testing.T, s *Store, name string) {
	t.Helper()
	if _, err := s.Create(&Call{MayBlock: true}, name, KindList, nil, 0); err != nil {
		t.Fatal(err)
	}
}

// listed reads a listing to its end.
func listed(t *testing.T, l *Listing) (names []string) {
	t.Helper()
	if err := l.Each(func(name string, kind Kind, length int) bool {
		if kind != KindList || length != 0 {
			t.Errorf("%q: a %v of %d", name, kind, length)
		}
		names = append(names, name)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestListingIsOneMoment renames one table back and forth, and drops and makes another, while
// listings are read: each shows every table once, in order of creation, by a name that it had when
// the rest was as shown.
func TestListingIsOneMoment(t *testing.T) {
	const stay, listings = 1000, 300
	s := NewStore()
	var want []string
	for i := range stay {
		want = append(want, fmt.Sprint("stays ", i))
		mustCreate(t, s, want[i])
	}
	mustCreate(t, s, "moves 0")
	done := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		c := &Call{}
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if err := s.Rename(c, fmt.Sprint("moves ", i), fmt.Sprint("moves ", i+1)); err != nil {
				t.Error(err)
				return
			}
			name := fmt.Sprint("comes ", i)
			if _, err := s.Create(c, name, KindDict, nil, 0); err != nil {
				t.Error(err)
			}
			if err := s.Drop(c, name); err != nil {
				t.Error(err)
			}
		}
	})
	last := -1
	for range listings {
		l := s.List()
		l.Measure()
		var got []string
		moved, came := -1, 0
		if err := l.Each(func(name string, kind Kind, _ int) bool {
			switch {
			case strings.HasPrefix(name, "moves "):
				if moved >= 0 {
					t.Errorf("%q, and it was listed as %d already", name, moved)
				}
				_, _ = fmt.Sscanf(name, "moves %d", &moved)
			case kind == KindDict:
				came++
			default:
				got = append(got, name)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if !slices.Equal(got, want) || moved < last || came > 1 {
			t.Fatalf("%d tables that stay, one that moves is %d after %d, %d that came", len(got), moved, last, came)
		}
		last = moved
	}
	close(done)
	writers.Wait()
	if n := s.listings.open.Len(); n != 0 {
		t.Errorf("%d listings are open", n)
	}
}

// TestListingKeepsItsMoment: a listing shows what there was when it began, whatever comes after it,
// and lengths as measured.
func TestListingKeepsItsMoment(t *testing.T) {
	s, c := NewStore(), &Call{}
	names := []string{}
	for i := range 3 * listingPage {
		names = append(names, fmt.Sprint("t ", i))
		mustCreate(t, s, names[i])
	}
	l := s.List()
	l.Measure()
	defer l.Close()
	for i, name := range names {
		switch i % 3 {
		case 0:
			if err := s.Drop(c, name); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := s.Rename(c, name, name+" renamed"); err != nil {
				t.Fatal(err)
			}
		case 2:
			table, _ := s.Lookup(c, []byte(name))
			if err := table.List().Extend(c, []byte{1, 2}, 2); err != nil {
				t.Fatal(err)
			}
		}
		mustCreate(t, s, name+" is new")
	}
	if got := listed(t, l); !slices.Equal(got, names) {
		t.Errorf("%d tables, want %d", len(got), len(names))
	}
	if got, want := s.Len(), len(names)+2*len(names)/3; got != want {
		t.Errorf("%d tables, want %d", got, want)
	}
}

// TestListingOutdated: what open listings keep from being freed is bounded: the oldest are
// abandoned, and all when the tables are replaced.
func TestListingOutdated(t *testing.T) {
	s, c := NewStore(), &Call{}
	name := strings.Repeat("n", 1000)
	comeAndGo := func(bytes int) {
		for range bytes / (len(name) + outdatedTableBytes) {
			mustCreate(t, s, name)
			if err := s.Drop(c, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustCreate(t, s, "stays")
	first := s.List()
	comeAndGo(maxOutdatedBytes / 2)
	second := s.List()
	comeAndGo(maxOutdatedBytes * 3 / 4)
	first.Measure()
	second.Measure()
	if err := first.Each(func(string, Kind, int) bool { return true }); !errors.Is(err, ErrOutdated) {
		t.Errorf("the first: %v", err)
	}
	if got := listed(t, second); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("the second: %q", got)
	}
	if err := s.Replace(c, nil, s.Clock()+1); err != nil {
		t.Fatal(err)
	}
	if err := second.Each(func(string, Kind, int) bool { return true }); !errors.Is(err, ErrOutdated) {
		t.Errorf("the second, all replaced: %v", err)
	}
	first.Close()
	second.Close()
	if n := s.listings.open.Len(); n != 0 {
		t.Errorf("%d listings are open", n)
	}
}

// BenchmarkListing: the list of many tables is begun in no time, for that is done on event loops.
func BenchmarkListing(b *testing.B) {
	s, c := NewStore(), &Call{}
	for i := range 100_000 {
		if _, err := s.Create(c, fmt.Sprint("t ", i), KindList, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("begin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.List().Close()
		}
	})
	b.Run("create, drop", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Create(c, "x", KindList, nil, 0); err != nil {
				b.Fatal(err)
			}
			if err := s.Drop(c, "x"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
