package value_test

import (
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// TestObjectIn: an object of a program's own class is found wherever it stands, and nothing else is
// taken for one.
func TestObjectIn(t *testing.T) {
	o := govalue.Object{Class: "things.Point", Data: []byte("\x80\x04N.")}
	for _, v := range []any{
		o,
		[]any{1, o},
		govalue.Tuple{o},
		govalue.Dict{{Key: "k", Value: o}},
		govalue.Dict{{Key: o, Value: 1}},
		govalue.Set{o},
		govalue.FrozenSet{o},
		govalue.OrderedDict{{Key: 1, Value: o}},
		govalue.DefaultDict{Factory: "list", Items: govalue.Dict{{Key: 1, Value: o}}},
		govalue.Deque{Items: []any{o}},
		govalue.Exception{Class: "ValueError", Args: []any{o}},
		[]any{[]any{govalue.Tuple{"\x16", govalue.Dict{{Key: 22, Value: []any{o}}}}}},
	} {
		encoded, err := govalue.Marshal([]any{"\x16 before", 22, v, 22})
		if err != nil {
			t.Fatal(err)
		}
		if class, found := value.ObjectIn(encoded); !found || class != o.Class {
			t.Errorf("%v: %q, %v", v, class, found)
		}
		if encoded, err = govalue.Marshal(v); err != nil {
			t.Fatal(err)
		}
		two := append(value.AppendStr(nil, "first"), encoded...)
		if class, found := value.ObjectIn(two); !found || class != o.Class {
			t.Errorf("%v after a text: %q, %v", v, class, found)
		}
	}
	for _, v := range []any{22, "\x16\x03\x16", []byte{0xC7, 3, 22}, []byte{0xD4, 22, 0}, govalue.Ext{Code: 64, Data: []byte{0xD5, 22, 0, 0}}, govalue.Range{Start: 0, Stop: 22, Step: 22}} {
		encoded, err := govalue.Marshal([]any{v, v})
		if err != nil {
			t.Fatal(err)
		}
		if class, found := value.ObjectIn(encoded); found {
			t.Errorf("%v holds a %q", v, class)
		}
	}
}
