package loop

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// within makes a frame whose deadline passes after some milliseconds.
func (w *wire) within(ms uint32, op codec.Opcode, args ...any) []byte {
	w.Helper()
	w.id++
	return codec.AppendRequest(nil, &codec.Request{
		ID: w.id, Op: op, Flags: codec.FlagDeadline, Deadline: ms, Args: encodeArgs(w, args...),
	})
}

// statuses reads n replies and returns the status of each request, the last n that were made.
func (w *wire) statuses(n int) []codec.Status {
	w.Helper()
	all := make([]codec.Status, n)
	for range n {
		reply, err := w.reply()
		if err != nil {
			w.Fatal(err)
		}
		all[n-1-int(w.id-reply.ID)] = reply.Status
	}
	return all
}

// owner is a long write that owns a table until the test ends it.
type owner struct {
	owns, goOn chan struct{}
	once       sync.Once
}

// own makes a list and locks it.
func own(t *testing.T, srv *Server, w *wire, name string) *owner {
	t.Helper()
	w.ok(codec.OpCreateList, name, true)
	w.ok(codec.OpListExtend, append([]any{name}, slices.Repeat([]any{1}, 2*shardmap.InlineElements)...)...)
	o := &owner{owns: make(chan struct{}), goOn: make(chan struct{})}
	table, _ := srv.store.Lookup(&shardmap.Call{}, []byte(name))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := table.List().Reverse(&shardmap.Call{MayBlock: true, Memory: o}); err != nil {
			t.Error(err)
		}
	}()
	<-o.owns
	t.Cleanup(func() { o.release(); <-done })
	return o
}

func (o *owner) release() { o.once.Do(func() { close(o.goOn) }) }

func (o *owner) Lend(int) error {
	close(o.owns)
	<-o.goOn
	return nil
}

func (o *owner) Return(int) {}

// TestDeadlinePassed: a request whose deadline has passed when it is executed gets DeadlineExceeded
// and does nothing; one with time left is executed.
func TestDeadlinePassed(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	dial(t, srv).ok(codec.OpCreateDict, "d", false)
	var clients sync.WaitGroup
	for i := range 8 { // together they make iterations busy
		w := dial(t, srv)
		clients.Go(func() {
			for n := range 100 {
				w.write(slices.Concat(
					w.within(0, codec.OpDictSet, "d", fmt.Sprint("late", i, n), 1),
					w.within(600_000, codec.OpDictSet, "d", fmt.Sprint("in time", i, n), 1),
					w.within(0, codec.OpPing),
				))
				want := []codec.Status{codec.StatusDeadlineExceeded, codec.StatusOK, codec.StatusDeadlineExceeded}
				if got := w.statuses(3); !slices.Equal(got, want) {
					t.Errorf("%v", got)
					return
				}
			}
		})
	}
	clients.Wait()
	if n := dial(t, srv).ok(codec.OpDictLen, "d"); n[0] != int64(800) {
		t.Errorf("%v items", n)
	}
}

