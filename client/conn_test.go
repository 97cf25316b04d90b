package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
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

// TestThousandsShare has every value name its key, so that a reply to somebody else cannot go unseen.
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

// TestCancellationStorm gives up requests at all stages; what is not given up gets its own reply.
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
	var given, got atomic.Int64
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
					given.Add(1)
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
	if given.Load() == 0 || got.Load() == 0 {
		t.Errorf("%d requests given up, %d answered: nothing was tested", given.Load(), got.Load())
	}
	for _, la := range c.lanes {
		waitUntil(t, "all ids are free", func() bool {
			l := la.link.Load()
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.slots) == len(l.free)
		})
	}
}

// waitUntil polls a state that no channel tells.
func waitUntil(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so in time: %s", what)
		}
	}
}

// TestCancelFreesAtOnce has a server that does not answer; the late reply goes to nobody.
func TestCancelFreesAtOnce(t *testing.T) {
	p := startPeer(t)
	held := make(chan uint32, 1)
	p.answer = func(p *peer, req codec.Request) []byte {
		select {
		case id := <-held: // the reply to the request that was given up comes before that of this one
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

func TestPipelineKeepsOrder(t *testing.T) {
	ctx := testContext(t)
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	pipe := c.Pipeline()
	var gets []*Future[int]
	for i := range 1000 {
		d.With(pipe).Set("k", i)
		gets = append(gets, d.With(pipe).Get("k"))
	}
	missing := d.With(pipe).Get("absent")
	if _, err := gets[0].Result(); !errors.Is(err, ErrNotDone) {
		t.Errorf("before Do: %v", err)
	}
	if err := pipe.Do(ctx); !errors.Is(err, ErrKey) {
		t.Errorf("Do: %v", err)
	}
	for i, f := range gets {
		if v, err := f.Result(); v != i || err != nil {
			t.Fatalf("request %d: got %d, %v", i, v, err)
		}
	}
	if !errors.Is(missing.Err(), ErrKey) || pipe.Len() != 0 {
		t.Errorf("got %v, %d requests left", missing.Err(), pipe.Len())
	}
}

func TestPipelineWithBadRequestSendsNothing(t *testing.T) {
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	pipe := c.Pipeline()
	DictOf[string, int](c, "t").With(pipe).Set("k", 1)
	bad := c.Dict("t").With(pipe).Set("k", make(chan int))
	if err := pipe.Do(testContext(t)); !errors.Is(err, ErrUnsent) || !errors.Is(bad.Err(), ErrUnsent) {
		t.Fatalf("got %v, %v", err, bad.Err())
	}
	if err := c.Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	p.with(func() {
		if len(p.log) != 1 {
			t.Errorf("the server has seen %v", p.log)
		}
	})
}

func TestPipelineGivenUp(t *testing.T) {
	p := startPeer(t)
	arrived := make(chan struct{}, 10)
	p.answer = func(p *peer, req codec.Request) []byte {
		arrived <- struct{}{}
		if req.Op == codec.OpDictSet {
			return ok(req.ID, nil)
		}
		return nil
	}
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	pipe := c.Pipeline()
	first, second := d.With(pipe).Set("k", 1), d.With(pipe).Get("k")
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-arrived
		<-arrived
		cancel()
	}()
	err := pipe.Do(ctx)
	for _, err := range []error{err, first.Err(), second.Err()} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

// TestLostConnection: a write that was sent fails, saying that it may have been applied; a read is sent again.
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

// TestReconnectUnderFire kills the peer's connections again and again under many goroutines. Writes fail only as lost, reads hardly ever.
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
				if v, err := d.GetOr(ctx, key, key); err == nil && v != key || err != nil && !errors.Is(err, ErrConnectionLost) {
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
			return len(p.conns) > 0
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
		t.Error("no request was lost: nothing was tested")
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
	if _, err := Open(testContext(t), p.addr(), &Options{Password: peerPassword}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("Open: got %v", err)
	}
}

func TestWrongPassword(t *testing.T) {
	p := startPeer(t)
	_, err := Open(testContext(t), "cyberdb://:wrong@"+p.addr(), nil)
	if !errors.Is(err, ErrWrongPassword) || !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v", err)
	}
	c := dialPeer(t, p, func(o *Options) { o.Password = "wrong" })
	if err := c.Ping(testContext(t)); !errors.Is(err, ErrWrongPassword) || !errors.Is(err, ErrUnsent) {
		t.Fatalf("got %v", err)
	}
}

func TestNotOurServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	if _, err := Open(testContext(t), listener.Addr().String(), &Options{Password: "x"}); !errors.Is(err, ErrProtocol) {
		t.Fatalf("got %v", err)
	}
}

func TestSilentServerIsGivenUp(t *testing.T) {
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
		t.Error("given up without a ping")
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
		"id to come":  func(id uint32) []byte { return ok(id+firstIDOfASlot, nil) },
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

func TestLimitsAreCheckedBeforeSending(t *testing.T) {
	p := startPeer(t)
	p.with(func() { p.limits.MaxFrameBytes, p.limits.MaxValueBytes = 1000, 500 })
	c := dialPeer(t, p, nil)
	ctx := testContext(t)
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	d := c.Dict("t")
	for name, err := range map[string]error{
		"value": d.Set(ctx, "k", make([]byte, 501)),
		"frame": c.List("t").Extend(ctx, make([]byte, 400), make([]byte, 400), make([]byte, 400)),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", codec.MaxTableNameBytes+1)} {
		if err := c.Dict(name).Set(ctx, "k", 1); !errors.Is(err, ErrBadRequest) {
			t.Errorf("name of %d bytes: got %v", len(name), err)
		}
	}
	p.with(func() {
		if len(p.log) != 1 {
			t.Errorf("the server has seen %v", p.log)
		}
	})
}

func TestNewSaltAtMostOnceAMinute(t *testing.T) {
	ring := keyRing{keys: map[keyID][]byte{}, derived: map[string]time.Time{}}
	for i, fails := range []bool{false, false, true} {
		_, err := ring.key("host:1", "password", secure.KDF{LogN: secure.MinLogN, Salt: [16]byte{byte(i)}})
		if (err != nil) != fails {
			t.Errorf("salt %d: %v", i, err)
		}
	}
	if _, err := ring.key("host:1", "password", secure.KDF{LogN: secure.MinLogN}); err != nil {
		t.Errorf("a key known already: %v", err)
	}
	if _, err := ring.key("host:2", "password", secure.KDF{LogN: secure.MaxLogN + 1}); !errors.Is(err, secure.ErrKDF) {
		t.Errorf("got %v", err)
	}
}

func TestURLs(t *testing.T) {
	for _, test := range []struct{ url, network, addr, password string }{
		{"cyberdb://:pa%20ss@host:1234", "tcp", "host:1234", "pa ss"},
		{"cyberdb://:p@host/", "tcp", "host:9980", "p"},
		{"cyberdb://:p@[::1]:12", "tcp", "[::1]:12", "p"},
		{"unix://:p@/run/cyberdb.sock", "unix", "/run/cyberdb.sock", "p"},
		{"host:12", "tcp", "host:12", "option"},
		{"host", "tcp", "host:9980", "option"},
		{"", "tcp", "127.0.0.1:9980", "option"},
	} {
		o, err := parseURL(test.url, Options{Password: "option"})
		if err == nil {
			o, err = o.withDefaults()
		}
		if network, addr := o.network(); err != nil || network != test.network || addr != test.addr || o.Password != test.password {
			t.Errorf("%s: got %s %s %q, %v", test.url, network, addr, o.Password, err)
		}
	}
	for _, bad := range []string{"redis://host", "cyberdb://:secret@host/db", "cyberdb://:sec%zzret@host", "unix://host/path"} {
		if _, err := parseURL(bad, Options{}); err == nil || strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestPasswordFromEnvironment(t *testing.T) {
	t.Setenv("CYBERDB_PASSWORD", "of the environment")
	if o, err := (Options{}).withDefaults(); o.Password != "of the environment" || err != nil {
		t.Errorf("got %q, %v", o.Password, err)
	}
	t.Setenv("CYBERDB_PASSWORD", "")
	t.Setenv("CYBERDB_PASSWORD_FILE", t.TempDir()+"/absent")
	if _, err := (Options{}).withDefaults(); err == nil {
		t.Error("no error for a file that is not there")
	}
}
