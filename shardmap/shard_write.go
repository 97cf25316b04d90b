package shardmap

import "cyberdb-fast/codec/value"

// insert adds an entry for an absent key. Its place and version are lsn.
func (s *shard) insert(w *write, k *key, val []byte, lsn uint64) {
	keys := len(k.canonical) + len(k.original)
	e, ok := entry{}, false
	if k.block != nil {
		e, ok = s.useBlock(w, k, k.block[:keys])
	}
	if !ok {
		var rec []byte
		e, rec = s.newRecord(w, keys+metaBytes(k.deadline)+len(val))
		copy(rec, k.canonical)
		copy(rec[len(k.canonical):], k.original)
		e.size |= putRest(rec[keys:], k, val)
	}
	if k.original != nil {
		e.size |= flagOriginal
	}
	e.setVersion(lsn)
	s.appendEntry(w, k.hash, e, lsn)
	if s.usage != nil {
		s.arrived(s.count-1, k.hash)
	}
	if k.deadline > 0 {
		s.expectNew(s.count-1, k.deadline)
	}
}

// overwrite gives entry num another value and version. It writes in place if there is room and no
// view sees the record.
func (s *shard) overwrite(w *write, k *key, num int, val []byte, lsn uint64) {
	e := s.writable(w, num)
	n := len(k.canonical)
	old := s.record(e)
	if k.deadline > 0 {
		s.expectChange(num, e, k.deadline)
	}
	if e.size&flagOriginal != 0 {
		n += value.Size(old[n:])
	}
	if moved, ok := s.useBlock(w, k, old[:n]); ok {
		s.dropRecord(w, e)
		e.loc, e.size = moved.loc, moved.size|e.size&flagOriginal
		e.setVersion(lsn)
		return
	}
	size := n + metaBytes(k.deadline) + len(val)
	if s.fits(w, num, e, size) {
		rec := s.resize(e, size)
		e.size = e.size&^flagMetadata | putRest(rec[n:], k, val)
		e.setVersion(lsn)
		return
	}
	moved, rec := s.newRecord(w, size)
	copy(rec, old[:n])
	moved.size |= putRest(rec[n:], k, val)
	s.dropRecord(w, e)
	e.loc, e.size = moved.loc, moved.size|e.size&flagOriginal
	e.setVersion(lsn)
}

// putRest writes what follows the keys of a record, metadata and value. It returns the flag of the
// metadata.
func putRest(rec []byte, k *key, val []byte) (flag uint16) {
	n, flag := putMeta(rec, k.deadline)
	copy(rec[n:], val)
	return flag
}

// remove deletes entry num.
func (s *shard) remove(w *write, hash uint64, num int) {
	s.dropFromIndex(hash, num)
	e := s.writable(w, num)
	s.dropRecord(w, e)
	e.size = 0
	s.live--
	s.usage.left(num)
	if num == s.count-1 {
		s.cutTail(w)
	}
}

// cutTail forgets dead entries at the end, so that the last entry is live, and frees pages that
// hold no others.
func (s *shard) cutTail(w *write) {
	for s.count > 0 && !s.lastIsLive() {
		s.count--
	}
	s.usage.shorten(s.count)
	for len(s.pages) > 1 && (len(s.pages)-1)<<pageBits >= s.count {
		last := len(s.pages) - 1
		s.retireEntries(w.store, w.first, &s.pages[last])
		s.pages[last] = page{}
		s.pages = s.pages[:last]
	}
}

func (s *shard) lastIsLive() bool {
	p, i := &s.pages[(s.count-1)>>pageBits], (s.count-1)&(pageEntries-1)
	return i < len(p.entries) && p.entries[i].live()
}
