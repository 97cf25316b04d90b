package pickle

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// Object is an object of a pickle. The zero Object stands for no object.
type Object struct {
	u  *Unpickler
	at ref
}

func (o Object) node() *node { return &o.u.nodes[o.at] }

// Kind returns the kind of the object; None for no object.
func (o Object) Kind() Kind {
	if o.IsZero() {
		return None
	}
	return o.node().kind
}

// IsZero reports whether the Object stands for no object.
func (o Object) IsZero() bool { return o.u == nil }

// Text returns the text of a Str, or the bytes of a Bytes or ByteArray: a view; nil for all else.
func (o Object) Text() []byte {
	switch n := o.node(); n.kind {
	case Str, Bytes, ByteArray:
		return o.u.bytes(n)
	}
	return nil
}

// IsText reports whether the object is a str of this text.
func (o Object) IsText(text string) bool { return o.Kind() == Str && string(o.Text()) == text }

// Int returns the value of a Bool or Int; of all else, and of no object, ok is false.
func (o Object) Int() (n int64, ok bool) {
	if o.IsZero() {
		return 0, false
	}
	if kind := o.Kind(); kind != Bool && kind != Int {
		return 0, false
	}
	return int64(o.node().bits), true
}

// Len returns the number of parts of a container: keys and values each count.
func (o Object) Len() int {
	if o.Kind() < List {
		return 0
	}
	return len(o.u.parts(o.node()))
}

// Part returns one part of a container: an element, or a key (even) or a value (odd) of a Dict.
func (o Object) Part(i int) Object { return Object{o.u, o.u.parts(o.node())[i]} }

// Parts yields the parts of a container; all else has none.
func (o Object) Parts() iter.Seq2[int, Object] {
	return func(yield func(int, Object) bool) {
		if o.Kind() < List {
			return
		}
		for i, part := range o.u.parts(o.node()) {
			if !yield(i, Object{o.u, part}) {
				return
			}
		}
	}
}

// Field returns the value under a str key of a Dict; the zero Object if there is none.
func (o Object) Field(name string) Object {
	var found Object
	if o.Kind() != Dict {
		return found
	}
	parts := o.u.parts(o.node())
	for i := 0; i+1 < len(parts); i += 2 {
		if (Object{o.u, parts[i]}).IsText(name) {
			found = Object{o.u, parts[i+1]} // of two, the last one counts, as in Python
		}
	}
	return found
}

// TypeName returns the name of the object's type as error texts of CPython have it; of a class that
// is not accepted, its path.
func (o Object) TypeName() string {
	n := o.node()
	switch n.kind {
	case Encoded, BigInt:
		if n.b > 0 {
			return value.TypeName(o.u.bytes(n))
		}
	case Global:
		return "type"
	case Opaque:
		return o.u.classes[n.a].name
	case Exception:
		return string(o.u.bytes(&o.u.nodes[o.u.parts(n)[0]]))
	}
	return n.kind.String()
}

var kindNames = [...]string{
	None:        "NoneType",
	Bool:        "bool",
	Int:         "int",
	BigInt:      "int",
	Float:       "float",
	Str:         "str",
	Bytes:       "bytes",
	ByteArray:   "bytearray",
	Encoded:     "UUID",
	Zone:        "datetime.timezone",
	Global:      "a class",
	Opaque:      "an object of a class that is not taken",
	List:        "list",
	Tuple:       "tuple",
	Dict:        "dict",
	Set:         "set",
	FrozenSet:   "frozenset",
	OrderedDict: "collections.OrderedDict",
	Counter:     "Counter",
	DefaultDict: "collections.defaultdict",
	Deque:       "collections.deque",
	Slice:       "slice",
	Exception:   "exception",
}

// String returns Python's name of the kind.
func (k Kind) String() string { return kindNames[k] }

// ErrRecursive is returned for an object that contains itself.
var ErrRecursive = errors.New("an object that holds itself cannot be kept")

// Append appends the object's encoding as a value. Parts that are referenced twice are copied.
//
// Errors: *Error for a class that is not accepted; ErrRecursive; value.ErrTooDeep and
// value.ErrTooLarge, wrapped; *value.Error for an unhashable key.
func (o Object) Append(dst []byte) ([]byte, error) {
	if err := o.u.measure(o.at, 0); err != nil {
		return dst, err
	}
	if size := o.u.size(o.node()); size > value.MaxValueBytes {
		return dst, tooLarge(size)
	}
	return o.u.encode(dst, o.at), nil
}

// Size returns the bytes of the object's encoding. Errors: as Append's.
func (o Object) Size() (int, error) {
	if err := o.u.measure(o.at, 0); err != nil {
		return 0, err
	}
	return int(o.u.size(o.node())), nil
}

func tooLarge(size uint64) error {
	return fmt.Errorf("%w: %d bytes, and %d may be", value.ErrTooLarge, size, value.MaxValueBytes)
}

// measure computes the size of an object at nesting depth level and returns what is wrong with it.
// Each container is measured once.
func (g *graph) measure(at ref, level int) error {
	n := &g.nodes[at]
	if n.kind < List {
		return g.check(at, level)
	}
	if n.state == unmeasured {
		if level >= value.MaxDepth {
			return value.ErrTooDeep
		}
		n.state = measuring
		err := g.measureParts(at, level)
		n = &g.nodes[at]
		if err != nil {
			n.state = unmeasured
			return err
		}
		n.state = measured
	}
	switch {
	case n.state == measuring:
		return ErrRecursive
	case level+int(n.depth) > value.MaxDepth:
		return value.ErrTooDeep
	}
	return nil
}

