package pickle

import (
	"bytes"
	"encoding/binary"

	"cyberdb-fast/codec/value"
)

// leadFloat64 is the first byte of MessagePack's float 64.
const leadFloat64 = 0xcb

func appendFloat(dst []byte, bits uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, leadFloat64), bits)
}

// fewKeys is the most keys that are compared pairwise.
const fewKeys = 8

// distinct removes duplicates from the keys of a dict, or the members of a set, as Python does: the
// first of equal keys stays in its place, and gets the value of the last. The parts are measured.
// Errors: *value.Error if one cannot be hashed.
func (g *graph) distinct(at ref) error {
	n := &g.nodes[at]
	first, each := 0, 2
	switch n.kind {
	case Dict, OrderedDict, Counter:
	case DefaultDict:
		first = 1
	case Set, FrozenSet:
		each = 1
	default:
		return nil
	}
	parts := g.parts(n)
	if g.fewTexts(parts[first:], each) {
		return nil
	}
	seen := make(map[string]int, len(parts)/each)
	kept := first
	var room, scratch []byte
	for i := first; i < len(parts); i += each {
		room = g.encode(room[:0], parts[i])
		key, unequal, err := value.Key(room, scratch[:0])
		if err != nil {
			return err
		}
		place, twice := seen[string(key)]
		switch {
		case twice && !unequal:
			copy(parts[place+1:place+each], parts[i+1:i+each])
			continue
		case !unequal:
			seen[string(key)] = kept
		}
		copy(parts[kept:kept+each], parts[i:i+each])
		kept += each
	}
	g.replace(at, parts[:kept])
	return nil
}

// fewTexts reports whether the keys are all texts, few, and different: the usual case.
func (g *graph) fewTexts(parts []ref, each int) bool {
	if len(parts) > fewKeys*each {
		return false
	}
	for i := 0; i < len(parts); i += each {
		key := &g.nodes[parts[i]]
		if key.kind != Str {
			return false
		}
		for j := 0; j < i; j += each {
			if bytes.Equal(g.bytes(key), g.bytes(&g.nodes[parts[j]])) {
				return false
			}
		}
	}
	return true
}
