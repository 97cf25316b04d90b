package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// queueOf makes n requests stand in the line of a key. woken has those that were woken, in that
// order, each once; wakes is how often they were woken.
func queueOf(l *lines, key []byte, n int) (all []*place, woken *[]int, wakes *int) {
	woken, wakes = new([]int), new(int)
	for i := range n {
		var of owner
		binary.BigEndian.PutUint64(of[:], uint64(i))
		p := l.join(key, of)
		once := false
		p.when(nil)(func() {
			*wakes++
			if !once {
				*woken = append(*woken, i)
			}
			once = true
		})
		all = append(all, p)
	}
	return all, woken, wakes
}

// TestWakeAll: wakeAll wakes all requests of a line, few at once: the others as those leave. It
// does not matter that some leave that were not woken, or do not leave. No step wakes many.
func TestWakeAll(t *testing.T) {
	const many = 100_000
	l, key := newLines(), []byte{computeEntry, 'k'}
	all, woken, wakes := queueOf(l, key, many)
	reached := make([]bool, many)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	leave := func(i int) {
		before := *wakes
		all[i].leave()
		if n := *wakes - before; n > 2 { // the first one now, and one more
			t.Fatalf("%d requests are woken when one leaves", n)
		}
	}
	l.wakeAll(key)
	if len(*woken) != releasedAtOnce || *wakes != releasedAtOnce || (*woken)[0] != 0 {
		t.Fatalf("%d requests are woken at once, %v", *wakes, *woken)
	}
	stays := 0
	for len(*woken) > 0 {
		i := (*woken)[0]
		*woken = (*woken)[1:]
		if reached[i] = true; i%1000 == 999 && stays < releasedAtOnce/2 {
			stays++ // it looks in vain
			continue
		}
		leave(i)
		if gone := random.IntN(many); gone%100 == 0 { // its time is over
			reached[gone] = true
			leave(gone)
		}
		if len(*woken) > 2*releasedAtOnce {
			t.Fatalf("%d requests are woken at once", len(*woken))
		}
	}
	for i := range reached {
		if !reached[i] {
			t.Fatalf("request %d is not woken", i)
		}
	}
	if n := l.waiting(key); n > stays {
		t.Errorf("%d requests are in the line", n)
	}
}

// TestWakeAllWakesNoNewcomers: a request that joins the line after wakeAll is not woken by it.
func TestWakeAllWakesNoNewcomers(t *testing.T) {
	l, key := newLines(), []byte{computeEntry, 'k'}
	all, woken, _ := queueOf(l, key, 3)
	first := l.join(key, owner{1: 1})
	behind := l.join(key, owner{1: 2})
	l.wakeAll(key)
	newcomers := 0
	for i := range 2 {
		p := l.join(key, owner{2: 1, 3: byte(i)})
		p.when(nil)(func() { newcomers++ })
	}
	first.leave() // it was being executed
	if len(*woken) != 3 {
		t.Errorf("woken: %v", *woken)
	}
	for _, p := range all {
		p.leave()
	}
	if newcomers != 0 {
		t.Errorf("%d of those that came later are woken", newcomers)
	}
	behind.leave()
	if newcomers != 1 {
		t.Errorf("%d of those that came later are woken; the first of them is first now", newcomers)
	}
}

// TestWakeAllTakenOver: wakeAll wakes a request that has taken over the place of an older one, in
// its turn.
func TestWakeAllTakenOver(t *testing.T) {
	l, key := newLines(), []byte{computeEntry, 'k'}
	all, _, _ := queueOf(l, key, 2*releasedAtOnce)
	l.wakeAll(key)
	last := len(all) - 1
	woken := false
	p := l.join(key, all[last].owner)
	p.when(nil)(func() { woken = true })
	for _, p := range all[:last-1] {
		p.leave()
	}
	if !woken {
		t.Error("a request that has taken over a place is not woken")
	}
}

// TestGateOpensForAll: when a gate opens, all that wait for it are woken, however many they are;
// the one that opens it does not wait for them.
func TestGateOpensForAll(t *testing.T) {
	const many = 20_000
	l, key := newLines(), []byte{lockEntry, 'k'}
	l.enter(key)
	woken := make(chan int, many)
	opened := make(chan struct{})
	for i := range many {
		l.await(key, func() { <-opened; woken <- i })
	}
	l.exit(key)
	close(opened)
	seen := make([]bool, many)
	for range many {
		select {
		case i := <-woken:
			seen[i] = true
		case <-time.After(10 * time.Second):
			t.Fatal("some are not woken")
		}
	}
	for i := range seen {
		if !seen[i] {
			t.Fatalf("request %d is not woken", i)
		}
	}
}
