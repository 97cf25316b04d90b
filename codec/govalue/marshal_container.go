package govalue

import (
	"bytes"
	"reflect"
	"slices"
	"sync"

	"github.com/tinylib/msgp/msgp"
)

func (b encoderBuild) slice(t reflect.Type) encodeFunc {
	if t.Elem().Kind() == reflect.Uint8 && !implements(t.Elem(), marshalerType) {
		return func(dst []byte, v reflect.Value, _ level) ([]byte, error) { return appendBin(dst, v.Bytes()), nil }
	}
	list := encodeList(b.of(t.Elem()))
	return func(dst []byte, v reflect.Value, lv level) ([]byte, error) {
		if v.IsNil() {
			return msgp.AppendNil(dst), nil
		}
		return list(dst, v, lv)
	}
}

func (b encoderBuild) array(t reflect.Type) encodeFunc {
	if t.Elem().Kind() != reflect.Uint8 || implements(t.Elem(), marshalerType) {
		return encodeList(b.of(t.Elem()))
	}
	return func(dst []byte, v reflect.Value, _ level) ([]byte, error) {
		return msgp.AppendBytes(dst, pointerTo(v).Elem().Bytes()), nil
	}
}

func encodeList(elem *encoder) encodeFunc {
	return func(dst []byte, v reflect.Value, lv level) ([]byte, error) {
		n := v.Len()
		lv, err := lv.enter(n)
		if err != nil {
			return dst, err
		}
		dst = msgp.AppendArrayHeader(dst, uint32(n))
		for i := range n {
			if dst, err = elem.encode(dst, v.Index(i), lv); err != nil {
				return dst, atIndex(i, err)
			}
		}
		return dst, nil
	}
}

// plannedField is a field with the plan of its type.
type plannedField struct {
	field
	plan *encoder
}

func (b encoderBuild) structure(t reflect.Type) encodeFunc {
	var fields []plannedField
	mayOmit := false
	for _, f := range structFields(t) {
		fields = append(fields, plannedField{f, b.of(f.typ)})
		mayOmit = mayOmit || f.omitEmpty || len(f.index) > 1
	}
	return func(dst []byte, v reflect.Value, lv level) ([]byte, error) {
		n := len(fields)
		if mayOmit {
			n = countPresent(fields, v)
		}
		lv, err := lv.enter(n)
		if err != nil {
			return dst, err
		}
		dst = msgp.AppendMapHeader(dst, uint32(n))
		for i := range fields {
			f := &fields[i]
			fv, ok := f.valueIn(v)
			if !ok || !f.present(fv) {
				continue
			}
			if dst, err = f.plan.encode(append(dst, f.key...), fv, lv); err != nil {
				return dst, atStep("."+f.goName, err)
			}
		}
		return dst, nil
	}
}

func countPresent(fields []plannedField, v reflect.Value) int {
	n := 0
	for i := range fields {
		if fv, ok := fields[i].valueIn(v); ok && fields[i].present(fv) {
			n++
		}
	}
	return n
}

// mapScratch holds the items of one map while they are put in order.
type mapScratch struct {
	items []byte
	spans []itemSpan
}

// itemSpan is one item in mapScratch.items: the key ends at value.
type itemSpan struct{ start, value, end int }

var mapScratches = sync.Pool{New: func() any { return new(mapScratch) }}

// encodeMap appends the items in the order of their encoded keys.
func encodeMap(key, elem *encoder) encodeFunc {
	return func(dst []byte, v reflect.Value, lv level) ([]byte, error) {
		if v.IsNil() {
			return msgp.AppendNil(dst), nil
		}
		lv, err := lv.enter(v.Len())
		if err != nil {
			return dst, err
		}
		s := mapScratches.Get().(*mapScratch)
		defer s.release()
		if err := s.fill(key, elem, v, lv); err != nil {
			return dst, err
		}
		dst = msgp.AppendMapHeader(dst, uint32(len(s.spans)))
		slices.SortFunc(s.spans, func(a, b itemSpan) int {
			return bytes.Compare(s.items[a.start:a.value], s.items[b.start:b.value])
		})
		for _, i := range s.spans {
			dst = append(dst, s.items[i.start:i.end]...)
		}
		return dst, nil
	}
}

func (s *mapScratch) fill(key, elem *encoder, v reflect.Value, lv level) (err error) {
	k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for it := v.MapRange(); it.Next(); {
		k.SetIterKey(it)
		e.SetIterValue(it)
		i := itemSpan{start: len(s.items)}
		if s.items, err = key.encode(s.items, k, lv); err != nil {
			return atKey(showable(k), err)
		}
		i.value = len(s.items)
		if s.items, err = elem.encode(s.items, e, lv); err != nil {
			return atKey(showable(k), err)
		}
		i.end = len(s.items)
		s.spans = append(s.spans, i)
	}
	return nil
}

// release gives the scratch back, unless it has grown too large to keep.
func (s *mapScratch) release() {
	const keepBytes = 64 << 10
	if cap(s.items) <= keepBytes {
		s.items, s.spans = s.items[:0], s.spans[:0]
		mapScratches.Put(s)
	}
}

// showable turns a map key into what atKey shows.
func showable(k reflect.Value) any {
	if k.Kind() == reflect.Interface {
		k = k.Elem()
	}
	switch {
	case k.Kind() == reflect.String:
		return k.String()
	case k.CanInt():
		return k.Int()
	}
	return nil
}
