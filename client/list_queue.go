package client

import (
	"context"
	"fmt"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// Receipt names one delivery of an item of a queue, to its own list only. It is a number that may
// be stored, and given to another process.
type Receipt uint64

// Delivery is an item that Take has taken from a queue.
type Delivery[T any] struct {
	Value      T
	Receipt    Receipt // for Ack, Nack and ExtendLease
	Deliveries int     // how often the item was delivered, this time included
}

// Put adds v at the end, after a delay if that is above 0; delay is at most MaxTTL. Until then the
// item is counted by Held only. Errors: ErrValue for another delay.
func (l *List[T]) Put(ctx context.Context, v T, delay time.Duration) error {
	return perform(ctx, l.put(v, delay))
}

func (l *List[T]) put(v T, delay time.Duration) *call {
	q := l.push(codec.OpListPut, v)
	q.addTime("a delay", delay, 0)
	return q
}

// Put is List.Put.
func (p ListPipe[T]) Put(v T, delay time.Duration) *Future[struct{}] {
	return queue(p.pipeline, p.list.put(v, delay), decodeNothing)
}

// Take takes the first item: it leaves the list and is leased to the caller, who ends the lease by
// Ack or Nack, or prolongs it by ExtendLease. If the list is empty, Take waits for an item; ok is
// false if the wait ends first. A wait of 0 returns at once, Forever waits as long as ctx allows.
// Callers that wait are served in the order in which they came.
//
// An item whose lease ends without Ack returns to the front of the list and is delivered again. So
// each item is delivered at least once, and to one caller at a time as long as leases last: the
// caller checks by the error of Ack that it was in time. The option MaxDeliveries limits how often:
// see ListOptions.
//
// If the value is not a T, Take returns an error, and returns the item: it joins the end of the
// list after the time of the lease, and does not block the items behind it. That delivery counts.
//
// Leased and delayed items are not elements of the list: Len, Clear, slices, iterations, and other
// requests neither see nor change them. Drop removes them.
//
// If ctx ends first, Take returns its error, and an item that was taken meanwhile is returned; that
// delivery does not count. If the connection is lost, Take asks again, and gets what it was given
// before. If it returns an error after that, ErrConnectionLost or another, an item may be leased to
// no client until the lease ends; so it may after ErrReplyTooLarge. Errors: ErrValue for a lease
// that is not above 0 or a wait below 0.
func (l *List[T]) Take(ctx context.Context, lease, wait time.Duration) (item Delivery[T], ok bool, err error) {
	claim := newOwner()
	e, err := ask(
		ctx,
		wait,
		ifLost,
		func(wait time.Duration) *call { return l.take(claim, lease, wait) },
		func(q *call) (Entry[Delivery[T]], error) { return l.decodeDelivery(q, lease) },
	)
	return e.Value, e.Found, err
}

// take makes the request. If its reply comes too late for the caller, the item is returned, and the
// delivery does not count.
func (l *List[T]) take(claim owner, lease, wait time.Duration) *call {
	q := l.client.write(codec.OpListTake, l.table)
	add(q, claim[:])
	q.addTime("a lease", lease, 1)
	q.addWait(wait)
	q.late = func(c *conn, q *call) {
		var receipt Receipt
		if !q.granted() || len(q.reply) < 2 { // nothing or nil
			return
		}
		if _, err := decodeNext(q.reply, &receipt); err == nil {
			undo(c, l.untake(receipt))
		}
	}
	return q
}

// decodeDelivery decodes nil, or receipt, deliveries and value. If it cannot decode the value, it
// returns the item to the end of the list, after the time of its lease.
func (l *List[T]) decodeDelivery(q *call, lease time.Duration) (e Entry[Delivery[T]], err error) {
	var receipt *Receipt
	rest, err := decodeNext(q.reply, &receipt)
	if err != nil || receipt == nil {
		return e, err
	}
	d := Delivery[T]{Receipt: *receipt}
	if rest, err = decodeNext(rest, &d.Deliveries); err == nil {
		_, err = decodeNext(rest, &d.Value)
	}
	if err != nil {
		_ = l.client.post(l.nack(*receipt, lease)) // if it fails, the lease ends in that time
		return e, fmt.Errorf("delivery %d of an item, which returns after its lease: %w", d.Deliveries, err)
	}
	return Entry[Delivery[T]]{Value: d, Found: true}, nil
}

// Ack removes a delivered item for good. Errors: ErrLeaseExpired if the lease has ended: the item
// may be delivered to another caller.
func (l *List[T]) Ack(ctx context.Context, receipt Receipt) error {
	return perform(ctx, l.ack(receipt))
}

func (l *List[T]) ack(receipt Receipt) *call { return l.receipt(codec.OpListAck, receipt) }

// Ack is List.Ack.
func (p ListPipe[T]) Ack(receipt Receipt) *Future[struct{}] {
	return queue(p.pipeline, p.list.ack(receipt), decodeNothing)
}

// Nack returns a delivered item: to the front of the list, or, if delay is above 0, to its end
// after that time. Errors: ErrLeaseExpired if the lease has ended; ErrValue for another delay.
func (l *List[T]) Nack(ctx context.Context, receipt Receipt, delay time.Duration) error {
	return perform(ctx, l.nack(receipt, delay))
}

func (l *List[T]) nack(receipt Receipt, delay time.Duration) *call {
	q := l.receipt(codec.OpListNack, receipt)
	q.addTime("a delay", delay, 0)
	return q
}

// untake returns an item that the caller has not seen: the delivery does not count.
func (l *List[T]) untake(receipt Receipt) *call {
	q := l.receipt(codec.OpListNack, receipt)
	q.frame = msgp.AppendNil(q.frame) // instead of a delay
	q.args++
	return q
}

// Nack is List.Nack.
func (p ListPipe[T]) Nack(receipt Receipt, delay time.Duration) *Future[struct{}] {
	return queue(p.pipeline, p.list.nack(receipt, delay), decodeNothing)
}

// ExtendLease makes the lease of a delivered item end after that time from now. Errors:
// ErrLeaseExpired if it has ended before; ErrValue for a lease that is not above 0.
func (l *List[T]) ExtendLease(ctx context.Context, receipt Receipt, lease time.Duration) error {
	return perform(ctx, l.extendLease(receipt, lease))
}

func (l *List[T]) extendLease(receipt Receipt, lease time.Duration) *call {
	q := l.receipt(codec.OpListExtendLease, receipt)
	q.addTime("a lease", lease, 1)
	return q
}

// ExtendLease is List.ExtendLease.
func (p ListPipe[T]) ExtendLease(receipt Receipt, lease time.Duration) *Future[struct{}] {
	return queue(p.pipeline, p.list.extendLease(receipt, lease), decodeNothing)
}

func (l *List[T]) receipt(op codec.Opcode, receipt Receipt) *call {
	q := l.client.write(op, l.table)
	add(q, uint64(receipt))
	return q
}

// HeldItems are the numbers of items of a queue that are not in the list.
type HeldItems struct {
	Leased  int // delivered, and not yet acknowledged
	Delayed int // to be appended later
}

// Held returns how many items are leased and how many are delayed.
func (l *List[T]) Held(ctx context.Context) (HeldItems, error) {
	return request(ctx, l.held(), decodeHeld)
}

func (l *List[T]) held() *call { return l.client.read(codec.OpListHeld, l.table) }

// Held is List.Held.
func (p ListPipe[T]) Held() *Future[HeldItems] { return queue(p.pipeline, p.list.held(), decodeHeld) }

func decodeHeld(q *call) (h HeldItems, err error) {
	rest, err := decodeNext(q.reply, &h.Leased)
	if err == nil {
		_, err = decodeNext(rest, &h.Delayed)
	}
	return h, err
}
