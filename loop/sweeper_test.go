package loop

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestIdleTimeAfterSleep: the time that a silent connection has begins with its last request, also
// if the server has slept before that.
func TestIdleTimeAfterSleep(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	srv := startServer(t, func(cfg *Config) { cfg.IdleTimeout = timeout })
	w := dial(t, srv)
	var last time.Time
	for range 4 {
		time.Sleep(timeout / 2) // a client that says nothing
		last = time.Now()
		w.ok(codec.OpPing)
	}
	if _, err := w.reply(); err == nil {
		t.Fatal("a reply to no request")
	}
	if silent := time.Since(last); silent < timeout-100*time.Millisecond || silent > timeout+5*time.Second {
		t.Errorf("closed after %v of silence, not %v", silent, timeout)
	}
	if n := srv.Info().IdleClosed; n != 1 {
		t.Errorf("%d idle connections are closed", n)
	}
}

// TestSilentAfterSleep: a connection that sends nothing is closed, although the server slept when
// it came.
func TestSilentAfterSleep(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	dial(t, srv).ok(codec.OpPing)
	time.Sleep(time.Second) // a server without requests
	start := time.Now()
	closed := dialSilent(t, srv).closed()
	if took := time.Since(start); !closed || took > handshakeTime+5*time.Second {
		t.Errorf("closed: %v, after %v", closed, took)
	}
}

// TestSavedWhileIdle: what the last client has changed is saved when it is due, though no request
// comes any more.
func TestSavedWhileIdle(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) {
		cfg.Data = Data{File: filepath.Join(t.TempDir(), "data.cdb"), NoJournal: true, Cycle: 2 * time.Second}
	})
	for i := range 2 {
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, fmt.Sprint("table ", i), false, "k", "v")
		_ = w.conn.Close()
		within(t, testTimeout, func() error {
			if info := srv.Info(); info.Connections > 0 || info.Clock == 0 || info.Data.SavedClock != info.Clock {
				return fmt.Errorf(
					"%d connections, change %d, saved up to %d",
					info.Connections,
					info.Clock,
					info.Data.SavedClock,
				)
			}
			return nil
		})
	}
}
