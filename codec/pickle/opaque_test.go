package pickle_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// TestOpaque: objects of classes that are not accepted can be stored as opaque bytes, by the name
// of their class, and go back unchanged.
func TestOpaque(t *testing.T) {
	kept := 0
	eachRecorded(t, func(r recorded) {
		class := refusals[r.Name]
		for protocol, text := range r.Pickle {
			if class == "" {
				continue
			}
			u := pickle.Unpickler{KeepOpaque: true}
			root, _, err := u.Parse(unhex(t, text))
			if err != nil || u.Refused() != nil {
				t.Errorf("%s in protocol %s: %v, %v", r.Name, protocol, err, u.Refused())
				continue
			}
			val, err := root.Append(nil)
			if n, wrong := value.Check(val); err != nil || wrong != nil || n != len(val) {
				t.Errorf("%s in protocol %s: %x, %v, %v", r.Name, protocol, val, err, wrong)
				continue
			}
			v, _, err := govalue.Decode(val)
			if o, isObject := v.(govalue.Object); err != nil || !isObject || o.Class != class {
				t.Errorf("%s in protocol %s: %v, %v", r.Name, protocol, v, err)
			}
			back, err := pickle.AppendPickle(nil, val)
			if err != nil {
				t.Errorf("%s: %v", r.Name, err)
				continue
			}
			if root, _, err = u.Parse(back); err != nil {
				t.Errorf("%s: %v", r.Name, err)
				continue
			}
			if again, err := root.Append(nil); err != nil || !bytes.Equal(again, val) {
				t.Errorf("%s: %x, then %x, %v", r.Name, val, again, err)
			}
			kept++
		}
	})
	if kept < 40 {
		t.Errorf("%d pickles kept", kept)
	}
}

// TestOpaqueBounded: what holds itself, or grows without end, is refused there too.
func TestOpaqueBounded(t *testing.T) {
	for in, want := range map[string]error{
		"cfoo\nBar\n)\x81q\x00}(S'me'\nh\x00ub.": value.ErrTooDeep,
		"cfoo\nBar\n(]q\x00h\x00atR.":            value.ErrTooDeep,
		"cfoo\nBar\n(" + doubled(40) + "tR.":     value.ErrTooLarge,
	} {
		u := pickle.Unpickler{KeepOpaque: true}
		root, _, err := u.Parse([]byte(in))
		if err == nil {
			_, err = root.Append(nil)
		}
		if !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", in, err, want)
		}
	}
}

// doubled is a tuple of one tuple twice, which is one of another twice, and so on.
func doubled(n int) string { return "](" + strings.Repeat("N", 100) + "e" + strings.Repeat("2\x86", n) }
