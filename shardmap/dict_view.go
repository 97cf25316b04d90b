package shardmap

import (
	"iter"
	"math"
)

// DictView shows the content of a dict at a cut, while writers continue.
//
// Entries that had expired at the cut are hidden, however long the view is read, unless ShowHidden
// was called.
type DictView struct {
	cut  *cut
	dict *Dict
	hiding
}

// Entry is one entry of a DictView. Key and Val are valid until the next step.
type Entry struct {
	Key, Val []byte
	Version  uint64 // LSN of the last change
	Place    uint64 // LSN of the insertion: entries are in this order
	Deadline int64  // in milliseconds since 1970 UTC; 0: as the table says; Forever
}

func newDictView(c *cut, d *Dict) *DictView {
	return &DictView{cut: c, dict: d, hiding: d.hidingAt(c.now)}
}

// ShowHidden makes the view show entries that have expired and are still there, as files and
// digests have them.
func (v *DictView) ShowHidden() *DictView {
	v.hiding = hiding{}
	return v
}

// DeadlineOf returns the deadline of an entry, with the table's default put in, in milliseconds
// since 1970 UTC; 0: none.
func (v *DictView) DeadlineOf(e *Entry) int64 { return v.dict.deadlineAt(e.Deadline, e.Version) }

// View opens a view of the dict. Close it: what an open view shows is not freed.
//
// Errors: ErrBusy if a long write owns the table; ErrNoTable; ErrPoisoned.
func (d *Dict) View(c *Call) (*DictView, error) {
	if d.table.owned() {
		return nil, ErrBusy
	}
	return d.view(c)
}

func (d *Dict) view(c *Call) (*DictView, error) {
	cut := d.store.newCut(d.table)
	s := d.dir.Load().shard(0)
	s.mu.Lock()
	err := d.table.checkName(c)
	// handed over after the cut: the view is complete
	if err != nil && s.frozenAt >= cut.lsn && !d.table.renamed(c) {
		err = nil
	}
	s.mu.Unlock()
	if err != nil {
		cut.close()
		return nil, err
	}
	v := newDictView(cut, d)
	if err := v.Err(); err != nil {
		cut.close()
		return nil, err
	}
	return v, nil
}

// Err returns ErrPoisoned if the table is poisoned: what the view has yielded may be wrong. Check
// it after the last entry.
func (v *DictView) Err() error { return v.dict.table.Err() }

// LSN returns the view's LSN: it shows exactly the changes with LSNs up to that.
func (v *DictView) LSN() uint64 { return v.cut.lsn }

// Close ends the view. What it yielded must no longer be used. Later calls do nothing. A view that
// is part of a View ends with that one instead.
func (v *DictView) Close() {
	if v.cut.table != nil {
		v.cut.close()
	}
}

// Len returns the number of entries. Like Entries it may block, so do not call it on an event loop:
// it looks at all entries, one shard at a time under its lock, and waits for a long write that the
// view must show.
func (v *DictView) Len() int {
	n := 0
	for _, p := range v.parts() {
		n += p.count(&v.hiding)
	}
	return n
}

// Entries yields all keys and values in order. The bytes are valid until the next step.
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
	return func(yield func(Entry) bool) { v.entries(nil, yield) }
}

// Drain yields all entries in order, for the last time: writers need not save what was yielded. Do
// not read the view afterwards, even if Drain was stopped early.
func (v *DictView) Drain() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		d := &drainProgress{cut: v.cut}
		v.dict.table.drain.Store(d)
		v.entries(d, yield)
		d.consumed.Store(math.MaxUint64)
		v.cut.dropParts(v.dict.table)
	}
}

// entries yields all entries in order, and reports its progress in d unless d is nil.
func (v *DictView) entries(d *drainProgress, yield func(Entry) bool) {
	m := v.parts()
	for i := len(m) - 1; i >= 0; i-- {
		if !m[i].fill(&v.hiding) {
			m[i] = m[len(m)-1]
			m = m[:len(m)-1]
		}
	}
	m.init()
	for n := 0; len(m) > 0; n++ {
		p := m[0]
		e := &p.ready[p.at]
		key, val, deadline := parts(e.record, e.flags)
		if d != nil && n%entriesPerRead == 0 && e.place > 0 {
			d.consumed.Store(e.place - 1)
		}
		if !v.hides(deadline, e.version) && !yield(Entry{key, val, e.version, e.place, deadline}) {
			return
		}
		if p.at++; p.at == len(p.ready) && !p.fill(&v.hiding) {
			m[0] = m[len(m)-1]
			m = m[:len(m)-1]
		}
		m.down(0)
	}
}

// parts returns all shards of the cut: those that still exist, and those that were handed over.
func (v *DictView) parts() viewMerge {
	var parts viewMerge
	there := make(map[*shard]bool)
	for _, s := range v.dict.shardsAt(v.cut) {
		there[s] = true
		parts = append(parts, &viewPart{cut: v.cut, shard: s})
	}
	for s, frozen := range v.cut.allParts(v.dict.table) {
		if s, isShard := s.(*shard); isShard && !there[s] { // else it is Settings
			parts = append(parts, &viewPart{cut: v.cut, shard: s, frozen: frozen.(*contents)})
		}
	}
	return parts
}

// shardsAt returns the shards that have not been handed over to c. It waits for a long write that c
// must show.
func (d *Dict) shardsAt(c *cut) (shards []*shard) {
	d.table.lock.waitUpTo(c.lsn)
	for hash := uint64(0); ; {
		s := d.dir.Load().shard(hash)
		s.mu.Lock()
		retired, handed := s.retired, s.frozenAt >= c.lsn
		s.mu.Unlock()
		if !handed {
			if retired { // by a change before the cut, or the view was closed meanwhile
				if d.table.state.Load() != present {
					return shards
				}
				continue
			}
			shards = append(shards, s)
		}
		next := (s.prefix + 1) << (64 - s.depth)
		if next == 0 {
			return shards
		}
		hash = next
	}
}
