package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// longReply returns a reply of n strings, cut into frames of the given body size, and the strings.
func longReply(t testing.TB, id uint32, n, frame int) (frames []byte, texts []string) {
	t.Helper()
	var body []byte
	for i := range n {
		text := fmt.Sprint(i, strings.Repeat("x", i%40))
		texts = append(texts, text)
		var err error
		if body, err = govalue.AppendOf(body, text); err != nil {
			t.Fatal(err)
		}
	}
	for len(body) > frame {
		frames = codec.AppendReply(frames, &codec.Reply{ID: id, Flags: codec.FlagMore, Body: body[:frame]})
		body = body[frame:]
	}
	return codec.AppendReply(frames, &codec.Reply{ID: id, Body: body}), texts
}

func TestLongReadCutAnywhere(t *testing.T) {
	for frame := 1; frame < 60; frame += 3 {
		p := startPeer(t)
		var want []string
		p.answer = func(_ *peer, req codec.Request) (frames []byte) {
			frames, want = longReply(t, req.ID, 60, frame)
			return frames
		}
		l := ListOf[string](dialPeer(t, p, nil), "t")
		var got []string
		elements, failed := l.All(testContext(t))
		for i, v := range elements {
			if i != len(got) {
				t.Fatalf("index %d at place %d", i, len(got))
			}
			got = append(got, v)
		}
		if err := failed(); err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("frames of %d: got %d of %d, %v", frame, len(got), len(want), err)
		}
		if got, err := l.Values(testContext(t)); err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("frames of %d, whole: got %d of %d, %v", frame, len(got), len(want), err)
		}
	}
}

// TestLongReadComesWhileItIsSent checks that elements are available before the reply has ended, and
// that other requests are answered in between.
func TestLongReadComesWhileItIsSent(t *testing.T) {
	p := startPeer(t)
	var id uint32
	p.answer = func(_ *peer, req codec.Request) []byte {
		switch req.Op {
		case codec.OpListAll:
			id = req.ID
			return codec.AppendReply(nil, &codec.Reply{ID: id, Flags: codec.FlagMore, Body: []byte{1, 2}})
		case codec.OpListLen:
			return ok(req.ID, []byte{9})
		}
		return append(ok(req.ID, nil), ok(id, []byte{3})...)
	}
	c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
	l := ListOf[int](c, "t")
	ctx := testContext(t)
	elements, failed := l.All(ctx)
	sum := 0
	for i, v := range elements {
		sum += v
		if i == 0 {
			if n, err := l.Len(ctx); n != 9 || err != nil {
				t.Fatalf("a request in between: got %d, %v", n, err)
			}
		}
		if i == 1 {
			if err := c.Ping(ctx); err != nil { // makes the peer send the rest
				t.Fatal(err)
			}
		}
	}
	if err := failed(); err != nil || sum != 6 {
		t.Fatalf("sum %d, %v", sum, err)
	}
}

func TestLongReadLeftEarly(t *testing.T) {
	p := startPeer(t)
	p.answer = func(p *peer, req codec.Request) []byte {
		if req.Op == codec.OpListAll {
			frames, _ := longReply(t, req.ID, 1000, 100)
			return frames
		}
		return p.usual(req)
	}
	c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
	elements, failed := ListOf[string](c, "t").All(testContext(t))
	for range 3 {
		for i := range elements {
			if i == 5 {
				break
			}
		}
		if err := failed(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	cn := c.slots[0].conn.Load()
	waitUntil(t, "all ids are free", func() bool {
		cn.mu.Lock()
		defer cn.mu.Unlock()
		return cn.outstandingLocked() == 0
	})
}

func TestLongReadThatFailsHalfway(t *testing.T) {
	p := startPeer(t)
	p.answer = func(_ *peer, req codec.Request) []byte {
		first := codec.AppendReply(nil, &codec.Reply{ID: req.ID, Flags: codec.FlagMore, Body: []byte{1, 2}})
		return append(first, failure(req.ID, &codec.Error{Status: codec.StatusOverloaded, Message: "too slow"})...)
	}
	l := ListOf[int](dialPeer(t, p, nil), "t")
	elements, failed := l.All(testContext(t))
	for range elements {
	}
	if err := failed(); !errors.Is(err, ErrOverloaded) {
		t.Errorf("All: got %v", err)
	}
	if got, err := l.Values(testContext(t)); !errors.Is(err, ErrOverloaded) || got != nil {
		t.Errorf("Values: got %v, %v", got, err)
	}
}

func TestLongReadTooSlow(t *testing.T) {
	p := startPeer(t)
	p.answer = func(p *peer, req codec.Request) []byte {
		if req.Op == codec.OpPing {
			return ok(req.ID, nil)
		}
		frames, _ := longReply(t, req.ID, 1000, 500)
		return frames
	}
	c := dialPeer(t, p, func(o *Options) { o.ReadAheadBytes, o.Conns = 2000, 1 })
	ctx := testContext(t)
	elements, failed := ListOf[string](c, "t").All(ctx)
	for i := range elements {
		if i == 0 {
			if err := c.Ping(ctx); err != nil { // the peer answers it after the whole long reply
				t.Fatal(err)
			}
		}
	}
	if err := failed(); !errors.Is(err, ErrSlowReader) {
		t.Fatalf("got %v", err)
	}
}

func TestLongReadAndLostConnections(t *testing.T) {
	for _, test := range []struct {
		name  string
		first []byte // what comes before the first connection is lost
		want  error
	}{
		{"before anything came", nil, nil},
		{"after something came", []byte{1}, ErrConnectionLost},
	} {
		p := startPeer(t)
		tries := 0
		p.answer = func(p *peer, req codec.Request) []byte {
			if tries++; tries > 1 {
				return ok(req.ID, []byte{7, 8})
			}
			for conn := range p.conns {
				if test.first != nil {
					_, _ = conn.Write(
						codec.AppendReply(nil, &codec.Reply{ID: req.ID, Flags: codec.FlagMore, Body: test.first}),
					)
				}
				_ = conn.Close()
			}
			return nil
		}
		elements, failed := ListOf[int](dialPeer(t, p, func(o *Options) { o.Conns = 1 }), "t").All(testContext(t))
		for range elements {
		}
		if err := failed(); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestLongReadCancelled(t *testing.T) {
	p := startPeer(t)
	p.answer = func(_ *peer, req codec.Request) []byte {
		return codec.AppendReply(nil, &codec.Reply{ID: req.ID, Flags: codec.FlagMore, Body: []byte{1}})
	}
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	elements, failed := ListOf[int](dialPeer(t, p, nil), "t").All(ctx)
	for range elements {
		cancel()
	}
	if err := failed(); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestScan(t *testing.T) {
	p := startPeer(t)
	p.answer = func(_ *peer, req codec.Request) []byte {
		cursor := int(split(req.Args)[1][0])
		if cursor == 3 {
			return ok(req.ID, []byte{0, 3, 30})
		}
		return ok(req.ID, []byte{byte(cursor + 1), byte(cursor), byte(cursor * 10)})
	}
	items, failed := DictOf[int, int](dialPeer(t, p, nil), "t").Scan(testContext(t))
	var got []int
	for k, v := range items {
		got = append(got, k, v)
	}
	if err := failed(); err != nil || fmt.Sprint(got) != "[0 0 1 10 2 20 3 30]" {
		t.Fatalf("got %v, %v", got, err)
	}
}
