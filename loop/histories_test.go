package loop

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

var (
	historiesFlag = flag.Int("histories", 0, "how many histories TestHistories records and replays; 0: a few")
	seedFlag      = flag.Uint64("seed", 0, "seed of TestHistories; 0: CYBERDB_SEED, or a new one")
)

// TestHistories: the same log gives the same tables everywhere. Each history is what a few
// connections do at once to a server, whose event loops, memory limit and fsync policy are random
// and whose wall clock jumps. Entries expire, tables have limits, lists are queues, and locks are
// held. Its files are then replayed in two other processes: the data file of the last save and the
// rest of the journal, the journal alone, and the file of the shutdown. The processes have other
// hash seeds, another number of processors, other memory limits and another time, and open views in
// between.
func TestHistories(t *testing.T) {
	n := *historiesFlag
	switch {
	case n > 0:
	case testing.Short():
		n = 10
	default:
		n = 15
	}
	h := newHistories(t, "")
	differences := 0
	for i := range n {
		if err := h.one(uint64(i)); err != nil {
			differences++
			t.Errorf("history %d: %v", i, err)
		}
	}
	t.Logf("%+v were removed by the server", h.removed)
	if r := h.removed; r.Expired == 0 || n >= 100 && r.Evicted == 0 { // few histories are long enough for idle time
		t.Error("nothing expired or was evicted")
	}
	t.Logf("queues: %+v", h.queues)
	if q := h.queues; q.Leased == 0 || q.Expired == 0 || n >= 100 && (q.Delayed == 0 || q.Dead == 0) {
		t.Error("no item was leased or delayed, returned by itself, or became a dead letter")
	}
	t.Logf("replay: %d histories, %d differences", n, differences)
}

// replays are the ways to get the tables of a history from its directory: from a data file and a
// journal's directory.
var replays = []struct {
	name, file, journal string
	stopped             bool // these are the files of the shutdown
}{
	{"file and journal", "running/data.cdb", "running/data.cdb.journal", false},
	{"journal alone", "running/none.cdb", "running/data.cdb.journal", false},
	{"file of the shutdown", "data/data.cdb", "data/none", true},
}

// histories records histories and has them replayed.
type histories struct {
	*testing.T
	seed      uint64
	families  map[string][][]byte
	replayers []*process
	removed   shardmap.Removals // by the servers that recorded
	queues    shardmap.QueueFigures
}

func newHistories(t *testing.T, fault string) *histories {
	h := &histories{T: t, seed: *seedFlag}
	if h.seed == 0 {
		h.seed = conformance.Seed(t)
	}
	t.Logf("-seed %d", h.seed)
	h.families = conformance.StartOracle(t, h.seed).Families
	for _, env := range [][]string{
		{"GOMAXPROCS=1", "GOMEMLIMIT=32MiB"},
		{"GOMAXPROCS=5", "GOGC=20"},
	} {
		h.replayers = append(h.replayers, startProcess(t, "replayer", append(env, faultEnv+"="+fault)...))
	}
	return h
}

// one records one history and compares its replays. It returns the first difference.
func (h *histories) one(i uint64) error {
	rng := rand.New(rand.NewPCG(h.seed, i))
	dir := h.TempDir()
	defer func() { _ = os.RemoveAll(dir) }()
	running, stopped := h.record(dir, rng)
	for _, p := range h.replayers {
		if _, err := fmt.Fprintln(p.in, dir, rng.Uint64()); err != nil {
			return err
		}
	}
	var err error
	for _, p := range h.replayers {
		for _, how := range replays {
			want := running
			if how.stopped {
				want = stopped
			}
			if got := p.line(); got != want {
				err = errors.Join(err, fmt.Errorf("%s: replayed %s, recorded %s", how.name, got, want))
			}
		}
	}
	return err
}

// record makes a server do a history in a directory. It returns the digest of its tables when the
// files of the running server were copied, and when it had stopped: entries expire meanwhile.
func (h *histories) record(dir string, rng *rand.Rand) (running, stopped string) {
	clock := &wallClock{}
	clock.jump(time.Duration(rng.IntN(20)-10) * 365 * 24 * time.Hour)
	memory := []int64{0, 0, 0, 24 << 20}[rng.IntN(4)] // the last refuses most of what adds data
	srv := startLimited(h.T, func(cfg *Config) {
		cfg.EventLoops = 1 + rng.IntN(4)
		cfg.Commands = timedCommands((*engine.Executor).Time)
		cfg.MaxMemoryBytes = memory
		cfg.Data.File = filepath.Join(dir, "data", "data.cdb")
		cfg.Data.Fsync = []persist.Policy{persist.Never, persist.EverySecond, persist.Always}[rng.IntN(3)]
	}, clock.limit)
	seed := rng.Uint64()
	clients := 1 + rng.IntN(4)
	if memory == 0 && rng.IntN(4) == 0 { // before the clock jumps, which ends leases
		inParallel(h.T, srv, clients, func(w *wire, i int) error {
			everyChange(w, i)
			return w.conn.Close() // a stop waits for connections
		})
	}
	inParallel(h.T, srv, clients, func(w *wire, i int) error {
		return h.client(w, clock, rand.New(rand.NewPCG(seed, uint64(i))))
	})
	running = h.copyRunning(srv, dir)
	if err := srv.Stop(context.Background()); err != nil {
		h.Error(err)
	}
	addRemovals(&h.removed, srv.store)
	addQueues(&h.queues, srv.store)
	stopped = digestOf(srv.store)
	if len(stopped) != 32 {
		h.Error(stopped)
	}
	return running, stopped
}

