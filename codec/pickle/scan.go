package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// Scanner finds the end of a pickle that is received in pieces. The zero Scanner is at the
// beginning. It reads each opcode once.
type Scanner struct{ at int }

// End returns the length of the pickle at the front of b, which begins with the bytes given to End
// before.
//
// Errors: ErrShort if b ends inside the pickle; *Error for an invalid opcode, or a length above
// MaxInt32.
func (s *Scanner) End(b []byte) (int, error) {
	for s.at < len(b) {
		size, err := operation(b, s.at)
		if err != nil {
			return 0, err
		}
		stop := b[s.at] == opStop
		s.at += size
		if stop {
			return s.at, nil
		}
	}
	return 0, ErrShort
}

// operation returns the size of the opcode at b[at] with all that follows it. Errors: as End's.
func operation(b []byte, at int) (int, error) {
	f := &forms[b[at]]
	switch {
	case f.name == "":
		return 0, &Error{At: at, Msg: fmt.Sprintf("byte 0x%02x is no opcode", b[at])}
	case f.lines > 0:
		size := 1
		for range f.lines {
			n := bytes.IndexByte(b[at+size:], '\n')
			if n < 0 {
				return 0, ErrShort
			}
			size += n + 1
		}
		return size, nil
	}
	size := 1 + int(f.fixed) + int(f.count)
	if len(b)-at < size {
		return 0, ErrShort
	}
	if f.count > 0 {
		n := littleEndian(b[at+1 : at+1+int(f.count)])
		if n > math.MaxInt32 {
			return 0, &Error{At: at, Op: f.name, Msg: fmt.Sprintf("a length of %d bytes", n)}
		}
		size += int(n)
	}
	if len(b)-at < size {
		return 0, ErrShort
	}
	return size, nil
}

// littleEndian reads up to eight bytes.
func littleEndian(b []byte) uint64 {
	if len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	n := uint64(0)
	for i, digit := range b {
		n |= uint64(digit) << (8 * i)
	}
	return n
}

// HasProtocol reports whether b, as far as it goes, begins with the number of a known protocol.
func HasProtocol(b []byte) bool {
	return len(b) > 0 && b[0] == opProto && (len(b) == 1 || b[1] <= maxProtocol)
}

// BeginsDict reports whether a pickle of a dict can begin like this, as far as b goes.
func BeginsDict(b []byte) bool {
	if len(b) > 1 && b[0] == opProto {
		if b[1] > maxProtocol {
			return false
		}
		if b = b[2:]; len(b) > 0 && b[0] == opFrame {
			b = b[min(9, len(b)):]
		}
	}
	return len(b) == 0 || b[0] == opEmptyDict || b[0] == opMark || len(b) == 1 && b[0] == opProto
}
