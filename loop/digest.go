package loop

import (
	"cyberdb-fast/codec/digest"
	"cyberdb-fast/persist"
)

// FileDigest reads a whole .cdb file and returns its digest: that of a server with the same
// content. The parameters and the errors are those of persist.Reader.Load.
func FileDigest(r *persist.Reader, workers int, progress func(done, total int64)) (digest.Sum, error) {
	var d fileDigest
	err := r.Load(workers, &d, progress)
	return d.sum.Sum, err
}

// fileDigest is a persist.Loader that hashes what it receives.
type fileDigest struct {
	sum   digest.Hasher
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
	d.sum.Table(kind, t.Name, digest.Options(t.Options))
	return nil
}

// Block implements persist.Loader.
func (d *fileDigest) Block(b *persist.Block) error {
	if d.kind == persist.List {
		for val := range b.Elements() {
			d.sum.Element(d.index, val)
			d.index++
		}
		return nil
	}
	for e := range b.Entries() {
		d.sum.Entry(e.Key, e.Val, e.Place, e.Version, e.Deadline)
	}
	return nil
}
