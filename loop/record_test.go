package loop

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/stats"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// statsNow returns what the event loops have recorded up to now.
func statsNow(srv *Server) *stats.Totals {
	srv.figures.mu.Lock()
	srv.figures.totals = nil
	srv.figures.mu.Unlock()
	return srv.Stats()
}

// figuresOfCommand returns what is recorded of a command; of one that was not used, nothing.
func figuresOfCommand(srv *Server, op codec.Opcode) stats.Command {
	for _, c := range statsNow(srv).Commands {
		if c.Name == op.String() {
			return c
		}
	}
	return stats.Command{}
}

// TestCommandsAreCounted: each request is counted once, with its status, its bytes and its latency,
// whichever way it has gone.
func TestCommandsAreCounted(t *testing.T) {
	t.Parallel()
	const many = 3 * shardmap.InlineElements
	elements := make([]any, many)
	for i := range elements {
		elements[i] = "element"
	}
	waits := newWaits()
	for name, c := range map[string]struct {
		op       codec.Opcode
		args     []any
		flags    codec.RequestFlags // with a deadline of 0
		status   codec.Status
		least    time.Duration // latency
		oneReply bool          // in one frame
	}{
		"on the event loop": {op: codec.OpListLen, args: []any{"l"}, oneReply: true},
		"in the background": {op: codec.OpListReverse, args: []any{"l"}, oneReply: true},
		"a stream":          {op: codec.OpListAll, args: []any{"l"}},
		"a wait":            {op: opSleep, least: waitTime * time.Millisecond, oneReply: true},
		"fails":             {op: codec.OpListPop, args: []any{"no list", -1}, status: codec.StatusNoSuchTable, oneReply: true},
		"fails in the background": {
			op: codec.OpInfo, args: []any{"no section"}, status: codec.StatusValueError, oneReply: true,
		},
		"too late": {
			op: codec.OpListLen, args: []any{"l"}, flags: codec.FlagDeadline, status: codec.StatusDeadlineExceeded,
			oneReply: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startServer(t, func(cfg *Config) { cfg.Commands = waits.commands })
			w := dial(t, srv)
			w.ok(codec.OpCreateList, append([]any{"l", false}, elements...)...)
			frame := codec.AppendRequest(nil, &codec.Request{
				ID: 7, Op: c.op, Flags: c.flags, Args: encodeArgs(t, c.args...),
			})
			const requests = 3
			replyBytes := 0
			for range requests {
				w.write(frame)
				reply, err := w.reply()
				if err != nil || reply.Status != c.status {
					t.Fatal(reply.Status, err)
				}
				replyBytes += codec.HeaderBytes + len(reply.Body)
			}
			told := figuresOfCommand(srv, c.op)
			if want := (map[string]uint64{c.status.String(): requests}); !maps.Equal(told.Statuses, want) {
				t.Errorf("statuses %v, want %v", told.Statuses, want)
			}
			if told.BytesIn != uint64(requests*len(frame)) {
				t.Errorf("%d bytes in, want %d", told.BytesIn, requests*len(frame))
			}
			if got := int(told.BytesOut); got != replyBytes && (c.oneReply || got < replyBytes) {
				t.Errorf("%d bytes out, want %d", got, replyBytes)
			}
			l := told.Latency
			if l.Count != requests || l.P50 < c.least.Microseconds()*99/100 || l.Max < l.P50*99/100 ||
				l.SumSeconds*1e6 < float64(requests*c.least.Microseconds()) || l.SumSeconds <= 0 {
				t.Errorf("latency %+v", l)
			}
			if last := l.Buckets[len(l.Buckets)-1]; last != [2]float64{60, requests} {
				t.Errorf("the last bucket is %v", last)
			}
		})
	}
}

// TestPipelineIsCounted: requests of one part are told apart, and those of all event loops are
// added.
func TestPipelineIsCounted(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	const connections, rounds = 4, 50
	dial(t, srv).ok(codec.OpCreateDict, "d", false, "k", 1)
	for range connections {
		w := dial(t, srv)
		var frames []byte
		for range rounds {
			frames = append(frames, w.request(codec.OpDictGet, "d", "k")...)
			frames = append(frames, w.request(codec.OpDictGet, "d", "absent")...)
			frames = append(frames, w.request(codec.OpDictSet, "d", "k", 2)...)
		}
		w.write(frames)
		for range 3 * rounds {
			if _, err := w.reply(); err != nil {
				t.Fatal(err)
			}
		}
	}
	const n = connections * rounds
	gets, sets := figuresOfCommand(srv, codec.OpDictGet), figuresOfCommand(srv, codec.OpDictSet)
	if want := (map[string]uint64{"OK": n, "KeyError": n}); !maps.Equal(gets.Statuses, want) {
		t.Errorf("gets %v, want %v", gets.Statuses, want)
	}
	if want := (map[string]uint64{"OK": n}); !maps.Equal(sets.Statuses, want) {
		t.Errorf("sets %v, want %v", sets.Statuses, want)
	}
	if gets.Latency.Count != 2*n || sets.Latency.Count != n {
		t.Errorf("latencies of %d gets, %d sets", gets.Latency.Count, sets.Latency.Count)
	}
	table, _ := srv.store.Lookup(&shardmap.Call{}, []byte("d"))
	want := stats.TableCounts{Requests: 3 * n, Hits: n, Misses: n}
	if got := statsNow(srv).Table(table.Tag()); got != want {
		t.Errorf("the table's counts are %+v, want %+v", got, want)
	}
}

