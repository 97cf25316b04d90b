package govalue

import (
	"bytes"
	"reflect"

	"cyberdb-fast/codec/value"

	"github.com/tinylib/msgp/msgp"
)

// decodedField is a field with the plan of its type.
type decodedField struct {
	field
	plan *decoder
}

// structDecoder is the plan for a struct.
type structDecoder struct {
	fields []decodedField
	byName map[string]int
}

func (b decoderBuild) structure(t reflect.Type) decodeFunc {
	s := &structDecoder{byName: map[string]int{}}
	for _, f := range structFields(t) {
		s.byName[f.name] = len(s.fields)
		s.fields = append(s.fields, decodedField{f, b.of(f.typ)})
	}
	return s.decode
}

func (s *structDecoder) decode(b []byte, v reflect.Value, lv level) ([]byte, error) {
	o, err := openMapping(b, v.Type())
	if err != nil {
		return b, err
	}
	if lv, err = lv.enter(o.n); err != nil {
		return b, err
	}
	rest := o.body
	for next := range o.n {
		var f *decodedField
		if f, rest, err = s.readKey(rest, next); err != nil {
			return b, atStep("[key]", err)
		}
		if f == nil {
			if rest, err = skip(rest); err != nil {
				return b, err
			}
			continue
		}
		if rest, err = f.plan.decode(rest, f.settableIn(v), lv); err != nil {
			return b, atStep("."+f.goName, err)
		}
	}
	return o.closed(rest)
}

// readKey reads a key and finds its field, nil if there is none. It looks first at the field in
// place next, where Append puts it.
func (s *structDecoder) readKey(b []byte, next int) (f *decodedField, rest []byte, err error) {
	if next < len(s.fields) && bytes.HasPrefix(b, s.fields[next].key) {
		return &s.fields[next], b[len(s.fields[next].key):], nil
	}
	if value.LeadType(b) != value.TypeStr {
		rest, err = skip(b)
		return nil, rest, err
	}
	name, rest, err := msgp.ReadStringZC(b)
	if err != nil {
		return nil, b, fromMsgp(err)
	}
	if i, ok := s.byName[string(name)]; ok {
		return &s.fields[i], rest, nil
	}
	return nil, rest, nil
}

// settableIn returns the field in struct v, making the embedded structs on the way that are nil
// pointers.
func (f *field) settableIn(v reflect.Value) reflect.Value {
	for i, x := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}
