package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Library is a client library under test. Its functions are called by many goroutines at once; a
// key that is not there is an error of Get.
type Library struct {
	Name        string
	Connections int // that it keeps open; 0 if unknown
	Get         func(ctx context.Context, key string) (string, error)
	Set         func(ctx context.Context, key, value string) error
	Calls       map[Op]Call // OpLock, OpTake, OpWake: those that it has
}

// Call does an operation once, for the goroutine of that number. took is how long it took, or 0 if
// that is the time of the call. more is false if there is nothing left to do.
type Call func(ctx context.Context, caller int) (took time.Duration, more bool, err error)

// maxCallers bounds the goroutines of RunCallers.
const maxCallers = 1 << 20

// RunCallers loads the table as Run does and calls the library from that many goroutines. Each
// waits for its reply before its next call. The report has throughput, latencies, and the CPU time
// and allocations of this process per operation. RunCallers ignores o.Connections, o.Pipeline and
// o.Threads. Errors: as Run's.
func RunCallers(ctx context.Context, o Options, goroutines int, library *Library) (*Report, error) {
	switch {
	case goroutines < 1 || goroutines > maxCallers:
		return nil, &UsageError{fmt.Sprintf("goroutines must be 1 to %d, not %d", maxCallers, goroutines)}
	case !o.Op.anyOf(OpGet, OpSet, OpMixed) && library.Calls[o.Op] == nil || o.Tables > 1:
		return nil, &UsageError{fmt.Sprintf(
			"client libraries are measured by get, set, mixed, lock, take and wake of one table; %s has no %s",
			library.Name,
			o.Op,
		)}
	case o.Rate > 0:
		return nil, &UsageError{"client libraries are measured in a closed loop: leave out --rate"}
	}
	r, err := newRunner(o)
	if err != nil {
		return nil, err
	}
	op, entries := o.Op.loadOp(o.Keys)
	if err := r.load(ctx, op, entries); err != nil {
		return nil, err
	}
	c := newCallers(r, library)
	if !o.Op.byLibrary() {
		if err := c.once(ctx, OpGet, 0); err != nil { // also waits until the library has connected
			return nil, fmt.Errorf("%s at %s: %w", library.Name, o.Target, err)
		}
	}
	report, err := c.measure(ctx, goroutines)
	if err != nil {
		return nil, err
	}
	report.Server, report.Client = r.version, library.Name
	report.Goroutines, report.Connections = goroutines, library.Connections
	report.Pipeline, report.Asked = 1, 0
	return report, nil
}

// callers is one run of RunCallers.
type callers struct {
	// constant after newCallers
	*runner
	library      *Library
	keys, values []string // made before, so that they do not count as the library's allocations

	measuring atomic.Pointer[time.Time] // since then
	left      atomic.Int64              // measured calls that remain, if their number is limited
	counters  []counter
}

// counter counts for some of the goroutines. There are as many counters as goroutines that run at
// once.
type counter struct {
	mu    sync.Mutex
	tally tally // guarded by mu
}

func newCallers(r *runner, library *Library) *callers {
	c := &callers{runner: r, library: library, counters: make([]counter, runtime.GOMAXPROCS(0))}
	for item := range uint32(r.options.Keys) {
		c.keys = append(c.keys, string(r.items.appendKey(nil, item)))
		c.values = append(c.values, string(r.items.appendValue(nil, item)))
	}
	for i := range c.counters {
		c.counters[i].tally.latency = newLatencies(intervalOf(&r.options), nil)
	}
	c.left.Store(int64(r.options.Requests))
	return c
}

