package pickle_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

// repeat joins a text so many times.
func repeat(text string, n int) string { return strings.Repeat(text, n) }

// TestBounded: pickles that ask for more than there may be are refused, quickly and without the
// memory.
func TestBounded(t *testing.T) {
	laughs := "]q\x00(K\x01K\x01e" // a list in the memo at 0, then at n+1 two of n
	for i := range 60 {
		laughs += fmt.Sprintf("0]r%c\x00\x00\x00(j%c\x00\x00\x00j%c\x00\x00\x00e", i+1, i, i)
	}
	for name, c := range map[string]struct{ pickle, want string }{
		"deep lists":               {repeat("]", 200000) + repeat("a", 199999) + ".", "nested deeper than 128"},
		"deep tuples":              {")" + repeat("\x85", 200000) + ".", "nested deeper than 128"},
		"doubled 60 times":         {laughs + ".", "value too large"},
		"many objects":             {"(" + repeat("N", 2000) + "t.", "more than 1000 objects"},
		"far place in the memo":    {"Nr\xff\xff\xff\x7f.", "place 2147483647 of the memo"},
		"a huge int":               {"\x8b\x00\x00\x01\x00" + repeat("\x7f", 65536) + ".", "int of 65536 bytes"},
		"an int of many digits":    {"L" + repeat("9", 100000) + "L\n.", "an int of 100000 digits"},
		"a text that is not there": {"\x8d\xff\xff\xff\xff\xff\xff\xff\x3f.", "a length of"},
	} {
		u := pickle.Unpickler{MaxObjects: 1000}
		if name != "many objects" {
			u.MaxObjects = 0
		}
		root, _, err := u.Parse([]byte(c.pickle))
		if err == nil {
			_, err = root.Append(nil)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNestedAsDeepAsAllowed: 128 containers in each other are a value, 129 are not.
func TestNestedAsDeepAsAllowed(t *testing.T) {
	if _, err := load([]byte(repeat("]", value.MaxDepth) + repeat("a", value.MaxDepth-1) + ".")); err != nil {
		t.Error(err)
	}
	if _, err := load(
		[]byte(repeat("]", value.MaxDepth+1) + repeat("a", value.MaxDepth) + "."),
	); !errors.Is(
		err,
		value.ErrTooDeep,
	) {
		t.Error(err)
	}
	// The same inner list is met near the top first, then too deep.
	shared := repeat(
		"]",
		100,
	) + repeat(
		"a",
		99,
	) + "q\x000" + "(h\x00" + repeat(
		"]",
		40,
	) + "h\x00a" + repeat(
		"a",
		39,
	) + "l."
	if _, err := load([]byte(shared)); !errors.Is(err, value.ErrTooDeep) {
		t.Error(err)
	}
}

// TestKeysAsPython: equal keys are one, with the first key and the last value; members of sets too.
func TestKeysAsPython(t *testing.T) {
	for in, want := range map[string]string{
		"(I1\nS'a'\nI01\nS'b'\nF1.0\nS'c'\nd.":                 "{1: 'c'}",
		"(S'k'\nI1\nS'l'\nI2\nS'k'\nI3\nd.":                    "{'k': 3, 'l': 2}",
		"\x8f(K\x01\x88K\x02\x90.":                             "{1, 2}",
		"(FNaN\nI1\nFNaN\nI2\nd.":                              "{nan: 1, nan: 2}",
		"(" + repeat("S'k'\nI1\n", 20) + "d.":                  "{'k': 1}",
		"ccollections\nOrderedDict\n)R(S'a'\nI1\nS'a'\nI2\nu.": "OrderedDict([('a', 2)])",
	} {
		val, err := load([]byte(in))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got, _ := value.Repr(val); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	var problem *value.Error
	if _, err := load(
		[]byte("(]K\x01d."),
	); !errors.As(err, &problem) ||
		problem.Error() != "TypeError: unhashable type: 'list'" {
		t.Errorf("a list as a key: %v", err)
	}
}

// TestNothingIsCalled: a class is accepted only by its exact name; a rejected one is named,
// wherever it is in the pickle.
func TestNothingIsCalled(t *testing.T) {
	for in, want := range map[string]string{
		"cos\nsystem\n(S'echo'\ntR.":                                        "os.system",
		"cposix\nsystem\n(S'echo'\ntR0N.":                                   "posix.system",
		"\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R.":                    "os.system",
		"\x8c\x08builtins\x8c\x09slice.mro\x93)R.":                          "builtins.slice.mro",
		"\x8c\x08datetime\x8c\x0adatetime.\x20\x93)R.":                      "datetime.datetime. ",
		"(S'echo'\nios\nsystem\n.":                                          "os.system",
		"(cos\nsystem\nS'echo'\no.":                                         "os.system",
		"c__builtin__\neval\n(S'1'\ntR.":                                    "builtins.eval",
		"c__builtin__\ngetattr\n(cfoo\nBar\nS'X'\ntR.":                      "foo.Bar",
		"c__builtin__\ngetattr\n(c__builtin__\nint\nS'X'\ntR.":              "builtins.getattr",
		"c__builtin__\nlist\n(c__builtin__\nxrange\n(I0\nI1\nI1\ntRtR.":     "builtins.list",
		"ccopy_reg\n_reconstructor\n(cfoo\nBar\nc__builtin__\nobject\nNtR.": "foo.Bar",
		"}S'a'\ncos\nsystem\ns.":                                            "os.system",
		"cfoo\nBar\n)\x81}(S'x'\nI1\nub.":                                   "foo.Bar",
	} {
		var u pickle.Unpickler
		root, _, err := u.Parse([]byte(in))
		if err == nil {
			_, err = root.Append(nil)
		}
		if err == nil {
			err = u.Refused()
		}
		var refused *pickle.Error
		if !errors.As(err, &refused) || refused.Class != want {
			t.Errorf("%q: %v, want %s refused", in, err, want)
		}
	}
}

// TestCutAnywhere: a pickle that is cut is ErrShort or an error, never a value.
func TestCutAnywhere(t *testing.T) {
	eachRecorded(t, func(r recorded) {
		for _, text := range r.Pickle {
			b := unhex(t, text)
			for n := 0; n < min(len(b), 300); n++ {
				if val, err := load(b[:n]); err == nil {
					t.Fatalf("%s cut to %d bytes: %x", r.Name, n, val)
				}
			}
		}
	})
}

// TestReused: an Unpickler keeps nothing of the pickle before, and a small one allocates nothing.
func TestReused(t *testing.T) {
	request, err := pickle.AppendPickle(nil, mustMarshal(t, govalue.Dict{
		{
			Key:   "route",
			Value: "/cyberdict/getitem",
		},
		{Key: "table_name", Value: "t"},
		{Key: "key", Value: "k"},
		{Key: "password", Value: "123456"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	var u pickle.Unpickler
	if _, _, err := u.Parse([]byte("(I1\ncos\nsystem\n(S'a'\nq\x05")); !errors.Is(err, pickle.ErrShort) {
		t.Fatal(err)
	}
	room := make([]byte, 0, 256)
	allocs := testing.AllocsPerRun(100, func() {
		root, _, err := u.Parse(request)
		if err != nil || u.Refused() != nil {
			t.Fatal(err, u.Refused())
		}
		if room, err = root.Field("key").Append(room[:0]); err != nil || !bytes.Equal(room, []byte{0xa1, 'k'}) {
			t.Fatalf("%x, %v", room, err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func mustMarshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := govalue.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNotRepresentable: what Python's pickles have no place for is said, not made up.
func TestNotRepresentable(t *testing.T) {
	for _, v := range []any{govalue.Ext{Code: 64}, govalue.Object{Class: "a.B"}, govalue.Exception{Class: "subprocess.Popen"}, govalue.DefaultDict{Factory: "os.system"}} {
		if got, err := pickle.AppendPickle(nil, mustMarshal(t, []any{v})); !errors.Is(err, govalue.ErrUnsupported) {
			t.Errorf("%v: %q, %v", v, got, err)
		}
	}
}
