package govalue

import (
	"fmt"
	"math"
	"math/big"
	"reflect"

	"cyberdb-fast/codec/value"
)

// wrongType says that the value at the front of b does not go into t; if it is no value at all, it
// says that.
func wrongType(b []byte, t reflect.Type) error {
	if _, err := value.Check(b); err != nil {
		return brokenValue(b, err)
	}
	return fmt.Errorf("%w: %s into %v", ErrWrongType, value.TypeName(b), t)
}

// brokenValue returns the error of Decode for b, so that all ways of decoding say the same of it;
// err is that of Check.
func brokenValue(b []byte, err error) error {
	if _, _, decodeErr := decodeAny(b, level{}); decodeErr != nil {
		return decodeErr
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func outOfRange(kind string, v any, t reflect.Type) error {
	return fmt.Errorf("%w: %s %v into %v", ErrOutOfRange, kind, v, t)
}

// bigIntAt reads the int beyond 64 bits at the front of b; ok is false if something else is there.
func bigIntAt(b []byte) (x any, rest []byte, ok bool, err error) {
	if value.LeadType(b) != value.TypeExt || !isInt(b) {
		return nil, b, false, nil
	}
	x, rest, err = readNaturalInt(b)
	return x, rest, true, err
}

// decodeSigned reads an int that t, a signed kind, holds.
func decodeSigned(b []byte, t reflect.Type) (int64, []byte, error) {
	if value.LeadType(b) != value.TypeInt {
		return 0, b, notAnInt(b, t)
	}
	i, u, rest, err := readInt(b)
	if err != nil {
		return 0, b, err
	}
	if u != 0 {
		return 0, b, outOfRange("int", u, t)
	}
	if shift := 64 - 8*t.Size(); i<<shift>>shift != i {
		return 0, b, outOfRange("int", i, t)
	}
	return i, rest, nil
}

// decodeUnsigned reads an int that t, an unsigned kind, holds.
func decodeUnsigned(b []byte, t reflect.Type) (uint64, []byte, error) {
	if value.LeadType(b) != value.TypeInt {
		return 0, b, notAnInt(b, t)
	}
	i, u, rest, err := readInt(b)
	if err != nil {
		return 0, b, err
	}
	if i < 0 {
		return 0, b, outOfRange("int", i, t)
	}
	u |= uint64(i) // one of the two is 0
	if shift := 64 - 8*t.Size(); u<<shift>>shift != u {
		return 0, b, outOfRange("int", u, t)
	}
	return u, rest, nil
}

func notAnInt(b []byte, t reflect.Type) error {
	if x, _, ok, err := bigIntAt(b); ok {
		if err != nil {
			return err
		}
		return outOfRange("int", describe(x), t)
	}
	return wrongType(b, t)
}

// describe shortens a number that is too long to show.
func describe(x any) string {
	if i, ok := x.(*big.Int); ok && i.BitLen() > 256 {
		return fmt.Sprintf("of %d bits", i.BitLen())
	}
	return fmt.Sprint(x)
}

// decodeFloat reads a float, or an int that float64 holds exactly.
func decodeFloat(b []byte, t reflect.Type) (float64, []byte, error) {
	switch value.LeadType(b) {
	case value.TypeFloat:
		f, rest, err := readFloat(b)
		if err == nil && t.Kind() == reflect.Float32 && math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
			return 0, b, outOfRange("float", f, t)
		}
		return f, rest, err
	case value.TypeInt:
		x, rest, err := readNaturalInt(b)
		if err != nil {
			return 0, b, err
		}
		f, accuracy := new(big.Float).SetInt(toBig(x)).Float64()
		if accuracy != big.Exact || t.Kind() == reflect.Float32 && float64(float32(f)) != f {
			return 0, b, outOfRange("int", x, t)
		}
		return f, rest, nil
	}
	return 0, b, notAnInt(b, t)
}

// decodeBigIntInto reads an int of any size into a big.Int.
func decodeBigIntInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	if value.LeadType(b) != value.TypeInt && !isInt(b) {
		return b, wrongType(b, v.Type())
	}
	x, rest, err := readNaturalInt(b)
	if err != nil {
		return b, err
	}
	v.Addr().Interface().(*big.Int).Set(toBig(x))
	return rest, nil
}

// decodeBigRatInto reads a Fraction or an int of any size into a big.Rat.
func decodeBigRatInto(b []byte, v reflect.Value, lv level) ([]byte, error) {
	x, rest, err := decodeAny(b, lv)
	if err != nil {
		return b, err
	}
	into := v.Addr().Interface().(*big.Rat)
	switch x := x.(type) {
	case *big.Rat:
		into.Set(x)
	case int64, uint64, *big.Int:
		into.SetInt(toBig(x))
	default:
		return b, wrongType(b, v.Type())
	}
	return rest, nil
}
