package bench

import "bytes"

// check compares the reply with the one that the request in s must get.
func (l *eventLoop) check(c *conn, s *slot) {
	r := &l.reply
	wanted, _ := l.wire.wants(s.op)
	switch {
	case r.kind == replyMissing:
		l.tally.misses++
	case r.kind != wanted:
		l.tally.fail(1, "%s of item %d: %s", s.op, s.item, r.describe())
	default:
		l.checkContent(c, s, r)
	}
}

func (l *eventLoop) checkContent(c *conn, s *slot, r *reply) {
	switch s.op {
	case OpAppend, OpInsert:
		l.checkLength(c, s, r)
	case OpPop, OpPopLeft:
		l.tally.removed++
		if !l.items.isSomeValue(r.text, l.keys) {
			l.tally.fail(1, "%s: no value of the list, %.40q", s.op, r.text)
		}
	case OpIncr, OpHIncr:
		l.tally.increased++
		if r.number < 1 {
			l.tally.fail(1, "%s of item %d: %d after adding 1", s.op, s.item, r.number)
		}
	case opRead, opHRead:
		number, ok := r.asNumber()
		if l.tally.counted += number; !ok {
			l.tally.fail(1, "%s %d: no number, %.40q", s.op, s.item, r.text)
		}
	default:
		l.checkValue(s, r)
	}
}

func (l *eventLoop) checkValue(s *slot, r *reply) {
	switch r.kind {
	case replyValue:
		if !l.items.isValue(r.text, s.item) {
			l.tally.fail(1, "%s of item %d: another value, %.40q", s.op, s.item, r.text)
		}
	case replyEcho:
		l.scratch = l.wire.appendRequest(l.scratch[:0], s.op, s.item, s.id)
		if !bytes.Equal(r.text, l.scratch) {
			l.tally.fail(1, "%s of item %d: another echo, %.40q", s.op, s.item, r.text)
		}
	}
}

// checkLength counts a new element. A reply that is the list's new length must be above zero, and
// must grow if the run only appends.
func (l *eventLoop) checkLength(c *conn, s *slot, r *reply) {
	l.tally.added++
	if r.kind != replyNumber {
		return
	}
	if r.number < 1 || (l.growing && r.number <= c.length) {
		l.tally.fail(1, "%s: length %d after length %d", s.op, r.number, c.length)
	}
	c.length = r.number
}
