package value

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"

	"github.com/tinylib/msgp/msgp"
)

// AppendStr appends s, which must be UTF-8 in which lone surrogates may stand as their three bytes.
func AppendStr(dst []byte, s string) []byte { return msgp.AppendString(dst, s) }

// AppendInt appends i in its shortest form: msgp writes 200 as int16 if it comes signed and as
// uint8 if not.
func AppendInt(dst []byte, i int64) []byte {
	if i >= 0 {
		return msgp.AppendUint64(dst, uint64(i))
	}
	return msgp.AppendInt64(dst, i)
}

// AppendComplex appends a complex.
func AppendComplex(dst []byte, c complex128) []byte {
	dst = AppendExtHeader(dst, ExtComplex, 16)
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(real(c)))
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(imag(c)))
}

// AppendExtHeader appends the shortest header of an extension object with n bytes of payload.
func AppendExtHeader(dst []byte, code int8, n int) []byte {
	switch {
	case n == 1 || n == 2 || n == 4 || n == 8 || n == 16:
		return append(dst, leadFixExt1+byte(bits.TrailingZeros(uint(n))), byte(code))
	case n <= math.MaxUint8:
		return append(dst, leadExt8, byte(n), byte(code))
	case n <= math.MaxUint16:
		return append(dst, leadExt16, byte(n>>8), byte(n), byte(code))
	}
	return append(binary.BigEndian.AppendUint32(append(dst, leadExt32), uint32(n)), byte(code))
}

// AppendExt appends an extension object.
func AppendExt(dst []byte, code int8, payload []byte) []byte {
	return append(AppendExtHeader(dst, code, len(payload)), payload...)
}

// WrapExt makes dst[start:] the payload of an extension object.
func WrapExt(dst []byte, start int, code int8) []byte {
	var room [6]byte
	header := AppendExtHeader(room[:0], code, len(dst)-start)
	end := len(dst)
	dst = append(dst, header...)
	copy(dst[start+len(header):], dst[start:end])
	copy(dst[start:], header)
	return dst
}

// AppendBigInt appends an int of any size in its shortest form. Errors: *Error OverflowError above
// 8192 bytes.
func AppendBigInt(dst []byte, x *big.Int) ([]byte, error) {
	if x.BitLen() >= 8*MaxNumberBytes && len(twosComplement(x)) > MaxNumberBytes {
		return dst, &Error{Kind: OverflowError, Msg: "int of more than 8192 bytes", limit: ErrTooLarge}
	}
	return appendAnyInt(dst, x), nil
}

// appendAnyInt appends an int without a limit to its size.
func appendAnyInt(dst []byte, x *big.Int) []byte {
	switch {
	case x.IsInt64():
		return AppendInt(dst, x.Int64())
	case x.IsUint64():
		return msgp.AppendUint64(dst, x.Uint64())
	}
	return AppendExt(dst, ExtBigInt, twosComplement(x))
}

func appendFloat(dst []byte, f float64) []byte { return msgp.AppendFloat64(dst, f) }

// appendDecimalExt appends a Decimal.
func appendDecimalExt(dst []byte, neg bool, digits []byte, exp int64) []byte {
	start := len(dst)
	return WrapExt(appendDecimalText(dst, neg, digits, exp), start, ExtDecimal)
}

// appendFractionExt appends a Fraction, which must be in lowest terms.
func appendFractionExt(dst []byte, num, den *big.Int) []byte {
	start := len(dst)
	dst = appendAnyInt(msgp.AppendArrayHeader(dst, 2), num)
	return WrapExt(appendAnyInt(dst, den), start, ExtFraction)
}

// twosComplement is the shortest big-endian two's complement form of x.
func twosComplement(x *big.Int) []byte {
	magnitude := x
	if x.Sign() < 0 {
		magnitude = new(big.Int).Not(x) // -x-1: its bits inverted are x
	}
	payload := magnitude.FillBytes(make([]byte, magnitude.BitLen()/8+1))
	if x.Sign() < 0 {
		for i := range payload {
			payload[i] = ^payload[i]
		}
	}
	return payload
}
