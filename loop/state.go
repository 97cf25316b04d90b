package loop

import "log/slog"

// state says what a session's requests wait for, and how far its end is. DESIGN.md draws the
// transitions. Owned by the event loop.
type state uint8

const (
	running   state = iota // requests are executed as they arrive
	preempted              // for its next quantum of the event loop's time
	// for a table that a long write owns, for a long read to end, or for a large reply to be sent
	blocked
	background     // for a request of its own that runs in the background
	paused         // for its client to read replies
	authenticating // for the arithmetic of its login

	// The end: no request is executed any more.
	closing    // it is closed once its replies are sent
	parting    // once they are, its client learns that nothing follows
	lingering  // its client has lingerTime to read the last replies
	halfClosed // the server's side is closed; the client has lingerTime to close its own
	closed

	states
)

var stateNames = [states]string{
	"running", "preempted", "blocked", "background", "paused", "authenticating",
	"closing", "parting", "lingering", "halfClosed", "closed",
}

func (s state) String() string { return stateNames[s] }

// transitions holds the states that each state leads to, as bits.
var transitions = [states]uint16{
	running:        to(preempted, blocked, background, paused, authenticating, closing, parting, halfClosed, closed),
	preempted:      to(running, closing, closed),
	blocked:        to(running, closing, closed),
	background:     to(running, blocked, closing, closed),
	paused:         to(running, closing, closed),
	authenticating: to(running, closing, closed),
	closing:        to(lingering, closed),
	parting:        to(lingering, halfClosed, closed),
	lingering:      to(closed),
	halfClosed:     to(closed),
}

func to(next ...state) (bits uint16) {
	for _, n := range next {
		bits |= 1 << n
	}
	return bits
}

func (s state) leadsTo(next state) bool { return transitions[s]&(1<<next) != 0 }

// setState takes the session to its next state. An invalid transition is reported as a panic is,
// and closes the session.
func (s *session) setState(next state) {
	if s.state.leadsTo(next) {
		s.countState(next)
		if s.state = next; s.ends() {
			s.endWaiters()
		}
		return
	}
	_ = s.srv.reportPanic(
		"invalid transition of a session's state, connection closed",
		"state",
		nil,
		slog.String("peer", peerName(s.peer)),
		slog.String("state", s.state.String()),
		slog.String("next", next.String()),
	)
	if s.state < closing {
		s.countState(closing)
		s.state = closing
		s.endWaiters()
	}
}

// countState counts the session in its next state.
func (s *session) countState(next state) {
	if s.loop != nil {
		s.loop.record.states[s.state].Add(-1)
		s.loop.record.states[next].Add(1)
	}
}

// close ends the session once its replies are sent.
func (s *session) close() {
	if !s.ends() {
		s.setState(closing)
	}
}

// ends says whether the session is at its end: it executes no more requests.
func (s *session) ends() bool { return s.state >= closing }
