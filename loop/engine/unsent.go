package engine

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// A grant, of a lock, of a lease or of an item of a queue, is given back if its connection ends
// before the reply was sent: nothing else would release it until its lease ends. If its owner has
// asked for it again meanwhile, it stays.

// grant is a grant whose reply may not have been sent.
type grant struct {
	request  uint32 // its id
	of       owner
	gate     []byte // key of the gate that is held while it is granted, asked for and given back
	giveBack func(x *Executor) error
	end      uint64 // of its reply, in Client.given; 0: it was not written yet; guarded by Client.mu
	over     bool   // it was sent, or asked for again; guarded by unsent.mu
}

// unsent has the grants of all connections by their owners.
type unsent struct {
	n  atomic.Int64
	mu sync.Mutex
	by map[owner]*grant // guarded by mu
}

func (u *unsent) add(g *grant) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = make(map[owner]*grant)
	}
	if old := u.by[g.of]; old != nil {
		old.over = true
	}
	u.by[g.of] = g
	u.n.Store(int64(len(u.by)))
}

// end makes the grant stay, and reports whether that was open until now.
func (u *unsent) end(g *grant) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	open := !g.over
	g.over = true
	if u.by[g.of] == g {
		delete(u.by, g.of)
		u.n.Store(int64(len(u.by)))
	}
	return open
}

// granted notes that the request was granted something, under a gate that it holds. giveBack is
// called if its reply cannot be sent. granted returns an error if that is certain already: then the
// caller gives back what it has granted.
func (x *Executor) granted(gate []byte, of owner, giveBack func(x *Executor) error) error {
	c := x.Client()
	if c == nil {
		return nil
	}
	g := &grant{request: x.id, of: of, gate: bytes.Clone(gate), giveBack: giveBack}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return canceledBy("the end of the connection")
	}
	x.engine.unsent.add(g)
	c.grants = append(c.grants, g)
	c.granted.Store(true)
	return nil
}

// Sent notes that so many bytes, which have these replies, were given to the connection, which has
// not sent the last buffered bytes of all.
func (c *Client) Sent(replies []byte, n, buffered int) {
	if !c.granted.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.grants, func(g *grant) bool { return g.end > 0 }) {
		c.given += uint64(n)
	} else {
		c.given = uint64(buffered) + 1 // from here on it is counted; an end is above 0
	}
	for len(replies) >= codec.HeaderBytes {
		id := binary.LittleEndian.Uint32(replies[4:])
		for _, g := range c.grants {
			if g.request == id && g.end == 0 {
				g.end = c.given
			}
		}
		replies = replies[min(4+int(binary.LittleEndian.Uint32(replies)), len(replies)):]
	}
	c.forgetSent(buffered)
}

// forgetSent forgets the grants whose replies were sent. c.mu is locked.
func (c *Client) forgetSent(buffered int) {
	taken := c.given - min(uint64(buffered), c.given)
	c.grants = slices.DeleteFunc(c.grants, func(g *grant) bool {
		sent := g.end > 0 && g.end <= taken
		if sent {
			c.engine.unsent.end(g)
		}
		return sent
	})
	c.granted.Store(len(c.grants) > 0)
}

// giveBack gives grants back whose replies were not sent. It may wait.
func (e *Engine) giveBack(grants []*grant) {
	log := e.TakeLog()
	defer e.PutLog(log)
	x := &Executor{engine: e, call: shardmap.Call{MayBlock: true, Memory: e.memory}}
	x.logTo(log)
	defer func() {
		if p := recover(); p != nil {
			_ = e.ReportPanic("panic while grants were given back", p, &x.call)
		}
	}()
	for _, g := range grants {
		e.giveBackOne(x, g)
	}
}

func (e *Engine) giveBackOne(x *Executor, g *grant) {
	for !e.lines.enter(g.gate) {
		open := make(chan struct{})
		e.lines.whenOpen(g.gate)(func() { close(open) })
		<-open
	}
	defer e.lines.exit(g.gate)
	if !e.unsent.end(g) || e.env.Admission.Change() != nil {
		return
	}
	x.call.Time = e.now()
	if err := g.giveBack(x); err != nil {
		e.env.Logger.Warn("a grant whose reply was not sent stays until its lease ends", slog.Any("error", err))
	}
}
