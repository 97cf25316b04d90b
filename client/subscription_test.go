package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// channelPeer is a peer that has subscriptions. Its replies to RECEIVE are what a test sends.
type channelPeer struct {
	*peer
	recorder
	replies chan []byte // bodies of RECEIVE

	waiting uint32 // the RECEIVE without a reply; guarded by the peer's mu
}

func startChannelPeer(t *testing.T) *channelPeer {
	p := &channelPeer{peer: startPeer(t), replies: make(chan []byte, 100)}
	p.answer = func(_ *peer, req codec.Request) []byte {
		p.add(req)
		switch req.Op {
		case codec.OpSubscribe:
			return ok(req.ID, encoded(t, len(p.ops())))
		case codec.OpReceive:
			select {
			case body := <-p.replies:
				return ok(req.ID, body)
			default:
				p.waiting = req.ID
				return nil
			}
		case codec.OpCancel, codec.OpUnsubscribe:
			out := ok(req.ID, encoded(t, p.waiting != 0))
			if p.waiting != 0 {
				end := &codec.Error{Status: codec.StatusCanceled, Message: "canceled"}
				out, p.waiting = append(failure(p.waiting, end), out...), 0
			}
			return out
		}
		return ok(req.ID, nil)
	}
	return p
}

func receive[T any](t *testing.T, s *Subscription[T]) Message[T] {
	t.Helper()
	m, err := s.Receive(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSubscription(t *testing.T) {
	p := startChannelPeer(t)
	c := dialPeer(t, p.peer, nil)
	sub, err := SubscribeTo[int](testContext(t), c, Channels{Names: []string{"a", "b"}, Prefixes: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	p.replies <- encoded(t, 0, "a", 1, "x1", 2)
	p.replies <- encoded(t, 3)
	p.replies <- encoded(t, 4, "b", "text", "b", 3)
	for _, want := range []Message[int]{{Channel: "a", Value: 1}, {Channel: "x1", Value: 2}} {
		if m := receive(t, sub); m != want {
			t.Errorf("got %+v, want %+v", m, want)
		}
	}
	m, err := sub.Receive(t.Context())
	if !errors.Is(err, govalue.ErrWrongType) || !strings.Contains(err.Error(), `"b"`) || m.Missed != 7 {
		t.Errorf("a text as int: %+v, %v", m, err)
	}
	if m, want := receive(t, sub), (Message[int]{Channel: "b", Value: 3}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if n, gaps := sub.Missed(); n != 7 || gaps != 0 {
		t.Errorf("missed %d, %d gaps", n, gaps)
	}
	if s := p.await(t, "SUBSCRIBE", 1)[0]; fmt.Sprint(s.args) != "[[a b] [x]]" {
		t.Errorf("subscribed to %v", s.args)
	}
	if s := p.await(t, "RECEIVE", 1)[0]; fmt.Sprint(s.args) != "[1 256 <nil>]" {
		t.Errorf("received %v", s.args)
	}
}

// TestSubscriptionIsMadeAgain loses the connection while Receive waits. The next message says so.
func TestSubscriptionIsMadeAgain(t *testing.T) {
	p := startChannelPeer(t)
	c := dialPeer(t, p.peer, nil)
	sub, err := c.Subscribe(testContext(t), Channels{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan Message[any], 1)
	go func() { got <- receive(t, sub) }()
	p.await(t, "RECEIVE", 1)
	p.kill()
	p.await(t, "RECEIVE", 2)
	p.with(func() { p.waiting = 0 })
	p.kill()
	p.replies <- encoded(t, 0, "a", 1, "a", 2)
	if m := <-got; !m.Gap || m.Value != int64(1) {
		t.Errorf("got %+v", m)
	}
	if m := receive(t, sub); m.Gap || m.Value != int64(2) {
		t.Errorf("got %+v", m)
	}
	if n, gaps := sub.Missed(); n != 0 || gaps != 2 {
		t.Errorf("missed %d, %d gaps", n, gaps)
	}
	p.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := sub.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a server: %v", err)
	}
}

// TestCanceledReceiveMissesNothing ends a Receive whose messages are on the way: the Receive that
// waits then gets them.
func TestCanceledReceiveMissesNothing(t *testing.T) {
	p := startChannelPeer(t)
	c := dialPeer(t, p.peer, func(o *Options) { o.Conns = 1 })
	sub, err := c.Subscribe(testContext(t), Channels{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	var late uint32
	p.with(func() {
		usual := p.answer
		p.answer = func(peer *peer, req codec.Request) []byte {
			if req.Op == codec.OpCancel && late == 0 { // the first one comes when the grant is on the way
				late, p.waiting = p.waiting, 0
			}
			out := usual(peer, req)
			if req.Op == codec.OpReceive && late != 0 && len(p.await(t, "RECEIVE", 1)) == 2 {
				out = append(out, ok(late, encoded(t, 1, "a", "late"))...)
			}
			return out
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := sub.Receive(ctx)
		failed <- err
	}()
	p.await(t, "RECEIVE", 1)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if m := receive(t, sub); m.Value != "late" || m.Missed != 1 {
		t.Errorf("got %+v", m)
	}
}

// TestCloseOfSubscription closes it while one goroutine waits on the server, and one behind it.
func TestCloseOfSubscription(t *testing.T) {
	p := startChannelPeer(t)
	c := dialPeer(t, p.peer, nil)
	sub, err := c.Subscribe(testContext(t), Channels{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			messages, failed := sub.Messages(testContext(t))
			for m := range messages {
				t.Errorf("got %+v", m)
			}
			if err := failed(); err != nil {
				t.Error(err)
			}
		})
	}
	p.await(t, "RECEIVE", 1)
	if err := errors.Join(sub.Close(), sub.Close()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	p.await(t, "UNSUBSCRIBE", 1)
	if _, err := sub.Receive(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	other, err := c.Subscribe(testContext(t), Channels{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if _, err := other.Receive(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("of a closed client: got %v", err)
	}
}

// TestCloseWhileItIsMadeAgain closes a subscription whose connection was lost, while the server
// does not answer SUBSCRIBE: Receive returns, and a subscription that is made meanwhile is ended.
func TestCloseWhileItIsMadeAgain(t *testing.T) {
	p := startChannelPeer(t)
	var pending uint32 // the SUBSCRIBE without a reply
	p.with(func() {
		usual := p.answer
		p.answer = func(peer *peer, req codec.Request) []byte {
			out := usual(peer, req)
			switch {
			case req.Op == codec.OpSubscribe && len(p.await(t, "SUBSCRIBE", 1)) == 2:
				pending, out = req.ID, nil
			case req.Op == codec.OpCancel && req.ID != 0 && pending != 0:
				out = append(ok(pending, encoded(t, 77)), ok(req.ID, encoded(t, false))...)
			}
			return out
		}
	})
	c := dialPeer(t, p.peer, nil)
	sub, err := c.Subscribe(testContext(t), Channels{Names: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := sub.Receive(t.Context())
		failed <- err
	}()
	p.await(t, "RECEIVE", 1)
	p.with(func() { p.waiting = 0 })
	p.kill()
	p.await(t, "SUBSCRIBE", 2)
	_ = sub.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	case <-testContext(t).Done():
		t.Fatal("Receive has not returned")
	}
	if ended := p.await(t, "UNSUBSCRIBE", 1)[0]; fmt.Sprint(ended.args) != "[77]" {
		t.Errorf("ended the subscription %v", ended.args)
	}
}

// TestMessagesAfterClose lets a reply come after Close: a subscription that is closed keeps
// nothing.
func TestMessagesAfterClose(t *testing.T) {
	s := &Subscription[string]{}
	_ = s.Close()
	if _, err := s.keep(&call{reply: encoded(t, 3, "channel", "message")}); err != nil {
		t.Error(err)
	}
	if len(s.received) > 0 || s.total > 0 {
		t.Errorf("kept %v, missed %d", s.received, s.total)
	}
}
