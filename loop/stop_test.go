package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// slowSaves is a disk on which each write to the .cdb file takes a while. begun is closed with the
// first one.
func slowSaves(disk *fstest.Disk, begun chan struct{}) persist.FS {
	first := true // guarded by Faults
	return &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if op == "write" && isSaved(name) {
			if first {
				close(begun)
			}
			first = false
			time.Sleep(50 * time.Millisecond)
		}
		return nil
	}}
}

// isSaved says whether tables are written to a file: the reservation of LSNs ends in .part too.
func isSaved(name string) bool {
	return strings.HasSuffix(name, ".part") && !strings.HasSuffix(name, ".numbers.part")
}

// slowValues is how many values fillSlow sets, of 64 KiB that no codec makes smaller: slowSaves
// writes them for some ten seconds.
const slowValues = 200

func fillSlow(w *wire) {
	w.ok(codec.OpCreateDict, "d", false)
	rng := rand.NewChaCha8([32]byte{})
	for i := range slowValues {
		val := make([]byte, 64<<10)
		_, _ = rng.Read(val)
		w.ok(codec.OpDictSet, "d", i, val)
	}
}

// loggedServer is keptServer with a log. The test stops it.
func loggedServer(t *testing.T, fsys persist.FS, log chan string, change func(d *Data)) *Server {
	t.Helper()
	srv, err := Start(Config{
		Addr: "127.0.0.1:0", Password: testPassword, KDF: testKDF, Encrypt: *encrypted, Data: dataOn(fsys, change),
		Logger: slog.New(slog.NewTextHandler(messages(log), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// logged returns the line of a log that holds a text.
func logged(t *testing.T, log chan string, text string) string {
	t.Helper()
	var all strings.Builder
	for len(log) > 0 {
		line := <-log
		if strings.Contains(line, text) {
			return line
		}
		all.WriteString(line)
	}
	t.Fatalf("nothing in the log about %q:\n%s", text, all.String())
	return ""
}

// TestHurry: Hurry ends the save that has begun. The journal keeps every change; without one the
// log counts what is lost.
func TestHurry(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *Data){
		"always":     func(d *Data) { d.Fsync = persist.Always },
		"everysec":   nil,
		"no":         func(d *Data) { d.Fsync = persist.Never },
		"no journal": func(d *Data) { d.NoJournal = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk, begun, log := newDisk(), make(chan struct{}), make(chan string, 100)
			srv := loggedServer(t, slowSaves(disk, begun), log, change)
			fillSlow(dial(t, srv))
			ended := make(chan error, 1)
			go func() { ended <- srv.Stop(context.Background()) }()
			<-begun
			start := time.Now()
			srv.Hurry()
			srv.Hurry() // does no more
			err := <-ended
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("the end took %v", took)
			}
			kept := keptServer(t, disk.PowerCut(rand.New(rand.NewPCG(conformance.Seed(t), 0))), nil)
			table, ok := kept.store.Lookup(&shardmap.Call{}, []byte("d"))
			if name == "no journal" {
				want := fmt.Sprintf("changes=%d ", slowValues+1)
				line := logged(t, log, "lost: ")
				if ok || !errors.Is(err, ErrUnsaved) || !strings.Contains(line, want) {
					t.Errorf("the table is there: %v; %v; %s", ok, err, line)
				}
				return
			}
			if err != nil || !ok || table.Len() != slowValues {
				t.Errorf("%v; the table is there: %v", err, ok)
			}
			logged(t, log, "every change is on disk")
		})
	}
}

// TestHurryLoad: Hurry ends a load, which then has changed nothing.
func TestHurryLoad(t *testing.T) {
	t.Parallel()
	from := newDisk()
	first := keptServer(t, from, nil)
	w := dial(t, first)
	fillSlow(w)
	w.ok(codec.OpSave)
	for _, journal := range []bool{true, false} {
		disk, begun, log := newDisk(), make(chan struct{}), make(chan string, 100)
		other := filepath.Join(t.TempDir(), "data.cdb") // the real file system resolves its name
		if err := errors.Join(disk.MkdirAll(filepath.Dir(other)), os.WriteFile(other, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		disk.Put(other, from.Bytes("data/data.cdb"))
		srv := loggedServer(t, slowSaves(disk, begun), log, func(d *Data) {
			d.NoJournal, d.Control = !journal, filepath.Join(t.TempDir(), "control.sock")
		})
		dial(t, srv).ok(codec.OpCreateDict, "mine", false, "a", 1)
		var asking sync.WaitGroup
		asking.Go(func() {
			conn, err := net.Dial("unix", srv.cfg.Data.Control)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, `{"do":"load","path":%q,"replace":true}`+"\n", other)
			_, _ = io.Copy(io.Discard, conn) // to the end of the server
		})
		<-begun
		start := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- srv.Stop(context.Background()) }()
		srv.Hurry()
		if err := <-ended; errors.Is(err, ErrUnsaved) { // that its connection was dropped is no loss
			t.Errorf("with a journal: %v: %v", journal, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("with a journal: %v: the end took %v", journal, took)
		}
		asking.Wait()
		logged(t, log, "every change is on disk")
		again := keptServer(t, disk.PowerCut(rand.New(rand.NewPCG(conformance.Seed(t), 0))), nil)
		table, ok := again.store.Lookup(&shardmap.Call{}, []byte("mine"))
		if !ok || table.Len() != 1 || again.store.Len() != 1 {
			t.Errorf("with a journal: %v: %d tables, the old one among them: %v", journal, again.store.Len(), ok)
		}
	}
}

// TestStopSyncs: after Stop everything is on disk under every policy, also if the last save fails.
func TestStopSyncs(t *testing.T) {
	t.Parallel()
	for _, policy := range []persist.Policy{persist.Always, persist.EverySecond, persist.Never} {
		disk, log := newDisk(), make(chan string, 100)
		faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
			if op == "create" && isSaved(name) {
				return syscall.ENOSPC
			}
			return nil
		}}
		srv := loggedServer(t, faults, log, func(d *Data) { d.Fsync = policy })
		w := dial(t, srv)
		w.ok(codec.OpCreateDict, "d", false, "a", 1)
		if err := srv.Stop(context.Background()); !errors.Is(err, ErrUnsaved) {
			t.Errorf("%v: %v", policy, err)
		}
		logged(t, log, "every change is on disk")
		again := keptServer(t, disk.PowerCut(rand.New(rand.NewPCG(conformance.Seed(t), 0))), nil)
		if table, ok := again.store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() != 1 {
			t.Errorf("%v: a change is gone", policy)
		}
	}
}

// TestStopCounts: a stop that cannot write logs how many changes are lost; those before the last
// save, or the start, are not.
func TestStopCounts(t *testing.T) {
	t.Parallel()
	disk := newDisk()
	var full atomic.Bool
	faults := &fstest.Faults{FS: disk, Fail: func(_ int, op, name string) error {
		if full.Load() && op == "create" && isSaved(name) {
			return syscall.ENOSPC
		}
		return nil
	}}
	noJournal := func(d *Data) { d.NoJournal = true }
	log := make(chan string, 100)
	srv := loggedServer(t, faults, log, noJournal)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "a", 1, "b", 2)
	w.ok(codec.OpSave)
	if err := srv.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	logged(t, log, "every change is on disk")
	full.Store(true)
	log = make(chan string, 100)
	srv = loggedServer(t, faults, log, noJournal)
	w = dial(t, srv)
	for i := range 7 {
		w.ok(codec.OpDictSet, "d", i, i)
	}
	if err := srv.Stop(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if line := logged(t, log, "lost: "); !strings.Contains(line, "changes=7 ") {
		t.Error(line)
	}
}
