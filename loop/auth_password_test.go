package loop

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAuthenticate: logins by the password itself are delayed, bounded and counted like those of
// the native protocol.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		srv := &Server{}
		srv.access.Store(&access{password: "right"})
		srv.acceptLog = &limitedLog{log: slog.New(slog.NewTextHandler(&log, nil)), last: map[string]*limitedMessage{}}
		srv.logins.init(1)
		guesser := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5}
		proxy := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}
		proxy6 := &net.TCPAddr{IP: net.IPv6loopback, Port: 5}
		login := func(peer net.Addr, password string, want error, delay time.Duration) {
			t.Helper()
			start := time.Now()
			if err := srv.Authenticate(t.Context(), peer, password); !errors.Is(err, want) {
				t.Errorf("%v with %q: %v, want %v", peer, password, err, want)
			}
			if took := time.Since(start); took != delay {
				t.Errorf("%v with %q took %v, want %v", peer, password, took, delay)
			}
		}
		login(guesser, "right", nil, 0)
		delay := time.Duration(0)
		for n, wrong := range []string{"", "righ", "right ", "Right", "x", "x", "x", "x", "x", "x"} {
			login(guesser, wrong, ErrPassword, delay)
			delay = min(firstLoginDelay<<n, maxLoginDelay)
		}
		login(proxy, "wrong", ErrPassword, 0) // of another machine, perhaps
		login(proxy6, "wrong", ErrPassword, firstLoginDelay)
		native := newQueued()
		srv.logins.add(&namedLogin{q: native, name: "native"}, originOf(proxy))
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if len(native.done) != 1 {
			t.Error("a native login from this machine waits for the delay of the proxy's clients")
		}
		login(proxy, "right", nil, 2*firstLoginDelay-2*time.Millisecond)
		login(guesser, "right", nil, delay-3*firstLoginDelay) // since the others have waited meanwhile
		if n := srv.counters.failedLogins.Load(); n != 12 || srv.counters.refused.Load() != 12 {
			t.Errorf("%d logins are counted", n)
		}
		if text := log.String(); !strings.Contains(
			text,
			`msg="login refused" peer=192.0.2.7:5 reason="wrong password"`,
		) ||
			strings.Contains(text, "Right") {
			t.Errorf("the log: %s", text)
		}

		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error)
		for range maxDelayedLogins {
			go func() { ends <- srv.Authenticate(ctx, guesser, "right") }()
		}
		synctest.Wait()
		login(guesser, "right", ErrTooManyLogins, 0)
		cancel()
		for range maxDelayedLogins {
			if err := <-ends; !errors.Is(err, context.Canceled) {
				t.Errorf("a login whose client has gone: %v", err)
			}
		}
		login(guesser, "right", nil, delay)
	})
}

// TestReady: a server is ready until it cannot keep changes, or stops.
func TestReady(t *testing.T) {
	t.Parallel()
	srv := startOnDisk(t, newDisk(), &bytes.Buffer{}, nil)
	if err := srv.Ready(); err != nil {
		t.Errorf("a new server: %v", err)
	}
	srv.journal.Fail(errors.New("the disk is gone"))
	if err := srv.Ready(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("with a broken journal: %v", err)
	}
	srv.draining.Store(true)
	if err := srv.Ready(); !errors.Is(err, errStopping) {
		t.Errorf("while it stops: %v", err)
	}
}
