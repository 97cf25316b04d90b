package codec

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
)

// Tags of extensions. A server refuses an even tag that it does not know, and skips an odd one. On
// the wire: do not change.
const (
	// TagLockFence has u64 fence | the lock's name: the request is executed only while the lock is
	// held with this fence.
	TagLockFence = 2
	// TagComputeFence has u64 fence | table's name (str) | key: the same, for the lease of DICT GET
	// OR COMPUTE.
	TagComputeFence = 4
)

const (
	fenceBytes = 8
	// MaxLockNameBytes is the longest name of a lock, in bytes of UTF-8.
	MaxLockNameBytes = 1024
)

// Fence is the condition IF FENCE of a request: a lock, or the lease of a computation, is held with
// this number. The bytes are views.
type Fence struct {
	Number uint64
	Lock   []byte // the lock's name; nil: it is the lease of Key
	Table  []byte // name of the table of Key
	Key    []byte // encoded
}

// AppendFence appends the extension IF FENCE, for Request.Extensions.
func AppendFence(dst []byte, f *Fence) []byte {
	n := fenceBytes + len(f.Lock)
	var name []byte
	if f.Lock == nil {
		name = msgp.AppendStringFromBytes(nil, f.Table)
		n = fenceBytes + len(name) + len(f.Key)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, f.tag()), uint64(n))
	dst = binary.LittleEndian.AppendUint64(dst, f.Number)
	if f.Lock != nil {
		return append(dst, f.Lock...)
	}
	return append(append(dst, name...), f.Key...)
}

// ParseExtensions reads the tagged fields of a request and appends its fences to dst: at most one
// of a lock and one of a computation, in this order. Errors: an *Error with StatusUnsupported for a
// tag that must be known and is not, with StatusBadArguments for bytes that cannot be parsed and
// for two fences with one tag.
func ParseExtensions(dst []Fence, b []byte) ([]Fence, error) {
	at := len(dst)
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		size, m := binary.Uvarint(b)
		if n <= 0 || m <= 0 || size > uint64(len(b)-m) {
			return nil, badExtension("the tagged fields cannot be parsed")
		}
		field := b[m : m+int(size)]
		b = b[m+int(size):]
		switch {
		case tag == TagLockFence || tag == TagComputeFence:
			f, err := parseFence(tag, field)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(dst[at:], func(g Fence) bool { return g.tag() == tag }) {
				return nil, badExtension(fmt.Sprintf("IF FENCE with tag %d is given twice", tag))
			}
			dst = append(dst, f)
		case tag%2 == 0:
			return nil, &Error{
				Status:  StatusUnsupported,
				Message: fmt.Sprintf("the request's extension %d is not supported by this server", tag),
			}
		}
	}
	slices.SortFunc(dst[at:], func(f, g Fence) int { return cmp.Compare(f.tag(), g.tag()) })
	return dst, nil
}

// tag returns the tag of the field that has the fence.
func (f *Fence) tag() uint64 {
	if f.Lock != nil {
		return TagLockFence
	}
	return TagComputeFence
}

// parseFence reads one of the two forms of IF FENCE.
func parseFence(tag uint64, b []byte) (f Fence, err error) {
	if len(b) < fenceBytes {
		return f, badExtension("IF FENCE has fewer than 8 bytes")
	}
	f.Number, b = binary.LittleEndian.Uint64(b), b[fenceBytes:]
	if tag == TagLockFence {
		if len(b) == 0 || len(b) > MaxLockNameBytes {
			return f, badExtension(
				fmt.Sprintf("IF FENCE names a lock of 1 to %d bytes, not %d", MaxLockNameBytes, len(b)),
			)
		}
		f.Lock = b
		return f, nil
	}
	if f.Table, f.Key, err = msgp.ReadStringZC(b); err != nil || len(f.Table) == 0 || len(f.Table) > MaxTableNameBytes {
		return f, badExtension("IF FENCE does not name a table")
	}
	n, err := value.Check(f.Key)
	if err != nil || n != len(f.Key) {
		return f, badExtension("IF FENCE does not name one key")
	}
	return f, nil
}

func badExtension(message string) error { return &Error{Status: StatusBadArguments, Message: message} }
