package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// fakeServer is a connection that is never written. A test answers what is sent on it.
type fakeServer struct {
	*conn
	client *Client
}

func newFakeServer(t testing.TB) *fakeServer {
	t.Helper()
	c, err := New(Options{Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	cn := queueOnly()
	cn.wakeWriter, cn.onDown = make(chan struct{}, 1), func() {}
	c.slots[0].conn.Store(cn)
	return &fakeServer{cn, c}
}

// take returns the calls that were sent since the last take.
func (s *fakeServer) take() (sent []*call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.outstanding {
		if o := &s.outstanding[i]; o.used && o.call != nil {
			sent = append(sent, o.call)
			o.call, o.used = nil, false
			s.free = append(s.free, uint32(i))
		}
	}
	return sent
}

// ttl returns the time to live that a renewal asks for.
func ttl(t *testing.T, q *call) time.Duration {
	t.Helper()
	args := split(q.frame[codec.HeaderBytes:])
	var ms int64
	if _, err := decodeNext(args[2], &ms); err != nil || q.op != codec.OpRenewLock {
		t.Fatal(q.op, err)
	}
	return time.Duration(ms) * time.Millisecond
}

// hold returns a lock that was given at once, with its default TTL of 30 s.
func (s *fakeServer) hold(o LockOptions) *Lock {
	o, _ = o.withDefaults()
	l := &Lock{lease: lease{client: s.client, ttl: o.TTL, maxHold: o.MaxHold, hard: o.NoRenew}, name: "L"}
	l.renew = l.renewal
	l.start(time.Now(), time.Now())
	return l
}

// isLost says whether the lock is lost, after everything that is ready has run.
func isLost(l *Lock) bool {
	synctest.Wait()
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

func TestLeaseIsRenewedAtAThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		l := s.hold(LockOptions{})
		for range 20 {
			time.Sleep(10*time.Second - 1)
			if sent := s.take(); len(sent) > 0 {
				t.Fatal("renewed before a third of the lease")
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			sent := s.take()
			if len(sent) != 1 || ttl(t, sent[0]) != 30*time.Second {
				t.Fatalf("%d renewals", len(sent))
			}
			s.complete(sent[0])
		}
		if isLost(l) {
			t.Error("the lock is lost")
		}
		if err := l.release(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if sent := s.take(); len(sent) > 0 || isLost(l) {
			t.Errorf("after its release: %d renewals, lost: %v", len(sent), isLost(l))
		}
	})
}

// TestLeaseEndsByTheLocalClock gets no reply to its renewals.
func TestLeaseEndsByTheLocalClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		l := s.hold(LockOptions{})
		ctx, cancel := l.Context(t.Context())
		defer cancel()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		first := s.take()[0]
		time.Sleep(5 * time.Second)
		s.complete(first) // the reply is late: the lease counts from the request, at 10 s
		time.Sleep(25*time.Second - 1)
		if isLost(l) || ctx.Err() != nil {
			t.Error("lost before 40 s")
		}
		time.Sleep(time.Nanosecond)
		if !isLost(l) || !errors.Is(context.Cause(ctx), ErrLockLost) {
			t.Errorf("lost: %v, cause: %v", isLost(l), context.Cause(ctx))
		}
		if err := l.release(); !errors.Is(err, ErrLockLost) {
			t.Errorf("got %v", err)
		}
	})
}

// TestRenewalsAreRepeated lets renewals fail without and with a reply: they are tried again soon.
func TestRenewalsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		l := s.hold(LockOptions{})
		time.Sleep(10 * time.Second)
		s.client.slots[0].conn.Store(nil) // no connection: nothing can be sent
		time.Sleep(5 * time.Second)
		s.client.slots[0].conn.Store(s.conn)
		for i, end := range []func(q *call){
			func(q *call) { q.lost = ErrConnectionLost },
			func(q *call) { q.status = codec.StatusOverloaded },
			func(*call) {},
		} {
			time.Sleep(time.Second)
			synctest.Wait()
			sent := s.take()
			if len(sent) != 1 {
				t.Fatalf("attempt %d: %d renewals", i, len(sent))
			}
			end(sent[0])
			s.complete(sent[0])
		}
		time.Sleep(30*time.Second - 1)
		if isLost(l) {
			t.Error("lost before the lease has ended")
		}
		time.Sleep(time.Nanosecond)
		if !isLost(l) {
			t.Error("not lost at the end of the lease")
		}
	})
}

