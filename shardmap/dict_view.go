package shardmap

import (
	"iter"
	"sync"
)

// DictView shows what a dict held at a cut, while writers go on.
type DictView struct {
	cut  *cut
	dict *Dict

	collect sync.Once
	parts   []*contents
}

// Entry is one entry of a DictView. Key and Val are good until the next step.
type Entry struct {
	Key, Val []byte
	Version  uint64 // LSN of the last change
	Place    uint64 // LSN of the insertion: entries stand in this order
}

func newDictView(c *cut, d *Dict) *DictView { return &DictView{cut: c, dict: d} }

// View opens a view of the dict. Close it: an open view keeps what it shows from being freed.
//
// Errors: ErrBusy if a long write owns the table; ErrNoTable.
func (d *Dict) View(c *Call) (*DictView, error) {
	if d.table.gate.shut() {
		return nil, ErrBusy
	}
	return d.view(c)
}

func (d *Dict) view(c *Call) (*DictView, error) {
	cut := d.store.newCut(c, d.table)
	s := d.dir.Load().shard(0)
	s.mu.Lock()
	// A drop before the cut has handed nothing to it.
	gone := d.table.dropped.Load() && s.frozenAt < cut.number || d.table.renamed(c)
	s.mu.Unlock()
	if gone {
		cut.close()
		return nil, ErrNoTable
	}
	return newDictView(cut, d), nil
}

// Number returns the view's place on the store's clock: it shows exactly the mutations with lower LSNs.
func (v *DictView) Number() uint64 { return v.cut.number }

// Close ends the view. Nothing it yielded may be in use. It may be called more than once; the view of a View ends with that.
func (v *DictView) Close() {
	if v.cut.table != nil {
		v.cut.close()
	}
}

// Len returns how many entries the dict had. Like Entries it is not for event loops: it takes each shard's lock once, and waits for a long
// write that the view must show whole.
func (v *DictView) Len() int {
	n := 0
	for _, part := range v.contents() {
		n += part.live
	}
	return n
}

// Entries yields all keys and values in order. The bytes are good until the next step.
func (v *DictView) Entries() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, val []byte) bool) {
		for e := range v.EntriesVersioned() {
			if !yield(e.Key, e.Val) {
				return
			}
		}
	}
}

// EntriesVersioned yields all entries in order.
func (v *DictView) EntriesVersioned() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		var m merge
		for _, part := range v.contents() {
			m.add(part, 0)
		}
		m.init()
		for ; len(m) > 0; m.next() {
			e := m[0].entry()
			key, val := m[0].contents.pair(e)
			if !yield(Entry{key, val, e.version(), m[0].place}) {
				return
			}
		}
	}
}

// contents returns the contents of all shards at the cut: those that writers have handed over, and the rest, which it freezes.
func (v *DictView) contents() []*contents {
	v.collect.Do(func() {
		v.dict.freezeFor(v.cut)
		for _, part := range v.cut.handed(v.dict.table) {
			v.parts = append(v.parts, part.(*contents))
		}
	})
	return v.parts
}

// freezeFor has all shards that c has not been given yet handed to it.
func (d *Dict) freezeFor(c *cut) {
	d.table.gate.awaitBefore(c.number)
	for hash := uint64(0); ; {
		s := d.dir.Load().shard(hash)
		s.mu.Lock()
		if s.frozenAt < c.number {
			if s.retired { // by a mutation before the cut, or the view was closed meanwhile
				s.mu.Unlock()
				if d.table.dropped.Load() {
					return
				}
				continue
			}
			// Older views must have the shard too: frozenAt speaks for them as well.
			s.frozenAt = d.store.views.Load().handover(d.table, s.frozenAt, c.number, func() any { return s.freeze() })
		}
		s.mu.Unlock()
		next := (s.prefix + 1) << (64 - s.depth)
		if next == 0 {
			return
		}
		hash = next
	}
}
