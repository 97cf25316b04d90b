package value

import (
	"math/big"

	"github.com/tinylib/msgp/msgp"
)

// AppendStr appends s, which must be UTF-8 in which lone surrogates may stand as their three bytes.
func AppendStr(dst []byte, s string) []byte { return msgp.AppendString(dst, s) }

// AppendExtHeader appends the shortest header of an extension object with n bytes of payload.
func AppendExtHeader(dst []byte, code int8, n int) []byte { return extHeader(dst, code, n) }

// AppendBigInt appends an int of any size in its shortest form. Errors: *Error OverflowError above 8192 bytes.
func AppendBigInt(dst []byte, x *big.Int) ([]byte, error) {
	if x.BitLen() >= 8*maxNumberBytes && len(twosComplement(x)) > maxNumberBytes {
		return dst, &Error{Kind: OverflowError, Msg: "int of more than 8192 bytes", limit: ErrTooLarge}
	}
	return appendAnyInt(dst, x), nil
}

// appendAnyInt appends an int without a limit to its size.
func appendAnyInt(dst []byte, x *big.Int) []byte {
	switch {
	case x.IsInt64():
		return appendInt(dst, x.Int64())
	case x.IsUint64():
		return msgp.AppendUint64(dst, x.Uint64())
	}
	return appendExtBytes(dst, ExtBigInt, twosComplement(x))
}

func appendFloat(dst []byte, f float64) []byte { return msgp.AppendFloat64(dst, f) }

// appendDecimalExt appends a Decimal.
func appendDecimalExt(dst []byte, neg bool, digits []byte, exp int64) []byte {
	start := len(dst)
	return wrapExt(appendDecimalText(dst, neg, digits, exp), start, ExtDecimal)
}

// appendFractionExt appends a Fraction, which must be in lowest terms.
func appendFractionExt(dst []byte, num, den *big.Int) []byte {
	start := len(dst)
	dst = appendAnyInt(msgp.AppendArrayHeader(dst, 2), num)
	return wrapExt(appendAnyInt(dst, den), start, ExtFraction)
}
