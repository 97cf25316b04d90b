package loop

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// savedFile returns the file that a server with the tables of someChanges saves, and their text.
func savedFile(t *testing.T) (file []byte, text string) {
	t.Helper()
	disk := newDisk()
	srv := keptServer(t, disk, nil)
	someChanges(dial(t, srv))
	text = contentOf(srv)
	stopServer(t, srv)
	return bytes.Clone(disk.Bytes("data/data.cdb")), text
}

var numbers = regexp.MustCompile(`(?m) (created|version \d+ place) \d+$`)

// contentOf is keptText without the LSNs, which a load assigns again.
func contentOf(srv *Server) string { return numbers.ReplaceAllString(keptText(srv), "") }

// contentIn is contentOf for a store that no server uses.
func contentIn(store *shardmap.Store) string {
	_, text, _ := strings.Cut(conformance.StoreText(store), "\n")
	return numbers.ReplaceAllString(text, "")
}

// TestLoadFails: whichever operation of the file system fails during a load (each run tries a few),
// the server has all tables of the file, or all that it had before. What is acknowledged afterwards
// survives a power cut, and so do the tables of the file if the load was acknowledged; if it
// failed, the old ones do.
func TestLoadFails(t *testing.T) {
	t.Parallel()
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %v", replace), func(t *testing.T) {
			t.Parallel()
			testLoadFails(t, replace)
		})
	}
}

func testLoadFails(t *testing.T, replace bool) {
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	file, want := savedFile(t)

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
		if replace {
			w.ok(codec.OpCreateDict, "d", false, "before", 1)
			w.ok(codec.OpCreateList, "before", false, 1)
			if rng.IntN(2) == 0 {
				w.ok(codec.OpSave)
			}
		}
		before := contentOf(srv)
		left.Store(n)
		_, err := srv.saver.load("data/copy.cdb", replace)
		met := left.Swap(0) <= 0
		inMemory := contentOf(srv)
		if err == nil && inMemory != want || err != nil && inMemory != before {
			t.Fatalf("operation %d: %v: in memory is\n%s", n, err, inMemory)
		}
		acknowledged := w.call(codec.OpCreateDict, "after", false, "a", 1).Status == codec.StatusOK
		if acknowledged {
			inMemory = contentOf(srv)
		}
		again := keptServer(t, disk.PowerCut(rng), nil)
		if got := contentOf(again); got != inMemory && (acknowledged || err == nil || got != want) {
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
	srv, err := Start(
		Config{
			Addr:     "127.0.0.1:0",
			Password: testPassword,
			KDF:      testKDF,
			Encrypt:  *encrypted,
			Data:     dataOn(fsys, func(d *Data) { d.Fsync = persist.Always }),
			Logger:   slog.New(slog.DiscardHandler),
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// TestLoadDelaysNoClient: while the disk hangs in the rename of a loaded file, the one event loop
// answers requests. Without replace, creations wait in the background, and succeed afterwards.
func TestLoadDelaysNoClient(t *testing.T) {
	t.Parallel()
	file, _ := savedFile(t)
	for _, replace := range []bool{false, true} {
		disk := newDisk()
		disk.Put("data/copy.cdb", file)
		held, release := make(chan struct{}), make(chan struct{})
		srv := startServer(t, func(cfg *Config) {
			cfg.EventLoops = 1
			cfg.Data = dataOn(&fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
				if op == "rename" && name == "data/data.cdb" {
					select {
					case <-held: // the save after the load
					default:
						close(held)
						<-release
					}
				}
				return nil
			}}, nil)
		})
		let := sync.OnceFunc(func() { close(release) })
		defer let()
		w := dial(t, srv)
		loaded := make(chan error, 1)
		go func() {
			_, err := srv.saver.load("data/copy.cdb", replace)
			loaded <- err
		}()
		<-held
		var creators []*wire
		for i := range maxProcessors + 2 { // more than may run in the background at once
			c := dial(t, srv)
			c.write(c.request(codec.OpCreateList, fmt.Sprint("new ", i), false))
			creators = append(creators, c)
		}
		created := func() {
			for _, c := range creators {
				if reply, err := c.reply(); err != nil || reply.Status != codec.StatusOK {
					t.Errorf("replace %v: a creation: %v, %v", replace, reply.Status, err)
				}
			}
		}
		w.ok(codec.OpPing)
		w.ok(codec.OpInfo)
		w.fails(codec.StatusNoSuchTable, codec.OpDictGet, "d", "n")
		w.fails(codec.StatusNoSuchTable, codec.OpDrop, "d")
		if replace {
			created()
		} else if got := w.ok(codec.OpTables); len(got) != 0 {
			t.Errorf("the tables are %v before they are on disk", got)
		}
		let()
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		if !replace {
			created()
		}
		w.ok(codec.OpDictGet, "d", "n")
	}
}
