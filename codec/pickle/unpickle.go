package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// Unpickler reads pickles. The zero Unpickler is ready for use.
type Unpickler struct {
	// MaxObjects is the most objects in one pickle; 0: limited only by its length.
	MaxObjects int
	// KeepOpaque stores objects of unsupported classes, and such classes themselves, as opaque
	// values (value.Object): the name of the class and a pickle. A Python program that unpickles
	// one executes what it says.
	KeepOpaque bool

	graph
	at      int // offset of the current opcode
	op      byte
	stack   []ref
	marks   []int // heights of the stack
	memo    []ref // number + 1; 0: unused
	refused *Error
	overrun error // error of a frame that exceeds the input
}

// Parse reads the pickle at the front of b and returns its object and its length. Objects are views
// into b.
//
// An unsupported class is not an error of Parse; Refused and the methods of the object report it.
// Errors: *Error; ErrShort, in an *Error's place, if b ends inside the pickle.
func (u *Unpickler) Parse(b []byte) (root Object, n int, err error) {
	if len(b) > math.MaxUint32 {
		return root, 0, &Error{Msg: "a pickle of more than 4 GiB"}
	}
	u.trim()
	u.reset(b)
	u.opaque = u.KeepOpaque
	u.stack, u.marks, u.memo, u.refused, u.overrun, u.at = u.stack[:0], u.marks[:0], u.memo[:0], nil, nil, 0
	for u.at < len(b) {
		u.op = b[u.at]
		size, err := operation(b, u.at)
		if err != nil {
			return root, 0, err
		}
		if u.op == opStop {
			top, err := u.pop()
			if err == nil && (len(u.stack) > 0 || len(u.marks) > 0) {
				err = u.fail("%d objects and %d marks are left over", len(u.stack), len(u.marks))
			}
			if err == nil {
				err = u.overrun
			}
			return Object{u, top}, u.at + 1, err
		}
		f := &forms[u.op]
		if err := u.step(b[u.at+1+int(f.count) : u.at+size]); err != nil {
			return root, 0, err
		}
		if u.MaxObjects > 0 && len(u.nodes) > u.MaxObjects {
			return root, 0, u.fail("more than %d objects in one pickle", u.MaxObjects)
		}
		u.at += size
	}
	return root, 0, ErrShort
}

// Refused returns an error for the first unsupported class in the pickle, nil if there is none.
func (u *Unpickler) Refused() error {
	if u.refused == nil {
		return nil
	}
	return u.refused
}

func (u *Unpickler) fail(format string, args ...any) error {
	return &Error{At: u.at, Op: forms[u.op].name, Msg: fmt.Sprintf(format, args...)}
}

// step executes one opcode; arg is its argument, without a length.
func (u *Unpickler) step(arg []byte) error {
	switch u.op {
	case opProto:
		if arg[0] > maxProtocol {
			return u.fail("protocol %d", arg[0])
		}
		return nil
	case opFrame:
		if n, left := littleEndian(arg), len(u.in)-u.at-1-len(arg); n > uint64(left) {
			u.overrun = u.fail("a frame of %d bytes, and %d are there", n, left)
		}
		return nil
	case opNone, opNewTrue, opNewFalse, opBinInt, opBinInt1, opBinInt2, opLong1, opLong4, opBinFloat:
		return u.number(arg)
	case opInt, opLong, opFloat, opString, opUnicode, opBinString, opShortBinString:
		return u.text(arg)
	case opBinUnicode, opShortBinUnicode, opBinUnicode8:
		return u.str(arg)
	case opBinBytes, opShortBinBytes, opBinBytes8:
		u.push(u.view(Bytes, arg))
		return nil
	case opByteArray8:
		u.push(u.view(ByteArray, arg))
		return nil
	case opMark:
		u.marks = append(u.marks, len(u.stack))
		return nil
	case opPop, opPopMark, opDup:
		return u.shuffle()
	case opPut, opBinPut, opLongBinPut, opMemoize:
		return u.put(arg)
	case opGet, opBinGet, opLongBinGet:
		return u.get(arg)
	case opGlobal, opStackGlobal, opReduce, opNewObj, opNewObjEx, opBuild, opInst, opObj:
		return u.object(arg)
	case opExt1, opExt2, opExt4:
		return u.fail("the extension registry is not taken")
	case opPersID, opBinPersID:
		return u.fail("persistent ids are not taken")
	case opNextBuffer, opReadonlyBuffer:
		return u.fail("buffers outside the pickle are not taken")
	}
	return u.container()
}

