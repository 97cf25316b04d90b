package loop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop/engine/conformance"
)

// refusedWith dials and returns the server's refusal.
func refusedWith(t *testing.T, code secure.RefusalCode, dial func() (*wire, error)) *secure.Refusal {
	t.Helper()
	_, err := dial()
	var refusal *secure.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Fatalf("got %v, want a refusal with code %d", err, code)
	}
	if !strings.Contains(refusal.Text, " ") {
		t.Errorf("the refusal says only %q", refusal.Text)
	}
	return refusal
}

// within calls try until it returns nil, at most for d.
func within(t *testing.T, d time.Duration, try func() error) {
	t.Helper()
	if err := tryWithin(d, try); err != nil {
		t.Fatal(err)
	}
}

// tryWithin is within for any goroutine.
func tryWithin(d time.Duration, try func() error) error {
	for end := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %w", d, err)
		}
	}
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	const most = 8
	srv := startServer(t, func(cfg *Config) { cfg.MaxConns = most })
	var all []*wire
	for i := range most {
		all = append(all, dial(t, srv))
		all[0].ok(codec.OpCreateList, fmt.Sprint(i), false)
	}
	for i, w := range all {
		w.ok(codec.OpListAppend, fmt.Sprint(i), i)
	}
	again := func() (*wire, error) { return tryDial(t, srv, testKey) }
	for range 3 {
		if refusal := refusedWith(t, secure.RefusedTooManyConnections, again); !strings.Contains(refusal.Text, "8") {
			t.Errorf("%q does not name the limit", refusal.Text)
		}
	}
	if err := all[3].conn.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, testTimeout, func() error {
		w, err := again()
		if err == nil {
			all[3] = w
		}
		return err
	})
	refusedWith(t, secure.RefusedTooManyConnections, again)
	for i, w := range all {
		if got := w.ok(codec.OpListGet, fmt.Sprint(i), 0); got[0] != int64(i) {
			t.Errorf("connection %d: got %v", i, got)
		}
	}
	if n := srv.Info().Connections; n != most {
		t.Errorf("INFO says %d connections", n)
	}
}

// TestTenThousandConnections has as many connections as the default limit allows, each with correct
// replies, from another process to a server in a third. Under the race detector it has fewer.
func TestTenThousandConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	connections := DefaultMaxConns
	if raceEnabled && !conformance.Long() {
		connections = 1000
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < uint64(connections+spareDescriptors) {
		t.Fatalf(
			"needs %d open files, the limit is %d: raise it with ulimit -n, or leave this test out with -short",
			connections+spareDescriptors,
			limit.Max,
		)
	}
	srv := startServerProcess(t, connections, 0)
	crowd := startProcess(t, "clients", addrEnv+"="+srv.addr)
	do := func(command string) {
		t.Helper()
		start := time.Now()
		fmt.Fprintln(crowd.in, command)
		if answer := crowd.line(); answer != fmt.Sprint("done ", connections) {
			t.Fatalf("%s: %s", command, answer)
		}
		t.Logf("%s: %v", command, time.Since(start).Round(time.Millisecond))
	}
	w := srv.dial()
	w.ok(codec.OpCreateDict, "crowd", false)
	_ = w.conn.Close()
	within(t, testTimeout, func() error { // its place is free
		w = srv.dial()
		if n := infoOf(w).Connections; n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return w.conn.Close()
	})
	do(fmt.Sprint("open ", connections))
	do("round")
	for range 3 {
		refusedWith(t, secure.RefusedTooManyConnections, srv.tryDial)
	}
	do("round")
	crowd.end()
	within(t, testTimeout, func() (err error) {
		w, err = srv.tryDial()
		return err
	})
	if n := len(w.ok(codec.OpDictValues, "crowd")); n != connections {
		t.Errorf("%d connections have written", n)
	}
}

