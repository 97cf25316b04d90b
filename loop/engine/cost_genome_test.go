package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
)

// A genome is bytes that make one valid request, and the tables that it finds: whatever the bytes,
// so that they can be changed at will. What is missing at the end is zeros.
type genome struct {
	b []byte
}

// Sizes that a byte of a genome can choose.
var sizes = []int{1, 2, 3, 7, 16, 40, 100, 180, 400, 1000, 1400, 2100, 3000, 4096, 5000, 12000}

func (g *genome) next() int {
	if len(g.b) == 0 {
		return 0
	}
	c := g.b[0]
	g.b = g.b[1:]
	return int(c)
}

func (g *genome) size() int { return sizes[g.next()%len(sizes)] }

// maxGenomeBytes is how much a genome makes at most, of arguments and of each table.
const maxGenomeBytes = 64 << 10

// node makes values, another one for each i.
type node func(dst []byte, i int) []byte

func ext(dst []byte, code int8, payload []byte) []byte {
	switch n := len(payload); {
	case n < 1<<8:
		dst = append(dst, 0xc7, byte(n), byte(code))
	case n < 1<<16:
		dst = append(binary.BigEndian.AppendUint16(append(dst, 0xc8), uint16(n)), byte(code))
	default:
		dst = append(binary.BigEndian.AppendUint32(append(dst, 0xc9), uint32(n)), byte(code))
	}
	return append(dst, payload...)
}

// bigIntOf returns an int of n bytes, at least 9, beyond 64 bits.
func bigIntOf(n, fill, i int) []byte {
	p := make([]byte, max(n, 9))
	for at := range p {
		p[at] = byte(fill)
	}
	p[0] = 0x11
	binary.BigEndian.PutUint32(p[len(p)-4:], uint32(i))
	return p
}

// decimalOf returns the text of a Decimal of some digits with an exponent.
func decimalOf(digits, exp, i int) string {
	frac := fmt.Sprintf("%0*d", digits, i)
	if exp >= 0 {
		return fmt.Sprintf("5.%sE+%d", frac, exp+len(frac)+1)
	}
	return fmt.Sprintf("5.%sE-%d", frac, 7-exp)
}

// scalar makes a node without others in it.
func (g *genome) scalar(kind int) node {
	n, fill := g.size(), g.next()
	switch kind {
	case 0:
		return func(dst []byte, i int) []byte { return msgp.AppendInt(dst, fill+i) }
	case 1:
		return func(dst []byte, i int) []byte { return ext(dst, value.ExtBigInt, bigIntOf(n%8192, fill, i)) }
	case 2:
		exp := 100 * (g.next() - 128)
		return func(dst []byte, i int) []byte { return ext(dst, value.ExtDecimal, []byte(decimalOf(n%8000, exp, i))) }
	case 3:
		floats := []float64{0.1, 1e300, math.NaN(), math.Inf(1), 1e-300, 1 << 62}
		return func(dst []byte, i int) []byte { return msgp.AppendFloat64(dst, floats[fill%len(floats)]*float64(i+1)) }
	case 4:
		den := g.size() % 8192
		return func(dst []byte, i int) []byte {
			p := ext(
				ext([]byte{0x92}, value.ExtBigInt, bigIntOf(n%8192, fill, i)),
				value.ExtBigInt,
				bigIntOf(den, fill+1, i+1),
			)
			return ext(dst, value.ExtFraction, p)
		}
	case 5:
		text := []string{"a", "A", "é", "İ", "Σ", "\xed\xa0\x80", "'\""}[fill%7]
		return func(dst []byte, i int) []byte {
			return value.AppendStr(dst, strings.Repeat(text, min(n, maxGenomeBytes/len(text)))+fmt.Sprint(i))
		}
	case 6:
		return func(dst []byte, i int) []byte {
			return msgp.AppendBytes(dst, append(make([]byte, n), byte(i), byte(i>>8)))
		}
	case 7:
		return func(dst []byte, i int) []byte {
			return ext(dst, value.ExtDateTime, append(binary.BigEndian.AppendUint64(nil, uint64(i)*1_000_003), 0))
		}
	}
	return func(dst []byte, i int) []byte {
		p := ext(
			ext([]byte{0x93}, value.ExtBigInt, bigIntOf(n%1000, fill, i)),
			value.ExtBigInt,
			bigIntOf(n%1000, fill+9, i),
		)
		return ext(dst, value.ExtRange, append(p, byte(1+fill%100)))
	}
}