// number handles the opcodes of binary numbers and singletons.
func (u *Unpickler) number(arg []byte) error {
	switch u.op {
	case opNone:
		u.push(u.add(node{kind: None}))
	case opNewTrue:
		u.push(u.add(node{kind: Bool, bits: 1}))
	case opNewFalse:
		u.push(u.add(node{kind: Bool}))
	case opBinInt:
		u.pushInt(int64(int32(binary.LittleEndian.Uint32(arg))))
	case opBinInt1, opBinInt2:
		u.pushInt(int64(littleEndian(arg)))
	case opBinFloat:
		u.push(u.add(node{kind: Float, bits: binary.BigEndian.Uint64(arg)}))
	default:
		return u.long(arg)
	}
	return nil
}

func (u *Unpickler) pushInt(n int64) { u.push(u.add(node{kind: Int, bits: uint64(n)})) }

func (u *Unpickler) str(arg []byte) error {
	if !validStr(arg) {
		return u.fail("text is not UTF-8")
	}
	u.push(u.view(Str, arg))
	return nil
}

// view adds a node for bytes of the input that end the current opcode.
func (u *Unpickler) view(kind Kind, arg []byte) ref {
	f := &forms[u.op]
	return u.add(node{kind: kind, a: uint32(u.at + 1 + int(f.count)), b: uint32(len(arg))})
}

func (u *Unpickler) push(r ref) { u.stack = append(u.stack, r) }

// floor is the height of the stack below the objects of the innermost mark.
func (u *Unpickler) floor() int {
	if len(u.marks) == 0 {
		return 0
	}
	return u.marks[len(u.marks)-1]
}

func (u *Unpickler) pop() (ref, error) {
	if len(u.stack) <= u.floor() {
		return 0, u.fail("nothing is on the stack")
	}
	top := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	return top, nil
}

// popMany pops n objects; they are valid until the next push.
func (u *Unpickler) popMany(n int) ([]ref, error) {
	if len(u.stack)-u.floor() < n {
		return nil, u.fail("%d objects are needed on the stack", n)
	}
	many := u.stack[len(u.stack)-n:]
	u.stack = u.stack[:len(u.stack)-n]
	return many, nil
}

// popMark pops the objects above the innermost mark, and the mark.
func (u *Unpickler) popMark() ([]ref, error) {
	if len(u.marks) == 0 {
		return nil, u.fail("there is no mark")
	}
	from := u.floor()
	u.marks = u.marks[:len(u.marks)-1]
	many := u.stack[from:]
	u.stack = u.stack[:from]
	return many, nil
}

// peek returns the object on top.
func (u *Unpickler) peek() (ref, error) {
	if len(u.stack) <= u.floor() {
		return 0, u.fail("nothing is on the stack")
	}
	return u.stack[len(u.stack)-1], nil
}

// shuffle handles POP, POP_MARK and DUP. As in CPython, POP removes a mark that is on top.
func (u *Unpickler) shuffle() error {
	switch u.op {
	case opPopMark:
		_, err := u.popMark()
		return err
	case opPop:
		if len(u.marks) > 0 && u.floor() == len(u.stack) {
			u.marks = u.marks[:len(u.marks)-1]
			return nil
		}
		_, err := u.pop()
		return err
	}
	top, err := u.peek()
	if err == nil {
		u.push(top)
	}
	return err
}

