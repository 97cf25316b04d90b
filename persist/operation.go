package persist

import (
	"encoding/binary"

	"cyberdb-fast/persist/sequence"
)

// On disk: do not change. FORMAT.md, "Journal".
//
//	version 1   numbers varuint | length varuint | bytes
//	version 2   form varuint | numbers varuint | time varint | [length varuint | extensions] | length varuint | bytes
//
// form is the version of the semantics, shifted by one, and bit 0 if there are extensions.
const formExtended = 1

// appendOperation appends an operation in the form of the newest version. before is the time of the
// operation before it in the record, or of the segment.
func appendOperation(dst []byte, op *Operation, before int64) []byte {
	form, since := op.Semantics<<1, op.Time-before
	zigzag := uint64(since<<1) ^ uint64(since>>63)
	length := uint64(len(op.Request))
	at, end := len(dst), len(dst)+4+len(op.Request)
	if form|op.N|zigzag|length < 0x80 && len(op.Extensions) == 0 && end <= cap(dst) { // a byte for each number
		dst = dst[:end]
		binary.LittleEndian.PutUint32(dst[at:], uint32(form|op.N<<8|zigzag<<16|length<<24))
		copy(dst[at+4:], op.Request)
		return dst
	}
	if len(op.Extensions) > 0 {
		form |= formExtended
	}
	dst = binary.AppendUvarint(dst, form)
	dst = binary.AppendUvarint(dst, op.N)
	dst = binary.AppendUvarint(dst, zigzag)
	if len(op.Extensions) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(op.Extensions)))
		dst = append(dst, op.Extensions...)
	}
	dst = binary.AppendUvarint(dst, length)
	return append(dst, op.Request...)
}

// operations parses the operations of a record.
type operations struct {
	parser
	version uint16 // of the segment
	lsn     uint64 // of the next operation
	time    int64  // of the operation before it, or of the segment
}

// next sets op to the next operation; it sets bad if there is none.
func (p *operations) next(op *Operation) {
	op.LSN = p.lsn
	if p.version == 1 {
		op.N = p.uvarint()
		op.Request = p.bytes(sequence.MaxRequestBytes)
	} else {
		p.envelope(op)
	}
	p.bad = p.bad || op.N-1 >= sequence.MaxNumbers
	p.lsn += op.N
}

// envelope parses an operation of version 2.
func (p *operations) envelope(op *Operation) {
	if p.short(op) {
		return
	}
	form := p.uvarint()
	op.Semantics, op.N = form>>1, p.uvarint()
	p.time += p.varint()
	op.Time, op.Extensions = p.time, nil
	if form&formExtended != 0 {
		op.Extensions = p.bytes(sequence.MaxExtensionBytes)
		p.bad = p.bad || len(op.Extensions) == 0 || !sequence.ValidExtensions(op.Extensions)
	}
	op.Request = p.bytes(sequence.MaxRequestBytes)
	p.bad = p.bad || op.Semantics == 0
}

// short parses an operation without extensions, whose numbers have a byte each: most are such. It
// returns false for others.
func (p *operations) short(op *Operation) bool {
	b := p.b
	if len(b) < 4 || b[0]&formExtended != 0 || (b[0]|b[1]|b[2]|b[3])&0x80 != 0 || len(b) < 4+int(b[3]) {
		return false
	}
	since := int64(b[2]>>1) ^ -int64(b[2]&1)
	p.time += since
	op.Semantics, op.N, op.Time, op.Extensions = uint64(b[0]>>1), uint64(b[1]), p.time, nil
	end := 4 + int(b[3])
	op.Request, p.b = b[4:end:end], b[end:]
	p.bad = op.Semantics == 0
	return true
}

// check reports whether the record has exactly n operations that can be parsed. It returns the LSN
// that follows.
func (p *operations) check(n uint32) (next uint64, ok bool) {
	var op Operation
	count := uint32(0)
	for ; p.left() > 0 && !p.bad; count++ {
		p.next(&op)
	}
	return p.lsn, !p.bad && count == n
}
