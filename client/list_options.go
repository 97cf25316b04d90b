package client

import (
	"context"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// ListOptions limit how often the items of a queue are delivered. Both are given together, or none.
// Configure leaves the options as they are if both are zero, and removes them if MaxDeliveries is
// None.
type ListOptions struct {
	// MaxDeliveries is how often an item is delivered, 1 to 1000: one that would return to the list
	// after that (its lease has ended, or Nack) goes to the list DeadLetter.
	MaxDeliveries int
	// DeadLetter is the name of a list. If there is no such table, the server creates it when it is
	// needed.
	DeadLetter string
}

// onWire returns the options that are to be changed. Errors: ErrValue.
func (o *ListOptions) onWire() ([]wireOption, error) {
	switch {
	case o.MaxDeliveries == 0 && o.DeadLetter == "":
		return nil, nil
	case o.MaxDeliveries == None && o.DeadLetter == "":
		return []wireOption{{"max_deliveries", nil}, {"dead_letter", nil}}, nil
	case o.MaxDeliveries < 1 || o.DeadLetter == "":
		return nil, fmt.Errorf(
			"%w: MaxDeliveries is at least 1 and given together with DeadLetter, not %d and %q",
			ErrValue,
			o.MaxDeliveries,
			o.DeadLetter,
		)
	}
	return []wireOption{{"max_deliveries", o.MaxDeliveries}, {"dead_letter", o.DeadLetter}}, nil
}

// CreateWith is Create with options. Errors: those of Create, and ErrValue for an option that is
// out of range.
func (l *List[T]) CreateWith(ctx context.Context, o ListOptions, items ...T) error {
	_, err := request(ctx, l.createWith(&o, false, items), decodeOne[bool])
	return err
}

// EnsureWith is Ensure with options, which are those of a new table: one that exists keeps its own.
// Errors: ErrValue for an option that is out of range.
func (l *List[T]) EnsureWith(ctx context.Context, o ListOptions, items ...T) (made bool, err error) {
	return request(ctx, l.createWith(&o, true, items), decodeOne[bool])
}

func (l *List[T]) createWith(o *ListOptions, existOK bool, items []T) *call {
	options, err := o.onWire()
	if err == nil && len(options) == 0 {
		return l.create(existOK, items) // which servers without options understand
	}
	q := l.client.write(codec.OpCreateList, l.table)
	if q.err == nil {
		q.err = err
	}
	addOptions(q, append(options, wireOption{"exist_ok", existOK}))
	return addAll(q, items)
}

// Configure changes the options of the list. Errors: ErrValue for an option that is out of range.
func (l *List[T]) Configure(ctx context.Context, changes ListOptions) error {
	q := l.client.write(codec.OpConfigure, l.table)
	options, err := changes.onWire()
	if q.err == nil {
		q.err = err
	}
	addOptions(q, options)
	return perform(ctx, q)
}

// Options returns the options of the list; both are zero if it has none.
func (l *List[T]) Options(ctx context.Context) (ListOptions, error) {
	return request(ctx, l.client.read(codec.OpOptions, l.table), func(q *call) (o ListOptions, err error) {
		wire, err := govalue.UnmarshalOf[struct {
			MaxDeliveries *int    `cyberdb:"max_deliveries"`
			DeadLetter    *string `cyberdb:"dead_letter"`
		}](q.reply)
		if wire.DeadLetter != nil {
			o.DeadLetter = *wire.DeadLetter
		}
		o.MaxDeliveries = orZero(wire.MaxDeliveries)
		return o, err
	})
}
