package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestLostConnection loses a connection: a write that was sent fails with ErrConnectionLost, and a
// read is sent again.
func TestLostConnection(t *testing.T) {
	p := startPeer(t)
	p.dict[string([]byte{0xa1, 'k'})] = []byte{0x05}
	killed := false
	p.answer = func(p *peer, req codec.Request) []byte {
		if req.Op == codec.OpDictSet || !killed {
			killed = true
			for conn := range p.conns {
				_ = conn.Close()
			}
			return nil
		}
		return p.usual(req)
	}
	d := DictOf[string, int](dialPeer(t, p, nil), "t")
	if v, err := d.Get(testContext(t), "k"); v != 5 || err != nil {
		t.Fatalf("read: got %d, %v", v, err)
	}
	if err := d.Set(testContext(t), "k", 1); !errors.Is(err, ErrConnectionLost) || errors.Is(err, ErrUnsent) {
		t.Fatalf("write: got %v", err)
	}
	if v, err := d.Get(testContext(t), "k"); v != 5 || err != nil {
		t.Fatalf("read afterwards: got %d, %v", v, err)
	}
}

// TestReconnectUnderFire closes the peer's connections again and again under many goroutines.
// Writes may fail only with ErrConnectionLost, and reads hardly ever fail.
func TestReconnectUnderFire(t *testing.T) {
	ctx := testContext(t)
	p := startPeer(t)
	d := DictOf[string, string](dialPeer(t, p, func(o *Options) { o.MaxBackoff = 20 * time.Millisecond }), "t")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var lost atomic.Int64
	for g := range 100 {
		wg.Go(func() {
			key := fmt.Sprint("key ", g)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				err := d.Set(ctx, key, key)
				switch {
				case errors.Is(err, ErrConnectionLost):
					lost.Add(1)
				case err != nil:
					t.Error(err)
					return
				}
				if v, err := d.GetOr(
					ctx,
					key,
					key,
				); err == nil && v != key ||
					err != nil && !errors.Is(err, ErrConnectionLost) {
					t.Errorf("%s: got %q, %v", key, v, err)
				}
			}
		})
	}
	for range 20 {
		p.kill()
		waitUntil(t, "connected again", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return slices.Contains(slices.Collect(maps.Values(p.conns)), true)
		})
	}
	addr := p.addr()
	p.stop()
	p.listen(addr)
	if err := d.Set(ctx, "after", "restart"); err != nil && !errors.Is(err, ErrConnectionLost) {
		t.Error(err)
	}
	close(stop)
	wg.Wait()
	if lost.Load() == 0 {
		t.Error("no request was lost: the test proves nothing")
	}
}

func TestNoServer(t *testing.T) {
	p := startPeer(t)
	p.stop()
	c := dialPeer(t, p, func(o *Options) { o.WaitTimeout = 50 * time.Millisecond })
	if err := c.Ping(testContext(t)); !errors.Is(err, ErrUnsent) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 10*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(
		testContext(t),
		p.addr(),
		&Options{Password: peerPassword},
	); err == nil ||
		!strings.Contains(err.Error(), "refused") {
		t.Errorf("Open: got %v", err)
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	p := startPeer(t)
	var pings atomic.Int64
	p.answer = func(_ *peer, req codec.Request) []byte {
		if req.Op == codec.OpPing {
			pings.Add(1)
		}
		return nil
	}
	d := DictOf[string, int](dialPeer(t, p, func(o *Options) { o.SilenceTimeout = 100 * time.Millisecond }), "t")
	err := d.Set(testContext(t), "k", 1)
	if !errors.Is(err, ErrConnectionLost) || !strings.Contains(err.Error(), "silent") {
		t.Fatalf("got %v", err)
	}
	if pings.Load() == 0 {
		t.Error("the client closed the connection without a ping")
	}
}

func TestIdleConnectionIsKept(t *testing.T) {
	p := startPeer(t)
	p.with(func() { p.limits.IdleSeconds = 1 })
	c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
	if err := c.Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "a ping without a request", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.log) >= 2
	})
}

func TestServerThatDoesNotRead(t *testing.T) {
	p := startPeer(t)
	blocked := make(chan struct{})
	p.answer = func(*peer, codec.Request) []byte {
		<-blocked
		return nil
	}
	defer close(blocked)
	c := dialPeer(t, p, func(o *Options) { o.SilenceTimeout = time.Minute })
	d := DictOf[string, []byte](c, "t")
	ctx, cancel := context.WithTimeout(testContext(t), 200*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := d.Set(ctx, "k", make([]byte, 1<<20)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
}

func TestUnknownReplyEndsTheConnection(t *testing.T) {
	for name, reply := range map[string]func(id uint32) []byte{
		"unknown id":  func(id uint32) []byte { return ok(id+1, nil) },
		"id to come":  func(id uint32) []byte { return ok(id+idStep, nil) },
		"short frame": func(uint32) []byte { return []byte{1, 0, 0, 0, 9} },
		"huge frame":  func(uint32) []byte { return []byte{0xff, 0xff, 0xff, 0x03} },
		"twice":       func(id uint32) []byte { return append(ok(id, nil), ok(id, nil)...) },
	} {
		p := startPeer(t)
		p.answer = func(_ *peer, req codec.Request) []byte { return reply(req.ID) }
		c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
		d := DictOf[string, int](c, "t")
		err := d.Set(testContext(t), "k", 1)
		if name == "twice" {
			err = errors.Join(err, d.Set(testContext(t), "k", 1))
			if err != nil && !errors.Is(err, ErrConnectionLost) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if !errors.Is(err, ErrProtocol) || !errors.Is(err, ErrConnectionLost) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestClose(t *testing.T) {
	p := startPeer(t)
	arrived := make(chan struct{}, 1)
	p.answer = func(*peer, codec.Request) []byte {
		arrived <- struct{}{}
		return nil
	}
	c := dialPeer(t, p, nil)
	done := make(chan error)
	go func() { done <- c.Dict("t").Set(testContext(t), "k", 1) }()
	<-arrived
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) || !errors.Is(err, ErrConnectionLost) {
		t.Errorf("under way: got %v", err)
	}
	if err := c.Ping(testContext(t)); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrUnsent) {
		t.Errorf("afterwards: got %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestCloseWhileConnecting closes clients at all stages of the handshake.
func TestCloseWhileConnecting(t *testing.T) {
	p := startPeer(t)
	ctx := testContext(t)
	for i := range 300 {
		c := dialPeer(t, p, nil)
		done := make(chan error)
		go func() { done <- c.Ping(ctx) }()
		for range i * 20 {
			runtime.Gosched()
		}
		_ = c.Close()
		if err := <-done; err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrConnectionLost) {
			t.Fatal(err)
		}
	}
}
