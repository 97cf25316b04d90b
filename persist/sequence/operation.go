package sequence

import (
	"encoding/binary"
	"math"
)

// Operation is one entry of the sequence.
type Operation struct {
	LSN  uint64 // the first of its LSNs
	N    uint64 // how many LSNs it has, at least 1
	Time int64  // of the store, in milliseconds since 1970-01-01 UTC; 0: unknown

	// Semantics is the version of the commands' semantics by which the request was applied, at
	// least 1. 0: recorded before operations had one.
	Semantics uint64

	// Extensions are (tag varuint | length varuint | bytes)*, with ascending tags. A consumer must
	// refuse the operation if it does not know an even tag; it may skip odd ones. Empty: none.
	Extensions []byte

	Request []byte // empty: the operation only takes its LSNs
}

// Bytes returns what the operation counts in Sequencer.Appended and Batch.Bytes.
func (op *Operation) Bytes() int64 {
	return int64(OverheadBytes + len(op.Extensions) + len(op.Request))
}

// The limits of an operation. A longer one breaks the sequence.
const (
	MaxRequestBytes   = 1 << 30
	MaxExtensionBytes = 64 << 10
	MaxNumbers        = 1 << 32 // most LSNs
	MaxSemantics      = math.MaxUint32
)

// OverheadBytes is what an operation counts in addition to its bytes: at least the most that the
// File needs for it.
const OverheadBytes = 64

// ValidExtensions reports whether b has the form of Operation.Extensions.
func ValidExtensions(b []byte) bool {
	least := uint64(0)
	for first := true; len(b) > 0; first = false {
		tag, n := binary.Uvarint(b)
		if n <= 0 || !first && tag <= least {
			return false
		}
		b, least = b[n:], tag
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return false
		}
		b = b[n+int(length):]
	}
	return true
}

// valid reports whether the sequence can hold the operation.
func (op *Operation) valid() bool {
	return op.N-1 < MaxNumbers && op.Semantics-1 < MaxSemantics && len(op.Request) <= MaxRequestBytes &&
		(len(op.Extensions) == 0 || len(op.Extensions) <= MaxExtensionBytes && ValidExtensions(op.Extensions))
}

// In memory, an operation is
//
//	0     8      16            20          24           28       32
//	| LSN | time | numbers - 1 | semantics | extensions | length | extensions | request
//
// with the lengths of extensions and request. If bit 31 of the last is set, the request is
// retained: the header ends the chunk, and the request is a chunk of its own.
const (
	headerBytes = 32
	retainedBit = 1 << 31
)

// header is the header of an operation in memory.
type header [headerBytes]byte

func (h *header) lsn() uint64       { return binary.LittleEndian.Uint64(h[:]) }
func (h *header) time() int64       { return int64(binary.LittleEndian.Uint64(h[8:])) }
func (h *header) numbers() uint64   { return uint64(binary.LittleEndian.Uint32(h[16:])) + 1 }
func (h *header) semantics() uint64 { return uint64(binary.LittleEndian.Uint32(h[20:])) }
func (h *header) extensions() int   { return int(binary.LittleEndian.Uint32(h[24:])) }
func (h *header) length() int       { return int(binary.LittleEndian.Uint32(h[28:]) &^ retainedBit) }
func (h *header) retained() bool    { return binary.LittleEndian.Uint32(h[28:])&retainedBit != 0 }

// write writes the operation to dst, which has its length, without its request if that is retained.
func (op *Operation) write(dst []byte, retained bool) {
	le := binary.LittleEndian
	h := (*header)(dst)
	length := uint32(len(op.Request))
	if retained {
		length |= retainedBit
	} else {
		copy(dst[headerBytes+len(op.Extensions):], op.Request)
	}
	le.PutUint64(h[:], op.LSN)
	le.PutUint64(h[8:], uint64(op.Time))
	le.PutUint32(h[16:], uint32(op.N-1))
	le.PutUint32(h[20:], uint32(op.Semantics))
	le.PutUint32(h[24:], uint32(len(op.Extensions)))
	le.PutUint32(h[28:], length)
	if len(op.Extensions) > 0 {
		copy(dst[headerBytes:], op.Extensions)
	}
}
