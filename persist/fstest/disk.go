// Package fstest has test doubles of persist.FS: Disk loses what was not synced at a power cut,
// Faults fails the Nth operation.
package fstest

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"cyberdb-fast/persist"
)

// sectorBytes is what a disk writes completely or not at all.
const sectorBytes = 512

// Disk is a file system in memory that tracks what has been synced. It is safe for concurrent use.
//
// After a power cut, each file has what was synced and any part of what was written since: each
// sector new, old or zero, and any of the lengths in between. Of the changes of a directory's names
// since its last sync, a power cut keeps those up to some instant, or any of them.
type Disk struct {
	mu    sync.Mutex
	names map[string]*inode // of files; by path
	dirs  map[string]bool

	synced  map[string]*inode // the names as they were at the last sync of their directories
	changes []change          // of names since, in order
	inodes  uint64            // made so far

	capacity int // SetCapacity

	// NoLinks makes Link fail, as a file system without hard links does. Set it before the first
	// operation.
	NoLinks bool

	// Step, if not nil, is called before and after each operation that changes something, without a
	// lock. Set it before the first one.
	Step func()
}

// inode is a file's content, under any number of names.
type inode struct {
	number    uint64
	allocated int // bytes with disk space, whatever the length
	data      []byte
	synced    []byte
	writes    []extent // since the last sync
	lengths   []int    // that it has had since the last sync
	locked    *file    // the open file that has the lock; nil: none
}

type extent struct{ from, to int }

// change is one name that leads to another file, or to none, and the old name that it replaces ("":
// none).
type change struct {
	name string
	to   *inode
	gone string
}

func (c *change) apply(names map[string]*inode) {
	if c.to == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.to
	}
	delete(names, c.gone)
}

// NewDisk returns an empty file system.
func NewDisk() *Disk {
	return &Disk{names: map[string]*inode{}, dirs: map[string]bool{}, synced: map[string]*inode{}}
}

// SetCapacity sets how many bytes all files together may have, by their length or allocation; 0:
// unlimited. Beyond it writes fail with ENOSPC.
func (d *Disk) SetCapacity(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = n
}

// newInode returns an empty file without a name. The caller holds mu.
func (d *Disk) newInode() *inode {
	d.inodes++
	return &inode{number: d.inodes}
}

// fits returns up to which length a file can grow, and an error if that is less than length. The
// caller holds mu.
func (d *Disk) fits(n *inode, length int) (int, error) {
	if has := max(len(n.data), n.allocated); d.capacity == 0 || length <= has {
		return length, nil
	}
	used := 0
	for other := range d.inodesLocked() {
		if other != n {
			used += max(len(other.data), other.allocated)
		}
	}
	if used+length <= d.capacity {
		return length, nil
	}
	return max(d.capacity-used, len(n.data), n.allocated), syscall.ENOSPC
}

// inodesLocked returns the files that have a name. The caller holds mu.
func (d *Disk) inodesLocked() map[*inode]bool {
	all := map[*inode]bool{}
	for _, n := range d.names {
		all[n] = true
	}
	return all
}

func (d *Disk) step() {
	if d.Step != nil {
		d.Step()
	}
}

// name lets a name lead to a file, or to none; gone, if not "", leads to none from then on.
func (d *Disk) name(name string, to *inode, gone string) {
	c := change{name, to, gone}
	c.apply(d.names)
	d.changes = append(d.changes, c)
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// change runs an operation that changes names, with a step on either side.
func (d *Disk) change(do func() error) error {
	d.step()
	d.mu.Lock()
	err := do()
	d.mu.Unlock()
	d.step()
	return err
}

// Create makes a file.
func (d *Disk) Create(name string) (f persist.File, err error) {
	err = d.change(func() error {
		if d.names[name] != nil {
			return &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
		}
		if dir := filepath.Dir(name); dir != "." && !d.dirs[dir] {
			return notExist("open", name)
		}
		d.name(name, d.newInode(), "")
		f = &file{disk: d, node: d.names[name], name: name}
		return nil
	})
	return f, err
}

// Open opens a file for reading.
func (d *Disk) Open(name string) (persist.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node := d.names[name]
	if node == nil {
		return nil, notExist("open", name)
	}
	return &file{disk: d, node: node, name: name}, nil
}

// Edit opens a file for reading and writing.
func (d *Disk) Edit(name string) (persist.File, error) { return d.Open(name) }

// Link gives a file another name.
func (d *Disk) Link(old, name string) error {
	return d.change(func() error {
		if d.NoLinks {
			return &fs.PathError{Op: "link", Path: name, Err: syscall.EPERM}
		}
		if d.names[old] == nil {
			return notExist("link", old)
		}
		if d.names[name] != nil {
			return &fs.PathError{Op: "link", Path: name, Err: fs.ErrExist}
		}
		d.name(name, d.names[old], "")
		return nil
	})
}

// Rename renames a file. A file that had the new name loses it.
func (d *Disk) Rename(old, name string) error {
	return d.change(func() error {
		node := d.names[old]
		if node == nil {
			return notExist("rename", old)
		}
		d.name(name, node, old)
		return nil
	})
}

// Remove removes a name of a file.
func (d *Disk) Remove(name string) error {
	return d.change(func() error {
		if d.names[name] == nil {
			return notExist("remove", name)
		}
		d.name(name, nil, "")
		return nil
	})
}

// List returns the names in a directory.
func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirs[dir] && dir != "." {
		return nil, notExist("open", dir)
	}
	var names []string
	for name := range d.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

// MkdirAll makes a directory. Directories survive a power cut immediately.
func (d *Disk) MkdirAll(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; dir != "." && dir != "/"; dir = filepath.Dir(dir) {
		d.dirs[dir] = true
	}
	return nil
}

// SyncDir makes the names in a directory survive a power cut.
func (d *Disk) SyncDir(dir string) error {
	return d.change(func() error {
		d.changes = slices.DeleteFunc(d.changes, func(c change) bool {
			if filepath.Dir(c.name) != filepath.Clean(dir) {
				return false
			}
			c.apply(d.synced)
			return true
		})
		return nil
	})
}

// Identify returns the number and the length of a file.
func (d *Disk) Identify(name string) (persist.FileID, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[name]
	if n == nil {
		return persist.FileID{}, 0, notExist("stat", name)
	}
	return persist.FileID{Inode: n.number}, int64(len(n.data)), nil
}

// Bytes returns a file's content, nil if there is none.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.names[name]; n != nil {
		return slices.Clone(n.data)
	}
	return nil
}

// Put creates a file that is on the disk. An existing file keeps its inode number.
func (d *Disk) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir := filepath.Dir(name); dir != "." && dir != "/"; dir = filepath.Dir(dir) {
		d.dirs[dir] = true
	}
	n := d.newInode()
	n.data, n.synced = slices.Clone(data), slices.Clone(data)
	if before := d.names[name]; before != nil {
		n.number = before.number
	}
	d.names[name], d.synced[name] = n, n
}

// Copy returns a disk with copies of all files.
func (d *Disk) Copy() *Disk {
	d.mu.Lock()
	after := NewDisk()
	after.inodes = d.inodes
	maps.Copy(after.dirs, d.dirs)
	d.mu.Unlock()
	for _, name := range d.Names() {
		after.Put(name, d.Bytes(name))
	}
	return after
}

// Names returns the paths of all files, sorted.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names))
}

// String lists the files and their lengths.
func (d *Disk) String() string {
	var b strings.Builder
	for _, name := range d.Names() {
		fmt.Fprintf(&b, "%s %d\n", name, len(d.Bytes(name)))
	}
	return b.String()
}
