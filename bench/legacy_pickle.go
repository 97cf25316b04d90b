package bench

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// Opcodes of Python's pickles, as far as the original CyberDB's messages need them (Lib/pickletools.py).
const (
	pickleProto      = 0x80
	pickleProtocol   = 4
	pickleFrame      = 0x95
	pickleStop       = '.'
	pickleMark       = '('
	pickleNone       = 'N'
	pickleTrue       = 0x88
	pickleFalse      = 0x89
	pickleInt1       = 'K'
	pickleInt2       = 'M'
	pickleInt4       = 'J'
	pickleText1      = 0x8c
	pickleText4      = 'X'
	pickleBytes1     = 'C'
	pickleBytes4     = 'B'
	pickleEmptyDict  = '}'
	pickleEmptyList  = ']'
	pickleSetItem    = 's'
	pickleSetItems   = 'u'
	pickleMemoize    = 0x94
	pickleGet1       = 'h'
	pickleGet4       = 'j'
	pickleGlobal     = 0x93
	pickleTuple1     = 0x85
	pickleReduce     = 'R'
	pickleEmptyTuple = ')'
)

// appendPickledInt appends a pickle of a number from 0 to 2^31 - 1.
func appendPickledInt(dst []byte, n int) []byte {
	dst = append(dst, pickleProto, pickleProtocol)
	if n < 1<<8 {
		return append(dst, pickleInt1, byte(n), pickleStop)
	}
	return append(binary.LittleEndian.AppendUint32(append(dst, pickleInt4), uint32(n)), pickleStop)
}

// appendPickledText appends the opcodes of a string.
func appendPickledText(dst []byte, text string) []byte {
	return append(appendPickledHead(dst, len(text)), text...)
}

// appendPickledHead appends what stands before the n bytes of a string.
func appendPickledHead(dst []byte, n int) []byte {
	if n < 1<<8 {
		return append(dst, pickleText1, byte(n))
	}
	return binary.LittleEndian.AppendUint32(append(dst, pickleText4), uint32(n))
}

// appendPickledDict appends a pickle of a dict: names and texts in turn, and "content" with the opcodes given if they are not nil.
func appendPickledDict(dst, content []byte, fields ...string) []byte {
	dst = append(dst, pickleProto, pickleProtocol, pickleEmptyDict, pickleMark)
	for _, text := range fields {
		dst = appendPickledText(dst, text)
	}
	if content != nil {
		dst = append(appendPickledText(dst, "content"), content...)
	}
	return append(dst, pickleSetItems, pickleStop)
}

// appendPickledContent appends a pickle of {"content": inner}, inner being bytes.
func appendPickledContent(dst, inner []byte) []byte {
	dst = appendPickledText(append(dst, pickleProto, pickleProtocol, pickleEmptyDict), "content")
	if len(inner) < 1<<8 {
		dst = append(dst, pickleBytes1, byte(len(inner)))
	} else {
		dst = binary.LittleEndian.AppendUint32(append(dst, pickleBytes4), uint32(len(inner)))
	}
	return append(append(dst, inner...), pickleSetItem, pickleStop)
}

// pickledKind is what an object of a pickle is.
type pickledKind uint8

const (
	pickledNothing pickledKind = iota // absent
	pickledInt                        // number
	pickledText                       // text, of a str or of bytes
	pickledDict                       // fields
	pickledMark
	pickledOther // of any other type; text is its class if that is known
)

// pickled is an object of a pickle.
type pickled struct {
	kind   pickledKind
	number int64
	text   []byte
	fields []pickled // names and values in turn
}

// field returns the value under a name.
func (p *pickled) field(name string) pickled {
	for i := 0; i+1 < len(p.fields); i += 2 {
		if string(p.fields[i].text) == name {
			return p.fields[i+1]
		}
	}
	return pickled{}
}

// unpickler reads pickles, one after the other. It builds nothing but texts, numbers and dicts, and calls nothing.
type unpickler struct {
	plain []byte // of the caller
	rest  []byte
	stack []pickled
	memo  []pickled
}

// unpicklers keeps the room that parsing needs.
var unpicklers = sync.Pool{New: func() any { return &unpickler{} }}

