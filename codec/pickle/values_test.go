package pickle_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// recorded is a line of testdata/values.jsonl: what CPython made of an object, in every protocol.
type recorded struct {
	Name              string            `json:"name"`
	Pickle            map[string]string `json:"pickle"`
	OtherInterpreters json.RawMessage   `json:"other_interpreters"`
	Repr              string            `json:"repr"`
}

func eachRecorded(t testing.TB, yield func(r recorded)) {
	t.Helper()
	f, err := os.Open("testdata/values.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, n := bufio.NewScanner(f), 0
	for lines.Buffer(nil, 8<<20); lines.Scan(); n++ {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		yield(r)
	}
	if lines.Err() != nil || n != 122 {
		t.Fatalf("%d lines, %v", n, lines.Err())
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load reads a pickle that is all of b and returns its value's encoding.
func load(b []byte) ([]byte, error) {
	var u pickle.Unpickler
	root, n, err := u.Parse(b)
	if err != nil {
		return nil, err
	}
	if n != len(b) {
		return nil, errors.New("bytes are left over")
	}
	val, err := root.Append(nil)
	if err != nil {
		return nil, err
	}
	if size, err := root.Size(); err != nil || size != len(val) {
		return nil, errors.New("the size is not that of the encoding")
	}
	if n, err := value.Check(val); err != nil || n != len(val) {
		return nil, errors.Join(errors.New("no value"), err)
	}
	return val, nil
}

// TestRecordedValues: every recorded object in every protocol is the value that Python shows, and
// comes back from a pickle that is made here.
func TestRecordedValues(t *testing.T) {
	eachRecorded(t, func(r recorded) {
		var first []byte
		for protocol, text := range r.Pickle {
			val, err := load(unhex(t, text))
			// which have no fold
			if !r.fits(t, protocol, err) || r.Name == "datetime_fold" && protocol < "4" {
				continue
			}
			if repr, err := value.Repr(val); err != nil || r.Repr != "" && repr != r.Repr {
				t.Errorf("%s in protocol %s: %.200s, %v; want %.200s", r.Name, protocol, repr, err, r.Repr)
			}
			if first == nil {
				first = val
			}
			if !bytes.Equal(first, val) {
				t.Errorf("%s is %x in protocol %s and %x in another", r.Name, val, protocol, first)
			}
			back, err := pickle.AppendPickle(nil, val)
			if err != nil {
				t.Errorf("%s: %v", r.Name, err)
				continue
			}
			again, err := load(back)
			if err != nil || !bytes.Equal(again, val) {
				t.Errorf("%s comes back as %.100x, %v; want %.100x", r.Name, again, err, val)
			}
		}
		for _, text := range pickles(r.OtherInterpreters) {
			val, err := load(unhex(t, text))
			if !r.fits(t, "of another interpreter", err) {
				continue
			}
			if repr, err := value.Repr(val); err != nil || r.Repr != "" && repr != r.Repr && r.Name != "set_str" {
				t.Errorf("%s of another interpreter: %s, %v; want %s", r.Name, repr, err, r.Repr)
			}
		}
	})
}

// fits reports whether a value is to be looked at further: those that cannot be kept must be
// refused, by name.
func (r *recorded) fits(t *testing.T, protocol string, err error) bool {
	t.Helper()
	var refused *pickle.Error
	wanted := refusals[r.Name]
	switch {
	case strings.HasPrefix(r.Name, "recursive"):
		if !errors.Is(err, pickle.ErrRecursive) {
			t.Errorf("%s in protocol %s: %v", r.Name, protocol, err)
		}
	case wanted != "":
		if !errors.As(err, &refused) || refused.Class != wanted {
			t.Errorf("%s in protocol %s: %v", r.Name, protocol, err)
		}
	case err != nil:
		t.Errorf("%s in protocol %s: %v", r.Name, protocol, err)
	default:
		return true
	}
	return false
}

// refusals are the recorded objects that are no values, by the class that an error names.
var refusals = map[string]string{
	"type_int":             "builtins.int",
	"func_len":             "builtins.len",
	"custom_point":         "customthings.Point",
	"custom_slotted":       "customthings.Slotted",
	"custom_namedtuple":    "customthings.Pair",
	"custom_enum":          "customthings.Colour",
	"custom_dict_subclass": "customthings.Tagged",
	"custom_function":      "customthings.twice",
}

// pickles returns all pickles in a JSON text: its strings that are hexadecimal and end with STOP.
func pickles(text json.RawMessage) (all []string) {
	var v any
	if len(text) == 0 || json.Unmarshal(text, &v) != nil {
		return nil
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, part := range v {
				walk(part)
			}
		case string:
			if strings.HasSuffix(v, "2e") {
				all = append(all, v)
			}
		}
	}
	walk(v)
	return all
}

// TestScannerCutAnywhere: the end of a pickle is found when its last byte is there, however the
// bytes came.
func TestScannerCutAnywhere(t *testing.T) {
	eachRecorded(t, func(r recorded) {
		for protocol, text := range r.Pickle {
			b := unhex(t, text)
			step := max(1, len(b)/500)
			var s pickle.Scanner
			for n := 0; n < len(b); n += step {
				if end, err := s.End(b[:n]); !errors.Is(err, pickle.ErrShort) {
					t.Fatalf("%s in protocol %s, %d bytes of %d: %d, %v", r.Name, protocol, n, len(b), end, err)
				}
			}
			if end, err := s.End(append(b, b...)); err != nil || end != len(b) {
				t.Fatalf("%s in protocol %s: end at %d of %d, %v", r.Name, protocol, end, len(b), err)
			}
		}
	})
}
