package jsonvalue_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bytedance/sonic"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/jsonvalue"
	"cyberdb-fast/codec/value"
)

// golden returns the encodings of the values that CPython has written.
func golden(t testing.TB) [][]byte {
	t.Helper()
	f, err := os.Open("../value/testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all [][]byte
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		b, err := hex.DecodeString(strings.Split(lines.Text(), "\t")[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	if len(all) < 100 {
		t.Fatalf("%d values", len(all))
	}
	return all
}

// roundTrip holds a value to its form: one line of JSON, that is the same value, byte for byte.
func roundTrip(t *testing.T, b []byte) string {
	t.Helper()
	text, err := jsonvalue.Append(nil, b)
	if err != nil {
		t.Errorf("%x: %v", b, err)
		return ""
	}
	if !sonic.Valid(text) || bytes.ContainsRune(text, '\n') {
		t.Errorf("%x: %s is no line of JSON", b, text)
	}
	if back, err := jsonvalue.Parse(string(text)); err != nil || !bytes.Equal(back, b) {
		t.Errorf("%s: %x came back as %x, %v", text, b, back, err)
	}
	return string(text)
}

// TestGolden: every kind of value comes back as itself.
func TestGolden(t *testing.T) {
	for _, b := range golden(t) {
		roundTrip(t, b)
	}
}

// TestNested: so do containers of all of them, of random shape.
func TestNested(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	all := golden(t)
	var random func(depth int) any
	random = func(depth int) any {
		if depth == 0 || rng.IntN(3) == 0 {
			for {
				if v, _, err := govalue.Decode(all[rng.IntN(len(all))]); err == nil {
					return v
				}
			}
		}
		items := make([]any, rng.IntN(4))
		for i := range items {
			items[i] = random(depth - 1)
		}
		switch rng.IntN(4) {
		case 0:
			return items
		case 1:
			return govalue.Tuple(items)
		}
		var pairs govalue.Dict
		for i, item := range items {
			key := any(strings.Repeat("$", rng.IntN(2)) + string(rune('a'+i)))
			if rng.IntN(8) == 0 {
				key = i
			}
			pairs = append(pairs, govalue.Pair{Key: key, Value: item})
		}
		if rng.IntN(2) == 0 {
			return govalue.OrderedDict(pairs)
		}
		return pairs
	}
	for range 2000 {
		b, err := govalue.Marshal(random(4))
		if err != nil || len(b) > 1<<20 {
			continue
		}
		if _, err := value.Check(b); err == nil {
			roundTrip(t, b)
		}
	}
}

// TestForm: this is what people read and write.
func TestForm(t *testing.T) {
	for want, v := range map[string]any{
		`null`:                        nil,
		`[1,-2,18446744073709551615]`: []any{1, -2, uint64(1<<64 - 1)},
		`[1.0,-0.0,1e+300,0.1]`:       []any{1.0, negativeZero(), 1e300, 0.1},
		`{"name":"ada \"é\" ","age":36}`: govalue.Dict{
			{Key: "name", Value: "ada \"é\" "}, {Key: "age", Value: 36},
		},
		`{}`:                       govalue.Dict{},
		`{"$dict":[[1,"one"]]}`:    govalue.Dict{{Key: 1, Value: "one"}},
		`{"$dict":[["$int","5"]]}`: govalue.Dict{{Key: "$int", Value: "5"}},
		`{"$tuple":[{"$set":[]},{"$frozenset":[true]}]}`: govalue.Tuple{govalue.Set{}, govalue.FrozenSet{true}},
		`{"$bytes":"AP8="}`:   []byte{0, 255},
		`{"$decimal":"1.50"}`: govalue.Decimal("1.50"),
	} {
		b, err := govalue.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := roundTrip(t, b); got != want {
			t.Errorf("%s instead of %s", got, want)
		}
	}
}

func negativeZero() float64 { return -1 / inf }

var inf = func() float64 { x := 1e300; return x * x }()

// TestRefuses: text that is not the form of a value is an error.
func TestRefuses(t *testing.T) {
	for _, text := range []string{
		``, `[1`, `1 2`, `{"$what":1}`, `{"$what":"x"}`, `{"$tuple":1}`, `{"$dict":[1]}`, `{"$dict":[[1]]}`, `{"$int":"x"}`, `{"$float":"1"}`,
		`{"$bytes":"?"}`, `{"$bytes":"AA==","a":1}`, `{"$encoded":"wQ=="}`, `{"$encoded":"AQE="}`, `{"$uuid":"12"}`, `1e999`,
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	} {
		if b, err := jsonvalue.Parse(text); !errors.Is(err, jsonvalue.ErrSyntax) {
			t.Errorf("%.40s: %x, %v", text, b, err)
		}
	}
	for _, text := range []string{`{"$set":[[]]}`, `{"$dict":[[[],1]]}`, `{"a":1,"a":2}`, strings.Repeat("[", 200) + strings.Repeat("]", 200), "\"\xff\"", `{"$decimal":"x"}`} {
		if b, err := jsonvalue.Parse(text); err == nil {
			t.Errorf("%.40s: %x", text, b)
		}
	}
}

// TestLongNumbersAreNotConverted: the time to convert digits grows faster than they do, so what no
// value has is not converted.
func TestLongNumbersAreNotConverted(t *testing.T) {
	digits := strings.Repeat("9", 3_000_000)
	for name, text := range map[string]string{
		"int": digits, "negative int": "-" + digits, "large int": `{"$int":"` + digits + `"}`, "int in a list": "[1,[" + digits + "]]", "float": "1." + digits, "exponent": "1e" + digits,
		"Decimal": `{"$decimal":"` + digits + `"}`, "Decimal with an exponent": `{"$decimal":"1E+` + digits + `"}`, "float of zeros": "0." + strings.Repeat("0", 3_000_000) + "1",
	} {
		start := time.Now()
		b, err := jsonvalue.Parse(text)
		if took := time.Since(start); err == nil || took > time.Second || len(err.Error()) > 300 {
			t.Errorf("%s: %d bytes after %v, %.300v", name, len(b), took, err)
		}
	}
	largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 8*8192-1), big.NewInt(1))
	for _, text := range []string{`{"$int":"` + largest.String() + `"}`, `{"$int":"-` + largest.String() + `"}`, largest.String()} {
		if _, err := jsonvalue.Parse(text); err != nil {
			t.Errorf("the largest int: %.300v", err)
		}
	}
}

// FuzzParse: no text makes Parse panic, and what it takes comes back from its form.
func FuzzParse(f *testing.F) {
	for _, b := range golden(f) {
		if text, err := jsonvalue.Append(nil, b); err == nil && len(text) < 512 {
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := jsonvalue.Parse(text); err == nil {
			roundTrip(t, b)
		}
	})
}