// put stores the object on top in the memo. An index above the number of bytes read is rejected,
// because each entry takes at least a byte.
func (u *Unpickler) put(arg []byte) error {
	top, err := u.peek()
	if err != nil {
		return err
	}
	place := uint64(len(u.memo))
	if u.op != opMemoize {
		if place, err = u.place(arg); err != nil {
			return err
		}
	}
	if place > uint64(u.at) {
		return u.fail("place %d of the memo, after %d bytes", place, u.at)
	}
	for uint64(len(u.memo)) <= place {
		u.memo = append(u.memo, 0)
	}
	u.memo[place] = top + 1
	return nil
}

func (u *Unpickler) get(arg []byte) error {
	place, err := u.place(arg)
	if err != nil {
		return err
	}
	if place >= uint64(len(u.memo)) || u.memo[place] == 0 {
		return u.fail("nothing is at place %d of the memo", place)
	}
	u.push(u.memo[place] - 1)
	return nil
}

// place reads the number of a place in the memo.
func (u *Unpickler) place(arg []byte) (uint64, error) {
	if forms[u.op].lines == 0 {
		return littleEndian(arg), nil
	}
	n, ok := decimal(bytes.TrimSuffix(arg, newline))
	if !ok || n < 0 {
		return 0, u.fail("no number")
	}
	return uint64(n), nil
}

// container handles the opcodes that make and fill containers.
func (u *Unpickler) container() error {
	switch u.op {
	case opEmptyList:
		u.push(u.addContainer(List))
	case opEmptyTuple:
		u.push(u.addContainer(Tuple))
	case opEmptyDict:
		u.push(u.addContainer(Dict))
	case opEmptySet:
		u.push(u.addContainer(Set))
	case opTuple1, opTuple2, opTuple3:
		parts, err := u.popMany(int(u.op-opTuple1) + 1)
		if err != nil {
			return err
		}
		u.push(u.addContainer(Tuple, parts...))
	case opTuple, opList, opFrozenSet, opDict:
		parts, err := u.popMark()
		if err != nil {
			return err
		}
		if u.op == opDict && len(parts)%2 != 0 {
			return u.fail("%d keys and values", len(parts))
		}
		u.push(u.addContainer(markedKinds[u.op], parts...))
	case opAppend:
		parts, err := u.popMany(1)
		return u.fill(parts, err, 1, List, Deque)
	case opSetItem:
		parts, err := u.popMany(2)
		return u.fill(parts, err, 2, Dict, OrderedDict, Counter, DefaultDict)
	case opAppends:
		parts, err := u.popMark()
		return u.fill(parts, err, 1, List, Deque)
	case opSetItems:
		parts, err := u.popMark()
		return u.fill(parts, err, 2, Dict, OrderedDict, Counter, DefaultDict)
	case opAddItems:
		parts, err := u.popMark()
		return u.fill(parts, err, 1, Set)
	}
	return nil
}

// markedKinds are the kinds of what is made of all that is after a mark.
var markedKinds = map[byte]Kind{opTuple: Tuple, opList: List, opFrozenSet: FrozenSet, opDict: Dict}

// fill adds parts, in groups of each, to the container on top, which must be of one of these kinds.
// An object of a class that is not accepted swallows them.
func (u *Unpickler) fill(parts []ref, err error, each int, kinds ...Kind) error {
	if err != nil {
		return err
	}
	top, err := u.peek()
	if err != nil {
		return err
	}
	if len(parts)%each != 0 {
		return u.fail("%d keys and values", len(parts))
	}
	n := &u.nodes[top]
	if n.kind == Opaque && n.flags&kept != 0 {
		into := opaqueItems
		if each == 2 {
			into = opaquePairs
		}
		u.extend(u.parts(n)[into], parts)
		return nil
	}
	if n.kind == Opaque {
		return nil
	}
	for _, kind := range kinds {
		if n.kind == kind {
			u.extend(top, parts)
			return nil
		}
	}
	return u.fail("into %s", n.kind)
}
