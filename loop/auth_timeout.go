package loop

import (
	"sync/atomic"
	"time"
)

// auth is the part of a session that knows whether its client has authenticated, and how long it
// may be silent. The event loop owns login; the rest is atomic, since the sweeper reads it.
type auth struct {
	login   *login       // nil once the client has authenticated
	active  atomic.Int64 // when the client was last heard of, in unix nanoseconds
	timeout atomic.Int64 // how long it may be silent before it has authenticated, in nanoseconds
	marks   marks
	opened  tenths // when the connection was accepted, in monotonic time; constant
}

// tenths is a time in tenths of a second, which takes few bytes.
type tenths uint32

func tenthsOf(d time.Duration) tenths { return tenths(d / (time.Second / 10)) }

func (t tenths) time() time.Duration { return time.Duration(t) * (time.Second / 10) }

// marks is a set of marks. Its methods may be called from any goroutine.
type marks struct{ bits atomic.Uint32 }

const (
	authenticated uint32 = 1 << iota // the client knows the password
	// the server has work to do before the client can continue: its time is not the client's
	working
	messageStarted // of CyberDB's wire: the rest of a short message is due
	// the sweeper found it slow to authenticate, or idle; taken by the event loop
	timedOut
	evicted  // the acceptor gave its slot to another client; taken by the event loop
	hasKeys  // the keys of its records are made
	keysIdle // the sweeper found it idle with these; taken by the event loop
)

func (m *marks) has(mark uint32) bool { return m.bits.Load()&mark != 0 }
func (m *marks) set(mark uint32)      { m.bits.Or(mark) }
func (m *marks) clear(mark uint32)    { m.bits.And(^mark) }

// take clears a mark and says whether it was set.
func (m *marks) take(mark uint32) bool { return m.has(mark) && m.bits.And(^mark)&mark != 0 }

// heard notes that the client has sent something.
func (a *auth) heard(nanos int64) { a.active.Store(nanos) }

// expect sets how long the client may take for what comes next. It returns false if that is
// unchanged.
func (a *auth) expect(within time.Duration) bool {
	return a.timeout.Swap(int64(within)) != int64(within)
}

// setAuthenticated notes that the client has authenticated.
func (a *auth) setAuthenticated() {
	a.marks.set(authenticated)
	a.login = nil
}

// timeLeft returns how long the client may still be silent. Before it has authenticated that is the
// timeout, except while the server works for it. Afterwards it is idle, if that is not 0 and the
// client is not busy.
func (a *auth) timeLeft(now int64, idle time.Duration, busy bool) time.Duration {
	silent := max(time.Duration(now-a.active.Load()), 0)
	if !a.marks.has(authenticated) {
		if a.marks.has(working) {
			return never
		}
		return time.Duration(a.timeout.Load()) - silent
	}
	left := never
	if a.marks.has(messageStarted) {
		left = legacyControlTime - silent
	}
	if idle > 0 && !busy {
		left = min(left, idle-silent)
	}
	return left
}

// keysLeft returns for how long the keys of the client's records are still kept.
func (a *auth) keysLeft(now int64, busy bool) time.Duration {
	if busy || !a.marks.has(hasKeys) {
		return never
	}
	return keysTime - max(time.Duration(now-a.active.Load()), 0)
}

// timeLeft is auth.timeLeft.
func (s *session) timeLeft(now int64) time.Duration {
	return s.auth.timeLeft(now, s.srv.access.Load().idle, s.output.busy.Load())
}
