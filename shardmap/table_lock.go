package shardmap

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// tableLock is the sign on a table that a long write owns it.
//
// The owner sets the sign, then passes once through every lock of the table: calls that came before
// it have ended by then, and calls that come after it see the sign under their lock and do nothing.
// So the owner may leave the locks between its steps.
type tableLock struct {
	mu    sync.Mutex
	owner atomic.Pointer[lockOwner] // nil: open; written under mu
}

// lockOwner is one long write's ownership of a table.
type lockOwner struct {
	// the first LSN of the write: undrawn, drawing, then the number. Written by the owner, read by
	// views
	first    atomic.Uint64
	released chan struct{} // closed when the gate opens
	waiters  []func()      // guarded by gate.mu
}

const (
	unassigned = 0
	assigning  = MaxLSN + 1
)

// spoiled is the sign of a table that a defect has left half changed: it stays.
var poisoned = func() *lockOwner {
	h := &lockOwner{released: make(chan struct{})}
	close(h.released)
	return h
}()

// acquire makes the caller the owner, after earlier owners; nil: the table is spoiled. It blocks:
// never call it on an event loop but for a table nobody else knows yet.
func (g *tableLock) acquire() *lockOwner {
	for {
		h, owner := g.tryAcquire()
		if owner == nil {
			return h
		}
		if owner == poisoned {
			return nil
		}
		<-owner.released
	}
}

// tryAcquire makes the caller the owner, unless there is one, which it returns then; spoiled: there
// will be none any more.
func (g *tableLock) tryAcquire() (h, owner *lockOwner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if owner = g.owner.Load(); owner != nil {
		return nil, owner
	}
	h = &lockOwner{released: make(chan struct{})}
	g.owner.Store(h)
	return h, nil
}

// poison shuts the gate for good; false: it was so already. An owner that has not begun its change
// finds out.
func (g *tableLock) poison() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.owner.Swap(poisoned) != poisoned
}

// isPoisoned tells whether the table is spoiled. A false holds good as long as the caller keeps a
// lock of the table.
func (g *tableLock) isPoisoned() bool { return g.owner.Load() == poisoned }

// release opens the gate and wakes those who wait.
func (g *tableLock) release(h *lockOwner) {
	g.mu.Lock()
	g.owner.CompareAndSwap(h, nil)
	waiters := h.waiters
	g.mu.Unlock()
	h.first.CompareAndSwap(assigning, unassigned) // of a write that panicked
	close(h.released)
	for _, wake := range waiters {
		wake()
	}
}

// locked tells whether a long write owns the table. It holds good as long as the caller keeps a lock
// of the table, and for as long as that only.
func (g *tableLock) locked() bool { return g.owner.Load() != nil }

// whenReleased has wake called once the gate opens; false: it is open.
func (g *tableLock) whenReleased(wake func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.owner.Load()
	if h == nil || h == poisoned {
		return false
	}
	h.waiters = append(h.waiters, wake)
	return true
}

// waitOrBusy is what a call does that saw the sign: a call beside the loop waits for the gate to open and
// is made again (nil), an inline call ends with ErrBusy; ErrPoisoned. The caller holds no lock.
func (g *tableLock) waitOrBusy(c *Call) error {
	if g.isPoisoned() {
		return ErrPoisoned
	}
	if !c.MayBlock {
		return ErrBusy
	}
	if h := g.owner.Load(); h != nil {
		<-h.released
	}
	return nil
}

// waitBefore waits for a long write that the view with the given number must see whole. A write
// that has drawn no number yet will draw a higher one.
func (g *tableLock) waitBefore(number uint64) {
	h := g.owner.Load()
	if h == nil {
		return
	}
	first := h.first.Load()
	for first == assigning {
		runtime.Gosched()
		first = h.first.Load()
	}
	if first != unassigned && first < number {
		<-h.released
	}
}

// assign is Store.draw for the owner of t's gate.
func (h *lockOwner) assign(c *Call, t *Table, k uint64) (n uint64, vs *viewList) {
	h.first.Store(assigning)
	n, vs = t.store.assign(c, t, k)
	h.first.Store(n)
	return n, vs
}