func TestLeaseIsLost(t *testing.T) {
	for name, test := range map[string]func(s *fakeServer, l *Lock){
		"the server says so": func(s *fakeServer, _ *Lock) {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			q := s.take()[0]
			q.status = codec.StatusLockLost
			q.reply = codec.AppendErrorBody(nil, &codec.Error{Status: q.status, Message: "the lock is not held"})
			s.complete(q)
		},
		"the client is closed": func(s *fakeServer, _ *Lock) { _ = s.client.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeServer(t)
			defer s.client.Close()
			l := s.hold(LockOptions{})
			test(s, l)
			lost := isLost(l)
			if err := l.release(); !lost || !errors.Is(err, ErrLockLost) {
				t.Errorf("%s: lost %v, %v", name, lost, err)
			}
			time.Sleep(time.Hour)
			if sent := s.take(); len(sent) > 0 {
				t.Errorf("%s: %d renewals afterwards", name, len(sent))
			}
		})
	}
}

// TestMaxHold lets the last renewal end the lease exactly at MaxHold.
func TestMaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		l := s.hold(LockOptions{MaxHold: 45 * time.Second})
		for i, want := range []time.Duration{30 * time.Second, 25 * time.Second} {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			sent := s.take()
			if len(sent) != 1 || ttl(t, sent[0]) != want {
				t.Fatalf("renewal %d: %d", i, len(sent))
			}
			s.complete(sent[0])
		}
		time.Sleep(25*time.Second - 1)
		if sent := s.take(); len(sent) > 0 || isLost(l) {
			t.Errorf("%d renewals; lost: %v", len(sent), isLost(l))
		}
		time.Sleep(time.Nanosecond)
		if !isLost(l) || !errors.Is(l.release(), errMaxHold) {
			t.Error("not lost at MaxHold")
		}
	})
}

func TestHardLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		l := s.hold(LockOptions{NoRenew: true, TTL: time.Second})
		time.Sleep(time.Second - 1)
		if isLost(l) {
			t.Error("lost before the lease has ended")
		}
		time.Sleep(time.Nanosecond)
		if sent := s.take(); len(sent) > 0 || !isLost(l) {
			t.Errorf("%d renewals; lost: %v", len(sent), isLost(l))
		}
	})
}

// TestLeaseThatWasWaitedFor is renewed at once, because the server counts from the grant.
func TestLeaseThatWasWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		l := &Lock{lease: lease{client: s.client, ttl: time.Second}, name: "L"}
		l.renew = l.renewal
		asked := time.Now()
		time.Sleep(time.Minute)
		l.start(asked, time.Now())
		synctest.Wait()
		if sent := s.take(); len(sent) != 1 || isLost(l) {
			t.Errorf("%d renewals; lost: %v", len(sent), isLost(l))
		}
	})
}

// TestGrantThatComesLate: a caller that has waited long for a hard lease believes in what is left
// of it, and asks again if it has ended.
func TestGrantThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		defer s.client.Close()
		var l *Lock
		done := make(chan error, 1)
		go func() {
			var err error
			l, err = s.client.Lock(t.Context(), "L", LockOptions{NoRenew: true, TTL: 30 * time.Second})
			done <- err
		}()
		answer := func(op codec.Opcode, after time.Duration, reply ...any) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			sent := s.take()
			if len(sent) != 1 || sent[0].op != op {
				t.Fatalf("the client has sent %d requests, want one %v", len(sent), op)
			}
			for _, v := range reply {
				sent[0].reply, _ = govalue.Append(sent[0].reply, v)
			}
			s.complete(sent[0])
			synctest.Wait()
		}
		answer(codec.OpLock, time.Minute, 7)
		answer(codec.OpLockHolders, time.Second, [][]uint64{{8, 29_000}}, 0) // another owner has it
		answer(codec.OpLock, time.Minute, 9)
		answer(codec.OpLockHolders, time.Second, [][]uint64{{9, 1_002}}, 0) // what is left has passed meanwhile
		answer(codec.OpLock, time.Minute, 10)
		answer(codec.OpLockHolders, time.Second, [][]uint64{{10, 12_002}}, 0)
		if err := <-done; err != nil || l.Fence() != 10 {
			t.Fatal(l, err)
		}
		time.Sleep(11*time.Second - 1) // the holders were asked for a second before
		if isLost(l) {
			t.Error("lost before the lease has ended")
		}
		time.Sleep(time.Nanosecond)
		if !isLost(l) {
			t.Error("the lease has ended and is not lost")
		}
	})
}