// parse reads a pickle from the front of b; n is the number of bytes used, 0 if b ends inside the pickle. Texts are views into b.
// Errors: errWire, wrapped.
func (u *unpickler) parse(b []byte) (p pickled, n int, err error) {
	u.rest, u.stack, u.memo = b, u.stack[:0], u.memo[:0]
	for len(u.rest) > 0 {
		op := u.rest[0]
		if op == pickleStop {
			if len(u.stack) != 1 {
				return p, 0, fmt.Errorf("%w: a pickle of %d objects", errWire, len(u.stack))
			}
			return u.stack[0], len(b) - len(u.rest) + 1, nil
		}
		argument, size, ok := u.argument(op)
		if !ok {
			return p, 0, nil
		}
		if !u.step(op, argument) {
			return p, 0, fmt.Errorf("%w: pickle opcode %#x at %d", errWire, op, len(b)-len(u.rest))
		}
		u.rest = u.rest[size:]
	}
	return p, 0, nil
}

// argument returns what follows the opcode, without its length, and the size of all; ok is false if it is not there whole.
func (u *unpickler) argument(op byte) (argument []byte, size int, ok bool) {
	lengthBytes, fixed := 0, 0
	switch op {
	case pickleProto, pickleInt1, pickleGet1:
		fixed = 1
	case pickleInt2:
		fixed = 2
	case pickleInt4, pickleGet4:
		fixed = 4
	case pickleFrame:
		fixed = 8
	case pickleText1, pickleBytes1:
		lengthBytes = 1
	case pickleText4, pickleBytes4:
		lengthBytes = 4
	}
	at := 1 + lengthBytes
	if len(u.rest) < at {
		return nil, 0, false
	}
	size = at + fixed + int(littleEndian(u.rest[1:at]))
	if len(u.rest) < size {
		return nil, 0, false
	}
	return u.rest[at:size], size, true
}

// littleEndian reads up to four bytes.
func littleEndian(b []byte) (n uint32) {
	for i, digit := range b {
		n |= uint32(digit) << (8 * i)
	}
	return n
}

// step does what one opcode says; false if it cannot be done.
func (u *unpickler) step(op byte, argument []byte) bool {
	switch op {
	case pickleProto, pickleFrame:
	case pickleMemoize:
		if len(u.stack) == 0 {
			return false
		}
		u.memo = append(u.memo, u.stack[len(u.stack)-1])
	case pickleGet1, pickleGet4:
		at := int(littleEndian(argument))
		if at >= len(u.memo) {
			return false
		}
		u.push(u.memo[at])
	case pickleInt1, pickleInt2:
		u.push(pickled{kind: pickledInt, number: int64(littleEndian(argument))})
	case pickleInt4:
		u.push(pickled{kind: pickledInt, number: int64(int32(littleEndian(argument)))})
	case pickleText1, pickleText4, pickleBytes1, pickleBytes4:
		u.push(pickled{kind: pickledText, text: argument})
	case pickleEmptyDict:
		u.push(pickled{kind: pickledDict})
	case pickleMark:
		u.push(pickled{kind: pickledMark})
	case pickleNone, pickleTrue, pickleFalse, pickleEmptyTuple, pickleEmptyList:
		u.push(pickled{kind: pickledOther})
	case pickleSetItem:
		return u.setItems(len(u.stack) - 2)
	case pickleSetItems:
		mark := u.lastMark()
		return mark >= 0 && u.setItems(mark)
	case pickleTuple1:
		return u.replace(1, nil)
	case pickleGlobal:
		if len(u.stack) < 2 {
			return false
		}
		return u.replace(2, u.stack[len(u.stack)-1].text)
	case pickleReduce:
		if len(u.stack) < 2 {
			return false
		}
		return u.replace(2, u.stack[len(u.stack)-2].text)
	default:
		return false
	}
	return true
}

func (u *unpickler) push(p pickled) { u.stack = append(u.stack, p) }

// replace puts an object of the class in the place of the last count.
func (u *unpickler) replace(count int, class []byte) bool {
	if len(u.stack) < count {
		return false
	}
	u.stack = append(u.stack[:len(u.stack)-count], pickled{kind: pickledOther, text: class})
	return true
}

func (u *unpickler) lastMark() int {
	for i, p := range slices.Backward(u.stack) {
		if p.kind == pickledMark {
			return i
		}
	}
	return -1
}

// setItems moves what is on the stack from there on, behind a mark if there is one, into the dict below.
func (u *unpickler) setItems(from int) bool {
	if from < 1 || u.stack[from-1].kind != pickledDict {
		return false
	}
	items := u.stack[from:]
	if items[0].kind == pickledMark {
		items = items[1:]
	}
	if len(items)%2 != 0 {
		return false
	}
	dict := &u.stack[from-1]
	dict.fields = append(dict.fields, items...)
	u.stack = u.stack[:from]
	return true
}
