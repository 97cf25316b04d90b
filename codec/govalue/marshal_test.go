package govalue_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func mustAppend(t *testing.T, v any) []byte {
	t.Helper()
	b, err := govalue.Append(nil, v)
	if err != nil {
		t.Fatalf("Append(%#v): %v", v, err)
	}
	return b
}

func power(base, exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil)
}

func negated(x *big.Int) *big.Int { return new(big.Int).Neg(x) }

// TestAppendWire holds encodings to VALUES.md, written out by hand.
func TestAppendWire(t *testing.T) {
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"None", nil, "c0"},
		{"int takes its shortest form", 200, "ccc8"},
		{"so it does unsigned", uint16(200), "ccc8"},
		{"and negative", int64(-200), "d1ff38"},
		{"int above int64", uint64(math.MaxUint64), "cfffffffffffffffff"},
		{"2**64", power(2, 64), "c70901010000000000000000"},
		{"-2**63-1", new(big.Int).Sub(big.NewInt(math.MinInt64), big.NewInt(1)), "c70901ff7fffffffffffffff"},
		{"-2**71 needs no tenth byte", negated(power(2, 71)), "c70901800000000000000000"},
		{"small big.Int is an int", big.NewInt(7), "07"},
		{"float", 1.5, "cb3ff8000000000000"},
		{"float32", float32(1.5), "cb3ff8000000000000"},
		{"lone surrogate", "\xed\xa0\x80", "a3eda080"},
		{"bytes", []byte("ab"), "c4026162"},
		{"empty bytes", []byte{}, "c400"},
		{"nil bytes", []byte(nil), "c0"},
		{"array of bytes", [2]byte{1, 2}, "c4020102"},
		{"list", []any{1, "a"}, "9201a161"},
		{"empty tuple", govalue.Tuple{}, "d40290"},
		{"nil tuple is empty", govalue.Tuple(nil), "d40290"},
		{"tuple", govalue.Tuple{1}, "d5029101"},
		{"tuple of three payload bytes", govalue.Tuple{1, 2}, "c70302920102"},
		{"set", govalue.Set{1}, "d5039101"},
		{"frozenset", govalue.FrozenSet{1}, "d5049101"},
		{"bytearray", govalue.ByteArray("ab"), "d5056162"},
		{"dict", govalue.Dict{{"b", 1}, {"a", 2}}, "82a16201a16102"},
		{"OrderedDict", govalue.OrderedDict{{1, 2}}, "c70306810102"},
		{"naive datetime", govalue.DateTime{WallMicros: 1}, "c70907000000000000000100"},
		{
			"datetime in UTC", time.Unix(1, 2999).UTC(),
			"c7140700000000000f4242020000000000000000555443",
		},
		{
			"datetime with an offset", time.Unix(0, 0).In(time.FixedZone("", -3600)),
			"c71107ffffffff296c5c0002fffff1f000000000",
		},
		{"date", govalue.Date{1970, 1, 1}, "d608000af93b"},
		{"time", govalue.Time{SinceMidnight: time.Second, Fold: true}, "c7090900000000000f424001"},
		{"timedelta", govalue.TimeDelta{-1, 86399, 999999}, "c70c0affffffff0001517f000f423f"},
		{"Duration", -time.Microsecond, "c70c0affffffff0001517f000f423f"},
		{"Decimal", govalue.Decimal("1.10"), "d60b312e3130"},
		{"Fraction", big.NewRat(-2, 4), "c7030c92ff02"},
		{"UUID", govalue.UUID{15: 1}, "d80d00000000000000000000000000000001"},
		{"complex", complex(1, -2), "d80e3ff0000000000000c000000000000000"},
		{"range", govalue.Range{0, 5, 1}, "d60f93000501"},
		{"slice", govalue.Slice{nil, 5, nil}, "d61093c005c0"},
		{"deque", govalue.Deque{Items: []any{1}}, "c7031192c001"},
		{"bounded deque", govalue.Deque{Bounded: true, MaxLen: 3}, "d5119103"},
		{"Counter", govalue.Counter{{"a", 2}}, "d61281a16102"},
		{"defaultdict", govalue.DefaultDict{Factory: "int"}, "c7061392a3696e7480"},
		{"Ellipsis", govalue.Ellipsis, "d41400"},
		{"NotImplemented", govalue.NotImplemented, "d41401"},
		{"exception", govalue.Exception{"E", []any{1}}, "d61592a14501"},
		{"object", govalue.Object{"m.C", []byte{9}}, "d71692a36d2e43c40109"},
		{"application type", govalue.Ext{64, []byte{1, 2, 3}}, "c70340010203"},
	} {
		got, err := govalue.Append([]byte("front"), c.v)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if want := hex.EncodeToString([]byte("front")) + c.want; hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, want %s", c.name, got[len("front"):], c.want)
		}
	}
}

