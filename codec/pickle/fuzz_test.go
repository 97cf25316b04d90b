package pickle_test

import (
	"bytes"
	"errors"
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// FuzzUnpickle: no bytes make it panic; what is taken is a value, ends where the Scanner says, and
// comes back from a pickle made of it.
func FuzzUnpickle(f *testing.F) {
	eachRecorded(f, func(r recorded) {
		for _, text := range r.Pickle {
			if len(text) < 4000 {
				f.Add(unhex(f, text))
			}
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		u := pickle.Unpickler{MaxObjects: 1 << 16}
		root, n, err := u.Parse(b)
		var s pickle.Scanner
		if end, scanned := s.End(b); err == nil && (scanned != nil || end != n) {
			t.Fatalf("ends at %d, the Scanner says %d, %v", n, end, scanned)
		}
		if err != nil {
			return
		}
		val, err := root.Append(nil)
		if err != nil {
			return
		}
		if size, err := value.Check(val); err != nil || size != len(val) {
			// Keys have limits of their own, which Check alone knows.
			var problem *value.Error
			if !errors.As(err, &problem) {
				t.Fatalf("%x is no value: %v", val, err)
			}
			return
		}
		back, err := pickle.AppendPickle(nil, val)
		if errors.Is(err, govalue.ErrUnsupported) {
			return
		}
		again, err2 := load(back)
		if err != nil || err2 != nil || !bytes.Equal(again, val) {
			t.Fatalf("%x comes back as %x, %v, %v", val, again, err, err2)
		}
	})
}

// FuzzOpaque: nor do any bytes where objects of other classes are stored as opaque bytes; what is
// kept comes back as itself.
func FuzzOpaque(f *testing.F) {
	eachRecorded(f, func(r recorded) {
		for _, text := range r.Pickle {
			if len(text) < 2000 && refusals[r.Name] != "" {
				f.Add(unhex(f, text))
			}
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		u := pickle.Unpickler{MaxObjects: 1 << 16, KeepOpaque: true}
		root, _, err := u.Parse(b)
		if err != nil {
			return
		}
		val, err := root.Append(nil)
		if err != nil {
			return
		}
		if _, err := value.Check(val); err != nil {
			return // as above
		}
		back, err := pickle.AppendPickle(nil, val)
		if err != nil {
			if !errors.Is(err, govalue.ErrUnsupported) {
				t.Fatalf("%x: %v", val, err)
			}
			return
		}
		again := pickle.Unpickler{KeepOpaque: true}
		if root, _, err = again.Parse(back); err != nil {
			t.Fatalf("%x as %x: %v", val, back, err)
		}
		if same, err := root.Append(nil); err != nil || !bytes.Equal(same, val) {
			t.Fatalf("%x comes back as %x, %v", val, same, err)
		}
	})
}

// FuzzPickle: every value that Python's pickles have a place for comes back.
func FuzzPickle(f *testing.F) {
	eachRecorded(f, func(r recorded) {
		if val, err := load(unhex(f, r.Pickle["4"])); err == nil && len(val) < 2000 {
			f.Add(val)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := value.Check(b)
		if err != nil {
			return
		}
		made, err := pickle.AppendPickle(nil, b[:n])
		if err != nil {
			if !errors.Is(err, govalue.ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		back, err := load(made)
		if err != nil {
			t.Fatalf("%x as %x: %v", b[:n], made, err)
		}
		if again, err := pickle.AppendPickle(nil, back); err != nil || !bytes.Equal(again, made) {
			t.Fatalf("%x, then %x: %v", made, again, err)
		}
	})
}