// copyRunning copies the files of a server while nothing changes, and returns the digest.
func (h *histories) copyRunning(srv *Server, dir string) (digest string) {
	to := filepath.Join(dir, "running")
	within(h.T, testTimeout, func() error {
		digest = digestOf(srv.store)
		err := errors.Join(
			os.RemoveAll(to),
			srv.journal.Sync(srv.store.Clock()),
			os.CopyFS(to, os.DirFS(filepath.Join(dir, "data"))),
		)
		if err == nil && digestOf(srv.store) != digest {
			err = errors.New("entries expired meanwhile")
		}
		return err
	})
	return digest
}

// client is one connection's part of a history.
func (h *histories) client(w *wire, clock *wallClock, rng *rand.Rand) error {
	defer func() { _ = w.conn.Close() }() // a stop waits for connections
	g := conformance.NewOperations(w, rng, h.families)
	names := []string{"a", "b", "x", "y"}
	owner := &owning{wire: w, Operations: g}
	for range 3 + rng.IntN(4) {
		ops := make([]conformance.Operation, 1+rng.IntN(25))
		for j := range ops {
			ops[j] = g.Roughly(conformance.Pick(g, names))
		}
		ops = append(ops, conformance.Operation{Op: opTime})
		for j, reply := range pipelined(w, ops) {
			if reply.Status >= codec.StatusBadFrame && reply.Status != codec.StatusOverloaded {
				e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
				return fmt.Errorf("%v: %w", ops[j], e)
			}
		}
		if err := limitLives(w, g, conformance.Pick(g, names)); err != nil {
			return err
		}
		if err := owner.some(conformance.Pick(g, names)); err != nil {
			return err
		}
		if g.Chance(8) {
			if _, err := w.do(codec.OpSave, nil, codec.StatusOverloaded); err != nil {
				return err
			}
		}
		clock.jump(conformance.Pick(g, []time.Duration{0, time.Millisecond, jumps[rng.IntN(len(jumps))]}))
	}
	return nil
}

// opTime stores the request's time in table "a", in a dict with a deadline: what it changes depends
// on the time.
const opTime codec.Opcode = 0xe7

// timedCommands are the protocol's commands and opTime, which takes its time from read.
func timedCommands(read func(x *engine.Executor) int64) *engine.Commands {
	return commandsWith(map[codec.Opcode]engine.Command{opTime: {Mutates: true, Run: func(x *engine.Executor) error {
		table, err := x.FindTable([]byte("a"), engine.SomeTable)
		if err != nil {
			return err
		}
		now, c := read(x), x.Call()
		if table.Kind() == shardmap.KindList {
			return table.List().Append(c, msgp.AppendInt64(nil, now))
		}
		c.TTL = 1 + now%100_000
		return table.Dict().Set(c, value.AppendStr(nil, "time"), msgp.AppendInt64(nil, now))
	}}})
}

// replayProcess replays histories: it reads lines of a directory and a seed, and answers a line for
// each of replays, with the digest of its tables.
func replayProcess() error {
	read := (*engine.Executor).Time
	switch fault := os.Getenv(faultEnv); fault {
	case "":
	case "clock":
		read = func(*engine.Executor) int64 { return time.Now().UnixMilli() }
	default:
		if err := breakServer(fault); err != nil {
			return err
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		dir, seed, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return err
		}
		for _, how := range replays {
			file, journal := filepath.Join(dir, how.file), filepath.Join(dir, how.journal)
			fmt.Println(replayed(file, journal, timedCommands(read), rand.New(rand.NewPCG(n, 0))))
		}
	}
	return nil
}

// replayed loads a file, if it is there, replays the journal, and returns the digest of the tables,
// or what is wrong.
func replayed(file, journal string, commands *engine.Commands, rng *rand.Rand) string {
	target := &watchedReplay{rng: rng, restoring: restoring{
		log: slog.New(slog.DiscardHandler), store: shardmap.NewStore(), commands: commands,
		newStore: shardmap.NewStore,
		done:     (*shardmap.Restorer).Done,
	}}
	_, err := persist.Recover(persist.OS, persist.Start{
		File:      file,
		Journal:   journal,
		NoJournal: true,
		Workers:   2,
	}, target)
	if err == nil {
		err = target.finish()
	}
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return digestOf(target.store)
}

// watchedReplay opens views now and then, while requests are replayed.
type watchedReplay struct {
	restoring
	rng   *rand.Rand
	views []*shardmap.View
}

func (r *watchedReplay) Apply(op persist.Operation) error {
	if r.rng.IntN(10) == 0 && len(r.views) < 3 {
		r.views = append(r.views, r.store.View())
	}
	if r.rng.IntN(10) == 0 && len(r.views) > 0 {
		r.views[0].Close()
		r.views = r.views[1:]
	}
	return r.restoring.Apply(op)
}

// digestOf returns the digest of all tables of a store: the answer to INFO "digest".
func digestOf(store *shardmap.Store) string {
	e := engine.New(engine.Env{Store: store, Logger: slog.New(slog.DiscardHandler)})
	frame, _ := e.Do(nil, &codec.Request{Op: codec.OpInfo, Args: value.AppendStr(nil, "digest")})
	reply, _, err := codec.ParseReply(frame)
	text, _, notText := msgp.ReadStringBytes(reply.Body)
	var d engine.Digest
	if err := errors.Join(err, notText, sonic.UnmarshalString(text, &d)); err != nil || reply.Status != codec.StatusOK {
		return fmt.Sprintf("no digest: %v, %v, %s", reply.Status, err, text)
	}
	return d.Digest
}
