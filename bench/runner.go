package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInterrupted is returned when the context ends before anything has been measured.
var ErrInterrupted = errors.New("interrupted before anything was measured")

// Run loads the table, drives the workload and returns what was measured. When ctx ends while measuring, the report covers the time until then.
//
// Errors: *UsageError for options that cannot be used; ErrInterrupted; one line that says why the server cannot be reached or the table not be made.
// Wrong replies are no error of Run: they stand in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	r, err := newRunner(o)
	if err != nil {
		return nil, err
	}
	loadOp, entries := o.Op.loadOp(o.Keys)
	if err := r.load(ctx, loadOp, entries); err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	return r.measure(ctx)
}

// runner leads one run.
type runner struct {
	options Options
	items   *items
	wire    wire
	pid     int // the server's process; 0: not on this machine, or this very process

	phase atomic.Int32
	loops []*eventLoop
}

func newRunner(o Options) (*runner, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	items := newItems(o.KeyBytes, o.ValueBytes, o.Seed)
	return &runner{options: o, items: items, wire: o.Target.wire(&o, items)}, nil
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

// load makes the table anew and fills it, on connections of its own.
func (r *runner) load(ctx context.Context, op Op, entries int) error {
	loop, err := r.openLoader(ctx, op)
	if err != nil {
		return err
	}
	defer loop.close()
	return r.fill(ctx, loop, op, entries)
}

// openLoader opens the connections that load the table and makes it, empty.
func (r *runner) openLoader(ctx context.Context, op Op) (*eventLoop, error) {
	const dictConnections, inFlightBytes, overhead, mostInFlight = 4, 2 << 20, 128, 128
	connections := dictConnections
	if op.usesList() {
		connections = 1 // the order counts
	}
	fds, err := dial(ctx, r.options.Target, r.wire, connections)
	if err != nil {
		return nil, err
	}
	pipeline := min(max(inFlightBytes/(r.items.valueBytes+overhead), 1), mostInFlight)
	loop, err := r.newLoop(fds, 0, 1, pipeline)
	if err != nil {
		return nil, err
	}
	if err := r.findServer(); err != nil {
		loop.close()
		return nil, err
	}
	if err := r.wire.prepare(op, func(request []byte) (reply, error) { return loop.conns[0].ask(r.wire, request) }); err != nil {
		loop.close()
		return nil, fmt.Errorf("table %q at %s: %w", r.options.Table, r.options.Target, err)
	}
	return loop, nil
}

// fill writes the entries through the loop.
func (r *runner) fill(ctx context.Context, loop *eventLoop, op Op, entries int) error {
	for i, c := range loop.conns {
		c.stream = sequentialStream(op, entries, i, len(loop.conns))
	}
	r.phase.Store(int32(phaseWarmUp))
	stop := context.AfterFunc(ctx, func() { r.phase.Store(int32(phaseDrain)) })
	defer stop()
	if err := loop.run(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	if t := &loop.tally; t.errors > 0 {
		return fmt.Errorf("loading %d entries into %s: %d errors, the first: %s", entries, r.options.Target, t.errors, t.messages[0])
	}
	return nil
}

// newLoop makes the part'th of parts event loops, which takes every parts'th socket; the sockets are the loop's, or closed on error.
func (r *runner) newLoop(fds []int, part, parts, pipeline int) (*eventLoop, error) {
	loop, err := newEventLoop(r.wire, r.items, pipeline, &r.phase)
	for number := part; number < len(fds); number += parts {
		if err != nil {
			_ = unix.Close(fds[number]) // the first error is the one to tell
			continue
		}
		c := newConn(fds[number], pipeline)
		c.stream = randomStream(r.options.Op, r.options.Keys, r.options.Seed, number)
		err = loop.adopt(c)
	}
	return loop, err
}

// connect opens the connections of the run and shares them out to the loops.
func (r *runner) connect(ctx context.Context) error {
	fds, err := dial(ctx, r.options.Target, r.wire, r.options.Connections)
	if err != nil {
		return err
	}
	threads := min(r.options.Threads, len(fds))
	for part := range threads {
		loop, loopErr := r.newLoop(fds, part, threads, r.options.Pipeline)
		if loop != nil {
			r.loops = append(r.loops, loop)
		}
		err = errors.Join(err, loopErr)
	}
	return err
}

func (r *runner) close() {
	for _, loop := range r.loops {
		loop.close()
	}
}

// measure leads the loops through the phases.
func (r *runner) measure(ctx context.Context) (*Report, error) {
	r.phase.Store(int32(phaseWarmUp))
	done, loopErrors := r.startLoops()
	if pause(ctx, r.options.Warmup, done) == pauseCancelled {
		r.phase.Store(int32(phaseDrain))
		<-done
		return nil, ErrInterrupted
	}
	before := r.sample()
	r.phase.Store(int32(phaseMeasure))
	pause(ctx, r.options.Duration, done)
	r.phase.Store(int32(phaseDrain))
	after := r.sample()
	<-done
	if err := errors.Join(*loopErrors...); err != nil {
		return nil, err
	}
	sum := r.sum()
	r.checkLength(sum)
	return newReport(&r.options, sum, before, after), nil
}

// startLoops runs every loop on a goroutine; done is closed when all have ended and their errors stand in the slice.
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

// pauseEnd says why a pause ended.
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

// sample is what is read at the beginning and the end of the measured time.
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

// sum adds up what the loops have counted.
func (r *runner) sum() *tally {
	sum := &tally{}
	for _, loop := range r.loops {
		sum.add(&loop.tally)
	}
	return sum
}

// checkLength compares the length of the list with the number of appends that were acknowledged.
func (r *runner) checkLength(t *tally) {
	if r.options.Op != OpAppend || t.errors > 0 {
		return
	}
	length, err := r.wire.entries(func(request []byte) (reply, error) { return r.loops[0].conns[0].ask(r.wire, request) })
	switch {
	case err != nil:
		t.fail(1, "length of the list: %v", err)
	case uint64(length) != t.appended:
		t.fail(1, "the list has %d elements after %d appends", length, t.appended)
	}
}
