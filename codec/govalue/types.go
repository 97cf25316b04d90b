package govalue

import "cyberdb-fast/codec/value"

// The Go types that stand for Python's. Decode gives, and Append takes, besides the types named
// here: nil (None), bool, int64 (uint64 above it, *big.Int beyond both) for int, float64, string,
// []byte, []any (list), *big.Rat (Fraction) and complex128. They are plain data: comparing, sorting
// and counting as Python does is the business of Equal, Less and Key on encodings.

// Pair is one item of a dict.
type Pair struct{ Key, Value any }

// Dict is a Python dict: its items in insertion order. A nil Dict is an empty dict, not None.
type Dict []Pair

// OrderedDict is a collections.OrderedDict, items in order.
type OrderedDict []Pair

// Counter is a collections.Counter, items in insertion order; the counts may be any value, as in
// Python.
type Counter []Pair

// DefaultDict is a collections.defaultdict. Factory is the name of the default factory ("list",
// "int"); empty stands for None.
type DefaultDict struct {
	Factory string
	Items   Dict
}

// Tuple is a Python tuple; nil is the empty tuple.
type Tuple []any

// Set is a Python set; nil is the empty set. The members are hashable and different; that is
// checked where the set is stored.
type Set []any

// FrozenSet is a Python frozenset, otherwise like Set.
type FrozenSet []any

// ByteArray is a Python bytearray; nil is the empty one.
type ByteArray []byte

// Deque is a collections.deque. MaxLen counts only if Bounded is set.
type Deque struct {
	Items   []any
	Bounded bool
	MaxLen  int
}

// Get returns the value under key, found as Python finds it: 1, 1.0 and true are one key. It walks
// the items.
func (d Dict) Get(key any) (v any, ok bool) { return findPair(d, key) }

// Get returns the value under key, as Dict.Get does.
func (d OrderedDict) Get(key any) (v any, ok bool) { return findPair(d, key) }

// Get returns the count of key, as Dict.Get does.
func (c Counter) Get(key any) (v any, ok bool) { return findPair(c, key) }

// Get returns the value under key, as Dict.Get does; it never calls the factory.
func (d DefaultDict) Get(key any) (v any, ok bool) { return findPair(d.Items, key) }

func findPair(pairs []Pair, key any) (any, bool) {
	if text, isString := key.(string); isString { // a str equals only a str
		for _, p := range pairs {
			if k, ok := p.Key.(string); ok && k == text {
				return p.Value, true
			}
		}
		return nil, false
	}
	want, err := Append(nil, key)
	if err != nil {
		return nil, false
	}
	var have []byte
	for _, p := range pairs {
		if have, err = Append(have[:0], p.Key); err == nil && value.Equal(have, want) {
			return p.Value, true
		}
	}
	return nil, false
}
