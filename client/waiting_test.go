package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// waitingCalls are the calls that wait on the server: what grants them, and the request that undoes
// a grant that comes too late.
var waitingCalls = []struct {
	name  string
	call  func(ctx context.Context, c *Client) error
	grant []any // nil: the encoding of nothing
	undo  string
	// index of the argument of both requests that must be the same, or -1
	same [2]int
	args string // of the request that undoes
}{
	{
		"Lock", func(ctx context.Context, c *Client) error {
			_, err := c.Lock(ctx, "L", LockOptions{})
			return err
		}, []any{7}, "UNLOCK", [2]int{1, 1}, "",
	},
	{
		"Take", func(ctx context.Context, c *Client) error {
			_, _, err := ListOf[string](c, "q").Take(ctx, time.Minute, Forever)
			return err
		}, []any{7, 1, "job"}, "LIST NACK", [2]int{-1, -1}, "[q 7 <nil>]",
	},
	{
		"PopLeftWait", func(ctx context.Context, c *Client) error {
			_, err := ListOf[string](c, "q").PopLeftWait(ctx, Forever)
			return err
		}, []any{"job"}, "LIST APPEND LEFT", [2]int{-1, -1}, "[q job]",
	},
	{
		"PopWait", func(ctx context.Context, c *Client) error {
			_, err := ListOf[string](c, "q").PopWait(ctx, Forever)
			return err
		}, []any{"job"}, "LIST APPEND", [2]int{-1, -1}, "[q job]",
	},
	{
		"GetOrCompute", func(ctx context.Context, c *Client) error {
			_, err := DictOf[string, int](c, "d").GetOrCompute(ctx, "k", ComputeOptions{}, nil)
			return err
		}, []any{computeAbsent, 9}, "COMPUTED", [2]int{2, 2}, "",
	},
	{
		"GetOrCompute of a stale value", func(ctx context.Context, c *Client) error {
			_, err := DictOf[string, int](c, "d").GetOrCompute(ctx, "k", ComputeOptions{}, nil)
			return err
		}, []any{computeRenew, 9, 1}, "COMPUTED", [2]int{2, 2}, "",
	},
	{
		"Subscribe", func(ctx context.Context, c *Client) error {
			_, err := c.Subscribe(ctx, Channels{Names: []string{"c"}})
			return err
		}, []any{3}, "UNSUBSCRIBE", [2]int{-1, -1}, "[3]",
	},
}

