package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

const (
	firstReadBytes = 64 << 10
	maxReplyBytes  = codec.MaxReplyFrameBytes + 64 // a complete reply frame
)

// runReader is the reader goroutine. It reads replies and completes calls until the connection is
// down.
func (c *conn) runReader() {
	c.fail(c.readAll())
	c.completeAll()
}

// readAll reads and delivers replies. It returns why the connection ended, never nil.
func (c *conn) readAll() error {
	buf := make([]byte, max(firstReadBytes, len(c.first)))
	end := copy(buf, c.first)
	c.first = nil
	for {
		used, err := c.receive(buf[:end])
		if err != nil {
			return err
		}
		end = copy(buf, buf[used:end])
		if end == len(buf) { // the first frame is larger than the buffer
			buf = append(buf, make([]byte, maxReplyBytes-len(buf))...)
		}
		n, err := c.in.Read(buf[end:])
		end += n
		switch {
		case errors.Is(err, io.EOF) && c.serverError != nil:
			return c.serverError
		case errors.Is(err, io.EOF):
			return errors.New("the server closed the connection")
		case errors.Is(err, secure.ErrCut):
			return errors.New("the encrypted connection was cut: it ended without an end record")
		case errors.Is(err, secure.ErrRecord):
			return fmt.Errorf("%w: data from the server was altered on the way: %w", ErrProtocol, err)
		case err != nil:
			return err
		}
	}
}

// receive delivers the complete frames at the front of b and returns their size in bytes.
func (c *conn) receive(b []byte) (used int, err error) {
	c.replies = c.replies[:0]
	for {
		if len(b)-used >= 4 && binary.LittleEndian.Uint32(b[used:]) > maxReplyBytes-4 {
			return used, fmt.Errorf("%w: a reply frame of %d bytes", ErrProtocol, binary.LittleEndian.Uint32(b[used:]))
		}
		reply, n, err := codec.ParseReply(b[used:])
		if errors.Is(err, codec.ErrShort) {
			break
		}
		if err != nil {
			return used, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		used += n
		c.replies = append(c.replies, reply)
	}
	if len(c.replies) == 0 {
		return used, nil
	}
	err = c.matchReplies()
	for i := range c.receivers {
		if q := c.receivers[i]; q != nil { // failTooLarge may have cleared it
			c.deliver(q, i)
		}
	}
	clear(c.receivers)
	return used, err
}

// matchReplies fills receivers with the call of each reply, nil if the call was abandoned. After an
// error, the receivers found so far are valid.
func (c *conn) matchReplies() error {
	c.receivers = c.receivers[:0]
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.replies {
		r := &c.replies[i]
		if r.ID == 0 {
			c.receivers = append(c.receivers, nil)
			if r.Status != codec.StatusOK {
				c.serverError = replyError("", "", r.Status, r.Body)
			}
			continue
		}
		at := r.ID % maxOutstanding
		if int(at) >= len(c.outstanding) || c.outstanding[at].id != r.ID || !c.outstanding[at].used {
			return fmt.Errorf("%w: a reply to request %d, which is not outstanding", ErrProtocol, r.ID)
		}
		o := &c.outstanding[at]
		c.receivers = append(c.receivers, o.call)
		if r.Flags&codec.FlagMore == 0 {
			o.call, o.used = nil, false
			c.outstandingBytes -= o.bytes
			c.free = append(c.free, at)
		}
	}
	c.signalSpaceLocked()
	return nil
}

// deliver appends replies[at] to q's reply, and completes q if it is the last frame.
func (c *conn) deliver(q *call, at int) {
	r := &c.replies[at]
	more := r.Flags&codec.FlagMore != 0
	if r.Flags&codec.FlagVersion != 0 {
		q.version = r.Version
	}
	if q.stream != nil {
		if r.Status == codec.StatusOK && !q.stream.push(r.Body) && more {
			c.abandon(q)
			return
		}
	} else {
		if r.Status != codec.StatusOK { // an error voids the frames before it
			q.reply = q.reply[:0]
		}
		if limit := q.client.options.MaxReplyBytes; len(q.reply)+len(r.Body) > limit {
			c.failTooLarge(q, at, limit)
			return
		}
		q.reply = append(q.reply, r.Body...)
	}
	if more {
		return
	}
	q.status = r.Status
	if q.stream != nil {
		var err error
		if r.Status != codec.StatusOK {
			err = replyError(q.op.String(), q.table, r.Status, r.Body)
		}
		q.stream.end(err)
	}
	c.complete(q)
}

// failTooLarge completes q, the receiver of replies[at], with ErrReplyTooLarge: its reply exceeds
// limit, in bytes. Later frames of the reply are dropped.
func (c *conn) failTooLarge(q *call, at, limit int) {
	ended := c.replies[at].Flags&codec.FlagMore == 0
	for i := at + 1; i < len(c.receivers); i++ {
		if c.receivers[i] == q {
			c.receivers[i] = nil
			ended = ended || c.replies[i].Flags&codec.FlagMore == 0
		}
	}
	if !ended { // otherwise matchReplies has freed the index, and the caller cannot abandon q any more
		c.mu.Lock()
		o := &c.outstanding[q.id%maxOutstanding]
		waiting := o.call == q
		if waiting {
			o.call = nil
		}
		c.mu.Unlock()
		if !waiting { // the caller has abandoned q
			return
		}
	}
	q.reply = nil
	q.lost = fmt.Errorf(
		"%w: more than %d bytes; read the table in parts or by Scan, or raise Options.MaxReplyBytes",
		ErrReplyTooLarge,
		limit,
	)
	c.complete(q)
}
