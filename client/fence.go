package client

import (
	"context"
	"encoding/binary"
	"fmt"

	"cyberdb-fast/codec"
)

// fenceKey is the key of a context's *codec.Fence.
type fenceKey struct{}

// IfFence returns a context for requests that the server executes only while the lock of that name
// is held with that fence. Otherwise they fail with ErrLockLost and change nothing; Key of the
// *Error is the present fence, 0 if nobody holds the lock. While such a request is executed, the
// lock has no other owner.
//
// So a holder that was paused for longer than its lease cannot overwrite what the next one did. It
// is the only protection from that: see Lock. Every request takes it, in a Pipeline all of them.
// Lock.IfFence is for the program that holds the lock, this function for one that was given name
// and fence.
func IfFence(ctx context.Context, name string, fence uint64) context.Context {
	return context.WithValue(ctx, fenceKey{}, &codec.Fence{Number: fence, Lock: []byte(name)})
}

// IfFence returns a context for requests that the server executes only while l is held; see the
// function IfFence.
//
//	err := accounts.Set(lock.IfFence(ctx), id, balance)
func (l *Lock) IfFence(ctx context.Context) context.Context { return IfFence(ctx, l.name, l.fence) }

// setFence gives q and the calls after it the condition of ctx, if it has one. Errors: ErrTooLarge,
// ErrValue.
func (q *call) setFence(ctx context.Context) error {
	fence, _ := ctx.Value(fenceKey{}).(*codec.Fence)
	if fence == nil {
		return nil
	}
	if err := checkLockName(string(fence.Lock)); err != nil {
		return err
	}
	for ; q != nil; q = q.next {
		if err := q.addFence(fence); err != nil {
			return err
		}
	}
	return nil
}

// addFence gives q, whose frame is complete, a condition. One that it has already stays. Errors:
// ErrTooLarge.
func (q *call) addFence(fence *codec.Fence) error {
	flags := codec.RequestFlags(q.frame[flagsOffset])
	if flags&codec.FlagExtensions != 0 {
		return nil
	}
	field := codec.AppendFence(nil, fence)
	if len(field) > 1<<16-1 {
		return fmt.Errorf("%w: the key of a fence has %d bytes", ErrTooLarge, len(field))
	}
	at := codec.HeaderBytes
	if flags&codec.FlagIfVersion != 0 {
		at += ifVersionBytes
	}
	if flags&codec.FlagTimeToLive != 0 {
		at += ttlBytes
	}
	rest := len(q.frame) - at
	q.frame = append(q.frame, make([]byte, 2+len(field))...)
	copy(q.frame[len(q.frame)-rest:], q.frame[at:at+rest])
	binary.LittleEndian.PutUint16(q.frame[at:], uint16(len(field)))
	copy(q.frame[at+2:], field)
	q.frame[flagsOffset] |= byte(codec.FlagExtensions)
	codec.EndFrame(q.frame, 0)
	if limit := int(q.client.limits.Load().MaxFrameBytes); len(q.frame)-4 > limit {
		return fmt.Errorf(
			"%w: with its fence the request has %d bytes, the server accepts %d",
			ErrTooLarge,
			len(q.frame),
			limit,
		)
	}
	return nil
}
