package value

import "bytes"

// weight estimates the work on one value of a type: base nanoseconds, and perByte sixteenths of a
// nanosecond for each byte of its payload.
type weight struct{ base, perByte uint16 }

// Use is what a value is used for.
type Use uint8

// What Cost estimates.
const (
	UseCheck   Use = iota // Check
	UseCompare            // Equal or Less, on one side
	UseKey                // one each of Check, Key, Equal, Less and Repr
)

// useWeights has the weights of the types for each use.
var useWeights = [...][256]weight{
	UseCheck: weights(weight{12, 16}, map[Type]weight{
		ExtDecimal: {40, 32}, ExtFraction: {120, 16}, ExtRange: {120, 16}, ExtDateTime: {30, 16}, ExtTime: {30, 16},
	}),
	UseCompare: weights(weight{12, 1}, map[Type]weight{
		ExtBigInt: {
			400,
			200,
		},
		ExtDecimal:  {400, 200},
		ExtFraction: {2000, 800},
		ExtRange:    {2000, 400},
		ExtComplex:  {100, 0},
	}),
	UseKey: weights(weight{200, 32}, map[Type]weight{
		TypeFloat: {
			400,
			0,
		},
		ExtBigInt:   {600, 200},
		ExtDecimal:  {600, 200},
		ExtFraction: {3000, 800},
		ExtRange:    {3000, 400},
		ExtComplex: {
			600,
			0,
		},
		ExtDateTime:    {900, 16},
		ExtDate:        {300, 0},
		ExtTime:        {600, 16},
		ExtTimeDelta:   {600, 0},
		ExtUUID:        {200, 0},
		ExtFrozenSet:   {400, 0},
		ExtSet:         {400, 0},
		ExtCounter:     {400, 0},
		ExtOrderedDict: {400, 0},
		TypeDict:       {400, 0},
	}),
}

// exponentCost is what a Decimal with an exponent may cost in addition to its weight: two of
// similar size are compared by means of powers of ten.
const exponentCost = 15_000

// walkCost is the cost of walking over a value once. Equal and Less walk over it once for each list
// or dict around it, to get to the next element.
const walkCost = 6

func weights(rest weight, named map[Type]weight) (table [256]weight) {
	for t := range table {
		table[t] = rest
	}
	for t, w := range named {
		table[t] = w
	}
	return table
}

// IsComposite reports, from its first byte, whether a value must be decoded to work on it: a
// container or an extension object.
func IsComposite(lead byte) bool { return compositeLeads[lead] }

var compositeLeads = func() (table [256]bool) {
	for b := range leads {
		t := leads[b].t
		table[b] = t == TypeList || t == TypeDict || t == TypeExt
	}
	return table
}()

// Cost estimates the cost of a use of the value at the front of b in nanoseconds, and returns the
// value's length. b need not be checked. The estimate is rather too high than too low, except on
// very slow machines.
//
// It reads the value once, allocates nothing, and stops when the estimate passes limit; size is
// meaningless then. It is len(b) if b ends inside the value: Check stops there too.
func Cost(b []byte, use Use, limit int) (cost, size int) {
	weights := &useWeights[use]
	at, nested := 0, 0
	for left := 1; left > 0 && cost <= limit; left-- {
		if at >= len(b) {
			return cost, len(b)
		}
		l := leads[b[at]]
		start := 1 + int(l.lenBytes)
		if l.t == TypeExt {
			start++
		}
		if len(b)-at < start {
			return cost, len(b)
		}
		t, start, n := header(b[at:])
		at += start
		switch t {
		case TypeList:
			left += n
			nested++
		case TypeDict:
			left += 2 * n
			nested++
			weights = &useWeights[UseKey]
		case ExtSet, ExtFrozenSet, ExtOrderedDict, ExtCounter:
			left++ // the container inside
			weights = &useWeights[UseKey]
		case ExtTuple, ExtDeque, ExtDefaultDict, ExtException, ExtObject, ExtSlice:
			left++
		default:
			if n > len(b)-at {
				return cost, len(b)
			}
			cost += n * int(weights[t].perByte) / 16
			if t == ExtDecimal && weights != &useWeights[UseCheck] && bytes.IndexByte(b[at:at+n], 'E') >= 0 {
				cost += exponentCost
			}
			at += n
		}
		cost += int(weights[t].base)
		if use != UseCheck {
			cost += walkCost * min(nested, MaxDepth)
		}
	}
	return cost, at
}
