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

// conn is one authenticated connection, from its first request to its end.
//
// Three kinds of goroutines use it. Callers submit requests: they append their frames to pending,
// and a caller that finds no write under way writes for all of them (flush). The writer goroutine
// (runWriter) takes over when the socket is full, so that callers never block on the socket; it
// also detects a silent server. The reader goroutine (runReader) completes calls; no other
// goroutine does.
type conn struct {
	// constant after newConn
	socket     net.Conn
	limits     secure.Limits
	onDown     func()        // called once, when the connection takes no more requests
	wakeWriter chan struct{} // hands writing over to the writer goroutine
	closed     chan struct{}

	reads atomic.Uint64 // reads of the socket so far; written by the reader, read by the writer

	// owned by the reader goroutine
	in          io.Reader // the socket, or the decrypted content of its records
	first       []byte    // input received with the handshake; read before in
	replies     []codec.Reply
	receivers   []*call // the call of each of replies, nil if it was abandoned
	serverError error   // the last error that the server sent without a request

	// owned by the goroutine that set writing
	nonblocking *nonblockingWriter // nil: only the writer goroutine can write
	sealer      *secure.Sealer     // nil: the connection is not encrypted
	batch       []byte             // the frames being written
	deadlines   []deadlineField    // of the batch
	sealed      []byte             // the same frames in encrypted records
	unwritten   []byte             // the part of the batch that the socket has not taken

	mu sync.Mutex
	// guarded by mu
	err              error // why the connection is down; nil while it is up
	writing          bool
	pending          []byte // frames of the next batch
	pendingDeadlines []deadlineField
	batchNumber      uint64 // of the next batch
	outstanding      []outstandingRequest
	free             []uint32 // unused indexes of outstanding
	outstandingBytes int
	waitBytes        int           // of these, the ones of requests that may wait on the server
	checksWaits      bool          // a ping will tell whether the server has these requests; see checkWaits
	space            chan struct{} // closed when there may be space again; nil if no caller waits for it
}

// outstandingRequest is a request whose reply is due. If its call was abandoned, call is nil and
// the index stays in use until the reply has come.
type outstandingRequest struct {
	call        *call
	batchNumber uint64
	bytes       int    // that its final reply takes out of outstandingBytes
	id          uint32 // of this request, or of the last one if not in use
	used        bool
}

// A request id is the index of its outstandingRequest in the low bits and a count of that index's
// uses above them, so that a late reply never matches a newer request.
const (
	indexBits      = 20
	maxOutstanding = 1 << indexBits
	idStep         = 1 << indexBits
	maxPipeline    = maxOutstanding / 2
)

const (
	// maxSpareBytes: larger write buffers are not reused.
	maxSpareBytes = 1 << 20
	// maxCallerBatches is how many batches one caller writes before the writer goroutine takes
	// over.
	maxCallerBatches = 8
)

// errDown means that a call was not sent because the connection was down.
var errDown = errors.New("connection down")

func newConn(d dialed, onDown func()) *conn {
	c := &conn{
		socket:      d.socket,
		limits:      d.limits,
		onDown:      onDown,
		wakeWriter:  make(chan struct{}, 1),
		closed:      make(chan struct{}),
		nonblocking: newNonblockingWriter(d.socket),
		sealer:      d.sealer,
		first:       d.rest,
	}
	c.in = &countingReader{c.socket, &c.reads}
	if d.opener != nil {
		c.in, c.first = secure.NewReader(c.in, d.opener, d.rest), nil
	}
	return c
}

// countingReader counts the reads that returned.
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
// Errors: errDown if nothing was sent; ErrConnectionLost and the context's error if the requests
// may have been applied.
func (c *conn) do(ctx context.Context, head *call) error {
	if err := c.submit(ctx, head); err != nil {
		return err
	}
	if ctx.Done() == nil {
		<-head.done
		return head.lost
	}
	select {
	case <-head.done:
	case <-ctx.Done():
		if c.giveUp(head) {
			return ctx.Err()
		}
		<-head.done // the reader is delivering the replies
	}
	return head.lost
}

