package pickle

import "slices"

// ref is the number of a node.
type ref uint32

// Kind is what an object is.
type Kind uint8

// Kinds of objects. Those before List hold no others.
const (
	None Kind = iota
	Bool
	Int    // within 64 bits, with a sign
	BigInt // beyond
	Float
	Str
	Bytes
	ByteArray
	Encoded // of a type whose encoding is known already: a date, a Decimal, ...
	Zone    // a datetime.timezone, which is part of other objects alone
	Global  // a class by itself
	Opaque  // of a class that is not accepted
	List
	Tuple
	Dict
	Set
	FrozenSet
	OrderedDict
	Counter
	DefaultDict // its first part is the factory: a Str or None
	Deque       // its first part is maxlen: an Int or None
	Slice
	Exception // its first part is its class: a Str
)

// node is an object. What a, b and bits are depends on its kind:
//
//	Bool, Int, Float         bits is the value
//	Str, Bytes, ByteArray    bytes a to a+b of the input, or of the bytes made here (made)
//	BigInt, Encoded          bytes a to a+b of made: the encoding; an Encoded without any is
//	                         a UUID that has no number yet
//	Zone                     bytes a to a+b of made: its name; bits is the offset in microseconds
//	Global, Opaque           a is the index in classes, b the offset of the opcode; for a stored
//	                         Opaque, a and b are its parts, and bits is the opcode
//	containers               parts a to a+b of the kids, or all of lists[a] (listed); bits is
//	                         the size of the encoding, or of its payload for an extension
//	                         object, once it is measured
type node struct {
	kind  Kind
	depth uint8 // containers in it, itself included, once it is measured
	state measure
	flags flags
	a, b  uint32
	bits  uint64
}

type flags uint8

const (
	made   flags = 1 << iota // bytes made here
	listed                   // parts in its own list
	kept                     // an Opaque that has its parts
)

// measure says how far measuring a container has come.
type measure uint8

const (
	unmeasured measure = iota
	measuring          // being measured: reached again, it contains itself
	measured
)

// graph holds the objects of a pickle.
type graph struct {
	in      []byte // the pickle; of the caller
	nodes   []node
	kids    []ref   // parts of containers that were filled at once
	lists   [][]ref // of those that were filled step by step
	made    []byte
	classes []class
	opaque  bool // Unpickler.KeepOpaque
}

// class is a class that a pickle names.
type class struct {
	module, name string
	taken        bool
}

func (c *class) path() string { return c.module + "." + c.name }

func (g *graph) reset(in []byte) {
	g.in, g.nodes, g.kids = in, g.nodes[:0], g.kids[:0]
	g.lists, g.made, g.classes = g.lists[:0], g.made[:0], g.classes[:0]
}

// trim releases the memory that a large pickle needed.
func (g *graph) trim() {
	const keptNodes, keptBytes = 1 << 12, 1 << 16
	if cap(g.nodes) > keptNodes || cap(g.kids) > 2*keptNodes || len(g.lists) > keptNodes/16 || cap(g.made) > keptBytes {
		*g = graph{in: g.in}
	}
}

func (g *graph) add(n node) ref {
	g.nodes = append(g.nodes, n)
	return ref(len(g.nodes) - 1)
}

// addMade adds a node whose bytes are made here, from start on.
func (g *graph) addMade(kind Kind, start int) ref {
	return g.add(node{kind: kind, flags: made, a: uint32(start), b: uint32(len(g.made) - start)})
}

// addContainer adds a container of these parts.
func (g *graph) addContainer(kind Kind, parts ...ref) ref {
	start := len(g.kids)
	g.kids = append(g.kids, parts...)
	return g.add(node{kind: kind, a: uint32(start), b: uint32(len(parts))})
}

// bytes returns the bytes of a node that has some.
func (g *graph) bytes(n *node) []byte {
	from := g.in
	if n.flags&made != 0 {
		from = g.made
	}
	return from[n.a : n.a+n.b : n.a+n.b]
}

// parts returns the parts of a container.
func (g *graph) parts(n *node) []ref {
	if n.flags&listed != 0 {
		return g.lists[n.a]
	}
	return g.kids[n.a : n.a+n.b : n.a+n.b]
}

// extend adds parts to a container.
func (g *graph) extend(at ref, parts []ref) {
	n := &g.nodes[at]
	n.state = unmeasured
	switch {
	case n.flags&listed != 0:
		g.lists[n.a] = append(g.lists[n.a], parts...)
	case n.b == 0:
		n.a, n.b = uint32(len(g.kids)), uint32(len(parts))
		g.kids = append(g.kids, parts...)
	default:
		all := slices.Concat(g.parts(n), parts)
		n.flags, n.a, n.b = n.flags|listed, uint32(len(g.lists)), 0
		g.lists = append(g.lists, all)
	}
}

// replace puts other parts, no more than before, in the place of a container's.
func (g *graph) replace(at ref, parts []ref) {
	n := &g.nodes[at]
	if n.flags&listed != 0 {
		g.lists[n.a] = parts
		return
	}
	n.b = uint32(len(parts))
}
