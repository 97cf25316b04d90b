package loop

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// record is what a log was told of one draw.
type record struct {
	lsn, n  uint64
	payload []byte
}

// recording keeps what all logs of a server are told.
type recording struct {
	mu   sync.Mutex
	logs []*memoryLog
}

// memoryLog is one log. It has no lock of its own: the race detector sees whether the server appends from two goroutines at once.
type memoryLog struct{ records []record }

func (l *memoryLog) Append(lsn, n uint64, request []byte) {
	if last := len(l.records) - 1; last >= 0 && l.records[last].lsn >= lsn {
		panic(fmt.Sprintf("%d was logged behind %d", lsn, l.records[last].lsn))
	}
	l.records = append(l.records, record{lsn, n, bytes.Clone(request)})
}

func (r *recording) newLog() shardmap.Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &memoryLog{}
	r.logs = append(r.logs, l)
	return l
}

// records returns all records in the order of their numbers, and sees that these leave no gap up to the last one drawn. The server has stopped.
func (r *recording) records(t *testing.T, last uint64) (all []record) {
	t.Helper()
	for _, l := range r.logs {
		all = append(all, l.records...)
	}
	slices.SortFunc(all, func(a, b record) int { return cmp.Compare(a.lsn, b.lsn) })
	next := uint64(1)
	for _, rec := range all {
		if rec.lsn != next || rec.n == 0 {
			t.Fatalf("a record of %d numbers from %d on, where %d is next", rec.n, rec.lsn, next)
		}
		next += rec.n
	}
	if next != last+1 {
		t.Fatalf("numbers up to %d were recorded, %d were drawn", next-1, last)
	}
	return all
}

