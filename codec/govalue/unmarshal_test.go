package govalue_test

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"math/big"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

var goSeed = flag.Int64("goseed", 0, "seed of the random Go values; 0 picks one")

// naturals holds a value of every natural type.
var naturals = []any{
	nil,
	true,
	false,
	int64(0),
	int64(-1),
	int64(math.MinInt64),
	int64(math.MaxInt64),
	uint64(math.MaxUint64),
	power(2, 64),
	power(-2, 65),
	power(10, 5000),
	0.0,
	math.Copysign(0, -1),
	math.Inf(-1),
	1e300,
	"",
	"text",
	"\xed\xa0\x80 lone",
	[]byte{},
	[]byte("ab"),
	[]any{},
	[]any{nil, []any{int64(1)}},
	govalue.Tuple{},
	govalue.Tuple{int64(1), govalue.Tuple{"a"}},
	govalue.Dict{},
	govalue.Dict{{govalue.Tuple{int64(1)}, "v"}, {"k", nil}},
	govalue.Set{},
	govalue.Set{int64(1), "a"},
	govalue.FrozenSet{"x"},
	govalue.ByteArray{},
	govalue.ByteArray("ab"),
	govalue.OrderedDict{{"a", int64(1)}},
	govalue.DateTime{},
	govalue.DateTime{WallMicros: -1, Fold: true},
	govalue.DateTime{WallMicros: 5, Zone: govalue.Zone{true, 3600, 0, "Europe/Berlin"}},
	govalue.DateTime{Zone: govalue.Zone{true, -1, 999999, ""}},
	govalue.Date{1, 1, 1},
	govalue.Date{9999, 12, 31},
	govalue.Date{2024, 2, 29},
	govalue.Time{},
	govalue.Time{24*time.Hour - time.Microsecond, true, govalue.FixedZone(-time.Hour)},
	govalue.TimeDelta{-999999999, 0, 0},
	govalue.TimeDelta{1, 2, 3},
	govalue.Decimal(
		"0",
	),
	govalue.Decimal("-1.10E+5"),
	govalue.Decimal("sNaN12"),
	govalue.Decimal("-Infinity"),
	govalue.Decimal("0E-1999999999999999997"),
	big.NewRat(1, 3),
	big.NewRat(-5, 1),
	govalue.UUID{1, 2, 3},
	complex(1, -2),
	govalue.Range{int64(0), uint64(math.MaxUint64), int64(-1)},
	govalue.Range{power(2, 70), int64(0), power(-2, 71)},
	govalue.Slice{nil, int64(1), "x"},
	govalue.Deque{Items: []any{}},
	govalue.Deque{[]any{"a"}, true, 3},
	govalue.Counter{{"a", int64(2)}},
	govalue.DefaultDict{"list", govalue.Dict{{"a", []any{}}}},
	govalue.DefaultDict{"", govalue.Dict{}},
	govalue.Ellipsis,
	govalue.NotImplemented,
	govalue.Exception{"ValueError", []any{"bad", int64(1)}},
	govalue.Object{"m.C", []byte{1}},
	govalue.Ext{127, []byte{}},
}

func TestNaturalRoundTrip(t *testing.T) {
	for _, v := range naturals {
		b := mustAppend(t, v)
		if n, err := value.Check(b); err != nil || n != len(b) {
			t.Errorf("%#v: Check gives %d of %d, %v", v, n, len(b), err)
		}
		got, n, err := govalue.Decode(append(b[:len(b):len(b)], "after"...))
		if err != nil || n != len(b) || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v came back as %#v, %d of %d bytes, %v", v, got, n, len(b), err)
		}
		if v == nil {
			continue
		}
		into := reflect.New(reflect.TypeOf(v)) // a variable of just that type
		if err := govalue.Unmarshal(b, into.Interface()); err != nil || !reflect.DeepEqual(into.Elem().Interface(), v) {
			t.Errorf("%#v was unmarshalled as %#v, %v", v, into.Elem().Interface(), err)
		}
	}
}

// TestDecodeTruncated feeds every value cut at every byte.
func TestDecodeTruncated(t *testing.T) {
	for _, v := range naturals {
		b := mustAppend(t, v)
		if len(b) > 1000 {
			continue
		}
		for cut := range len(b) {
			if got, n, err := govalue.Decode(b[:cut]); !errors.Is(err, value.ErrTruncated) || n != 0 {
				t.Errorf("%#v cut at %d: got %#v, %d, %v", v, cut, got, n, err)
			}
		}
	}
}

