package legacy_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// requestOf makes a request for the table "t", with fields in turn with their names.
func requestOf(t testing.TB, route string, fields ...any) []byte {
	d := govalue.Dict{{Key: "route", Value: route}, {Key: "table_name", Value: "t"}}
	for i := 0; i < len(fields); i += 2 {
		d = append(d, govalue.Pair{Key: fields[i], Value: fields[i+1]})
	}
	b, err := pickle.AppendPickle(nil, mustMarshal(t, append(d, govalue.Pair{Key: "password", Value: "123456"})))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestQuick: a caller with little time gets ErrLong for a short request of which much is to be
// made, and the same without Quick is translated.
func TestQuick(t *testing.T) {
	shared := "\x80\x04}(X\x05\x00\x00\x00routeX\x12\x00\x00\x00/cyberdict/setitemX\x0a\x00\x00\x00table_nameX\x01\x00\x00\x00tX\x03\x00\x00\x00keyK\x01" +
		"X\x05\x00\x00\x00value](" + strings.Repeat(
		"N",
		100,
	) + "e" + strings.Repeat(
		"2\x86",
		14,
	) + "u."
	numbers := govalue.Range{Start: int64(0), Stop: int64(10_000), Step: int64(1)}
	for name, c := range map[string]struct {
		body []byte
		long bool
	}{
		"a range":                        {requestOf(t, "/cyberlist/extend", "obj", numbers), true},
		"a range in a slice":             {requestOf(t, "/cyberlist/setitem", "index", govalue.Slice{Start: int64(0)}, "value", numbers), true},
		"a range among pairs":            {requestOf(t, "/cyberdict/update", "dict2", []any{govalue.Tuple{1, 2}, numbers}), true},
		"a text":                         {requestOf(t, "/cyberlist/extend", "obj", strings.Repeat("x", 10_000)), true},
		"bytes":                          {requestOf(t, "/cyberlist/extend", "obj", bytes.Repeat([]byte("x"), 10_000)), true},
		"what is shared":                 {[]byte(shared), true},
		"a range that is kept":           {requestOf(t, "/cyberlist/append", "value", numbers), false},
		"a text that is kept":            {requestOf(t, "/cyberlist/append", "value", strings.Repeat("x", 10_000)), false},
		"a range of a few":               {requestOf(t, "/cyberlist/extend", "obj", govalue.Range{Start: int64(0), Stop: int64(1000), Step: int64(1)}), false},
		"pairs":                          {requestOf(t, "/cyberdict/update", "dict2", []any{govalue.Tuple{1, 2}}), false},
		"a range that is refused anyhow": {requestOf(t, "/cyberlist/extend", "obj", govalue.Range{Start: int64(0), Stop: int64(math.MaxInt64), Step: int64(1)}), false},
	} {
		for _, quick := range []bool{true, false} {
			r := legacy.Request{Quick: quick}
			if err := r.Parse(c.body); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			kind := legacy.List
			if strings.Contains(string(c.body), "/cyberdict/") {
				kind = legacy.Dict
			}
			if err := r.Translate(kind); errors.Is(err, legacy.ErrLong) != (quick && c.long) {
				t.Errorf("%s, quick %v: %v", name, quick, err)
			}
		}
	}
}

// FuzzRequest: no request makes the translation panic, and what it makes is arguments that the
// server can take apart.
func FuzzRequest(f *testing.F) {
	slice := govalue.Slice{Start: 1, Stop: nil, Step: 2}
	for _, b := range [][]byte{
		requestOf(f, "/connect"), requestOf(f, "/print_tables"), requestOf(f, "/create_cyberdict", "content", govalue.Dict{{Key: 1, Value: 2}}),
		requestOf(f, "/cyberdict/get", "key", "k", "default", nil), requestOf(f, "/cyberdict/update", "dict2", []any{govalue.Tuple{1, 2}, "ab", 5}),
		requestOf(f, "/cyberlist/setitem", "index", slice, "value", govalue.Set{1, 2}), requestOf(f, "/cyberlist/extend", "obj", govalue.Range{Start: 0, Stop: 9, Step: 2}),
		requestOf(f, "/cyberlist/extend", "obj", "text \xed\xa0\x80"), requestOf(f, "/cyberlist/sort", "key", "func = lambda x: -x['n'], reverse", "reverse", true),
		requestOf(f, "/cyberlist/sort", "key", "def f(x):\n    a, b = x\n    return b\n\nfunc = f", "reverse", 2),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r legacy.Request
		if err := r.Parse(b); err != nil {
			if !errors.Is(err, legacy.ErrGarbage) {
				t.Fatal(err)
			}
			return
		}
		r.Password()
		for _, kind := range []legacy.Table{legacy.NoTable, legacy.Dict, legacy.List} {
			err := r.Translate(kind)
			var raised *legacy.Exception
			if err != nil && !errors.As(err, &raised) {
				t.Fatal(err)
			}
			if err != nil {
				raised.AppendReply(nil)
				continue
			}
			for args := r.Args; len(args) > 0; {
				n, err := value.Check(args)
				if err != nil {
					var problem *value.Error
					if !errors.As(err, &problem) {
						t.Fatalf("%v: %x: %v", r.Op, args, err)
					}
					break
				}
				args = args[n:]
			}
			if codec.Shapes[r.Op].Name == "" {
				t.Fatalf("opcode %v", r.Op)
			}
		}
	})
}

// FuzzWire: no bytes, however they are cut, make it panic.
func FuzzWire(f *testing.F) {
	f.Add([]byte("\x80\x04K\x01."), uint8(1), false)
	f.Add(
		[]byte(
			"\xd0G\x13D\xbcx3\xa4\xb0\x00\x11\xc4\xd3\xc2H\r\xe0\xc8\x0b\xdb\x14\xd4\xaf\xab\x89\x0c$\x0e\"<\x16\xa0\xb0",
		),
		uint8(7),
		true,
	)
	cipher, err := legacy.NewCipher("hWjYvVdqRC")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8, encrypted bool) {
		c := cipher
		if !encrypted {
			c = nil
		}
		w := legacy.NewWire(c)
		var u pickle.Unpickler
		var pending []byte
		for size := int(piece) + 1; len(b) > 0; {
			n := min(size, len(b))
			pending, b = append(pending, b[:n]...), b[n:]
			message, err := w.Next(pending, &u)
			if err != nil {
				if !errors.Is(err, legacy.ErrGarbage) {
					t.Fatal(err)
				}
				return
			}
			if message == nil {
				continue
			}
			switch w.Step() {
			case legacy.AwaitCount:
				if _, err := w.Counted(nil, message, &u); err != nil {
					return
				}
			case legacy.AwaitBody:
				w.Answered(nil, 5000)
			case legacy.AwaitReady:
				w.Done()
			}
			pending = pending[:0]
		}
	})
}
