package loop

import "time"

// CyberDB's clients read a reply with as many calls as it has blocks of 4096 bytes, and take for
// granted that each but the last fills its block. So what is under way must never end within a
// block: a reply that is larger than what a kernel surely accepts in one write goes out in pieces,
// each after the client's kernel has acknowledged the one before. Measured with such a client,
// fresh connections, values of 1 and 3 MB: 96 of 96 complete with pieces of 16 and 32 KiB, 0 to 2
// of 15 with one write.

const (
	// legacyPieceBytes is the size of a piece, a multiple of a block.
	legacyPieceBytes = 32 << 10
	minPacePoll      = 50 * time.Microsecond
	maxPacePoll      = 5 * time.Millisecond
)

// sendLegacy sends the reply that the client is ready for.
func (s *session) sendLegacy() {
	l := s.legacy
	if len(l.reply) <= legacyPieceBytes {
		s.loop.out = append(s.loop.out, l.reply...)
		s.output.prepare(&s.srv.replies, 0)
		return
	}
	reply := l.reply
	l.reply = nil // a large one's room is not kept
	s.setState(blocked)
	s.deferred.ready.Store(false)
	s.output.beginStream(true)
	s.srv.streams.Add(1)
	s.goBackground(func() {
		defer s.srv.streams.Add(-1)
		w := &bodyWriter{s: s}
		w.pace(reply)
	})
}

// pace sends a reply in pieces.
func (w *bodyWriter) pace(reply []byte) {
	for len(reply) > 0 {
		piece := reply[:min(len(reply), legacyPieceBytes)]
		reply = reply[len(piece):]
		last := len(reply) == 0
		left, err := w.onLoop(func() {
			if last {
				w.s.output.endStream(true)
				w.s.deferred.ready.Store(true)
				w.s.output.prepare(&w.s.srv.replies, 0)
			}
			w.s.loop.begin() // replies of others may wait for the end of the iteration
			w.s.loop.out = append(w.s.loop.out, piece...)
			w.s.flush()
		})
		if err == nil && !last {
			err = w.acknowledged(left)
		}
		if err != nil {
			if err == errStalled { //nolint:errorlint // the sentinel itself
				w.s.giveUp("replies not read", left.unacknowledged)
				_ = w.s.conn.Close()
			}
			return
		}
	}
	w.s.wake()
}

// acknowledged waits until the client's kernel has taken all that was sent. Errors: errStalled,
// errGone.
func (w *bodyWriter) acknowledged(left unsent) (err error) {
	least, moved, poll := left.unacknowledged, time.Now(), minPacePoll
	for err == nil && left.unacknowledged > 0 {
		if left.unacknowledged < least {
			least, moved, poll = left.unacknowledged, time.Now(), minPacePoll
		}
		if time.Since(moved) > stalledTime {
			return errStalled
		}
		time.Sleep(poll)
		poll = min(2*poll, maxPacePoll)
		left, err = w.onLoop(func() {})
	}
	return err
}
