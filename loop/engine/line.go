package engine

import (
	"bytes"
	"hash/maphash"
	"sync"
)

// Requests that wait for the same thing, such as a lock, stand in a line: first come, first served.
// Only the first of them is woken. It is executed again, and when it is over, the next one is
// first. A line is in memory alone.

// lineStripes is how many mutexes the lines have together.
const lineStripes = 64

// lines has all lines by their keys, which are the keys of entries or the names of lists.
type lines struct {
	seed    maphash.Seed
	stripes [lineStripes]lineStripe
}

type lineStripe struct {
	mu     sync.Mutex
	lines  map[string]*line    // guarded by mu
	owners map[standing]*place // of the owners that stand in the lines; guarded by mu
	// lone is the key of a gate that is held and has no line, as most have none; empty: there is no
	// such gate. Guarded by mu.
	lone []byte
}

// standing is an owner in a line. It stands there once.
type standing struct {
	line *line
	of   owner
}

// line is one line, or a gate that is held. It is guarded by its stripe's mutex.
type line struct {
	stripe      *lineStripe // constant
	key         string      // constant
	first, last *place
	n           int
	joined      uint64                // how many places there were
	released    *place                // the next that is woken although it is not first; nil: none is
	until       uint64                // number of the last one of these
	held        bool                  // the gate is
	outside     map[*outside]struct{} // requests that wait for the gate
}

// place is where a request stands in a line. It is guarded by the stripe's mutex, except where
// said.
type place struct {
	stripe     *lineStripe // constant
	line       *line       // nil: it has left
	prev, next *place
	wake       func() // nil: the request is being executed
	owner      owner  // constant; of requests that name one
	number     uint64 // grows from the first to the last; constant
	ended      string // what has ended the wait of the request; "": nothing
	released   bool   // wakeAll has woken it, so one more is woken when it leaves
}

// What ends the wait of a request that stands in a line.
const (
	byUnlock = "UNLOCK"
	byRepeat = "another request of its owner"
)

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
	if bytes.Equal(s.lone, key) {
		l.held, s.lone = true, s.lone[:0]
	}
	s.lines[l.key] = l
	return l
}

// drop forgets a line that nothing uses. The stripe is locked.
func (l *line) drop() {
	if l.n == 0 && !l.held && len(l.outside) == 0 {
		delete(l.stripe.lines, l.key)
	}
}

// ClockSet makes the first request of each line look again at what it waits for: leases end earlier
// than they would have, because the clock was set forward.
func (e *Engine) ClockSet() { e.lines.wakeEachFirst() }

// join puts a request at the end of the line of a key. If its owner stands there already, the
// request takes over that place, and the wait of the other one has ended.
func (l *lines) join(key []byte, of owner) *place {
	s := l.stripe(key)
	s.mu.Lock()
	at := s.make(key)
	p := &place{stripe: s, line: at, owner: of}
	old := s.owners[standing{at, of}]
	var wake func()
	if old != nil {
		p.prev, p.next, p.number, wake = old, old.next, old.number, old.wake
		p.released = old.released
		p.insert()
		old.ended = byRepeat
		old.remove()
	} else {
		at.joined++
		p.prev, p.number = at.last, at.joined
		p.insert()
	}
	if key[0] != listLine { // its requests name no owner
		if s.owners == nil {
			s.owners = make(map[standing]*place)
		}
		s.owners[standing{at, of}] = p
	}
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
	return p
}

// insert puts the place between prev and next. The stripe is locked.
func (p *place) insert() {
	at := p.line
	if p.prev != nil {
		p.prev.next = p
	} else {
		at.first = p
	}
	if p.next != nil {
		p.next.prev = p
	} else {
		at.last = p
	}
	at.n++
}

// remove takes the place out of its line. The stripe is locked.
func (p *place) remove() {
	at := p.line
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		at.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		at.last = p.prev
	}
	at.n--
	if at.released == p {
		at.released = p.next
	}
	if id := (standing{at, p.owner}); p.stripe.owners[id] == p {
		delete(p.stripe.owners, id)
	}
	p.line, p.prev, p.next, p.wake = nil, nil, nil, nil
}

