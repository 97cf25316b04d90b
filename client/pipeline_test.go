package client

import (
	"context"
	"errors"
	"testing"

	"cyberdb-fast/codec"
)

func TestPipelineKeepsOrder(t *testing.T) {
	ctx := testContext(t)
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	pipe := c.Pipeline()
	var gets []*Future[int]
	for i := range 1000 {
		d.With(pipe).Set("k", i)
		gets = append(gets, d.With(pipe).Get("k"))
	}
	missing := d.With(pipe).Get("absent")
	if _, err := gets[0].Result(); !errors.Is(err, ErrNotDone) {
		t.Errorf("before Do: %v", err)
	}
	if err := pipe.Do(ctx); !errors.Is(err, ErrKey) {
		t.Errorf("Do: %v", err)
	}
	for i, f := range gets {
		if v, err := f.Result(); v != i || err != nil {
			t.Fatalf("request %d: got %d, %v", i, v, err)
		}
	}
	if !errors.Is(missing.Err(), ErrKey) || pipe.Len() != 0 {
		t.Errorf("got %v, %d requests left", missing.Err(), pipe.Len())
	}
}

func TestPipelineWithBadRequestSendsNothing(t *testing.T) {
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	pipe := c.Pipeline()
	DictOf[string, int](c, "t").With(pipe).Set("k", 1)
	bad := c.Dict("t").With(pipe).Set("k", make(chan int))
	if err := pipe.Do(testContext(t)); !errors.Is(err, ErrUnsent) || !errors.Is(bad.Err(), ErrUnsent) {
		t.Fatalf("got %v, %v", err, bad.Err())
	}
	if err := c.Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	p.with(func() {
		if len(p.log) != 1 {
			t.Errorf("the server has received %v", p.log)
		}
	})
}

func TestPipelineCancelled(t *testing.T) {
	p := startPeer(t)
	arrived := make(chan struct{}, 10)
	p.answer = func(p *peer, req codec.Request) []byte {
		arrived <- struct{}{}
		if req.Op == codec.OpDictSet {
			return ok(req.ID, nil)
		}
		return nil
	}
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	pipe := c.Pipeline()
	first, second := d.With(pipe).Set("k", 1), d.With(pipe).Get("k")
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-arrived
		<-arrived
		cancel()
	}()
	err := pipe.Do(ctx)
	for _, err := range []error{err, first.Err(), second.Err()} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}
