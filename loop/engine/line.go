package engine

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
)

// Requests that wait for the same thing, such as a lock, stand in a line: first come, first served.
// Only the first of them is woken. It is executed again, and when it is over, the next one is
// first. A line is in memory alone.
//
// A line also has a gate, which a request holds while it is executed: the requests that grant a
// lock, and those that need it to stay granted (IF FENCE).

// lineStripes is how many mutexes the lines have together.
const lineStripes = 64

// lines has all lines by their keys, which are the keys of entries or the names of lists.
type lines struct {
	seed    maphash.Seed
	stripes [lineStripes]lineStripe
}

type lineStripe struct {
	mu    sync.Mutex
	lines map[string]*line // guarded by mu
}

// line is one line, or a gate that is held. It is guarded by its stripe's mutex.
type line struct {
	stripe      *lineStripe // constant
	key         string      // constant
	first, last *place
	n           int
	held        bool                  // the gate is
	outside     map[*outside]struct{} // requests that wait for the gate
}

// outside is a request that waits for a gate.
type outside struct{ wake func() }

// place is where a request stands in a line. It is guarded by the stripe's mutex, except where
// said.
type place struct {
	stripe     *lineStripe // constant
	line       *line       // nil: it has left
	prev, next *place
	wake       func() // nil: the request is being executed
	owner      owner  // constant; of requests that name one
	canceled   bool
}

// owner names the holder of a lock or a lease: 16 bytes that a client has chosen.
type owner [ownerBytes]byte

const ownerBytes = 16

func newLines() *lines { return &lines{seed: maphash.MakeSeed()} }

func (l *lines) stripe(key []byte) *lineStripe {
	return &l.stripes[maphash.Bytes(l.seed, key)%lineStripes]
}

// find returns the line of a key; nil: nothing waits, and its gate is open. The stripe is locked.
func (s *lineStripe) find(key []byte) *line { return s.lines[string(key)] }

// make returns the line of a key. The stripe is locked.
func (s *lineStripe) make(key []byte) *line {
	if l := s.find(key); l != nil {
		return l
	}
	if s.lines == nil {
		s.lines = make(map[string]*line)
	}
	l := &line{stripe: s, key: string(key)}
	s.lines[l.key] = l
	return l
}

// drop forgets a line that nothing uses. The stripe is locked.
func (l *line) drop() {
	if l.n == 0 && !l.held && len(l.outside) == 0 {
		delete(l.stripe.lines, l.key)
	}
}

// join puts a request at the end of the line of a key.
func (l *lines) join(key []byte, of owner) *place {
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.make(key)
	p := &place{stripe: s, line: at, prev: at.last, owner: of}
	if at.last != nil {
		at.last.next = p
	} else {
		at.first = p
	}
	at.last = p
	at.n++
	return p
}

// first reports whether the place is the first of its line.
func (p *place) first() bool {
	p.stripe.mu.Lock()
	defer p.stripe.mu.Unlock()
	return p.line != nil && p.line.first == p
}

