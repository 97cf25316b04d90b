package client

import (
	"context"
	"fmt"
	"time"

	"cyberdb-fast/codec"
)

// PopWait is Pop that waits for an element if the list is empty; see PopLeftWait.
func (l *List[T]) PopWait(ctx context.Context, wait time.Duration) (T, error) {
	return ask(ctx, wait, ifRefused, l.popWait, l.decodePopped(codec.OpListAppend))
}

func (l *List[T]) popWait(wait time.Duration) *call {
	q := l.pop()
	add(q, -1)
	return l.waiting(q, wait, codec.OpListAppend)
}

// PopLeftWait is PopLeft that waits for an element if the list is empty, Forever as long as ctx
// allows. Callers that wait are served in the order in which they came.
//
// If ctx ends first, PopLeftWait returns its error, and an element that was taken meanwhile is put
// back; so is one that is not a T, and the error says what it is. Without a connection it is lost,
// and the error says that. The request is not repeated if the connection is lost: after
// ErrConnectionLost the element may be taken and lost, as it is after ErrReplyTooLarge. Take is for
// elements that must not be.
// Errors: ErrIndex if the wait has ended; ErrValue if it is below 0.
func (l *List[T]) PopLeftWait(ctx context.Context, wait time.Duration) (T, error) {
	return ask(ctx, wait, ifRefused, l.popLeftWait, l.decodePopped(codec.OpListAppendLeft))
}

func (l *List[T]) popLeftWait(wait time.Duration) *call {
	return l.waiting(l.popLeft(), wait, codec.OpListAppendLeft)
}

// waiting adds a wait to a request that pops an element. If its reply comes too late for the
// caller, the element is put back by the operation back.
func (l *List[T]) waiting(q *call, wait time.Duration, back codec.Opcode) *call {
	q.addWait(wait)
	q.late = func(c *conn, q *call) {
		if q.granted() {
			undo(c, l.putBack(back, q.reply))
		}
	}
	return q
}

// decodePopped returns a function that decodes a popped element. If it cannot, it puts the element
// back by the operation back; the error says so if that fails too.
func (l *List[T]) decodePopped(back codec.Opcode) func(q *call) (T, error) {
	return func(q *call) (T, error) {
		v, err := decodeOne[T](q)
		if err == nil {
			return v, nil
		}
		if failed := l.client.post(l.putBack(back, q.reply)); failed != nil {
			err = fmt.Errorf("%w; the element is lost, it cannot be put back: %w", err, failed)
		}
		return v, err
	}
}

// putBack makes the request that puts an element back, which is encoded.
func (l *List[T]) putBack(back codec.Opcode, element []byte) *call {
	q := l.client.write(back, l.table)
	q.frame = append(q.frame, element...)
	q.args++
	return q
}
