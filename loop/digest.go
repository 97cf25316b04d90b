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
	index uint64 // of the list's next element
}

// Table implements persist.Loader.
func (d *fileDigest) Table(t persist.Table) error {
	d.index = 0
	if t.Kind == persist.List {
		d.sum.List(t.Name, digest.Queue{MaxDeliveries: t.Queue.MaxDeliveries, DeadLetter: t.Queue.DeadLetter})
		return nil
	}
	d.sum.Table(digest.Kind(t.Kind), t.Name, digest.Options(t.Options))
	return nil
}

// Block implements persist.Loader.
func (d *fileDigest) Block(b *persist.Block) error {
	for h := range b.Held() {
		d.sum.Held(h.Receipt, h.Due, h.Deliveries, h.ClaimBytes(), h.Val)
	}
	for n, val := range b.Counted() {
		d.sum.Element(d.index, val)
		d.sum.Counted(d.index, n)
		d.index++
	}
	for e := range b.Entries() {
		d.sum.Entry(e.Key, e.Val, e.Place, e.Version, e.Deadline)
	}
	return nil
}
