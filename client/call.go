package client

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// call is one request and its reply. Calls are pooled with their buffers and their channel.
//
// The caller owns a call until it submits it. Then the connection's reader owns it until the call
// is completed (done receives, and the caller owns it again) or abandoned (the caller has given up;
// the call is not used again, and a late reply is dropped).
type call struct {
	// set by the caller
	client *Client
	op     codec.Opcode
	table  string
	retry  bool    // a read: it may be sent again if the connection is lost
	orNone bool    // KeyError is a result, not an error
	frame  []byte  // the request; submit fills in the id
	args   int     // number of arguments in frame
	err    error   // the first error while the frame was built
	next   *call   // the next request of the same pipeline
	stream *stream // receives the reply of a long read instead of reply
	// when the caller stops waiting; zero: it has no deadline
	deadline time.Time

	abandoned bool // guarded by the connection's mu; see conn.abandon

	// late, if set, gets the complete call in the reader's goroutine if no caller waits for it any
	// more (detached). It must not block, and may send with conn.post.
	late     func(*conn, *call)
	detached bool // guarded by the connection's mu; constant once the reader has taken the call

	head       *call        // first call of the pipeline
	incomplete atomic.Int32 // in head: calls of the pipeline that are not complete

	// set by the reader
	id      uint32
	status  codec.Status
	version uint64
	reply   []byte
	lost    error         // the connection ended first: errDown or ErrConnectionLost, wrapped
	done    chan struct{} // in head: receives when the whole pipeline is complete
}

// maxPooledBytes: larger buffers are not pooled.
const maxPooledBytes = 64 << 10

// tableName is a table's name, encoded once for all frames.
type tableName struct {
	text    string
	encoded []byte
	err     error
}

func nameTable(name string) *tableName {
	t := &tableName{text: name}
	if name == "" || len(name) > codec.MaxTableNameBytes {
		t.err = fmt.Errorf(
			"%w: a table name has 1 to %d bytes, this one has %d",
			ErrBadRequest,
			codec.MaxTableNameBytes,
			len(name),
		)
		return t
	}
	t.encoded, t.err = govalue.AppendOf(nil, name)
	return t
}

// begin returns a call whose frame has everything except its arguments. table is nil for requests
// that are for no table.
func (c *Client) begin(req codec.Request, table *tableName) *call {
	q, pooled := c.calls.Get().(*call)
	if !pooled {
		q = &call{done: make(chan struct{}, 1)}
	}
	q.client, q.op = c, req.Op
	q.frame, _ = codec.BeginRequest(q.frame[:0], &req)
	if table != nil {
		q.table, q.err = table.text, table.err
		q.frame = append(q.frame, table.encoded...)
	}
	return q
}

// read begins a request that changes nothing.
func (c *Client) read(op codec.Opcode, table *tableName) *call {
	q := c.begin(codec.Request{Op: op}, table)
	q.retry = true
	return q
}

// write begins a request that may change something.
func (c *Client) write(op codec.Opcode, table *tableName) *call {
	return c.begin(codec.Request{Op: op}, table)
}

// release returns q to its client's pool; the caller must not use it afterwards. An abandoned call
// is left to the garbage collector, because the reader may still use it.
func (q *call) release() {
	if q.abandoned {
		return
	}
	frame, reply := q.frame[:0], q.reply[:0]
	if cap(frame) > maxPooledBytes {
		frame = nil
	}
	if cap(reply) > maxPooledBytes {
		reply = nil
	}
	client := q.client
	q.client, q.table, q.args, q.err = nil, "", 0, nil
	q.retry, q.orNone = false, false
	q.next, q.stream, q.head = nil, nil, nil
	q.late, q.detached = nil, false
	q.deadline = time.Time{}
	q.frame, q.reply, q.lost = frame, reply, nil
	client.calls.Put(q)
}

// seal completes the frame. It returns an error if the server would not accept the request.
func (q *call) seal() error {
	limits := q.client.limits.Load()
	switch {
	case q.err != nil:
		return q.err
	case len(q.frame)-4 > int(limits.MaxFrameBytes):
		return fmt.Errorf(
			"%w: the request has %d bytes, the server accepts %d",
			ErrTooLarge,
			len(q.frame),
			limits.MaxFrameBytes,
		)
	case q.args > codec.MaxArguments:
		return fmt.Errorf("%w: the request has %d values, the server accepts "+
			"%d", ErrTooLarge, q.args, codec.MaxArguments)
	}
	codec.EndFrame(q.frame, 0)
	return nil
}

// failed returns err as the *Error for q's caller.
func (q *call) failed(err error) error { return &Error{Op: q.op.String(), Table: q.table, Err: err} }

// complete wakes the caller if q is the last of its pipeline. The caller owns q from here on.
func (c *conn) complete(q *call) {
	if q.detached {
		q.late(c, q)
		return
	}
	if head := q.head; head.incomplete.Add(-1) == 0 {
		head.done <- struct{}{}
	}
}

// add appends one argument.
func add[T any](q *call, v T) {
	if q.err != nil {
		return
	}
	at := len(q.frame)
	frame, err := govalue.AppendOf(q.frame, v)
	if err != nil {
		q.err = err
		return
	}
	q.frame = frame
	q.args++
	if size, limit := len(frame)-at, int(q.client.limits.Load().MaxValueBytes); size > limit {
		q.err = fmt.Errorf("%w: argument %d has %d bytes, the server accepts %d", ErrTooLarge, q.args, size, limit)
	}
}

// addAbsent appends the byte that means "no value".
func (q *call) addAbsent() {
	q.frame = append(q.frame, codec.Absent)
	q.args++
}

// addIndex appends an index of a slice; None becomes Python's None.
func (q *call) addIndex(i int) {
	if i == None {
		q.frame = msgp.AppendNil(q.frame)
	} else {
		q.frame = msgp.AppendInt(q.frame, i)
	}
	q.args++
}
