package client

// SortKey tells the server how to derive a sort key from each element. It is data, not code; By,
// Tuple and its methods build it.
type SortKey struct{ form any }

// Itself sorts by the elements themselves. It is the zero SortKey.
var Itself = SortKey{}

// Direction is the direction of a sort.
type Direction bool

// The directions of a sort.
const (
	Ascending  Direction = false
	Descending Direction = true
)

// By sorts by element[path[0]][path[1]]...: By("age") for dicts and structs, By(0) for lists and
// tuples, By("address", "city").
func By(path ...any) SortKey { return SortKey{append([]any{"path"}, path...)} }

// Tuple sorts by the first key; elements for which it is equal, by the second key, and so on.
func Tuple(keys ...SortKey) SortKey {
	form := []any{"tuple"}
	for _, k := range keys {
		form = append(form, k.form)
	}
	return SortKey{form}
}

// Neg sorts by -k, where k is a number. It reverses the order by one key of a Tuple.
func (k SortKey) Neg() SortKey { return k.wrap("neg") }

// Len sorts by the length of k.
func (k SortKey) Len() SortKey { return k.wrap("len") }

// Lower sorts by k in lower case, where k is a string.
func (k SortKey) Lower() SortKey { return k.wrap("lower") }

// Str sorts by Python's str(k).
func (k SortKey) Str() SortKey { return k.wrap("str") }

func (k SortKey) wrap(name string) SortKey { return SortKey{[]any{name, k.form}} }
