package value_test

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

	"cyberdb-fast/codec/value"
)

var goSeed = flag.Int64("goseed", 0, "seed of the random Go values; 0 picks one")

// naturals holds a value of every natural type.
var naturals = []any{
	nil, true, false, int64(0), int64(-1), int64(math.MinInt64), int64(math.MaxInt64), uint64(math.MaxUint64), power(2, 64), power(-2, 65),
	power(10, 5000), 0.0, math.Copysign(0, -1), math.Inf(-1), 1e300, "", "text", "\xed\xa0\x80 lone",
	[]byte{},
	[]byte("ab"),
	[]any{},
	[]any{nil, []any{int64(1)}},
	value.Tuple{},
	value.Tuple{int64(1), value.Tuple{"a"}},
	value.Dict{},
	value.Dict{{value.Tuple{int64(1)}, "v"}, {"k", nil}},
	value.Set{},
	value.Set{int64(1), "a"},
	value.FrozenSet{"x"},
	value.ByteArray{},
	value.ByteArray("ab"),
	value.OrderedDict{{"a", int64(1)}},
	value.DateTime{},
	value.DateTime{WallMicros: -1, Fold: true},
	value.DateTime{WallMicros: 5, Zone: value.Zone{true, 3600, 0, "Europe/Berlin"}},
	value.DateTime{Zone: value.Zone{true, -1, 999999, ""}},
	value.Date{1, 1, 1},
	value.Date{9999, 12, 31},
	value.Date{2024, 2, 29},
	value.Time{},
	value.Time{24*time.Hour - time.Microsecond, true, value.FixedZone(-time.Hour)},
	value.TimeDelta{-999999999, 0, 0},
	value.TimeDelta{1, 2, 3},
	value.Decimal("0"), value.Decimal("-1.10E+5"), value.Decimal("sNaN12"), value.Decimal("-Infinity"), value.Decimal("0E-1999999999999999997"),
	big.NewRat(1, 3), big.NewRat(-5, 1),
	value.UUID{1, 2, 3},
	complex(1, -2),
	value.Range{int64(0), uint64(math.MaxUint64), int64(-1)},
	value.Range{power(2, 70), int64(0), power(-2, 71)},
	value.Slice{nil, int64(1), "x"},
	value.Deque{Items: []any{}},
	value.Deque{[]any{"a"}, true, 3},
	value.Counter{{"a", int64(2)}},
	value.DefaultDict{"list", value.Dict{{"a", []any{}}}},
	value.DefaultDict{"", value.Dict{}},
	value.Ellipsis, value.NotImplemented,
	value.Exception{"ValueError", []any{"bad", int64(1)}},
	value.Object{"m.C", []byte{1}},
	value.Ext{127, []byte{}},
}

