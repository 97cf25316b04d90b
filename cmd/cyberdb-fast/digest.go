package main

import (
	"fmt"
	"io"
	"runtime"

	"cyberdb-fast/codec/digest"
	"cyberdb-fast/persist"
)

// printDigest reads a whole file and prints its digest, if it is intact, in one line for scripts.
func printDigest(name string, stdout io.Writer, progress func(file string, done, total int64)) error {
	r, err := openToCheck(name)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	var d fileDigest
	if err := r.Load(runtime.GOMAXPROCS(0), &d, progressOf(name, progress)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "digest %v lsn %d tables %d items %d\n", d.Sum, r.Info().LSN, d.Tables, d.Items)
	return nil
}

// fileDigest is a persist.Loader that hashes what it receives.
type fileDigest struct {
	digest.Hasher
	kind  persist.Kind
	index uint64 // of the list's next element
}

// Table implements persist.Loader.
func (d *fileDigest) Table(t persist.Table) error {
	d.kind, d.index = t.Kind, 0
	kind := digest.Dict
	if t.Kind == persist.List {
		kind = digest.List
	}
	d.Hasher.Table(kind, t.Name)
	return nil
}

// Block implements persist.Loader.
func (d *fileDigest) Block(b *persist.Block) error {
	if d.kind == persist.List {
		for val := range b.Elements() {
			d.Element(d.index, val)
			d.index++
		}
		return nil
	}
	for e := range b.Entries() {
		d.Entry(e.Key, e.Val, e.Place, e.Version, e.Deadline)
	}
	return nil
}