// TestDeadlineOfBlocked: the deadline of a request that waits for a table ends its wait, long
// before the table is free, and the connection continues. Those that wait behind it count from
// their arrival.
func TestDeadlineOfBlocked(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	o := own(t, srv, dial(t, srv), "l")
	start := time.Now()
	w.write(slices.Concat(
		w.within(150, codec.OpListPop, "l"),
		w.within(50, codec.OpDictSet, "d", "behind", 1),
		w.within(60_000, codec.OpDictSet, "d", "in time", 1),
	))
	time.Sleep(75 * time.Millisecond)
	w.write(slices.Concat( // arrives while the first waits
		w.within(50, codec.OpDictSet, "d", "behind", 2),
		w.within(600, codec.OpDictSet, "d", "in time", 2),
		w.within(1, codec.OpListPop, "l"),
		w.request(codec.OpPing),
	))
	late := codec.StatusDeadlineExceeded
	want := []codec.Status{late, late, codec.StatusOK, late, codec.StatusOK, late, codec.StatusOK}
	if got := w.statuses(len(want)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	if n := w.ok(codec.OpDictLen, "d"); n[0] != int64(1) {
		t.Errorf("%v items", n)
	}
	// waits that were ended do not pile up, nor disturb later ones
	for range 50 {
		w.write(w.within(1, codec.OpListPop, "l"))
		if got := w.statuses(1); got[0] != late {
			t.Fatal(got)
		}
	}
	if n := unlocks(t, srv, w); n > maxUnlocks {
		t.Errorf("%d locks are to wake one session", n)
	}
	w.write(w.within(600_000, codec.OpListPop, "l"))
	time.Sleep(5 * time.Millisecond)
	o.release()
	if got := w.statuses(1); got[0] != codec.StatusOK {
		t.Errorf("after the release: %v", got)
	}
	within(t, testTimeout, func() error {
		if n := unlocks(t, srv, w); n != 0 {
			return fmt.Errorf("%d locks are to wake a session that does not wait", n)
		}
		return nil
	})
}

// unlocks returns how many locks are to wake the session of a connection.
func unlocks(t *testing.T, srv *Server, w *wire) (n int32) {
	t.Helper()
	s := sessionOf(t, srv, w)
	if err := runOn(s.conn.EventLoop(), func() { n = s.deferred.waits().unlocks.Load() }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDeadlineBehindOthers: a request that waits for its connection's next quantum, or behind a
// request in the background, is refused when its turn comes, if its deadline has passed since it
// arrived.
func TestDeadlineBehindOthers(t *testing.T) {
	t.Parallel()
	const opPreempts, opLong = 0xf0, 0xf1
	nap := func() { time.Sleep(60 * time.Millisecond) }
	commands := commandsWith(map[codec.Opcode]engine.Command{
		opPreempts: {Run: func(x *engine.Executor) error {
			nap()
			x.Call().Cost += quantum
			return nil
		}},
		opLong: {Run: func(x *engine.Executor) error {
			if !x.Call().MayBlock {
				return shardmap.ErrLong
			}
			nap()
			return nil
		}},
	})
	srv := startServer(t, func(cfg *Config) { cfg.Commands = commands })
	for _, first := range []codec.Opcode{opPreempts, opLong} {
		w := dial(t, srv)
		w.write(slices.Concat(w.request(first), w.within(30, codec.OpPing), w.within(600_000, codec.OpPing)))
		want := []codec.Status{codec.StatusOK, codec.StatusDeadlineExceeded, codec.StatusOK}
		if got := w.statuses(3); !slices.Equal(got, want) {
			t.Errorf("behind %v: %v", first, got)
		}
	}
}

// TestDeadlineInBackgroundQueue: a request that waits for a goroutine in the background is looked
// at once more before it begins.
func TestDeadlineInBackgroundQueue(t *testing.T) {
	t.Parallel()
	const opLong = 0xf0
	ran := make(chan struct{}, 1)
	commands := commandsWith(map[codec.Opcode]engine.Command{opLong: {Run: func(x *engine.Executor) error {
		if !x.Call().MayBlock {
			return shardmap.ErrLong
		}
		ran <- struct{}{}
		return nil
	}}})
	srv := startServer(t, func(cfg *Config) { cfg.Commands = commands })
	for range cap(srv.processors) {
		srv.processors <- struct{}{}
	}
	srv.extraLong <- struct{}{} // all are busy
	w := dial(t, srv)
	w.write(w.within(20, opLong))
	time.Sleep(50 * time.Millisecond)
	<-srv.extraLong
	for range cap(srv.processors) {
		<-srv.processors
	}
	if got := w.statuses(1); got[0] != codec.StatusDeadlineExceeded || len(ran) > 0 {
		t.Errorf("%v, executed %d times", got, len(ran))
	}
}

// TestReplayIgnoresDeadline: a recorded request is replayed although its deadline is long past.
func TestReplayIgnoresDeadline(t *testing.T) {
	t.Parallel()
	store := shardmap.NewStore()
	r := engine.NewReplayer(engine.Env{Store: store, Logger: slog.New(slog.DiscardHandler)})
	frame := codec.AppendRequest(nil, &codec.Request{
		Op: codec.OpCreateDict, Flags: codec.FlagDeadline, Args: encodeArgs(t, "d", false, "k", 1),
	})
	if err := r.Apply(engine.Operation{LSN: 1, N: 2, Request: frame[8:]}); err != nil {
		t.Fatal(err)
	}
	if table, ok := store.Lookup(&shardmap.Call{}, []byte("d")); !ok || table.Len() != 1 {
		t.Error("the request was not replayed")
	}
}

// TestArrivals: what is remembered of many arrivals is never late, and early by a sixtieth of the
// wait at most; it is little.
func TestArrivals(t *testing.T) {
	t.Parallel()
	r := seeded(t)
	for range 100 {
		type piece struct {
			end int
			at  time.Duration
		}
		var a arrivals
		var all []piece
		end, now := 0, time.Duration(r.Int64N(1e12))
		began := now
		for range r.IntN(3000) {
			end += 1 + r.IntN(100)
			now += time.Duration(rand.ExpFloat64() * 3e6)
			a.add(end, now)
			all = append(all, piece{end, now})
			if r.IntN(10) == 0 { // some are used up
				n := r.IntN(len(all))
				used := all[n].end
				a.use(used)
				all = slices.Clone(all[n+1:])
				for i := range all {
					all[i].end -= used
				}
				end -= used
			}
		}
		if len(a.marks) > maxArrivals {
			t.Fatalf("%d arrivals are remembered", len(a.marks))
		}
		most := max(leastArrivalGap, (now-began)/60)
		for _, p := range all {
			if got := a.of(p.end, never); got > p.at || p.at-got > most {
				t.Fatalf("%v after the first: %v early, at most %v", p.at-began, p.at-got, most)
			}
		}
	}
}

// TestUnlockAfterLateRequests: after many requests whose deadlines have ended their waits for one
// table, a request for another table does not wait for the first.
func TestUnlockAfterLateRequests(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	own(t, srv, dial(t, srv), "a")
	b := own(t, srv, dial(t, srv), "b")
	for range 2 * maxUnlocks {
		w.write(w.within(2, codec.OpListPop, "a"))
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusDeadlineExceeded {
			t.Fatal(reply.Status, err)
		}
	}
	w.write(w.within(60_000, codec.OpListPop, "b"))
	b.release()
	if err := w.conn.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
		t.Error(reply.Status, err)
	}
}