// TestOutOfDescriptors opens more connections to a server than it has descriptors for: it keeps
// those it has, logs why it refuses more, and accepts again when some are closed.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	const descriptors = 64
	srv := startServerProcess(t, 1000, descriptors)
	var served []*wire
	refused := 0
	for range descriptors + 30 {
		w, err := srv.tryDial()
		if err != nil {
			refused++
			continue
		}
		served = append(served, w)
	}
	t.Logf("%d connections served, %d not", len(served), refused)
	if len(served) < descriptors/2 || refused < 30 {
		t.Errorf("%d served, %d refused with %d descriptors", len(served), refused, descriptors)
	}
	for _, w := range served {
		w.ok(codec.OpPing)
	}
	if !strings.Contains(srv.log.String(), "too many open files") {
		t.Errorf("the log does not tell:\n%s", srv.log.String())
	}
	for _, w := range served[:len(served)/2] {
		_ = w.conn.Close()
	}
	for range 5 {
		within(t, testTimeout, func() error {
			w, err := srv.tryDial()
			if err == nil {
				w.ok(codec.OpPing)
			}
			return err
		})
	}
	if n := infoOf(served[len(served)-1]).AcceptErrors; n == 0 {
		t.Error("INFO counts no accept errors")
	}
}

// TestNoDescriptorLeft: there is not even one to accept with.
func TestNoDescriptorLeft(t *testing.T) {
	t.Parallel()
	srv := startServerProcess(t, 1000, 64)
	w := srv.dial()
	fmt.Fprintln(srv.in, "take all")
	t.Log(srv.line())
	for range 5 {
		if _, err := srv.tryDial(); err == nil {
			t.Error("a connection without a descriptor")
		} else {
			t.Log(err)
		}
		w.ok(codec.OpPing)
	}
	if !strings.Contains(srv.log.String(), "cannot accept connections") {
		t.Errorf("the log does not tell:\n%s", srv.log.String())
	}
	fmt.Fprintln(srv.in, "give back")
	t.Log(srv.line())
	within(t, testTimeout, func() error {
		w, err := srv.tryDial()
		if err == nil {
			w.ok(codec.OpPing)
		}
		return err
	})
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	for range 3 {
		refusal := refusedWith(
			t,
			secure.RefusedPassword,
			func() (*wire, error) { return tryDial(t, srv, make([]byte, 32)) },
		)
		if !strings.Contains(refusal.Text, "password") {
			t.Errorf("the refusal says %q", refusal.Text)
		}
	}
	dial(t, srv).ok(codec.OpPing)
	if n := srv.Info().Refused; n != 3 {
		t.Errorf("INFO counts %d refused", n)
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	const idle = 700 * time.Millisecond
	srv := startServer(t, func(cfg *Config) { cfg.IdleTimeout = idle })
	busy := dial(t, srv)
	start := time.Now()
	sleeper := dial(t, srv)
	closed := make(chan bool, 1)
	go func() { closed <- sleeper.closed() }()
	for waiting := true; waiting; {
		select {
		case wasClosed := <-closed:
			if !wasClosed {
				t.Error("an idle connection stays open")
			}
			waiting = false
		default:
			busy.ok(codec.OpPing)
		}
	}
	if took := time.Since(start); took < idle*9/10 {
		t.Errorf("closed after %v, the timeout is %v", took, idle)
	}
	busy.ok(codec.OpPing)
	if n := srv.Info().IdleClosed; n != 1 {
		t.Errorf("INFO counts %d closed for idleness", n)
	}
}

// TestSlowHandshake sends Hello a byte at a time: that does not extend the timeout.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dialSilent(t, srv)
	hello := newClient(nil, *encrypted).Hello(nil)
	drip := time.NewTicker(500 * time.Millisecond)
	defer drip.Stop()
	start := time.Now()
	go func() {
		for _, b := range hello[:len(hello)-1] {
			<-drip.C
			if _, err := w.conn.Write([]byte{b}); err != nil {
				return
			}
		}
	}()
	if !w.closed() {
		t.Error("not closed")
	}
	if took := time.Since(start); took < handshakeTime*9/10 || took > handshakeTime+3*time.Second {
		t.Errorf("closed after %v", took)
	}
	_, _, err := newClient(nil, *encrypted).Next(w.in, nil)
	var refusal *secure.Refusal
	if !errors.As(err, &refusal) || refusal.Code != secure.RefusedTimeout {
		t.Errorf("got %x, %v, want a refusal for slowness", w.in, err)
	}
	dial(t, srv).ok(codec.OpPing)
}
