package loop

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// TestPendingReplyIsSent: a reply is sent although its change was on disk before the event loop
// waited for that.
func TestPendingReplyIsSent(t *testing.T) {
	t.Parallel()
	srv := keptServer(t, newDisk(), func(d *Data) { d.Fsync = persist.Always })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	go func() { // asks for a sync all the time, as other clients do
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				srv.journal.RequestSync(srv.store.Clock() + 1)
				runtime.Gosched()
			}
		}
	}()
	for i := range 300 {
		w.ok(codec.OpDictSet, "d", "a", i)
	}
}

// TestReadsDoNotWait: a read that makes a cut, such as that of a large value, does not wait for the
// disk, and succeeds when the disk has failed.
func TestReadsDoNotWait(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	faults := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, _ string) error {
		if armed.Load() && op == "sync" {
			return syscall.EIO
		}
		return nil
	}}
	srv, err := Start(Config{
		Addr:     "127.0.0.1:0",
		Password: testPassword,
		KDF:      testKDF,
		Encrypt:  *encrypted,
		Logger:   slog.New(slog.DiscardHandler),
		Data:     dataOn(faults, func(d *Data) { d.Fsync = persist.Always }),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, srv)
	large := strings.Repeat("x", 3<<20)
	w.ok(codec.OpCreateDict, "d", false, "large", large)
	armed.Store(true)
	w.fails(codec.StatusNotDurable, codec.OpDictSet, "d", "a", 2)
	if got := w.ok(codec.OpDictGet, "d", "large"); got[0] != large {
		t.Error("another value")
	}
	if err := srv.Stop(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Errorf("stopped: %v", err)
	}
}

// TestPendingReplyAndIdle: a connection is idle once its reply has waited for the disk, like any
// other.
func TestPendingReplyAndIdle(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) {
		cfg.IdleTimeout = 300 * time.Millisecond
		cfg.Data = dataOn(newDisk(), func(d *Data) { d.Fsync = persist.Always })
	})
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	if !w.closed() {
		t.Error("still open")
	}
}

// TestManyLargePendingReplies: the replies of a connection that wait for the disk are bounded, so
// that a client that reads is not closed when all are sent at once.
func TestManyLargePendingReplies(t *testing.T) {
	t.Parallel()
	blocked, release := make(chan struct{}), make(chan struct{})
	var hold atomic.Bool
	faults := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".log") && hold.CompareAndSwap(true, false) {
			close(blocked)
			<-release
		}
		return nil
	}}
	srv := keptServer(t, faults, func(d *Data) { d.Fsync = persist.Always })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	const values, size = 96, 800 << 10
	for i := 0; i < values; i += 24 {
		args := []any{"d"}
		for k := range 24 {
			args = append(args, i+k, strings.Repeat("x", size))
		}
		w.ok(codec.OpDictUpdate, args...)
	}
	before := srv.store.Clock()
	hold.Store(true)
	for range values {
		w.write(w.request(codec.OpDictPopItem, "d"))
	}
	w.write(w.request(codec.OpPing))
	<-blocked
	// until the server pauses the client, or has answered all
	for paused := 0; paused == 0 && srv.store.Clock() < before+values; {
		srv.sessions.eachPaused(func(*session) { paused++ })
		runtime.Gosched()
	}
	close(release)
	for range values + 1 {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Fatal(reply.Status, err)
		}
	}
}

// TestSlowDiskWhileSaving: changes are refused while too much waits to be written, also while a
// save waits for the same disk. Replies to changes without reserved room on the disk wait; refusals
// do not.
func TestSlowDiskWhileSaving(t *testing.T) {
	t.Parallel()
	var hold atomic.Bool
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let()
	faults := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, name string) error {
		if op == "write" && strings.HasSuffix(name, ".log") && hold.CompareAndSwap(true, false) {
			<-release
		}
		return nil
	}}
	srv := startLimited(t, func(cfg *Config) {
		cfg.Data = dataOn(faults, func(d *Data) { d.Cycle = time.Millisecond })
	}, func(l *limits) { l.backlogBytes = 1 << 20 })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	hold.Store(true)
	w.ok(codec.OpDictSet, "d", "a", 1)
	for srv.saver.saving.TryLock() { // until the saver is in it
		srv.saver.saving.Unlock()
		runtime.Gosched()
	}
	value := strings.Repeat("x", 2<<10)
	until := time.Now().Add(testTimeout)
	const ahead = 1000 // more than limits.backlogBytes, and more than the room
	for range ahead {
		w.write(w.request(codec.OpDictSet, "d", "a", value))
	}
	for !srv.backlogged.Load() {
		if time.Now().After(until) {
			t.Fatal("never backlogged")
		}
		runtime.Gosched()
	}
	w.write(w.request(codec.OpDictSet, "d", "a", value))
	answered := 0
	for status := codec.StatusOK; status != codec.StatusOverloaded; answered++ {
		reply, err := w.reply()
		if err != nil {
			t.Fatal("never refused:", err)
		}
		status = reply.Status
	}
	if answered > ahead {
		t.Error("all changes were acknowledged, and the room on the disk is less")
	}
	let()
	for ; answered <= ahead; answered++ {
		if _, err := w.reply(); err != nil {
			t.Fatal(err)
		}
	}
	for w.call(codec.OpDictSet, "d", "a", 1).Status != codec.StatusOK {
		if time.Now().After(until) {
			t.Fatal("refused for ever")
		}
	}
}
