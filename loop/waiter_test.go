package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/wheel"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// Commands of these tests, which wait.
const (
	opSleep    codec.Opcode = 0xf0 + iota // for waitTime
	opTake                                // until the list "l" has an element, which it removes
	opTakeLong                            // the same, in the background
	opSynced                              // until all up to waits.lsn is on disk
)

const waitTime = 60 // milliseconds

// waits is commands that wait, and what they have done.
type waits struct {
	commands *engine.Commands
	active   atomic.Int64 // registrations that were neither woken nor canceled
	taken    sync.Map     // the elements that were removed
	slept    atomic.Int64 // the shortest time that opSleep has waited
	lsn      atomic.Uint64
	srv      atomic.Pointer[Server]
}

func newWaits() *waits {
	w := &waits{}
	w.slept.Store(1 << 40)
	w.commands = commandsWith(map[codec.Opcode]engine.Command{
		opSleep: {Run: func(x *engine.Executor) error {
			if x.Waited < waitTime {
				return x.WaitFor(engine.Wait{Within: waitTime - x.Waited})
			}
			w.slept.Store(min(w.slept.Load(), x.Waited))
			return nil
		}},
		opTake: {Mutates: true, Run: w.take},
		opTakeLong: {Mutates: true, Run: func(x *engine.Executor) error {
			if !x.Call().MayBlock {
				return shardmap.ErrLong
			}
			return w.take(x)
		}},
		opSynced: {Run: func(x *engine.Executor) error {
			if w.srv.Load().journal.Durable() >= w.lsn.Load() {
				return nil
			}
			return x.WaitFor(engine.Wait{When: w.counted(x.WhenDurable(w.lsn.Load()))})
		}},
	})
	return w
}

func (w *waits) take(x *engine.Executor) error {
	x.TableName = []byte("l")
	table, ok := x.Store().Lookup(x.Call(), x.TableName)
	if !ok {
		return shardmap.ErrNoTable
	}
	if table.Kind() != shardmap.KindList {
		return shardmap.ErrKind
	}
	taken, err := table.List().Pop(x.Call(), nil, 0)
	var empty *value.Error
	if errors.As(err, &empty) {
		return x.WaitFor(engine.Wait{When: w.counted(table.WhenChanged)})
	}
	if err == nil {
		if _, twice := w.taken.LoadOrStore(string(taken), true); twice {
			return fmt.Errorf("%x was taken twice", taken)
		}
	}
	return err
}

// counted counts the registrations of when.
func (w *waits) counted(when func(func()) func()) func(func()) func() {
	return func(wake func()) func() {
		w.active.Add(1)
		var once sync.Once
		end := func() { once.Do(func() { w.active.Add(-1) }) }
		cancel := when(func() { end(); wake() })
		return func() { end(); cancel() }
	}
}

// clean waits until nothing is left of any wait.
func (w *waits) clean(t *testing.T, srv *Server) {
	t.Helper()
	within(t, testTimeout, func() error {
		timers := 0
		if err := eachLoop(srv, func(l *eventLoop) { timers += l.timers.wheel.Len() }); err != nil {
			return err
		}
		if n, r := srv.waiting.Load(), w.active.Load(); n != 0 || r != 0 || timers != 0 {
			return fmt.Errorf("%d waiters, %d registrations, %d timers are left", n, r, timers)
		}
		if n := srv.requests.bytes.Load(); n != 0 {
			return fmt.Errorf("%d bytes are left in the budget", n)
		}
		return nil
	})
}

// eachLoop calls f on each event loop.
func eachLoop(srv *Server, f func(l *eventLoop)) error {
	srv.loopsMu.Lock()
	defer srv.loopsMu.Unlock()
	for el, l := range srv.loops {
		if err := runOn(el, func() { f(l) }); err != nil {
			return err
		}
	}
	return nil
}

// runOn calls f on an event loop.
func runOn(el gnet.EventLoop, f func()) error {
	done := make(chan struct{})
	if err := el.Execute(context.Background(), runnable(func() { f(); close(done) })); err != nil {
		return err
	}
	<-done
	return nil
}

// TestWaitForTime: a request waits for a time, and the connection's later requests do not.
func TestWaitForTime(t *testing.T) {
	t.Parallel()
	waits := newWaits()
	srv := startServer(t, func(cfg *Config) { cfg.Commands = waits.commands })
	w := dial(t, srv)
	start := time.Now()
	w.write(slices.Concat(w.request(opSleep), w.request(opSleep), w.request(codec.OpPing)))
	if reply, err := w.reply(); err != nil || reply.ID != w.id || time.Since(start) > waitTime*time.Millisecond {
		t.Logf("PING is answered after %v", time.Since(start)) // on a busy machine
		if reply.ID != w.id {
			t.Fatalf("the first reply is to request %d, %v", reply.ID, err)
		}
	}
	for range 2 {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Fatal(reply.Status, err)
		}
	}
	if took := time.Since(start); took < waitTime*time.Millisecond || waits.slept.Load() < waitTime {
		t.Errorf("answered after %v, waited %d ms", took, waits.slept.Load())
	}
	waits.clean(t, srv)
}

