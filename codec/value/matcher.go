package value

// Matcher compares many values with one, by Python's ==. It prepares that one once, so that the
// time of a comparison depends only on the other value's size. A Matcher is not safe for concurrent
// use.
type Matcher struct {
	val     []byte
	numbers map[*byte]*keptNumber // of numbers in val, by where they begin
	sets    map[*byte]memberKeys
}

// keptNumber is a number prepared for comparison.
type keptNumber struct {
	magnitude magnitude
	real      bool   // neither an infinity nor a nan: it has a magnitude
	form      []byte // nil: not made yet, or a nan
	formed    bool
}

// memberKeys are the keys of a set or dict, and a dict's values.
type memberKeys struct {
	keys   *keySet
	values [][]byte
}

// NewMatcher returns a Matcher for the checked value at the front of val, which it retains.
func NewMatcher(val []byte) *Matcher {
	return &Matcher{val: val, numbers: map[*byte]*keptNumber{}, sets: map[*byte]memberKeys{}}
}

// Equal is Equal(b, val).
func (m *Matcher) Equal(b []byte) bool { return equal(b, m.val, m) }

// fewNumberBytes is the length up to which a number is compared without preparation.
const fewNumberBytes = 32

// equalNumbers is == between numbers; b is a part of what m keeps. A nil Matcher keeps nothing.
func (m *Matcher) equalNumbers(a, b []byte, ta, tb Type) bool {
	if m == nil || Size(b) <= fewNumberBytes {
		return equalNumbers(a, b, ta, tb)
	}
	if ta == ExtComplex || tb == ExtComplex { // of a fixed size
		return equalNumbers(a, b, ta, tb)
	}
	kept := m.number(b)
	if x, ok := magnitudeOf(a); ok && kept.real {
		if c, sure := x.compare(kept.magnitude); sure {
			return c == 0
		}
	}
	if !kept.formed {
		kept.form, kept.formed = numberForm(b), true
	}
	have := numberForm(a)
	return kept.form != nil && have != nil && string(have) == string(kept.form)
}

// number returns what the number at the front of b is compared by.
func (m *Matcher) number(b []byte) *keptNumber {
	kept := m.numbers[&b[0]]
	if kept == nil {
		kept = &keptNumber{}
		kept.magnitude, kept.real = magnitudeOf(b)
		m.numbers[&b[0]] = kept
	}
	return kept
}

// numberForm returns the number form of the number at the front of b, nil for a nan.
func numberForm(b []byte) []byte {
	form, unequal := appendNumberForm(nil, b, open(b))
	if unequal {
		return nil
	}
	return form
}

// memberSet is memberSet for a part of what m keeps. It is given back by m.release.
func (m *Matcher) memberSet(y item, valuesBetween bool) (keys *keySet, values [][]byte) {
	if m == nil || y.n == 0 {
		return memberSet(y, valuesBetween)
	}
	kept, there := m.sets[&y.body[0]]
	if !there {
		kept.keys, kept.values = memberSet(y, valuesBetween)
		m.sets[&y.body[0]] = kept
	}
	return kept.keys, kept.values
}

// release gives back keys that m does not keep.
func (m *Matcher) release(keys *keySet) {
	if m == nil {
		keys.release()
	}
}
