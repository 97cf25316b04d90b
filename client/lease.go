package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"cyberdb-fast/codec"
)

// owner identifies one acquisition: a repeated request with the same one gets the same grant.
type owner [16]byte

func newOwner() (o owner) {
	_, _ = rand.Read(o[:]) // never fails
	return o
}

// lease is what a client owns for a time: a lock, or the right to compute a value. Timers renew it
// at a third of its time; no goroutine belongs to it.
type lease struct {
	// constant
	client  *Client
	ttl     time.Duration
	maxHold time.Duration                 // it is not renewed beyond; 0: no limit
	hard    bool                          // it is not renewed at all
	renew   func(ttl time.Duration) *call // makes the request

	// constant after start
	lost    context.Context // done when it is lost
	setLost context.CancelCauseFunc
	end     time.Time   // of maxHold; zero: no limit
	unwatch func() bool // of the client's end

	mu sync.Mutex
	// guarded by mu
	timer    *time.Timer
	until    time.Time // when it ends unless it is renewed, by the local clock
	renewAt  time.Time
	released bool
	err      error // why it was lost
}

// Pauses between attempts to renew that failed.
const (
	renewalsPerLease = 3
	minRenewalPause  = 5 * time.Millisecond
	maxRenewalPause  = time.Second
)

var (
	errNotRenewed = errors.New("it was not renewed within its time to live")
	errMaxHold    = errors.New("it was held for the longest time allowed")
)

// start begins to watch and renew the lease, which was asked for at a time. Until the first renewal
// it counts from granted: a time before the server granted it, so that it never ends later here
// than there.
func (l *lease) start(asked, granted time.Time) {
	now := time.Now()
	l.lost, l.setLost = context.WithCancelCause(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewAt = asked.Add(l.ttl / renewalsPerLease)
	l.until = granted.Add(l.ttl)
	if l.maxHold > 0 {
		l.end = granted.Add(l.maxHold)
	}
	l.timer = time.AfterFunc(l.nextLocked(now), l.tick)
	l.unwatch = context.AfterFunc(l.client.ctx, func() { l.lose(ErrClosed) })
}

// isOld reports whether the answer to a request for the lease has taken so long that much of the
// lease may have passed: the server may have granted it at any time since.
func (l *lease) isOld(asked time.Time) bool { return time.Since(asked) > l.ttl/renewalsPerLease }

// nextLocked returns the time until tick has something to do.
func (l *lease) nextLocked(now time.Time) time.Duration {
	at := l.until
	if l.renewsLocked() && l.renewAt.Before(at) {
		at = l.renewAt
	}
	return at.Sub(now)
}

// renewsLocked says whether the lease is to be renewed before it ends.
func (l *lease) renewsLocked() bool { return !l.hard && (l.end.IsZero() || l.until.Before(l.end)) }

// tick is called by the timer: it renews the lease, or reports that it has ended.
func (l *lease) tick() {
	now := time.Now()
	l.mu.Lock()
	if l.doneLocked() {
		l.mu.Unlock()
		return
	}
	if l.endLocked(now) {
		l.mu.Unlock()
		return
	}
	send := l.renewsLocked() && !now.Before(l.renewAt)
	ttl := l.ttl
	if send {
		l.renewAt = now.Add(l.ttl / renewalsPerLease)
		if !l.end.IsZero() {
			ttl = min(ttl, l.end.Sub(now))
		}
	}
	l.timer.Reset(l.nextLocked(now))
	l.mu.Unlock()
	if send {
		l.send(now, ttl)
	}
}

// send renews the lease for ttl from now. The reply goes to renewed.
func (l *lease) send(now time.Time, ttl time.Duration) {
	q := l.renew(ttl)
	q.late = func(_ *conn, q *call) { l.renewed(now.Add(ttl), q) }
	if l.client.post(q) != nil {
		l.again()
	}
}

// again lets the next attempt to renew come soon.
func (l *lease) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.doneLocked() {
		now := time.Now()
		l.renewAt = now.Add(min(max(l.ttl/(10*renewalsPerLease), minRenewalPause), maxRenewalPause))
		l.timer.Reset(l.nextLocked(now))
	}
}

// renewed is called by a connection's reader with the reply to a renewal, which makes the lease end
// at until.
func (l *lease) renewed(until time.Time, q *call) {
	switch {
	case q.granted():
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.doneLocked() && until.After(l.until) {
			l.until = until
			l.timer.Reset(l.nextLocked(time.Now()))
		}
	case q.lost == nil && q.status == codec.StatusLockLost:
		l.lose(replyError(q.op.String(), q.table, q.status, q.reply))
	default:
		l.again()
	}
}

// doneLocked says whether the lease was released or lost.
func (l *lease) doneLocked() bool { return l.released || l.err != nil }

// endLocked makes the lease lost if it has ended by the local clock.
func (l *lease) endLocked(now time.Time) bool {
	if now.Before(l.until) {
		return false
	}
	reason := errNotRenewed
	if !l.end.IsZero() && !l.until.Before(l.end) {
		reason = errMaxHold
	}
	l.loseLocked(reason)
	return true
}

// lose makes the lease lost, unless it was lost or released before.
func (l *lease) lose(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.doneLocked() {
		l.loseLocked(reason)
	}
}

func (l *lease) loseLocked(reason error) {
	l.err = reason
	if !errors.Is(reason, ErrLockLost) {
		l.err = fmt.Errorf("%w: %w", ErrLockLost, reason)
	}
	l.timer.Stop()
	l.unwatch()
	l.setLost(l.err)
}

// release ends the lease: it is neither renewed nor reported as lost any more. It returns
// ErrLockLost, wrapped, if it was lost or released before.
func (l *lease) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.released:
		return fmt.Errorf("%w: it was released before", ErrLockLost)
	case l.err != nil || l.endLocked(time.Now()):
	default:
		l.timer.Stop()
		l.unwatch()
	}
	l.released = true
	return l.err
}

// held says whether the lease has not ended by the local clock.
func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil && time.Now().Before(l.until)
}
