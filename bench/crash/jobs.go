package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cyberdb-fast/client"
)

// A list whose items clients take for a time, and acknowledge.
const (
	jobsName = "shared jobs"
	mostJobs = 40
	// mostLease bounds leases and delays, so that a check can wait for their ends.
	mostLease = 150 * time.Millisecond
)

// job is an item of jobsName.
type job struct {
	put    time.Time // when it was acknowledged; zero: unknown
	done   time.Time // when its Ack was acknowledged; zero: it was not
	ending bool      // an Ack was sent, and it is unknown whether it was applied
	lease  *jobLease // the last one; nil: none is known
}

// jobLease is a time during which no other client gets the job.
type jobLease struct {
	receipt client.Receipt

	got   time.Time // when the reply came
	until time.Time // it holds at least up to here
	over  bool      // an Ack or a Nack was sent
}

// holds reports whether a lease holds at a time for sure.
func (l *jobLease) holds(at time.Time) bool {
	return l != nil && !l.over && at.Before(l.until.Add(-clockSlack))
}

// work puts a job, or takes one and ends its lease in some way, or leaves it to its end.
func (s *shared) work(c *client.Client, w *writer) error {
	jobs := client.ListOf[string](c, jobsName)
	s.mu.Lock()
	few := len(s.jobs) < mostJobs
	s.mu.Unlock()
	if few && w.rng.IntN(2) == 0 {
		return s.putJob(jobs, w)
	}
	length, late := w.someLease()
	sent := time.Now()
	d, ok, err := jobs.Take(context.Background(), length, 0)
	if err != nil || !ok {
		return err
	}
	lease := &jobLease{receipt: d.Receipt, got: time.Now(), until: sent.Add(length)}
	if err := s.leased(d.Value, lease); err != nil {
		return err
	}
	if late {
		return s.ackLate(jobs, d, length)
	}
	switch w.rng.IntN(8) {
	case 0:
		return nil
	case 1, 2:
		return s.nack(jobs, d, lease, time.Duration(w.rng.Int64N(int64(mostLease)))*time.Duration(w.rng.IntN(2)))
	case 3:
		if err := s.extend(jobs, d, lease, length); err != nil {
			return err
		}
	}
	return s.ack(jobs, d, lease)
}

func (s *shared) putJob(jobs *client.List[string], w *writer) error {
	w.count++
	val := fmt.Sprintf("%d %d", w.number, w.count)
	j := &job{}
	s.mu.Lock()
	s.jobs[val] = j
	s.mu.Unlock()
	delay := time.Duration(w.rng.Int64N(int64(mostLease))) * time.Duration(w.rng.IntN(2))
	err := jobs.Put(context.Background(), val, delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		j.put = time.Now()
	}
	return err
}

// leased records a lease. It is an error if another one holds, or if the job was done.
func (s *shared) leased(val string, l *jobLease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[val]
	if j == nil {
		return fmt.Errorf("%q was delivered, which is no job", val)
	}
	before := j.lease
	switch {
	case before != nil && l.receipt < before.receipt: // the later reply was recorded first
		if l.holds(before.got) {
			return fmt.Errorf("%q was delivered twice within a lease", val)
		}
		return nil
	case before != nil && l.receipt == before.receipt:
		return fmt.Errorf("%q was delivered twice with the receipt %d", val, l.receipt)
	case !j.done.IsZero():
		return fmt.Errorf("%q was delivered after its Ack was acknowledged", val)
	case before.holds(l.got):
		return fmt.Errorf("%q was delivered twice within a lease", val)
	}
	j.lease = l
	return nil
}

// ending records that the lease ends now.
func (s *shared) ending(val string, l *jobLease, ack bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.over, s.jobs[val].ending = true, s.jobs[val].ending || ack
}

// expired returns an error unless a lease may have ended, as the server says.
func (s *shared) expired(val string, l *jobLease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(l.until.Add(-clockSlack)) {
		return fmt.Errorf("the lease of %q ended %v too early", val, time.Until(l.until))
	}
	return nil
}

func (s *shared) ack(jobs *client.List[string], d client.Delivery[string], l *jobLease) error {
	s.ending(d.Value, l, true)
	err := jobs.Ack(context.Background(), d.Receipt)
	s.mu.Lock()
	j := s.jobs[d.Value]
	switch {
	case err == nil:
		j.done = time.Now()
	case errors.Is(err, client.ErrLeaseExpired):
		j.ending = false
	}
	s.mu.Unlock()
	if errors.Is(err, client.ErrLeaseExpired) {
		return s.expired(d.Value, l)
	}
	return err
}

