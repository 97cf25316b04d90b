package shardmap

import (
	"bytes"
	"errors"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/shardmap/rope"
)

// ErrLease is returned for a receipt that names no leased item of the list: the lease has ended,
// the item was acknowledged, or the receipt is that of another list.
var ErrLease = errors.New("no such lease")

// Put adds val so many milliseconds from Call.Time on, at the end; until then it is held.
func (l *List) Put(c *Call, val []byte, delay int64) error {
	if delay <= 0 {
		return l.Append(c, val)
	}
	val = copyLarge(val)
	if err := l.lockToWrite(c); err != nil {
		return err
	}
	l.beginChange(c, 1)
	l.asQueue().hold(&HeldItem{Receipt: c.Version, Due: dueAt(c, delay), Delayed: true, Val: val})
	l.schedule()
	l.unlockChanged(c)
	return nil
}

// dueAt returns the time so many milliseconds after Call.Time.
func dueAt(c *Call, after int64) int64 {
	if brokenDue && c.Replay {
		after += replayTime
	}
	return min(c.Time+after, MaxDeadline)
}

// Claimed appends what Take has appended for a claim whose lease has not ended, and changes
// nothing; there is false if there is no such lease. Errors: ErrLong as Get.
func (l *List) Claimed(c *Call, dst []byte, claim Claim) (out []byte, there bool, err error) {
	if err := l.lockToRead(c); err != nil {
		return dst, false, err
	}
	if h, ok := l.claimed(c, claim); ok {
		return l.appendTaken(c, dst, &h)
	}
	c.unlock()
	return dst, false, nil
}

// claimed returns the item that is leased for a claim. What was logged has leased another one. The
// caller holds mu.
func (l *List) claimed(c *Call, claim Claim) (h HeldItem, there bool) {
	if c.Replay {
		return h, false
	}
	h, there = l.queue.claimed(claim)
	return h, there && h.Due > l.store.now.Load()
}

// Take leases the first element to a claim, for so many milliseconds from Call.Time on. It appends
// receipt, number of deliveries and the element to dst; there is false if the list is empty. While
// an item is leased to the claim already, it appends that one and changes nothing.
//
// Errors: ErrLong as Get.
func (l *List) Take(c *Call, dst []byte, claim Claim, lease int64) (out []byte, there bool, err error) {
	if err := l.lockToWrite(c); err != nil {
		return dst, false, err
	}
	if h, ok := l.claimed(c, claim); ok {
		return l.appendTaken(c, dst, &h)
	}
	if l.rope.Len() == 0 {
		c.unlock()
		return dst, false, nil
	}
	elem := l.rope.Get(0)
	if len(elem) > InlineBytes && !c.MayBlock {
		c.unlock()
		return dst, false, ErrLong
	}
	l.beginChange(c, 1)
	q := l.asQueue()
	h := HeldItem{
		Receipt: c.Version, Due: dueAt(c, lease), Deliveries: addDelivery(countAt(&q.counts.Root, 0)),
		Claim: claim, Val: elem,
	}
	q.hold(&h)
	q.taken++
	l.schedule()
	return l.takeOut(c, appendReceipt(dst, &h), 0, elem), true, nil
}

// appendTaken is Take for an item that is leased already. It unlocks the mutex.
func (l *List) appendTaken(c *Call, dst []byte, h *HeldItem) (out []byte, there bool, err error) {
	elem := h.Val
	if len(elem) > InlineBytes && !c.MayBlock {
		c.unlock()
		return dst, false, ErrLong
	}
	dst = appendReceipt(dst, h)
	if len(elem) <= rope.LeafBytes {
		dst, elem = append(dst, elem...), nil
	}
	c.unlock()
	return append(dst, elem...), true, nil
}

func appendReceipt(dst []byte, h *HeldItem) []byte {
	return msgp.AppendUint32(msgp.AppendUint64(dst, h.Receipt), h.Deliveries)
}

// Ack removes a leased item for good. Errors: ErrLease.
func (l *List) Ack(c *Call, receipt uint64) error {
	h, i, err := l.lockLeased(c, receipt)
	if brokenAck && errors.Is(err, ErrLease) {
		return nil
	}
	if err != nil {
		return err
	}
	l.beginChange(c, 1)
	l.queue.release(&h, i)
	l.unlockChanged(c)
	return nil
}

