package shardmap

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// Sort sorts the list by key (nil: by the elements themselves). It is stable, also when reversed,
// and computes each element's key once.
//
// Errors, after which the list is unchanged: what the key and < raise in Python; ValueError for a
// key that uses far more memory than the list; those of Call.Memory; ErrLong for an inline call on
// more than InlineElements, inlineSortBytes or inlineCost.
func (l *List) Sort(c *Call, key *value.SortKey, reverse bool) error {
	return l.reorder(c, func(old *rope.Root, m *sortMeter) (*rope.Rope, error) { return sorted(old, key, reverse, m) })
}

// inlineSortBytes is the most bytes of elements that an inline call reorders under the mutex.
const inlineSortBytes = 256 << 10

// Reverse reverses the order of the elements. Errors: those of Call.Memory; ErrLong for an inline
// call on more than InlineElements or inlineSortBytes.
func (l *List) Reverse(c *Call) error {
	return l.reorder(c, func(old *rope.Root, _ *sortMeter) (*rope.Rope, error) {
		var next rope.Rope
		for _, elem := range old.Backward(0, old.Len()) {
			next.AppendOwned(elem)
		}
		return &next, nil
	})
}

// reorder reorders the elements, under the mutex if the call is inline. It takes one LSN if there
// are two elements or more.
//
// Errors: those of order and of its meter; ErrLong for an inline call on many elements.
func (l *List) reorder(c *Call, order func(old *rope.Root, m *sortMeter) (*rope.Rope, error)) error {
	if c.MayBlock {
		return l.rewrite(c, func(old *rope.Root) (rewritten, error) {
			m := backgroundMeter(c, old.Bytes(), old.Len())
			defer m.end()
			if err := m.borrow(old.Bytes() + orderBytes*old.Len()); err != nil {
				return rewritten{}, err
			}
			next, err := order(old, m)
			return rewritten{next, min(old.Len()/2, 1), func() { l.forgetCounts(0) }}, err
		})
	}
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	err := l.reorderLocked(c, order)
	l.unlockChanged(c)
	return err
}

// reorderLocked is reorder under the mutex.
func (l *List) reorderLocked(c *Call, order func(old *rope.Root, m *sortMeter) (*rope.Rope, error)) error {
	if l.rope.Len() > InlineElements || l.rope.Bytes() > inlineSortBytes {
		return ErrLong
	}
	c.Cost += inlineCost // at most this, whatever the order is
	next, err := order(&l.rope.Root, inlineMeter())
	if err != nil || l.rope.Len() < 2 {
		return err
	}
	l.beginChange(c, 1)
	l.rope = *next
	l.forgetCounts(0)
	return nil
}

// sorted returns the elements in order. Errors: those of the key, of < and of the meter.
func sorted(old *rope.Root, key *value.SortKey, reverse bool, m *sortMeter) (*rope.Rope, error) {
	elems := make([][]byte, 0, old.Len())
	for _, elem := range old.Range(0, old.Len()) {
		elems = append(elems, elem)
	}
	if err := m.read(elems); err != nil {
		return nil, err
	}
	keys := elems
	if key != nil {
		var err error
		if keys, err = sortKeys(elems, key, m); err != nil {
			return nil, err
		}
	}
	var next rope.Rope
	order, err := sortOrder(keys, reverse, m)
	for _, i := range order {
		next.AppendOwned(elems[i])
	}
	return &next, err
}

// keyChunk is the size of the chunks that hold the keys. Keys never move, so they use no more
// memory than was counted.
const keyChunk = 64 << 10

// sortKeys returns the keys of the elements. Errors: those of the key and of the meter.
func sortKeys(elems [][]byte, key *value.SortKey, m *sortMeter) ([][]byte, error) {
	var (
		chunk, made []byte
		err         error
		keys        = make([][]byte, len(elems))
	)
	for i, elem := range elems {
		if made, err = key.Append(made[:0], elem, m.spend); err != nil {
			return nil, err
		}
		if cap(chunk)-len(chunk) < len(made) {
			chunk = make([]byte, 0, max(keyChunk, len(made)))
		}
		from := len(chunk)
		chunk = append(chunk, made...)
		keys[i] = chunk[from:]
	}
	return keys, m.read(keys)
}

// ranked is an element's position with a number that orders it.
type ranked struct {
	rank  int64
	place int32
}

// sortOrder returns the positions of the keys in order. Keys that are all whole numbers, all
// floats, all str or all bytes are compared without package value. Among equal keys the position
// decides, which makes the sort stable. Errors: those of < and of the meter.
func sortOrder(keys [][]byte, reverse bool, m *sortMeter) ([]int32, error) {
	var ranks []ranked
	switch kind := commonKind(keys); kind {
	case scalarInt:
		ranks = rank(keys, reverse, intOf)
		slices.SortFunc(ranks, byRank)
	case scalarFloat:
		ranks = rank(keys, reverse, floatRank)
		slices.SortFunc(ranks, byRank)
	case scalarStr, scalarBytes:
		ranks = rank(keys, reverse, prefixRank)
		slices.SortFunc(ranks, func(a, b ranked) int {
			if a.rank != b.rank {
				return cmp.Compare(a.rank, b.rank)
			}
			order := bytes.Compare(contentOf(keys[a.place]), contentOf(keys[b.place]))
			if reverse {
				order = -order
			}
			if order == 0 {
				order = int(a.place - b.place)
			}
			return order
		})
	default:
		return mergeSorted(keys, reverse, m)
	}
	order := make([]int32, len(ranks))
	for i, r := range ranks {
		order[i] = r.place
	}
	return order, nil
}

func byRank(a, b ranked) int {
	if a.rank != b.rank {
		return cmp.Compare(a.rank, b.rank)
	}
	return int(a.place - b.place)
}

// commonKind returns the kind of all keys, or scalarOther if they differ or one is a nan.
func commonKind(keys [][]byte) scalarKind {
	if len(keys) == 0 {
		return scalarOther
	}
	kind := sortKindOf(keys[0])
	for _, k := range keys {
		if sortKindOf(k) != kind || kind == scalarFloat && math.IsNaN(floatOf(k)) {
			return scalarOther
		}
	}
	return kind
}

// rank returns all positions with the ranks of their keys, inverted for a reversed sort.
func rank(keys [][]byte, reverse bool, rankOf func([]byte) int64) []ranked {
	ranks := make([]ranked, len(keys))
	for i, k := range keys {
		r := rankOf(k)
		if reverse {
			r = ^r
		}
		ranks[i] = ranked{r, int32(i)}
	}
	return ranks
}

// floatRank returns a number that orders as the floats do. A nan is not allowed; 0.0 and -0.0 have
// the same rank.
func floatRank(b []byte) int64 {
	bits := int64(math.Float64bits(floatOf(b) + 0))
	return bits ^ (bits >> 63 & math.MaxInt64)
}

// prefixRank returns a number that orders as the first eight bytes of the contents do.
func prefixRank(b []byte) int64 {
	var prefix [8]byte
	copy(prefix[:], contentOf(b))
	return int64(binary.BigEndian.Uint64(prefix[:]) ^ 1<<63)
}
