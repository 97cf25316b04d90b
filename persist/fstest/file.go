package fstest

import (
	"io"
	"io/fs"
	"slices"

	"cyberdb-fast/persist"
)

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

// Allocate reserves space.
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
