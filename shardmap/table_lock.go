package shardmap

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// tableLock is the lock that a long write takes on a table.
//
// The owner sets owner, then locks and unlocks each lock of the table once. Calls that began
// earlier have ended by then; later calls see the owner under their lock and do nothing. So the
// owner can work in steps without holding the table's locks between them.
type tableLock struct {
	mu    sync.Mutex
	owner atomic.Pointer[lockOwner] // nil: not locked; written under mu
}

// lockOwner is one long write's ownership of a table.
type lockOwner struct {
	// first is the first LSN of the write: unassigned, assigning, then the LSN. The owner writes
	// it, views read it.
	first    atomic.Uint64
	released chan struct{} // closed when the lock is released
	waiters  []func()      // guarded by tableLock.mu
}

const (
	unassigned = 0
	assigning  = MaxLSN + 1
)

// poisoned is the permanent owner of a poisoned table.
var poisoned = func() *lockOwner {
	h := &lockOwner{released: make(chan struct{})}
	close(h.released)
	return h
}()

// acquire takes the lock, after earlier owners. It returns nil if the table is poisoned. It blocks:
// on an event loop it may only be called for a table that no other call knows yet.
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

// tryAcquire takes the lock if it is free; otherwise it returns the owner, which for a poisoned
// table is poisoned.
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

// poison locks the table permanently. It returns false if that was so already. A current owner that
// has not begun its change notices it.
func (g *tableLock) poison() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.owner.Swap(poisoned) != poisoned
}

// isPoisoned reports whether the table is poisoned. False stays true while the caller holds a lock
// of the table.
func (g *tableLock) isPoisoned() bool { return g.owner.Load() == poisoned }

// release releases the lock and wakes the waiters.
func (g *tableLock) release(h *lockOwner) {
	g.mu.Lock()
	g.owner.CompareAndSwap(h, nil)
	waiters := h.waiters
	g.mu.Unlock()
	h.first.CompareAndSwap(assigning, unassigned) // after a panic
	close(h.released)
	for _, wake := range waiters {
		wake()
	}
}

// locked reports whether a long write owns the table. The answer stays true only while the caller
// holds a lock of the table.
func (g *tableLock) locked() bool { return g.owner.Load() != nil }

// whenReleased calls wake once the lock is released. It returns false if the table is not locked.
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

// waitOrBusy is what a call does that finds the table locked. A call that may block waits, and nil
// tells it to try again; an inline call gets ErrBusy. A poisoned table gives ErrPoisoned. The
// caller holds no lock.
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

// waitUpTo waits for a long write that the view with the given LSN must show. A write that has
// no LSN yet will get a higher one.
func (g *tableLock) waitUpTo(lsn uint64) {
	h := g.owner.Load()
	if h == nil {
		return
	}
	first := h.first.Load()
	for first == assigning {
		runtime.Gosched()
		first = h.first.Load()
	}
	if first != unassigned && first <= lsn {
		<-h.released
	}
}

// assign is Store.assign for the owner of t's lock.
func (h *lockOwner) assign(c *Call, t *Table, k uint64) (n uint64, vs *viewList) {
	h.first.Store(assigning)
	n, vs = t.store.assign(c, t, k)
	h.first.Store(n)
	return n, vs
}
