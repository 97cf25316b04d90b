package govalue

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// field is one struct field that takes part, own or promoted.
type field struct {
	name      string // key in the dict
	goName    string // for paths in errors
	key       []byte // the encoded name
	index     []int  // as reflect.Value.FieldByIndex takes it
	typ       reflect.Type
	omitEmpty bool
	tagged    bool
}

// structFields lists the fields of struct type t in the order of their declaration, embedded
// structs flattened.
//
// Of several fields of one name the least deeply embedded counts; if several stand there, the only
// tagged one; if there is no such one, none. That is encoding/json's rule.
func structFields(t reflect.Type) []field {
	var all []field
	collectFields(t, nil, map[reflect.Type]bool{}, &all)
	byName := map[string][]int{}
	for i, f := range all {
		byName[f.name] = append(byName[f.name], i)
	}
	var kept []field
	for i, f := range all {
		if dominant(all, byName[f.name]) == i {
			kept = append(kept, f)
		}
	}
	return kept
}

// dominant picks the field that wins its name, -1 if none does.
func dominant(all []field, candidates []int) int {
	rank := func(i int) int {
		r := 2 * len(all[i].index)
		if !all[i].tagged {
			r++
		}
		return r
	}
	slices.SortStableFunc(candidates, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	if len(candidates) > 1 && rank(candidates[0]) == rank(candidates[1]) {
		return -1
	}
	return candidates[0]
}

// collectFields walks t depth first; above holds the struct types on the way, so that a type that
// embeds itself ends.
func collectFields(t reflect.Type, index []int, above map[reflect.Type]bool, all *[]field) {
	if above[t] {
		return
	}
	above[t] = true
	defer delete(above, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("cyberdb")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		at := append(slices.Clone(index), i)
		if embedded := structUnder(f); embedded != nil && name == "" {
			// a nil pointer to an unexported struct could not be set
			if f.IsExported() || f.Type.Kind() == reflect.Struct {
				collectFields(embedded, at, above, all)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		tagged := name != ""
		if !tagged {
			name = f.Name
		}
		*all = append(*all, field{
			name: name, goName: f.Name, key: msgp.AppendString(nil, name), index: at, typ: f.Type,
			omitEmpty: slices.Contains(strings.Split(options, ","), "omitempty"), tagged: tagged,
		})
	}
}

// structUnder returns the struct type that an embedded field flattens, nil if f is no such field.
func structUnder(f reflect.StructField) reflect.Type {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !f.Anonymous || t.Kind() != reflect.Struct || isNatural(t) || implements(t, marshalerType) ||
		implements(t, unmarshalerType) {
		return nil
	}
	return t
}

// valueIn returns the field in struct v; ok is false after an embedded nil pointer.
func (f *field) valueIn(v reflect.Value) (_ reflect.Value, ok bool) {
	for i, x := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, true
}

// present reports whether the field of v is to be encoded.
func (f *field) present(v reflect.Value) bool { return !f.omitEmpty || !isEmpty(v) }

// isEmpty is encoding/json's notion for omitempty.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
