package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInterrupted is returned when the context ends before anything has been measured.
var ErrInterrupted = errors.New("interrupted before anything was measured")

// Run loads the table, drives the workload and returns what was measured. When ctx ends while
// measuring, the report covers the time until then.
//
// Errors: *UsageError for options that cannot be used; ErrInterrupted; one line that says why the
// server cannot be reached or the table cannot be created. Wrong replies are not an error of Run:
// the report counts them.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Op.byLibrary() {
		return nil, &UsageError{fmt.Sprintf("--op %s is for client libraries: give --callers", o.Op)}
	}
	r, err := newRunner(o)
	if err != nil {
		return nil, err
	}
	return r.runAll(ctx)
}

// runner is one run.
type runner struct {
	options Options
	items   *items
	wire    wire
	pid     int // the server's process; 0: not on this machine, or this very process
	version string

	asked int                   // the requested pipeline, which the protocol may not support
	live  *atomic.Pointer[live] // nil: progress is not shown

	phase atomic.Int32
	stage atomic.Int32 // of a run with Options.Halfway
	loops []*eventLoop
}

// begin loads the tables, unless they are, and opens the connections.
func (r *runner) begin(ctx context.Context) error {
	op, entries := r.options.Op.loadOp(r.options.Keys)
	if err := r.load(ctx, op, entries); err != nil {
		return err
	}
	return r.connect(ctx)
}

func newRunner(o Options) (*runner, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	items := newItems(o.KeySize, o.ValueSize, o.Seed)
	wire, err := o.Target.wire(&o, items)
	if err != nil {
		return nil, err
	}
	for _, op := range o.Op.requests() {
		if _, ok := wire.wants(op); !ok {
			return nil, &UsageError{
				fmt.Sprintf("--op %s cannot be asked of %s: its protocol has no %s", o.Op, o.Target, op),
			}
		}
	}
	asked := o.Pipeline
	o.Pipeline = o.pipeline()
	return &runner{options: o, items: items, wire: wire, asked: asked}, nil
}

// findServer sets pid.
func (r *runner) findServer() error {
	pid, err := r.options.ServerPID, error(nil)
	if pid == 0 {
		pid, err = serverProcess(r.options.Target)
	}
	if errors.Is(err, errNotLocal) || pid == os.Getpid() {
		return nil
	}
	r.pid = pid
	if err == nil {
		_, err = processUsage(pid)
	}
	return err
}

// newLoop makes the part'th of parts event loops, which takes every parts'th socket; the sockets
// are the loop's, or closed on error. spec is what these loops share.
func (r *runner) newLoop(sockets []socket, part, parts int, spec *loopSpec) (*eventLoop, error) {
	spec.wire, spec.items, spec.keys, spec.phase, spec.interval = r.wire, r.items, r.options.Keys, &r.phase, intervalOf(
		&r.options,
	)
	if r.options.Halfway != "" {
		spec.stage = &r.stage
	}
	loop, err := newEventLoop(spec)
	for number := part; number < len(sockets); number += parts {
		if err != nil {
			_ = unix.Close(sockets[number].fd) // the first error is reported
			continue
		}
		err = loop.adopt(newConn(sockets[number], spec.pipeline))
	}
	return loop, err
}

// connect opens the connections of the run and distributes them among the loops.
func (r *runner) connect(ctx context.Context) error {
	o := &r.options
	sockets, err := dial(ctx, o.Target, r.wire, o.Connections)
	if err != nil {
		return err
	}
	threads := min(o.Threads, len(sockets))
	var skew *zipf
	if o.Zipf > 0 {
		skew = newZipf(o.Keys, o.Zipf)
	}
	for part := range threads {
		loop, loopErr := r.newLoop(sockets, part, threads, &loopSpec{
			pipeline: o.Pipeline,
			budget:   share(o.Requests, part, threads),
			growing:  o.Op == OpAppend && o.Tables == 1,
			gap:      o.gap(threads),
		})
		if err = errors.Join(err, loopErr); loop == nil {
			continue
		}
		r.loops = append(r.loops, loop)
		for i, c := range loop.conns {
			c.stream = r.stream(part+i*threads, skew)
		}
	}
	return err
}

// share is the part'th of parts shares of a number.
func share(number, part, parts int) uint64 { return uint64((number + parts - 1 - part) / parts) }

// gap returns the nanoseconds between two requests of one of so many loops; 0 for a closed loop.
func (o *Options) gap(loops int) float64 {
	if o.Rate == 0 {
		return 0
	}
	return float64(loops) * float64(time.Second) / o.Rate
}