func TestNaturalRoundTrip(t *testing.T) {
	for _, v := range naturals {
		b := mustAppend(t, v)
		if n, err := value.Check(b); err != nil || n != len(b) {
			t.Errorf("%#v: Check gives %d of %d, %v", v, n, len(b), err)
		}
		got, n, err := value.Decode(append(b[:len(b):len(b)], "behind"...))
		if err != nil || n != len(b) || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v came back as %#v, %d of %d bytes, %v", v, got, n, len(b), err)
		}
		if v == nil {
			continue
		}
		into := reflect.New(reflect.TypeOf(v)) // a variable of just that type
		if err := value.Unmarshal(b, into.Interface()); err != nil || !reflect.DeepEqual(into.Elem().Interface(), v) {
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
			if got, n, err := value.Decode(b[:cut]); !errors.Is(err, value.ErrTruncated) || n != 0 {
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
		got, err := value.UnmarshalOf[everything](mustAppend(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// randomValue makes a T by testing/quick; strings are UTF-8 and durations whole microseconds, which is what comes back.
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
		{"None into Dict", nil, value.Dict(nil)},
		{"tuple into slice", value.Tuple{1, 2}, []int{1, 2}},
		{"set into slice", value.Set{1}, []int{1}},
		{"frozenset into array", value.FrozenSet{1}, [1]int{1}},
		{"deque into slice", value.Deque{[]any{1, 2}, true, 5}, []int{1, 2}},
		{"list into Tuple", []any{1}, value.Tuple{int64(1)}},
		{"list of lists", []any{[]any{1}, nil}, [][]int{{1}, nil}},
		{"bytearray into bytes", value.ByteArray("ab"), []byte("ab")},
		{"bytes into array", []byte("ab"), [2]byte{'a', 'b'}},
		{"UUID into bytes", value.UUID{1}, [16]byte{1}},
		{"dict into map", value.Dict{{1, "a"}, {2, "b"}}, map[int]string{1: "a", 2: "b"}},
		{"OrderedDict into map", value.OrderedDict{{"a", 1}}, map[string]int{"a": 1}},
		{"Counter into map", value.Counter{{"a", 1}}, map[any]int{"a": 1}},
		{"defaultdict into map", value.DefaultDict{"int", value.Dict{{"a", 1}}}, map[string]*int{"a": &one}},
		{"defaultdict into Dict", value.DefaultDict{"int", value.Dict{{"a", true}}}, value.Dict{{"a", true}}},
		{"dict into struct", value.Dict{{"Y", 2}, {"Z", []any{1, value.Tuple{}}}, {5, 6}, {"X", 1}}, point{1, 2}},
		{"OrderedDict into struct", value.OrderedDict{{"X", 1}}, point{X: 1}},
		{"int into big.Int", 5, *big.NewInt(5)},
		{"int into *big.Int", uint64(math.MaxUint64), new(big.Int).SetUint64(math.MaxUint64)},
		{"int into *big.Rat", 5, big.NewRat(5, 1)},
		{"datetime into time.Time", value.DateTime{WallMicros: 1, Zone: value.Zone{Aware: true, Name: "UTC"}}, time.UnixMicro(1).UTC()},
		{"longest timedelta", value.TimeDeltaOf(math.MaxInt64), time.Duration(math.MaxInt64).Truncate(time.Microsecond)},
		{"shortest timedelta", value.TimeDeltaOf(math.MinInt64), time.Duration(math.MinInt64).Truncate(time.Microsecond)},
		{"value with a method into its interface", value.Ellipsis, *new(interface{ String() string })},
	} {
		into := reflect.New(reflect.TypeOf(&c.want).Elem())
		if c.want != nil {
			into = reflect.New(reflect.TypeOf(c.want))
		}
		if err := value.Unmarshal(mustAppend(t, c.v), into.Interface()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if c.want != nil && !reflect.DeepEqual(into.Elem().Interface(), c.want) {
			t.Errorf("%s: got %#v, want %#v", c.name, into.Elem().Interface(), c.want)
		}
	}
}

func TestUnmarshalKeeps(t *testing.T) {
	type point struct{ X, Y int }
	p := point{1, 2}
	if err := value.Unmarshal(mustAppend(t, value.Dict{{"Y", 3}}), &p); err != nil || p != (point{1, 3}) {
		t.Errorf("struct: got %+v, %v", p, err)
	}
	m := map[string]int{"a": 1, "b": 2}
	if err := value.Unmarshal(mustAppend(t, value.Dict{{"b", 3}}), &m); err != nil || !reflect.DeepEqual(m, map[string]int{"a": 1, "b": 3}) {
		t.Errorf("map: got %v, %v", m, err)
	}
	b := mustAppend(t, []byte("abc"))
	data, err := value.UnmarshalOf[[]byte](b)
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
		{"path", value.Dict{{"Users", []any{value.Dict{{"Age", 1}}, value.Dict{{"Age", 300}}}}}, new(group), value.ErrOutOfRange, "decode .Users[1].Age: out of range: int 300 into int8"},
		{"path by key", value.Dict{{"k", "text"}}, new(map[string]int), value.ErrWrongType, `decode ["k"]: wrong type: str into int`},
		{"negative into uint", -1, new(uint), value.ErrOutOfRange, "int -1 into uint"},
		{"uint64 into int64", uint64(math.MaxUint64), new(int64), value.ErrOutOfRange, ""},
		{"big int into int", power(2, 64), new(int), value.ErrOutOfRange, "int 18446744073709551616 into int"},
		{"huge int into int", power(2, 10000), new(int), value.ErrOutOfRange, "of 10001 bits"},
		{"int that no float holds", 1<<53 + 1, new(float64), value.ErrOutOfRange, ""},
		{"int that no float32 holds", 1<<24 + 1, new(float32), value.ErrOutOfRange, ""},
		{"float beyond float32", 1e300, new(float32), value.ErrOutOfRange, ""},
		{"float into int", 1.0, new(int), value.ErrWrongType, "float into int"},
		{"bool into int", true, new(int), value.ErrWrongType, "bool into int"},
		{"None into int", nil, new(int), value.ErrWrongType, "NoneType into int"},
		{"None into struct", nil, new(user), value.ErrWrongType, ""},
		{"None into OrderedDict's item", value.Dict{{"Age", nil}}, new(user), value.ErrWrongType, ".Age"},
		{"bytes into string", []byte("a"), new(string), value.ErrWrongType, "bytes into string"},
		{"str into bytes", "a", new([]byte), value.ErrWrongType, ""},
		{"list into struct", []any{}, new(user), value.ErrWrongType, ""},
		{"dict into slice", value.Dict{}, new([]int), value.ErrWrongType, "dict into []int"},
		{"list into array", []any{1}, new([2]int), value.ErrOutOfRange, ""},
		{"bytes into array", []byte{1}, new([2]byte), value.ErrOutOfRange, ""},
		{"naive datetime into time.Time", value.DateTime{}, new(time.Time), value.ErrWrongType, "naive"},
		{"timedelta into Duration", value.TimeDelta{Days: 200000}, new(time.Duration), value.ErrOutOfRange, ""},
		{"key that Go cannot compare", value.Dict{{value.Tuple{}, 1}}, new(map[any]int), value.ErrWrongType, "use Dict"},
		{"interface with methods", 1, new(error), value.ErrWrongType, ""},
		{"no pointer", 1, 1, value.ErrUnsupported, ""},
		{"nil pointer", 1, (*int)(nil), value.ErrUnsupported, ""},
		{"nothing", 1, nil, value.ErrUnsupported, ""},
		{"channel", 1, new(chan int), value.ErrUnsupported, ""},
		{"pointers without end", 1, new(pointerLoop), value.ErrTooDeep, ""},
	} {
		err := value.Unmarshal(mustAppend(t, c.v), c.into)
		var pathErr *value.PathError
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
		{"never used byte", "\xc1", value.ErrMalformed},
		{"bytes behind the value", "\x01\x02", value.ErrMalformed},
		{"string that is not UTF-8", "\xa1\xff", value.ErrNotUTF8},
		{"array that claims a million", "\xdd\x00\x10\x00\x00\x01", value.ErrTruncated},
		{"array that claims 2**32", "\xdd\xff\xff\xff\xff\x01", value.ErrTooLarge},
		{"MessagePack's timestamp", "\xd6\xff\x00\x00\x00\x00", value.ErrMalformed},
		{"unknown extension", "\xd4\x20\x00", value.ErrMalformed},
		{"tuple that is a map", "\xd4\x02\x80", value.ErrMalformed},
		{"tuple with bytes behind", "\xd5\x02\x90\x90", value.ErrMalformed},
		{"date of two bytes", "\xd5\x08\x00\x01", value.ErrMalformed},
		{"Fraction over 0", "\xc7\x03\x0c\x92\x01\x00", value.ErrMalformed},
		{"Fraction of three", "\xd6\x0c\x93\x01\x02\x03", value.ErrMalformed},
		{"Fraction of a str", "\xc7\x03\x0c\x92\xa0\x01", value.ErrMalformed},
		{"int of no bytes", "\xc7\x00\x01", value.ErrMalformed},
		{"datetime of two bytes", "\xd5\x07\x00\x00", value.ErrMalformed},
		{"naive datetime with a zone", "\xc7\x0a\x07" + strings.Repeat("\x00", 10), value.ErrMalformed},
		{"aware datetime without a zone", "\xc7\x09\x07" + strings.Repeat("\x00", 8) + "\x02", value.ErrMalformed},
		{"datetime with an unknown flag", "\xc7\x09\x07" + strings.Repeat("\x00", 8) + "\x04", value.ErrMalformed},
		{"datetime before year 1", "\xc7\x09\x07\x80" + strings.Repeat("\x00", 8), value.ErrMalformed},
		{"offset of years", "\xc7\x11\x07" + strings.Repeat("\x00", 8) + "\x02\x7f\xff\xff\xff\x00\x00\x00\x00", value.ErrMalformed},
		{"time after midnight", "\xc7\x09\x09\x7f" + strings.Repeat("\x00", 8), value.ErrMalformed},
		{"date 0", "\xd6\x08\x00\x00\x00\x00", value.ErrMalformed},
		{"timedelta of four bytes", "\xd6\x0a\x00\x00\x00\x00", value.ErrMalformed},
		{"timedelta not in normal form", "\xc7\x0c\x0a\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00", value.ErrMalformed},
		{"Decimal with a comma", "\xc7\x03\x0b1,5", value.ErrMalformed},
		{"UUID of four bytes", "\xd6\x0d\x00\x00\x00\x00", value.ErrMalformed},
		{"complex of eight bytes", "\xd7\x0e" + strings.Repeat("\x00", 8), value.ErrMalformed},
		{"range of step 0", "\xd6\x0f\x93\x00\x01\x00", value.ErrMalformed},
		{"range of None", "\xd6\x0f\x93\xc0\x01\x01", value.ErrMalformed},
		{"slice of two", "\xc7\x03\x10\x92\xc0\xc0", value.ErrMalformed},
		{"deque without maxlen", "\xd4\x11\x90", value.ErrMalformed},
		{"deque of negative maxlen", "\xd5\x11\x91\xff", value.ErrMalformed},
		{"overfull deque", "\xc7\x03\x11\x92\x00\x01", value.ErrMalformed},
		{"defaultdict without a map", "\xc7\x03\x13\x92\xc0\xc0", value.ErrMalformed},
		{"third singleton", "\xd4\x14\x02", value.ErrMalformed},
		{"exception without a name", "\xd5\x15\x91\xc0", value.ErrMalformed},
		{"object without bytes", "\xc7\x03\x16\x92\xa0\xc0", value.ErrMalformed},
		{"lists nested too deep", strings.Repeat("\x91", 200) + "\x90", value.ErrTooDeep},
	} {
		for _, into := range []any{new(any), new(int), new(string), new([]any), new([]byte), new(value.Tuple), new(leaf), new(big.Rat), new(time.Time)} {
			if err := value.Unmarshal([]byte(c.b), into); err == nil {
				t.Errorf("%s into %T: no error", c.name, into)
			}
		}
		if _, err := value.UnmarshalOf[any]([]byte(c.b)); !errors.Is(err, c.is) {
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
	got, err := value.UnmarshalOf[map[string]*reading](mustAppend(t, value.Dict{{"a", "xy"}, {"b", nil}}))
	if err != nil || string(got["a"].raw) != "\xa2xy" || got["b"] != nil {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = value.UnmarshalOf[[]reading](mustAppend(t, []any{1, "long"}))
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
		{1, new(value.Date)},
	} {
		if err := value.Unmarshal(mustAppend(t, c.v), c.into); !errors.Is(err, value.ErrOutOfRange) && !errors.Is(err, value.ErrWrongType) {
			t.Errorf("%v into %T: got %v", c.v, c.into, err)
		}
	}
}

// FuzzDecode feeds bytes: nothing panics, what Check takes Decode takes, and what Decode takes comes back the same from Append.
func FuzzDecode(f *testing.F) {
	for _, v := range naturals {
		if b, err := value.Append(nil, v); err == nil && len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Add([]byte("\xd4\x86\x30")) // an extension code that is negative
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, into := range []any{new(everything), new([]any), new(map[any]any), new(map[string]leaf), new([]string), new([3]float32), new(value.DefaultDict)} {
			_ = value.Unmarshal(b, into)
		}
		checked, checkErr := value.Check(b)
		v, n, err := value.Decode(b)
		if err != nil {
			if checkErr == nil {
				t.Fatalf("Check takes %x, Decode says %v", b, err)
			}
			return
		}
		if checkErr == nil && checked != n {
			t.Fatalf("Check reads %d bytes, Decode %d", checked, n)
		}
		again, err := value.Append(nil, v)
		if err != nil {
			t.Fatalf("%#v was decoded but not encoded: %v", v, err)
		}
		if checkErr == nil && value.Equal(b[:n], b[:n]) && !value.Equal(b[:n], again) {
			t.Fatalf("%x came back as %x", b[:n], again)
		}
		back, _, err := value.Decode(again)
		if err != nil {
			t.Fatalf("%x: %v", again, err)
		}
		if third, err := value.Append(nil, back); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%x, then %x, %v", again, third, err)
		}
	})
}
