package shardmap

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// sortKeyOf returns the sort key that VALUES.md writes so.
func sortKeyOf(t *testing.T, key any) *value.SortKey {
	t.Helper()
	b, err := govalue.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := value.ParseSortKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// alternately nests two forms so often in each other.
func alternately(outer, inner string, times int) any {
	var key any
	for range times {
		key = []any{outer, []any{inner, key}}
	}
	return key
}

// lender lends up to limit bytes.
type lender struct{ limit, lent, most int }

func (l *lender) Lend(bytes int) error {
	if l.lent+bytes > l.limit {
		return errNoRoom
	}
	l.lent += bytes
	l.most = max(l.most, l.lent)
	return nil
}

func (l *lender) Return(bytes int) { l.lent -= bytes }

var errNoRoom = errors.New("no room")

// TestSortKeysThatExplode sorts by keys that make much more than the list has: an error comes
// before the memory is taken, and the list is left complete.
func TestSortKeysThatExplode(t *testing.T) {
	large := msgp.AppendString(nil, strings.Repeat("x", 1<<20))
	wide := []any{"tuple"}
	for range 60 {
		wide = append(wide, []any{"str", nil})
	}
	lowers := []any{"tuple"}
	for range 60 {
		lowers = append(lowers, []any{"lower", nil})
	}
	for name, c := range map[string]struct {
		elems [][]byte
		key   any
	}{
		"backslashes":                {[][]byte{msgp.AppendString(nil, `\`), msgp.AppendString(nil, `\\`)}, alternately("str", "tuple", 8)},
		"backslashes of a long text": {[][]byte{msgp.AppendString(nil, strings.Repeat(`\`, 1<<20)), large}, alternately("str", "tuple", 8)},
		"many texts of large ones":   {slices.Repeat([][]byte{large}, 4), wide},
		"many small letters":         {slices.Repeat([][]byte{large}, 4), lowers},
	} {
		t.Run(name, func(t *testing.T) {
			table := newListOf(t, c.elems...)
			l, room := table.List(), &lender{limit: 1 << 40}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := l.Sort(&Call{MayBlock: true, Memory: room}, sortKeyOf(t, c.key), true)
			runtime.ReadMemStats(&after)
			var e *value.Error
			if !errors.As(err, &e) || e.Kind != value.ValueError {
				if len(c.elems[0]) > 10 || err != nil {
					t.Errorf("sorted by a key that explodes: %v", err)
				}
			}
			// a growing slice leaves smaller ones to the garbage collector
			most := 5 * (keyGrowth*len(bytes.Join(c.elems, nil)) + 2*minKeyBytes)
			if made := int(after.TotalAlloc - before.TotalAlloc); made > most {
				t.Errorf("%d bytes were made, at most %d are expected", made, most)
			}
			if got := elements(t, l); err != nil && !slices.EqualFunc(got, c.elems, bytes.Equal) {
				t.Error("the list is not complete")
			}
			if room.lent != 0 {
				t.Errorf("%d bytes were not given back", room.lent)
			}
		})
	}
}

// TestSortBorrowsMemory sorts and reverses with little room, and with enough.
func TestSortBorrowsMemory(t *testing.T) {
	elems := repeated(
		50_000,
		func(i int) []byte { return msgp.AppendString(nil, fmt.Sprintf("Text %d", i*7919%50_000)) },
	)
	l := newListOf(t, elems...).List()
	key := sortKeyOf(t, []any{"lower", nil})
	for _, limit := range []int{0, 1 << 20, 5 << 20} {
		room := &lender{limit: limit}
		c := &Call{MayBlock: true, Memory: room}
		if err := l.Sort(c, key, false); !errors.Is(err, errNoRoom) {
			t.Errorf("sort with room for %d bytes: %v", limit, err)
		}
		if got := elements(t, l); !slices.EqualFunc(got, elems, bytes.Equal) || room.lent != 0 {
			t.Errorf("the list is changed, or %d bytes were not given back", room.lent)
		}
		if err := l.Reverse(&Call{MayBlock: true, Memory: &lender{limit: limit / 8}}); !errors.Is(err, errNoRoom) {
			t.Errorf("reverse with room for %d bytes: %v", limit/8, err)
		}
	}
	room := &lender{limit: 16 << 20}
	if err := l.Sort(&Call{MayBlock: true, Memory: room}, key, false); err != nil || room.lent != 0 || room.most == 0 {
		t.Errorf("sort with room: %v, %d bytes lent, %d at most", err, room.lent, room.most)
	}
}

// TestCostlySortsAreLong gives inline calls few elements whose order takes much work: it is to be
// found in the background.
func TestCostlySortsAreLong(t *testing.T) {
	words := repeated(3000, func(i int) []byte { return msgp.AppendString(nil, fmt.Sprintf("Word %d", i)) })
	number := new(big.Int).Exp(big.NewInt(10), big.NewInt(4600), nil)
	encoded := func(v any) []byte {
		b, err := govalue.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var members govalue.Set
	for i := range 100 {
		members = append(members, i)
	}
	for name, c := range map[string]struct {
		elems [][]byte
		key   any
		long  bool
	}{
		"small letters": {words[:1000], []any{"lower", nil}, false},
		// the same as once
		"small letters nested": {words, []any{"lower", alternately("lower", "lower", 7)}, false},
		"texts of tuples":      {words, alternately("str", "tuple", 5), true},
		"large numbers among small": {repeated(700, func(i int) []byte {
			if i%100 == 50 {
				return encoded(new(big.Int).Add(number, big.NewInt(int64(i))))
			}
			return encoded(govalue.Decimal(fmt.Sprintf("1.%03d1E+4600", i*359%1000)))
		}), nil, true},
		"sets": {repeated(250, func(i int) []byte { return encoded(members[:i*37%101]) }), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var key *value.SortKey
			if c.key != nil {
				key = sortKeyOf(t, c.key)
			}
			if err := newListOf(
				t,
				c.elems...).List().
				Sort(&Call{}, key, false); errors.Is(err, ErrLong) != c.long ||
				err != nil && !c.long {
				t.Errorf("inline: %v", err)
			}
			if err := newListOf(t, c.elems...).List().Sort(&Call{MayBlock: true}, key, false); err != nil {
				t.Errorf("in the background: %v", err)
			}
		})
	}
}

// TestLargeValuesAreNotShown: an error does not show a value whose repr would be several times as
// long.
func TestLargeValuesAreNotShown(t *testing.T) {
	l := newTestList(t, 10).List()
	for size, want := range map[int]string{5: `'\x00\x00\x00\x00\x00' is not in list`, 1 << 20: "a value of 1048581 bytes is not in list"} {
		_, err := l.Index(&Call{MayBlock: true}, msgp.AppendString(nil, strings.Repeat("\x00", size)), nil, nil)
		var e *value.Error
		if !errors.As(err, &e) || e.Kind != value.ValueError || e.Msg != want {
			t.Errorf("%.100v, want %s", err, want)
		}
	}
}
