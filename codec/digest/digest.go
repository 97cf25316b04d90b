// Package digest computes the digest of a database: a number that two databases share only if they
// hold the same tables, whatever the machine, the memory layout and the order of the computation.
// "Digest" in persist/FORMAT.md is the exact text.
//
// A digest is a sum of hashes, one for each table, entry and element. So parts of a database can be
// hashed in any order, by several goroutines with a Hasher each, and their sums added.
package digest

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Kind is the kind of a table, as it is hashed, and as shardmap.Kind and persist.Kind: do not
// change.
type Kind uint8

// The kinds.
const (
	Dict  Kind = 1
	List  Kind = 2
	Locks Kind = 3 // hashed as a dict
)

// Options are what a dict has besides its entries, as persist.TableOptions has it.
type Options struct {
	TTL, Idle, MaxEntries, MaxBytes int64
	Policy                          uint8
	Since                           int64
	Horizon                         uint64
}

// Queue are the options of a list. The zero Queue has none.
type Queue struct {
	MaxDeliveries uint64
	DeadLetter    string
}

// What a hashed record is of: its first byte.
const (
	ofTable   = 1
	ofEntry   = 2
	ofElement = 3
	ofHeld    = 4
	ofCounted = 5
)

// Sum is a sum of hashes, modulo 2^128, and how many tables and items they are of. The zero Sum is
// that of no table.
type Sum struct {
	hi, lo uint64
	Tables uint64
	Items  uint64 // entries, elements and held items
}

// Add adds the sum of another part.
func (s *Sum) Add(other Sum) {
	s.add(xxh3.Uint128{Hi: other.hi, Lo: other.lo})
	s.Tables += other.Tables
	s.Items += other.Items
}

func (s *Sum) add(hash xxh3.Uint128) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, hash.Lo, 0)
	s.hi, _ = bits.Add64(s.hi, hash.Hi, carry)
}

// String returns the sum, without the counts, as 32 hexadecimal digits.
func (s Sum) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }

// copiedBytes is the size up to which a record is copied and hashed at once. A longer one is hashed
// in pieces, so that a large value is not copied.
const copiedBytes = 4 << 10

// Hasher adds up the hashes of tables, one table after another. It allocates for a table's name
// alone. The zero Hasher is ready; it is for one goroutine.
type Hasher struct {
	Sum

	record []byte // the record; prefix bytes of it are the same for all items of a table
	prefix int
	stream xxh3.Hasher // of a long record
}

// Table begins the next table, and hashes what it is itself. A list has no such options.
func (h *Hasher) Table(kind Kind, name string, o Options) {
	h.table(kind, name)
	h.options(&o)
	if kind == List {
		h.endTable(ofElement)
	} else {
		h.endTable(ofEntry)
	}
}

// List is Table for a list with options of its own.
func (h *Hasher) List(name string, q Queue) {
	h.table(List, name)
	if q == (Queue{}) {
		h.number(0) // bytes
	} else {
		h.number(uint64(8 + len(q.DeadLetter)))
		h.number(q.MaxDeliveries)
		h.record = append(h.record, q.DeadLetter...)
	}
	h.endTable(ofElement)
}

func (h *Hasher) table(kind Kind, name string) {
	h.record = append(h.record[:0], ofTable, byte(kind))
	h.record = binary.LittleEndian.AppendUint64(h.record, uint64(len(name)))
	h.record = append(h.record, name...)
	h.prefix = len(h.record)
}

// endTable ends the record of a table, whose items are of one kind.
func (h *Hasher) endTable(items byte) {
	h.Tables++
	h.add(xxh3.Hash128(h.record))
	h.record[0] = items
}

// options adds the options to the record of a table.
func (h *Hasher) options(o *Options) {
	if *o == (Options{}) {
		h.number(0) // bytes
		return
	}
	fields := [...]uint64{
		uint64(
			o.TTL,
		),
		uint64(o.Idle),
		uint64(o.MaxEntries),
		uint64(o.MaxBytes),
		uint64(o.Policy),
		uint64(o.Since),
		o.Horizon,
	}
	h.number(uint64(8 * len(fields)))
	for _, n := range fields {
		h.number(n)
	}
}

// Entry hashes an entry of the current table, a dict. key and val are encoded; place is the LSN of
// the insertion, version that of the last change; deadline is in ms since 1970 UTC, 0: as the table
// says, -1: never.
func (h *Hasher) Entry(key, val []byte, place, version uint64, deadline int64) {
	h.begin()
	h.number(place)
	h.number(version)
	h.number(uint64(deadline))
	h.number(uint64(len(key)))
	h.number(uint64(len(val)))
	h.end(key, val)
}

// Element hashes an element of the current table, a list, as encoded.
func (h *Hasher) Element(index uint64, val []byte) {
	h.begin()
	h.number(index)
	h.number(uint64(len(val)))
	h.end(nil, val)
}

// Counted hashes how often an element of the current list was delivered. Nothing is hashed if it
// was not.
func (h *Hasher) Counted(index uint64, deliveries uint32) {
	if deliveries == 0 {
		return
	}
	h.begin()
	h.record[0] = ofCounted
	h.number(index)
	h.number(uint64(deliveries))
	h.add(xxh3.Hash128(h.record))
	h.record[0] = ofElement
}

// Held hashes an item that the current list holds. claim is empty if it is delayed; due is in ms
// since 1970 UTC.
func (h *Hasher) Held(receipt uint64, due int64, deliveries uint32, claim, val []byte) {
	h.begin()
	h.record[0] = ofHeld
	for _, n := range [...]uint64{receipt, uint64(due), uint64(deliveries), uint64(len(claim)), uint64(len(val))} {
		h.number(n)
	}
	h.end(claim, val)
	h.record[0] = ofElement
}

func (h *Hasher) begin() { h.record = h.record[:h.prefix] }

func (h *Hasher) number(v uint64) { h.record = binary.LittleEndian.AppendUint64(h.record, v) }

// end ends the record of an item.
func (h *Hasher) end(key, val []byte) {
	h.Items++
	if len(key)+len(val) <= copiedBytes {
		h.record = append(append(h.record, key...), val...)
		h.add(xxh3.Hash128(h.record))
		return
	}
	h.stream.Reset()
	for _, piece := range [...][]byte{h.record, key, val} {
		_, _ = h.stream.Write(piece) // never fails
	}
	h.add(h.stream.Sum128())
}
