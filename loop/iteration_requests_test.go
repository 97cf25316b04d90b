package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// TestBatch: requests that arrive on many connections in one iteration are executed together, and
// each connection gets the same replies as alone, whatever the others do: break the protocol,
// panic, end, are reset, send half a request or ask for much.
func TestBatch(t *testing.T) {
	srv := startServer(t, func(cfg *Config) {
		cfg.EventLoops = 1
		cfg.Commands = commandsWith(
			map[codec.Opcode]engine.Command{opPanics: {Run: func(*engine.Executor) error { panic("defect") }}},
		)
	})
	admin := dial(t, srv)
	admin.ok(codec.OpCreateDict, "d", false)
	admin.ok(codec.OpCreateList, "l", false)
	long := []any{"l"}
	for i := range 2 * shardmap.InlineElements {
		long = append(long, i)
	}
	admin.ok(codec.OpListExtend, long...)

	ends := func(w *wire, how error) {
		w.Helper()
		if err := w.read(); !errors.Is(err, how) && !errors.Is(err, secure.ErrCut) {
			w.Errorf("after the last reply: %v", err)
		}
	}
	answers := func(w *wire, want ...any) {
		w.Helper()
		for i, value := range want {
			reply, err := w.reply()
			if err != nil || reply.Status != codec.StatusOK ||
				fmt.Sprint(decodeAll(w, reply.Body)...) != fmt.Sprint(value) {
				w.Errorf("reply %d: %v %x, %v", i, reply.Status, reply.Body, err)
			}
		}
	}
	kinds := []struct {
		name string
		send func(w *wire, key string) []byte
		then func(w *wire) // directly after the request
		see  func(w *wire, key string)
	}{
		{name: "one request", see: func(w *wire, key string) { answers(w, key); w.ok(codec.OpPing) }},
		{
			name: "three requests",
			send: func(w *wire, key string) []byte {
				return append(
					w.request(codec.OpDictIncrement, "d", key+"n", 2),
					w.request(codec.OpDictIncrement, "d", key+"n", 3)...)
			},
			see: func(w *wire, key string) { answers(w, key, 2, 5); w.ok(codec.OpPing) },
		},
		{
			name: "a long read",
			send: func(w *wire, _ string) []byte { return w.request(codec.OpListIndex, "l", 2*shardmap.InlineElements-1) },
			see:  func(w *wire, key string) { answers(w, key, 2*shardmap.InlineElements-1); w.ok(codec.OpPing) },
		},
		{
			name: "its last request",
			then: func(w *wire) { _ = w.conn.(interface{ CloseWrite() error }).CloseWrite() },
			see:  func(w *wire, key string) { answers(w, key); ends(w, io.EOF) },
		},
		{
			name: "a panic",
			send: func(w *wire, _ string) []byte { return append(w.request(opPanics), w.request(codec.OpPing)...) },
			see:  func(w *wire, _ string) { ends(w, io.EOF) },
		},
		{
			name: "a bad frame",
			send: func(*wire, string) []byte { return []byte{1, 0, 0, 0, 0} },
			see: func(w *wire, key string) {
				answers(w, key)
				if reply, err := w.reply(); err != nil || reply.Status != codec.StatusBadFrame {
					w.Errorf("%v, %v", reply.Status, err)
				}
				ends(w, io.EOF)
			},
		},
		{
			name: "a reset",
			then: func(w *wire) {
				for conn := w.conn; ; {
					switch c := conn.(type) {
					case *recordConn:
						conn = c.Conn
						continue
					case *net.TCPConn:
						_ = c.SetLinger(0)
					}
					_ = conn.Close()
					return
				}
			},
			see: func(*wire, string) {},
		},
		{
			name: "half a request",
			send: func(w *wire, _ string) []byte { f := w.request(codec.OpPing); return f[:len(f)-1] },
			see: func(w *wire, key string) {
				answers(w, key)
				w.write(w.request(codec.OpPing)[codec.HeaderBytes-1:])
				if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
					w.Errorf("%v, %v", reply.Status, err)
				}
			},
		},
	}

	const clients = 6 // of each kind
	const rounds = 3
	for round := range rounds {
		var all []*wire
		for range clients * len(kinds) {
			all = append(all, dial(t, srv))
		}
		// The loop is blocked while all of them send. The iterations before decide whether requests
		// are deferred.
		for range sampleInterval/len(all) + 1 {
			release := holdLoop(t, srv)
			for _, w := range all {
				w.write(w.request(codec.OpPing))
			}
			release()
			for _, w := range all {
				if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
					t.Fatal(reply.Status, err)
				}
			}
		}
		release := holdLoop(t, srv)
		for i, w := range all {
			kind, key := kinds[i%len(kinds)], fmt.Sprint(round, "-", i)
			frames := w.request(codec.OpDictSetDefault, "d", key, key)
			if kind.send != nil {
				frames = append(frames, kind.send(w, key)...)
			}
			w.write(frames)
			if kind.then != nil {
				kind.then(w)
			}
		}
		release()
		for i, w := range all {
			kind, key := kinds[i%len(kinds)], fmt.Sprint(round, "-", i)
			failed := t.Failed()
			if kind.see(w, key); t.Failed() && !failed {
				t.Fatal(kind.name)
			}
			if got := admin.ok(codec.OpDictContains, "d", key); got[0] != true && kind.name != "a reset" {
				t.Errorf("%s: the request was not executed", kind.name)
			}
		}
	}
	if n := srv.Info().Panics; n != clients*rounds {
		t.Errorf("%d panics", n)
	}
	stopServer(t, srv)
	for _, l := range srv.loops {
		if cap(l.batch.parts) < clients {
			t.Errorf("no batch had as many as %d parts: nothing was tried", clients)
		}
	}
}