// TestWaitForValue: thousands of requests on several loops, and in the background, wait until a
// list has elements. Each element is taken once, no wake-up is lost, and nothing is left.
func TestWaitForValue(t *testing.T) {
	t.Parallel()
	waits := newWaits()
	srv := startServer(t, func(cfg *Config) { cfg.Commands, cfg.EventLoops = waits.commands, 4 })
	dial(t, srv).ok(codec.OpCreateList, "l", false)
	const conns, each, producers = 16, 100, 4
	var all sync.WaitGroup
	for range conns {
		w := dial(t, srv)
		all.Go(func() {
			var frames []byte
			for i := range each {
				op := opTake
				if i%50 == 49 {
					op = opTakeLong
				}
				frames = append(frames, w.request(op)...)
			}
			w.write(append(frames, w.request(codec.OpPing)...))
			for range each + 1 {
				if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
					t.Errorf("%v, %v", reply.Status, err)
					return
				}
			}
		})
	}
	for p := range producers {
		w := dial(t, srv)
		all.Go(func() {
			for i := range conns * each / producers {
				w.ok(codec.OpListAppend, "l", p*1e6+i)
			}
		})
	}
	all.Wait()
	n := 0
	waits.taken.Range(func(any, any) bool { n++; return true })
	if n != conns*each {
		t.Errorf("%d elements were taken", n)
	}
	waits.clean(t, srv)
}

// TestWaitForDisk: a request waits until a change is on disk. The connection continues meanwhile.
func TestWaitForDisk(t *testing.T) {
	t.Parallel()
	waits := newWaits()
	goOn := make(chan struct{})
	var armed atomic.Bool
	disk := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, name string) error {
		if armed.Load() && op == "sync" {
			<-goOn
		}
		return nil
	}}
	srv := startServer(t, func(cfg *Config) {
		cfg.Commands, cfg.Data = waits.commands, dataOn(disk, func(d *Data) { d.Fsync = persist.Never })
	})
	waits.srv.Store(srv)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	armed.Store(true)
	w.ok(codec.OpDictSet, "d", "k", 1)
	waits.lsn.Store(srv.store.Clock())
	w.write(w.request(opSynced))
	waiting := w.id
	w.ok(codec.OpDictSet, "d", "k", 2)
	if srv.waiting.Load() != 1 {
		t.Errorf("%d requests wait", srv.waiting.Load())
	}
	close(goOn)
	if reply, err := w.reply(); err != nil || reply.ID != waiting || reply.Status != codec.StatusOK {
		t.Error(reply.ID, reply.Status, err)
	}
	waits.clean(t, srv)
}

