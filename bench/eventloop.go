package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec/secure"
)

// phase is a stage of a run. The runner writes it; the loops read it once per iteration.
type phase int32

const (
	phaseWarmUp  phase = iota // requests are sent and checked
	phaseMeasure              // and counted
	phaseDrain                // nothing more is sent; what is in flight is checked
)

// pollTimeout bounds how long a loop takes to see a new phase.
const pollTimeout = 100 * time.Millisecond

// loopSpec is shared by the loops of a run. It is constant except for phase, which the runner
// writes.
type loopSpec struct {
	wire     wire
	items    *items
	keys     int
	pipeline int
	interval time.Duration // of the histograms
	budget   uint64        // measured requests of one loop; 0: no limit
	growing  bool          // replies to appends report a length that grows
	gap      float64       // open loop: nanoseconds between two requests of one loop; 0: closed loop
	phase    *atomic.Int32
	stage    *atomic.Int32 // of a run with a command in its middle; nil: there is no command
}

// eventLoop drives its connections; it runs on one goroutine.
type eventLoop struct {
	// constant after newEventLoop
	*loopSpec
	steps   exchanger // the wire, if its requests take several messages
	ordered bool
	idShift uint // bits of an id that name the slot; the others count its requests
	epoch   time.Time
	poller  *poller
	conns   []*conn
	reached func() // called when the loop begins to measure, or ends; may be nil

	// written by run, read by any goroutine
	progress atomic.Uint64 // replies that count so far

	// owned by run
	in, out   []byte
	sealed    []byte // out, in records
	scratch   []byte // an expected echo
	reply     reply
	entered   phase
	sending   bool
	measuring bool
	from      time.Duration // measured time, since the epoch
	until     time.Duration
	next      uint64 // open loop: number of the next request in the timetable
	start     time.Duration

	outstanding int
	tally       tally
}

func newEventLoop(spec *loopSpec) (*eventLoop, error) {
	const least, overhead = 64 << 10, 4 << 10
	poller, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &eventLoop{
		loopSpec: spec,
		ordered:  spec.wire.ordered(),
		idShift:  uint(bits.Len(uint(spec.pipeline - 1))),
		epoch:    time.Now(),
		poller:   poller,
		in: make(
			[]byte,
			max(least, 2*(spec.items.values.Max+overhead))+secure.MaxRecordBytes+secure.RecordOverhead,
		),
		tally:   tally{latency: newLatencies(spec.interval, spec.stage)},
		sending: true,
	}
	l.steps, _ = spec.wire.(exchanger)
	return l, nil
}

// adopt gives the loop an open connection.
func (l *eventLoop) adopt(c *conn) error {
	c.number = len(l.conns)
	c.ticket = uint64(c.number)
	l.conns = append(l.conns, c)
	return l.poller.add(c.fd, c.number, false)
}

func (l *eventLoop) close() {
	for _, c := range l.conns {
		c.close()
	}
	l.poller.close()
}

// run sends the requests of the connections' streams until the streams end or the phase is drain.
// It returns once every reply has arrived.
func (l *eventLoop) run() error {
	if l.gap > 0 {
		defer precise()()
	}
	defer l.finish()
	l.begin()
	var quietSince time.Time
	for l.outstanding > 0 || (l.gap > 0 && l.sending) {
		now := time.Since(l.epoch)
		l.enter(phase(l.phase.Load()), now)
		timeout := pollTimeout
		if l.gap > 0 && l.sending {
			l.pace(now)
			timeout = min(timeout, l.untilNext())
		}
		events, err := l.poller.wait(timeout)
		if err != nil {
			return err
		}
		switch {
		case len(events) > 0 || l.outstanding == 0:
			quietSince = time.Time{}
		case quietSince.IsZero():
			quietSince = time.Now()
		case time.Since(quietSince) > replyTimeout:
			l.abandon()
		}
		for i := range events {
			l.serve(l.conns[events[i].Fd], events[i].Events)
		}
		l.progress.Store(l.tally.ops)
	}
	return nil
}

// finish ends measuring if the streams ended early.
func (l *eventLoop) finish() {
	l.stop(time.Since(l.epoch))
	l.notify()
}

func (l *eventLoop) notify() {
	if l.reached != nil {
		l.reached()
	}
}

// enter follows the runner from phase to phase.
func (l *eventLoop) enter(p phase, now time.Duration) {
	if l.measuring {
		l.tally.latency.advance(now - l.from)
	}
	if p == l.entered {
		return
	}
	l.entered = p
	switch p {
	case phaseMeasure:
		l.measuring, l.from, l.until = true, now, math.MaxInt64
		l.notify()
	case phaseDrain:
		l.stop(now)
	}
}

// stop ends sending and measuring.
func (l *eventLoop) stop(now time.Duration) {
	if !l.sending {
		return
	}
	l.sending = false
	if l.measuring {
		l.measuring, l.until = false, now
		l.tally.span = l.until - l.from
		l.countUnsent()
	}
}

