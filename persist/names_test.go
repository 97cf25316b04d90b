package persist_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// within fails the test if f does not return soon.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: it hangs", what)
		return nil
	}
}

// special makes what is no regular file, of each kind.
var special = []struct {
	kind string
	make func(name string) error
}{
	{"a pipe", func(name string) error { return unix.Mkfifo(name, 0o600) }},
	{"a directory", func(name string) error { return os.Mkdir(name, 0o700) }},
	{"a socket", func(name string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}), unix.Close(fd))
	}},
	{"a symbolic link", func(name string) error { return os.Symlink("whole.cdb", name) }},
	{"a symbolic link", func(name string) error { return os.Symlink("nothing.cdb", name) }},
	{"a symbolic link", func(name string) error { return os.Symlink("/dev/zero", name) }},
}

// uses are what is done with the file of a name: with that itself, or with what is at another name.
var uses = map[string]struct {
	suffix string
	do     func(name string) error
}{
	"open":           {"", func(name string) error { _, err := persist.OS.Open(name); return err }},
	"edit":           {"", func(name string) error { _, err := persist.OS.Edit(name); return err }},
	"read":           {"", func(name string) error { _, err := persist.Open(persist.OS, name); return err }},
	"hold":           {"", func(name string) error { _, err := persist.LockDataFile(persist.OS, name); return err }},
	"claim":          {"", claimOnly},
	"claim its lock": {".lock", claimOnly},
	"salvage":        {"", func(name string) error { return salvage(name, name+".new") }},
	"salvage to": {
		"",
		func(name string) error { return salvage(filepath.Join(filepath.Dir(name), "whole.cdb"), name) },
	},
	"write":            {"", writeOnly},
	"write with prev":  {".prev", writeOnly},
	"write with part":  {".part", writeOnly},
	"recover":          {"", recoverOnly},
	"recover its prev": {".prev", recoverOnly},
	"recover its part": {".part", recoverOnly},
	"a segment":        {".journal/000001.log", recoverOnly},
}

func claimOnly(name string) error {
	_, err := persist.Claim(persist.OS, name, name, persist.Claimant{Replace: true})
	return err
}

func salvage(name, to string) error {
	_, err := persist.Salvage(persist.OS, name, to)
	return err
}

func writeOnly(name string) error {
	_, err := persist.WriteFile(persist.OS, name, stamp, persist.S2, func(*persist.Writer) error { return nil })
	return err
}

func recoverOnly(name string) error {
	start := persist.Start{File: name, Journal: persist.JournalName(name), Workers: 1}
	_, err := persist.Recover(persist.OS, start, &loader{model: newModel()})
	return err
}

// TestOnlyRegularFiles: anything other than a regular file is an error at once when it is opened or
// written, and it stays.
func TestOnlyRegularFiles(t *testing.T) {
	for _, s := range special {
		for how, u := range uses {
			dir := t.TempDir()
			write(t, persist.OS, filepath.Join(dir, "whole.cdb"), smallContent(), persist.S2)
			name := filepath.Join(dir, "x.cdb")
			at := name + u.suffix
			if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), s.make(at)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(at)
			if err != nil {
				t.Fatal(err)
			}
			err = within(t, how+", "+s.kind, func() error { return u.do(name) })
			if !errors.Is(err, persist.ErrNotRegular) || !strings.Contains(err.Error(), at+" is "+s.kind) {
				t.Errorf("%s, %s: %v", how, s.kind, err)
			}
			after, err := os.Lstat(at)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("%s, %s: it is gone: %v", how, s.kind, err)
			}
		}
	}
	_, err := persist.OS.Open("/dev/null")
	if !errors.Is(err, persist.ErrNotRegular) || !strings.Contains(err.Error(), "/dev/null is a device") {
		t.Errorf("a device: %v", err)
	}
}

