package client

import (
	"errors"
	"testing"

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
