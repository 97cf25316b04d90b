package shardmap

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// gate is the sign on a table that a long write owns it.
//
// The owner sets the sign, then passes once through every lock of the table: calls that came before
// it have ended by then, and calls that come after it see the sign under their lock and do nothing.
// So the owner may leave the locks between its steps.
type gate struct {
	mu   sync.Mutex
	sign atomic.Pointer[hold] // nil: open; written under mu
}

// hold is one long write's ownership of a table.
type hold struct {
	// the first LSN of the write: undrawn, drawing, then the number. Written by the owner, read by
	// views
	first   atomic.Uint64
	over    chan struct{} // closed when the gate opens
	waiters []func()      // guarded by gate.mu
}

const (
	undrawn = 0
	drawing = MaxLSN + 1
)

// spoiled is the sign of a table that a defect has left half changed: it stays.
var spoiled = func() *hold {
	h := &hold{over: make(chan struct{})}
	close(h.over)
	return h
}()

// enter makes the caller the owner, after earlier owners; nil: the table is spoiled. It blocks:
// never call it on an event loop but for a table nobody else knows yet.
func (g *gate) enter() *hold {
	for {
		h, owner := g.tryEnter()
		if owner == nil {
			return h
		}
		if owner == spoiled {
			return nil
		}
		<-owner.over
	}
}

// tryEnter makes the caller the owner, unless there is one, which it returns then; spoiled: there
// will be none any more.
func (g *gate) tryEnter() (h, owner *hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if owner = g.sign.Load(); owner != nil {
		return nil, owner
	}
	h = &hold{over: make(chan struct{})}
	g.sign.Store(h)
	return h, nil
}

// spoil shuts the gate for good; false: it was so already. An owner that has not begun its change
// finds out.
func (g *gate) spoil() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sign.Swap(spoiled) != spoiled
}

// isSpoiled tells whether the table is spoiled. A false holds good as long as the caller keeps a
// lock of the table.
func (g *gate) isSpoiled() bool { return g.sign.Load() == spoiled }

// leave opens the gate and wakes those who wait.
func (g *gate) leave(h *hold) {
	g.mu.Lock()
	g.sign.CompareAndSwap(h, nil)
	waiters := h.waiters
	g.mu.Unlock()
	h.first.CompareAndSwap(drawing, undrawn) // of a write that panicked
	close(h.over)
	for _, wake := range waiters {
		wake()
	}
}

// shut tells whether a long write owns the table. It holds good as long as the caller keeps a lock
// of the table, and for as long as that only.
func (g *gate) shut() bool { return g.sign.Load() != nil }

// wait has wake called once the gate opens; false: it is open.
func (g *gate) wait(wake func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.sign.Load()
	if h == nil || h == spoiled {
		return false
	}
	h.waiters = append(h.waiters, wake)
	return true
}

// meet is what a call does that saw the sign: a call beside the loop waits for the gate to open and
// is made again (nil), an inline call ends with ErrBusy; ErrSpoiled. The caller holds no lock.
func (g *gate) meet(c *Call) error {
	if g.isSpoiled() {
		return ErrSpoiled
	}
	if !c.Beside {
		return ErrBusy
	}
	if h := g.sign.Load(); h != nil {
		<-h.over
	}
	return nil
}

// awaitBefore waits for a long write that the view with the given number must see whole. A write
// that has drawn no number yet will draw a higher one.
func (g *gate) awaitBefore(number uint64) {
	h := g.sign.Load()
	if h == nil {
		return
	}
	first := h.first.Load()
	for first == drawing {
		runtime.Gosched()
		first = h.first.Load()
	}
	if first != undrawn && first < number {
		<-h.over
	}
}

// draw is Store.draw for the owner of t's gate.
func (h *hold) draw(c *Call, t *Table, k uint64) (n uint64, vs *viewList) {
	h.first.Store(drawing)
	n, vs = t.store.draw(c, t, k)
	h.first.Store(n)
	return n, vs
}
