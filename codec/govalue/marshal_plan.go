package govalue

import (
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"time"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

var (
	marshalerType = reflect.TypeFor[Marshaler]()
	bigIntType    = reflect.TypeFor[big.Int]()
	bigRatType    = reflect.TypeFor[big.Rat]()
	timeType      = reflect.TypeFor[time.Time]()
)

// naturalTypes are the struct, slice, string and number types that stand for a Python type of their
// own, so that their Go kind does not count.
var naturalTypes = map[reflect.Type]bool{
	reflect.TypeFor[Tuple]():         true,
	reflect.TypeFor[Set]():           true,
	reflect.TypeFor[FrozenSet]():     true,
	reflect.TypeFor[ByteArray]():     true,
	reflect.TypeFor[Dict]():          true,
	reflect.TypeFor[OrderedDict]():   true,
	reflect.TypeFor[Counter]():       true,
	reflect.TypeFor[DefaultDict]():   true,
	reflect.TypeFor[Deque]():         true,
	reflect.TypeFor[DateTime]():      true,
	reflect.TypeFor[Date]():          true,
	reflect.TypeFor[Time]():          true,
	reflect.TypeFor[TimeDelta]():     true,
	reflect.TypeFor[time.Duration](): true,
	reflect.TypeFor[Decimal]():       true,
	reflect.TypeFor[UUID]():          true,
	reflect.TypeFor[Range]():         true,
	reflect.TypeFor[Slice]():         true,
	reflect.TypeFor[Singleton]():     true,
	reflect.TypeFor[Exception]():     true,
	reflect.TypeFor[Object]():        true,
	reflect.TypeFor[Ext]():           true,
	bigIntType:                       true,
	bigRatType:                       true,
	timeType:                         true,
}

func isNatural(t reflect.Type) bool { return naturalTypes[t] }

// implements reports whether t or *t implements the interface.
func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// encodeFunc appends v, which has the type that the function was made for.
type encodeFunc func(dst []byte, v reflect.Value, lv level) ([]byte, error)

// encoder is the plan for a type. Plans refer to each other by pointer, so that a type may hold
// itself.
type encoder struct{ encode encodeFunc }

var encoders sync.Map // reflect.Type -> *encoder

func encoderOf(t reflect.Type) *encoder {
	if e, ok := encoders.Load(t); ok {
		return e.(*encoder)
	}
	build := encoderBuild{}
	e := build.of(t)
	for t, e := range build {
		encoders.LoadOrStore(t, e)
	}
	return e
}

// encoderBuild holds the plans made together; they are published when all are complete.
type encoderBuild map[reflect.Type]*encoder

func (b encoderBuild) of(t reflect.Type) *encoder {
	if e, ok := encoders.Load(t); ok {
		return e.(*encoder)
	}
	if e := b[t]; e != nil {
		return e
	}
	e := new(encoder)
	b[t] = e
	e.encode = b.plan(t)
	return e
}

func (b encoderBuild) plan(t reflect.Type) encodeFunc {
	switch {
	case t.Kind() != reflect.Interface && t.Implements(marshalerType):
		return encodeMarshaler
	case reflect.PointerTo(t).Implements(marshalerType):
		return encodeByPointer(b.byKind(t))
	}
	return b.byKind(t)
}

func (b encoderBuild) byKind(t reflect.Type) encodeFunc {
	switch {
	case t == bigIntType || t == bigRatType:
		return encodeBig
	case t == timeType:
		return encodeTime
	case isNatural(t):
		return encodeBoxed
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) { return msgp.AppendBool(dst, v.Bool()), nil }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) { return value.AppendInt(dst, v.Int()), nil }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) {
			return msgp.AppendUint64(dst, v.Uint()), nil
		}
	case reflect.Float32, reflect.Float64:
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) {
			return msgp.AppendFloat64(dst, v.Float()), nil
		}
	case reflect.Complex64, reflect.Complex128:
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) {
			return value.AppendComplex(dst, v.Complex()), nil
		}
	case reflect.String:
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) { return appendText(dst, v.String()) }
	case reflect.Interface:
		return encodeInterface
	case reflect.Pointer:
		return encodePointer(b.of(t.Elem()))
	case reflect.Slice:
		return b.slice(t)
	case reflect.Array:
		return b.array(t)
	case reflect.Map:
		return encodeMap(b.of(t.Key()), b.of(t.Elem()))
	case reflect.Struct:
		return b.structure(t)
	}
	return func(dst []byte, _ reflect.Value, _ level) ([]byte, error) {
		return dst, fmt.Errorf("%w: %v", ErrUnsupported, t)
	}
}

func encodeBoxed(dst []byte, v reflect.Value, lv level) ([]byte, error) {
	dst, _, err := appendNatural(dst, v.Interface(), lv)
	return dst, err
}

// encodeTime saves the box that encodeBoxed needs, for the commonest of them.
func encodeTime(dst []byte, v reflect.Value, _ level) ([]byte, error) {
	return appendGoTime(dst, *pointerTo(v).Interface().(*time.Time))
}

// encodeBig takes a big.Int or big.Rat that is no pointer.
func encodeBig(dst []byte, v reflect.Value, lv level) ([]byte, error) {
	return appendAny(dst, pointerTo(v).Interface(), lv)
}

// pointerTo returns the address of v, or that of a copy if v has none.
func pointerTo(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

func encodeInterface(dst []byte, v reflect.Value, lv level) ([]byte, error) {
	if v.IsNil() {
		return msgp.AppendNil(dst), nil
	}
	return appendAny(dst, v.Elem().Interface(), lv)
}

func encodePointer(elem *encoder) encodeFunc {
	return func(dst []byte, v reflect.Value, lv level) ([]byte, error) {
		if v.IsNil() {
			return msgp.AppendNil(dst), nil
		}
		lv, err := lv.follow()
		if err != nil {
			return dst, err
		}
		return elem.encode(dst, v.Elem(), lv)
	}
}

// encodeMarshaler lets v encode itself and sees to it that one value came out.
func encodeMarshaler(dst []byte, v reflect.Value, _ level) ([]byte, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return msgp.AppendNil(dst), nil
	}
	start := len(dst)
	dst, err := v.Interface().(Marshaler).AppendCyberDB(dst)
	if err != nil {
		return dst, err
	}
	if len(dst) < start {
		return dst, fmt.Errorf("%w: %v.AppendCyberDB took bytes away", ErrMalformed, v.Type())
	}
	if n, err := value.Check(dst[start:]); err != nil || n != len(dst)-start {
		return dst, fmt.Errorf("%w: %v.AppendCyberDB did not append one value", ErrMalformed, v.Type())
	}
	return dst, nil
}

// encodeByPointer serves types whose pointer is the Marshaler: it is asked where v has an address,
// as in encoding/json.
func encodeByPointer(otherwise encodeFunc) encodeFunc {
	return func(dst []byte, v reflect.Value, lv level) ([]byte, error) {
		if v.CanAddr() {
			return encodeMarshaler(dst, v.Addr(), lv)
		}
		return otherwise(dst, v, lv)
	}
}
