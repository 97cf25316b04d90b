package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

// link is one connection that has been opened, from its first frame to its last.
//
// Three kinds of goroutines meet in it. Callers submit requests: they put their frames into
// pending, and the one that finds nobody writing writes for all (flush). The keeper writes when the
// socket is full, so that no caller is ever held by it, and watches for silence. The reader alone
// completes calls.
type link struct {
	// constant after newLink
	conn   net.Conn
	limits secure.Limits
	onDown func() // called once, when the link takes no more requests
	wake   chan struct{}
	closed chan struct{}

	reads atomic.Uint64 // written by the reader, read by the keeper

	// owned by the reader
	in      io.Reader // of conn, or of what its records carry
	first   []byte    // was read before in
	replies []codec.Reply
	targets []*call
	notice  error // the server's last message that is no reply

	// owned by whoever is writing
	try    *tryWriter     // nil: only the keeper can write
	seal   *secure.Sealer // nil: the connection is not encrypted
	out    []byte         // the batch being written
	sealed []byte         // the same, in records
	rest   []byte         // what the socket has not taken of it

	mu sync.Mutex
	// guarded by mu
	err     error // why the link is down; nil while it is up
	writing bool
	pending []byte // frames not yet being written
	batch   uint64 // number of the batch that pending will be
	due     int    // bytes of the requests outstanding
	slots   []slot // by the low bits of the id
	free    []uint32
	room    chan struct{} // closed when there may be room again; nil if nobody waits for it
}

// slot is the place of one outstanding request. A slot whose call was abandoned stays taken until
// its reply has come.
type slot struct {
	call  *call
	batch uint64
	bytes int    // of its frame
	id    uint32 // of the request that it holds, or of the last one
	taken bool
}

// An id is a count of the uses of its slot above the slot's number.
const (
	slotBits    = 20
	maxSlots    = 1 << slotBits
	maxPipeline = maxSlots / 2
	maxPending  = 4 << 20 // bytes: callers wait while more is pending
	// bytes: callers wait while more is outstanding; a server ends a connection that sends 80 MiB
	// ahead
	maxDue         = 32 << 20
	maxSpare       = 1 << 20 // bytes: larger write buffers are not kept
	callerRounds   = 8       // batches that one caller writes before the keeper takes over
	firstIDOfASlot = 1 << slotBits
)

// errDown is the outcome of a call that was not sent because the link was down.
var errDown = errors.New("link down")

func newLink(o opened, onDown func()) *link {
	l := &link{
		conn: o.conn, limits: o.limits, onDown: onDown, wake: make(chan struct{}, 1), closed: make(chan struct{}),
		try: newTryWriter(o.conn), seal: o.seal, first: o.rest,
	}
	l.in = &countingReader{l.conn, &l.reads}
	if o.opener != nil {
		l.in, l.first = secure.NewReader(l.in, o.opener, o.rest), nil
	}
	return l
}

// countingReader counts reads that have brought something or failed.
type countingReader struct {
	io.Reader
	reads *atomic.Uint64
}

func (r *countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.reads.Add(1)
	return n, err
}

// do sends the pipeline that begins with head and waits for its replies.
//
// Errors: errDown, nothing of it was sent; ErrConnectionLost; that of the context. The requests may
// take effect nevertheless then.
func (l *link) do(ctx context.Context, head *call) error {
	if err := l.submit(ctx, head); err != nil {
		return err
	}
	if ctx.Done() == nil {
		<-head.done
		return head.lost
	}
	select {
	case <-head.done:
	case <-ctx.Done():
		if l.abandon(head) {
			return ctx.Err()
		}
		<-head.done // the replies are being delivered
	}
	return head.lost
}

