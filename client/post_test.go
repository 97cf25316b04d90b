package client

import (
	"bytes"
	"context"
	"errors"
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
