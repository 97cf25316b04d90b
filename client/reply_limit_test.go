package client

import (
	"errors"
	"strings"
	"testing"

	"cyberdb-fast/codec"
)

// endless returns the given number of frames of a reply, none of them the last.
func endless(id uint32, parts, size int) (frames []byte) {
	for range parts {
		frames = codec.AppendReply(frames, &codec.Reply{ID: id, Flags: codec.FlagMore, Body: make([]byte, size)})
	}
	return frames
}

// TestReplyTooLarge checks that a reply beyond the limit fails only its request, and that its later
// frames are dropped.
func TestReplyTooLarge(t *testing.T) {
	p := startPeer(t)
	p.answer = func(p *peer, req codec.Request) []byte {
		switch req.Op {
		case codec.OpListAll:
			return endless(req.ID, 300, 1000)
		case codec.OpDictGet:
			return ok(req.ID, append([]byte{0xC5, 0xFF, 0xFF}, make([]byte, 0xFFFF)...))
		}
		return p.usual(req)
	}
	c := dialPeer(t, p, func(o *Options) { o.MaxReplyBytes, o.Conns = 50_000, 1 })
	ctx := testContext(t)
	for range 3 {
		if got, err := ListOf[int](c, "t").Values(ctx); !errors.Is(err, ErrReplyTooLarge) || got != nil {
			t.Fatalf("parts: got %d values, %v", len(got), err)
		}
		if _, err := DictOf[string, []byte](c, "d").Get(ctx, "k"); !errors.Is(err, ErrReplyTooLarge) {
			t.Fatalf("one frame: got %v", err)
		}
		if err := c.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplyTooLargeInPipeline checks that the other requests of the pipeline get their replies.
func TestReplyTooLargeInPipeline(t *testing.T) {
	p := startPeer(t)
	p.answer = func(p *peer, req codec.Request) []byte {
		if req.Op == codec.OpDictPopItem {
			return append(endless(req.ID, 100, 1000), ok(req.ID, nil)...)
		}
		return ok(req.ID, []byte{7})
	}
	c := dialPeer(t, p, func(o *Options) { o.MaxReplyBytes, o.Conns = 50_000, 1 })
	ctx := testContext(t)
	pipe := c.Pipeline()
	d := DictOf[string, int](c, "d").With(pipe)
	first, all, last := d.Len(), d.PopItem(), d.Len()
	if err := pipe.Do(ctx); err != nil && !errors.Is(err, ErrReplyTooLarge) {
		t.Fatal(err)
	}
	if n, err := first.Result(); n != 7 || err != nil {
		t.Errorf("first: %d, %v", n, err)
	}
	if _, err := all.Result(); !errors.Is(err, ErrReplyTooLarge) || !strings.Contains(err.Error(), "MaxReplyBytes") {
		t.Errorf("the large one: %v", err)
	}
	if n, err := last.Result(); n != 7 || err != nil {
		t.Errorf("last: %d, %v", n, err)
	}
}

// TestLongReadOfAValueWithoutEnd checks that a value that claims gigabytes fails at the maximum
// size of a value.
func TestLongReadOfAValueWithoutEnd(t *testing.T) {
	p := startPeer(t)
	p.answer = func(_ *peer, req codec.Request) []byte {
		first := codec.AppendReply(
			nil,
			&codec.Reply{ID: req.ID, Flags: codec.FlagMore, Body: []byte{0xDB, 0xFF, 0xFF, 0xFF, 0xFF}},
		)
		return append(first, endless(req.ID, 40, 1<<20)...)
	}
	elements, failed := ListOf[string](dialPeer(t, p, nil), "t").All(testContext(t))
	for range elements {
		t.Error("an element")
	}
	if err := failed(); !errors.Is(err, ErrProtocol) {
		t.Fatalf("got %v", err)
	}
}