// replayed makes all records again in a new store.
func replayed(t *testing.T, records []record) *shardmap.Store {
	t.Helper()
	store := shardmap.NewStore()
	r := engine.NewReplayer(engine.Env{Store: store, Logger: slog.New(slog.DiscardHandler)})
	for _, rec := range records {
		if err := r.Apply(rec.lsn, rec.n, rec.payload); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// storeText returns all that a store holds: tables, order, keys, values, versions, places, elements, clock.
func storeText(store *shardmap.Store) string { return storeTextBy(store, &shardmap.Call{}) }

// storeTextBy is storeText for a store whose numbers are all logged, the cut's too.
func storeTextBy(store *shardmap.Store, call *shardmap.Call) string {
	var b strings.Builder
	fmt.Fprintln(&b, "clock", store.Clock())
	view := store.View(call)
	defer view.Close()
	for name, table := range view.Tables() {
		fmt.Fprintf(&b, "%s %q created %d\n", table.Kind(), name, table.Created())
		if table.Kind() == shardmap.KindList {
			for elem := range table.List().Values() {
				fmt.Fprintf(&b, "  %x\n", elem)
			}
			continue
		}
		for e := range table.Dict().EntriesVersioned() {
			fmt.Fprintf(&b, "  %x: %x version %d place %d\n", e.Key, e.Val, e.Version, e.Place)
		}
	}
	return b.String()
}

// sameText fails with the first line that differs.
func sameText(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d: got %.300q, want %.300q", i, at(g, i), at(w, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "the end"
}

// TestReplay has connections make everything at once on a few tables, which come and go, with long requests, conditions and large values among it.
// What was logged, made again from nothing, gives the same store.
func TestReplay(t *testing.T) {
	t.Parallel()
	clients, batches := 6, 50
	switch {
	case long():
		clients, batches = 12, 1000
	case testing.Short():
		batches = 25
	}
	seed := seedOf(t)
	var rec recording
	srv := startServer(t, func(cfg *Config) { cfg.NewLog = rec.newLog })
	families := startModel(t, seed).families
	names := []string{"a", "b", "x", "y"}
	inParallel(t, srv, clients, func(w *wire, i int) error {
		g := newOperations(w, rand.New(rand.NewPCG(seed, uint64(i))), families)
		everyChange(w, i)
		for range batches {
			ops := make([]operation, 25)
			for j := range ops {
				ops[j] = g.roughly(pick(g, names))
			}
			for j, reply := range pipelined(w, ops) {
				if reply.Status >= codec.StatusBadFrame {
					e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
					return fmt.Errorf("%v: %w", ops[j], e)
				}
			}
			g.conditions(w, pick(g, names))
			if g.chance(10) {
				large := strings.Repeat("x", shardmap.InlineBytes+g.rng.IntN(1000))
				for _, op := range []codec.Opcode{codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictGet, codec.OpDictPop} {
					args := []any{pick(g, names), g.rng.IntN(3)}
					if op == codec.OpDictSet || op == codec.OpDictSetDefault {
						args = append(args, large)
					}
					if _, err := w.do(op, args, codec.StatusKeyError, codec.StatusNoSuchTable, codec.StatusWrongTableKind); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err := srv.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	records := rec.records(t, srv.store.Clock())
	cuts, used := 0, make(map[codec.Opcode]int)
	for _, r := range records {
		if len(r.payload) == 0 {
			cuts++
		} else {
			used[codec.Opcode(r.payload[0])]++
		}
	}
	t.Logf("%d records, %d cuts", len(records), cuts)
	for op, command := range engine.Protocol() {
		if o := codec.Opcode(op); command.Mutates != (used[o] > 0) {
			t.Errorf("%v was recorded %d times", o, used[o])
		}
	}
	sameText(t, storeText(replayed(t, records)), storeText(srv.store))
}

// everyChange makes a change by each opcode that makes one, on tables of its own.
func everyChange(w *wire, i int) {
	d, l := fmt.Sprintf("dict %d", i), fmt.Sprintf("list %d", i)
	w.ok(codec.OpCreateDict, d+"?", false, "a", 1, "b", 2, "c", 3, "d", 4)
	w.ok(codec.OpRename, d+"?", d)
	w.ok(codec.OpDictSet, d, "e", 5)
	w.ok(codec.OpDictSetDefault, d, "f", 6)
	w.ok(codec.OpDictUpdate, d, "a", 7, "g", 8)
	w.ok(codec.OpDictIncrement, d, "a", 9)
	w.ok(codec.OpDictCompareAndSet, d, "a", 16, 10)
	w.ok(codec.OpDictDelete, d, "b")
	w.ok(codec.OpDictPop, d, "c")
	w.ok(codec.OpDictPopItem, d)
	w.ok(codec.OpCreateList, l, false, 3, 1, 2)
	w.ok(codec.OpListAppend, l, 4)
	w.ok(codec.OpListAppendLeft, l, 5)
	w.ok(codec.OpListExtend, l, 6, 7, 8, 9)
	w.ok(codec.OpListInsert, l, 1, 10)
	w.ok(codec.OpListSet, l, 0, 11)
	w.ok(codec.OpListDelete, l, -1)
	w.ok(codec.OpListSetSlice, l, 0, 2, nil, 12, 13, 14)
	w.ok(codec.OpListDeleteSlice, l, 0, 1, nil)
	w.ok(codec.OpListPop, l)
	w.ok(codec.OpListPopLeft, l)
	w.ok(codec.OpListRemove, l, 14)
	w.ok(codec.OpListReverse, l)
	w.ok(codec.OpListSort, l, nil, true)
	for op, name := range map[codec.Opcode]string{codec.OpDictClear: d, codec.OpListClear: l} {
		if i%2 == 0 {
			w.ok(op, name)
		}
		if i%4 == 0 {
			w.ok(codec.OpDrop, name)
		}
	}
}

// conditions makes some requests that depend on versions.
func (g *operations) conditions(w *wire, name string) {
	for range 5 {
		w.id++
		req := codec.Request{ID: w.id, Op: codec.OpDictGet, Flags: codec.FlagWantVersion, Args: encodeArgs(w, name, g.rng.IntN(4))}
		w.write(codec.AppendRequest(nil, &req))
		reply, err := w.reply()
		if err != nil {
			w.Fatal(err)
		}
		w.id++
		req = codec.Request{ID: w.id, Op: codec.OpDictSet, Flags: codec.FlagIfVersion, IfVersion: reply.Version, Args: encodeArgs(w, name, g.rng.IntN(4), 1)}
		w.write(codec.AppendRequest(nil, &req))
		if _, err = w.reply(); err != nil {
			w.Fatal(err)
		}
	}
}

// TestReplayRefuses gives a Replayer records that cannot be.
func TestReplayRefuses(t *testing.T) {
	payload := func(op codec.Opcode, args ...any) []byte {
		return append([]byte{byte(op), 0}, encodeArgs(t, args...)...)
	}
	create := record{1, 1, payload(codec.OpCreateDict, "d", false)}
	for name, c := range map[string]struct {
		records []record
		want    string
	}{
		"a gap":               {[]record{create, {3, 1, payload(codec.OpDictSet, "d", 1, 1)}}, "1 numbers from 3 on: the last number was 1"},
		"a number again":      {[]record{create, create}, "the last number was 1"},
		"no numbers":          {[]record{{1, 0, create.payload}}, "0 numbers"},
		"beyond the clock":    {[]record{{1, 1 << 48, nil}}, "the last number was 0"},
		"a read":              {[]record{create, {2, 1, payload(codec.OpDictGet, "d", 1)}}, "at 2: DICT GET: it changes nothing"},
		"an unknown opcode":   {[]record{{1, 1, []byte{0xff, 0}}}, "it changes nothing"},
		"an unknown flag":     {[]record{{1, 1, []byte{byte(codec.OpDictSet), 0x80}}}, "at 1: "},
		"a byte":              {[]record{{1, 1, []byte{1}}}, "payload of 1 bytes"},
		"no such table":       {[]record{{1, 1, payload(codec.OpDictSet, "d", 1, 1)}}, "at 1: DICT SET: "},
		"a torn argument":     {[]record{create, {2, 1, append(payload(codec.OpDictSet, "d", 1), 0xd9, 9)}}, "at 2: DICT SET: "},
		"what fails":          {[]record{create, {2, 1, payload(codec.OpDictDelete, "d", 1)}}, "at 2: DICT DELETE: "},
		"what draws nothing":  {[]record{create, {2, 1, payload(codec.OpDictClear, "d")}}, "drew 0 numbers, not 1"},
		"what draws two more": {[]record{create, {2, 1, payload(codec.OpDictUpdate, "d", 1, 1, 2, 2)}}, "drew 2 numbers, not 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := engine.NewReplayer(engine.Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
			for i, rec := range c.records {
				err := r.Apply(rec.lsn, rec.n, rec.payload)
				if last := i == len(c.records)-1; last && (err == nil || !strings.Contains(err.Error(), c.want)) || !last && err != nil {
					t.Fatalf("record %d: %v, want %q", i, err, c.want)
				}
			}
		})
	}
}

// TestReplayAcceptsWhatWasAccepted makes requests again that a client cannot make now: an earlier version recorded them.
func TestReplayAcceptsWhatWasAccepted(t *testing.T) {
	zone := append([]byte{0xc7, 19, value.ExtDateTime, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}, "a/"...)
	key := any(nil)
	for range 40 {
		key = []any{"str", key}
	}
	payload := func(op codec.Opcode, args ...any) []byte {
		return append([]byte{byte(op), 0}, encodeArgs(t, args...)...)
	}
	r := engine.NewReplayer(engine.Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
	for i, p := range [][]byte{
		payload(codec.OpCreateList, "l", false),
		append(payload(codec.OpListAppend, "l"), zone...),
		append(payload(codec.OpListExtend, "l"), zone...),
		payload(codec.OpListSort, "l", key, false),
	} {
		if err := r.Apply(uint64(i+1), 1, p); err != nil {
			t.Error(err)
		}
	}
}
