package shardmap

// InlineBytes is the most bytes that an inline call may copy.
const InlineBytes = 1 << 20

// MaxResultBytes is the most bytes of values that GetMany returns.
const MaxResultBytes = 64 << 20

// Copying a value of megabytes takes milliseconds, which is too long for an event loop and for a
// shard's lock. Such a value is read without the lock, while a cut protects it from being
// overwritten or freed. It is written into its own block before the lock is taken.

// pinned is the value of a record, with or without its key, which cannot change before appendTo
// unpins it. The zero pinned is empty.
type pinned struct {
	key, val []byte
	cut      *cut
}

// pin pins the parts of a record. The caller holds the shard's lock, so the record is older than
// the cut.
func (d *Dict) pin(c *Call, key, val []byte) pinned {
	c.pin = d.store.newCut(d.table)
	return pinned{key, val, c.pin}
}

// appendTo appends the parts to dst and unpins them. The caller holds no lock.
func (l pinned) appendTo(c *Call, dst []byte) []byte {
	dst = append(append(dst, l.key...), l.val...)
	if l.cut != nil {
		c.pin = nil
		l.cut.close()
	}
	return dst
}

// isLarge reports whether the value of entry num is too large for an inline call and for copying
// under a lock.
func (s *shard) isLarge(num int) bool {
	e := s.entry(num)
	return e.size&flagOwnBlock != 0 && len(s.record(e)) > InlineBytes
}

// buildBlock writes the record of k and a large val into a block, before the lock is taken.
func (d *Dict) buildBlock(k *key, val []byte) {
	if len(val) <= maxBumpBytes {
		return
	}
	keys, meta := len(k.canonical)+len(k.original), metaBytes(k.deadline)
	if k.keeps {
		meta = fullMetaBytes
	}
	k.block = d.store.slabs.Alloc(keys + meta + len(val))
	n := copy(k.block, k.canonical)
	copy(k.block[n:], k.original)
	copy(k.block[keys+meta:], val)
}

// useBlock makes k's block the record of an entry, if k has a block that starts with the given
// keys.
func (s *shard) useBlock(w *write, k *key, keys []byte) (e entry, ok bool) {
	if k.block == nil || len(k.canonical)+len(k.original) != len(keys) || string(k.block[:len(keys)]) != string(keys) {
		return entry{}, false
	}
	e = s.ownRecord(k.block, w.first)
	if k.keeps {
		putFullMeta(k.block[len(keys):], k.deadline)
		e.size |= flagMetadata
	} else {
		_, flag := putMeta(k.block[len(keys):], k.deadline)
		e.size |= flag
	}
	k.block = nil
	return e, true
}

// freeBlock frees k's block unless it has become a record.
func (d *Dict) freeBlock(k *key) {
	if k.block != nil {
		d.store.slabs.Free(k.block)
		k.block = nil
	}
}
