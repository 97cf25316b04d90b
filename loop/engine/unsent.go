package engine

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// A grant, of a lock, of a lease or of an item of a queue, is given back if no reply that tells of
// it was sent before its connection ends: nothing else would release it until its lease ends. If
// its owner asks for it again, another reply tells of it, on any connection.

// Bounds of the replies that tell of grants and are not sent. What is granted beyond is given back
// at once, and its request is refused.
const (
	maxUnsent    = 16 << 10 // of one connection
	maxUnsentAll = 1_000_000
)

// giveBack gives back what an owner was granted. It returns false if the owner does not have it any
// more.
type giveBack func(x *Executor) (had bool, err error)

// acquisition is what an owner was granted, until a reply has told of it.
type acquisition struct {
	key      string // that of the gate that is held while it is granted, and the owner
	gate     int    // bytes of the gate's key
	hash     uint64 // of key
	giveBack giveBack
	replies  int          // that may tell of it yet; guarded by unsent.mu
	over     bool         // a reply was sent, or the owner was granted the same anew; guarded by unsent.mu
	first    grant        // the first of the replies
	same     *acquisition // the next one with this hash, in unsent.by; guarded by unsent.mu
}

// grant is a reply that tells of an acquisition, and may not have been sent.
type grant struct {
	of   *acquisition
	end  uint64 // of the reply, in Client.given, once it was written; guarded by Client.mu
	next *grant // that of another request with the same id; guarded by Client.mu
}

// unsent has the acquisitions that no reply has told of, of all connections.
type unsent struct {
	seed     maphash.Seed  // constant
	n        atomic.Int64  // replies that may tell of them; written under mu
	returned atomic.Uint64 // grants that were given back
	mu       sync.Mutex
	by       map[uint64]*acquisition // by acquisition.hash, those with the same in a list; guarded by mu
}

// add adds a reply that tells of what an owner was granted under a gate. again: the owner had it
// already; then add returns nil if it knows that.
func (u *unsent) add(gate []byte, of owner, again bool, giveBack giveBack) *grant {
	var buffer [64]byte
	key := append(append(buffer[:0], gate...), of[:]...)
	u.mu.Lock()
	defer u.mu.Unlock()
	hash := maphash.Bytes(u.seed, key)
	a := u.by[hash]
	for a != nil && a.key != string(key) {
		a = a.same
	}
	if again && a == nil {
		return nil
	}
	u.n.Add(1)
	if again {
		a.replies++
		return &grant{of: a}
	}
	if a != nil {
		u.close(a)
	}
	if u.by == nil {
		u.by = make(map[uint64]*acquisition)
	}
	a = &acquisition{key: string(key), gate: len(gate), hash: hash, giveBack: giveBack, replies: 1, same: u.by[hash]}
	a.first.of = a
	u.by[hash] = a
	return &a.first
}

// sent notes that a reply was sent: the owner knows what it was granted.
func (u *unsent) sent(a *acquisition) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.take(a)
	u.close(a)
}

// lost notes that a reply cannot be sent. It reports whether what was granted is to be given back:
// nothing tells the owner of it.
func (u *unsent) lost(a *acquisition) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.take(a); a.over || a.replies > 0 {
		return false
	}
	u.close(a)
	return true
}

// take takes away one of the replies. u.mu is locked.
func (u *unsent) take(a *acquisition) {
	a.replies--
	u.n.Add(-1)
}

// close ends an acquisition. u.mu is locked.
func (u *unsent) close(a *acquisition) {
	if a.over {
		return
	}
	a.over = true
	at := u.by[a.hash]
	switch {
	case at != a:
		for at.same != a {
			at = at.same
		}
		at.same = a.same
	case a.same != nil:
		u.by[a.hash] = a.same
	default:
		delete(u.by, a.hash)
	}
}

// granted notes that the reply of the request tells an owner what it was granted, under a gate that
// the request holds; again: the owner had it already. If no reply is sent, it is given back. That
// is done at once if granted returns an error: the reply cannot be sent, or too many are not sent.
func (x *Executor) granted(gate []byte, of owner, again bool, giveBack giveBack) error {
	c := x.Client()
	if c == nil {
		return nil
	}
	g := x.engine.unsent.add(gate, of, again, giveBack)
	if g == nil {
		return nil
	}
	err := c.expect(x.id, g)
	if err != nil && x.engine.unsent.lost(g.of) {
		if failed := x.engine.gaveBack(giveBack(x)); failed != nil {
			x.engine.warnOfGrants(1, failed)
		}
	}
	return err
}

