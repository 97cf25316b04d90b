package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"cyberdb-fast/codec"
)

// Sizes of optional fields of a request frame, in bytes. On the wire: do not change.
const (
	ifVersionBytes = 8
	deadlineBytes  = 4
	ttlBytes       = 8
	// of the length of the extensions
	extensionsBytes = 2
)

// maxSpareDeadlines: longer lists of deadlines are not reused.
const maxSpareDeadlines = 32 << 10

// deadlineField is the place of a DEADLINE field in a batch. It is filled in when the batch is
// about to be written, so that time in the client's own queue counts.
type deadlineField struct {
	at       int // offset in the batch
	deadline time.Time
}

// setDeadline gives q and the calls after it the deadline of ctx, if it has one. Errors:
// ErrTooLarge.
func (q *call) setDeadline(ctx context.Context) error {
	deadline, has := ctx.Deadline()
	if !has {
		return nil
	}
	limit := int(q.client.limits.Load().MaxFrameBytes)
	for ; q != nil; q = q.next {
		if size := len(q.frame) + deadlineBytes; size-4 > limit {
			return fmt.Errorf(
				"%w: with its deadline the request has %d bytes, the server accepts %d",
				ErrTooLarge,
				size,
				limit,
			)
		}
		q.deadline = deadline
	}
	return nil
}

// appendWithDeadlineLocked appends q's frame to the pending ones, with an empty DEADLINE field.
func (c *conn) appendWithDeadlineLocked(q *call) {
	fields := codec.HeaderBytes
	if codec.RequestFlags(q.frame[flagsOffset])&codec.FlagIfVersion != 0 {
		fields += ifVersionBytes
	}
	from := len(c.pending)
	c.pending = append(c.pending, q.frame[:fields]...)
	c.pendingDeadlines = append(c.pendingDeadlines, deadlineField{len(c.pending), q.deadline})
	c.pending = append(c.pending, 0, 0, 0, 0)
	c.pending = append(c.pending, q.frame[fields:]...)
	c.pending[from+flagsOffset] |= byte(codec.FlagDeadline)
	codec.EndFrame(c.pending, from)
}

// takeDeadlinesLocked makes the pending deadlines those of the batch.
func (c *conn) takeDeadlinesLocked() {
	spare := c.deadlines[:0]
	if cap(spare) > maxSpareDeadlines {
		spare = nil
	}
	c.deadlines, c.pendingDeadlines = c.pendingDeadlines, spare
}

// fillDeadlines writes the time that is left now into the DEADLINE fields of the batch.
func (c *conn) fillDeadlines() {
	if len(c.deadlines) == 0 {
		return
	}
	now := time.Now()
	for _, field := range c.deadlines {
		binary.LittleEndian.PutUint32(c.batch[field.at:], wireMilliseconds(field.deadline.Sub(now)))
	}
}

// wireMilliseconds returns the time that is left as milliseconds, rounded up. 0 means that none is
// left: the server refuses the request.
func wireMilliseconds(left time.Duration) uint32 {
	ms := left / time.Millisecond
	if left%time.Millisecond > 0 {
		ms++
	}
	return uint32(min(max(ms, 0), math.MaxUint32))
}
