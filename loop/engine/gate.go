package engine

import (
	"bytes"
	"math"
	"runtime"
	"slices"
)

// A line has a gate, which a request holds while it is executed: the requests that grant a lock,
// and those that need it to stay granted (IF FENCE). No request waits for a gate while it holds
// another one.

// outside is a request that waits for a gate.
type outside struct{ wake func() }

// enter takes the gate of a key, and returns false if another request holds it.
func (l *lines) enter(key []byte) bool {
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.find(key)
	switch {
	case at == nil && len(s.lone) == 0:
		s.lone = append(s.lone, key...)
		return true
	case at == nil && !bytes.Equal(s.lone, key):
		at = s.make(key)
	case at == nil || at.held:
		return false
	}
	at.held = true
	return true
}

// exit opens the gate of a key.
func (l *lines) exit(key []byte) {
	s := l.stripe(key)
	s.mu.Lock()
	if bytes.Equal(s.lone, key) {
		s.lone = s.lone[:0]
		s.mu.Unlock()
		return
	}
	at := s.find(key)
	at.held = false
	all := at.outside
	at.outside = nil
	at.drop()
	s.mu.Unlock()
	if len(all) > wokenAtOnce {
		go wakeOutside(all)
		return
	}
	for o := range all {
		o.wake()
	}
}

// wokenAtOnce is how many requests that wait for a gate are woken at once.
const wokenAtOnce = 1024

// wakeOutside wakes requests that have waited for a gate. It lets others run now and then, so that
// the event loops execute them meanwhile.
func wakeOutside(all map[*outside]struct{}) {
	n := 0
	for o := range all {
		if n++; n%wokenAtOnce == 0 {
			runtime.Gosched()
		}
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
	if at == nil && bytes.Equal(s.lone, key) {
		at = s.make(key)
	}
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
func (l *lines) whenOpen(key []byte) when {
	key = bytes.Clone(key)
	return func(wake func()) (cancel func()) {
		cancel, shut := l.await(key, wake)
		if !shut {
			wake()
		}
		return cancel
	}
}

// gateTime is how many milliseconds longer than it wants to a request waits for a gate, which is
// mostly shut for a moment: so one that does not wait gets a lock that is free.
const gateTime timeLimit = 100

// atGate returns how long a request that still waits so long waits for a gate.
func (t timeLimit) atGate() timeLimit {
	if t < untilDeadline-gateTime {
		t += gateTime
	}
	return t
}

// waitOutside makes the request wait until the gate of a key is open. It keeps its place in a line.
// over: it has waited long enough.
func (x *Executor) waitOutside(key []byte, left timeLimit) (over bool, err error) {
	if left = left.atGate(); left.over() {
		return true, nil
	}
	w := Wait{When: x.engine.lines.whenOpen(key), Within: left.within(math.MaxInt64), Outside: true}
	if x.Resumed != nil {
		w.End, w.place = x.Resumed.End, x.Resumed.place
	}
	return false, x.WaitFor(w)
}

// waitAtGate makes the request wait until the gate of the line x.lineKey is open. Meanwhile it
// stands in that line, unless it does not wait for its turn. over: it has waited long enough.
func (x *Executor) waitAtGate(of owner, left timeLimit) (over bool, err error) {
	stands := !left.over() || x.place() != nil
	if left = left.atGate(); left.over() {
		return true, nil
	}
	open := x.engine.lines.whenOpen(x.lineKey)
	w := Wait{When: open}
	if stands {
		w = x.inLine(x.lineKey, of)
		w.When = both(w.place.when(nil), open)
	}
	w.Within, w.Outside = left.within(math.MaxInt64), true
	return false, x.WaitFor(w)
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