func TestAppendGoTypes(t *testing.T) {
	type name string
	type flags uint8
	type point struct{ X, Y int }
	seven := 7
	var nothing *point
	for _, c := range []struct {
		name string
		v    any
		like any // the natural value with the same encoding
	}{
		{"named string", name("a"), "a"},
		{"named uint8", flags(3), 3},
		{"pointer", &seven, 7},
		{"nil pointer", nothing, nil},
		{"pointer to big.Int", power(2, 70), power(2, 70)},
		{"big.Int", *power(2, 70), power(2, 70)},
		{"big.Rat in a struct", struct{ R big.Rat }{*big.NewRat(1, 2)}, govalue.Dict{{"R", big.NewRat(1, 2)}}},
		{"struct", point{1, 2}, govalue.Dict{{"X", 1}, {"Y", 2}}},
		{"slice of structs", []point{{1, 2}}, []any{govalue.Dict{{"X", 1}, {"Y", 2}}}},
		{"nil slice", []int(nil), nil},
		{"empty slice", []int{}, []any{}},
		{"array", [2]string{"a", "b"}, []any{"a", "b"}},
		{"named bytes", []flags{1, 2}, []byte{1, 2}},
		{"map in the order of encoded keys", map[any]any{"b": 1, "aa": 2, "a": 3, 1: 4}, govalue.Dict{{1, 4}, {"a", 3}, {"b", 1}, {"aa", 2}}},
		{"map of maps", map[string]map[int]int{"a": {2: 1, 1: 2}, "b": nil}, govalue.Dict{{"a", govalue.Dict{{1, 2}, {2, 1}}}, {"b", nil}}},
		{"tuple in a struct", struct{ T govalue.Tuple }{govalue.Tuple{1}}, govalue.Dict{{"T", govalue.Tuple{1}}}},
		{"interface in a struct", struct{ E error }{}, govalue.Dict{{"E", nil}}},
		{"complex64", complex64(complex(1, 2)), complex(1, 2)},
		{"Duration in a struct", struct{ D time.Duration }{time.Second}, govalue.Dict{{"D", govalue.TimeDelta{Seconds: 1}}}},
		{"time in a map", map[string]time.Time{"t": time.Unix(0, 0).UTC()}, govalue.Dict{{"t", govalue.DateTime{Zone: govalue.Zone{Aware: true, Name: "UTC"}}}}},
	} {
		if got, want := mustAppend(t, c.v), mustAppend(t, c.like); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", c.name, got, want)
		}
	}
}

type base struct {
	ID   int
	Name string
}

type tagged struct {
	Name string `cyberdb:"name"`
}

type stamped struct {
	T govalue.Tuple
	D time.Duration
	I big.Int
}

