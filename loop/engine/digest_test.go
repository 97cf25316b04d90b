package engine_test

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
)

func (d *door) digest() (sum engine.Digest) {
	d.Helper()
	text, err := govalue.UnmarshalOf[string](d.ok(codec.OpInfo, "digest").Body)
	if err != nil {
		d.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &sum); err != nil {
		d.Fatal(err)
	}
	return sum
}

// TestDigest: the digest of an empty store is 0; it is computed in the background; equal histories
// have equal digests, and other orders of insertion have others.
func TestDigest(t *testing.T) {
	t.Parallel()
	d, same, other := newDoor(t, nil), newDoor(t, nil), newDoor(t, nil)
	if sum := d.digest(); sum != (engine.Digest{Digest: strings.Repeat("0", 32)}) ||
		d.outcomes[engine.Background] != 1 {
		t.Errorf("%+v, outcomes %v", sum, d.outcomes)
	}
	for _, at := range []*door{d, same} {
		at.ok(codec.OpCreateDict, "d", false, "a", 1, "b", 2)
	}
	other.ok(codec.OpCreateDict, "d", false, "b", 2, "a", 1)
	sum := d.digest()
	if sum.LSN == 0 || sum.Tables != 1 || sum.Items != 2 || same.digest() != sum ||
		other.digest().Digest == sum.Digest {
		t.Errorf("%+v, %+v, %+v", sum, same.digest(), other.digest())
	}
}

// TestDigestsShare: of many requests one walks over the tables at a time, and those that wait share
// the next walk. A walk that ends early, or panics, ends the requests of that walk alone.
func TestDigestsShare(t *testing.T) {
	t.Parallel()
	var walks, at atomic.Int32
	var fails atomic.Bool
	goOn := make(chan struct{})
	d := newDoor(t, func(env *engine.Env) {
		env.Pace = func() func() error {
			walk := walks.Add(1)
			if at.Add(1) > 1 {
				t.Error("two walks at a time")
			}
			return func() error {
				<-goOn
				at.Store(0)
				if walk == 4 {
					panic("defect")
				}
				if fails.Load() {
					return &codec.Error{Status: codec.StatusOverloaded, Message: "stops"}
				}
				return nil
			}
		}
	})
	d.ok(codec.OpCreateDict, "d", false)
	req := d.request(codec.Request{Op: codec.OpInfo}, "digest")
	ask := func(n int, want codec.Status) (wait func()) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if _, result := d.engine.Do(nil, req); result.Status != want {
					t.Errorf("status %v, want %v", result.Status, want)
				}
			})
		}
		return all.Wait
	}
	first := ask(1, codec.StatusOK)
	for walks.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	rest := ask(50, codec.StatusOK)
	time.Sleep(50 * time.Millisecond) // most of them wait by then
	close(goOn)
	first()
	rest()
	if n := walks.Load(); n < 2 || n > 3 { // those that came later may need one more
		t.Fatalf("%d walks", n)
	}
	walks.Store(2)
	fails.Store(true)
	ask(1, codec.StatusOverloaded)()
	fails.Store(false)
	ask(1, codec.StatusInternal)() // the fourth walk panics
	ask(1, codec.StatusOK)()
	if d.engine.Panics() != 1 || d.engine.Store().Stats().Views != 0 {
		t.Errorf("%d panics, %d views", d.engine.Panics(), d.engine.Store().Stats().Views)
	}
}
