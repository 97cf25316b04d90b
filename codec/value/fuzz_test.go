package value_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func addGolden(f *testing.F) {
	goldenLines(f, "values.txt", 1, func(_ []string, b []byte) {
		if len(b) < 512 {
			f.Add(b)
		}
	})
}

// FuzzCheck: Check never panics, and what it lets pass no other function panics on; they agree with
// one another.
func FuzzCheck(f *testing.F) {
	addGolden(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for use := range value.UseKey + 1 {
			if cost, size := value.Cost(b, use, 1000); cost < 0 || size < 0 || size > len(b) {
				t.Fatalf("cost %d, %d bytes of %d", cost, size, len(b))
			}
		}
		n, err := value.Check(b)
		if err != nil {
			var e *value.Error
			if n != 0 || !errors.Is(err, value.ErrTruncated) && !errors.As(err, &e) {
				t.Fatalf("%d, %v", n, err)
			}
			return
		}
		if size := value.Size(b); size != n {
			t.Fatalf("Check says %d bytes, Size %d", n, size)
		}
		if _, size := value.Cost(b, value.UseKey, math.MaxInt); size != n {
			t.Fatalf("Check says %d bytes, Cost %d", n, size)
		}
		if value.TypeName(b) == "" {
			t.Error("no type name")
		}
		twin := append([]byte(nil), b[:n]...)
		equal := value.Equal(b, twin)
		if key, unequal, err := value.Key(b, nil); err == nil {
			again, _, err := value.Key(key, nil)
			if err != nil || value.Size(key) != len(key) || !bytes.Equal(key, again) {
				t.Errorf("canonical form %x of %x, and of that %x, %v", key, b[:n], again, err)
			}
			if equal == unequal || value.Equal(b, key) == unequal {
				t.Errorf(
					"%x: equal to itself %v, to its canonical form %v; unequal %v",
					b[:n],
					equal,
					value.Equal(b, key),
					unequal,
				)
			}
		}
		if less, err := value.Less(b, twin); err == nil && less {
			t.Errorf("%x is less than itself", b[:n])
		}
		if _, err := value.Str(b); err == nil {
			if _, err := value.Repr(b); err != nil {
				t.Error(err)
			}
		}
		if sum, err := value.Add(nil, b, twin); err == nil {
			if size, err := value.Check(sum); err != nil || size != len(sum) {
				t.Errorf("sum %x: %v", sum, err)
			}
		}
		if key, err := value.ParseSortKey(b); err == nil {
			checkSortKey(t, key, twin)
		}
	})
}

func spendFreely(int, int) error { return nil }

func checkSortKey(t *testing.T, key *value.SortKey, item []byte) {
	front := []byte("front")
	out, err := key.Append(front, item, spendFreely)
	if !bytes.HasPrefix(out, front) || err != nil && len(out) != len(front) {
		t.Errorf("%x, %v", out, err)
	}
	if err == nil {
		if size := value.Size(out[len(front):]); size != len(out)-len(front) {
			t.Errorf("sort key value %x: Size %d", out[len(front):], size)
		}
	}
}

// FuzzSortKey: ParseSortKey and Append never panic, and append one value.
func FuzzSortKey(f *testing.F) {
	for _, key := range []any{
		nil,
		[]any{"path", 0, "a"},
		[]any{"neg", []any{"path", 1}},
		[]any{"len", nil},
		[]any{"lower", nil},
		[]any{"str", nil},
		[]any{"tuple", nil, []any{"neg", nil}},
		[]any{"upper", nil},
		[]any{},
	} {
		b, err := govalue.Marshal(key)
		if err != nil {
			f.Fatal(err)
		}
		goldenLines(f, "values.txt", 1, func(fields []string, item []byte) {
			if len(item) < 64 {
				f.Add(b, item)
			}
		})
	}
	f.Fuzz(func(t *testing.T, b, item []byte) {
		if _, err := value.Check(b); err != nil {
			return
		}
		if _, err := value.Check(item); err != nil {
			return
		}
		if key, err := value.ParseSortKey(b); err == nil {
			checkSortKey(t, key, item)
		}
	})
}
