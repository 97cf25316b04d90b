package client

import (
	"context"
	"fmt"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// LockOptions configure a lock. A zero field means its default.
type LockOptions struct {
	// TTL is the lease: how long the lock is held after it was taken or last renewed. Default 30 s;
	// at most MaxTTL; rounded up to milliseconds.
	TTL time.Duration
	// Wait is how long Lock waits for another owner to release the lock. Default: as long as the
	// context allows. TryLock does not wait.
	Wait time.Duration
	// NoRenew makes the lease a hard one. Otherwise the client renews it each third of TTL until
	// Unlock, until MaxHold, or until the client is closed; if the process ends, the lock is free
	// after TTL.
	NoRenew bool
	// MaxHold is the longest time that the lock is held with renewals. Default: no limit.
	MaxHold time.Duration
	// N is how many owners the lock may have at once: it is a semaphore if N is above 1. All who
	// ask for it must name the same number, at most 1024. Default 1.
	N int
}

const defaultLease = 30 * time.Second

// withDefaults returns o with its zero fields filled in, but for Wait. Errors: ErrValue.
func (o LockOptions) withDefaults() (LockOptions, error) {
	o.TTL, o.N = or(o.TTL, defaultLease), or(o.N, 1)
	if o.MaxHold < 0 {
		return o, fmt.Errorf("%w: MaxHold is negative: %v", ErrValue, o.MaxHold)
	}
	if o.MaxHold > 0 {
		o.TTL = min(o.TTL, o.MaxHold)
	}
	return o, nil
}

// Lock is a lock that this client holds, or did. Any number of goroutines may use it.
//
// A lock has one owner, or N, on the whole server. It is held until Unlock, or until its lease ends
// because it was not renewed in time: the process ended or was paused, the server could not be
// reached. Lost tells the holder by the local monotonic clock, which counts the lease from before
// the request that took or renewed it, so it does not believe longer than the server that it holds
// the lock. After a wait of more than a third of TTL, the client asks the server what is left of
// the lease; if it has ended, Lock waits for the lock again.
//
// That is no protection for a process that is paused (by the scheduler, a debugger, a suspended
// machine): between two instructions any time may pass, and it may act before it learns that
// another owner has the lock. Only the fence protects from that: give the requests that must not be
// late a context from IfFence. A fence is greater than each that the lock had before, over
// restarts of the server too.
//
// A Lock is not reentrant: a goroutine that asks again for a lock that it holds waits for itself.
// Pass the *Lock on instead.
type Lock struct {
	lease
	name  string
	owner owner
	fence uint64
}

// Lock waits for the lock of that name and returns it. Owners that wait get it in the order in
// which they came. A wait takes no goroutine but the caller's. If the connection is lost, Lock asks
// again, and its place in the line is lost; so it is if the server restarts.
//
// If ctx ends first, Lock returns its error, and the lock is released if it was granted meanwhile.
// ctx is for the wait only: it may end while the lock is held.
//
// Errors: ErrLockHeld if the wait has ended; ErrValue for an option that is out of range;
// ErrOverloaded if too many requests wait; those of the connection. If a connection was lost during
// the wait, and there is no other when Lock returns an error, the lock may be held until its TTL
// has passed.
//
//	lock, err := db.Lock(ctx, "nightly report", client.LockOptions{})
//	if err != nil {
//		return err
//	}
//	defer lock.Unlock(ctx)
func (c *Client) Lock(ctx context.Context, name string, options LockOptions) (*Lock, error) {
	return c.lock(ctx, name, or(options.Wait, Forever), options)
}

// TryLock is Lock without a wait: it returns ErrLockHeld if the lock has its owner, or if another
// one waits for it. Options.Wait does not count.
func (c *Client) TryLock(ctx context.Context, name string, options LockOptions) (*Lock, error) {
	return c.lock(ctx, name, 0, options)
}

// checkLockName returns ErrValue, wrapped, for a name that no lock has.
func checkLockName(name string) error {
	if name == "" || len(name) > codec.MaxLockNameBytes {
		return fmt.Errorf(
			"%w: the name of a lock has 1 to %d bytes, this one has %d",
			ErrValue,
			codec.MaxLockNameBytes,
			len(name),
		)
	}
	return nil
}

func (c *Client) lock(ctx context.Context, name string, wait time.Duration, o LockOptions) (*Lock, error) {
	o, err := o.withDefaults()
	if err == nil {
		err = checkLockName(name)
	}
	if err != nil {
		return nil, &Error{Op: codec.OpLock.String(), Err: err}
	}
	for began := time.Now(); ; {
		l := &Lock{
			lease: lease{client: c, ttl: o.TTL, maxHold: o.MaxHold, hard: o.NoRenew},
			name:  name,
			owner: newOwner(),
		}
		l.renew = l.renewal
		asked, attempts := time.Now(), 0
		fence, err := ask(
			ctx,
			left(wait, began),
			ifLost,
			func(wait time.Duration) *call {
				attempts++
				return l.request(wait, o.N)
			},
			func(q *call) (*uint64, error) { return govalue.UnmarshalOf[*uint64](q.reply) },
		)
		switch {
		case err != nil:
			if mayOwn(attempts, err) {
				_ = c.post(l.begin(codec.OpUnlock))
			}
			return nil, err
		case fence == nil:
			return nil, &Error{Op: codec.OpLock.String(), Err: fmt.Errorf("%w: %q", ErrLockHeld, name)}
		}
		l.fence = *fence
		granted, lasts, err := l.confirm(ctx, asked)
		switch {
		case err != nil:
			return nil, err
		case lasts:
			l.start(asked, granted)
			return l, nil
		case left(wait, began) == 0:
			return nil, &Error{
				Op:  codec.OpLock.String(),
				Err: fmt.Errorf("%w: %q: it was granted, and lost before the reply was read", ErrLockHeld, name),
			}
		}
	}
}

// leftRounding is how much LockHolder.Left may exceed what is left: the server rounds it up.
const leftRounding = 2 * time.Millisecond

// confirm returns when the lock was granted, or a time before that. If the reply has taken long,
// perhaps because this process was stopped meanwhile, confirm asks the server whether the lease
// lasts, and how long. After an error it releases the lock.
func (l *Lock) confirm(ctx context.Context, asked time.Time) (granted time.Time, lasts bool, err error) {
	if !l.isOld(asked) {
		return asked, true, nil
	}
	asked = time.Now()
	holders, _, err := l.client.LockHolders(ctx, l.name)
	if err != nil {
		_ = l.client.post(l.begin(codec.OpUnlock))
		return asked, false, err
	}
	for _, h := range holders {
		if h.Fence == l.fence {
			end := asked.Add(h.Left - leftRounding)
			return end.Add(-l.ttl), end.After(time.Now()), nil
		}
	}
	return asked, false, nil
}

// request makes the request LOCK. If its reply comes too late for the caller, or not at all, the
// lock is released.
func (l *Lock) request(wait time.Duration, n int) *call {
	q := l.begin(codec.OpLock)
	q.addTime("TTL", l.ttl, 1)
	q.addWait(wait)
	add(q, n)
	q.late = func(c *conn, q *call) {
		if q.granted() || q.lost != nil {
			undo(c, l.begin(codec.OpUnlock))
		}
	}
	return q
}

// begin begins a request of the lock's owner.
func (l *Lock) begin(op codec.Opcode) *call {
	q := l.client.write(op, nil)
	add(q, l.name)
	add(q, l.owner[:])
	return q
}

func (l *Lock) renewal(ttl time.Duration) *call {
	q := l.begin(codec.OpRenewLock)
	q.addTime("TTL", ttl, 1)
	return q
}

// Name returns the lock's name.
func (l *Lock) Name() string { return l.name }

// Fence returns the number of this acquisition, for IfFence. It is greater than that of each owner
// before.
func (l *Lock) Fence() uint64 { return l.fence }

// Lost returns a channel that is closed when the lock is lost: its lease has ended, MaxHold has
// passed, the server says that another owner has it, or the client was closed. Unlock does not
// close it.
func (l *Lock) Lost() <-chan struct{} { return l.lost.Done() }

// Context returns a copy of parent that ends, too, when the lock is lost; context.Cause is then
// ErrLockLost, wrapped. It does not end with Unlock. cancel frees what belongs to it, and must be
// called.
func (l *Lock) Context(parent context.Context) (ctx context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(parent)
	stop := context.AfterFunc(l.lost, func() { end(context.Cause(l.lost)) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

// Unlock releases the lock and wakes the next owner that waits. A fence and a deadline of ctx do
// not count for the release. If ctx has ended, or ends before the reply comes, Unlock sends the
// release all the same if there is a connection, and returns the context's error. Errors:
// ErrLockLost if the lock was lost before, or was released by another call of Unlock; those of the
// connection: the lock is then free after its TTL at the latest.
func (l *Lock) Unlock(ctx context.Context) error {
	lost := l.release()
	attempts := 0
	was, err := false, ctx.Err()
	if err == nil {
		sending, cancel := context.WithCancel(context.WithoutCancel(withoutFence(ctx)))
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		was, err = ask(sending, 0, ifLost, func(time.Duration) *call {
			attempts++
			return l.begin(codec.OpUnlock)
		}, decodeOne[bool])
	}
	switch {
	case err != nil && ctx.Err() != nil:
		_ = l.client.post(l.begin(codec.OpUnlock)) // the first one may not have been sent
		return &Error{Op: codec.OpUnlock.String(), Err: ctx.Err()}
	case lost != nil:
		return &Error{Op: codec.OpUnlock.String(), Err: fmt.Errorf("lock %q: %w", l.name, lost)}
	case err != nil || was:
		return err
	case attempts > 1 && l.held():
		return nil // the first request has released it, its reply was lost
	}
	return &Error{Op: codec.OpUnlock.String(), Err: fmt.Errorf("lock %q: %w", l.name, ErrLockLost)}
}

// LockHolder is an owner of a lock.
type LockHolder struct {
	Fence uint64
	Left  time.Duration // until its lease ends, unless it is renewed; up to 2 ms more than that
}

// LockHolders returns the owners of the lock of that name, none if it is free, and how many
// requests wait for it.
func (c *Client) LockHolders(ctx context.Context, name string) (holders []LockHolder, waiters int, err error) {
	q := c.read(codec.OpLockHolders, nil)
	add(q, name)
	holders, err = request(ctx, q, func(q *call) (all []LockHolder, err error) {
		var pairs [][2]uint64
		rest, err := decodeNext(q.reply, &pairs)
		if err == nil {
			_, err = decodeNext(rest, &waiters)
		}
		for _, pair := range pairs {
			all = append(all, LockHolder{pair[0], time.Duration(pair[1]) * time.Millisecond})
		}
		return all, err
	})
	return holders, waiters, err
}
