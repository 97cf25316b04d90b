package persist

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Queue is what a list has as a queue, besides its held items. The zero Queue is that of a plain
// list.
type Queue struct {
	Held          uint64 // held items, which come before the elements; a Writer counts them itself
	Counted       uint64 // elements in blocks of their own, which say how often they were delivered; likewise
	MaxDeliveries uint64 // 0: no limit
	DeadLetter    string // the name of the list that takes what reaches it; "": none
}

// HeldItem is an item that a list holds. The bytes of one that is read are valid until the next
// step.
type HeldItem struct {
	Receipt    uint64 // LSN: held items are in this order
	Due        int64  // when it returns, in milliseconds since 1970 UTC, below 2^48
	Deliveries uint32 // how often it was taken
	Delayed    bool   // it is not leased, and has no claim
	Claim      [16]byte
	Val        []byte
}

// ClaimBytes returns the claim of a leased item; nil: it is delayed.
func (h *HeldItem) ClaimBytes() []byte {
	if h.Delayed {
		return nil
	}
	return h.Claim[:]
}

// Len returns how many entries or elements the table has, without held items.
func (t *Table) Len() uint64 { return t.Items - t.Queue.Held }

// appendQueue appends the option with tagQueue.
func appendQueue(dst []byte, q *Queue) []byte {
	if *q == (Queue{}) {
		return dst
	}
	var b []byte
	for _, n := range [...]uint64{q.Held, q.Counted, q.MaxDeliveries} {
		b = binary.AppendUvarint(b, n)
	}
	return appendBytes(append(dst, tagQueue), appendBytes(b, q.DeadLetter))
}

// queue reads the option with tagQueue.
func (p *payloadParser) queue(t *Table, of *parser) {
	q := Queue{Held: of.uvarint(), Counted: of.uvarint(), MaxDeliveries: of.uvarint()}
	q.DeadLetter = string(of.bytes(maxNameBytes))
	of.bad = of.bad || t.Kind != List || max(q.Held, q.Counted, q.MaxDeliveries) > maxNumber
	if !of.bad && of.left() > 0 && p.unknown == "" {
		p.unknown = "unknown fields in its options of a queue"
	}
	t.Queue = q
}

// checkQueue returns an error if a Writer cannot write what a table has as a queue.
func (t *Table) checkQueue() error {
	q := &t.Queue
	if *q != (Queue{}) && t.Kind != List || q.MaxDeliveries > maxNumber || len(q.DeadLetter) > maxNameBytes {
		return fmt.Errorf("table %q is a %v and has impossible options of a queue", t.Name, t.Kind)
	}
	return nil
}

// appendHeld appends a held item: its receipt as the difference from the one before.
func appendHeld(dst []byte, before uint64, h *HeldItem) []byte {
	dst = binary.AppendUvarint(dst, h.Receipt-before)
	dst = binary.AppendUvarint(dst, uint64(h.Due))
	dst = binary.AppendUvarint(dst, uint64(h.Deliveries))
	dst = appendBytes(dst, h.ClaimBytes())
	return appendBytes(dst, h.Val)
}

func (p *payloadParser) held(before uint64) (h HeldItem) {
	after := p.uvarint()
	h.Receipt = before + after
	due, deliveries := p.uvarint(), p.uvarint()
	h.Due, h.Deliveries = int64(due), uint32(deliveries)
	claim := p.bytes(uint64(len(h.Claim)))
	h.Val = p.bytes(maxGroupBytes)
	h.Delayed = len(claim) == 0
	if after == 0 || after > maxNumber-before || due > maxDeadline || deliveries > math.MaxUint32 ||
		!h.Delayed && copy(h.Claim[:], claim) < len(h.Claim) {
		p.b, p.bad = nil, true
	}
	return h
}

func (p *payloadParser) counted() (deliveries uint32, val []byte) {
	n := p.uvarint()
	val = p.bytes(maxGroupBytes)
	if n > math.MaxUint32 {
		p.b, p.bad = nil, true
	}
	return uint32(n), val
}

// Held appends an item that the current list holds. It copies h. Held items come before elements,
// and their receipts ascend.
func (f *Writer) Held(h HeldItem) error {
	if f.err == nil && (h.Due < 0 || h.Due > maxDeadline) {
		f.err = fmt.Errorf("a held item is due at %d, which is not between 0 and %d", h.Due, int64(maxDeadline))
	}
	f.room(blockHeld, len(h.Val))
	if f.err == nil && (h.Receipt <= f.before || h.Receipt > maxNumber) {
		f.err = fmt.Errorf("a held item with receipt %d after %d", h.Receipt, f.before)
	}
	if n := len(f.index); f.err == nil && n > 0 {
		if f.index[n-1].Items > f.index[n-1].Queue.Held {
			f.err = fmt.Errorf("a held item after elements")
		}
		f.index[n-1].Queue.Held++
	}
	f.raw = appendHeld(f.raw, f.before, &h)
	f.before = h.Receipt
	return f.item(List)
}

// Counted is Element for one that was delivered so often. Elements follow one another in the order
// of the list, whichever method appends them.
func (f *Writer) Counted(deliveries uint32, val []byte) error {
	if deliveries == 0 && f.typ != blockCounted { // in such a block it stays, so that blocks are not small
		return f.Element(val)
	}
	f.room(blockCounted, len(val))
	if f.err == nil && len(f.index) > 0 {
		f.index[len(f.index)-1].Queue.Counted++
	}
	f.raw = appendBytes(binary.AppendUvarint(f.raw, uint64(deliveries)), val)
	return f.item(List)
}

// HeldLen returns how many held items the block has: all of its items are, or none.
func (b *Block) HeldLen() int {
	if b.typ == blockHeld {
		return b.items
	}
	return 0
}

// Held yields the held items of a block; of another block, nothing.
func (b *Block) Held() iter.Seq[HeldItem] {
	return func(yield func(HeldItem) bool) {
		if b.typ != blockHeld {
			return
		}
		p := newPayloadParser(b.raw, b.version)
		for before := uint64(0); p.left() > 0; {
			h := p.held(before)
			if p.bad || !yield(h) {
				return
			}
			before = h.Receipt
		}
	}
}

// Elements yields the elements of a block; of another block, nothing. The bytes are valid until the
// next step.
func (b *Block) Elements() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, val := range b.Counted() {
			if !yield(val) {
				return
			}
		}
	}
}

// Counted yields the elements of a block, each with how often it was delivered.
func (b *Block) Counted() iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		if b.typ != blockElements && b.typ != blockCounted {
			return
		}
		p := newPayloadParser(b.raw, b.version)
		for p.left() > 0 {
			n, val := uint32(0), []byte(nil)
			if b.typ == blockCounted {
				n, val = p.counted()
			} else {
				val = p.bytes(maxGroupBytes)
			}
			if p.bad || !yield(n, val) {
				return
			}
		}
	}
}
