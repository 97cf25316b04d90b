package bench

import (
	"math/bits"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// phase is a stage of a run; the runner writes it, the loops read it once a turn.
type phase int32

const (
	phaseWarmUp  phase = iota // requests are sent and checked
	phaseMeasure              // and counted
	phaseDrain                // nothing more is sent; what is in flight is checked
)

// pollTimeout bounds how long a loop takes to see a new phase.
const pollTimeout = 100 * time.Millisecond

// eventLoop drives its connections; it runs on one goroutine.
type eventLoop struct {
	// constant after newEventLoop
	wire    wire
	items   *items
	ordered bool
	idShift uint // bits of an id that name the slot; the others count its requests
	epoch   time.Time
	poller  *poller
	conns   []*conn
	phase   *atomic.Int32

	// owned by run
	in, out     []byte
	reply       reply
	sending     bool
	measuring   bool
	outstanding int
	tally       tally
}

func newEventLoop(w wire, items *items, pipeline int, phase *atomic.Int32) (*eventLoop, error) {
	const least, overhead = 64 << 10, 4 << 10
	poller, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &eventLoop{
		wire: w, items: items, ordered: w.ordered(), idShift: uint(bits.Len(uint(pipeline - 1))), epoch: time.Now(), poller: poller,
		phase: phase, in: make([]byte, max(least, 2*(items.valueBytes+overhead))),
	}, nil
}

// adopt gives the loop an open connection.
func (l *eventLoop) adopt(c *conn) error {
	c.number = len(l.conns)
	l.conns = append(l.conns, c)
	return l.poller.add(c.fd, c.number, false)
}

func (l *eventLoop) close() {
	for _, c := range l.conns {
		c.close()
	}
	l.poller.close()
}

// run sends what the connections' streams yield until they end, or the phase says to drain, and every reply has come.
func (l *eventLoop) run() error {
	l.enter(phase(l.phase.Load()))
	for _, c := range l.conns {
		l.begin(c)
	}
	var quietSince time.Time
	for l.outstanding > 0 {
		l.enter(phase(l.phase.Load()))
		events, err := l.poller.wait(pollTimeout)
		if err != nil {
			return err
		}
		switch {
		case len(events) > 0:
			quietSince = time.Time{}
		case quietSince.IsZero():
			quietSince = time.Now()
		case time.Since(quietSince) > replyTimeout:
			l.abandon()
		}
		for i := range events {
			l.serve(l.conns[events[i].Fd], events[i].Events)
		}
	}
	return nil
}

func (l *eventLoop) enter(p phase) {
	l.sending = p != phaseDrain
	l.measuring = p == phaseMeasure
}

// abandon gives up every request in flight.
func (l *eventLoop) abandon() {
	for _, c := range l.conns {
		l.lose(c, "no reply for %v", replyTimeout)
	}
}

// begin fills the slots of a connection.
func (l *eventLoop) begin(c *conn) {
	now, out := time.Since(l.epoch), l.out[:0]
	for i := range c.slots {
		out = l.refill(out, c, i, now)
	}
	l.out = out
	l.send(c, out)
}

func (l *eventLoop) serve(c *conn, events uint32) {
	if c.lost {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.flush(c)
	}
	if events&^unix.EPOLLOUT != 0 && !c.lost {
		l.turn(c)
	}
}

// turn makes one read, checks every reply that came, and makes one write of as many new requests.
func (l *eventLoop) turn(c *conn) {
	kept := copy(l.in, c.carry)
	if kept == len(l.in) {
		l.lose(c, "a reply of more than %d bytes", kept)
		return
	}
	n, errno := read(c.fd, l.in[kept:])
	if n == 0 {
		l.readFailed(c, errno)
		return
	}
	now, out := time.Since(l.epoch), l.out[:0]
	b := l.in[:kept+n]
	for len(b) > 0 {
		used, err := l.wire.parse(b, &l.reply)
		if err != nil {
			l.lose(c, "%v", err)
			return
		}
		if used == 0 {
			break
		}
		i := l.slotOf(c)
		if i < 0 {
			l.lose(c, "a reply (%s) to a request that was not sent", l.reply.describe())
			return
		}
		l.settle(c, &c.slots[i], now)
		out = l.refill(out, c, i, now)
		b = b[used:]
	}
	c.carry = append(c.carry[:0], b...)
	l.out = out
	l.send(c, out)
}

func (l *eventLoop) readFailed(c *conn, errno syscall.Errno) {
	switch {
	case errno == 0:
		l.lose(c, "the server closed a connection")
	case !again(errno):
		l.lose(c, "a connection broke: %v", errno)
	}
}

// slotOf returns the number of the slot whose request the reply answers, -1 if there is none.
func (l *eventLoop) slotOf(c *conn) int {
	if !l.ordered {
		i := int(l.reply.id & (1<<l.idShift - 1))
		if i >= len(c.slots) || !c.slots[i].busy || c.slots[i].id != l.reply.id {
			return -1
		}
		return i
	}
	i := c.head
	if !c.slots[i].busy {
		return -1
	}
	if c.head++; c.head == len(c.slots) {
		c.head = 0
	}
	return i
}

// settle checks the reply against the request in s, counts it and frees the slot.
func (l *eventLoop) settle(c *conn, s *slot, now time.Duration) {
	s.busy = false
	c.inFlight--
	l.outstanding--
	if l.measuring {
		l.tally.ops++
		l.tally.latency.record(now - s.sent)
	}
	switch r := &l.reply; {
	case r.kind == replyMissing:
		l.tally.misses++
	case r.kind != l.wire.wants(s.op):
		l.tally.fail(1, "%s of item %d: %s", s.op, s.item, r.describe())
	case r.kind == replyValue && !l.items.isValue(r.text, s.item):
		l.tally.fail(1, "%s of item %d: another value, %.40q", s.op, s.item, r.text)
	case s.op == OpAppend:
		l.settleAppend(c, r)
	}
}

// settleAppend counts an append; where the reply is the list's new length, it must have grown.
func (l *eventLoop) settleAppend(c *conn, r *reply) {
	l.tally.appended++
	if r.kind != replyNumber {
		return
	}
	if r.number <= c.length {
		l.tally.fail(1, "append: length %d after length %d", r.number, c.length)
	}
	c.length = r.number
}

// refill puts the stream's next request into slot i, which is free, and appends it to out.
func (l *eventLoop) refill(out []byte, c *conn, i int, now time.Duration) []byte {
	if !l.sending {
		return out
	}
	op, item, ok := c.stream.take()
	if !ok {
		return out
	}
	s := &c.slots[i]
	s.sent, s.op, s.item, s.busy = now, op, item, true
	s.id = nextID(s.id, i, l.idShift)
	c.inFlight++
	l.outstanding++
	return l.wire.appendRequest(out, op, item, s.id)
}

// nextID returns the id of slot i's next request after the one of that id: the slot in the lowest shift bits, a count from 1 above them, so
// that it is never 0 and a late or doubled reply is told from the awaited one.
func nextID(id uint32, i int, shift uint) uint32 {
	use := (id>>shift + 1) << shift
	if use == 0 {
		use = 1 << shift
	}
	return use | uint32(i)
}

// send writes out, and keeps for later what the socket does not take.
func (l *eventLoop) send(c *conn, out []byte) {
	if len(c.pending) > 0 {
		c.keep(out)
		return
	}
	if len(out) == 0 {
		return
	}
	n, errno := write(c.fd, out)
	if errno != 0 && !again(errno) {
		l.lose(c, "a connection broke: %v", errno)
		return
	}
	if n < len(out) {
		c.keep(out[n:])
		l.watch(c, true)
	}
}

// flush writes what is pending.
func (l *eventLoop) flush(c *conn) {
	for c.written < len(c.pending) {
		n, errno := write(c.fd, c.pending[c.written:])
		if errno != 0 {
			if !again(errno) {
				l.lose(c, "a connection broke: %v", errno)
			}
			return
		}
		c.written += n
	}
	c.pending, c.written = c.pending[:0], 0
	l.watch(c, false)
}

// watch says whether the loop waits for room in the socket.
func (l *eventLoop) watch(c *conn, forRoom bool) {
	if err := l.poller.change(c.fd, c.number, forRoom); err != nil {
		l.lose(c, "%v", err)
	}
}

// lose closes a connection; each of its requests in flight is an error.
func (l *eventLoop) lose(c *conn, format string, args ...any) {
	if c.lost {
		return
	}
	l.tally.fail(c.inFlight, format, args...)
	l.outstanding -= c.inFlight
	c.inFlight = 0
	c.close()
}