// check returns what is wrong with an object without parts, or with an opaque one.
func (g *graph) check(at ref, level int) error {
	switch n := &g.nodes[at]; n.kind {
	case Global, Opaque:
		if g.opaque {
			return g.keep(at, level)
		}
		return refusal(int(n.b), forms[g.in[n.b]].name, g.classes[n.a].path())
	case Zone:
		return fmt.Errorf("%w: a datetime.timezone by itself", govalue.ErrUnsupported)
	case Encoded:
		if n.b == 0 {
			return fmt.Errorf("%w: a UUID without its number", govalue.ErrUnsupported)
		}
	}
	return nil
}

func (g *graph) measureParts(at ref, level int) error {
	depth, sum := 0, uint64(0)
	kind := g.nodes[at].kind
	if kind == DefaultDict {
		level++ // an array that holds a map
	}
	for _, part := range g.parts(&g.nodes[at]) {
		if err := g.measure(part, level+1); err != nil {
			return err
		}
		if p := &g.nodes[part]; p.kind >= List {
			depth = max(depth, int(p.depth))
		}
	}
	if err := g.distinct(at); err != nil {
		return err
	}
	n := &g.nodes[at]
	parts := g.parts(n)
	for _, part := range parts {
		sum += g.size(&g.nodes[part])
	}
	elements := len(parts)
	n.depth = uint8(depth + 1)
	switch kind {
	case Dict, OrderedDict, Counter:
		elements /= 2
	case DefaultDict: // factory, then map
		elements /= 2
		n.depth++
		sum += 1
	case Deque:
		if most := &g.nodes[parts[0]]; most.kind == Int && int64(most.bits) < int64(elements-1) {
			return fmt.Errorf("%w: a deque longer than its maxlen", govalue.ErrUnsupported)
		}
	}
	if elements > value.MaxElements {
		return fmt.Errorf("%w: %d elements, and %d may be", value.ErrTooLarge, elements, value.MaxElements)
	}
	n.bits = sum + uint64(headerBytes(elements))
	if size := g.size(n); size > value.MaxValueBytes {
		return tooLarge(size)
	}
	return nil
}

// headerBytes is the size of the header of an array or map.
func headerBytes(elements int) int {
	switch {
	case elements < 1<<4:
		return 1
	case elements < 1<<16:
		return 3
	}
	return 5
}

// lengthBytes is the size of the header of text or bytes, whose shortest form takes texts below
// short without a byte of their own.
func lengthBytes(n uint64, short uint64) uint64 {
	switch {
	case n < short:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	}
	return 5
}

// extBytes is the size of an extension object with a payload of n bytes.
func extBytes(n uint64) uint64 {
	if n <= 16 && bits.OnesCount64(n) == 1 {
		return n + 2
	}
	return n + 1 + lengthBytes(n, 0)
}

// size is the size of the encoding of an object that is measured.
func (g *graph) size(n *node) uint64 {
	switch n.kind {
	case None, Bool:
		return 1
	case Int:
		return intBytes(int64(n.bits))
	case Float:
		return 9
	case Str:
		return lengthBytes(uint64(n.b), 32) + uint64(n.b)
	case Bytes:
		return lengthBytes(uint64(n.b), 0) + uint64(n.b)
	case ByteArray:
		return extBytes(uint64(n.b))
	case List, Dict:
		return n.bits
	case BigInt, Encoded:
		return uint64(n.b)
	}
	return extBytes(n.bits)
}

// appendInt appends an int in its shortest form.
func appendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return msgp.AppendInt64(dst, v)
	}
	return msgp.AppendUint64(dst, uint64(v))
}

func intBytes(v int64) uint64 {
	var room [9]byte
	return uint64(len(appendInt(room[:0], v)))
}

// extCodes are the extension codes of the kinds that are extension objects.
var extCodes = [...]int8{
	ByteArray:   value.ExtByteArray,
	Tuple:       value.ExtTuple,
	Set:         value.ExtSet,
	FrozenSet:   value.ExtFrozenSet,
	OrderedDict: value.ExtOrderedDict,
	Counter:     value.ExtCounter,
	DefaultDict: value.ExtDefaultDict,
	Deque:       value.ExtDeque,
	Slice:       value.ExtSlice,
	Exception:   value.ExtException,
}

// encode appends the encoding of an object that is measured.
func (g *graph) encode(dst []byte, at ref) []byte {
	n := &g.nodes[at]
	switch n.kind {
	case None:
		return msgp.AppendNil(dst)
	case Bool:
		return msgp.AppendBool(dst, n.bits != 0)
	case Int:
		return appendInt(dst, int64(n.bits))
	case Float:
		return appendFloat(dst, n.bits)
	case Str:
		return msgp.AppendStringFromBytes(dst, g.bytes(n))
	case Bytes:
		return msgp.AppendBytes(dst, g.bytes(n))
	case ByteArray:
		return append(value.AppendExtHeader(dst, value.ExtByteArray, int(n.b)), g.bytes(n)...)
	case BigInt, Encoded:
		return append(dst, g.bytes(n)...)
	}
	parts := g.parts(n)
	if n.kind != List && n.kind != Dict {
		dst = value.AppendExtHeader(dst, extCodes[n.kind], int(n.bits))
	}
	switch n.kind {
	case Dict, OrderedDict, Counter:
		dst = msgp.AppendMapHeader(dst, uint32(len(parts)/2))
	case DefaultDict:
		dst = g.encode(msgp.AppendArrayHeader(dst, 2), parts[0])
		parts = parts[1:]
		dst = msgp.AppendMapHeader(dst, uint32(len(parts)/2))
	default:
		dst = msgp.AppendArrayHeader(dst, uint32(len(parts)))
	}
	for _, part := range parts {
		dst = g.encode(dst, part)
	}
	return dst
}