// abandon counts every request in flight as lost.
func (l *eventLoop) abandon() {
	for _, c := range l.conns {
		l.lose(c, "no reply for %v", replyTimeout)
	}
}

// begin fills the slots of all connections; in an open loop it starts the timetable.
func (l *eventLoop) begin() {
	l.start = time.Since(l.epoch)
	l.enter(phase(l.phase.Load()), l.start)
	for _, c := range l.conns {
		if l.gap > 0 {
			c.freeAll()
			continue
		}
		now, out := time.Since(l.epoch), l.out[:0]
		for i := range c.slots {
			out = l.refill(out, c, i, now)
		}
		l.out = out
		l.send(c, out)
	}
}

func (l *eventLoop) serve(c *conn, events uint32) {
	if c.lost {
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.flush(c)
	}
	if events&^unix.EPOLLOUT != 0 && !c.lost {
		l.onReadable(c)
	}
}

// onReadable makes one read, checks every reply in it, and writes as many new requests at once.
func (l *eventLoop) onReadable(c *conn) {
	kept := copy(l.in, c.remainder)
	room := len(l.in) - kept - len(c.partial) // a partial record is decrypted with the bytes read now
	if room <= 0 {
		l.lose(c, "a reply of more than %d bytes", kept)
		return
	}
	n, errno := read(c.fd, l.in[kept:kept+room])
	if n == 0 {
		l.readFailed(c, errno)
		return
	}
	now, out := time.Since(l.epoch), l.out[:0]
	b := l.in[:kept+n]
	if c.opener != nil {
		plain, err := c.open(b[kept:])
		if err != nil {
			l.lose(c, "%v", err)
			return
		}
		b = b[:kept+copy(l.in[kept:], plain)]
	}
	for len(b) > 0 {
		used, err := l.wire.parse(b, &l.reply)
		if err != nil {
			l.lose(c, "%v", err)
			return
		}
		if used == 0 {
			break
		}
		b = b[used:]
		i := l.slotOf(c)
		if i < 0 {
			l.lose(c, "a reply (%s) to a request that was not sent", l.reply.describe())
			return
		}
		if l.reply.kind == replyStep && l.steps != nil {
			out = l.steps.appendStep(out, &l.reply, c.slots[i].op, c.slots[i].item)
			continue
		}
		l.release(c, i)
		l.complete(c, &c.slots[i], now)
		out = l.refill(out, c, i, now)
	}
	if l.gap > 0 {
		out = l.catchUp(out, c, now)
	}
	c.remainder = append(c.remainder[:0], b...)
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
	i := c.head
	if !l.ordered {
		i = int(l.reply.id & (1<<l.idShift - 1))
	}
	if i >= len(c.slots) || !c.slots[i].busy || (!l.ordered && c.slots[i].id != l.reply.id) {
		return -1
	}
	return i
}

// release frees a slot.
func (l *eventLoop) release(c *conn, i int) {
	c.slots[i].busy = false
	c.inFlight--
	l.outstanding--
	switch {
	case l.ordered:
		if c.head++; c.head == len(c.slots) {
			c.head = 0
		}
	case l.gap > 0:
		c.free = append(c.free, i)
	}
}

// counts reports whether the request belongs to the measured time: by its due time in an open loop,
// otherwise by the time of its reply.
func (l *eventLoop) counts(s *slot) bool {
	if l.budget > 0 && l.tally.ops == l.budget {
		return false
	}
	if l.gap > 0 {
		return l.entered != phaseWarmUp && s.sent >= l.from && s.sent < l.until
	}
	return l.measuring
}

// complete checks the reply against the request in s and counts it.
func (l *eventLoop) complete(c *conn, s *slot, now time.Duration) {
	if l.counts(s) {
		l.tally.ops++
		l.tally.latency.record(now - s.sent)
		if l.tally.ops == l.budget {
			l.stop(now)
		}
	}
	l.check(c, s)
}

// refill puts the stream's next request into the free slot i and appends it to out. In an open loop
// the timetable does that.
func (l *eventLoop) refill(out []byte, c *conn, i int, now time.Duration) []byte {
	if !l.sending || l.gap > 0 {
		return out
	}
	return l.put(out, c, i, now)
}

// put puts the stream's next request into the free slot i and appends it to out.
func (l *eventLoop) put(out []byte, c *conn, i int, sent time.Duration) []byte {
	op, item, ok := c.stream.take()
	if !ok {
		return out
	}
	s := &c.slots[i]
	s.sent, s.op, s.item, s.busy = sent, op, item, true
	s.id = nextID(s.id, i, l.idShift)
	c.inFlight++
	l.outstanding++
	return l.wire.appendRequest(out, op, item, s.id)
}

// nextID returns the id of slot i's next request after the one of that id: the slot in the lowest
// shift bits, a count from 1 above them, so that it is never 0, and a late or
// duplicate reply does not match.
func nextID(id uint32, i int, shift uint) uint32 {
	use := (id>>shift + 1) << shift
	if use == 0 {
		use = 1 << shift
	}
	return use | uint32(i)
}
