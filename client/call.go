package client

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// call is one request on its way and its reply. Calls are used again: the frame, the reply and the
// channel stay with them.
//
// The caller owns a call until it is submitted. From then on the link's reader owns it, until it is
// completed (done receives; the caller owns it again) or abandoned (the caller gives up; nobody
// uses the call again, and a late reply is dropped).
type call struct {
	// set by the caller
	client  *Client
	op      codec.Opcode
	table   string
	retry   bool   // a read: may be sent again when the connection is lost
	orNone  bool   // KeyError is an answer, not a failure
	frame   []byte // the request; the id is filled in when it is submitted
	args    int
	err     error // the first thing that went wrong while the frame was made
	next    *call // the next request of the same pipeline
	stream  *stream
	orphan  bool // abandoned
	pending atomic.Int32
	// first of the pipeline, which counts in pending the calls not complete and whose done is told
	// when there are none
	head *call

	// set by the reader
	id      uint32
	status  codec.Status
	version uint64
	reply   []byte
	lost    error // the connection ended first: errDown or ErrConnectionLost, wrapped
	done    chan struct{}
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// maxKeptBytes is the largest buffer that is kept for the next user.
const maxKeptBytes = 64 << 10

// tableName is a table's name made ready for frames.
type tableName struct {
	text    string
	encoded []byte
	err     error
}

func nameTable(name string) *tableName {
	t := &tableName{text: name}
	if name == "" || len(name) > codec.MaxTableNameBytes {
		t.err = fmt.Errorf(
			"%w: a table's name has 1 to %d bytes, this one %d",
			ErrBadRequest,
			codec.MaxTableNameBytes,
			len(name),
		)
		return t
	}
	t.encoded, t.err = govalue.AppendOf(nil, name)
	return t
}

// begin returns a call whose frame has all but its arguments; table is nil for requests of the
// server itself.
func (c *Client) begin(req codec.Request, table *tableName) *call {
	q := calls.Get().(*call)
	q.client, q.op = c, req.Op
	q.frame, _ = codec.BeginRequest(q.frame[:0], &req)
	if table != nil {
		q.table, q.err = table.text, table.err
		q.frame = append(q.frame, table.encoded...)
	}
	return q
}

// read is begin for a request that changes nothing.
func (c *Client) read(op codec.Opcode, table *tableName) *call {
	q := c.begin(codec.Request{Op: op}, table)
	q.retry = true
	return q
}

// write is begin for a request that may change something.
func (c *Client) write(op codec.Opcode, table *tableName) *call {
	return c.begin(codec.Request{Op: op}, table)
}

// release gives q back. Nothing of it may be used afterwards.
func (q *call) release() {
	if q.orphan {
		return
	}
	frame, reply := q.frame[:0], q.reply[:0]
	if cap(frame) > maxKeptBytes {
		frame = nil
	}
	if cap(reply) > maxKeptBytes {
		reply = nil
	}
	q.client, q.table, q.args, q.err = nil, "", 0, nil
	q.retry, q.orNone = false, false
	q.next, q.stream, q.head = nil, nil, nil
	q.frame, q.reply, q.lost = frame, reply, nil
	calls.Put(q)
}

// seal completes the frame, and says what is wrong with the request before it is sent.
func (q *call) seal() error {
	limits := q.client.limits.Load()
	switch {
	case q.err != nil:
		return q.err
	case len(q.frame)-4 > int(limits.MaxFrameBytes):
		return fmt.Errorf(
			"%w: the request has %d bytes, the server takes %d",
			ErrTooLarge,
			len(q.frame),
			limits.MaxFrameBytes,
		)
	case q.args > codec.MaxArguments:
		return fmt.Errorf("%w: the request has %d values, the server takes %d", ErrTooLarge, q.args, codec.MaxArguments)
	}
	codec.EndFrame(q.frame, 0)
	return nil
}

// failed is the error that q's caller gets for err.
func (q *call) failed(err error) error { return &Error{Op: q.op.String(), Table: q.table, Err: err} }

// complete tells the waiting caller, who owns q from here on.
func (q *call) complete() {
	if head := q.head; head.pending.Add(-1) == 0 {
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
	if size, most := len(frame)-at, int(q.client.limits.Load().MaxValueBytes); size > most {
		q.err = fmt.Errorf("%w: argument %d has %d bytes, the server takes %d", ErrTooLarge, q.args, size, most)
	}
}

// addAbsent appends the byte that stands for no value.
func (q *call) addAbsent() {
	q.frame = append(q.frame, codec.Absent)
	q.args++
}

// addIndex appends an index of a slice, nil for None.
func (q *call) addIndex(i int) {
	if i == None {
		q.frame = msgp.AppendNil(q.frame)
	} else {
		q.frame = msgp.AppendInt(q.frame, i)
	}
	q.args++
}
