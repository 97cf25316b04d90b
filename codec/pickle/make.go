package pickle

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// The arguments in the pickles of each class. Source: __reduce__ and __getstate__ of CPython 3.7 to
// 3.13.

var errArguments = errors.New("arguments that no pickle of it has")

// ready adds an object of a type without parts, from the Go type that stands for it.
func (u *Unpickler) ready(v any) (ref, error) {
	start := len(u.made)
	all, err := govalue.Append(u.made, v)
	if err != nil {
		return 0, fmt.Errorf("%w", err)
	}
	if _, err := value.Check(all[start:]); err != nil {
		return 0, err
	}
	u.made = all
	return u.addMade(Encoded, start), nil
}

func (u *Unpickler) pushSingleton(name string) {
	which := govalue.Ellipsis
	if name == govalue.NotImplemented.String() {
		which = govalue.NotImplemented
	}
	r, _ := u.ready(which) // always has an encoding
	u.push(r)
}

// kindsAre reports whether the arguments are of these kinds.
func (u *Unpickler) kindsAre(args []ref, kinds ...Kind) bool {
	if len(args) != len(kinds) {
		return false
	}
	for i, arg := range args {
		if u.nodes[arg].kind != kinds[i] {
			return false
		}
	}
	return true
}

// integer returns an int of any size.
func (u *Unpickler) integer(at ref) (*big.Int, bool) {
	switch n := &u.nodes[at]; n.kind {
	case Bool, Int:
		return big.NewInt(int64(n.bits)), true
	case BigInt:
		v, _, err := govalue.Decode(u.bytes(n))
		if err != nil {
			return nil, false
		}
		switch x := v.(type) {
		case *big.Int:
			return x, true
		case uint64:
			return new(big.Int).SetUint64(x), true
		}
	}
	return nil, false
}

func makeSlice(u *Unpickler, args []ref) (ref, error) {
	if len(args) != 3 {
		return 0, errArguments
	}
	return u.addContainer(Slice, args...), nil
}

func makeRange(u *Unpickler, args []ref) (ref, error) {
	if len(args) != 3 {
		return 0, errArguments
	}
	var parts [3]*big.Int
	for i, arg := range args {
		x, ok := u.integer(arg)
		if !ok {
			return 0, errArguments
		}
		parts[i] = x
	}
	if parts[2].Sign() == 0 {
		return 0, errors.New("step 0")
	}
	return u.ready(govalue.Range{Start: parts[0], Stop: parts[1], Step: parts[2]})
}

// makeSet makes a set or frozenset from a list of its members, as protocols below 4 have it.
func makeSet(kind Kind) maker {
	return func(u *Unpickler, args []ref) (ref, error) {
		switch {
		case len(args) == 0:
			return u.addContainer(kind), nil
		case u.kindsAre(args, List):
			return u.addContainer(kind, u.parts(&u.nodes[args[0]])...), nil
		}
		return 0, errArguments
	}
}

func makeByteArray(u *Unpickler, args []ref) (ref, error) {
	switch {
	case len(args) == 0:
		return u.addMade(ByteArray, len(u.made)), nil
	case u.kindsAre(args, Bytes):
		n := u.nodes[args[0]]
		n.kind = ByteArray
		return u.add(n), nil
	case u.kindsAre(args, Str, Str):
		return u.latin1(args, ByteArray)
	}
	return 0, errArguments
}

func makeBytes(u *Unpickler, args []ref) (ref, error) {
	if len(args) != 0 {
		return 0, errArguments
	}
	return u.addMade(Bytes, len(u.made)), nil
}

// makeEncoded makes bytes from text, as protocols below 3 have it.
func makeEncoded(u *Unpickler, args []ref) (ref, error) {
	if !u.kindsAre(args, Str, Str) {
		return 0, errArguments
	}
	return u.latin1(args, Bytes)
}

// latin1 makes bytes of the characters of a text; the other argument is the name of the encoding.
func (u *Unpickler) latin1(args []ref, kind Kind) (ref, error) {
	if name := string(u.bytes(&u.nodes[args[1]])); name != "latin1" && name != "latin-1" {
		return 0, fmt.Errorf("encoding %s", shown([]byte(name)))
	}
	start := len(u.made)
	for text := u.bytes(&u.nodes[args[0]]); len(text) > 0; {
		c, n := utf8.DecodeRune(text)
		if c > 0xFF {
			return 0, errors.New("text is not Latin-1")
		}
		u.made = append(u.made, byte(c))
		text = text[n:]
	}
	return u.addMade(kind, start), nil
}

