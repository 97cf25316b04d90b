package value_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func TestCheckRefuses(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("91", n-1) + "90" }
	for _, c := range []struct {
		name, hex, want string
		is              error
	}{
		{"unused byte", "c1", "ValueError: malformed value: first byte 0xc1", nil},
		{"bad UTF-8", "a2c328", "ValueError: malformed value: str is not UTF-8", nil},
		{"overlong UTF-8", "a2c080", "str is not UTF-8", nil},
		{"half a surrogate", "a2eda0", "str is not UTF-8", nil},
		{"beyond Unicode", "a4f4908080", "str is not UTF-8", nil},
		{"MessagePack's timestamp", "d6ff00000000", "extension code -1", nil},
		{"extension code -122", "d48630", "extension code -122", nil},
		{"kept extension code", "d43f00", "extension code 63", nil},
		{"list as key", "819001", "TypeError: unhashable type: 'list'", nil},
		{"dict that ends early", "8201a101a1", "", value.ErrTruncated},
		{"equal keys", "8201c0cb3ff0000000000000c0", "dict key twice", nil},
		{"True and 1", "8201c0c3c0", "dict key twice", nil},
		{"equal members", "c70503930102cc01", "set member twice", nil},
		{"dict in a set", "d5039180", "TypeError: unhashable type: 'dict'", nil},
		{"list in a tuple as key", "81d502919090", "unhashable type: 'list'", nil},
		{"small int as extension", "d40105", "within 64 bits", nil},
		{"2^64-1 as extension", "c7090100ffffffffffffffff", "within 64 bits", nil},
		{"long int", "c70b010000010000000000000000", "longer than it need be", nil},
		{"tuple that is no array", "d40201", "does not hold the container", nil},
		{"tuple and more", "d5029000", "1 bytes after the value", nil},
		{"tuple that ends early", "d5029201", "ends inside a value", nil},
		{"range of str", "c7050f930001a161", "range of str", nil},
		{"range of step 0", "d60f93000100", "step 0", nil},
		{"slice of two", "c70310920001", "slice as an array of 2", nil},
		{"Fraction over 0", "c7030c920100", "not positive", nil},
		{"date 0", "d60800000000", "date ordinal 0", nil},
		{"UUID of 8 bytes", "d70d0000000000000000", "UUID of 8 bytes", nil},
		{"timedelta of 86400 s", "c70c0a000000000001518000000000", "not in normal form", nil},
		{"Decimal 01", "d50b3031", "no text of a Decimal", nil},
		{"Decimal 1e5", "c7030b316535", "no text of a Decimal", nil},
		{"Decimal 10E+5", "c7050b3130452b35", "no text of a Decimal", nil},
		{"naive datetime with a zone", "c70a07000000000000000000" + "41", "1 bytes after", nil},
		{"overfull deque", "c704119301" + "0102", "longer than its maxlen", nil},
		{"defaultdict without a map", "c7031392c001", "not a factory and a map", nil},
		{"exception without a name", "c70215" + "9101", "exception without a name", nil},
		{"singleton 2", "d41402", "singleton 2", nil},
		{"nested 129 deep", deep(value.MaxDepth + 1), "nested deeper than 128", value.ErrTooDeep},
		{"zone that ends in a slash", zoneHex("Europe/"), "'Europe/' is no name of a time zone", nil},
		{"zone that begins with one", zoneHex("/etc/localtime"), "no name of a time zone", nil},
		{"zone with an empty part", zoneHex("Europe//Berlin"), "no name of a time zone", nil},
		{"zone that leaves the database", zoneHex("../../etc/passwd"), "no name of a time zone", nil},
		{"zone that is a dot", zoneHex("."), "no name of a time zone", nil},
		{"zone that is a file", zoneHex("__init__.py"), "no name of a time zone", nil},
		{"zone with a blank", zoneHex("W. Europe"), "no name of a time zone", nil},
		{"zone in other letters", zoneHex("Europa/Zürich"), "no name of a time zone", nil},
		{"zone with a zero", zoneHex("Europe\x00"), "no name of a time zone", nil},
		{"zone of 256 bytes", zoneHex(strings.Repeat("a", 256)), "name of a time zone of 256 bytes", value.ErrTooLarge},
		{"plain zone of 256 bytes", zoneHex("=" + strings.Repeat("a", 255)), "name of a time zone of 256 bytes", value.ErrTooLarge},
		{"zone that is not UTF-8", zoneHex("=\xff"), "not UTF-8", nil},
		{"2^20+1 elements", "dd00100001", "1048577 elements", value.ErrTooLarge},
		{"2^32-1 items", "dfffffffff", "elements", value.ErrTooLarge},
		{"str of 2 GiB", "db80000000", "bytes", value.ErrTooLarge},
		{"nothing", "", "", value.ErrTruncated},
		{"list of 2^20 that are not there", "dd00100000", "", value.ErrTruncated},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(c.name, err)
		}
		n, err := value.Check(b)
		if err == nil || n != 0 {
			t.Errorf("%s: %d, %v", c.name, n, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v; want %q, %v", c.name, err, c.want, c.is)
		}
	}
}

// zoneHex is a datetime at +01:00 whose zone has a name, in hex.
func zoneHex(name string) string { return hex.EncodeToString(inZone(name)) }

func inZone(name string) []byte {
	b := append(make([]byte, 8), 2, 0, 0, 0x0e, 0x10, 0, 0, 0, 0)
	b = append(b, name...)
	return append(value.AppendExtHeader(nil, value.ExtDateTime, len(b)), b...)
}

