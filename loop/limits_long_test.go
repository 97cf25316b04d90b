package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// largeTables makes a list "l" and a dict "d" whose reads and writes as a whole run in the
// background.
func largeTables(w *wire, size int) {
	w.Helper()
	list, dict := []any{"l", false}, []any{"d", false}
	for i := range size {
		list = append(list, fmt.Sprint("element ", i))
		dict = append(dict, i, fmt.Sprint("value ", i))
	}
	w.ok(codec.OpCreateList, list...)
	w.ok(codec.OpCreateDict, dict...)
}

// TestManyLongReads asks on one connection for more long reads than it may have at once, with
// writes between them: each reply shows the state at its place in the pipeline.
func TestManyLongReads(t *testing.T) {
	t.Parallel()
	const reads = 8 * maxStreams
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	const size = 10_000
	largeTables(w, size)
	var ops []conformance.Operation
	for range reads {
		ops = append(ops,
			conformance.Operation{Op: codec.OpListAppend, Args: [][]byte{encodeArgs(t, "l"), encodeArgs(t, "x")}},
			conformance.Operation{Op: codec.OpListAll, Args: [][]byte{encodeArgs(t, "l")}},
			conformance.Operation{Op: codec.OpListCount, Args: [][]byte{encodeArgs(t, "l"), encodeArgs(t, "x")}},
		)
	}
	replies := pipelined(w, ops)
	bytesOf := func(i int) int { return len(replies[3*i+1].Body) }
	for i := range reads {
		for _, reply := range replies[3*i : 3*i+3] {
			if reply.Status != codec.StatusOK {
				t.Fatalf("read %d: %v", i, reply.Status)
			}
		}
		if grown := bytesOf(i) - bytesOf(0); grown != 2*i { // "x" takes two bytes
			t.Errorf("read %d holds %d bytes more than the first, want %d", i, grown, 2*i)
		}
		if got := decodeAll(t, replies[3*i+2].Body); got[0] != int64(i+1) {
			t.Errorf("count %d is %v", i, got)
		}
	}
	other.ok(codec.OpPing)
	noneLeft(t, srv, 2)
}

// noneLeft waits until no request is in progress and there are so many connections.
func noneLeft(t *testing.T, srv *Server, connections int64) {
	t.Helper()
	within(t, testTimeout, func() error {
		info := srv.Info()
		if streams := srv.streams.Load(); info.Connections != connections || info.LongRequests != 0 ||
			info.Views != 0 ||
			streams != 0 {
			return fmt.Errorf(
				"%d connections, %d long requests, %d views, %d streams",
				info.Connections,
				info.LongRequests,
				info.Views,
				streams,
			)
		}
		return nil
	})
}

// TestGoneClients closes connections during long requests: they leave nothing behind, and the
// tables stay unlocked.
func TestGoneClients(t *testing.T) {
	t.Parallel()
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	srv := startServer(t, nil)
	other := dial(t, srv)
	largeTables(other, 10_000)
	for round := range rounds {
		w := dial(t, srv)
		var out []byte
		for i := range 6 {
			switch (round + i) % 6 {
			case 0:
				out = append(out, w.request(codec.OpListSort, "l", []any{"len", nil}, round%2 == 0)...)
			case 1:
				out = append(out, w.request(codec.OpListAll, "l")...)
			case 2:
				out = append(out, w.request(codec.OpDictItems, "d")...)
			case 3:
				out = append(out, w.request(codec.OpListReverse, "l")...)
			case 4:
				out = append(out, w.request(codec.OpListIndex, "l", "absent")...)
			case 5:
				out = append(out, w.request(codec.OpListAppend, "l", "x")...)
			}
		}
		w.write(out)
		if round%2 == 0 {
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
		}
		_ = w.conn.Close()
		other.ok(codec.OpListGet, "l", 0)
	}
	noneLeft(t, srv, 1)
	other.ok(codec.OpListSort, "l", nil, false)
	if n := srv.Info().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestStopNotDrained stops a server whose client does not read: Stop returns in time, with an
// error.
func TestStopNotDrained(t *testing.T) {
	t.Parallel()
	cfg := Config{
		Addr:     "127.0.0.1:0",
		MaxConns: 10,
		Password: testPassword,
		KDF:      testKDF,
		Logger:   slog.New(slog.DiscardHandler),
	}
	srv, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	deaf := dial(t, srv)
	deaf.ok(codec.OpCreateDict, "d", false, "k", make([]byte, 1<<20))
	for range 40 {
		deaf.write(deaf.request(codec.OpDictGet, "d", "k"))
	}
	if err := deaf.read(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if err := srv.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Stop took %v", took)
	}
	cfg.Addr = srv.Addr().String() // its address is free again
	again, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dial(t, again).ok(codec.OpPing)
	if err := again.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