// first reports whether the place is the first of its line.
func (p *place) first() bool {
	p.stripe.mu.Lock()
	defer p.stripe.mu.Unlock()
	return p.line != nil && p.line.first == p
}

// leave takes the place out of its line. If it was the first one, the next one is woken. If wakeAll
// has woken it, so is one more.
func (p *place) leave() {
	p.stripe.mu.Lock()
	at := p.line
	if at == nil {
		p.stripe.mu.Unlock()
		return
	}
	wasFirst := at.first == p
	p.remove()
	var wake func()
	if wasFirst && at.first != nil {
		wake = at.first.wake
	}
	var another func()
	if p.released {
		another = at.release()
	}
	at.drop()
	p.stripe.mu.Unlock()
	if wake != nil {
		wake()
	}
	if another != nil {
		another()
	}
}

// when is a Wait.When.
type when = func(wake func()) (cancel func())

// both is a Wait.When: wake is called when it would be by one of the two.
func both(a, b when) when {
	return func(wake func()) (cancel func()) {
		endA, endB := a(wake), b(wake)
		return func() { endA(); endB() }
	}
}

// when is Wait.When: wake is called when the place is first, and when its wait is ended. If it is
// first already, change is registered too, unless it is nil.
func (p *place) when(change when) when {
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

const (
	// releasedAtOnce is how many requests wakeAll wakes at once.
	releasedAtOnce = 512
	// maxReleaseSteps is how many requests release passes over that need no waking.
	maxReleaseSteps = 64
)

// wakeAll wakes all requests that are in the line of a key: the first releasedAtOnce now, and one
// more with each that leaves the line. So no line is too long for an event loop, and requests that
// find nothing, and stay, do not make the others look.
func (l *lines) wakeAll(key []byte) {
	s := l.stripe(key)
	s.mu.Lock()
	var wakes []func()
	if at := s.find(key); at != nil {
		at.released, at.until = at.first, at.joined
		for range releasedAtOnce {
			wake := at.release()
			if wake == nil {
				break
			}
			wakes = append(wakes, wake)
		}
	}
	s.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// release returns what wakes the next one of the requests that wakeAll wakes. nil: there is none,
// or the next ones are being executed, and will leave. The stripe is locked.
func (l *line) release() (wake func()) {
	for range maxReleaseSteps {
		p := l.released
		if p == nil || p.number > l.until {
			l.released = nil
			break
		}
		p.released = true
		if l.released = p.next; p.wake != nil {
			return p.wake
		}
	}
	return nil
}

// wakeEachFirst wakes the first request of each line.
func (l *lines) wakeEachFirst() {
	for i := range l.stripes {
		s := &l.stripes[i]
		s.mu.Lock()
		var wakes []func()
		for _, at := range s.lines {
			if at.first != nil && at.first.wake != nil {
				wakes = append(wakes, at.first.wake)
			}
		}
		s.mu.Unlock()
		for _, wake := range wakes {
			wake()
		}
	}
}

// cancel ends the wait of the request of an owner in the line of a key.
func (l *lines) cancel(key []byte, of owner) {
	s := l.stripe(key)
	s.mu.Lock()
	var wake func()
	if p := s.owners[standing{s.find(key), of}]; p != nil {
		p.ended, wake = byUnlock, p.wake
	}
	s.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// endedBy returns what has ended the wait of the request; "": nothing, or it has no place.
func (p *place) endedBy() string {
	if p == nil {
		return ""
	}
	p.stripe.mu.Lock()
	defer p.stripe.mu.Unlock()
	return p.ended
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
func (x *Executor) waitInLine(key []byte, of owner, within int64, change when) error {
	w := x.inLine(key, of)
	w.When, w.Within = w.place.when(change), within
	return x.WaitFor(w)
}

// inLine returns a Wait of the request with its place in the line of a key, or with a new one.
func (x *Executor) inLine(key []byte, of owner) Wait {
	if p := x.place(); p != nil {
		return Wait{End: x.Resumed.End, place: p}
	}
	p := x.engine.lines.join(key, of)
	return Wait{End: p.leave, place: p}
}
