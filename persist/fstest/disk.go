// Package fstest has doubles of persist.FS for tests: Disk forgets at a power cut what was not
// synced, Faults fails the Nth operation.
package fstest

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"cyberdb-fast/persist"
)

// sectorBytes is what a disk writes whole or not at all.
const sectorBytes = 512

// Disk is a file system in memory that knows what has been synced. All methods may be called from
// any goroutine.
//
// A power cut leaves of each file what was synced and any part of what was written since: each
// sector new, old or zero; any of the lengths between. Of the changes of a directory's names since
// its last sync it leaves those up to a moment, or any of them.
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
	allocated int // bytes that have room on the disk, whatever the length
	data      []byte
	synced    []byte
	writes    []extent // since the last sync
	lengths   []int    // that it has had since the last sync
	locked    *file    // the open file that has the lock; nil: none
}

type extent struct{ from, to int }

// change is one name that leads to another file, or to none, and one that is gone with that ("":
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

// SetCapacity sets how many bytes all files together may have, as they are long or allocated; 0:
// any number. Beyond it writes fail with ENOSPC.
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

// fits returns how much of a file's growth up to a length there is room for, and an error if that
// is not all. The caller holds mu.
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

// PowerCut returns what the disk may hold after a power cut now. The Disk itself goes on.
func (d *Disk) PowerCut(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := NewDisk()
	after.NoLinks, after.inodes = d.NoLinks, d.inodes
	maps.Copy(after.dirs, d.dirs)
	names := maps.Clone(d.synced)
	last, any := rng.IntN(len(d.changes)+1), rng.IntN(2) == 0
	for i, c := range d.changes {
		if any && rng.IntN(2) == 0 || !any && i >= last {
			continue
		}
		c.apply(names)
	}
	contents := map[*inode]*inode{} // links stay links
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := names[name]
		if contents[node] == nil {
			data := node.afterCut(rng)
			contents[node] = &inode{number: node.number, data: data, synced: slices.Clone(data)}
		}
		after.names[name] = contents[node]
	}
	after.synced = maps.Clone(after.names)
	return after
}

// afterCut returns what is left of the file.
func (n *inode) afterCut(rng *rand.Rand) []byte {
	length := len(n.synced)
	if k := rng.IntN(len(n.lengths) + 1); k < len(n.lengths) {
		length = n.lengths[k]
		if least := len(n.synced); length > least && rng.IntN(2) == 0 {
			length = least + rng.IntN(length-least+1) // a write that was under way
		}
	}
	data := make([]byte, length)
	copy(data, n.synced)
	mode := rng.IntN(4) // all new, all old, each sector by chance, zeroed by chance
	for _, w := range n.writes {
		for at := w.from; at < w.to; {
			end := min((at/sectorBytes+1)*sectorBytes, w.to)
			if mode == 0 || mode >= 2 && rng.IntN(2) == 0 {
				copySector(data, n.data, at, end)
			} else if mode == 3 {
				clearSector(data, at, end)
			}
			at = end
		}
	}
	return data
}

func copySector(dst, src []byte, from, to int) {
	if to = min(to, len(dst), len(src)); from < to {
		copy(dst[from:to], src[from:to])
	}
}

func clearSector(dst []byte, from, to int) {
	if to = min(to, len(dst)); from < to {
		clear(dst[from:to])
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

// Rename gives a file another name instead; one that bore that name loses it.
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

// Remove takes a file's name away.
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

// MkdirAll makes a directory. Directories outlive a power cut at once.
func (d *Disk) MkdirAll(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; dir != "." && dir != "/"; dir = filepath.Dir(dir) {
		d.dirs[dir] = true
	}
	return nil
}

// SyncDir makes the names in a directory outlive a power cut.
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

// Put makes a file with a content, both on the disk. A file that is there keeps its number.
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

type file struct {
	disk *Disk
	node *inode
	name string
	at   int // the position; written under disk.mu
}

func (f *file) Write(b []byte) (int, error) {
	err := f.disk.change(func() error {
		length, err := f.disk.fits(f.node, f.at+len(b))
		b = b[:max(min(length-f.at, len(b)), 0)]
		f.node.writeAt(b, f.at)
		f.at += len(b)
		return err
	})
	return len(b), err
}

// Reserve writes zeros.
func (f *file) Reserve(from, to int64) error {
	return f.disk.change(func() error {
		length, err := f.disk.fits(f.node, int(to))
		f.node.writeAt(make([]byte, max(length-int(from), 0)), int(from))
		return err
	})
}

// Allocate makes room.
func (f *file) Allocate(_, to int64) error {
	return f.disk.change(func() error {
		_, err := f.disk.fits(f.node, int(to))
		if err == nil {
			f.node.allocated = max(f.node.allocated, int(to))
		}
		return err
	})
}

func (n *inode) writeAt(b []byte, at int) {
	if end := at + len(b); end > len(n.data) {
		n.data = append(n.data, make([]byte, end-len(n.data))...)
		n.lengths = append(n.lengths, end)
	}
	copy(n.data[at:], b)
	n.writes = append(n.writes, extent{at, at + len(b)})
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if at > int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Sync() error {
	return f.disk.change(func() error {
		n := f.node
		n.synced, n.writes, n.lengths = slices.Clone(n.data), nil, nil
		return nil
	})
}

func (f *file) Truncate(size int64) error {
	return f.disk.change(func() error {
		n := f.node
		if int(size) < len(n.data) {
			n.data = slices.Clip(n.data[:size])
		} else {
			n.data = append(n.data, make([]byte, int(size)-len(n.data))...)
		}
		n.lengths = append(n.lengths, len(n.data))
		n.allocated = min(n.allocated, len(n.data))
		return nil
	})
}

func (f *file) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.data)), nil
}

// Lock takes the lock of the file, until Close.
func (f *file) Lock() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.node.locked != nil && f.node.locked != f {
		return &fs.PathError{Op: "lock", Path: f.name, Err: persist.ErrLocked}
	}
	f.node.locked = f
	return nil
}

func (f *file) IsNamed(name string) (bool, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.names[name] == f.node, nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.node.locked == f {
		f.node.locked = nil
	}
	return nil
}