// ExtendLease makes a lease end so many milliseconds after Call.Time. Errors: ErrLease.
func (l *List) ExtendLease(c *Call, receipt uint64, lease int64) error {
	h, i, err := l.lockLeased(c, receipt)
	if err != nil {
		return err
	}
	l.beginChange(c, 1)
	q := l.queue
	q.due.Delete(heldDue{at: h.Due, receipt: receipt})
	h.Due = dueAt(c, lease)
	q.due.Set(heldDue{at: h.Due, receipt: receipt})
	q.held.SetOwned(2*i, h.appendHead(nil))
	l.schedule()
	l.unlockChanged(c)
	return nil
}

// What Nack does with an item instead of a delay.
const (
	// NackUncounted returns the item to the front, as if it had not been taken.
	NackUncounted = -1
)

// Nack ends a lease. The item returns to the front at once, or if delay is above 0, it joins the
// end so many milliseconds after Call.Time; its number of deliveries stays. An item that was
// delivered too often goes to the dead letters at once, as QueueOptions say.
//
// Errors: ErrLease; ErrBusy, also if a long write owns the list of the dead letters, with
// Call.Blocker.
func (l *List) Nack(c *Call, receipt uint64, delay int64) error {
	to, err := l.lockDead(c, func() bool { return l.dies(c, receipt, delay) })
	if err != nil {
		return err
	}
	h, i, ok := l.leased(receipt, c.Replay)
	switch {
	case !ok:
		err = ErrLease
	case to != nil && l.dies(c, receipt, delay):
		c.returned = append(c.returned[:0], Returned{h.Receipt, h.Due})
		l.returnByEffect(c, to)
	default:
		l.nack(c, h, i, delay)
	}
	c.unlockBoth()
	return err
}

// nack ends the lease of held item i, which is no dead letter. The caller holds mu.
func (l *List) nack(c *Call, h HeldItem, i int, delay int64) {
	l.beginChange(c, 1)
	switch {
	case delay == NackUncounted:
		h.Deliveries--
		l.returnHeld(&h, i)
	case delay <= 0:
		l.returnHeld(&h, i)
	default:
		l.delayHeld(c, h, i, delay)
	}
	l.length.Store(int64(l.rope.Len()))
	c.complete()
}

// dies reports whether the item that is leased by a receipt becomes a dead letter when it is given
// back. A request that is replayed was logged because it did not. The caller holds mu.
func (l *List) dies(c *Call, receipt uint64, delay int64) bool {
	if c.Replay || delay == NackUncounted {
		return false
	}
	h, _, ok := l.leased(receipt, false)
	return ok && l.queue.options.exhausted(&h)
}

// delayHeld makes a delayed item of leased item i. The change has begun.
func (l *List) delayHeld(c *Call, h HeldItem, i int, delay int64) {
	q := l.queue
	delayed := h
	delayed.Receipt, delayed.Due, delayed.Delayed = c.Version, dueAt(c, delay), true
	if len(h.Val) <= rope.LeafBytes {
		delayed.Val = bytes.Clone(h.Val) // the rope moves what it has
	}
	q.hold(&delayed)
	q.release(&h, i)
	l.schedule()
}

// returnHeld returns held item i to the list. The change has begun.
func (l *List) returnHeld(h *HeldItem, i int) {
	q := l.queue
	if h.Delayed {
		at := l.rope.Len()
		l.rope.AppendOwned(h.Val)
		q.countAppended(at, h.Deliveries)
	} else {
		l.rope.InsertOwned(0, h.Val)
		q.countPushed(h.Deliveries)
	}
	q.release(h, i)
}

// lockLeased locks the mutex and finds a leased item. Errors, after which it is unlocked: ErrLease.
func (l *List) lockLeased(c *Call, receipt uint64) (h HeldItem, i int, err error) {
	if err := l.lockToWrite(c); err != nil {
		return h, 0, err
	}
	h, i, ok := l.leased(receipt, c.Replay)
	if !ok {
		c.unlock()
		return h, 0, ErrLease
	}
	return h, i, nil
}

// leased returns the item that is leased by a receipt, and its number. An item whose lease has
// ended is not, even if Sweep has not returned it yet; in a replay it is. The caller holds mu.
func (l *List) leased(receipt uint64, replay bool) (h HeldItem, i int, ok bool) {
	h, i, ok = l.queue.find(receipt)
	return h, i, ok && !h.Delayed && (replay || h.Due > l.store.now.Load())
}

// Held returns how many items the list holds.
func (l *List) Held(c *Call) (leased, delayed int, err error) {
	if err := l.lockToRead(c); err != nil {
		return 0, 0, err
	}
	defer c.unlock()
	if q := l.queue; q != nil {
		leased, delayed = q.leased, q.held.Len()/2-q.leased
	}
	return leased, delayed, nil
}
