package persist_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// TestFullDisk: whatever fills the disk, and whenever, all that was acknowledged because it had
// room is there after the process is killed.
func TestFullDisk(t *testing.T) {
	rng := seed(t)
	refused := 0
	for run := range 60 {
		disk := fstest.NewDisk()
		db, err := openWith(
			disk,
			persist.Options{
				Policy:        []persist.Policy{persist.EverySecond, persist.Never}[run%2],
				InFlightBytes: 4 << 10,
			},
			nil,
		)
		if err != nil {
			t.Fatal(err)
		}
		acked := uint64(0)
		for i := 0; i < 3000 && db.journal.Full() == nil; i++ {
			_ = db.numbers.Renew()
			op := append([]byte{'s', 'a' + byte(rng.IntN(6))}, make([]byte, rng.IntN(40_000))...)
			lsn := db.append(rng.IntN(3), 1, op)
			if db.journal.HasRoom(0) {
				acked = lsn
			}
			if i == 10 {
				disk.SetCapacity(1 << 20) // another program has taken the rest, or more than there is
			}
			if rng.IntN(12) == 0 {
				db.now = db.now.Add(300 * time.Millisecond)
				db.journal.Round(db.now)
			}
		}
		if db.journal.Full() != nil {
			refused++
		}
		db.journal.Round(db.now) // what a killed process has written within 10 ms
		if err := verify(disk, db.model, acked); err != nil {
			t.Fatalf("run %d: %v", run, err)
		}
		disk.SetCapacity(0)
		db.journal.Round(db.now.Add(time.Second))
		if err := db.journal.Full(); err != nil && db.journal.Err() == nil {
			t.Errorf("run %d: there is room again, and still: %v", run, err)
		}
	}
	if refused < 40 {
		t.Errorf("the disk was full in %d runs only", refused)
	}
}