// TestStoredZonesOfAnyName: what an earlier version accepted is accepted from disk, and read with
// its offset.
func TestStoredZonesOfAnyName(t *testing.T) {
	for _, name := range []string{"America/", strings.Repeat("a/", 1500) + "b", "../../../etc/passwd", strings.Repeat("a", 1<<20), "a b"} {
		b := inZone(name)
		if _, err := value.Check(b); err == nil {
			t.Errorf("%.40q was accepted", name)
		}
		if n, err := value.CheckStored(b); err != nil || n != len(b) {
			t.Errorf("%.40q from disk: %d, %v", name, n, err)
		}
		v, _, err := govalue.Decode(b)
		want := govalue.DateTime{Zone: govalue.FixedZone(time.Hour)}
		if err != nil || v != want {
			t.Errorf("%.40q: %.80v, %v, want %v", name, v, err, want)
		}
		at, err := want.Time()
		if _, offset := at.Zone(); err != nil || offset != 3600 {
			t.Errorf("%v, %v", at, err)
		}
	}
	if n, err := value.CheckStored(inZone("=\xff")); err == nil {
		t.Errorf("a name that is not UTF-8: %d", n)
	}
}

// TestUnknownZonesKeepTheirOffset: a name that no tz database has.
func TestUnknownZonesKeepTheirOffset(t *testing.T) {
	for _, name := range []string{"America", "Mars/Olympus_Mons", strings.Repeat("a", 255)} {
		v, err := govalue.UnmarshalOf[time.Time](inZone(name))
		if _, offset := v.Zone(); err != nil || offset != 3600 {
			t.Errorf("%.40q: %v, %v", name, v, err)
		}
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, c := range []struct{ name, hex string }{
		{"depth 128", strings.Repeat("91", value.MaxDepth-1) + "90"},
		{"lone surrogates between letters", "a8" + "61eda080edb08062"},
		{"long header for a short str", "db0000000161"},
		{"two nans as keys", "82cb7ff8000000000000c0cb7ff8000000000000c0"},
		{"float32", "ca3fc00000"},
		{"zone without a name", zoneHex("")},
		{"usual zones", zoneHex("Europe/Berlin")},
		{"zone of three parts", zoneHex("America/Argentina/Buenos_Aires")},
		{"zone with a sign", zoneHex("Etc/GMT+5")},
		{"zone with a hyphen", zoneHex("America/Port-au-Prince")},
		{"directory of zones", zoneHex("America")},
		{"zone of 255 bytes", zoneHex(strings.Repeat("a", 255))},
		{"plain zone of any text", zoneHex("=W. Europe Standard Time, ../é")},
		{"plain zone without a name", zoneHex("=")},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if n, err := value.Check(b); err != nil || n != len(b) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
}

// TestCheckManyKeys has enough keys for the index of a key set.
func TestCheckManyKeys(t *testing.T) {
	var pairs govalue.Dict
	for i := range 5000 {
		pairs = append(pairs, govalue.Pair{Key: govalue.Tuple{i, "k"}, Value: i})
	}
	b := mustAppend(t, pairs)
	if _, err := value.Check(b); err != nil {
		t.Fatal(err)
	}
	pairs = append(pairs, govalue.Pair{Key: govalue.Tuple{2500.0, "k"}})
	if _, err := value.Check(mustAppend(t, pairs)); err == nil || !strings.Contains(err.Error(), "dict key twice") {
		t.Errorf("an equal key among 5001: %v", err)
	}
	reversed := append(govalue.Dict(nil), pairs[:5000]...)
	for i := range 2500 {
		reversed[i], reversed[4999-i] = reversed[4999-i], reversed[i]
	}
	if !value.Equal(b, mustAppend(t, reversed)) {
		t.Error("order of a dict counts")
	}
}

func TestKeyIsAView(t *testing.T) {
	for _, text := range []string{"01", "cd0100", "d1ff00", "cf8000000000000000", "a161", "d920" + strings.Repeat("61", 32), "c40161", "c0"} {
		b, _ := hex.DecodeString(text + "c1c1")
		key, unequal, err := value.Key(b, nil)
		if err != nil || unequal || &key[0] != &b[0] || !bytes.Equal(key, b[:len(b)-2]) {
			t.Errorf("Key(%s) = %x, %v, %v", text, key, unequal, err)
		}
	}
}

func nestedTuple(depth int) govalue.Tuple {
	if depth == 1 {
		return govalue.Tuple{1}
	}
	return govalue.Tuple{nestedTuple(depth - 1)}
}

// TestKeysAreBounded holds the work for one key to what its bytes warrant.
func TestKeysAreBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		v    any
		fits bool
	}{
		{"int of 1024 bytes", negated(power(2, 8*1024-1)), true},
		{"int of 1025 bytes", power(2, 8*1024-1), false},
		{"Fraction of such", new(big.Rat).SetFrac(power(2, 8*1024), power(3, 10)), false},
		{"huge Decimal", govalue.Decimal("1E+999999999999999999"), true},
		{"tiny Decimal", govalue.Decimal("1E-999999999999999999"), true},
		{"nested 16 deep", nestedTuple(16), true},
		{"nested 17 deep", nestedTuple(17), false},
		{"long Decimal", govalue.Decimal("0." + strings.Repeat("7", 8190)), true},
	} {
		key, _, err := value.Key(mustAppend(t, c.v), nil)
		if (err == nil) != c.fits ||
			!c.fits && !errors.Is(err, value.ErrTooLarge) && !errors.Is(err, value.ErrTooDeep) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && len(key) > 8200 {
			t.Errorf("%s: canonical form of %d bytes", c.name, len(key))
		}
	}
}