// TestWaitsEnd: the deadline of a request, the end of its table and the end of the server end its
// wait with a reply, the end of its connection without one. Nothing is left.
func TestWaitsEnd(t *testing.T) {
	t.Parallel()
	waits := newWaits()
	srv := startServer(t, func(cfg *Config) { cfg.Commands = waits.commands })
	other := dial(t, srv)
	for name, c := range map[string]struct {
		end  func()
		want codec.Status
	}{
		"drop":   {func() { other.ok(codec.OpDrop, "l") }, codec.StatusNoSuchTable},
		"rename": {func() { other.ok(codec.OpRename, "l", "m"); other.ok(codec.OpDrop, "m") }, codec.StatusNoSuchTable},
		"again": {func() {
			other.write(slices.Concat(other.request(codec.OpDrop, "l"), other.request(codec.OpCreateDict, "l", false)))
			other.answered(2)
			other.ok(codec.OpDrop, "l")
		}, 0},
	} {
		other.ok(codec.OpCreateList, "l", false)
		w := dial(t, srv)
		for range 10 {
			w.write(w.request(opTake))
		}
		w.ok(codec.OpPing)
		c.end()
		w.id--
		for _, got := range w.statuses(10) {
			if got != c.want && c.want != 0 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
		waits.clean(t, srv)
	}
	other.ok(codec.OpCreateList, "l", false)
	w := dial(t, srv)
	start := time.Now()
	w.write(w.within(70, opTake))
	if got := w.statuses(1); got[0] != codec.StatusDeadlineExceeded || time.Since(start) < 70*time.Millisecond {
		t.Errorf("%v after %v", got, time.Since(start))
	}
	waits.clean(t, srv)

	for range 100 {
		w.write(slices.Concat(w.request(opTake), w.within(3_600_000, opTake)))
	}
	w.ok(codec.OpPing)
	_ = w.conn.Close()
	waits.clean(t, srv)
	other.ok(codec.OpListAppend, "l", 1)
	if n := other.ok(codec.OpListLen, "l"); n[0] != int64(1) {
		t.Error("a closed connection has taken an element")
	}
	other.ok(codec.OpListPop, "l")

	w = dial(t, srv)
	for range 100 {
		w.write(slices.Concat(w.request(opTake), w.within(3_600_000, opTake), w.request(opSleep)))
	}
	w.ok(codec.OpPing)
	w.id--
	go func() { _ = srv.Stop(t.Context()) }()
	for _, got := range w.statuses(300) {
		if got != codec.StatusShuttingDown && got != codec.StatusOK {
			t.Errorf("when the server stops: %v", got)
		}
	}
	stopServer(t, srv)
	if n, r := srv.waiting.Load(), waits.active.Load(); n != 0 || r != 0 {
		t.Errorf("%d waiters and %d registrations are left", n, r)
	}
}

// TestPoisonEndsWaits: a panic in the middle of a change of a table ends the waits for it.
func TestPoisonEndsWaits(t *testing.T) {
	t.Parallel()
	waits := newWaits()
	waits.commands[0xe0] = engine.Command{Mutates: true, Run: func(x *engine.Executor) error {
		table, _ := x.Store().Lookup(x.Call(), []byte("l"))
		log := x.Call().Log
		defer func() { x.Call().Log = log }()
		x.Call().Log = panickingLog{log}
		return table.List().Append(x.Call(), value.AppendInt(nil, 1))
	}}
	srv := startServer(t, func(cfg *Config) { cfg.Commands = waits.commands })
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	w.write(w.request(opTake))
	if !dial(t, srv).closedBy(0xe0) {
		t.Error("the panic closes no connection")
	}
	if got := w.statuses(1); got[0] != codec.StatusInternal {
		t.Error(got)
	}
	waits.clean(t, srv)
}

// closedBy sends a request and says whether the server closes the connection.
func (w *wire) closedBy(op codec.Opcode) bool {
	w.write(w.request(op))
	return w.closed()
}

// TestWaitLimits: one connection has a limited number of waiting requests, and all together have
// limited memory for them. Beyond that requests get Overloaded.
func TestWaitLimits(t *testing.T) {
	t.Parallel()
	waits := newWaits()
	srv := startServer(t, func(cfg *Config) { cfg.Commands = waits.commands })
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	var frames []byte
	for range maxWaiters + 1 {
		frames = append(frames, w.request(opTake)...)
	}
	w.write(frames)
	if reply, err := w.reply(); err != nil || reply.ID != w.id || reply.Status != codec.StatusOverloaded {
		t.Fatal(reply.ID, reply.Status, err)
	}
	other := dial(t, srv)
	other.ok(codec.OpPing)
	all := srv.requests.bytes.Swap(srv.requests.limit)
	other.fails(codec.StatusOverloaded, opTake)
	srv.requests.bytes.Store(all)
	other.ok(codec.OpDrop, "l")
	for range maxWaiters {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusNoSuchTable {
			t.Fatal(reply.Status, err)
		}
	}
	waits.clean(t, srv)
}

// TestTimersSleep: an event loop with a million timers that are due in an hour is not woken for
// them; one with a timer that is due soon is woken about once.
func TestTimersSleep(t *testing.T) {
	t.Parallel()
	var clock storeTime
	clock.init(nil)
	posts := make(chan struct{}, 1000)
	l := timers{clock: &clock, post: func() { posts <- struct{}{} }, again: func() {}}
	defer l.end()
	many := make([]wheel.Timer, 1_000_000)
	for i := range many {
		l.add(&many[i], clock.monotonic()+time.Hour)
	}
	fired := make(chan time.Duration, 1)
	soon := &dueTimer{func() { fired <- clock.monotonic() }}
	at := clock.monotonic() + 500*time.Millisecond
	l.add(&wheel.Timer{Owner: soon}, at)
	woken := 0
	for end := time.After(2 * time.Second); ; {
		select {
		case <-posts:
			woken++
			for l.serve(); l.more; {
				l.serve()
			}
			continue
		case <-end:
		}
		break
	}
	if when := <-fired; when < at {
		t.Errorf("the timer fires %v early", at-when)
	}
	if woken > 10 {
		t.Errorf("woken %d times in 2 s", woken)
	}
}

type dueTimer struct{ due func() }

func (d *dueTimer) Due() { d.due() }

// TestEventBeforeRegistration: what happens after a request was executed in vain, and before it is
// registered, ends its wait although it wakes nothing.
func TestEventBeforeRegistration(t *testing.T) {
	t.Parallel()
	const opEvent, opEventLong = 0xf0, 0xf1
	event := func() func(x *engine.Executor) error {
		var happened atomic.Bool
		return func(x *engine.Executor) error {
			if happened.Load() {
				return nil
			}
			return x.WaitFor(engine.Wait{When: func(func()) (cancel func()) {
				happened.Store(true)
				return func() {}
			}})
		}
	}
	long := event()
	commands := commandsWith(map[codec.Opcode]engine.Command{
		opEvent: {Run: event()},
		opEventLong: {Run: func(x *engine.Executor) error {
			if !x.Call().MayBlock {
				return shardmap.ErrLong
			}
			return long(x)
		}},
	})
	srv := startServer(t, func(cfg *Config) { cfg.Commands = commands })
	w := dial(t, srv)
	w.write(w.request(opEvent))
	w.write(w.within(5000, opEventLong))
	if got := w.statuses(2); got[0] != codec.StatusOK || got[1] != codec.StatusOK {
		t.Error(got)
	}
}
