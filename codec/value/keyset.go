package value

import (
	"bytes"
	"hash/maphash"
	"sync"
)

// keySet is a set of keys in their canonical form, numbered from 0 in the order they were added. Up
// to fewKeys it is searched from end to end; above that it has an index, an open-addressing table
// of numbers. Keys may be views into what was added.
type keySet struct {
	keys    [][]byte
	index   []uint32 // number+1, 0 is free; nil while there are few; length a power of two, at most half full
	unequal int      // keys added that equal nothing
	scratch []byte   // canonical forms that are no views
}

const (
	fewKeys  = 8
	keepKeys = 1 << 12 // larger sets are left to the garbage collector
)

// keySeed is random per process, so that attackers cannot aim at the index.
var keySeed = maphash.MakeSeed()

var keySets = sync.Pool{New: func() any { return new(keySet) }}

func newKeySet() *keySet { return keySets.Get().(*keySet) }

// release gives the set back for reuse.
func (s *keySet) release() {
	if cap(s.keys) > keepKeys || cap(s.scratch) > 16*keepKeys {
		return
	}
	clear(s.keys)
	*s = keySet{keys: s.keys[:0], scratch: s.scratch[:0]}
	keySets.Put(s)
}

// add adds the checked value b; added is false if an equal key was there. Errors: those of Key.
func (s *keySet) add(b []byte) (added bool, err error) {
	key, unequal, err := s.canonical(b)
	if err != nil {
		return false, err
	}
	if unequal {
		s.unequal++
		return true, nil
	}
	if s.find(key) >= 0 {
		return false, nil
	}
	s.keys = append(s.keys, key)
	switch {
	case len(s.keys) > fewKeys && 2*len(s.keys) > len(s.index):
		s.grow()
	case s.index != nil:
		s.put(len(s.keys) - 1)
	}
	return true, nil
}

// canonical returns the canonical form of b, which stays valid as long as b and the set.
func (s *keySet) canonical(b []byte) (key []byte, unequal bool, err error) {
	used := len(s.scratch)
	key, unequal, err = Key(b, s.scratch[used:])
	if err != nil || len(key) == 0 || len(b) > 0 && &key[0] == &b[0] {
		return key, unequal, err
	}
	if cap(s.scratch) > used && &key[0] == &s.scratch[:used+1][used] {
		s.scratch = s.scratch[:used+len(key)]
	} else { // Key moved on to its own memory; continue after it
		s.scratch = key
	}
	return key[:len(key):len(key)], unequal, nil
}

// number returns the number of the checked value b, -1 if it is not in the set.
func (s *keySet) number(b []byte) int {
	used := len(s.scratch)
	key, unequal, err := Key(b, s.scratch[used:])
	if err != nil || unequal {
		return -1
	}
	return s.find(key)
}

func (s *keySet) find(key []byte) int {
	if s.index == nil {
		for i, k := range s.keys {
			if bytes.Equal(k, key) {
				return i
			}
		}
		return -1
	}
	mask := len(s.index) - 1
	for slot := int(maphash.Bytes(keySeed, key)) & mask; s.index[slot] != 0; slot = (slot + 1) & mask {
		if i := int(s.index[slot] - 1); bytes.Equal(s.keys[i], key) {
			return i
		}
	}
	return -1
}

func (s *keySet) put(number int) {
	mask := len(s.index) - 1
	slot := int(maphash.Bytes(keySeed, s.keys[number])) & mask
	for s.index[slot] != 0 {
		slot = (slot + 1) & mask
	}
	s.index[slot] = uint32(number + 1)
}

func (s *keySet) grow() {
	s.index = make([]uint32, max(8*fewKeys, 2*len(s.index)))
	for i := range s.keys {
		s.put(i)
	}
}