// stream returns the requests of connection number conn.
func (r *runner) stream(conn int, skew *zipf) stream {
	o := &r.options
	if o.Op.onceEach() {
		// every list ends at the same time
		return sequentialStream(o.Op.requests()[0], o.Keys, conn, o.Connections)
	}
	s := randomStream(o.Op, o.Keys, o.Seed, conn)
	s.zipf, s.ratio = skew, o.Ratio
	return s
}

func (r *runner) close() {
	for _, loop := range r.loops {
		loop.close()
	}
}

// measure takes the loops through the phases.
func (r *runner) measure(ctx context.Context) (*Report, error) {
	r.phase.Store(int32(phaseWarmUp))
	measuring := r.reached()
	done, loopErrors := r.startLoops()
	if end := pause(ctx, r.options.Warmup, done); end != pauseOver {
		r.phase.Store(int32(phaseDrain))
		<-done
		return nil, r.endedEarly(end, *loopErrors)
	}
	before := r.sample()
	r.phase.Store(int32(phaseMeasure))
	<-measuring
	if r.live != nil {
		r.live.Store(&live{since: before.at, loops: r.loops})
	}
	limit := r.options.Duration
	if r.options.Requests > 0 {
		limit = math.MaxInt64
	}
	var middle *halfway
	from := time.Now()
	if r.options.Halfway != "" {
		middle = startHalfway(ctx, r.options.Halfway, from, limit, &r.stage)
	}
	pause(ctx, limit, done)
	r.phase.Store(int32(phaseDrain))
	after := r.sample()
	<-done
	if err := errors.Join(*loopErrors...); err != nil {
		return nil, err
	}
	sum := r.sum()
	if ctx.Err() == nil {
		r.verify(ctx, sum)
	}
	report := newReport(&r.options, sum, before, after)
	report.Server, report.Asked = r.version, r.asked
	if middle != nil {
		var err error
		if report.Halfway, err = middle.report(&sum.latency, from, after.at); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// reached returns a channel that is closed when every loop has begun to measure, or ended. On a
// busy machine that takes a while.
func (r *runner) reached() chan struct{} {
	var waiting sync.WaitGroup
	for _, loop := range r.loops {
		waiting.Add(1)
		loop.reached = sync.OnceFunc(waiting.Done)
	}
	all := make(chan struct{})
	go func() {
		waiting.Wait()
		close(all)
	}()
	return all
}

// endedEarly says why the warm-up ended before its time.
func (r *runner) endedEarly(end pauseEnd, loopErrors []error) error {
	if end == pauseCancelled {
		return ErrInterrupted
	}
	if err := errors.Join(loopErrors...); err != nil {
		return err
	}
	if t := r.sum(); t.errors > 0 {
		return fmt.Errorf("%s: every connection was lost in the warm-up: %s", r.options.Target, t.messages[0])
	}
	return r.doneEarly()
}

// doneEarly says that nothing is left to do after the warm-up.
func (r *runner) doneEarly() error {
	return fmt.Errorf(
		"--op %s is done with its keys before the warm-up ends: give more --keys than %d, or less --warmup than %v",
		r.options.Op,
		r.options.Keys,
		r.options.Warmup,
	)
}

// startLoops runs every loop on a goroutine; done is closed when all have ended and their errors
// are in the slice.
func (r *runner) startLoops() (done chan struct{}, loopErrors *[]error) {
	var running sync.WaitGroup
	errs := make([]error, len(r.loops))
	for i, loop := range r.loops {
		running.Go(func() { errs[i] = loop.run() })
	}
	done = make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	return done, &errs
}

// pauseEnd is the reason why a pause ended.
type pauseEnd int

const (
	pauseOver pauseEnd = iota
	pauseDone
	pauseCancelled
)

func pause(ctx context.Context, d time.Duration, done <-chan struct{}) pauseEnd {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return pauseOver
	case <-done:
		return pauseDone
	case <-ctx.Done():
		return pauseCancelled
	}
}

// sample is a reading at the beginning or the end of the measured time.
type sample struct {
	at          time.Time
	client      time.Duration // this process's CPU time
	server      usage
	serverKnown bool
}

func (r *runner) sample() sample {
	s := sample{at: time.Now()}
	if r.pid != 0 {
		usage, err := processUsage(r.pid)
		s.server, s.serverKnown = usage, err == nil
	}
	var self unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err == nil {
		s.client = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	}
	return s
}

// sum adds the counts of the loops.
func (r *runner) sum() *tally {
	sum := &tally{}
	for _, loop := range r.loops {
		sum.add(&loop.tally)
	}
	return sum
}
