package pickle

import (
	"encoding/binary"

	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// The parts of an object of an unsupported class, if such objects are stored.
const (
	opaqueClass = iota // a Global
	opaqueArgs         // a Tuple
	opaqueNamed        // a Dict of NEWOBJ_EX, else None
	opaqueState        // of BUILD, else None
	opaqueItems        // a List of what was appended
	opaquePairs        // a Dict of what was set
)

// addOpaque adds the parts of an object that was to be made by the current opcode.
func (u *Unpickler) addOpaque(n node, parts []ref) ref {
	if !u.KeepOpaque {
		return u.add(n)
	}
	none := u.add(node{kind: None})
	named := none
	if len(parts) > 2 {
		named = parts[2]
	}
	made := u.addContainer(Opaque, parts[0], parts[1], named, none, u.addContainer(List), u.addContainer(Dict))
	n.bits, n.flags = uint64(u.op), kept
	n.a, n.b = u.nodes[made].a, u.nodes[made].b
	u.nodes[made] = n
	return made
}

// keep turns an object of an unsupported class, or the class itself, into one with an encoding: the
// name of its class and a pickle of it.
func (g *graph) keep(at ref, level int) error {
	n := g.nodes[at]
	class := n.a
	if n.kind == Opaque {
		class = g.nodes[g.parts(&n)[opaqueClass]].a
		// which are for the class that they are given
		if path := g.classes[class].path(); path == "builtins.getattr" || path == "copyreg._reconstructor" {
			if args := g.parts(&g.nodes[g.parts(&n)[opaqueArgs]]); len(args) > 0 && g.nodes[args[0]].kind == Global {
				class = g.nodes[args[0]].a
			}
		}
	}
	w := opaqueWriter{graph: g}
	if err := w.write(at, level); err != nil {
		return err
	}
	start := len(g.made)
	all, err := govalue.Append(
		g.made,
		govalue.Object{Class: g.classes[class].path(), Data: End(append(Begin(nil), w.dst...))},
	)
	if err != nil {
		return err
	}
	g.made = all
	g.nodes[at] = node{kind: Encoded, flags: made, a: uint32(start), b: uint32(len(all) - start)}
	return nil
}

// opaqueWriter writes the opcodes of objects. It does not use the memo: what is referenced twice is
// written twice.
type opaqueWriter struct {
	*graph
	dst []byte
}

func (w *opaqueWriter) ops(ops ...byte) { w.dst = append(w.dst, ops...) }

// write writes an object that stands inside level others. Errors: value.ErrTooDeep, of one that
// holds itself too; value.ErrTooLarge, wrapped.
func (w *opaqueWriter) write(at ref, level int) (err error) {
	n := w.nodes[at]
	switch {
	case level > value.MaxDepth:
		return value.ErrTooDeep
	case len(w.dst) > value.MaxValueBytes:
		return tooLarge(uint64(len(w.dst)))
	}
	switch n.kind {
	case Encoded, BigInt:
		w.dst, err = AppendValue(w.dst, w.bytes(&n))
	case Zone:
		w.dst = appendZone(w.dst, w.zone(&n))
	case Global:
		c := &w.classes[n.a]
		w.dst = appendGlobal(w.dst, c.module, c.name)
	case Float:
		w.dst = binary.BigEndian.AppendUint64(append(w.dst, opBinFloat), n.bits)
	case Opaque:
		err = w.writeOpaque(&n, level)
	case List:
		w.ops(opEmptyList)
		err = w.many(w.parts(&n), level, opAppends)
	case Dict:
		w.ops(opEmptyDict)
		err = w.many(w.parts(&n), level, opSetItems)
	case Set:
		w.ops(opEmptySet)
		err = w.many(w.parts(&n), level, opAddItems)
	case FrozenSet:
		err = w.many(w.parts(&n), level, opFrozenSet)
	case Tuple:
		err = w.many(w.parts(&n), level, opTuple)
	case OrderedDict, Counter:
		name := map[Kind]string{OrderedDict: "OrderedDict", Counter: "Counter"}[n.kind]
		w.dst = append(appendGlobal(w.dst, "collections", name), opEmptyTuple, opReduce)
		err = w.many(w.parts(&n), level, opSetItems)
	case Slice, Exception, Deque, DefaultDict:
		err = w.writeMade(&n, level)
	default: // scalars
		if w.check(at, level) == nil {
			w.dst, err = AppendValue(w.dst, w.encode(nil, at))
		}
	}
	return err
}

// many writes a mark, objects and what makes something of them.
func (w *opaqueWriter) many(parts []ref, level int, end byte) error {
	w.ops(opMark)
	for _, part := range parts {
		if err := w.write(part, level+1); err != nil {
			return err
		}
	}
	w.ops(end)
	return nil
}

// writeMade writes an object that is made by a call.
func (w *opaqueWriter) writeMade(n *node, level int) error {
	parts := w.parts(n)
	switch n.kind {
	case Slice:
		w.dst = appendGlobal(w.dst, "builtins", "slice")
	case Exception:
		w.dst = appendGlobal(w.dst, "builtins", string(w.bytes(&w.nodes[parts[0]])))
		parts = parts[1:]
	case Deque: // its maxlen, then the items
		w.dst = append(appendGlobal(w.dst, "collections", "deque"), opEmptyTuple)
		if err := w.write(parts[0], level+1); err != nil {
			return err
		}
		w.ops(opTuple2, opReduce)
		return w.many(parts[1:], level, opAppends)
	case DefaultDict: // its factory, then the items
		w.dst = appendGlobal(w.dst, "collections", "defaultdict")
		if factory := &w.nodes[parts[0]]; factory.kind == Str {
			w.dst = appendGlobal(w.dst, "builtins", string(w.bytes(factory)))
		} else {
			w.ops(opNone)
		}
		w.ops(opTuple1, opReduce)
		return w.many(parts[1:], level, opSetItems)
	}
	if err := w.many(parts, level, opTuple); err != nil {
		return err
	}
	w.ops(opReduce)
	return nil
}

// writeOpaque writes an object of a class that is not accepted, in its original form.
func (w *opaqueWriter) writeOpaque(n *node, level int) error {
	parts := w.parts(n)
	for _, part := range []ref{parts[opaqueClass], parts[opaqueArgs]} {
		if err := w.write(part, level+1); err != nil {
			return err
		}
	}
	if n.bits == opNewObjEx {
		if err := w.write(parts[opaqueNamed], level+1); err != nil {
			return err
		}
	}
	w.ops(byte(n.bits))
	if items := w.parts(&w.nodes[parts[opaqueItems]]); len(items) > 0 {
		if err := w.many(items, level, opAppends); err != nil {
			return err
		}
	}
	if pairs := w.parts(&w.nodes[parts[opaquePairs]]); len(pairs) > 0 {
		if err := w.many(pairs, level, opSetItems); err != nil {
			return err
		}
	}
	if state := parts[opaqueState]; w.nodes[state].kind != None {
		if err := w.write(state, level+1); err != nil {
			return err
		}
		w.ops(opBuild)
	}
	return nil
}

// appendOpaque appends the opcodes of an object that is stored as opaque bytes, if its bytes are a
// pickle of one.
func appendOpaque(dst []byte, o govalue.Object) ([]byte, error) {
	u := Unpickler{KeepOpaque: true}
	root, n, err := u.Parse(o.Data)
	if err != nil || n != len(o.Data) {
		return dst, noPlace("an object of the class " + o.Class)
	}
	w := opaqueWriter{graph: &u.graph, dst: dst}
	err = w.write(root.at, 0)
	return w.dst, err
}
