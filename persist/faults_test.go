package persist_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// faultScenario runs a database on a failing file system twice, the second time from what the first
// has left, and returns both histories' last. It ends early if a start fails. The same seed does
// the same operations. *bearable, if not nil, reports whether the journal must outlive what has
// failed; it has, if borne.
func faultScenario(t *testing.T, faults *fstest.Faults, disk *fstest.Disk, seed uint64, bearable *bool) (borne bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	var history *model
	acked := uint64(0)
	for range 2 {
		db, err := open(faults, persist.Always, history)
		if err != nil {
			if errors.Is(err, persist.ErrDamaged) || errors.Is(err, persist.ErrMismatch) || !isFault(err) {
				t.Fatalf("a failing operation was taken for something else: %v", err)
			}
			break
		}
		if err := db.journal.Err(); err != nil { // it started for reading alone
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the journal is broken from the beginning by %v", err)
			}
			break
		}
		db.work(rng, 40)
		err = db.journal.Err()
		borne = bearable != nil && *bearable
		switch {
		case errors.Is(err, persist.ErrClosed):
		case !isFault(err):
			t.Fatalf("the journal is broken by %v", err)
		case borne:
			t.Fatalf("the journal is broken, though only its next segment could not be begun: %v", err)
		}
		history, acked = db.model, db.acked.Load()
		for range 3 {
			if err := verify(disk.PowerCut(rng), history, acked); err != nil {
				t.Fatalf("after a power cut: %v", err)
			}
		}
	}
	if history == nil {
		history = newModel()
	}
	if err := verify(disk, history, acked); err != nil {
		t.Fatal(err)
	}
	// With a repaired disk it continues.
	db, err := open(disk, persist.Always, history)
	if err != nil {
		t.Fatal(err)
	}
	db.work(rng, 5)
	if err := verify(disk.PowerCut(rng), db.model, db.last); err != nil {
		t.Fatal(err)
	}
	return borne
}

func isFault(err error) bool { return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) }

// TestEveryFault fails each operation of a scenario, one at a time and all from it on, with EIO and
// ENOSPC: what was acknowledged is there afterwards, and failures are reported. If only a segment
// cannot be begun, everything continues.
func TestEveryFault(t *testing.T) {
	s := *seedFlag + 1
	whole := &fstest.Faults{FS: fstest.NewDisk()}
	faultScenario(t, whole, whole.FS.(*fstest.Disk), s, nil)
	n := whole.Count()
	if n < 100 {
		t.Fatalf("the scenario has %d operations only", n)
	}
	runs, borne := 0, 0
	for i := 1; i <= n; i++ {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			for name, fail := range map[string]func(int, syscall.Errno) func(int, string, string) error{"alone": fstest.NthFails, "and all after": fstest.AllFailFrom} {
				disk := fstest.NewDisk()
				fails, bearable := fail(i, errno), false
				faults := &fstest.Faults{
					FS:    disk,
					Short: rand.New(rand.NewPCG(s, uint64(i))),
					Fail: func(n int, op, file string) error {
						bearable = bearable || n == i && name == "alone" && begins(disk, op, file)
						return fails(n, op, file)
					},
				}
				ok := t.Run(fmt.Sprintf("%d %s %v", i, name, errno), func(t *testing.T) {
					if faultScenario(t, faults, disk, s, &bearable) {
						borne++
					}
				})
				if runs++; !ok {
					return
				}
			}
		}
	}
	if borne == 0 {
		t.Fatal("in no run a segment alone could not be begun")
	}
	t.Logf(
		"faults: %d operations, %d runs, 0 acknowledged writes lost; the journal has outlived all %d segments that alone could not be begun",
		n,
		runs,
		borne,
	)
}

// begins reports whether an operation is one of those that begin a segment.
func begins(disk *fstest.Disk, op, name string) bool {
	switch op {
	case "syncdir":
		return name == journalDir
	case "create", "write":
		return strings.HasSuffix(name, ".log") && len(disk.Bytes(name)) < persist.SegmentHeaderBytes
	case "sync":
		return strings.HasSuffix(name, ".log") && len(disk.Bytes(name)) == persist.SegmentHeaderBytes
	}
	return false
}

// TestNothingAfterFault: after a failed sync the journal writes and acknowledges nothing, reports
// why, and reads continue.
func TestNothingAfterFault(t *testing.T) {
	for _, op := range []string{"sync", "write"} {
		disk := fstest.NewDisk()
		armed := false
		after := 0
		faults := &fstest.Faults{FS: disk, Fail: func(_ int, o, name string) error {
			if !armed || !strings.Contains(name, journalDir) {
				return nil
			}
			after++
			if o == op {
				return syscall.EIO
			}
			return nil
		}}
		db, err := open(faults, persist.Always, nil)
		if err != nil {
			t.Fatal(err)
		}
		set := func() {
			o := append([]byte("sa"), make([]byte, 700)...)
			db.append(0, 1, o)
			db.journal.Round(db.now)
		}
		set()
		durable := db.journal.Durable()
		if durable != 1 {
			t.Fatalf("durable up to %d", durable)
		}
		armed = true
		for db.journal.Err() == nil {
			set()
		}
		if !errors.Is(db.journal.Err(), syscall.EIO) {
			t.Fatal(db.journal.Err())
		}
		durable, after = db.journal.Durable(), 0
		for range 5 {
			set()
		}
		if err := db.journal.Sync(db.last); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: waiting for the disk gave %v", op, err)
		}
		if db.journal.Durable() != durable || after > 0 || db.journal.Pending() != 0 {
			t.Errorf(
				"%s: %d operations on files after it failed, durable %d then %d",
				op,
				after,
				durable,
				db.journal.Durable(),
			)
		}
		if err := db.journal.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: closing gave %v", op, err)
		}
		// What is in memory can still be saved, and the next start continues from there.
		armed = false
		db.save()
		if err := verify(disk, db.model, db.last); err != nil {
			t.Error(err)
		}
	}
}

// TestBrokenJournalIsIdle: once it is broken, the flusher of a journal that is synced each second
// does nothing by itself.
func TestBrokenJournalIsIdle(t *testing.T) {
	var reported atomic.Int64
	var armed atomic.Bool
	fsys := &fstest.Faults{FS: fstest.NewDisk(), Fail: func(_ int, op, _ string) error {
		if armed.Load() && op == "sync" {
			return syscall.EIO
		}
		return nil
	}}
	j, err := persist.OpenJournal(
		fsys,
		journalDir,
		persist.Options{Policy: persist.EverySecond, OnSync: func() { reported.Add(1) }},
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Replay(0, nil); err != nil {
		t.Fatal(err)
	}
	if err := j.Start(1, 0); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	j.Buffer().Append(1, 1, 0, []byte("not kept"))
	if err := j.Sync(1); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // beyond the time of the next sync
	if n := reported.Load(); n > 2 {
		t.Errorf("reported %d times", n)
	}
	if err := j.Close(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}