// TestDurableLatency: the time that a reply has waited for the disk is its latency, and one that
// the disk has failed is counted as that. INFO has the times of the syncs.
func TestDurableLatency(t *testing.T) {
	t.Parallel()
	var slow, broken atomic.Bool
	errBroken := errors.New("broken")
	const wait = 20 * time.Millisecond
	faults := &fstest.Faults{FS: newDisk(), Fail: func(_ int, op, name string) error {
		if op != "sync" || !strings.HasSuffix(name, ".log") {
			return nil
		}
		if slow.Load() {
			time.Sleep(wait)
		}
		if broken.Load() {
			return errBroken
		}
		return nil
	}}
	srv, err := Start(Config{
		Addr: "127.0.0.1:0", Password: testPassword, KDF: testKDF, Encrypt: *encrypted,
		Data: dataOn(faults, func(d *Data) { d.Fsync = persist.Always }), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	slow.Store(true)
	w.ok(codec.OpDictSet, "d", "k", 1)
	if l := figuresOfCommand(srv, codec.OpDictSet).Latency; l.Count != 1 || l.Max < wait.Microseconds() {
		t.Errorf("latency %+v", l)
	}
	if syncs := srv.Info().Data.Syncs; syncs.Count < 2 || syncs.Max < wait.Microseconds() {
		t.Errorf("syncs %+v", syncs)
	}
	broken.Store(true)
	w.fails(codec.StatusNotDurable, codec.OpDictSet, "d", "k", 2)
	set := figuresOfCommand(srv, codec.OpDictSet)
	if want := (map[string]uint64{"OK": 1, "NotDurable": 1}); !maps.Equal(set.Statuses, want) {
		t.Errorf("statuses %v, want %v", set.Statuses, want)
	}
	if err := srv.Stop(context.Background()); !errors.Is(err, errBroken) {
		t.Errorf("stopped: %v", err)
	}
}

// TestLegacyIsCounted: requests of CyberDB's wire are counted as the commands that they become.
func TestLegacyIsCounted(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	c := dialLegacy(t, srv)
	c.done("/create_cyberdict", "table_name", "d", "content", govalue.Dict{{Key: "k", Value: 1}})
	c.done("/cyberdict/items", "table_name", "d")
	if got := figuresOfCommand(srv, codec.OpDictItems); got.Latency.Count != 1 || got.Statuses["OK"] != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBusyLoopIsShown: a reader does not wait for an event loop that is busy for long, and gets
// what it was last.
func TestBusyLoopIsShown(t *testing.T) {
	t.Parallel()
	const opHang codec.Opcode = 0xf8
	hangs, release := make(chan struct{}), make(chan struct{})
	srv := startServer(t, func(cfg *Config) {
		cfg.EventLoops = 1
		cfg.Commands = commandsWith(map[codec.Opcode]engine.Command{
			opHang: {Run: func(*engine.Executor) error { close(hangs); <-release; return nil }},
		})
	})
	w := dial(t, srv)
	w.ok(codec.OpPing)
	if n := figuresOfCommand(srv, codec.OpPing).Latency.Count; n != 1 {
		t.Errorf("%d are counted", n)
	}
	w.write(w.request(opHang))
	<-hangs
	for range 2 { // the second time it has not answered the first one
		began := time.Now()
		if n := figuresOfCommand(srv, codec.OpPing).Latency.Count; n != 1 {
			t.Errorf("%d are counted", n)
		}
		if took := time.Since(began); took > 20*loopTime {
			t.Errorf("that took %v", took)
		}
	}
	close(release)
	if _, err := w.reply(); err != nil {
		t.Fatal(err)
	}
	within(t, testTimeout, func() error {
		if figuresOfCommand(srv, opHang).Latency.Count != 1 {
			return errGone
		}
		return nil
	})
}