// expect notes that the reply to a request, g, tells of an acquisition.
func (c *Client) expect(request uint32, g *grant) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return canceledBy("the end of the connection")
	case c.grants >= maxUnsent || c.engine.unsent.n.Load() > maxUnsentAll:
		return &codec.Error{
			Status: codec.StatusOverloaded,
			Message: fmt.Sprintf("more than %d grants of this connection, or %d of all, wait to be sent: "+
				"read the replies, and try again", maxUnsent, maxUnsentAll),
		}
	}
	if c.unwritten == nil {
		c.unwritten = make(map[uint32]*grant)
	}
	g.next = c.unwritten[request]
	c.unwritten[request] = g
	c.grants++
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
	if len(c.written) > 0 {
		c.given += uint64(n)
	} else {
		c.given = uint64(buffered) + 1 // from here on it is counted; an end is above 0
	}
	for len(c.unwritten) > 0 && len(replies) >= codec.HeaderBytes {
		flags := codec.ReplyFlags(replies[codec.HeaderBytes-1])
		if flags&codec.FlagMore == 0 { // a reply ends with its last frame
			c.wrote(binary.LittleEndian.Uint32(replies[4:]))
		}
		replies = replies[min(4+int(binary.LittleEndian.Uint32(replies)), len(replies)):]
	}
	c.forgetSent(buffered)
}

// wrote notes that the reply to a request was given to the connection. c.mu is locked.
func (c *Client) wrote(request uint32) {
	g := c.unwritten[request]
	if g == nil {
		return
	}
	delete(c.unwritten, request)
	for ; g != nil; g = g.next {
		g.end = c.given
		c.written = append(c.written, g)
	}
}

// forgetSent forgets the grants whose replies were sent. c.mu is locked.
func (c *Client) forgetSent(buffered int) {
	taken := c.given - min(uint64(buffered), c.given)
	for len(c.written) > 0 && c.written[0].end <= taken {
		c.engine.unsent.sent(c.written[0].of)
		c.written[0] = nil
		c.written = c.written[1:]
		c.grants--
	}
	if len(c.written) == 0 {
		c.written = nil
	}
	c.granted.Store(c.grants > 0)
}

// takeUnsent takes the grants whose replies were not sent, in no order. c.mu is locked.
func (c *Client) takeUnsent() (all []*acquisition) {
	for _, g := range c.written {
		all = append(all, g.of)
	}
	for _, g := range c.unwritten {
		for ; g != nil; g = g.next {
			all = append(all, g.of)
		}
	}
	c.written, c.unwritten, c.grants = nil, nil, 0
	return all
}

// giveBack gives back what no reply told of. It may wait. If some cannot be given back, it logs one
// line.
func (e *Engine) giveBack(all []*acquisition) {
	log := e.TakeLog()
	defer e.PutLog(log)
	x := &Executor{engine: e, call: shardmap.Call{MayBlock: true, Memory: e.memory}}
	x.logTo(log)
	failed, why := 0, error(nil)
	for _, a := range all {
		if err := e.giveBackOne(x, a); err != nil {
			failed, why = failed+1, err
		}
	}
	if failed > 0 {
		e.warnOfGrants(failed, why)
	}
}

// giveBackOne gives one of them back. A panic is reported: the others are given back none the less.
func (e *Engine) giveBackOne(x *Executor, a *acquisition) error {
	defer func() {
		if p := recover(); p != nil {
			_ = e.ReportPanic("panic while a grant was given back", p, &x.call)
		}
	}()
	gate := []byte(a.key[:a.gate])
	for !e.lines.enter(gate) {
		open := make(chan struct{})
		e.lines.whenOpen(gate)(func() { close(open) })
		<-open
	}
	defer e.lines.exit(gate)
	if !e.unsent.lost(a) {
		return nil
	}
	if err := e.env.Admission.Change(); err != nil {
		return err
	}
	x.call.Time = e.now()
	return e.gaveBack(a.giveBack(x))
}

// gaveBack counts a grant that was given back. It takes what giveBack has returned, and returns the
// error.
func (e *Engine) gaveBack(had bool, err error) error {
	if err == nil && had {
		e.unsent.returned.Add(1)
	}
	return err
}

// GrantsReturned returns how many locks, leases and items were given back because no reply that
// told of them could be sent.
func (e *Engine) GrantsReturned() uint64 { return e.unsent.returned.Load() }

// warnOfGrants logs that n grants could not be given back, and why one of them could not.
func (e *Engine) warnOfGrants(n int, why error) {
	e.env.Logger.Warn(
		"grants whose replies were not sent stay until their leases end", slog.Int("grants", n), slog.Any("error", why),
	)
}
