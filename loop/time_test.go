package loop

import (
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

const year = 365 * 24 * time.Hour

// jumps are what an operator or a time server may do to a wall clock.
var jumps = []time.Duration{-time.Hour, time.Hour, -10 * year, 10 * year}

// wallClock is a wall clock that jumps.
type wallClock struct{ off atomic.Int64 }

func (w *wallClock) jump(by time.Duration)        { w.off.Add(int64(by)) }
func (w *wallClock) read(now time.Time) time.Time { return now.Add(time.Duration(w.off.Load())) }
func (w *wallClock) limit(l *limits)              { l.wall = w.read }
func (w *wallClock) now() int64                   { return w.read(time.Now()).UnixMilli() }
func (w *wallClock) randomJump(r *rand.Rand)      { w.jump(jumps[r.IntN(len(jumps))]) }

// seeded returns a source of random numbers whose seed the test prints.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// raiseTo makes a at least n.
func raiseTo(a *atomic.Int64, n int64) {
	for old := a.Load(); old < n && !a.CompareAndSwap(old, n); old = a.Load() {
	}
}

// TestStoreTimeNeverGoesBack: whatever the wall clock does, no goroutine reads a time below one
// that was read before, on any goroutine.
func TestStoreTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	var wall wallClock
	var c storeTime
	c.init(wall.read)
	var highest atomic.Int64
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20_000 {
				before := highest.Load()
				now := c.now()
				if now < before {
					t.Errorf("%d after %d", now, before)
					return
				}
				raiseTo(&highest, now)
			}
		})
	}
	r := seeded(t)
	for range 100 {
		wall.randomJump(r)
		time.Sleep(50 * time.Microsecond)
	}
	readers.Wait()
}

// TestStoreTimeJumps: the time follows a wall clock that jumps ahead; after a jump back it
// continues at normal speed.
func TestStoreTimeJumps(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, 10 * year} {
		var wall wallClock
		var c storeTime
		c.init(wall.read)
		first := c.now()
		if d := wall.now() - first; d < 0 || d > 1000 {
			t.Fatalf("the wall clock is %d ms ahead", d)
		}
		wall.jump(jump)
		if now := c.now(); now < first+jump.Milliseconds() || now > wall.now() {
			t.Errorf("%d ms after a jump of %v", now-first, jump)
		}
		wall.jump(-2 * jump)
		begin, start := c.now(), time.Now()
		time.Sleep(50 * time.Millisecond)
		passed := c.now() - begin
		most := time.Since(start).Milliseconds() + 1
		if passed < 49 || passed > most {
			t.Errorf("%d ms passed after a jump back of %v, at most %d did", passed, 2*jump, most)
		}
	}
}

// TestStoreTimeStart: the time begins at the highest time on disk, however high that is.
func TestStoreTimeStart(t *testing.T) {
	t.Parallel()
	now := time.Now().UnixMilli()
	for at, least := range map[int64]int64{
		-1 << 63: now, 0: now, now + 1e9: now + 1e9, maxStoreTime + 1: maxStoreTime, 1<<63 - 1: maxStoreTime,
	} {
		var c storeTime
		c.init(nil)
		c.startAt(at)
		if got := c.now(); got < least || got > least+60_000 {
			t.Errorf("%d after a start at %d, want %d", got, at, least)
		}
	}
}

// stamping are commands that append the time at which they are executed to the list "times", one
// for each client.
type stamping struct {
	commands *engine.Commands
	last     [4]atomic.Int64 // of each client's last request
	used     sync.Map        // LSN -> time
}

const opStamp codec.Opcode = 0xf0

func newStamping() *stamping {
	s := &stamping{}
	rows := make(map[codec.Opcode]engine.Command)
	for i := range s.last {
		rows[opStamp+codec.Opcode(i)] = engine.Command{Mutates: true, Run: func(x *engine.Executor) error {
			if i == 3 && !x.Call().MayBlock {
				return shardmap.ErrLong // in the background
			}
			table, _ := x.Store().Lookup(x.Call(), []byte("times"))
			if err := table.List().Append(x.Call(), value.AppendInt(nil, x.Time())); err != nil {
				return err
			}
			s.used.Store(x.Call().Version, x.Time())
			s.last[i].Store(x.Time())
			return nil
		}}
	}
	s.commands = commandsWith(rows)
	return s
}

// timeLog records the time of each LSN.
type timeLog struct{ times *sync.Map }

func (l timeLog) Append(lsn, n uint64, time int64, _ []byte) { l.times.Store(lsn+n-1, time) }

// TestTimeOfRequests: while the wall clock jumps and two loops and the background work, no request
// is executed at a time before that of a request that was answered before it was sent. What a log
// records is what the command used.
func TestTimeOfRequests(t *testing.T) {
	t.Parallel()
	stamps := newStamping()
	var wall wallClock
	var logged sync.Map
	srv := startLimited(t, func(cfg *Config) {
		cfg.Commands, cfg.NewLog = stamps.commands, func() shardmap.Log { return timeLog{&logged} }
	}, wall.limit)
	dial(t, srv).ok(codec.OpCreateList, "times", false)
	var highest atomic.Int64
	var clients sync.WaitGroup
	for i := range stamps.last {
		w := dial(t, srv)
		clients.Go(func() {
			for range 300 {
				before := highest.Load()
				w.ok(opStamp + codec.Opcode(i))
				now := stamps.last[i].Load()
				if now < before {
					t.Errorf("client %d: %d after %d", i, now, before)
					return
				}
				raiseTo(&highest, now)
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	r := seeded(t)
	for running := true; running; {
		wall.randomJump(r)
		select {
		case <-done:
			running = false
		case <-time.After(time.Millisecond):
		}
	}
	n := 0
	stamps.used.Range(func(lsn, used any) bool {
		n++
		if got, _ := logged.Load(lsn); got != used {
			t.Errorf("LSN %d: the log has the time %v, the command used %v", lsn, got, used)
		}
		return true
	})
	if n != 300*len(stamps.last) {
		t.Errorf("%d requests were executed", n)
	}
}

// TestTimeAfterRestart: a server whose wall clock was set back while it was down continues with the
// highest time on disk.
func TestTimeAfterRestart(t *testing.T) {
	t.Parallel()
	stamps := newStamping()
	var wall wallClock
	file := filepath.Join(t.TempDir(), "data.cdb")
	start := func() *Server {
		return startLimited(t, func(cfg *Config) {
			cfg.Commands, cfg.Data = stamps.commands, Data{File: file, NoJournal: true}
		}, wall.limit)
	}
	srv := start()
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "times", false)
	wall.jump(10 * year)
	w.ok(opStamp)
	ahead := stamps.last[0].Load()
	wall.jump(-10 * year)
	w.ok(opStamp)
	if err := srv.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wall.jump(-year)
	dial(t, start()).ok(opStamp)
	if now := stamps.last[0].Load(); now < ahead || now > ahead+time.Hour.Milliseconds() {
		t.Errorf("%d after the restart, %d before", now, ahead)
	}
}