// leave takes the place out of its line. If it was the first one, the next one is woken.
func (p *place) leave() {
	p.stripe.mu.Lock()
	at := p.line
	if at == nil {
		p.stripe.mu.Unlock()
		return
	}
	wasFirst := at.first == p
	if wasFirst {
		at.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		at.last = p.prev
	}
	at.n--
	p.line, p.prev, p.next, p.wake = nil, nil, nil, nil
	var wake func()
	if wasFirst && at.first != nil {
		wake = at.first.wake
	}
	at.drop()
	p.stripe.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// when is Wait.When: wake is called when the place is first, and when it is canceled. If it is
// first already, change is registered too, unless it is nil.
func (p *place) when(change func(wake func()) (cancel func())) func(wake func()) (cancel func()) {
	return func(wake func()) (cancel func()) {
		p.stripe.mu.Lock()
		p.wake = wake
		first := p.line != nil && p.line.first == p
		p.stripe.mu.Unlock()
		var end func()
		if first && change != nil {
			end = change(wake)
		}
		return func() {
			p.stripe.mu.Lock()
			p.wake = nil
			p.stripe.mu.Unlock()
			if end != nil {
				end()
			}
		}
	}
}

// waiting returns how many requests are in the line of a key.
func (l *lines) waiting(key []byte) int {
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.find(key); at != nil {
		return at.n
	}
	return 0
}

// wakeFirst wakes the first request in the line of a key.
func (l *lines) wakeFirst(key []byte) {
	s := l.stripe(key)
	s.mu.Lock()
	var wake func()
	if at := s.find(key); at != nil && at.first != nil {
		wake = at.first.wake
	}
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// wakeAll wakes all requests in the line of a key.
func (l *lines) wakeAll(key []byte) {
	s := l.stripe(key)
	s.mu.Lock()
	var wakes []func()
	if at := s.find(key); at != nil {
		for p := at.first; p != nil; p = p.next {
			if p.wake != nil {
				wakes = append(wakes, p.wake)
			}
		}
	}
	s.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// cancel cancels the requests of an owner in the line of a key. It returns how many it has looked
// at.
func (l *lines) cancel(key []byte, of owner) (looks int) {
	s := l.stripe(key)
	s.mu.Lock()
	var wakes []func()
	if at := s.find(key); at != nil {
		looks = at.n
		for p := at.first; p != nil; p = p.next {
			if p.owner == of {
				p.canceled = true
				if p.wake != nil {
					wakes = append(wakes, p.wake)
				}
			}
		}
	}
	s.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
	return looks
}

// isCanceled reports whether cancel has met the place.
func (p *place) isCanceled() bool {
	p.stripe.mu.Lock()
	defer p.stripe.mu.Unlock()
	return p.canceled
}

// enter takes the gate of a key, and returns false if another request holds it.
func (l *lines) enter(key []byte) bool {
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.make(key)
	if at.held {
		return false
	}
	at.held = true
	return true
}

// exit opens the gate of a key.
func (l *lines) exit(key []byte) {
	s := l.stripe(key)
	s.mu.Lock()
	at := s.find(key)
	at.held = false
	all := at.outside
	at.outside = nil
	at.drop()
	s.mu.Unlock()
	for o := range all {
		o.wake()
	}
}

// await makes wake be called once the gate of a key, which another request holds, is open. cancel
// ends that. If the gate is open, it is not shut, and wake is not called.
func (l *lines) await(key []byte, wake func()) (cancel func(), shut bool) {
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(key)
	if at == nil || !at.held {
		return func() {}, false
	}
	o := &outside{wake}
	if at.outside == nil {
		at.outside = make(map[*outside]struct{})
	}
	at.outside[o] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(at.outside, o)
	}, true
}

// whenOpen is a Wait.When: wake is called when the gate of a key is open.
func (l *lines) whenOpen(key []byte) func(wake func()) (cancel func()) {
	key = bytes.Clone(key)
	return func(wake func()) (cancel func()) {
		cancel, shut := l.await(key, wake)
		if !shut {
			wake()
		}
		return cancel
	}
}

// place returns where the request stands; nil: in no line.
func (x *Executor) place() *place {
	if x.Resumed == nil {
		return nil
	}
	return x.Resumed.place
}

// isNext reports whether the request, which may wait, has its turn: it is the first in the line of
// a key, or would be.
func (x *Executor) isNext(key []byte) bool {
	if p := x.place(); p != nil {
		return p.first()
	}
	return x.engine.lines.waiting(key) == 0
}

// waitInLine makes the request wait in the line of a key, where it keeps its place, for at most so
// many milliseconds (0: as long as it takes). change, which may be nil, wakes the first one.
func (x *Executor) waitInLine(
	key []byte, of owner, within int64, change func(wake func()) (cancel func()),
) error {
	p := x.place()
	if p == nil {
		p = x.engine.lines.join(key, of)
	}
	w := Wait{When: p.when(change), Within: within, place: p}
	if w.End = p.leave; x.Resumed != nil && x.Resumed.place == p {
		w.End = x.Resumed.End
	}
	return x.WaitFor(w)
}

// waitOutside makes the request wait for the gate of a key. It keeps its place in a line.
func (x *Executor) waitOutside(key []byte) error {
	w := Wait{When: x.engine.lines.whenOpen(key), Outside: true}
	if x.Resumed != nil {
		w.End, w.place = x.Resumed.End, x.Resumed.place
	}
	return x.WaitFor(w)
}

// enter takes the gate of a key for the request. It returns false if another request holds it.
func (x *Executor) enter(key []byte) bool { return x.hasGate(key) || x.engine.lines.enter(key) }

// exit opens the gate of a key, unless the request holds it for its whole execution.
func (x *Executor) exit(key []byte) {
	if !x.hasGate(key) {
		x.engine.lines.exit(key)
	}
}

// hasGate reports whether the request holds the gate of a key for its whole execution.
func (x *Executor) hasGate(key []byte) bool {
	return slices.ContainsFunc(x.gates, func(gate []byte) bool { return bytes.Equal(gate, key) })
}