func (c *callers) measure(ctx context.Context, goroutines int) (*Report, error) {
	c.phase.Store(int32(phaseWarmUp))
	done := c.start(ctx, goroutines)
	if end := pause(ctx, c.options.Warmup, done); end != pauseOver {
		c.phase.Store(int32(phaseDrain))
		<-done
		if end == pauseCancelled {
			return nil, ErrInterrupted
		}
		return nil, c.doneEarly()
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	allocs, before := memory.Mallocs, c.sample()
	c.measuring.Store(&before.at)
	c.phase.Store(int32(phaseMeasure))
	limit := c.options.Duration
	if c.options.Requests > 0 {
		limit = longestLatency
	}
	pause(ctx, limit, done)
	c.phase.Store(int32(phaseDrain))
	after := c.sample()
	runtime.ReadMemStats(&memory)
	<-done
	sum := &tally{}
	for i := range c.counters {
		sum.add(&c.counters[i].tally)
	}
	sum.span = after.at.Sub(before.at)
	report := newReport(&c.options, sum, before, after)
	perOperation := rounded(float64(memory.Mallocs-allocs)/float64(max(sum.ops, 1)), 100)
	report.AllocsPerOp = &perOperation
	return report, nil
}

// start starts the goroutines; done is closed when all have ended.
func (c *callers) start(ctx context.Context, goroutines int) (done chan struct{}) {
	var running sync.WaitGroup
	var skew *zipf
	if c.options.Zipf > 0 {
		skew = newZipf(c.options.Keys, c.options.Zipf)
	}
	for i := range goroutines {
		counter := &c.counters[i%len(c.counters)]
		if do := c.library.Calls[c.options.Op]; do != nil && c.options.Op.byLibrary() {
			running.Go(func() { c.callLibrary(ctx, i, do, counter) })
			continue
		}
		running.Go(func() { c.call(ctx, c.stream(i, skew), counter) })
	}
	done = make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	return done
}

// call makes calls, one at a time, until the run drains.
func (c *callers) call(ctx context.Context, s stream, into *counter) {
	for {
		at := phase(c.phase.Load())
		if at == phaseDrain || (at == phaseMeasure && c.options.Requests > 0 && c.left.Add(-1) < 0) {
			return
		}
		op, item, _ := s.take()
		began := time.Now()
		err := c.once(ctx, op, item)
		now := time.Now()
		if phase(c.phase.Load()) == phaseDrain && errors.Is(err, context.Canceled) {
			return // the run was interrupted
		}
		into.count(c, at == phaseMeasure, began, now, err)
	}
}

// callLibrary makes calls of one of the library's own operations until the run drains, or there is
// nothing left to do.
func (c *callers) callLibrary(ctx context.Context, caller int, do Call, into *counter) {
	for {
		at := phase(c.phase.Load())
		if at == phaseDrain || (at == phaseMeasure && c.options.Requests > 0 && c.left.Add(-1) < 0) {
			return
		}
		began := time.Now()
		took, more, err := do(ctx, caller)
		now := time.Now()
		if took > 0 {
			began = now.Add(-took)
		}
		if !more || phase(c.phase.Load()) == phaseDrain && errors.Is(err, context.Canceled) {
			return
		}
		into.count(c, at == phaseMeasure, began, now, err)
	}
}

// once makes one call and checks what it returns.
func (c *callers) once(ctx context.Context, op Op, item uint32) error {
	if op == OpSet {
		return c.library.Set(ctx, c.keys[item], c.values[item])
	}
	value, err := c.library.Get(ctx, c.keys[item])
	if err == nil && !c.items.isValue(unsafe.Slice(unsafe.StringData(value), len(value)), item) {
		err = fmt.Errorf("get of item %d: another value, %.40q", item, value)
	}
	return err
}

// count counts one call; it is measured if it began and ended in the measured time.
func (n *counter) count(c *callers, measured bool, began, now time.Time, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.tally.fail(1, "%v", err)
	}
	if measured && phase(c.phase.Load()) == phaseMeasure {
		n.tally.latency.advance(now.Sub(*c.measuring.Load()))
		n.tally.latency.record(now.Sub(began))
		n.tally.ops++
	}
}
