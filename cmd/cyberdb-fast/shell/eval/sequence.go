package eval

import (
	"context"

	"cyberdb-fast/codec/govalue"
)

// Sequence is the content of a table, or a part of it. It is read page by page, so that neither
// side needs memory for all of it.
type Sequence struct {
	Kind SequenceKind
	// Each calls yield for each item until it returns false. key is nil for elements.
	Each func(ctx context.Context, yield func(key, val govalue.Encoded) bool) error
}

// SequenceKind says how a Sequence is written.
type SequenceKind uint8

// The kinds of sequences.
const (
	Elements SequenceKind = iota // [a, b]
	Items                        // {a: b}
	Pairs                        // [(a, b), (c, d)]
)

// keys and values are the parts of the items of a dict.
func (s *Sequence) keys() *Sequence {
	return &Sequence{Elements, func(ctx context.Context, yield func(_, val govalue.Encoded) bool) error {
		return s.Each(ctx, func(key, _ govalue.Encoded) bool { return yield(nil, key) })
	}}
}

func (s *Sequence) values() *Sequence {
	return &Sequence{Elements, func(ctx context.Context, yield func(_, val govalue.Encoded) bool) error {
		return s.Each(ctx, func(_, val govalue.Encoded) bool { return yield(nil, val) })
	}}
}