// makeReconstructed makes an object of a class without a constructor's arguments, as protocols 0
// and 1 have it: a UUID.
func makeReconstructed(u *Unpickler, args []ref) (ref, error) {
	if !u.kindsAre(args, Global, Global, None) {
		if len(args) > 0 && u.nodes[args[0]].kind == Global {
			return u.reconstructed(args)
		}
		return 0, errArguments
	}
	of := u.nodes[args[0]].a
	if u.classes[of].path() != "uuid.UUID" || u.classes[u.nodes[args[1]].a].path() != "builtins.object" {
		return u.reconstructed(args)
	}
	return u.addMade(Encoded, len(u.made)), nil
}

// reconstructed is an object of a class that is not accepted.
func (u *Unpickler) reconstructed(args []ref) (ref, error) {
	of := u.nodes[args[0]].a
	u.refuse(u.classes[of].path())
	u.classes = append(u.classes, class{module: "copyreg", name: "_reconstructor", taken: true})
	function := u.add(node{kind: Global, a: uint32(len(u.classes) - 1), b: uint32(u.at)})
	return u.addOpaque(node{kind: Opaque, a: of, b: uint32(u.at)}, []ref{function, u.addContainer(Tuple, args...)}), nil
}

// buildUUID puts its number into a UUID.
func (u *Unpickler) buildUUID(at, state ref) error {
	n := u.nodes[state]
	if n.kind != Dict {
		return errArguments
	}
	parts := u.parts(&n)
	for i := 0; i+1 < len(parts); i += 2 {
		if key := &u.nodes[parts[i]]; key.kind != Str || string(u.bytes(key)) != "int" {
			continue
		}
		number, ok := u.integer(parts[i+1])
		if !ok || number.Sign() < 0 || number.BitLen() > 128 {
			return errArguments
		}
		var id govalue.UUID
		number.FillBytes(id[:])
		r, err := u.ready(id)
		if err == nil {
			u.nodes[at] = u.nodes[r]
		}
		return err
	}
	return errArguments
}

func (u *Unpickler) makeException(name string, args []ref) ref {
	start := len(u.made)
	u.made = append(u.made, name...)
	class := u.addMade(Str, start)
	made := u.addContainer(Exception, class)
	if len(args) > 0 {
		u.extend(made, args)
	}
	return made
}

func makeComplex(u *Unpickler, args []ref) (ref, error) {
	if !u.kindsAre(args, Float, Float) {
		return 0, errArguments
	}
	re, im := math.Float64frombits(u.nodes[args[0]].bits), math.Float64frombits(u.nodes[args[1]].bits)
	return u.ready(complex(re, im))
}

func makeDecimal(u *Unpickler, args []ref) (ref, error) {
	if !u.kindsAre(args, Str) {
		return 0, errArguments
	}
	text := string(u.bytes(&u.nodes[args[0]]))
	if len(text) > maxDigits {
		return 0, fmt.Errorf("%d digits", len(text))
	}
	return u.ready(govalue.Decimal(text))
}

// makeFraction takes two ints, or the text that CPython before 3.9 has: "1/3", "5".
func makeFraction(u *Unpickler, args []ref) (ref, error) {
	var parts [2]*big.Int
	switch {
	case u.kindsAre(args, Str):
		num, den, cut := strings.Cut(string(u.bytes(&u.nodes[args[0]])), "/")
		if !cut {
			den = "1"
		}
		for i, text := range []string{num, den} {
			if len(text) > maxDigits {
				return 0, fmt.Errorf("an int of %d digits", len(text))
			}
			x, ok := new(big.Int).SetString(text, 10)
			if !ok {
				return 0, errArguments
			}
			parts[i] = x
		}
	case len(args) == 2:
		for i, arg := range args {
			x, ok := u.integer(arg)
			if !ok {
				return 0, errArguments
			}
			parts[i] = x
		}
	default:
		return 0, errArguments
	}
	if parts[1].Sign() == 0 {
		return 0, errors.New("denominator 0")
	}
	return u.ready(new(big.Rat).SetFrac(parts[0], parts[1]))
}
