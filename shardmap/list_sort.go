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

// Sort sorts the list by key (nil: by the elements themselves), stably, also when reversed. Each element's key is made once. Errors: what
// the key and < raise in Python, and the list is left whole then; ErrLong for an inline call on more than InlineElements.
func (l *List) Sort(c *Call, key *value.SortKey, reverse bool) error {
	return l.reorder(c, func(old *rope.Root) (*rope.Rope, error) { return sorted(old, key, reverse) })
}

// Reverse turns the order of the elements round. Errors: ErrLong for an inline call on more than InlineElements.
func (l *List) Reverse(c *Call) error {
	return l.reorder(c, func(old *rope.Root) (*rope.Rope, error) {
		var next rope.Rope
		for _, elem := range old.Backward(0, old.Len()) {
			next.Append(elem)
		}
		return &next, nil
	})
}

// reorder puts the elements in another order. It draws one number if there are two elements or more.
func (l *List) reorder(c *Call, order func(old *rope.Root) (*rope.Rope, error)) error {
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	n := l.rope.Len()
	if n > InlineElements {
		l.mu.Unlock()
		if !c.Beside {
			return ErrLong
		}
		return l.rewrite(c, func(old *rope.Root) (*rope.Rope, int, error) {
			next, err := order(old)
			return next, min(old.Len()/2, 1), err
		})
	}
	next, err := order(&l.rope.Root)
	if err != nil || n < 2 {
		l.mu.Unlock()
		return err
	}
	l.change(c, 1)
	l.rope = *next
	l.unlockChanged()
	return nil
}

// sorted returns the elements in order.
func sorted(old *rope.Root, key *value.SortKey, reverse bool) (*rope.Rope, error) {
	elems := make([][]byte, 0, old.Len())
	for _, elem := range old.Range(0, old.Len()) {
		elems = append(elems, elem)
	}
	keys, err := sortKeys(elems, key)
	if err != nil {
		return nil, err
	}
	var next rope.Rope
	order, err := sortOrder(keys, reverse)
	for _, i := range order {
		next.Append(elems[i])
	}
	return &next, err
}

// sortKeys returns the keys of the elements.
func sortKeys(elems [][]byte, key *value.SortKey) ([][]byte, error) {
	if key == nil {
		return elems, nil
	}
	var (
		packed []byte
		err    error
		ends   = make([]int, len(elems))
	)
	for i, elem := range elems {
		if packed, err = key.Append(packed, elem); err != nil {
			return nil, err
		}
		ends[i] = len(packed)
	}
	keys, from := make([][]byte, len(elems)), 0
	for i, end := range ends {
		keys[i], from = packed[from:end], end
	}
	return keys, nil
}

// ranked is an element's place and a number that orders it.
type ranked struct {
	rank  int64
	place int32
}

// sortOrder returns the places of the keys in order. Keys that are all whole numbers, all floats, all str or all bytes are
// compared without value's help; the place decides between equal ones, so that the sort is stable.
func sortOrder(keys [][]byte, reverse bool) ([]int32, error) {
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
		return mergeSorted(keys, reverse)
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

// commonKind returns the kind of all keys, scalarOther if they differ or if there is a nan among them.
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

// rank returns all places with the ranks of their keys, turned round for a reversed sort.
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

// floatRank returns a number that is ordered as the floats are, without nan; 0.0 and -0.0 have the same.
func floatRank(b []byte) int64 {
	bits := int64(math.Float64bits(floatOf(b) + 0))
	return bits ^ (bits >> 63 & math.MaxInt64)
}

// prefixRank returns a number that is ordered as the first eight bytes of the contents are.
func prefixRank(b []byte) int64 {
	var prefix [8]byte
	copy(prefix[:], contentOf(b))
	return int64(binary.BigEndian.Uint64(prefix[:]) ^ 1<<63)
}
