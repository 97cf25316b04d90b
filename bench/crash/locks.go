package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cyberdb-fast/client"
)

const (
	// sharedLocks is for how many locks the clients compete.
	sharedLocks = 3
	// fencedName is a dict that the owners of locks write, with their fences.
	fencedName = "shared fenced"
)

func lockName(i int) string { return fmt.Sprintf("shared lock %d", i) }

// grant is the last one of a lock.
type grant struct {
	fence uint64
	got   time.Time // when the reply came
	until time.Time // it holds at least up to here
	over  bool      // an UNLOCK was sent
	old   bool      // of a cycle before
}

// maxBrief bounds the leases whose ends a client sits out.
const maxBrief = 10 * time.Millisecond

// own takes a lock, if it is free, and writes with its fence and releases it, too late or in time,
// or leaves it to the end of its lease.
func (s *shared) own(c *client.Client, w *writer) error {
	name := lockName(w.rng.IntN(sharedLocks))
	ttl, late := w.someLease()
	options := client.LockOptions{TTL: ttl, NoRenew: true, Wait: 5 * time.Millisecond}
	take := c.TryLock
	if w.rng.IntN(2) == 0 {
		take = c.Lock
	}
	sent := time.Now()
	lock, err := take(context.Background(), name, options)
	if errors.Is(err, client.ErrLockHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	g := &grant{fence: lock.Fence(), got: time.Now(), until: sent.Add(ttl)}
	if err := s.granted(name, g); err != nil || w.rng.IntN(5) == 0 {
		return err
	}
	if late {
		time.Sleep(ttl + clockSlack)
	}
	if err := writeFenced(c, lock, g, late); err != nil {
		return err
	}
	s.mu.Lock()
	g.over = !late // another one may own it by now
	s.mu.Unlock()
	return g.inTime(name, lock.Unlock(context.Background()))
}

// writeFenced writes with the fence of a lock. When the lease is over, that is refused.
func writeFenced(c *client.Client, lock *client.Lock, g *grant, late bool) error {
	fenced := client.DictOf[string, uint64](c, fencedName)
	err := fenced.Set(lock.IfFence(context.Background()), lock.Name(), g.fence)
	if err == nil && late {
		return fmt.Errorf("%s was written with the fence %d when its lease was over", lock.Name(), g.fence)
	}
	return g.inTime(lock.Name(), err)
}

// inTime returns the error of a request of the owner: none if the lock was lost and its lease may
// have ended.
func (g *grant) inTime(name string, err error) error {
	if !errors.Is(err, client.ErrLockLost) {
		return err
	}
	if time.Now().Before(g.until.Add(-clockSlack)) {
		return fmt.Errorf("%s was lost %v before its end", name, time.Until(g.until))
	}
	return nil
}

// someLease draws the length of a lease, and whether the client acts when it is over.
func (w *writer) someLease() (length time.Duration, late bool) {
	if w.rng.IntN(4) == 0 {
		return time.Millisecond + time.Duration(w.rng.Int64N(int64(maxBrief))), true
	}
	return time.Millisecond + time.Duration(w.rng.Int64N(int64(mostLease))), false
}

// granted records a grant. It is an error if the one before holds, or if the fence has not grown.
func (s *shared) granted(name string, g *grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, second := s.locks[name], g
	if first == nil {
		s.locks[name] = g
		return nil
	}
	if g.fence < first.fence && !first.old { // the later reply was recorded first
		first, second = g, first
	}
	switch {
	case second.fence <= first.fence:
		return fmt.Errorf("%s has the fence %d after %d", name, second.fence, first.fence)
	case !first.over && second.got.Before(first.until.Add(-clockSlack)):
		return fmt.Errorf("%s has two owners, with the fences %d and %d", name, first.fence, second.fence)
	}
	s.locks[name] = second
	return nil
}

// checkGrants: no lease lasts longer than it was asked for.
func (s *shared) checkGrants(ctx context.Context, c *client.Client) error {
	for i := range sharedLocks {
		name := lockName(i)
		holders, _, err := c.LockHolders(ctx, name)
		if err != nil {
			return err
		}
		for _, h := range holders {
			if h.Left > mostLease+clockSlack {
				return fmt.Errorf("wrong data: the lease of %s, fence %d, lasts %v more", name, h.Fence, h.Left)
			}
		}
	}
	return nil
}

// forgetGrants forgets the owners whose grants may be lost with the server's end. Their fences are
// not given again.
func (s *shared) forgetGrants(v *verdict) {
	for _, g := range s.locks {
		g.old, g.over = true, g.over || v.mayLose(g.got)
	}
}