// runnable is a function for an event loop to run.
type runnable func()

func (r runnable) Run(context.Context) error { r(); return nil }

// holdLoop keeps the server's one event loop from doing anything until release is called.
func holdLoop(t *testing.T, srv *Server) (release func()) {
	t.Helper()
	var loop gnet.EventLoop
	srv.sessions.each(func(s *session) { loop = s.conn.EventLoop() })
	held, free := make(chan struct{}), make(chan struct{})
	if err := loop.Execute(t.Context(), runnable(func() { close(held); <-free })); err != nil {
		t.Fatal(err)
	}
	<-held
	return func() {
		time.Sleep(20 * time.Millisecond) // what was sent has come
		close(free)
	}
}

// TestBatchOfLegacy: so are those of CyberDB's clients, plain and encrypted, together with native
// ones.
func TestBatchOfLegacy(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.EventLoops, cfg.Encrypt = 1, encrypt }))
		native, err := tryDial(t, srv, keyOf(t, legacyPassword))
		if err != nil {
			t.Fatal(err)
		}
		native.ok(codec.OpCreateDict, "d", false)
		var all []*legacyConn
		for range 20 {
			c := dialLegacy(t, srv)
			c.done("/connect")
			all = append(all, c)
		}
		for round := range 10 {
			steps := make([][][]byte, 3)
			for i := range all {
				body := request(t, "/cyberdict/setitem", "table_name", "d", "key", i, "value", 1000*round+i)
				steps[0] = append(steps[0], pickled(t, (len(body)+200+4095)/4096))
				steps[1] = append(steps[1], body)
				steps[2] = append(steps[2], pickled(t, "ready"))
			}
			for _, messages := range steps {
				release := holdLoop(t, srv)
				for i, c := range all {
					c.say(messages[i], 0)
				}
				native.write(native.request(codec.OpDictLen, "d"))
				release()
				for _, c := range all {
					if _, err := c.hear(); err != nil {
						t.Fatal(err)
					}
				}
				if reply, err := native.reply(); err != nil || reply.Status != codec.StatusOK {
					t.Fatal(reply.Status, err)
				}
			}
			for i := range all {
				if got := native.ok(codec.OpDictGet, "d", i); fmt.Sprint(got...) != fmt.Sprint(1000*round+i) {
					t.Fatalf("round %d: %d is %v", round, i, got)
				}
			}
		}
		stopServer(t, srv)
		for _, l := range srv.loops {
			if cap(l.batch.parts) < len(all)/2 {
				t.Error("no batch had as many parts: nothing was tried")
			}
		}
	}
}
