package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"cyberdb-fast/codec"
)

// fenceKey is the key of a context's *condition.
type fenceKey struct{}

// condition is what IfFence asks for.
type condition struct {
	fence codec.Fence
	err   error // why no request can have it
}

// IfFence returns a context for requests that the server executes only while the lock of that name
// is held with that fence. Otherwise they fail with ErrLockLost and change nothing; Key of the
// *Error is the present fence, 0 if the lock is free. While such a request is executed, the
// lock has no other owner.
//
// So a holder that was paused for longer than its lease cannot overwrite what the next one did. It
// is the only protection from that: see Lock. Every request takes it, in a Pipeline all of them.
// Lock.IfFence is for the program that holds the lock, this function for one that was given name
// and fence.
//
// A request takes the fence of one lock. If ctx has that of another one already, requests with the
// context fail with ErrValue.
func IfFence(ctx context.Context, name string, fence uint64) context.Context {
	c := &condition{codec.Fence{Number: fence, Lock: []byte(name)}, checkLockName(name)}
	if outer := conditionOf(ctx); outer != nil && c.err == nil {
		if c.err = outer.err; c.err == nil && (string(outer.fence.Lock) != name || outer.fence.Number != fence) {
			c.err = fmt.Errorf(
				"%w: the context has fence %d of lock %q and fence %d of lock %q: a request takes one",
				ErrValue,
				outer.fence.Number,
				outer.fence.Lock,
				fence,
				name,
			)
		}
	}
	return context.WithValue(ctx, fenceKey{}, c)
}

// conditionOf returns the condition of ctx; nil: it has none.
func conditionOf(ctx context.Context) *condition {
	c, _ := ctx.Value(fenceKey{}).(*condition)
	return c
}

// withoutFence returns a copy of ctx without its condition.
func withoutFence(ctx context.Context) context.Context {
	return context.WithValue(ctx, fenceKey{}, (*condition)(nil))
}

// IfFence returns a context for requests that the server executes only while l is held; see the
// function IfFence.
//
//	err := accounts.Set(lock.IfFence(ctx), id, balance)
func (l *Lock) IfFence(ctx context.Context) context.Context { return IfFence(ctx, l.name, l.fence) }

// setFence gives q and the calls after it the condition of ctx, if it has one. Errors: ErrTooLarge,
// ErrValue.
func (q *call) setFence(ctx context.Context) error {
	c := conditionOf(ctx)
	if c == nil {
		return nil
	}
	if c.err != nil {
		return c.err
	}
	for ; q != nil; q = q.next {
		if err := q.addFence(&c.fence); err != nil {
			return err
		}
	}
	return nil
}

// addFence gives q, whose frame is complete, one more condition. Errors: ErrTooLarge.
func (q *call) addFence(fence *codec.Fence) error {
	flags := codec.RequestFlags(q.frame[flagsOffset])
	at := codec.HeaderBytes
	if flags&codec.FlagIfVersion != 0 {
		at += ifVersionBytes
	}
	if flags&codec.FlagTimeToLive != 0 {
		at += ttlBytes
	}
	if flags&codec.FlagExtensions == 0 {
		q.frame = slices.Insert(q.frame, at, 0, 0)
		q.frame[flagsOffset] |= byte(codec.FlagExtensions)
	}
	field := codec.AppendFence(nil, fence)
	size := int(binary.LittleEndian.Uint16(q.frame[at:])) + len(field)
	if size > math.MaxUint16 {
		return fmt.Errorf("%w: the fences of a request have %d bytes", ErrTooLarge, size)
	}
	binary.LittleEndian.PutUint16(q.frame[at:], uint16(size))
	q.frame = slices.Insert(q.frame, at+extensionsBytes, field...)
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
