package persist_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

func mustLock(t *testing.T, fsys persist.FS, name string) persist.File {
	t.Helper()
	lock, err := persist.LockFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// TestLockFile: one process at a time has the lock, and the error of others names it.
func TestLockFile(t *testing.T) {
	for _, fsys := range []persist.FS{persist.OS, fstest.NewDisk()} {
		name := filepath.Join(t.TempDir(), "lock")
		if err := fsys.MkdirAll(filepath.Dir(name)); err != nil {
			t.Fatal(err)
		}
		first := mustLock(t, fsys, name)
		_, err := persist.LockFile(fsys, name)
		want := fmt.Sprintf("%s is locked by process %d", name, os.Getpid())
		if !errors.Is(err, persist.ErrLocked) || err.Error() != want {
			t.Fatalf("got %v, want %s", err, want)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := persist.RemoveLock(fsys, name, mustLock(t, fsys, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Open(name); err == nil {
			t.Fatal("the file is still there")
		}
	}
}

// TestLocksThatAreRemoved: while locks come and go with their files, no two have one at the same
// time.
func TestLocksThatAreRemoved(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	var holders, had atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				lock, err := persist.LockFile(persist.OS, name)
				if errors.Is(err, persist.ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two have the lock")
				}
				had.Add(1)
				holders.Add(-1)
				if err := persist.RemoveLock(persist.OS, name, lock); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if had.Load() == 0 {
		t.Error("the lock was free")
	}
}

// TestLockOnFullDisk: a lock is held on a full disk, and on one that can only be read, if its file
// is there.
func TestLockOnFullDisk(t *testing.T) {
	for op, errno := range map[string]syscall.Errno{"write": unix.ENOSPC, "edit": unix.EROFS} {
		disk := fstest.NewDisk()
		disk.Put("lock", []byte("12345\n"))
		fsys := &fstest.Faults{FS: disk, Fail: func(_ int, did, _ string) error {
			if did == op {
				return errno
			}
			return nil
		}}
		mustLock(t, fsys, "lock")
		if _, err := persist.LockFile(fsys, "lock"); !errors.Is(err, persist.ErrLocked) {
			t.Errorf("%s: locked twice: %v", op, err)
		}
	}
}

// part is what a save has left that was killed: some of the file, or the zeros of a length that was
// on disk before its bytes.
func leftParts(t *testing.T) map[string][]byte {
	t.Helper()
	disk := fstest.NewDisk()
	write(t, disk, "x.cdb", smallContent(), persist.S2)
	whole := disk.Bytes("x.cdb")
	return map[string][]byte{
		"empty": nil, "begun": whole[:3], "half": whole[:len(whole)/2], "whole": whole, "zeros": make([]byte, 5000),
	}
}

// TestAbandonedParts: what a killed save has left goes with the next save of that name, and at a
// start with all others in the directory; what is being written, what an operator keeps, and what
// no save has made, stay.
func TestAbandonedParts(t *testing.T) {
	for how, left := range leftParts(t) {
		disk := fstest.NewDisk()
		disk.Put("data/x.cdb.part", left)
		write(t, disk, "data/x.cdb", smallContent(), persist.S2)
		if got := disk.Names(); !slices.Equal(got, []string{"data/x.cdb"}) {
			t.Errorf("%s: there are %v", how, got)
		}
		keep := []string{
			"data/data.cdb",
			"data/data.cdb.damaged",
			"data/data.cdb.prev",
			"data/letter.cdb.part",
			"data/live.cdb.part",
			"data/x.part",
			"other/y.cdb.part",
		}
		for _, name := range keep {
			disk.Put(name, left)
		}
		disk.Put("data/letter.cdb.part", []byte("Dear Ada, this is no database"))
		abandoned := []string{"data/data.cdb.load", "data/data.cdb.part", "data/y.cdb.part"}
		for _, name := range abandoned {
			disk.Put(name, left)
		}
		disk.Put("data/y.cdb.lock", []byte("12345\n"))
		mustLock(t, disk, "data/data.cdb.lock")
		live, err := disk.Open("data/live.cdb.part")
		if err != nil {
			t.Fatal(err)
		}
		if err := live.Lock(); err != nil {
			t.Fatal(err)
		}
		removed, err := persist.RemoveAbandoned(
			disk,
			"data",
			persist.ID{},
			"data/data.cdb.load",
			"data/data.cdb.load.part",
		)
		slices.Sort(removed)
		if err != nil || !slices.Equal(removed, abandoned) {
			t.Errorf("%s: removed %v, %v", how, removed, err)
		}
		if _, err := persist.LockFile(disk, "data/data.cdb.lock"); !errors.Is(err, persist.ErrLocked) {
			t.Errorf("%s: the lock of the data file: %v", how, err)
		}
		if disk.Bytes("data/y.cdb.lock") != nil {
			t.Errorf("%s: a lock without a save stays", how)
		}
		for _, name := range keep {
			if disk.Bytes(name) == nil && left != nil {
				t.Errorf("%s: %s is gone", how, name)
			}
		}
		_, err = persist.WriteFile(disk, "data/live.cdb", stamp, persist.S2, smallContent().fill)
		if !errors.Is(err, persist.ErrLocked) || disk.Bytes("data/live.cdb") != nil {
			t.Errorf("%s: a file that is being written: %v", how, err)
		}
	}
}

// TestSavesOfOneName: concurrent saves to one file succeed completely, or return an error.
func TestSavesOfOneName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.cdb")
	c := randomContent(seed(t), 10, 10)
	var all sync.WaitGroup
	var done atomic.Int64
	for range 4 {
		all.Go(func() {
			for range 30 {
				_, err := persist.WriteFile(persist.OS, name, stamp, persist.S2, c.fill)
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, persist.ErrLocked) && !errors.Is(err, os.ErrExist):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, err := load(persist.OS, name, 1); err != nil || got.String() != c.String() || done.Load() == 0 {
		t.Errorf("%d saves: %v", done.Load(), err)
	}
	if left, err := filepath.Glob(name + ".part"); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestClaim: a file that is a server's, or another database's, or no database, is not overwritten,
// unless that is requested and allowed.
func TestClaim(t *testing.T) {
	mine, other := persist.ID{1}, persist.ID{2}
	file := func(id persist.ID) []byte {
		disk := fstest.NewDisk()
		of := persist.Stamp{Database: id, LSN: 1}
		if _, err := persist.WriteFile(disk, "x", of, persist.S2, smallContent().fill); err != nil {
			t.Fatal(err)
		}
		return disk.Bytes("x")
	}
	letter, damaged := []byte("Dear Ada"), file(mine)
	damaged[20] ^= 1
	put := func(name string, b []byte) func(*fstest.Disk) { return func(d *fstest.Disk) { d.Put("data/"+name, b) } }
	locked := func(name string) func(*fstest.Disk) {
		return func(d *fstest.Disk) { mustLock(t, d, "data/"+name) }
	}
	held := func(d *fstest.Disk) {
		d.Put("data/a.cdb", file(mine))
		if err := d.Link("data/a.cdb", "data/x.cdb"); err != nil {
			t.Fatal(err)
		}
		if _, err := persist.LockDataFile(d, "data/a.cdb"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what    string
		there   func(*fstest.Disk)
		own     string
		refused error
		always  bool // with Replace too
	}{
		{what: "nothing", there: func(*fstest.Disk) {}},
		{what: "an older save", there: put("x.cdb", file(mine))},
		{what: "an empty file", there: put("x.cdb", nil)},
		{what: "another database", there: put("x.cdb", file(other)), refused: persist.ErrTaken},
		{what: "another database before", there: put("x.cdb.prev", file(other)), refused: persist.ErrTaken},
		{what: "damaged", there: put("x.cdb", damaged), refused: persist.ErrTaken},
		{what: "a journal", there: put("x.cdb.journal/000003.log", nil), refused: persist.ErrTaken},
		{what: "no journal", there: put("x.cdb.journal/notes.txt", nil)},
		{what: "the link's journal", there: put("link.cdb.journal/000003.log", nil), refused: persist.ErrTaken},
		{what: "no database", there: put("x.cdb", letter), refused: persist.ErrForeign, always: true},
		{what: "a server without a file", there: locked("x.cdb.lock"), refused: persist.ErrLocked, always: true},
		{what: "a server's, by another name", there: held, refused: persist.ErrLocked, always: true},
		{what: "its own, by another name", there: held, own: "data/a.cdb"},
	} {
		for _, replace := range []bool{false, true} {
			disk := fstest.NewDisk()
			if err := disk.MkdirAll("data"); err != nil {
				t.Fatal(err)
			}
			c.there(disk)
			if c.own == "" {
				c.own = "data/own.cdb"
			}
			want := c.refused
			if replace && !c.always {
				want = nil
			}
			before := disk.String()
			by := persist.Claimant{File: c.own, Database: mine, Replace: replace}
			release, err := persist.Claim(disk, "data/link.cdb", "data/x.cdb", by)
			if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), "data/x.cdb") {
				t.Errorf("%s, replace %v: %v", c.what, replace, err)
			}
			if err == nil {
				if _, err := persist.Claim(disk, "data/x.cdb", "data/x.cdb", by); !errors.Is(err, persist.ErrLocked) {
					t.Errorf("%s, replace %v: claimed twice: %v", c.what, replace, err)
				}
				release()
			}
			if got := disk.String(); got != before {
				t.Errorf("%s, replace %v: there were\n%sand there are\n%s", c.what, replace, before, got)
			}
		}
	}
}

// TestClaimWithoutLocks: where a file system has no locks no server can run, and saving works.
func TestClaimWithoutLocks(t *testing.T) {
	disk := fstest.NewDisk()
	fsys := &fstest.Faults{FS: disk, Fail: func(_ int, op, _ string) error {
		if op == "lock" {
			return unix.ENOLCK
		}
		return nil
	}}
	if _, err := persist.LockFile(fsys, "x.cdb.lock"); !persist.NoLocks(err) {
		t.Fatal(err)
	}
	_ = disk.Remove("x.cdb.lock")
	release, err := persist.Claim(fsys, "x.cdb", "x.cdb", persist.Claimant{})
	if err != nil {
		t.Fatal(err)
	}
	disk.Put("x.cdb.part", nil)
	write(t, fsys, "x.cdb", smallContent(), persist.S2)
	release()
	if got := disk.Names(); !slices.Equal(got, []string{"x.cdb"}) {
		t.Errorf("there are %v", got)
	}
}

// TestPanicWhileWriting: after a panic in the middle of a file the next save of that name is made.
func TestPanicWhileWriting(t *testing.T) {
	disk := fstest.NewDisk()
	func() {
		defer func() { _ = recover() }()
		_, _ = persist.WriteFile(disk, "x.cdb", stamp, persist.S2, func(*persist.Writer) error { panic("a defect") })
	}()
	if got := disk.Names(); len(got) > 0 {
		t.Errorf("there are %v", got)
	}
	write(t, disk, "x.cdb", smallContent(), persist.S2)
}