// TestNoPreallocation: where the file system cannot reserve, replies do not wait for what
// it cannot do.
func TestNoPreallocation(t *testing.T) {
	faults := &fstest.Faults{FS: fstest.NewDisk(), Fail: func(_ int, op, _ string) error {
		if op == "allocate" {
			return fmt.Errorf("fallocate: %w", errors.ErrUnsupported)
		}
		return nil
	}}
	db, err := open(faults, persist.EverySecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.append(0, 1, []byte("sa"))
	if !db.journal.HasRoom(100 << 20) {
		t.Error("a reply waits")
	}
}

// TestPreallocationOnSmallFileSystem fills a real file system, and looks at what is there after a
// kill.
func TestPreallocationOnSmallFileSystem(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Logf(
			"not tested on a file system of its own, which needs root: %v, %s; TestFullDisk is the same on a simulated disk",
			err,
			out,
		)
		return
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	j, _ := startJournal(t, persist.OS, filepath.Join(dir, "journal"), persist.Options{})
	b := j.Buffer()
	acked := uint64(0)
	for lsn := uint64(1); j.Full() == nil; lsn++ {
		b.Append(lsn, 1, 0, make([]byte, 5000))
		if j.HasRoom(0) {
			acked = lsn
		}
		if lsn == 300 {
			for ; !j.HasRoom(0); time.Sleep(time.Millisecond) {
				if j.Err() != nil {
					t.Fatal(j.Err())
				}
			}
			acked = lsn
			if err := os.WriteFile(
				filepath.Join(dir, "ballast"),
				make([]byte, 6<<20),
				0o600,
			); !errors.Is(err, syscall.ENOSPC) &&
				err != nil {
				t.Fatal(err)
			}
		}
		if lsn > 10_000 {
			t.Fatal("never full")
		}
		if lsn%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	for until := time.Now().Add(30 * time.Second); j.Written() < acked && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if j.Written() < acked || acked < 300 {
		t.Errorf("%d were acknowledged, %d are written: %v", acked, j.Written(), j.Err())
	}
	_ = j.Close()
}

// TestStartOnFullDisk: there is no room to begin a segment: the start fails, and nothing is left of
// the try.
func TestStartOnFullDisk(t *testing.T) {
	disk := fstest.NewDisk()
	db, err := open(disk, persist.EverySecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.work(rand.New(rand.NewPCG(1, 1)), 10)
	disk.SetCapacity(1)
	names := disk.String()
	for range 3 {
		if _, err := open(disk, persist.EverySecond, db.model); !persist.NoRoom(err) {
			t.Errorf("started: %v", err)
		}
		if got := disk.String(); got != names {
			t.Errorf("the files are\n%s\ninstead of\n%s", got, names)
		}
	}
}

// TestMark: a second after the last write a record says that all is on disk, under every policy,
// once. From then on damage to any record is damage, not a torn tail.
func TestMark(t *testing.T) {
	for _, policy := range []persist.Policy{persist.Always, persist.EverySecond, persist.Never} {
		disk := fstest.NewDisk()
		db, err := open(disk, policy, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			db.append(0, 1, []byte("sax"))
			db.journal.Round(db.now)
		}
		before := len(disk.Bytes(firstSegment))
		size := db.journal.Size()
		for i := range 20 {
			db.journal.Round(db.now.Add(time.Duration(i) * 300 * time.Millisecond))
		}
		if got := db.journal.Size() - size; got != persist.RecordHeaderBytes || db.journal.Durable() != db.last {
			t.Fatalf("%v: %d bytes were written, durable up to %d of %d", policy, got, db.journal.Durable(), db.last)
		}
		if after := len(disk.Bytes(firstSegment)); policy == persist.Always && after != before {
			t.Errorf("%v: the segment's length has changed", policy)
		}
		killed := disk.Bytes(firstSegment)
		for i := persist.SegmentHeaderBytes; i < int(size); i++ {
			flip(disk, firstSegment, i)
			if _, _, _, err := recoverWith(disk, startOf(persist.Options{})); !errors.Is(err, persist.ErrDamaged) {
				t.Fatalf("%v: damage at byte %d: %v", policy, i, err)
			}
			disk.Put(firstSegment, killed)
		}
	}
}

// TestIdleJournalWritesOneMark: an idle journal writes one mark, and nothing else.
func TestIdleJournalWritesOneMark(t *testing.T) {
	disk := fstest.NewDisk()
	faults := &fstest.Faults{FS: disk}
	j, _ := startJournal(t, faults, "j", persist.Options{})
	j.Buffer().Append(1, 1, 0, []byte("a"))
	marked := int64(persist.SegmentHeaderBytes + persist.RecordHeaderBytes + 3 + persist.RecordHeaderBytes)
	for until := time.Now().Add(30 * time.Second); j.Size() < marked; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d bytes, and no mark", j.Size())
		}
	}
	time.Sleep(100 * time.Millisecond) // the mark's sync
	operations := faults.Count()
	time.Sleep(2500 * time.Millisecond) // beyond any sync and mark
	if n := faults.Count() - operations; n > 0 {
		t.Errorf("%d operations on files while it was idle", n)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornTailIsKept: what is cut of a torn tail is kept, and what an earlier start has kept stays;
// the cut says how much it is. Beyond a limit nothing more is kept, and the cut says so.
func TestTornTailIsKept(t *testing.T) {
	disk := fstest.NewDisk()
	db, err := open(disk, persist.Never, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 6 {
		db.append(0, 1, []byte("sax"))
		db.journal.Round(db.now)
	}
	whole := disk.Bytes(firstSegment)
	kept := map[string]string{}
	for i := range 4 {
		torn := append([]byte(nil), whole...)
		torn[len(torn)/2+i] ^= 1
		disk.Put(firstSegment, torn)
		full := i == 3
		if full {
			disk.Put(journalDir+"/000001.log.9.damaged", make([]byte, 256<<20))
		}
		r, _, warned, err := recoverWith(disk, startOf(persist.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		cut := r.Replay.Truncation
		if cut == nil || cut.Damaged || cut.LSN != r.Last+1 || cut.Operations < 1 ||
			!strings.Contains(warned, fmt.Sprintf("from LSN %d on", cut.LSN)) {
			t.Fatalf("%+v: %s", cut, warned)
		}
		if err := r.Journal.StartByHand(r.Clock+1, 0); err != nil {
			t.Fatal(err)
		}
		switch {
		case full && (len(cut.SavedAs) > 0 || cut.SaveErr == nil):
			t.Errorf("kept beyond the limit: %+v", cut)
		case !full && len(cut.SavedAs) != 1:
			t.Fatalf("not kept: %+v", cut)
		case !full:
			kept[cut.SavedAs[0]] = string(torn[cut.Offset:])
		}
		_ = r.Journal.Close()
		for _, name := range segmentsOf(disk) {
			_ = disk.Remove(name)
		}
	}
	if len(kept) != 3 {
		t.Errorf("kept as %v", kept)
	}
	for name, want := range kept {
		if got := string(disk.Bytes(name)); got != want {
			t.Errorf("%s holds something else", name)
		}
	}
}

// TestDamagedRecordHead: an operation whose record's head is damaged counts as lost, since a later
// record shows that it is missing.
func TestDamagedRecordHead(t *testing.T) {
	disk := fstest.NewDisk()
	db, err := open(disk, persist.EverySecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.append(0, 1, []byte("sax"))
	for i := range 3 { // until there is a mark
		db.journal.Round(db.now.Add(time.Duration(i) * time.Second))
	}
	flip(disk, firstSegment, persist.SegmentHeaderBytes)
	r, _, _, err := recoverWith(disk, startOf(persist.Options{Repair: true}))
	if err != nil || r.Lost().Operations != 1 || r.Lost().From != 1 || r.Lost().Bytes == 0 {
		t.Errorf("%+v, %v", r.Lost(), err)
	}
}
