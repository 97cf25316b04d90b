package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// queueOf makes n requests stand in the line of a key. woken has those that were woken, in that
// order, each once.
func queueOf(l *lines, key []byte, n int) (all []*place, woken *[]int) {
	woken = new([]int)
	for i := range n {
		var of owner
		binary.BigEndian.PutUint64(of[:], uint64(i))
		p := l.join(key, of)
		once := false
		p.when(nil)(func() {
			if !once {
				*woken = append(*woken, i)
			}
			once = true
		})
		all = append(all, p)
	}
	return all, woken
}

// TestWakeAll: wakeAll wakes all requests of a line, few at once: the others as those leave. It
// does not matter that some leave that were not woken, or do not leave. No step takes long.
func TestWakeAll(t *testing.T) {
	const many = 100_000
	l, key := newLines(), []byte{computeEntry, 'k'}
	all, woken := queueOf(l, key, many)
	reached, longest := make([]bool, many), time.Duration(0)
	step := func(f func()) {
		began := time.Now()
		f()
		longest = max(longest, time.Since(began))
	}
	step(func() { l.wakeAll(key) })
	if n := len(*woken); n != releasedAtOnce || (*woken)[0] != 0 {
		t.Fatalf("%d requests are woken at once, %v", n, *woken)
	}
	stays := 0
	for len(*woken) > 0 {
		i := (*woken)[0]
		*woken = (*woken)[1:]
		if reached[i] = true; i%1000 == 999 && stays < releasedAtOnce/2 {
			stays++ // it looks in vain
			continue
		}
		step(all[i].leave)
		if gone := rand.IntN(many); gone%100 == 0 { // its time is over
			reached[gone] = true
			step(all[gone].leave)
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
	t.Logf("the longest step takes %v", longest)
}

// TestWakeAllWakesNoNewcomers: who joins the line after wakeAll is not woken by it.
func TestWakeAllWakesNoNewcomers(t *testing.T) {
	l, key := newLines(), []byte{computeEntry, 'k'}
	all, woken := queueOf(l, key, 3)
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
	all, _ := queueOf(l, key, 2*releasedAtOnce)
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
// the one that opens it is not held up.
func TestGateOpensForAll(t *testing.T) {
	const many = 20_000
	l, key := newLines(), []byte{lockEntry, 'k'}
	l.enter(key)
	woken := make(chan int, many)
	for i := range many {
		l.await(key, func() { woken <- i })
	}
	began := time.Now()
	l.exit(key)
	t.Logf("%v to open it", time.Since(began))
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
