package loop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// setVersion sets an entry, if ifVersion is not 0 only if its version is that, and returns the
// reply.
func setVersion(w *wire, value any, ifVersion uint64) codec.Reply {
	w.Helper()
	flags := codec.FlagWantVersion
	if ifVersion > 0 {
		flags |= codec.FlagIfVersion
	}
	w.id++
	w.write(
		codec.AppendRequest(
			nil,
			&codec.Request{
				ID:        w.id,
				Op:        codec.OpDictSet,
				Flags:     flags,
				IfVersion: ifVersion,
				Args:      encodeArgs(w.TB, "d", "k", value),
			},
		),
	)
	reply, err := w.reply()
	if err != nil {
		w.Fatal(err)
	}
	return reply
}

// TestVersionsNeverComeTwice: no two writes get the same version, under any policy and without a
// journal, whatever a power cut has lost, and with loads. A client that has the version of a lost
// write does not overwrite another.
func TestVersionsNeverComeTwice(t *testing.T) {
	t.Parallel()
	file, _ := savedFile(t)
	for name, change := range map[string]func(d *Data){
		"always":     func(d *Data) { d.Fsync = persist.Always },
		"everysec":   nil,
		"no":         func(d *Data) { d.Fsync = persist.Never },
		"no journal": func(d *Data) { d.NoJournal = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
			disk := newDisk()
			disk.Put("data/copy.cdb", file)
			given := map[uint64]int{} // version: of which run
			held := uint64(0)
			for run := range 6 {
				srv := keptServer(t, disk, change)
				w := dial(t, srv)
				w.ok(codec.OpCreateDict, "d", true)
				if held > 0 {
					if reply := setVersion(w, "stale", held); reply.Status == codec.StatusOK && rng.IntN(2) == 0 {
						held = 0 // the write was not lost
					}
				}
				for i := range 20 + rng.IntN(60) {
					reply := setVersion(w, fmt.Sprint(run, i), 0)
					if before, twice := given[reply.Version]; twice {
						t.Fatalf("run %d: version %d is given again, it was in run %d", run, reply.Version, before)
					}
					given[reply.Version], held = run, reply.Version
					switch rng.IntN(60) {
					case 0:
						w.ok(codec.OpSave)
					case 1:
						if _, err := srv.saver.load("data/copy.cdb", true); err != nil {
							t.Fatal(err)
						}
					}
				}
				disk = disk.PowerCut(rng)
			}
		})
	}
}

// TestStaleVersionIsRefused: a client has the version of a write that was lost with the server.
// After the restart no entry has that version.
func TestStaleVersionIsRefused(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	cut := func(disk *fstest.Disk) *fstest.Disk { return disk.PowerCut(rng) }
	kept := func(disk *fstest.Disk) *Server { return keptServer(t, disk, nil) }
	for name, test := range map[string]struct {
		start func(disk *fstest.Disk) *Server
		lose  func(disk *fstest.Disk) *fstest.Disk
	}{
		"everysec":   {kept, cut},
		"no journal": {func(disk *fstest.Disk) *Server { return keptServer(t, disk, func(d *Data) { d.NoJournal = true }) }, cut},
		"in memory":  {func(*fstest.Disk) *Server { return startServer(t, nil) }, cut},
		"wiped":      {kept, func(*fstest.Disk) *fstest.Disk { return newDisk() }},
	} {
		disk := newDisk()
		w := dial(t, test.start(disk))
		w.ok(codec.OpCreateDict, "d", false)
		held := setVersion(w, "lost", 0).Version
		w = dial(t, test.start(test.lose(disk)))
		w.ok(codec.OpCreateDict, "d", true)
		for i := range 50 {
			other := setVersion(w, "another client's", 0)
			if got := setVersion(w, "stale", held); got.Status != codec.StatusVersionMismatch {
				t.Fatalf(
					"%s: write %d, of version %d, was overwritten by a client with version %d: %v",
					name,
					i,
					other.Version,
					held,
					got.Status,
				)
			}
		}
	}
}

// TestLSNsRunOut: while the disk accepts no reservation, changes continue as long as LSNs are
// reserved, and are refused afterwards, with the reason. Reads continue. Changes are accepted again
// once LSNs can be reserved.
func TestLSNsRunOut(t *testing.T) {
	if raceEnabled {
		t.Skip("takes long: make check runs it without the race detector")
	}
	t.Parallel()
	var armed atomic.Bool
	faults := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, name string) error {
		if armed.Load() && op == "write" && strings.HasSuffix(name, ".numbers") {
			return syscall.EIO
		}
		return nil
	}}
	srv := keptServer(t, faults, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	armed.Store(true)
	many := make(rawValue, 1<<20-2) // elements: the integer 1
	for i := range many {
		many[i] = 1
	}
	refused := codec.Reply{}
	for i := 0; refused.Status == codec.StatusOK; i++ {
		if i > 1000 {
			t.Fatal("never refused")
		}
		if refused = w.call(codec.OpCreateList, "l", false, many); refused.Status == codec.StatusOK {
			refused = w.call(codec.OpDrop, "l")
		}
	}
	if text, err := codec.ParseErrorBody(
		refused.Status,
		refused.Body,
	); err != nil || refused.Status != codec.StatusReadOnly ||
		!strings.Contains(text.Message, syscall.EIO.Error()) {
		t.Errorf("refused: %v, %v, %v", refused.Status, text, err)
	}
	w.ok(codec.OpDictLen, "d")
	armed.Store(false)
	for until := time.Now().Add(testTimeout); w.call(codec.OpDictSet, "d", "k", 1).Status != codec.StatusOK; {
		if time.Now().After(until) {
			t.Fatal("refused for ever")
		}
	}
}
