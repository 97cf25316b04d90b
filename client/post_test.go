package client

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// TestReleasesTryAllConnections has three connections, of which one has failed and is still in its
// slot, and one is busy.
func TestReleasesTryAllConnections(t *testing.T) {
	c, err := New(Options{Conns: 3})
	if err != nil {
		t.Fatal(err)
	}
	up := func() *conn {
		cn := queueOnly()
		cn.wakeWriter, cn.onDown = make(chan struct{}, 1), func() {}
		return cn
	}
	failed, busy, good := up(), up(), up()
	failed.err = errors.New("failed")
	busy.pending = make([]byte, 2*maxPendingBytes+1)
	for i, cn := range []*conn{failed, busy, good} {
		c.slots[i].conn.Store(cn)
	}
	const releases = 50
	for range releases {
		if err := c.post(c.write(codec.OpUnlock, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := good.outstandingLocked(); n != releases {
		t.Errorf("%d of %d releases were sent", n, releases)
	}
	c.slots[2].conn.Store(nil)
	if err := c.post(c.write(codec.OpUnlock, nil)); !errors.Is(err, errDown) && !errors.Is(err, errBusy) {
		t.Errorf("got %v", err)
	}
}

// TestElementThatCannotBePutBack pops an element of another type when there is no connection to put
// it back: the error says that it is lost.
func TestElementThatCannotBePutBack(t *testing.T) {
	c := newFakeServer(t).client
	c.slots[0].conn.Store(nil)
	q := c.write(codec.OpListPop, nil)
	q.reply = encoded(t, "text")
	_, err := ListOf[int](c, "l").decodePopped(codec.OpListAppend)(q)
	if !errors.Is(err, govalue.ErrWrongType) || !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
}

// TestUnlockThatIsNotAnswered ends a context before the reply comes. The server does not learn its
// deadline, and gets the release once more, in case that the first was not sent.
func TestUnlockThatIsNotAnswered(t *testing.T) {
	p, r := startPeer(t), &recorder{}
	p.answer = func(_ *peer, req codec.Request) []byte {
		r.add(req)
		switch {
		case req.Op == codec.OpLock:
			return ok(req.ID, encoded(t, 7))
		case req.Flags&codec.FlagDeadline != 0:
			t.Errorf("%v has a deadline", req.Op)
		}
		return nil
	}
	lock, err := dialPeer(t, p, nil).Lock(t.Context(), "L", LockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan error)
	go func() { done <- lock.Unlock(ctx) }()
	r.await(t, "UNLOCK", 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, release := range r.await(t, "UNLOCK", 2) {
		if !bytes.Equal(release.args[1].([]byte), lock.owner[:]) {
			t.Errorf("of another owner: %v", release)
		}
	}
}

// owned are the waits whose grants can be given back without knowing them.
var owned = []struct {
	name    string
	wait    codec.Opcode
	release string
	call    func(ctx context.Context, c *Client) error
	request func(c *Client) *call
}{
	{"Lock", codec.OpLock, "UNLOCK", func(ctx context.Context, c *Client) error {
		_, err := c.Lock(ctx, "L", LockOptions{})
		return err
	}, func(c *Client) *call {
		l := &Lock{lease: lease{client: c, ttl: time.Second}, name: "L"}
		return l.request(Forever, 1)
	}},
	{"GetOrCompute", codec.OpDictGetOrCompute, "COMPUTED", func(ctx context.Context, c *Client) error {
		_, err := DictOf[string, string](c, "d").GetOrCompute(ctx, "k", ComputeOptions{}, nil)
		return err
	}, func(c *Client) *call {
		computed, _ := newComputation(DictOf[string, string](c, "d"), "k", ComputeOptions{})
		return computed.request(Forever)
	}},
}

// TestLostGrantsAreGivenBack breaks the connection of calls that wait, and cancels them when they
// have asked again: the first request may have been granted.
func TestLostGrantsAreGivenBack(t *testing.T) {
	for _, test := range owned {
		p, r := startPeer(t), &recorder{}
		var waiting uint32
		p.answer = func(p *peer, req codec.Request) []byte {
			r.add(req)
			switch {
			case req.Op == test.wait && len(r.ops()) == 1:
				for conn := range p.conns {
					_ = conn.Close()
				}
				return nil
			case req.Op == test.wait:
				waiting = req.ID
				return nil
			case req.Op == codec.OpCancel:
				end := failure(waiting, &codec.Error{Status: codec.StatusCanceled, Message: "canceled"})
				return append(end, ok(req.ID, encoded(t, true))...)
			}
			return ok(req.ID, encoded(t, true))
		}
		ctx, cancel := context.WithCancel(testContext(t))
		done := make(chan error)
		c := dialPeer(t, p, nil)
		go func() { done <- test.call(ctx, c) }()
		asked := r.await(t, test.wait.String(), 2)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", test.name, err)
		}
		release := r.await(t, test.release, 1)[0]
		if n := len(release.args); !slices.EqualFunc(release.args, asked[0].args[:n], reflect.DeepEqual) {
			t.Errorf("%s: %v releases what another than %v was granted", test.name, release, asked[0])
		}
	}
}

// TestLostRepliesOfCanceledWaits loses the connection of a wait after its caller has gone. What it
// was granted is given back on another connection.
func TestLostRepliesOfCanceledWaits(t *testing.T) {
	for _, test := range owned {
		s := newFakeServer(t)
		q := test.request(s.client)
		q.lost = ErrConnectionLost
		down := queueOnly()
		down.err = ErrConnectionLost
		q.late(down, q)
		if req, _, err := codec.ParseRequest(s.pending); err != nil || req.Op.String() != test.release {
			t.Errorf("%s: sent %v, %v", test.name, req.Op, err)
		}
	}
}

// TestLargeReplyToAComputation grants the right to compute with a stale value that is larger than
// the client accepts: the right is given back.
func TestLargeReplyToAComputation(t *testing.T) {
	p, r := startPeer(t), &recorder{}
	p.answer = func(_ *peer, req codec.Request) []byte {
		r.add(req)
		return ok(req.ID, encoded(t, computeRenew, 9, make([]byte, 100)))
	}
	c := dialPeer(t, p, func(o *Options) { o.MaxReplyBytes = 50 })
	_, err := DictOf[string, []byte](c, "d").GetOrCompute(testContext(t), "k", ComputeOptions{}, nil)
	if !errors.Is(err, ErrReplyTooLarge) {
		t.Errorf("got %v", err)
	}
	r.await(t, "COMPUTED", 1)
}

// TestCancelIsSentHoweverMuchIsPending gives up a wait on a connection that takes no other request.
func TestCancelIsSentHoweverMuchIsPending(t *testing.T) {
	s := newFakeServer(t)
	q := s.client.write(codec.OpReceive, nil)
	q.late = func(*conn, *call) {}
	if err := s.client.post(q); err != nil {
		t.Fatal(err)
	}
	s.pending = make([]byte, 2*maxPendingBytes+1)
	before := len(s.pending)
	if !s.giveUp(q) {
		t.Error("the reply is not due")
	}
	if req, _, err := codec.ParseRequest(s.pending[before:]); err != nil || req.Op != codec.OpCancel {
		t.Errorf("sent %v, %v", req.Op, err)
	}
}
