package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"cyberdb-fast/codec"
)

// TestLargeWaits has more bytes of requests that wait than may be outstanding. The client holds
// them back until the server is known to have those before. However long they wait, they block
// nothing then.
func TestLargeWaits(t *testing.T) {
	const callers, size = 40, 1 << 20
	const held = maxOutstandingBytes / size // each frame is a little larger than its key
	p := startPeer(t)
	waits, atCheck, check := 0, 0, uint32(0)
	p.answer = func(_ *peer, req codec.Request) []byte {
		switch {
		case req.Op == codec.OpDictGetOrCompute:
			waits++
			return nil
		case check == 0: // answered below
			check, atCheck = req.ID, waits
			return nil
		}
		return ok(req.ID, nil)
	}
	c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
	d := DictOf[string, int](c, "d")
	ctx, cancel := context.WithCancel(testContext(t))
	var wg sync.WaitGroup
	key := strings.Repeat("k", size)
	for range callers {
		wg.Go(func() {
			if _, err := d.GetOrCompute(ctx, key, ComputeOptions{}, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	count := func(n *int) (now int) {
		p.with(func() { now = *n })
		return now
	}
	waitUntil(t, "the ping behind the first waits", func() bool { return count(&atCheck) > 0 })
	if n := count(&waits); n != held || count(&atCheck) != held {
		t.Errorf("the peer has %d waits, %d of them before the ping, want %d", n, count(&atCheck), held)
	}
	var conn net.Conn
	p.with(func() {
		for conn = range p.conns {
		}
	})
	if err := p.send(conn, ok(check, nil)); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "all waits", func() bool { return count(&waits) == callers })
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
}
