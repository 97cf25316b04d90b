package govalue

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

var unmarshalerType = reflect.TypeFor[Unmarshaler]()

// decodeFunc reads the value at the front of b into v, which can be set and has the type that the
// function was made for.
type decodeFunc func(b []byte, v reflect.Value, lv level) (rest []byte, err error)

// decoder is the plan for a type, made and published as encoders are.
type decoder struct{ decode decodeFunc }

var decoders sync.Map // reflect.Type -> *decoder

func decoderOf(t reflect.Type) *decoder {
	if d, ok := decoders.Load(t); ok {
		return d.(*decoder)
	}
	build := decoderBuild{}
	d := build.of(t)
	for t, d := range build {
		decoders.LoadOrStore(t, d)
	}
	return d
}

// decoderBuild holds the plans made together; they are published when all are complete.
type decoderBuild map[reflect.Type]*decoder

func (b decoderBuild) of(t reflect.Type) *decoder {
	if d, ok := decoders.Load(t); ok {
		return d.(*decoder)
	}
	if d := b[t]; d != nil {
		return d
	}
	d := new(decoder)
	b[t] = d
	d.decode = b.plan(t)
	return d
}

func (b decoderBuild) plan(t reflect.Type) decodeFunc {
	switch {
	case t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(unmarshalerType):
		return decodeUnmarshaler
	case t == bigIntType:
		return decodeBigIntInto
	case t == bigRatType:
		return decodeBigRatInto
	case t == timeType:
		return decodeTimeInto
	case isNatural(t) && !isSequence(t):
		return decodeNatural
	}
	switch t.Kind() {
	case reflect.Bool:
		return decodeBoolInto
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return decodeSignedInto
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return decodeUnsignedInto
	case reflect.Float32, reflect.Float64:
		return decodeFloatInto
	case reflect.Complex64, reflect.Complex128:
		return decodeComplexInto
	case reflect.String:
		return decodeTextInto
	case reflect.Interface:
		return decodeInterface
	case reflect.Pointer:
		return decodePointer(b.of(t.Elem()))
	case reflect.Slice:
		return b.slice(t)
	case reflect.Array:
		return b.array(t)
	case reflect.Map:
		return b.goMap(t)
	case reflect.Struct:
		return b.structure(t)
	}
	return func(b []byte, _ reflect.Value, _ level) ([]byte, error) {
		return b, fmt.Errorf("%w: %v", ErrUnsupported, t)
	}
}

// isSequence reports whether a type of this package is a plain slice, which the rules for slices
// serve.
func isSequence(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem() != reflect.TypeFor[Pair]()
}

func decodeUnmarshaler(b []byte, v reflect.Value, _ level) ([]byte, error) {
	n, err := value.Check(b)
	if err != nil {
		return b, brokenValue(b, err)
	}
	return b[n:], v.Addr().Interface().(Unmarshaler).UnmarshalCyberDB(b[:n:n])
}

func decodeBoolInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	if value.LeadType(b) != value.TypeBool {
		return b, wrongType(b, v.Type())
	}
	v.SetBool(b[0] == leadTrue)
	return b[1:], nil
}

func decodeSignedInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	i, rest, err := decodeSigned(b, v.Type())
	if err == nil {
		v.SetInt(i)
	}
	return rest, err
}

func decodeUnsignedInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	u, rest, err := decodeUnsigned(b, v.Type())
	if err == nil {
		v.SetUint(u)
	}
	return rest, err
}

func decodeFloatInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	f, rest, err := decodeFloat(b, v.Type())
	if err == nil {
		v.SetFloat(f)
	}
	return rest, err
}

func decodeTextInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	if value.LeadType(b) != value.TypeStr {
		return b, wrongType(b, v.Type())
	}
	s, rest, err := readText(b)
	if err == nil {
		v.SetString(s)
	}
	return rest, err
}

func decodeComplexInto(b []byte, v reflect.Value, lv level) ([]byte, error) {
	x, rest, err := decodeAny(b, lv)
	if err != nil {
		return b, err
	}
	c, ok := x.(complex128)
	if !ok {
		return b, wrongType(b, v.Type())
	}
	if v.OverflowComplex(c) {
		return b, outOfRange("complex", c, v.Type())
	}
	v.SetComplex(c)
	return rest, nil
}

// decodeInterface puts the natural value into an interface; one with methods takes it if it has
// them.
func decodeInterface(b []byte, v reflect.Value, lv level) ([]byte, error) {
	x, rest, err := decodeAny(b, lv)
	if err != nil {
		return b, err
	}
	if x == nil {
		v.SetZero()
		return rest, nil
	}
	natural := reflect.ValueOf(x)
	if !natural.Type().AssignableTo(v.Type()) {
		return b, wrongType(b, v.Type())
	}
	v.Set(natural)
	return rest, nil
}

func decodePointer(elem *decoder) decodeFunc {
	return func(b []byte, v reflect.Value, lv level) ([]byte, error) {
		if value.LeadType(b) == value.TypeNil {
			v.SetZero()
			return b[1:], nil
		}
		lv, err := lv.follow()
		if err != nil {
			return b, err
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return elem.decode(b, v.Elem(), lv)
	}
}

// decodeTimeInto reads an aware datetime into a time.Time.
func decodeTimeInto(b []byte, v reflect.Value, _ level) ([]byte, error) {
	if value.LeadType(b) != value.TypeExt {
		return b, wrongType(b, v.Type())
	}
	code, payload, rest, err := value.ReadExt(b)
	if err != nil {
		return b, err
	}
	if code != value.ExtDateTime {
		return b, wrongType(b, v.Type())
	}
	d, err := decodeDateTime(payload)
	if err != nil {
		return b, err
	}
	t, err := d.Time()
	if err == nil {
		*v.Addr().Interface().(*time.Time) = t
	}
	return rest, err
}

// decodeNatural reads a value whose Go type stands for its own Python type.
func decodeNatural(b []byte, v reflect.Value, lv level) ([]byte, error) {
	x, rest, err := decodeAny(b, lv)
	if err != nil {
		return b, err
	}
	if x == nil && v.Kind() == reflect.Slice {
		v.SetZero()
		return rest, nil
	}
	if x, err = convertNatural(x, v.Type()); err != nil {
		return b, err
	}
	if reflect.TypeOf(x) != v.Type() {
		return b, wrongType(b, v.Type())
	}
	v.Set(reflect.ValueOf(x))
	return rest, nil
}

// convertNatural turns what Decode gives into t where Python's type and t are two views of one
// thing; else it returns x itself.
func convertNatural(x any, t reflect.Type) (any, error) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		if d, ok := x.(TimeDelta); ok {
			return d.Duration()
		}
	case reflect.TypeFor[Dict]():
		switch d := x.(type) {
		case OrderedDict:
			return Dict(d), nil
		case Counter:
			return Dict(d), nil
		case DefaultDict:
			return d.Items, nil
		}
	}
	return x, nil
}

// skip skips the value at the front of b.
func skip(b []byte) ([]byte, error) {
	rest, err := msgp.Skip(b)
	if err != nil {
		return b, fromMsgp(err)
	}
	return rest, nil
}