// submit puts the pipeline's frames into one batch. Errors: errDown; the context's error, with
// nothing sent.
func (c *conn) submit(ctx context.Context, head *call) error {
	n := int32(0)
	for q := head; q != nil; q = q.next {
		q.head = head
		n++
	}
	head.incomplete.Store(n)
	c.mu.Lock()
	for c.err == nil && c.fullLocked(int(n)) {
		if err := c.waitForSpaceLocked(ctx, head.client); err != nil {
			c.mu.Unlock()
			return err
		}
	}
	if c.err != nil {
		c.mu.Unlock()
		c.onDown()
		return errDown
	}
	for q := head; q != nil; q = q.next {
		c.enqueueLocked(q)
	}
	c.flushAndUnlock()
	return nil
}

// flushAndUnlock unlocks mu, and writes what is pending unless a write is under way.
func (c *conn) flushAndUnlock() {
	if c.writing {
		c.mu.Unlock()
		return
	}
	c.writing = true
	shared := c.outstandingLocked() > 1
	c.mu.Unlock()
	c.flush(shared)
}

// outstandingLocked returns the number of outstanding requests.
func (c *conn) outstandingLocked() int { return len(c.outstanding) - len(c.free) }

// enqueueLocked gives q an id and appends its frame to the pending ones.
func (c *conn) enqueueLocked(q *call) {
	var at uint32
	if n := len(c.free); n > 0 {
		at, c.free = c.free[n-1], c.free[:n-1]
	} else {
		at = uint32(len(c.outstanding))
		c.outstanding = append(c.outstanding, outstandingRequest{id: at})
	}
	o := &c.outstanding[at]
	o.id += idStep
	if o.id < idStep { // the count wrapped; id 0 is reserved for the server
		o.id += idStep
	}
	q.id, q.lost = o.id, nil
	q.reply, q.version = q.reply[:0], 0
	from := len(c.pending)
	if q.deadline.IsZero() {
		c.pending = append(c.pending, q.frame...)
	} else {
		c.appendWithDeadlineLocked(q)
	}
	o.call, o.batchNumber, o.used, o.bytes = q, c.batchNumber, true, len(c.pending)-from
	c.outstandingBytes += o.bytes
	if q.late != nil {
		c.waitBytes += o.bytes
		o.bytes = 0 // checkWaits takes them out
	}
	binary.LittleEndian.PutUint32(c.pending[from+4:], q.id)
}

// abandon makes the reader drop the replies to the pipeline's calls. It returns false if the reader
// has all replies already and is about to complete the calls.
func (c *conn) abandon(head *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	abandoned := false
	for q := head; q != nil; q = q.next {
		if at := int(q.id % maxOutstanding); at < len(c.outstanding) && c.outstanding[at].call == q {
			c.outstanding[at].call = nil
			abandoned = true
		}
	}
	for q := head; q != nil; q = q.next {
		q.abandoned = abandoned
	}
	return abandoned
}

// fail takes the connection down; the reader then completes what is outstanding. Only the first
// reason is kept.
func (c *conn) fail(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = reason
	c.signalSpaceLocked()
	idle := !c.writing
	c.writing = true // no goroutine starts a write from here on
	c.mu.Unlock()
	c.onDown()
	close(c.closed)
	if idle && errors.Is(reason, ErrClosed) {
		c.sendEnd()
	}
	_ = c.socket.Close()
}

// sendEnd sends the end record of an encrypted connection, if the socket takes it immediately.
func (c *conn) sendEnd() {
	if c.sealer == nil || c.nonblocking == nil || len(c.unwritten) > 0 {
		return
	}
	if end, err := c.sealer.End(nil); err == nil {
		_, _ = c.nonblocking.write(end) // best effort: the connection is closed in any case
	}
}

// completeAll completes the outstanding calls of a connection that is down. The reader calls it
// last.
func (c *conn) completeAll() {
	c.mu.Lock()
	outstanding, unsentBatch, reason := c.outstanding, c.batchNumber, c.err
	c.outstanding, c.free, c.pending, c.pendingDeadlines = nil, nil, nil, nil
	c.mu.Unlock()
	lost := fmt.Errorf("%w: %w", ErrConnectionLost, reason)
	for i := range outstanding {
		q := outstanding[i].call
		if q == nil {
			continue
		}
		q.lost = lost
		if outstanding[i].batchNumber == unsentBatch {
			q.lost = errDown
		}
		if q.stream != nil {
			q.stream.end(q.lost)
		}
		c.complete(q)
	}
}