// encoded returns values back to back.
func encoded(t testing.TB, values ...any) (b []byte) {
	t.Helper()
	for _, v := range values {
		var err error
		if b, err = govalue.Append(b, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// seen is a request that a peer got.
type seen struct {
	id   uint32
	op   string
	args []any
}

// recorder keeps the requests that a peer gets.
type recorder struct {
	mu   sync.Mutex
	seen []seen
}

func (r *recorder) add(req codec.Request) {
	s := seen{id: req.ID, op: req.Op.String()}
	for _, arg := range split(bytes.Clone(req.Args)) {
		v, _, _ := govalue.Decode(arg)
		s.args = append(s.args, v)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
}

// await returns the first n requests of the operation.
func (r *recorder) await(t *testing.T, op string, n int) (all []seen) {
	t.Helper()
	waitUntil(t, fmt.Sprintf("%d requests %s", n, op), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		all = all[:0]
		for _, s := range r.seen {
			if s.op == op {
				all = append(all, s)
			}
		}
		return len(all) >= n
	})
	return all
}

// ops returns the operations so far, without pings.
func (r *recorder) ops() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seen {
		if s.op != "PING" {
			all = append(all, s.op)
		}
	}
	return all
}

// TestLateGrantsAreUndone cancels calls that wait. The peer grants each before it gets the CANCEL:
// the client gives back what nobody waits for any more.
func TestLateGrantsAreUndone(t *testing.T) {
	for _, test := range waitingCalls {
		t.Run(test.name, func(t *testing.T) {
			p, r := startPeer(t), &recorder{}
			var waiting uint32
			p.answer = func(_ *peer, req codec.Request) []byte {
				r.add(req)
				switch req.Op {
				case codec.OpCancel:
					return append(ok(waiting, encoded(t, test.grant...)), ok(req.ID, encoded(t, false))...)
				case codec.OpLock, codec.OpListTake, codec.OpListPop, codec.OpListPopLeft, codec.OpDictGetOrCompute,
					codec.OpSubscribe:
					waiting = req.ID
					return nil
				}
				return ok(req.ID, nil)
			}
			c := dialPeer(t, p, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- test.call(ctx, c) }()
			waitUntil(t, "the request", func() bool { return len(r.ops()) == 1 })
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			asked, canceled, undone := r.seen[0], r.await(t, "CANCEL", 1)[0], r.await(t, test.undo, 1)[0]
			if canceled.args[0] != int64(asked.id) {
				t.Errorf("CANCEL names %v, the request is %d", canceled.args, asked.id)
			}
			switch {
			case test.same[0] >= 0 && !bytes.Equal(asked.args[test.same[0]].([]byte), undone.args[test.same[1]].([]byte)):
				t.Errorf("the owner was %x, that of %s is %x", asked.args, test.undo, undone.args)
			case test.same[0] < 0 && fmt.Sprint(undone.args) != test.args:
				t.Errorf("%s%v, want %s", test.undo, undone.args, test.args)
			}
		})
	}
}

// TestCanceledWaits cancels calls that wait before they are granted. There is nothing to undo.
func TestCanceledWaits(t *testing.T) {
	for _, test := range waitingCalls {
		p, r := startPeer(t), &recorder{}
		var waiting uint32
		p.answer = func(_ *peer, req codec.Request) []byte {
			r.add(req)
			switch req.Op {
			case codec.OpCancel:
				end := failure(waiting, &codec.Error{Status: codec.StatusCanceled, Message: "canceled"})
				return append(end, ok(req.ID, encoded(t, true))...)
			case codec.OpPing:
				return ok(req.ID, nil)
			}
			waiting = req.ID
			return nil
		}
		c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- test.call(ctx, c) }()
		waitUntil(t, "the request", func() bool { return len(r.ops()) == 1 })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", test.name, err)
		}
		r.await(t, "CANCEL", 1)
		if err := c.Ping(t.Context()); err != nil { // after the replies to the others
			t.Error(err)
		}
		if ops := r.ops(); len(ops) != 2 {
			t.Errorf("%s: the peer got %v", test.name, ops)
		}
		cn := c.slots[0].conn.Load()
		cn.mu.Lock()
		if n := cn.outstandingLocked(); n != 0 {
			t.Errorf("%s: %d requests are outstanding", test.name, n)
		}
		cn.mu.Unlock()
	}
}

