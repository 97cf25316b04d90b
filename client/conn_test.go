package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

func TestSetAndGet(t *testing.T) {
	ctx := testContext(t)
	d := DictOf[string, int](dialPeer(t, startPeer(t), nil), "t")
	if err := d.Set(ctx, "a", 1); err != nil {
		t.Fatal(err)
	}
	if v, err := d.Get(ctx, "a"); v != 1 || err != nil {
		t.Fatalf("got %d, %v", v, err)
	}
	_, err := d.Get(ctx, "b")
	var e *Error
	if !errors.Is(err, ErrKey) || !errors.As(err, &e) || e.Op != "DICT GET" || e.Table != "t" || e.Key != "b" {
		t.Fatalf("got %v, %+v", err, e)
	}
	if v, err := d.GetOr(ctx, "b", 7); v != 7 || err != nil {
		t.Fatalf("got %d, %v", v, err)
	}
	if _, ok, err := d.Lookup(ctx, "b"); ok || err != nil {
		t.Fatalf("got %v, %v", ok, err)
	}
}

// TestThousandsShare puts the key into each value, so that a reply to the wrong caller is detected.
func TestThousandsShare(t *testing.T) {
	ctx := testContext(t)
	d := DictOf[string, string](dialPeer(t, startPeer(t), nil), "t")
	var wg sync.WaitGroup
	for g := range 3000 {
		wg.Go(func() {
			key := fmt.Sprint("key ", g)
			if err := d.Set(ctx, key, "value of "+key); err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				if v, err := d.Get(ctx, key); err != nil || v != "value of "+key {
					t.Errorf("%s: got %q, %v", key, v, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestCancellationStorm cancels requests at all stages. The others must get their own replies.
func TestCancellationStorm(t *testing.T) {
	ctx := testContext(t)
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	d := DictOf[int, string](c, "t")
	const keys = 50
	for k := range keys {
		if err := d.Set(ctx, k, fmt.Sprint("value of ", k)); err != nil {
			t.Fatal(err)
		}
	}
	var cancelled, got atomic.Int64
	var wg sync.WaitGroup
	for g := range 200 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range 100 {
				k := random.IntN(keys)
				ctx, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(2000))*time.Microsecond)
				v, err := d.Get(ctx, k)
				cancel()
				switch {
				case errors.Is(err, context.DeadlineExceeded):
					cancelled.Add(1)
				case err != nil:
					t.Error(err)
				case v != fmt.Sprint("value of ", k):
					t.Errorf("key %d got %q", k, v)
				default:
					got.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if cancelled.Load() == 0 || got.Load() == 0 {
		t.Errorf("%d requests cancelled, %d answered: the test proves nothing", cancelled.Load(), got.Load())
	}
	for _, slot := range c.slots {
		waitUntil(t, "all ids are free", func() bool {
			cn := slot.conn.Load()
			cn.mu.Lock()
			defer cn.mu.Unlock()
			return cn.outstandingLocked() == 0
		})
	}
}

// waitUntil polls a state for which there is no channel.
func waitUntil(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// TestCancelFreesImmediately cancels a request that the server does not answer. Its late reply is
// dropped.
func TestCancelFreesImmediately(t *testing.T) {
	p := startPeer(t)
	held := make(chan uint32, 1)
	p.answer = func(p *peer, req codec.Request) []byte {
		select {
		case id := <-held: // the late reply comes before the reply to this request
			return append(ok(id, []byte{0x01}), ok(req.ID, []byte{0x02})...)
		default:
			held <- req.ID
			return nil
		}
	}
	d := DictOf[string, int](dialPeer(t, p, func(o *Options) { o.Conns = 1 }), "t")
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error)
	go func() {
		_, err := d.Get(ctx, "a")
		done <- err
	}()
	waitUntil(t, "the request has arrived", func() bool { return len(held) == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if v, err := d.Get(testContext(t), "b"); v != 2 || err != nil {
		t.Fatalf("got %d, %v", v, err)
	}
}

func TestRepliesInPieces(t *testing.T) {
	ctx := testContext(t)
	for piece := 1; piece <= 30; piece++ {
		p := startPeer(t)
		p.split = piece
		d := DictOf[string, string](dialPeer(t, p, nil), "t")
		for i := range 5 {
			key, want := fmt.Sprint(i), strings.Repeat("x", i*7)
			if err := d.Set(ctx, key, want); err != nil {
				t.Fatal(err)
			}
			if v, err := d.Get(ctx, key); v != want || err != nil {
				t.Fatalf("pieces of %d: got %q, %v", piece, v, err)
			}
		}
	}
}
