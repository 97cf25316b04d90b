// Package wheel has a hierarchical timing wheel: it keeps timers in the order in which they are
// due.
//
// A wheel has levels of 64 slots. A slot of level 0 is one tick; a slot of each further level is as
// long as the whole level below it. A timer is at the level of the highest digit, in base 64, in
// which its tick differs from the wheel's. When the wheel reaches a slot above level 0, the slot's
// timers move to lower levels. So Add and Remove take constant time, and so does Next, which finds
// the first slot that is in use by the bits of each level.
//
// A wheel reads no clock and allocates nothing. It is not safe for concurrent use.
package wheel

import "math/bits"

const (
	digitBits = 6
	slots     = 1 << digitBits
	levels    = (63 + digitBits - 1) / digitBits // all ticks that are not negative
)

// Timer is a timer, a part of what waits for it. The zero Timer, with Owner set, is ready for Add.
type Timer struct {
	Owner Owner // its Due is called when the timer is due

	tick        int64
	prev, next  *Timer // in a ring, of the slot; nil: the timer is not in a wheel
	level, slot uint8
}

// Owner has a timer: Due is called when it is due.
type Owner interface {
	// Due is called once the timer was removed from the wheel. It may add and remove timers.
	Due()
}

// Active says whether the timer is in a wheel.
func (t *Timer) Active() bool { return t.next != nil }

// Wheel is a timing wheel. The zero Wheel is at tick 0.
type Wheel struct {
	now    int64
	levels [levels]level
	n      int

	// The wheel has reached this slot of a level above 0, and its timers move to lower levels. They
	// all move before one of them fires.
	reached     int // the level; 0: none
	reachedSlot int
}

type level struct {
	used  uint64        // bit i: slot i has timers
	slots [slots]*Timer // the first timer of a ring, in the order in which they were added
}

// Len returns the number of timers.
func (w *Wheel) Len() int { return w.n }

// Add makes t due at a tick, at once if that is past. An active timer is moved.
func (w *Wheel) Add(t *Timer, tick int64) {
	if t.Active() {
		w.Remove(t)
	}
	w.n++
	t.tick = max(tick, w.now)
	w.place(t)
}

// Remove removes t. It returns false if t is not active.
func (w *Wheel) Remove(t *Timer) bool {
	if !t.Active() {
		return false
	}
	w.n--
	w.take(t)
	return true
}

// Next returns a tick before which no timer is due, and false if there is no timer. At that tick
// Advance has something to do: a timer is due, or timers move to lower levels.
func (w *Wheel) Next() (tick int64, ok bool) {
	_, _, tick, ok = w.first()
	return tick, ok
}

// Advance moves the wheel to a tick and tells the owners of all timers that are due, those of an
// earlier tick first. It touches at most limit timers. It returns false if there is more to do at
// that tick: call it again.
func (w *Wheel) Advance(tick int64, limit int) (done bool) {
	for {
		k, slot, start, ok := w.first()
		if !ok || start > tick {
			w.now = max(w.now, tick)
			return true
		}
		if limit == 0 {
			return false
		}
		limit--
		w.now, w.reached, w.reachedSlot = start, k, slot
		t := w.levels[k].slots[slot]
		w.take(t)
		if t.tick > w.now {
			w.place(t)
			continue
		}
		w.n--
		t.Owner.Due()
	}
}

// first returns the first slot that is in use, and its first tick. The slots of a level come before
// those of the levels above, which are later, except for the slot that was reached.
func (w *Wheel) first() (k, slot int, start int64, ok bool) {
	if k := w.reached; k > 0 {
		if w.levels[k].used>>w.reachedSlot&1 != 0 {
			return k, w.reachedSlot, w.now, true
		}
		w.reached = 0
	}
	for k := range w.levels {
		if used := w.levels[k].used; used != 0 {
			slot := bits.TrailingZeros64(used)
			shift := digitBits * k
			above := w.now >> shift &^ (slots - 1)
			return k, slot, (above | int64(slot)) << shift, true
		}
	}
	return 0, 0, 0, false
}

// place puts t, whose tick is not past, into its slot.
func (w *Wheel) place(t *Timer) {
	k := 0
	if differs := uint64(t.tick ^ w.now); differs >= slots {
		k = (bits.Len64(differs) - 1) / digitBits
	}
	slot := t.tick >> (digitBits * k) & (slots - 1)
	l := &w.levels[k]
	t.level, t.slot = uint8(k), uint8(slot)
	head := l.slots[slot]
	if head == nil {
		t.prev, t.next = t, t
		l.slots[slot] = t
		l.used |= 1 << slot
		return
	}
	t.prev, t.next = head.prev, head
	head.prev.next = t
	head.prev = t
}

// take takes t out of its slot.
func (w *Wheel) take(t *Timer) {
	l := &w.levels[t.level]
	if t.next == t {
		l.slots[t.slot] = nil
		l.used &^= 1 << t.slot
	} else {
		t.prev.next, t.next.prev = t.next, t.prev
		if l.slots[t.slot] == t {
			l.slots[t.slot] = t.next
		}
	}
	t.prev, t.next = nil, nil
}
