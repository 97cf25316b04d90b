package shardmap

import "slices"

// InlineBytes is how many bytes a call may copy in Inline mode.
const InlineBytes = 1 << 20

// MaxResultBytes is how many bytes of values GetMany gives.
const MaxResultBytes = 64 << 20

// Copying a value of megabytes takes milliseconds: too long for an event loop, and for a shard's
// lock. It is read without the lock, while a cut keeps it from being overwritten or freed, and it
// is written into a block of its own before the lock is taken.

// pinned is part of a record, which stays as it is until it is let go. The zero lasting is empty.
type pinned struct {
	bytes []byte
	cut   *cut
}

// pin makes bytes of a record last. The caller holds the shard's lock, so the record is older than
// the cut.
func (d *Dict) pin(c *Call, record []byte) pinned {
	if c.Replay {
		return pinned{slices.Clone(record), nil}
	}
	c.pin = d.store.newCut(c, d.table)
	return pinned{record, c.pin}
}

// appendTo appends the bytes to dst and lets them go. The caller holds no lock.
func (l pinned) appendTo(c *Call, dst []byte) []byte {
	dst = append(dst, l.bytes...)
	if l.cut != nil {
		c.pin = nil
		l.cut.close()
	}
	return dst
}

// isLarge tells whether the value of entry num is too large for an inline call and for copying under
// a lock.
func (s *shard) isLarge(num int) bool {
	e := s.entry(num)
	return e.size&flagOwnBlock != 0 && len(s.record(e)) > InlineBytes
}

// buildBlock writes the record of k and a big val into a block, before the lock is taken.
func (d *Dict) buildBlock(k *key, val []byte) {
	if len(val) <= maxBumpBytes {
		return
	}
	k.block = d.store.slabs.Alloc(len(k.canonical) + len(k.original) + len(val))
	n := copy(k.block, k.canonical)
	n += copy(k.block[n:], k.original)
	copy(k.block[n:], val)
}

// useBlock takes k's block for the record of an entry, if it has one and its keys are those that
// the record must begin with.
func (s *shard) useBlock(w *write, k *key, keys []byte) (e entry, ok bool) {
	if k.block == nil || len(k.canonical)+len(k.original) != len(keys) || string(k.block[:len(keys)]) != string(keys) {
		return entry{}, false
	}
	e = s.ownRecord(k.block, w.first)
	k.block = nil
	return e, true
}

// drop frees k's block if nothing has taken it.
func (d *Dict) freeBlock(k *key) {
	if k.block != nil {
		d.store.slabs.Free(k.block)
		k.block = nil
	}
}
