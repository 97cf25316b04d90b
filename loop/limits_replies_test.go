package loop

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// dialSilent connects and sends nothing.
func dialSilent(t testing.TB, srv *Server) *wire {
	t.Helper()
	conn, err := net.Dial(srv.Addr().Network(), srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{TB: t, conn: conn}
}

// TestClientNeverReads: a client sends requests and never reads. Its requests wait at the soft
// limit, the server's memory stays bounded, another client is served promptly all the time, and in
// the end the first one is closed.
func TestClientNeverReads(t *testing.T) {
	t.Parallel()
	const (
		valueBytes = 1 << 20
		requests   = 500
	)
	srv := startServerProcess(t, 100, 0)
	other, deaf := srv.dial(), srv.dial()
	other.ok(codec.OpCreateDict, "d", false, "k", make([]byte, valueBytes))
	before := infoOf(other)
	for range requests {
		deaf.write(deaf.request(codec.OpDictGet, "d", "k"))
	}
	var slowest time.Duration
	var most uint64
	executed := uint64(0)
	end := time.Now().Add(3 * time.Second)
	if !testing.Short() {
		end = time.Now().Add(stalledTime + 10*time.Second)
	}
	closed := false
	pings := uint64(0)
	for time.Now().Before(end) && !closed {
		start := time.Now()
		info := infoOf(other)
		slowest = max(slowest, time.Since(start))
		pings++
		most = max(most, info.HeapBytes-min(before.HeapBytes, info.HeapBytes))
		executed = info.Requests - before.Requests - pings
		closed = info.Overrun > 0
	}
	t.Logf(
		"%d requests of %d executed; heap grew by %d MiB at most; the other client waited %v at most, closed: %v",
		executed,
		requests,
		most>>20,
		slowest,
		closed,
	)
	if executed > 100 {
		t.Errorf("%d requests of a client that reads nothing were executed", executed)
	}
	if most > 100<<20 {
		t.Errorf("the heap grew by %d bytes", most)
	}
	if slowest > 2*time.Second {
		t.Errorf("another client waited for %v", slowest)
	}
	if !closed && !testing.Short() {
		t.Error("the client that reads nothing is not closed")
	}
}

// TestSlowReader reads the replies of TestClientNeverReads with long pauses: all come, in order.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const requests = 60
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateDict, "d", false, "k", make([]byte, 1<<20))
	first := w.id + 1
	for range requests { // 60 MiB of replies: paused on the way
		w.write(w.request(codec.OpDictGet, "d", "k"))
	}
	for i := range uint32(requests) {
		reply, err := w.reply()
		if err != nil {
			t.Fatalf("reply %d: %v", i, err)
		}
		if reply.ID != first+i || reply.Status != codec.StatusOK || len(reply.Body) < 1<<20 {
			t.Fatalf("reply %d: id %d, %v, %d bytes", i, reply.ID, reply.Status, len(reply.Body))
		}
		runtime.Gosched()
	}
	w.ok(codec.OpPing)
}

// TestLargeReply asks for more at once than one frame may hold, and than may wait to be read.
func TestLargeReply(t *testing.T) {
	t.Parallel()
	const values = 5
	valueBytes := 16 << 20
	if raceEnabled {
		valueBytes = 2 << 20 // the race detector takes its time with bytes
	}
	w := dial(t, startServer(t, nil))
	w.ok(codec.OpCreateDict, "d", false)
	keys := []any{"d"}
	for i := range values {
		w.ok(codec.OpDictSet, "d", i, make([]byte, valueBytes))
		keys = append(keys, i)
	}
	for _, request := range []struct {
		op     codec.Opcode
		args   []any
		values int
	}{{codec.OpDictGetMany, keys[:4], 3}, {codec.OpDictValues, keys[:1], values}, {codec.OpDictItems, keys[:1], values}} {
		reply := w.call(request.op, request.args...)
		if reply.Status != codec.StatusOK {
			t.Fatalf("%v: %v, %d bytes", request.op, reply.Status, len(reply.Body))
		}
		whole := 0
		for _, v := range decodeAll(t, reply.Body) {
			if b, isBytes := v.([]byte); isBytes && len(b) == valueBytes {
				whole++
			}
		}
		if whole != request.values {
			t.Errorf("%v: %d values of %d", request.op, whole, request.values)
		}
	}
	if values*valueBytes > shardmap.MaxResultBytes { // what cannot be read piece by piece has a limit
		w.fails(codec.StatusTooLarge, codec.OpDictGetMany, keys...)
	}
}

// TestAnnouncedFrames: many clients announce large frames and send little of them: only what
// arrived is buffered.
func TestAnnouncedFrames(t *testing.T) {
	t.Parallel()
	const clients = 50
	srv := startServerProcess(t, 100, 0)
	other := srv.dial()
	before := infoOf(other)
	var all []*wire
	for range clients {
		w := srv.dial()
		all = append(all, w)
		frame := make([]byte, 1000)
		binary.LittleEndian.PutUint32(frame, 60<<20)
		w.write(frame)
	}
	var info Info
	within(t, testTimeout, func() error {
		if info = infoOf(other); info.Connections != clients+1 {
			return errors.New("not all are there")
		}
		return nil
	})
	if grown := int64(info.HeapBytes) - int64(before.HeapBytes); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes for %d announced frames", grown, clients)
	}
	for _, w := range all {
		_ = w.conn.Close()
	}
	other.ok(codec.OpPing)
}

// TestFrameInPieces sends a large frame in small pieces, with another client between them.
func TestFrameInPieces(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false)
	request := w.request(codec.OpDictSet, "d", "k", make([]byte, 3<<20))
	for len(request) > 0 {
		n := min(len(request), 100_000)
		w.write(request[:n])
		request = request[n:]
		other.ok(codec.OpPing)
	}
	if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
		t.Fatalf("%v, %v", reply.Status, err)
	}
	if got := w.ok(codec.OpDictGet, "d", "k"); len(got[0].([]byte)) != 3<<20 {
		t.Error("another value came back")
	}
}

// TestGracefulStop stops a server during requests, long ones too: all that have arrived are
// answered, then the connections are closed.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	const requests = 2000
	srv := startServer(t, nil)
	w, idle := dial(t, srv), dial(t, srv)
	large := []any{"large", false}
	for i := range 20_000 {
		large = append(large, i)
	}
	w.ok(codec.OpCreateList, large...)
	w.ok(codec.OpCreateDict, "d", false)
	var out []byte
	first := w.id + 1
	for i := range requests {
		switch i % 500 {
		case 7:
			out = append(out, w.request(codec.OpListSort, "large", []any{"neg", nil}, i%1000 == 7)...)
		case 8:
			out = append(out, w.request(codec.OpListAll, "large")...)
		default:
			out = append(out, w.request(codec.OpDictIncrement, "d", "k", 1)...)
		}
	}
	w.write(out)
	// The first reply shows that they are arriving; they are one write.
	reply, err := w.reply()
	if err != nil || reply.ID != first {
		t.Fatalf("reply %d, %v", reply.ID, err)
	}
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- srv.Stop(ctx)
	}()
	replies, err := w.replies(first+1, requests-1)
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range replies {
		if reply.Status != codec.StatusOK {
			t.Fatalf("reply %d: %v", i, reply.Status)
		}
	}
	for _, w := range []*wire{w, idle} {
		if err := w.read(); !errors.Is(err, io.EOF) {
			t.Errorf("after the stop: %v, %d bytes", err, len(w.in))
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", srv.Addr().String()); err == nil {
		t.Error("still listening")
	}
}
