package loop

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// TestLoadFails: whichever operation of the file system fails during a load (each run draws a few), the tables are there whole or not at all; what is acknowledged afterwards
// is there after a power cut, and so are the tables, if the load was acknowledged, and not if it failed.
func TestLoadFails(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	first := newDisk()
	srv := keptServer(t, first, nil)
	someChanges(dial(t, srv))
	want := keptText(srv)
	stopServer(t, srv)
	file := bytes.Clone(first.Bytes("data/data.cdb"))

	const most = 200
	for n := 1 + rng.Int64N(4); ; n += 1 + rng.Int64N(6) { // all of them take 40 s under the race detector
		disk := newDisk()
		disk.Put("data/copy.cdb", file)
		var left atomic.Int64
		faults := &fstest.Faults{FS: disk, Fail: func(int, string, string) error {
			if left.Load() > 0 && left.Add(-1) == 0 {
				return syscall.EIO
			}
			return nil
		}}
		srv := startFailing(t, faults)
		w := dial(t, srv)
		left.Store(n)
		_, err := srv.saver.load("data/copy.cdb")
		met := left.Swap(0) <= 0
		inMemory := keptText(srv)
		if inMemory != want && inMemory != "" || err == nil && inMemory != want {
			t.Fatalf("operation %d: %v: in memory is\n%s", n, err, inMemory)
		}
		acknowledged := w.call(codec.OpCreateDict, "after", false, "a", 1).Status == codec.StatusOK
		if acknowledged {
			inMemory = keptText(srv)
		}
		again := keptServer(t, disk.PowerCut(rng), nil)
		if got := keptText(again); got != inMemory && (acknowledged || err == nil || got != want) {
			t.Fatalf("operation %d: %v: after the power cut\n%s\ninstead of\n%s", n, err, got, inMemory)
		}
		stopServer(t, again)
		_ = w.conn.Close()
		if err := srv.Stop(context.Background()); err != nil && !strings.Contains(err.Error(), "input/output") {
			t.Fatal(err)
		}
		if !met {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if n > most {
			t.Fatalf("a load of %d operations", n)
		}
	}
}

func startFailing(t *testing.T, fsys persist.FS) *Server {
	t.Helper()
	srv, err := Start(Config{Addr: "127.0.0.1:0", Password: testPassword, KDF: testKDF, Encrypt: *encrypted, Data: dataOn(fsys, func(d *Data) { d.Fsync = persist.Always }), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}