type leaf struct {
	B  bool
	S  string
	N  []byte
	F  float64
	F2 float32
}

type everything struct {
	I8   int8
	I64  int64 `cyberdb:"long"`
	U    uint64
	Leaf leaf
	P    *leaf
	L    []leaf
	A    [2]int16
	H    [4]byte
	M    map[string]int32
	M2   map[int8][]string
	D    time.Duration
	Deep map[string]map[uint16]*leaf
}

func TestStructRoundTrip(t *testing.T) {
	seed := *goSeed
	if seed == 0 {
		seed = rand.Int63()
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	for range 300 {
		want := randomValue[everything](t, random)
		got, err := govalue.UnmarshalOf[everything](mustAppend(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// randomValue makes a T by testing/quick; strings are UTF-8 and durations whole microseconds, which
// is what comes back.
func randomValue[T any](t *testing.T, random *rand.Rand) T {
	t.Helper()
	v, ok := quick.Value(reflect.TypeFor[T](), random)
	if !ok {
		t.Fatalf("testing/quick makes no %T", *new(T))
	}
	x := v.Interface().(T)
	if e, ok := any(&x).(*everything); ok {
		e.D = e.D.Truncate(time.Microsecond)
	}
	return x
}

func TestUnmarshalConversions(t *testing.T) {
	seven, one := 7, 1
	type point struct{ X, Y int }
	for _, c := range []struct {
		name string
		v    any
		want any // its type is the target's
	}{
		{"int into float", 3, 3.0},
		{"int into float32", 3, float32(3)},
		{"float32 rounds", 0.1, float32(0.1)},
		{"infinity into float32", math.Inf(1), float32(math.Inf(1))},
		{"int into pointer", 7, &seven},
		{"None into pointer", nil, (*int)(nil)},
		{"None into map", nil, map[string]int(nil)},
		{"None into slice", nil, []int(nil)},
		{"None into bytes", nil, []byte(nil)},
		{"None into Dict", nil, govalue.Dict(nil)},
		{"tuple into slice", govalue.Tuple{1, 2}, []int{1, 2}},
		{"set into slice", govalue.Set{1}, []int{1}},
		{"frozenset into array", govalue.FrozenSet{1}, [1]int{1}},
		{"deque into slice", govalue.Deque{[]any{1, 2}, true, 5}, []int{1, 2}},
		{"list into Tuple", []any{1}, govalue.Tuple{int64(1)}},
		{"list of lists", []any{[]any{1}, nil}, [][]int{{1}, nil}},
		{"bytearray into bytes", govalue.ByteArray("ab"), []byte("ab")},
		{"bytes into array", []byte("ab"), [2]byte{'a', 'b'}},
		{"UUID into bytes", govalue.UUID{1}, [16]byte{1}},
		{"dict into map", govalue.Dict{{1, "a"}, {2, "b"}}, map[int]string{1: "a", 2: "b"}},
		{"OrderedDict into map", govalue.OrderedDict{{"a", 1}}, map[string]int{"a": 1}},
		{"Counter into map", govalue.Counter{{"a", 1}}, map[any]int{"a": 1}},
		{"defaultdict into map", govalue.DefaultDict{"int", govalue.Dict{{"a", 1}}}, map[string]*int{"a": &one}},
		{"defaultdict into Dict", govalue.DefaultDict{"int", govalue.Dict{{"a", true}}}, govalue.Dict{{"a", true}}},
		{"dict into struct", govalue.Dict{{"Y", 2}, {"Z", []any{1, govalue.Tuple{}}}, {5, 6}, {"X", 1}}, point{1, 2}},
		{"OrderedDict into struct", govalue.OrderedDict{{"X", 1}}, point{X: 1}},
		{"int into big.Int", 5, *big.NewInt(5)},
		{"int into *big.Int", uint64(math.MaxUint64), new(big.Int).SetUint64(math.MaxUint64)},
		{"int into *big.Rat", 5, big.NewRat(5, 1)},
		{"datetime into time.Time", govalue.DateTime{WallMicros: 1, Zone: govalue.Zone{Aware: true, Name: "UTC"}}, time.UnixMicro(1).UTC()},
		{"longest timedelta", govalue.TimeDeltaOf(math.MaxInt64), time.Duration(math.MaxInt64).Truncate(time.Microsecond)},
		{"shortest timedelta", govalue.TimeDeltaOf(math.MinInt64), time.Duration(math.MinInt64).Truncate(time.Microsecond)},
		{"value with a method into its interface", govalue.Ellipsis, *new(interface{ String() string })},
	} {
		into := reflect.New(reflect.TypeOf(&c.want).Elem())
		if c.want != nil {
			into = reflect.New(reflect.TypeOf(c.want))
		}
		if err := govalue.Unmarshal(mustAppend(t, c.v), into.Interface()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if c.want != nil && !reflect.DeepEqual(into.Elem().Interface(), c.want) {
			t.Errorf("%s: got %#v, want %#v", c.name, into.Elem().Interface(), c.want)
		}
	}
}

func TestUnmarshalKeeps(t *testing.T) {
	type point struct{ X, Y int }
	p := point{1, 2}
	if err := govalue.Unmarshal(mustAppend(t, govalue.Dict{{"Y", 3}}), &p); err != nil || p != (point{1, 3}) {
		t.Errorf("struct: got %+v, %v", p, err)
	}
	m := map[string]int{"a": 1, "b": 2}
	if err := govalue.Unmarshal(
		mustAppend(t, govalue.Dict{{"b", 3}}),
		&m,
	); err != nil ||
		!reflect.DeepEqual(m, map[string]int{"a": 1, "b": 3}) {
		t.Errorf("map: got %v, %v", m, err)
	}
	b := mustAppend(t, []byte("abc"))
	data, err := govalue.UnmarshalOf[[]byte](b)
	clear(b)
	if err != nil || string(data) != "abc" {
		t.Errorf("bytes alias the encoding: got %q, %v", data, err)
	}
}

func TestUnmarshalErrors(t *testing.T) {
	type user struct{ Age int8 }
	type group struct{ Users []user }
	for _, c := range []struct {
		name string
		v    any
		into any
		is   error
		text string
	}{
		{"path", govalue.Dict{{"Users", []any{govalue.Dict{{"Age", 1}}, govalue.Dict{{"Age", 300}}}}}, new(group), govalue.ErrOutOfRange, "decode .Users[1].Age: out of range: int 300 into int8"},
		{"path by key", govalue.Dict{{"k", "text"}}, new(map[string]int), govalue.ErrWrongType, `decode ["k"]: wrong type: str into int`},
		{"negative into uint", -1, new(uint), govalue.ErrOutOfRange, "int -1 into uint"},
		{"uint64 into int64", uint64(math.MaxUint64), new(int64), govalue.ErrOutOfRange, ""},
		{"big int into int", power(2, 64), new(int), govalue.ErrOutOfRange, "int 18446744073709551616 into int"},
		{"huge int into int", power(2, 10000), new(int), govalue.ErrOutOfRange, "of 10001 bits"},
		{"int that no float holds", 1<<53 + 1, new(float64), govalue.ErrOutOfRange, ""},
		{"int that no float32 holds", 1<<24 + 1, new(float32), govalue.ErrOutOfRange, ""},
		{"float beyond float32", 1e300, new(float32), govalue.ErrOutOfRange, ""},
		{"float into int", 1.0, new(int), govalue.ErrWrongType, "float into int"},
		{"bool into int", true, new(int), govalue.ErrWrongType, "bool into int"},
		{"None into int", nil, new(int), govalue.ErrWrongType, "NoneType into int"},
		{"None into struct", nil, new(user), govalue.ErrWrongType, ""},
		{"None into OrderedDict's item", govalue.Dict{{"Age", nil}}, new(user), govalue.ErrWrongType, ".Age"},
		{"bytes into string", []byte("a"), new(string), govalue.ErrWrongType, "bytes into string"},
		{"str into bytes", "a", new([]byte), govalue.ErrWrongType, ""},
		{"list into struct", []any{}, new(user), govalue.ErrWrongType, ""},
		{"dict into slice", govalue.Dict{}, new([]int), govalue.ErrWrongType, "dict into []int"},
		{"list into array", []any{1}, new([2]int), govalue.ErrOutOfRange, ""},
		{"bytes into array", []byte{1}, new([2]byte), govalue.ErrOutOfRange, ""},
		{"naive datetime into time.Time", govalue.DateTime{}, new(time.Time), govalue.ErrWrongType, "naive"},
		{"timedelta into Duration", govalue.TimeDelta{Days: 200000}, new(time.Duration), govalue.ErrOutOfRange, ""},
		{"key that Go cannot compare", govalue.Dict{{govalue.Tuple{}, 1}}, new(map[any]int), govalue.ErrWrongType, "use Dict"},
		{"interface with methods", 1, new(error), govalue.ErrWrongType, ""},
		{"no pointer", 1, 1, govalue.ErrUnsupported, ""},
		{"nil pointer", 1, (*int)(nil), govalue.ErrUnsupported, ""},
		{"nothing", 1, nil, govalue.ErrUnsupported, ""},
		{"channel", 1, new(chan int), govalue.ErrUnsupported, ""},
		{"pointers without end", 1, new(pointerLoop), value.ErrTooDeep, ""},
	} {
		err := govalue.Unmarshal(mustAppend(t, c.v), c.into)
		var pathErr *govalue.PathError
		if !errors.As(err, &pathErr) || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.is, c.text)
		}
	}
}

func TestUnmarshalMalformed(t *testing.T) {
	for _, c := range []struct {
		name string
		b    string
		is   error
	}{
		{"nothing", "", value.ErrTruncated},
		{"never used byte", "\xc1", govalue.ErrMalformed},
		{"bytes after the value", "\x01\x02", govalue.ErrMalformed},
		{"string that is not UTF-8", "\xa1\xff", govalue.ErrNotUTF8},
		{"array that claims a million", "\xdd\x00\x10\x00\x00\x01", value.ErrTruncated},
		{"array that claims 2**32", "\xdd\xff\xff\xff\xff\x01", value.ErrTooLarge},
		{"MessagePack's timestamp", "\xd6\xff\x00\x00\x00\x00", govalue.ErrMalformed},
		{"unknown extension", "\xd4\x20\x00", govalue.ErrMalformed},
		{"tuple that is a map", "\xd4\x02\x80", govalue.ErrMalformed},
		{"tuple with bytes after", "\xd5\x02\x90\x90", govalue.ErrMalformed},
		{"date of two bytes", "\xd5\x08\x00\x01", govalue.ErrMalformed},
		{"Fraction over 0", "\xc7\x03\x0c\x92\x01\x00", govalue.ErrMalformed},
		{"Fraction of three", "\xd6\x0c\x93\x01\x02\x03", govalue.ErrMalformed},
		{"Fraction of a str", "\xc7\x03\x0c\x92\xa0\x01", govalue.ErrMalformed},
		{"int of no bytes", "\xc7\x00\x01", govalue.ErrMalformed},
		{"datetime of two bytes", "\xd5\x07\x00\x00", govalue.ErrMalformed},
		{"naive datetime with a zone", "\xc7\x0a\x07" + strings.Repeat("\x00", 10), govalue.ErrMalformed},
		{"aware datetime without a zone", "\xc7\x09\x07" + strings.Repeat("\x00", 8) + "\x02", govalue.ErrMalformed},
		{"datetime with an unknown flag", "\xc7\x09\x07" + strings.Repeat("\x00", 8) + "\x04", govalue.ErrMalformed},
		{"datetime before year 1", "\xc7\x09\x07\x80" + strings.Repeat("\x00", 8), govalue.ErrMalformed},
		{"offset of years", "\xc7\x11\x07" + strings.Repeat("\x00", 8) + "\x02\x7f\xff\xff\xff\x00\x00\x00\x00", govalue.ErrMalformed},
		{"time after midnight", "\xc7\x09\x09\x7f" + strings.Repeat("\x00", 8), govalue.ErrMalformed},
		{"date 0", "\xd6\x08\x00\x00\x00\x00", govalue.ErrMalformed},
		{"timedelta of four bytes", "\xd6\x0a\x00\x00\x00\x00", govalue.ErrMalformed},
		{"timedelta not in normal form", "\xc7\x0c\x0a\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00", govalue.ErrMalformed},
		{"Decimal with a comma", "\xc7\x03\x0b1,5", govalue.ErrMalformed},
		{"UUID of four bytes", "\xd6\x0d\x00\x00\x00\x00", govalue.ErrMalformed},
		{"complex of eight bytes", "\xd7\x0e" + strings.Repeat("\x00", 8), govalue.ErrMalformed},
		{"range of step 0", "\xd6\x0f\x93\x00\x01\x00", govalue.ErrMalformed},
		{"range of None", "\xd6\x0f\x93\xc0\x01\x01", govalue.ErrMalformed},
		{"slice of two", "\xc7\x03\x10\x92\xc0\xc0", govalue.ErrMalformed},
		{"deque without maxlen", "\xd4\x11\x90", govalue.ErrMalformed},
		{"deque of negative maxlen", "\xd5\x11\x91\xff", govalue.ErrMalformed},
		{"overfull deque", "\xc7\x03\x11\x92\x00\x01", govalue.ErrMalformed},
		{"defaultdict without a map", "\xc7\x03\x13\x92\xc0\xc0", govalue.ErrMalformed},
		{"third singleton", "\xd4\x14\x02", govalue.ErrMalformed},
		{"exception without a name", "\xd5\x15\x91\xc0", govalue.ErrMalformed},
		{"object without bytes", "\xc7\x03\x16\x92\xa0\xc0", govalue.ErrMalformed},
		{"lists nested too deep", strings.Repeat("\x91", 200) + "\x90", value.ErrTooDeep},
	} {
		for _, into := range []any{new(any), new(int), new(string), new([]any), new([]byte), new(govalue.Tuple), new(leaf), new(big.Rat), new(time.Time)} {
			if err := govalue.Unmarshal([]byte(c.b), into); err == nil {
				t.Errorf("%s into %T: no error", c.name, into)
			}
		}
		if _, err := govalue.UnmarshalOf[any]([]byte(c.b)); !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.is)
		}
	}
}

type reading struct{ raw []byte }

func (r *reading) UnmarshalCyberDB(b []byte) error {
	if len(b) > 3 {
		return errors.New("too long for a reading")
	}
	r.raw = bytes.Clone(b)
	return nil
}

func TestUnmarshaler(t *testing.T) {
	got, err := govalue.UnmarshalOf[map[string]*reading](mustAppend(t, govalue.Dict{{"a", "xy"}, {"b", nil}}))
	if err != nil || string(got["a"].raw) != "\xa2xy" || got["b"] != nil {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = govalue.UnmarshalOf[[]reading](mustAppend(t, []any{1, "long"}))
	if err == nil || err.Error() != "decode [1]: too long for a reading" {
		t.Errorf("got %v", err)
	}
}

func TestUnmarshalNumbers(t *testing.T) {
	for _, c := range []struct{ v, into any }{
		{"a", new(uint)},
		{300, new(uint8)},
		{power(2, 64), new(uint64)},
		{"a", new(float64)},
		{"a", new(big.Int)},
		{1.5, new(big.Rat)},
		{1, new(complex128)},
		{complex(1e300, 0), new(complex64)},
		{1, new(bool)},
		{1, new(govalue.Date)},
	} {
		if err := govalue.Unmarshal(
			mustAppend(t, c.v),
			c.into,
		); !errors.Is(err, govalue.ErrOutOfRange) &&
			!errors.Is(err, govalue.ErrWrongType) {
			t.Errorf("%v into %T: got %v", c.v, c.into, err)
		}
	}
}

// FuzzDecode feeds bytes: nothing panics, what Check takes Decode takes, and what Decode takes
// comes back the same from Append.
func FuzzDecode(f *testing.F) {
	for _, v := range naturals {
		if b, err := govalue.Append(nil, v); err == nil && len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Add([]byte("\xd4\x86\x30")) // an extension code that is negative
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{new(everything), new([]any), new(map[any]any), new(map[string]leaf), new([]string), new([3]float32), new(govalue.DefaultDict)} {
			_ = govalue.Unmarshal(b, into)
		}
		checked, checkErr := value.Check(b)
		v, n, err := govalue.Decode(b)
		if err != nil {
			if checkErr == nil {
				t.Fatalf("Check takes %x, Decode says %v", b, err)
			}
			return
		}
		if checkErr == nil && checked != n {
			t.Fatalf("Check reads %d bytes, Decode %d", checked, n)
		}
		again, err := govalue.Append(nil, v)
		if err != nil {
			t.Fatalf("%#v was decoded but not encoded: %v", v, err)
		}
		if checkErr == nil && value.Equal(b[:n], b[:n]) && !value.Equal(b[:n], again) {
			t.Fatalf("%x came back as %x", b[:n], again)
		}
		back, _, err := govalue.Decode(again)
		if err != nil {
			t.Fatalf("%x: %v", again, err)
		}
		if third, err := govalue.Append(nil, back); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%x, then %x, %v", again, third, err)
		}
	})
}
