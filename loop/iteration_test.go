package loop

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop/engine"
)

// TestBusyIterations: four read events make an iteration busy, and two keep the next one busy.
func TestBusyIterations(t *testing.T) {
	l := &eventLoop{srv: &Server{}, exec: &engine.Executor{}}
	for i, step := range []struct {
		events int
		busy   bool
	}{{3, false}, {busyEvents, true}, {2, true}, {2, true}, {1, false}, {2, false}} {
		l.events = step.events
		if err := l.Run(t.Context()); err != nil || l.busy != step.busy {
			t.Errorf("iteration %d, %d events: busy is %v, want %v; %v", i+1, step.events, l.busy, step.busy, err)
		}
	}
}

// TestRepliesOfAnIteration: when many connections are busy at once, replies wait for the end of the
// iteration. Each client gets all of its replies, in order, even if it closes its side right after
// its requests.
func TestRepliesOfAnIteration(t *testing.T) {
	const clients, rounds, pipeline = 40, 25, 8
	srv := startServer(t, func(cfg *Config) { cfg.EventLoops = 1 })
	admin := dial(t, srv)
	admin.ok(codec.OpCreateDict, "t", true)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range clients {
		w := dial(t, srv)
		wg.Go(func() {
			<-start
			for r := range rounds {
				var out []byte
				for p := range pipeline {
					out = codec.AppendRequest(out, &codec.Request{
						ID: uint32(1000*r + p + 1), Op: codec.OpDictSetDefault,
						Args: encodeArgs(t, "t", fmt.Sprint(g, r, p), 1000*g+p),
					})
				}
				if _, err := w.conn.Write(out); err != nil {
					t.Error(err)
					return
				}
				if last := r == rounds-1; last {
					_ = w.conn.(interface{ CloseWrite() error }).CloseWrite()
				}
				for p := range pipeline {
					reply, err := w.reply()
					if want := string(
						encodeArgs(t, 1000*g+p),
					); err != nil || reply.ID != uint32(1000*r+p+1) ||
						string(reply.Body) != want {
						t.Errorf(
							"client %d, round %d, request %d: got reply %d, %x, %v",
							g,
							r,
							p,
							reply.ID,
							reply.Body,
							err,
						)
						return
					}
				}
			}
			if err := w.read(); !errors.Is(err, io.EOF) && !errors.Is(err, secure.ErrCut) {
				t.Errorf("client %d: after the last reply: %v", g, err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// TestPacedReplyInAnIteration: a reply of CyberDB's wire that is sent in pieces comes between the
// read events of an iteration. It is complete, and so are the deferred replies of the others.
func TestPacedReplyInAnIteration(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(func(cfg *Config) { cfg.EventLoops = 1 }))
	connect := func() *wire {
		w, err := tryDial(t, srv, keyOf(t, legacyPassword))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	large := strings.Repeat("x", 100<<10)
	connect().ok(codec.OpCreateDict, "d", false, "large", large, "small", 1)
	var stop atomic.Bool
	var natives sync.WaitGroup
	for range 8 {
		w := connect()
		natives.Go(func() {
			for !stop.Load() {
				w.write(w.request(codec.OpDictGet, "d", "small"))
				if reply, err := w.reply(); err != nil || reply.ID != w.id || string(reply.Body) != "\x01" {
					t.Errorf("a native client: %v, %d bytes, %v", reply.Status, len(reply.Body), err)
					return
				}
			}
		})
	}
	for range 30 {
		c := dialLegacy(t, srv)
		if got := c.done("/cyberdict/getitem", "table_name", "d", "key", "large"); got != large {
			t.Fatal("another value")
		}
		_ = c.Close()
	}
	stop.Store(true)
	natives.Wait()
}

// TestStopAnswersWhatArrived: a request that is read while an earlier one of its connection is
// deferred is answered, although the server stops.
func TestStopAnswersWhatArrived(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) { cfg.EventLoops = 1 })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	release := holdLoop(t, srv)
	first := w.request(codec.OpDictSetDefault, "d", "a", "a")
	if c, ok := w.conn.(*recordConn); ok {
		var err error
		if first, err = c.seal.Seal(nil, first); err != nil {
			t.Fatal(err)
		}
	}
	queued := make(chan struct{})
	srv.sessions.each(func(s *session) {
		_ = s.conn.EventLoop().Execute(t.Context(), runnable(func() {
			s.loop.busy, s.loop.posted = true, true // its end comes after the next events
			s.readEvent(first)
			for n := 0; n == 0; time.Sleep(time.Millisecond) {
				n, _ = unix.IoctlGetInt(s.conn.Fd(), unix.SIOCINQ)
			}
			srv.draining.Store(true)
			close(queued)
		}))
	})
	release()
	w.write(w.request(codec.OpDictSetDefault, "d", "b", "b"))
	<-queued
	for _, want := range []string{"a", "b"} {
		reply, err := w.reply()
		if err != nil || fmt.Sprint(decodeAll(t, reply.Body)...) != want {
			t.Fatalf("the reply to %q: %v, %v", want, reply.Status, err)
		}
	}
}
