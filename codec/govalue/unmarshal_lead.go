package govalue

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

// First bytes of encodings that are distinguished here, from the MessagePack specification.
const (
	leadTrue   = 0xC3
	leadUint64 = 0xCF
)

// isInt reports whether the encoding b is an int of any size.
func isInt(b []byte) bool {
	if value.LeadType(b) == value.TypeExt {
		code, _, _, err := value.ReadExt(b)
		return err == nil && code == value.ExtBigInt
	}
	return value.LeadType(b) == value.TypeInt
}

// badForm explains a first byte that begins no value.
func badForm(b []byte) error {
	if len(b) == 0 {
		return value.ErrTruncated
	}
	return fmt.Errorf("%w: first byte 0x%02X", ErrMalformed, b[0])
}

// fromMsgp turns msgp's errors into ours.
func fromMsgp(err error) error {
	if errors.Is(err, msgp.ErrShortBytes) {
		return value.ErrTruncated
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

// readInt reads an int of TypeInt: i, or u if it is above MaxInt64.
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

// readNaturalInt reads an int of any size as int64, uint64 or *big.Int, whichever is first to hold
// it.
func readNaturalInt(b []byte) (any, []byte, error) {
	if value.LeadType(b) == value.TypeExt {
		code, payload, rest, err := value.ReadExt(b)
		if err != nil {
			return nil, b, err
		}
		if code != value.ExtBigInt {
			return nil, b, fmt.Errorf("%w: extension %d where an int belongs", ErrMalformed, code)
		}
		i, err := decodeBigInt(payload)
		return i, rest, err
	}
	if value.LeadType(b) != value.TypeInt {
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
	if len(payload) == 0 || len(payload) > value.MaxNumberBytes {
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