func TestStructTags(t *testing.T) {
	type Inner struct{ A int }
	type outer struct {
		base
		*Inner
		Name    string
		Renamed int      `cyberdb:"other"`
		Left    int      `cyberdb:"-"`
		Dash    int      `cyberdb:"-,"`
		Empty   string   `cyberdb:",omitempty"`
		None    *int     `cyberdb:"none,omitempty"`
		List    []string `cyberdb:"list,omitempty"`
		hidden  int
	}
	v := outer{base: base{1, "covered"}, Name: "n", Renamed: 2, Left: 3, Dash: 4, hidden: 5}
	want := govalue.Dict{{"ID", 1}, {"Name", "n"}, {"other", 2}, {"-", 4}}
	if got := mustAppend(t, v); !bytes.Equal(got, mustAppend(t, want)) {
		t.Errorf("got %x, want %x", got, mustAppend(t, want))
	}
	v.Inner, v.Empty, v.List = &Inner{6}, "e", []string{"l"}
	want = govalue.Dict{
		{"ID", 1},
		{"A", 6},
		{"Name", "n"},
		{"other", 2},
		{"-", 4},
		{"Empty", "e"},
		{"list", []any{"l"}},
	}
	encoded := mustAppend(t, v)
	if !bytes.Equal(encoded, mustAppend(t, want)) {
		t.Errorf("got %x, want %x", encoded, mustAppend(t, want))
	}
	back, err := govalue.UnmarshalOf[outer](encoded)
	if err != nil {
		t.Fatal(err)
	}
	if back.ID != 1 || back.Inner == nil || back.A != 6 || back.Name != "n" || back.base.Name != "" || back.Left != 0 ||
		back.Dash != 4 {
		t.Errorf("read back %+v", back)
	}
}

func TestStructNameConflicts(t *testing.T) {
	type other struct {
		Name string `cyberdb:"name"`
	}
	type Name struct{ X int }
	for _, c := range []struct {
		name string
		v    any
		want govalue.Dict
	}{
		{"two tagged of one depth hide each other", struct {
			tagged
			other
		}{}, govalue.Dict{}},
		{"a tagged embedded struct is a field", struct {
			Name `cyberdb:"sub"`
		}{Name{1}}, govalue.Dict{{"sub", govalue.Dict{{"X", 1}}}}},
		{
			"natural types in an unexported embedded struct",
			struct{ stamped }{stamped{govalue.Tuple{1}, time.Second, *big.NewInt(5)}},
			govalue.Dict{{"T", govalue.Tuple{1}}, {"D", govalue.TimeDelta{Seconds: 1}}, {"I", 5}},
		},
		{"the shallower one wins", struct {
			tagged
			Other string `cyberdb:"name"`
		}{tagged{"deep"}, "shallow"}, govalue.Dict{{"name", "shallow"}}},
	} {
		if got := mustAppend(t, c.v); !bytes.Equal(got, mustAppend(t, c.want)) {
			t.Errorf("%s: got %x, want %x", c.name, got, mustAppend(t, c.want))
		}
	}
}

type loop struct{ Next *loop }

type pointerLoop *pointerLoop

type celsius float64

func (c celsius) AppendCyberDB(dst []byte) ([]byte, error) {
	switch {
	case math.IsNaN(float64(c)):
		return dst, errors.New("no reading")
	case c < -273:
		return dst, nil
	}
	return govalue.Append(dst, fmt.Sprintf("%.1fC", float64(c)))
}

func TestMarshaler(t *testing.T) {
	got := mustAppend(t, []celsius{20})
	if want := mustAppend(t, []any{"20.0C"}); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := mustAppend(t, (*celsius)(nil)); !bytes.Equal(got, []byte{0xC0}) {
		t.Errorf("nil pointer: got %x", got)
	}
}

type counted struct{ n int }

func (c *counted) AppendCyberDB(dst []byte) ([]byte, error) { return govalue.Append(dst, c.n) }

// TestMarshalerByPointer follows encoding/json: the method of *T serves a T that has an address.
func TestMarshalerByPointer(t *testing.T) {
	for _, c := range []struct{ v, like any }{
		{&counted{5}, 5},
		{[]counted{{5}}, []any{5}},
		{&struct{ C counted }{counted{5}}, govalue.Dict{{"C", 5}}},
		{struct{ C counted }{counted{5}}, govalue.Dict{{"C", govalue.Dict{}}}},
	} {
		if got, want := mustAppend(t, c.v), mustAppend(t, c.like); !bytes.Equal(got, want) {
			t.Errorf("%+v: got %x, want %x", c.v, got, want)
		}
	}
}