// submit puts the pipeline's frames into one batch. Errors as do.
func (l *link) submit(ctx context.Context, head *call) error {
	n := int32(0)
	for q := head; q != nil; q = q.next {
		q.head = head
		n++
	}
	head.pending.Store(n)
	l.mu.Lock()
	for l.err == nil && l.fullLocked(int(n)) {
		if err := l.waitForRoomLocked(ctx); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	if l.err != nil {
		l.mu.Unlock()
		l.onDown()
		return errDown
	}
	for q := head; q != nil; q = q.next {
		l.enqueueLocked(q)
	}
	l.flushOrLeaveLocked()
	return nil
}

// flushOrLeaveLocked writes what is pending, unless somebody is writing already, and unlocks.
func (l *link) flushOrLeaveLocked() {
	if l.writing {
		l.mu.Unlock()
		return
	}
	l.writing = true
	alone := len(l.slots)-len(l.free) == 1
	l.mu.Unlock()
	l.flush(alone)
}

func (l *link) fullLocked(n int) bool {
	return len(l.pending) > maxPending || l.due > maxDue || len(l.slots)-len(l.free)+n > maxSlots
}

// waitForRoomLocked waits unlocked until there may be room, and locks again.
func (l *link) waitForRoomLocked(ctx context.Context) error {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room := l.room
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link) roomLocked() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// enqueueLocked gives q a slot and appends its frame.
func (l *link) enqueueLocked(q *call) {
	var at uint32
	if n := len(l.free); n > 0 {
		at, l.free = l.free[n-1], l.free[:n-1]
	} else {
		at = uint32(len(l.slots))
		l.slots = append(l.slots, slot{id: at})
	}
	s := &l.slots[at]
	s.id += firstIDOfASlot
	if s.id < firstIDOfASlot { // wrapped; 0 is no request's id
		s.id += firstIDOfASlot
	}
	s.call, s.batch, s.taken, s.bytes = q, l.batch, true, len(q.frame)
	l.due += len(q.frame)
	q.id, q.lost = s.id, nil
	q.reply, q.version = q.reply[:0], 0
	from := len(l.pending)
	l.pending = append(l.pending, q.frame...)
	binary.LittleEndian.PutUint32(l.pending[from+4:], q.id)
}

// abandon gives up the pipeline's calls: their replies will be dropped. It is false if all replies
// have been taken for delivery already.
func (l *link) abandon(head *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	given := false
	for q := head; q != nil; q = q.next {
		if at := int(q.id % maxSlots); at < len(l.slots) && l.slots[at].call == q {
			l.slots[at].call = nil
			given = true
		}
	}
	for q := head; q != nil; q = q.next {
		q.orphan = given
	}
	return given
}

// fail takes the link down; the reader then completes what is outstanding. Only the first reason
// counts.
func (l *link) fail(reason error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = reason
	l.roomLocked()
	idle := !l.writing
	l.writing = true // nobody writes from here on
	l.mu.Unlock()
	l.onDown()
	close(l.closed)
	if idle && errors.Is(reason, ErrClosed) {
		l.sayEnd()
	}
	_ = l.conn.Close()
}

// sayEnd tells the server of an encrypted connection that nothing follows, if the socket takes that
// at once.
func (l *link) sayEnd() {
	if l.seal == nil || l.try == nil || len(l.rest) > 0 {
		return
	}
	if end, err := l.seal.End(nil); err == nil {
		_, _ = l.try.write(end) // a courtesy: the connection is closed in any case
	}
}

// finish completes all outstanding calls of a link that is down. Called by the reader, last.
func (l *link) finish() {
	l.mu.Lock()
	slots, batch, reason := l.slots, l.batch, l.err
	l.slots, l.free, l.pending = nil, nil, nil
	l.mu.Unlock()
	lost := fmt.Errorf("%w: %w", ErrConnectionLost, reason)
	for i := range slots {
		q := slots[i].call
		if q == nil {
			continue
		}
		q.lost = lost
		if slots[i].batch == batch {
			q.lost = errDown
		}
		if q.stream != nil {
			q.stream.end(q.lost)
		}
		q.complete()
	}
}
