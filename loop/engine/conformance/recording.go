package conformance

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// Record is one call of a log's Append.
type Record struct {
	LSN, N  uint64
	Payload []byte
}

// Recording keeps the records of all logs of a server, or an engine: its NewLog is
// engine.Env.Changes.
type Recording struct {
	mu   sync.Mutex
	logs []*memoryLog
}

// memoryLog is one log. It has no lock: the race detector sees whether the server
// appends from two goroutines at once.
type memoryLog struct{ records []Record }

func (l *memoryLog) Append(lsn, n uint64, _ int64, request []byte) {
	if last := len(l.records) - 1; last >= 0 && l.records[last].LSN >= lsn {
		panic(fmt.Sprintf("%d was logged after %d", lsn, l.records[last].LSN))
	}
	l.records = append(l.records, Record{lsn, n, bytes.Clone(request)})
}

// NewLog returns one log.
func (r *Recording) NewLog() shardmap.Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &memoryLog{}
	r.logs = append(r.logs, l)
	return l
}

// Records returns all records in the order of their LSNs, and checks that there is no gap up to the
// store's clock. The server has stopped.
func (r *Recording) Records(t testing.TB, last uint64) (all []Record) {
	t.Helper()
	for _, l := range r.logs {
		all = append(all, l.records...)
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.LSN, b.LSN) })
	next := uint64(1)
	for _, rec := range all {
		if rec.LSN != next || rec.N == 0 {
			t.Fatalf("a record of %d numbers from %d on, where %d is next", rec.N, rec.LSN, next)
		}
		next += rec.N
	}
	if next != last+1 {
		t.Fatalf("LSNs up to %d were recorded, %d were assigned", next-1, last)
	}
	return all
}

// Replayed replays all records in a new store.
func Replayed(t testing.TB, records []Record) *shardmap.Store {
	t.Helper()
	store := shardmap.NewStore()
	r := engine.NewReplayer(engine.Env{Store: store, Logger: slog.New(slog.DiscardHandler)})
	for _, rec := range records {
		if err := r.Apply(rec.LSN, rec.N, rec.Payload); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// StoreText returns the content of a store: tables, order, keys, values, versions, places,
// elements, clock. If all LSNs of the store are logged, call has its log, because the cut takes an
// LSN.
func StoreText(store *shardmap.Store, call *shardmap.Call) string {
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

// SameText fails with the first line that differs.
func SameText(t testing.TB, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("line %d: got %.300q, want %.300q", i, lineOf(g, i), lineOf(w, i))
		}
	}
}

func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "the end"
}