func TestAppendErrors(t *testing.T) {
	type user struct{ Name string }
	type group struct{ Users []user }
	ring := &loop{}
	ring.Next = ring
	var spin pointerLoop
	spin = &spin
	var deep any
	for range value.MaxDepth + 1 {
		deep = []any{deep}
	}
	for _, c := range []struct {
		name string
		v    any
		is   error
		text string
	}{
		{"path", group{[]user{{"a"}, {"b"}, {"c"}, {"\xff"}}}, govalue.ErrNotUTF8, "encode .Users[3].Name: string is not UTF-8"},
		{"path by key", map[string][]any{"k": {1, "\xff"}}, govalue.ErrNotUTF8, `encode ["k"][1]: string is not UTF-8`},
		{"path by int key", govalue.Dict{{5, "\xff"}}, govalue.ErrNotUTF8, "encode [5]: string is not UTF-8"},
		{"no path", "\xff", govalue.ErrNotUTF8, "encode: string is not UTF-8"},
		{"broken surrogate", "\xed\xa0", govalue.ErrNotUTF8, ""},
		{"recursive pointers", ring, value.ErrTooDeep, "nested deeper than 128"},
		{"pointer to itself", spin, value.ErrTooDeep, ""},
		{"deep list", deep, value.ErrTooDeep, ""},
		{"channel", make(chan int), govalue.ErrUnsupported, "chan int"},
		{"function in a struct", struct{ F func() }{}, govalue.ErrUnsupported, "encode .F: "},
		{"too many elements", make([]any, value.MaxElements+1), value.ErrTooLarge, ""},
		{"too many bytes", make([]byte, value.MaxValueBytes), value.ErrTooLarge, ""},
		{"int too long", power(2, 8*8192), value.ErrTooLarge, ""},
		{"no Decimal", govalue.Decimal("1,5"), govalue.ErrOutOfRange, ""},
		{"year 10000", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), govalue.ErrOutOfRange, ""},
		{"no such date", govalue.Date{2023, 2, 29}, govalue.ErrOutOfRange, "2023-02-29"},
		{"offset of a day", govalue.DateTime{Zone: govalue.FixedZone(24 * time.Hour)}, govalue.ErrOutOfRange, ""},
		{"timedelta not in normal form", govalue.TimeDelta{Seconds: 86400}, govalue.ErrOutOfRange, ""},
		{"time of 24 hours", govalue.Time{SinceMidnight: 24 * time.Hour}, govalue.ErrOutOfRange, ""},
		{"range of floats", govalue.Range{0, 1.5, 1}, govalue.ErrWrongType, "float in a range"},
		{"range of step 0", govalue.Range{0, 1, 0}, govalue.ErrOutOfRange, ""},
		{"reserved extension", govalue.Ext{Code: 63}, govalue.ErrOutOfRange, ""},
		{"overfull deque", govalue.Deque{Items: []any{1, 2}, Bounded: true, MaxLen: 1}, govalue.ErrOutOfRange, ""},
		{"unknown singleton", govalue.Singleton(2), govalue.ErrOutOfRange, ""},
		{"Marshaler's error", map[string]celsius{"x": celsius(math.NaN())}, nil, `encode ["x"]: no reading`},
		{"Marshaler without output", celsius(-300), govalue.ErrMalformed, ""},
	} {
		dst := []byte("front")
		got, err := govalue.Append(dst, c.v)
		var pathErr *govalue.PathError
		switch {
		case !errors.As(err, &pathErr):
			t.Errorf("%s: got %x, %v; want a PathError", c.name, got, err)
		case c.is != nil && !errors.Is(err, c.is):
			t.Errorf("%s: got %v, want %v", c.name, err, c.is)
		case !strings.Contains(err.Error(), c.text):
			t.Errorf("%s: got %q, want %q in it", c.name, err, c.text)
		case string(got) != "front":
			t.Errorf("%s: dst became %x", c.name, got)
		}
	}
}

func TestAppendDeepest(t *testing.T) {
	var deep any
	for range value.MaxDepth {
		deep = []any{deep}
	}
	b := mustAppend(t, deep)
	if n, err := value.Check(b); err != nil || n != len(b) {
		t.Errorf("Check: %d, %v", n, err)
	}
	if _, _, err := govalue.Decode(b); err != nil {
		t.Error(err)
	}
}
