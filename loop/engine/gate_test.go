package engine

import (
	"fmt"
	"testing"
)

// TestGates: many gates are held at the same time, each by one request, and those that wait for one
// are told when it opens.
func TestGates(t *testing.T) {
	l := newLines()
	var keys [][]byte
	for i := range 4 * lineStripes {
		keys = append(keys, fmt.Append(nil, "a lock ", i))
	}
	opened := make([]int, len(keys))
	var left []*place
	for i, key := range keys {
		if !l.enter(key) {
			t.Fatalf("gate %d is shut before a request has entered", i)
		}
		if i%3 == 0 { // a request stands in its line meanwhile
			left = append(left, l.join(key, owner{byte(i)}))
		}
		if i%2 == 0 {
			if _, shut := l.await(key, func() { opened[i]++ }); !shut {
				t.Errorf("gate %d is open while a request holds it", i)
			}
		}
	}
	for i, key := range keys {
		if l.enter(key) {
			t.Errorf("two requests hold gate %d", i)
		}
	}
	for _, p := range left {
		p.leave()
	}
	for i, key := range keys {
		if opened[i] != 0 {
			t.Errorf("gate %d opened while it was held", i)
		}
		l.exit(key)
		if want := 1 - i%2; opened[i] != want {
			t.Errorf("gate %d told %d requests that it is open, want %d", i, opened[i], want)
		}
		if _, shut := l.await(key, func() {}); shut {
			t.Errorf("gate %d is shut although no request holds it", i)
		}
	}
	for i := range l.stripes {
		if s := &l.stripes[i]; len(s.lines) > 0 || len(s.lone) > 0 {
			t.Errorf("stripe %d keeps gates that no request holds", i)
		}
	}
}

// TestUnsentOfSameHash: acquisitions whose keys have the same hash are found and end one by one.
func TestUnsentOfSameHash(t *testing.T) {
	for first := range 3 {
		u := &unsent{by: make(map[uint64]*acquisition)}
		all := make([]*acquisition, 3)
		for i := range all {
			all[i] = &acquisition{hash: 7, same: u.by[7], replies: 1}
			u.by[7] = all[i]
		}
		for i := range all {
			if !u.lost(all[(first+2*i)%3]) {
				t.Errorf("acquisition %d cannot be given back", (first+2*i)%3)
			}
			n := 0
			for a := u.by[7]; a != nil; a = a.same {
				n++
			}
			if n != 2-i {
				t.Errorf("%d acquisitions are left, want %d", n, 2-i)
			}
		}
		if len(u.by) != 0 {
			t.Error("the table of acquisitions keeps some that have ended")
		}
	}
}
