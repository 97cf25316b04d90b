package loop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// Commands of these tests: opCostly uses a whole quantum, opMark nothing, and opCostlyMark does
// both. The latter two record how many costly requests came before.
const (
	opCostly codec.Opcode = 0xf0 + iota
	opMark
	opCostlyMark
)

// costly is a server with one event loop, on which opCostly blocks until the test releases it.
type costly struct {
	*testing.T
	srv     *Server
	runs    atomic.Int64  // of opCostly
	marks   chan int64    // of the marks: runs so far
	stands  chan struct{} // closed when the first one runs
	goOn    chan struct{}
	letOnce sync.Once
}

func newCostly(t *testing.T) *costly {
	c := &costly{T: t, stands: make(chan struct{}), marks: make(chan int64, 100), goOn: make(chan struct{})}
	run := func(x *engine.Executor) error {
		x.Call().Cost += quantum
		if c.runs.Add(1) == 1 {
			close(c.stands)
			<-c.goOn
		}
		return nil
	}
	mark := func(cost int) engine.Command {
		return engine.Command{Run: func(x *engine.Executor) error {
			x.Call().Cost += cost
			c.marks <- c.runs.Load()
			return nil
		}}
	}
	commands := commandsWith(
		map[codec.Opcode]engine.Command{opCostly: {Run: run}, opMark: mark(0), opCostlyMark: mark(quantum)},
	)
	c.srv = startServer(t, func(cfg *Config) { cfg.EventLoops, cfg.Commands = 1, commands })
	t.Cleanup(c.letGo)
	return c
}

func (c *costly) letGo() { c.letOnce.Do(func() { close(c.goOn) }) }

// asksFor sends n costly requests at once. When it returns, the first of them blocks.
func (c *costly) asksFor(n int) *wire {
	w := dial(c, c.srv)
	var frames []byte
	for range n {
		frames = append(frames, w.request(opCostly)...)
	}
	w.write(frames)
	<-c.stands
	return w
}

// answered reads n replies, which come in the order of the requests.
func (w *wire) answered(n int) {
	w.Helper()
	first := w.id - uint32(n) + 1
	for i := range n {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK || reply.ID != first+uint32(i) {
			w.Fatalf("reply %d of %d: id %d, %v, %v", i, n, reply.ID, reply.Status, err)
		}
	}
}

// TestQuantum: a connection that asks for much at once does not delay the others: it gets one
// quantum in each iteration.
func TestQuantum(t *testing.T) {
	c := newCostly(t)
	const many, few = 200, 5
	other, second := dial(t, c.srv), dial(t, c.srv)
	greedy := c.asksFor(many)
	other.write(other.request(opMark))
	var frames []byte
	for range few {
		frames = append(frames, second.request(opCostlyMark)...)
	}
	second.write(frames)
	c.letGo()
	other.answered(1)
	second.answered(few)
	for n := range 1 + few {
		if before := <-c.marks; before > int64(2+n) {
			t.Errorf("mark %d comes after %d requests of the greedy one", n, before)
		}
	}
	greedy.answered(many)
}

// TestQuantumOrder: a pipeline that takes many quanta, and arrives in pieces, is executed and
// answered in order.
func TestQuantumOrder(t *testing.T) {
	c := newCostly(t)
	c.letGo()
	w := dial(t, c.srv)
	w.ok(codec.OpCreateList, "l", false)
	const n = 300
	value := make([]byte, 30<<10)
	var frames []byte
	for i := range n {
		frames = append(frames, w.request(codec.OpListAppend, "l", i)...)
		frames = append(frames, w.request(opCostly)...)
		frames = append(frames, w.request(codec.OpListAppend, "l", value)...)
		frames = append(frames, w.request(codec.OpListPop, "l")...)
	}
	go func() { _, _ = w.conn.Write(frames) }()
	w.answered(4 * n)
	for i, v := range w.ok(codec.OpListAll, "l") {
		if fmt.Sprint(v) != fmt.Sprint(i) {
			t.Fatalf("element %d is %v", i, v)
		}
	}
}

// TestQuantumEnds: the requests that a client has sent before it closes its side are executed, for
// some quanta.
func TestQuantumEnds(t *testing.T) {
	c := newCostly(t)
	w := c.asksFor(closingQuanta)
	if err := w.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.letGo()
	w.answered(closingQuanta)
	if !w.closed() {
		t.Error("the connection stays open")
	}
}

// TestQuantumGone: the requests of a client that is gone are not executed for ever.
func TestQuantumGone(t *testing.T) {
	c := newCostly(t)
	w := c.asksFor(1000)
	_ = w.conn.Close()
	c.letGo()
	other := dial(t, c.srv)
	within(t, testTimeout, func() error {
		if n := c.srv.Info().Connections; n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	before := c.runs.Load()
	for range 20 {
		other.ok(codec.OpPing)
	}
	if n := c.runs.Load(); n != before || n == 1000 {
		t.Errorf("%d requests were executed, then %d", before, n)
	}
}

// TestQuantumStop: a server that stops answers what has arrived, however many quanta that takes.
func TestQuantumStop(t *testing.T) {
	c := newCostly(t)
	const many = 50
	w := c.asksFor(many)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		stopped <- c.srv.Stop(ctx)
	}()
	within(t, testTimeout, func() error {
		if !c.srv.draining.Load() {
			return errors.New("it does not stop")
		}
		return nil
	})
	c.letGo()
	w.answered(many)
	_ = w.conn.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