// ackLate acknowledges a job when its lease is over: that is refused.
func (s *shared) ackLate(jobs *client.List[string], d client.Delivery[string], length time.Duration) error {
	time.Sleep(length + clockSlack)
	err := jobs.Ack(context.Background(), d.Receipt)
	switch {
	case err == nil:
		return fmt.Errorf("%q was acknowledged when its lease was over", d.Value)
	case errors.Is(err, client.ErrLeaseExpired):
		return nil
	}
	return err
}

func (s *shared) nack(
	jobs *client.List[string], d client.Delivery[string], l *jobLease, delay time.Duration,
) error {
	s.ending(d.Value, l, false)
	err := jobs.Nack(context.Background(), d.Receipt, delay)
	if errors.Is(err, client.ErrLeaseExpired) {
		return s.expired(d.Value, l)
	}
	return err
}

// extend makes the lease end anew, later or earlier.
func (s *shared) extend(
	jobs *client.List[string], d client.Delivery[string], l *jobLease, length time.Duration,
) error {
	until := time.Now().Add(length)
	s.mu.Lock()
	before := l.until
	if until.Before(before) {
		l.until = until
	}
	s.mu.Unlock()
	err := jobs.ExtendLease(context.Background(), d.Receipt, length)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		l.until = until
	case errors.Is(err, client.ErrLeaseExpired):
		if time.Now().Before(before.Add(-clockSlack)) {
			return fmt.Errorf("the lease of %q ended %v too early", d.Value, time.Until(before))
		}
		return nil
	}
	return err
}

// checkLeases: no job is in the queue while its lease holds.
func (s *shared) checkLeases(ctx context.Context, c *client.Client, v *verdict) error {
	there, err := client.ListOf[string](c, jobsName).Values(ctx)
	if err != nil && !errors.Is(err, client.ErrNoSuchTable) {
		return err
	}
	now := time.Now()
	for _, val := range there {
		if j := s.jobs[val]; j != nil && j.lease.holds(now) && !v.mayLose(j.lease.got) {
			return fmt.Errorf(
				"wrong data: %q is in the queue again, its lease holds for %v",
				val,
				j.lease.until.Sub(now),
			)
		}
	}
	return nil
}

// checkJobs: once all leases and delays are over, each job is there once, unless it is done, and
// then it is not. It continues from what is there.
func (s *shared) checkJobs(ctx context.Context, c *client.Client, v *verdict) error {
	there, err := waitForJobs(ctx, client.ListOf[string](c, jobsName))
	if err != nil {
		return err
	}
	left := map[string]*job{}
	for _, val := range there {
		j := s.jobs[val]
		switch {
		case left[val] != nil || j == nil:
			return fmt.Errorf("wrong data: the jobs hold %q twice, or nothing put it", val)
		case !j.done.IsZero():
			v.lose(j.done)
		}
		left[val] = &job{put: time.Unix(1, 0)} // it cannot be lost any more
	}
	for val, j := range s.jobs {
		if !j.put.IsZero() || !j.done.IsZero() {
			v.acked++
		}
		if left[val] == nil && !j.put.IsZero() && j.done.IsZero() && !j.ending {
			v.lose(j.put)
			v.note("the job %q is gone", val)
		}
	}
	s.jobs = left
	return nil
}

// waitForJobs returns the jobs once none is held.
func waitForJobs(ctx context.Context, jobs *client.List[string]) ([]string, error) {
	for end := time.Now().Add(mostLease + settleTime); ; time.Sleep(5 * time.Millisecond) {
		held, err := jobs.Held(ctx)
		if err != nil {
			return nil, err
		}
		if held.Leased+held.Delayed == 0 {
			return jobs.Values(ctx)
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("wrong data: %+v of the jobs after all leases and delays", held)
		}
	}
}

// settleJobs waits until no job is held, and sorts them: two servers on the same files return them
// in the order in which their leases end, or together, as it comes.
func settleJobs(ctx context.Context, c *client.Client) error {
	jobs := client.ListOf[string](c, jobsName)
	if _, err := waitForJobs(ctx, jobs); err != nil {
		if errors.Is(err, client.ErrNoSuchTable) {
			return nil
		}
		return err
	}
	return jobs.Sort(ctx, client.Itself, client.Ascending)
}