// value makes a node of what the genome says, at most so many levels deep.
func (g *genome) value(levels int) node {
	kind := g.next() % 18
	if kind < 9 || levels == 0 {
		return g.scalar(kind % 9)
	}
	n := g.size()
	if kind == 17 {
		return g.wrapped(n, g.next(), levels)
	}
	inner := g.value(levels - 1)
	all := func(dst []byte, i, each int) []byte {
		for k := range n * each {
			if len(dst) > 2*maxGenomeBytes {
				break
			}
			dst = inner(dst, i+k)
		}
		return dst
	}
	array := func(i int) []byte { return all(msgp.AppendArrayHeader(nil, uint32(n)), i, 1) }
	pairs := func(i int) []byte { return all(msgp.AppendMapHeader(nil, uint32(n)), i, 2) }
	codes := []int8{value.ExtTuple, value.ExtSet, value.ExtFrozenSet, value.ExtFrozenSet}
	switch kind {
	case 9, 10:
		return func(dst []byte, i int) []byte { return append(dst, array(i)...) }
	case 11:
		return func(dst []byte, i int) []byte { return append(dst, pairs(i)...) }
	case 12:
		return func(dst []byte, i int) []byte { return ext(dst, value.ExtOrderedDict, pairs(i)) }
	}
	return func(dst []byte, i int) []byte { return ext(dst, codes[kind-13], array(i)) }
}

// wrapped makes a value that stands in n containers of one element.
func (g *genome) wrapped(n, kind, levels int) node {
	inner := g.value(levels - 1)
	return func(dst []byte, i int) []byte {
		v := inner(nil, i)
		for range min(n, 16+100*(kind%3/2)) {
			switch v = append([]byte{0x91}, v...); kind % 3 {
			case 0:
				v = ext(nil, value.ExtFrozenSet, v)
			case 1:
				v = ext(nil, value.ExtTuple, v)
			}
		}
		return append(dst, v...)
	}
}

// sortKey makes a sort key.
func (g *genome) sortKey(levels int) []byte {
	forms := []string{"path", "neg", "len", "lower", "str", "tuple"}
	form := forms[g.next()%len(forms)]
	n := 1
	if form == "tuple" {
		n = 1 + g.next()%15
	}
	key := value.AppendStr(msgp.AppendArrayHeader(nil, uint32(n+1)), form)
	for range n {
		switch {
		case form == "path":
			key = append(key, byte(g.next()%4))
		case levels == 0 || g.next()%3 == 0:
			key = msgp.AppendNil(key)
		default:
			key = append(key, g.sortKey(levels-1)...)
		}
		if len(key) > maxGenomeBytes/16 {
			break
		}
	}
	return key
}

// genomeOps are the opcodes that a genome chooses from.
var genomeOps = func() (ops []codec.Opcode) {
	for op, shape := range codec.Shapes {
		if shape.Name != "" && codec.Opcode(op) != codec.OpSave {
			ops = append(ops, codec.Opcode(op))
		}
	}
	return ops
}()

// scene is what a genome makes.
type scene struct {
	op         codec.Opcode
	args       []byte
	dict, list []byte // packed arguments of the tables "d" and "l"
}

// scene makes a request and the tables. false: it would be too large.
func (g *genome) scene() (s scene, ok bool) {
	s.op = genomeOps[g.next()%len(genomeOps)]
	elems, keys := g.size(), g.size()
	elem, key, val := g.value(2), g.value(2), g.value(1)
	for i := 0; i < elems && len(s.list) < 4*maxGenomeBytes; i++ {
		s.list = elem(s.list, i)
	}
	for i := 0; i < keys && len(s.dict) < 4*maxGenomeBytes; i++ {
		s.dict = val(key(s.dict, i), i)
	}
	s.args = g.arguments(s.op, key, elem, val)
	return s, len(s.args) <= maxGenomeBytes && len(s.list)+len(s.dict) < 8*maxGenomeBytes
}

// arguments makes the arguments of a request. Keys, elements and values are often those of the
// tables.
func (g *genome) arguments(op codec.Opcode, key, elem, val node) (b []byte) {
	shape := codec.Shapes[op]
	if shape.Table {
		name := "d"
		if protocol[op].Kind == ListTable {
			name = "l"
		}
		if protocol[op].Kind == AnyTable && g.next()%2 == 0 {
			name = "new"
		}
		b = value.AppendStr(b, name)
	}
	n := shape.Min
	if shape.Max > shape.Min {
		n += g.next() % (min(shape.Max, shape.Min+3) - shape.Min + 1)
	}
	if shape.Max == codec.Many {
		n = shape.Min + max(shape.Each, 1)*g.size()
	}
	own := g.value(3)
	for i := 0; i < n && len(b) <= maxGenomeBytes; i++ {
		switch {
		case op == codec.OpListSort && i == 0:
			b = append(b, g.sortKey(3)...)
		case op == codec.OpListSort || op == codec.OpCreateDict && i == 0 || op == codec.OpCreateList && i == 0:
			b = msgp.AppendBool(b, g.next()%2 == 0)
		case protocol[op].Kind == ListTable && (shape.Min > 1 || i > 0) && i < 3 && op != codec.OpListExtend:
			b = msgp.AppendInt(b, g.next()-128)
		default:
			b = []node{own, own, key, elem, val}[g.next()%5](b, i)
		}
	}
	return b
}
