package shardmap

import (
	"fmt"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap/rope"
)

// Elements adds n packed elements at the end of a list. Errors, which end the restore: bytes that
// are not n checked encodings.
func (r *Restorer) Elements(packed []byte, n int) error {
	if r.table.kind != KindList {
		return ErrKind
	}
	at := 0
	for i := range n {
		size, err := value.CheckStored(packed[at:])
		if err != nil {
			return fmt.Errorf("table %q: element %d: %w", r.name, r.table.list.rope.Len()+i, err)
		}
		at += size
	}
	if at != len(packed) {
		return fmt.Errorf("table %q: %d bytes after %d elements", r.name, len(packed)-at, n)
	}
	r.table.list.rope.AppendPacked(packed, n)
	return nil
}

// Counted adds an element at the end of a list that was delivered so often. Errors: as those of
// Elements.
func (r *Restorer) Counted(deliveries uint32, val []byte) error {
	l := r.table.list
	if err := r.Elements(val, 1); err != nil || deliveries == 0 {
		return err
	}
	l.asQueue().countAppended(l.rope.Len()-1, deliveries)
	return nil
}

// Held adds an item that a list holds, after those with lower receipts. It copies the value.
//
// Errors, which end the restore: bytes that are not one checked encoding; a receipt that does not
// ascend or is above the clock; a due time that is none; a leased item that was not delivered.
func (r *Restorer) Held(h HeldItem) error {
	l := r.table.list
	switch {
	case l == nil:
		return ErrKind
	case h.Receipt <= r.last || h.Receipt > l.store.Clock():
		return fmt.Errorf("table %q: receipt %d does not fit after %d with the clock at %d",
			r.name, h.Receipt, r.last, l.store.Clock())
	case h.Due < 0 || h.Due > MaxDeadline:
		return fmt.Errorf("table %q: held item %d: its due time %d is not a time", r.name, h.Receipt, h.Due)
	case !h.Delayed && h.Deliveries == 0:
		return fmt.Errorf("table %q: held item %d is leased and was not delivered", r.name, h.Receipt)
	}
	if err := isOneValue(h.Val); err != nil {
		return fmt.Errorf("table %q: held item %d: %w", r.name, h.Receipt, err)
	}
	r.last = h.Receipt
	if len(h.Val) > rope.LeafBytes {
		h.Val = append([]byte(nil), h.Val...)
	}
	l.asQueue().hold(&h)
	return nil
}

// ConfigureList sets the options of a list.
func (r *Restorer) ConfigureList(o QueueOptions) error {
	if r.table.kind != KindList {
		return ErrKind
	}
	if o != (QueueOptions{}) {
		r.table.list.asQueue().options = o
	}
	return nil
}

// begins makes the held items of a restored list return, now that the list is in the store.
func (l *List) begins() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue != nil {
		l.schedule()
	}
}