// TestResolve: links are followed to a file, or to the place of one, and nothing else.
func TestResolve(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	err = errors.Join(os.Mkdir(in("d"), 0o700), os.WriteFile(in("d/file"), nil, 0o600), unix.Mkfifo(in("pipe"), 0o600))
	for link, to := range map[string]string{
		"to-d": "d", "to-file": "to-d/file", "to-link": "to-file", "to-nothing": "nothing", "to-itself": "to-itself", "to-pipe": "pipe",
	} {
		err = errors.Join(err, os.Symlink(to, in(link)))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"d/file": "d/file", "to-d/file": "d/file", "to-file": "d/file", "to-link": "d/file",
		"to-d/new": "d/new", "new": "new", "d/../new": "new",
	} {
		if got, err := persist.Resolve(in(name)); err != nil || got != in(want) {
			t.Errorf("%s leads to %s, %v", name, got, err)
		}
	}
	for name, want := range map[string]error{
		"d": persist.ErrNotRegular, "to-d": persist.ErrNotRegular, "to-pipe": persist.ErrNotRegular,
		"to-nothing": fs.ErrNotExist, "none/new": fs.ErrNotExist, "to-itself": unix.ELOOP, "d/file/new": unix.ENOTDIR,
	} {
		err := within(t, name, func() error { _, err := persist.Resolve(in(name)); return err })
		if !errors.Is(err, want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForeignFilesAreKept: a file of another program is not overwritten, whichever of the names
// of a save it has.
func TestForeignFilesAreKept(t *testing.T) {
	for _, suffix := range []string{"", ".prev", ".part"} {
		disk := fstest.NewDisk()
		write(t, disk, "x.cdb", smallContent(), persist.S2)
		name := "x.cdb" + suffix
		disk.Put(name, []byte("a letter"))
		_, err := persist.WriteFile(disk, "x.cdb", stamp, persist.S2, smallContent().fill)
		if !errors.Is(err, persist.ErrForeign) || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%q: %v", suffix, err)
		}
		if string(disk.Bytes(name)) != "a letter" {
			t.Errorf("%q: %v, %v", suffix, err, disk)
		}
		if suffix != "" {
			if _, err := load(disk, "x.cdb", 1); err != nil {
				t.Errorf("%q: %v", suffix, err)
			}
		}
	}
}

// TestNoHardLinks: on a file system that has none a save keeps the file before, and one that fails
// leaves the file.
func TestNoHardLinks(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.EMLINK, unix.EIO} {
		disk := fstest.NewDisk()
		renames := 0 // that are to be done
		fsys := &fstest.Faults{FS: disk, Fail: func(_ int, op, _ string) error {
			if op == "rename" {
				if renames--; renames < 0 {
					renames = 1 << 30 // what undoes it is done
					return unix.EIO
				}
			}
			if op == "link" {
				return errno
			}
			return nil
		}}
		renames = 2 + 3
		first, second := smallContent(), &content{}
		write(t, fsys, "x.cdb", first, persist.S2)
		write(t, fsys, "x.cdb", second, persist.S2)
		for name, want := range map[string]*content{"x.cdb": second, "x.cdb.prev": first} {
			if got, err := load(disk, name, 1); err != nil || got.String() != want.String() {
				t.Errorf("%v: %s: %v", errno, name, err)
			}
		}
		renames = 1 // of the file to the name of the one before
		if _, err := persist.WriteFile(fsys, "x.cdb", stamp, persist.S2, first.fill); !errors.Is(err, unix.EIO) {
			t.Fatalf("%v: %v", errno, err)
		}
		if got, err := load(disk, "x.cdb", 1); err != nil || got.String() != second.String() {
			t.Errorf("%v: after a save that failed: %v, %v", errno, err, disk)
		}
		for _, old := range []bool{false, true} {
			disk.Put("part", []byte("new"))
			if old {
				disk.Put("kept", []byte("old"))
			}
			renames = 1
			err := persist.RenameNew(fsys, "part", "kept")
			if errors.Is(err, fs.ErrExist) != old || !old && err != nil {
				t.Errorf("%v: a new name: %v", errno, err)
			}
		}
		if got := string(disk.Bytes("kept")); got != "old" {
			t.Errorf("%v: it holds %q", errno, got)
		}
	}
}

// TestDirectoriesThatCannotBeSynced: a file system that cannot do that is used nevertheless.
func TestDirectoriesThatCannotBeSynced(t *testing.T) {
	const dir = "/proc/self" // of such a file system
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); !errors.Is(err, unix.EINVAL) {
		t.Fatalf("syncing %s gives %v", dir, err)
	}
	if err := persist.OS.SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := persist.OS.SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
