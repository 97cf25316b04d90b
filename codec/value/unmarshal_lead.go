package value

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/tinylib/msgp/msgp"
)

// First bytes of the encodings that are told apart here, from the MessagePack specification.
const (
	leadNil     = 0xC0
	leadTrue    = 0xC3
	leadExt8    = 0xC7
	leadExt16   = 0xC8
	leadExt32   = 0xC9
	leadUint64  = 0xCF
	leadFixExt1 = 0xD4
)

// leadTyp returns what the first byte of b tells, typUnknown if b is empty.
func leadTyp(b []byte) typ {
	if len(b) == 0 {
		return typUnknown
	}
	return leads[b[0]].t
}

// isInt says whether the encoding b is an int of any size.
func isInt(b []byte) bool {
	if leadTyp(b) == typExt {
		code, _, _, err := readExt(b)
		return err == nil && code == ExtBigInt
	}
	return leadTyp(b) == typInt
}

// readExt opens the extension object at the front of b.
func readExt(b []byte) (code int8, payload, rest []byte, err error) {
	header, n := 2, uint64(0)
	switch {
	case b[0] >= leadFixExt1:
		n = 1 << (b[0] - leadFixExt1)
	case b[0] == leadExt8 && len(b) > 1:
		header, n = 3, uint64(b[1])
	case b[0] == leadExt16 && len(b) > 2:
		header, n = 4, uint64(binary.BigEndian.Uint16(b[1:]))
	case b[0] == leadExt32 && len(b) > 4:
		header, n = 6, uint64(binary.BigEndian.Uint32(b[1:]))
	default:
		return 0, nil, nil, ErrTruncated
	}
	if uint64(len(b)) < uint64(header)+n {
		return 0, nil, nil, ErrTruncated
	}
	end := header + int(n)
	return int8(b[header-1]), b[header:end], b[end:], nil
}

// badForm explains a first byte that begins no value.
func badForm(b []byte) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	return fmt.Errorf("%w: first byte 0x%02X", ErrMalformed, b[0])
}

// fromMsgp turns msgp's errors into ours.
func fromMsgp(err error) error {
	if errors.Is(err, msgp.ErrShortBytes) {
		return ErrTruncated
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// readText reads a str as a view into b, checked to be text.
func readText(b []byte) (text string, rest []byte, err error) {
	view, rest, err := msgp.ReadStringZC(b)
	if err != nil {
		return "", b, fromMsgp(err)
	}
	if text = string(view); !validText(text) {
		return "", b, ErrNotUTF8
	}
	return text, rest, nil
}

// readBin reads bytes into a copy that is never nil.
func readBin(b []byte) (data, rest []byte, err error) {
	view, rest, err := msgp.ReadBytesZC(b)
	if err != nil {
		return nil, b, fromMsgp(err)
	}
	return append([]byte{}, view...), rest, nil
}

// readInt reads an int of typInt: i, or u if it is above MaxInt64.
func readInt(b []byte) (i int64, u uint64, rest []byte, err error) {
	if b[0] == leadUint64 {
		u, rest, err = msgp.ReadUint64Bytes(b)
		if err == nil && u <= math.MaxInt64 {
			i, u = int64(u), 0
		}
	} else {
		i, rest, err = msgp.ReadInt64Bytes(b)
	}
	if err != nil {
		return 0, 0, b, fromMsgp(err)
	}
	return i, u, rest, nil
}

// readNaturalInt reads an int of any size as int64, uint64 or *big.Int, whichever is first to hold it.
func readNaturalInt(b []byte) (any, []byte, error) {
	if leadTyp(b) == typExt {
		code, payload, rest, err := readExt(b)
		if err != nil {
			return nil, b, err
		}
		if code != ExtBigInt {
			return nil, b, fmt.Errorf("%w: extension %d where an int belongs", ErrMalformed, code)
		}
		i, err := decodeBigInt(payload)
		return i, rest, err
	}
	if leadTyp(b) != typInt {
		return nil, b, fmt.Errorf("%w: no int where an int belongs", ErrMalformed)
	}
	i, u, rest, err := readInt(b)
	switch {
	case err != nil:
		return nil, b, err
	case u != 0:
		return u, rest, nil
	}
	return i, rest, nil
}

func decodeBigInt(payload []byte) (any, error) {
	if len(payload) == 0 || len(payload) > maxNumberBytes {
		return nil, fmt.Errorf("%w: int of %d bytes", ErrMalformed, len(payload))
	}
	x := new(big.Int)
	if payload[0] < 0x80 {
		x.SetBytes(payload)
	} else {
		inverted := make([]byte, len(payload))
		for i, b := range payload {
			inverted[i] = ^b
		}
		x.Not(x.SetBytes(inverted))
	}
	switch {
	case x.IsInt64():
		return x.Int64(), nil
	case x.IsUint64():
		return x.Uint64(), nil
	}
	return x, nil
}
