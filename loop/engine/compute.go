package engine

import (
	"encoding/binary"
	"fmt"

	"cyberdb-fast/codec/value"
)

// maxComputeKeyBytes is the size of the largest key that can be computed once.
const maxComputeKeyBytes = 64 << 10

// appendComputeLine appends the key of the line of those that wait for a key of a table.
func appendComputeLine(dst, table, key []byte) ([]byte, error) {
	canonical, unequal, err := value.Key(key, nil)
	switch {
	case err != nil:
		return dst, err
	case unequal:
		return dst, valueError(fmt.Sprintf("key %s equals nothing: it cannot be computed once", reprOf(key)))
	case len(canonical) > maxComputeKeyBytes:
		return dst, valueError(fmt.Sprintf(
			"a key of %d bytes is too large to be computed once: the most is %d", len(canonical), maxComputeKeyBytes))
	}
	dst = binary.BigEndian.AppendUint16(append(dst, computeEntry), uint16(len(table)))
	return append(append(dst, table...), canonical...), nil
}

// leaseOf returns the lease with the key of a line. The table of the locks becomes x.Table.
func (x *Executor) leaseOf(line []byte) (held, error) {
	table, err := x.findLocks()
	if table == nil || err != nil {
		return held{}, err
	}
	return x.heldAt(append(appendBin(x.entryKey[:0], len(line)), line...))
}