// TestWaitsAreAskedAgain breaks the connection of calls that wait. They are asked again with the
// same owner, for the time that is left.
func TestWaitsAreAskedAgain(t *testing.T) {
	p, r := startPeer(t), &recorder{}
	p.answer = func(p *peer, req codec.Request) []byte {
		r.add(req)
		if req.Op == codec.OpLock && len(r.ops()) < 4 {
			time.Sleep(5 * time.Millisecond)
			for conn := range p.conns {
				_ = conn.Close()
			}
			return nil
		}
		return ok(req.ID, encoded(t, 5))
	}
	c := dialPeer(t, p, nil)
	lock, err := c.Lock(testContext(t), "L", LockOptions{Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if lock.Fence() != 5 || lock.Name() != "L" {
		t.Errorf("got %d of %s", lock.Fence(), lock.Name())
	}
	asked := r.await(t, "LOCK", 4)
	for i, s := range asked {
		if !slices.Equal(s.args[1].([]byte), lock.owner[:]) {
			t.Errorf("attempt %d: another owner", i)
		}
		if wait := s.args[3].(int64); wait > 60_000 || i > 0 && wait >= asked[i-1].args[3].(int64) {
			t.Errorf("attempt %d waits %d ms", i, wait)
		}
	}
}

// TestWaitWhosePlaceIsTakenOver loses the connection of a wait. The server executes that request
// after the one that was sent on another connection, which is canceled: it is asked again.
func TestWaitWhosePlaceIsTakenOver(t *testing.T) {
	p, r := startPeer(t), &recorder{}
	p.answer = func(p *peer, req codec.Request) []byte {
		r.add(req)
		switch len(r.ops()) {
		case 1:
			for conn := range p.conns {
				_ = conn.Close()
			}
			return nil
		case 2:
			return failure(req.ID, &codec.Error{Status: codec.StatusCanceled, Message: "its owner has asked again"})
		}
		return ok(req.ID, encoded(t, 5))
	}
	lock, err := dialPeer(t, p, nil).Lock(testContext(t), "L", LockOptions{})
	if err != nil || lock.Fence() != 5 {
		t.Fatal(lock, err)
	}
	for _, s := range r.await(t, "LOCK", 3) {
		if !bytes.Equal(s.args[1].([]byte), lock.owner[:]) {
			t.Errorf("%v has another owner", s)
		}
	}
}

// TestWaitOfALostConnectionEnds never answers, and there is no other connection: the error says
// that the request may have been applied.
func TestWaitOfALostConnectionEnds(t *testing.T) {
	p := startPeer(t)
	p.answer = func(p *peer, _ codec.Request) []byte {
		_ = p.listener.Close()
		for conn := range p.conns {
			_ = conn.Close()
		}
		return nil
	}
	c := dialPeer(t, p, func(o *Options) { o.WaitTimeout = 50 * time.Millisecond })
	_, err := c.Lock(t.Context(), "L", LockOptions{})
	if !errors.Is(err, ErrConnectionLost) || errors.Is(err, ErrUnsent) {
		t.Errorf("got %v", err)
	}
}

// TestCloseAfterALostWait closes the client while a wait that has lost its connection has no other.
// The error says both.
func TestCloseAfterALostWait(t *testing.T) {
	p := startPeer(t)
	down := make(chan struct{})
	p.answer = func(p *peer, _ codec.Request) []byte {
		_ = p.listener.Close()
		for conn := range p.conns {
			_ = conn.Close()
		}
		close(down)
		return nil
	}
	c := dialPeer(t, p, func(o *Options) { o.Conns, o.WaitTimeout = 1, time.Minute })
	done := make(chan error)
	go func() {
		_, err := c.Lock(t.Context(), "L", LockOptions{})
		done <- err
	}()
	<-down
	waitUntil(t, "the client knows", func() bool { return c.anyConn() == nil })
	waitUntil(t, "it is tried again", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.slots[0].err != nil
	})
	_ = c.Close()
	var e *Error
	err := <-done
	if !errors.Is(err, ErrConnectionLost) || !errors.Is(err, ErrClosed) || errors.Is(err, ErrUnsent) ||
		!errors.As(err, &e) || e.Op != "LOCK" {
		t.Errorf("got %v", err)
	}
}

// TestWaitingArguments checks that times and names that are out of range are refused and not sent.
func TestWaitingArguments(t *testing.T) {
	p, r := startPeer(t), &recorder{}
	p.answer = func(_ *peer, req codec.Request) []byte {
		r.add(req)
		return ok(req.ID, nil)
	}
	c, ctx := dialPeer(t, p, nil), t.Context()
	q, d := ListOf[int](c, "q"), DictOf[string, int](c, "d")
	lock := func(name string, o LockOptions) error {
		_, err := c.Lock(ctx, name, o)
		return err
	}
	take := func(lease, wait time.Duration) error {
		_, _, err := q.Take(ctx, lease, wait)
		return err
	}
	compute := func(o ComputeOptions) error {
		_, err := d.GetOrCompute(ctx, "k", o, nil)
		return err
	}
	_, tried := c.TryLock(ctx, "", LockOptions{})
	_, popped := q.PopLeftWait(ctx, -1)
	_, poppedRight := q.PopWait(ctx, -1)
	for name, err := range map[string]error{
		"TTL":              lock("L", LockOptions{TTL: -1}),
		"a long TTL":       lock("L", LockOptions{TTL: MaxTTL + 1}),
		"Wait":             lock("L", LockOptions{Wait: -1}),
		"MaxHold":          lock("L", LockOptions{MaxHold: -1}),
		"no name":          lock("", LockOptions{}),
		"a long name":      lock(strings.Repeat("x", 1025), LockOptions{}),
		"TryLock":          tried,
		"PopLeftWait":      popped,
		"PopWait":          poppedRight,
		"lease":            take(0, 0),
		"a long lease":     take(MaxTTL+1, 0),
		"wait":             take(time.Second, -1),
		"Put":              q.Put(ctx, 1, -1),
		"Nack":             q.Nack(ctx, 1, -1),
		"ExtendLease":      q.ExtendLease(ctx, 1, 0),
		"MaxDeliveries":    q.CreateWith(ctx, ListOptions{MaxDeliveries: 3}),
		"DeadLetter":       q.CreateWith(ctx, ListOptions{DeadLetter: "x"}),
		"negative":         q.Configure(ctx, ListOptions{MaxDeliveries: -1, DeadLetter: "x"}),
		"None, DeadLetter": q.Configure(ctx, ListOptions{MaxDeliveries: None, DeadLetter: "x"}),
		"compute TTL":      compute(ComputeOptions{TTL: -1}),
		"Stale":            compute(ComputeOptions{Stale: 1}),
		"a long Stale":     compute(ComputeOptions{TTL: MaxTTL, Stale: 1}),
		"compute lease":    compute(ComputeOptions{Lease: -1}),
		"IfFence":          d.Set(IfFence(ctx, "", 1), "k", 1),
	} {
		var e *Error
		if !errors.Is(err, ErrValue) || !errors.As(err, &e) || e.Op == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if sent := r.ops(); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

// TestWaitOnWire compares what requests say about waits.
func TestWaitOnWire(t *testing.T) {
	c := dialPeer(t, startPeer(t), nil)
	q := ListOf[int](c, "q")
	for wait, want := range map[time.Duration]string{
		0:                      "00",
		time.Nanosecond:        "01",
		time.Second:            "cd03e8",
		1500 * time.Nanosecond: "01",
		MaxTTL:                 "cf000002dec1f42c00",
		MaxTTL + 1:             "c0",
		Forever:                "c0",
	} {
		frame := q.popLeftWait(wait).frame
		if got := hex.EncodeToString(frame[codec.HeaderBytes+2:]); got != want {
			t.Errorf("%v: sent %s, want %s", wait, got, want)
		}
	}
}

// TestFenceFrames compares requests with a fence byte by byte.
func TestFenceFrames(t *testing.T) {
	c := dialPeer(t, startPeer(t), nil)
	d := DictOf[string, int](c, "t")
	ctx := IfFence(t.Context(), "L", 7)
	const field = "0b00 02 09 0700000000000000 4c "
	for _, test := range []struct {
		name string
		call *call
		rest string // of the frame, after the id
	}{
		{"a read", d.get("k"), "20 20 " + field + "a174a16b"},
		{"after the version", d.setIf("k", 1, 5), "21 23 0500000000000000 " + field + "a174a16b01"},
		{
			"after the time to live", d.WithTTL(time.Minute).setIf("k", 1, 5),
			"21 33 0500000000000000 60ea000000000000 " + field + "a174a16b01",
		},
	} {
		if err := errors.Join(test.call.seal(), test.call.setConditions(ctx)); err != nil {
			t.Fatal(err)
		}
		got := hex.EncodeToString(test.call.frame[8:])
		if want := strings.ReplaceAll(test.rest, " ", ""); got != want {
			t.Errorf("%s: sent %s, want %s", test.name, got, want)
		}
		if size := int(test.call.frame[0]); size != len(test.call.frame)-4 {
			t.Errorf("%s: the length says %d of %d", test.name, size, len(test.call.frame)-4)
		}
	}
}

// TestTwoFencesInOneFrame gives a request the fences of a lock and of a lease to compute.
func TestTwoFencesInOneFrame(t *testing.T) {
	d := DictOf[string, int](dialPeer(t, startPeer(t), nil), "t")
	lease := codec.Fence{Number: 9, Table: []byte("t"), Key: []byte{0xa1, 'k'}}
	for name, q := range map[string]*call{
		"plain":        d.set("k", 1),
		"other fields": d.WithTTL(time.Minute).setIf("k", 1, 5),
	} {
		before := bytes.Clone(q.frame)
		if err := errors.Join(q.addFence(&lease), q.setConditions(IfFence(t.Context(), "L", 7))); err != nil {
			t.Fatal(err)
		}
		req, _, err := codec.ParseRequest(q.frame)
		fences, failed := codec.ParseExtensions(nil, req.Extensions)
		if err != nil || failed != nil || len(fences) != 2 || fences[0].Number != 7 ||
			string(fences[0].Lock) != "L" || fences[1].Number != 9 || !bytes.Equal(fences[1].Key, lease.Key) {
			t.Errorf("%s: %+v, %v, %v", name, fences, err, failed)
		}
		codec.EndFrame(before, 0)
		if old, _, _ := codec.ParseRequest(before); !bytes.Equal(req.Args, old.Args) || req.TTL != old.TTL ||
			req.IfVersion != old.IfVersion {
			t.Errorf("%s: the rest of %+v has changed to %+v", name, old, req)
		}
	}
}

// TestFencesOfTwoLocks: no fence is dropped silently.
func TestFencesOfTwoLocks(t *testing.T) {
	p, r := startPeer(t), &recorder{}
	p.answer = func(_ *peer, req codec.Request) []byte {
		r.add(req)
		return ok(req.ID, nil)
	}
	c := dialPeer(t, p, nil)
	one := IfFence(testContext(t), "one", 1)
	for name, ctx := range map[string]context.Context{
		"another lock":      IfFence(one, "two", 2),
		"another fence":     IfFence(one, "one", 2),
		"a third time":      IfFence(IfFence(one, "two", 2), "two", 2),
		"a name of 0 bytes": IfFence(IfFence(one, "", 2), "one", 1),
	} {
		if err := c.Ping(ctx); !errors.Is(err, ErrValue) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if sent := r.ops(); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
	if err := c.Ping(IfFence(one, "one", 1)); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// TestFenceAndDeadline sends a request with both. The deadline comes first on the wire.
func TestFenceAndDeadline(t *testing.T) {
	p := startPeer(t)
	requests := make(chan codec.Request, 10)
	p.answer = func(_ *peer, req codec.Request) []byte {
		requests <- req.Clone()
		return ok(req.ID, nil)
	}
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	ctx := IfFence(testContext(t), "L", 7)
	pipe := c.Pipeline()
	d.With(pipe).Set("k", 1)
	d.With(pipe).Set("k", 2)
	items, failed := d.All(ctx)
	for range items {
		t.Error("there are no items")
	}
	if err := errors.Join(d.Set(Durable(ctx), "k", 1), pipe.Do(ctx), failed()); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		req := <-requests
		all, err := codec.ParseExtensions(nil, req.Extensions)
		if len(all) != 1 || err != nil || string(all[0].Lock) != "L" || all[0].Number != 7 || req.Deadline == 0 {
			t.Errorf("%v: %+v, %v; deadline %d", req.Op, all, err, req.Deadline)
		}
	}
}
