package fstest

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"

	"cyberdb-fast/persist"
)

// Faults is a file system whose Nth operation fails, and possibly later ones, as on a disk that is
// full or broken.
type Faults struct {
	persist.FS
	// Fail returns the error with which the operation fails, nil if it succeeds. n counts from 1.
	// op is its name: create, open, edit, link, rename, remove, list, mkdirall, syncdir, identify,
	// write, reserve, allocate, read, sync, truncate, lock, named. Set it before the first
	// operation. It is called from any goroutine, one call at a time.
	Fail func(n int, op, name string) error
	// Short, if not nil, decides how much of a failing write is done nevertheless.
	Short *rand.Rand

	mu sync.Mutex
	n  int
}

// NthFails returns a Fail that fails only operation n.
func NthFails(n int, err syscall.Errno) func(int, string, string) error {
	return func(i int, op, name string) error {
		if i == n {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		return nil
	}
}

// AllFailFrom returns a Fail that fails operation n and all after it.
func AllFailFrom(n int, err syscall.Errno) func(int, string, string) error {
	return func(i int, op, name string) error {
		if i >= n {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
		return nil
	}
}

// Count returns how many operations there have been.
func (f *Faults) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *Faults) do(op, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.Fail == nil {
		return nil
	}
	if err := f.Fail(f.n, op, name); err != nil {
		return fmt.Errorf("operation %d: %w", f.n, err)
	}
	return nil
}

func (f *Faults) file(op, name string, open func(string) (persist.File, error)) (persist.File, error) {
	if err := f.do(op, name); err != nil {
		return nil, err
	}
	inner, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{inner, f, name}, nil
}

// Create makes a file.
func (f *Faults) Create(name string) (persist.File, error) {
	return f.file("create", name, f.FS.Create)
}

// Open opens a file for reading.
func (f *Faults) Open(name string) (persist.File, error) { return f.file("open", name, f.FS.Open) }

// Edit opens a file for reading and writing.
func (f *Faults) Edit(name string) (persist.File, error) { return f.file("edit", name, f.FS.Edit) }

// Link gives a file another name.
func (f *Faults) Link(old, name string) error {
	if err := f.do("link", name); err != nil {
		return err
	}
	return f.FS.Link(old, name)
}

// Rename renames a file.
func (f *Faults) Rename(old, name string) error {
	if err := f.do("rename", name); err != nil {
		return err
	}
	return f.FS.Rename(old, name)
}

// Remove removes a name of a file.
func (f *Faults) Remove(name string) error {
	if err := f.do("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// List returns the names in a directory.
func (f *Faults) List(dir string) ([]string, error) {
	if err := f.do("list", dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

// MkdirAll makes a directory.
func (f *Faults) MkdirAll(dir string) error {
	if err := f.do("mkdirall", dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir)
}

// SyncDir makes the names in a directory survive a power cut.
func (f *Faults) SyncDir(dir string) error {
	if err := f.do("syncdir", dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// Identify identifies a file.
func (f *Faults) Identify(name string) (persist.FileID, int64, error) {
	if err := f.do("identify", name); err != nil {
		return persist.FileID{}, 0, err
	}
	return f.FS.Identify(name)
}

type faultyFile struct {
	persist.File
	faults *Faults
	name   string
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.faults.do("write", f.name); err != nil {
		n := 0
		if f.faults.Short != nil {
			n, _ = f.File.Write(b[:f.faults.Short.IntN(len(b)+1)])
		}
		return n, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) Reserve(from, to int64) error {
	if err := f.faults.do("reserve", f.name); err != nil {
		if f.faults.Short != nil {
			_ = f.File.Reserve(from, from+f.faults.Short.Int64N(to-from+1))
		}
		return err
	}
	return f.File.Reserve(from, to)
}

func (f *faultyFile) Allocate(from, to int64) error {
	if err := f.faults.do("allocate", f.name); err != nil {
		return err
	}
	return f.File.Allocate(from, to)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.faults.do("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (f *faultyFile) Sync() error {
	if err := f.faults.do("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.faults.do("truncate", f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Lock() error {
	if err := f.faults.do("lock", f.name); err != nil {
		return err
	}
	return f.File.Lock()
}

func (f *faultyFile) IsNamed(name string) (bool, error) {
	if err := f.faults.do("named", name); err != nil {
		return false, err
	}
	return f.File.IsNamed(name)
}
