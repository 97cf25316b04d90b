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

// Recording keeps the operations of all logs of a server, or an engine: its NewLog is
// engine.Env.Changes.
type Recording struct {
	mu   sync.Mutex
	logs []*memoryLog
}

// memoryLog is one log. It has no lock: the race detector sees whether the server
// appends from two goroutines at once.
type memoryLog struct{ operations []engine.Operation }

func (l *memoryLog) Append(lsn, n uint64, time int64, request []byte) {
	if last := len(l.operations) - 1; last >= 0 && l.operations[last].LSN >= lsn {
		panic(fmt.Sprintf("%d was logged after %d", lsn, l.operations[last].LSN))
	}
	l.operations = append(l.operations, engine.Operation{
		LSN: lsn, N: n, Time: time, Semantics: engine.Semantics, Request: bytes.Clone(request),
	})
}

// NewLog returns one log.
func (r *Recording) NewLog() shardmap.Log {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &memoryLog{}
	r.logs = append(r.logs, l)
	return l
}

// Operations returns all operations in the order of their LSNs, and checks that there is no gap up
// to the store's clock. The server has stopped.
func (r *Recording) Operations(t testing.TB, last uint64) (all []engine.Operation) {
	t.Helper()
	for _, l := range r.logs {
		all = append(all, l.operations...)
	}
	slices.SortFunc(all, func(a, b engine.Operation) int { return cmp.Compare(a.LSN, b.LSN) })
	next := uint64(1)
	for _, op := range all {
		if op.LSN != next || op.N == 0 {
			t.Fatalf("an operation of %d LSNs from %d on, where %d is next", op.N, op.LSN, next)
		}
		next += op.N
	}
	if next != last+1 {
		t.Fatalf("LSNs up to %d were recorded, %d were assigned", next-1, last)
	}
	return all
}

// Replayed replays all operations in a new store.
func Replayed(t testing.TB, operations []engine.Operation) *shardmap.Store {
	t.Helper()
	store := shardmap.NewStore()
	r := engine.NewReplayer(engine.Env{Store: store, Logger: slog.New(slog.DiscardHandler)})
	for _, op := range operations {
		if err := r.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// StoreText returns the content of a store: tables, settings, order, keys, values, deadlines,
// versions, places, elements, clock. It has what has expired, until that is removed.
func StoreText(store *shardmap.Store) string {
	var b strings.Builder
	fmt.Fprintln(&b, "clock", store.Clock())
	view := store.View()
	defer view.Close()
	for name, table := range view.Tables() {
		fmt.Fprintf(&b, "%s %q created %d\n", table.Kind(), name, table.Created())
		if table.Kind() == shardmap.KindList {
			listText(&b, table.List())
			continue
		}
		if s := table.Dict().Settings(); s != (shardmap.Settings{}) {
			fmt.Fprintf(&b, "  %+v\n", s)
		}
		for e := range table.Dict().ShowHidden().EntriesVersioned() {
			fmt.Fprintf(&b, "  %x: %x", e.Key, e.Val)
			if e.Deadline != 0 {
				fmt.Fprintf(&b, " deadline %d", e.Deadline)
			}
			fmt.Fprintf(&b, " version %d place %d\n", e.Version, e.Place)
		}
	}
	return b.String()
}

func listText(b *strings.Builder, list *shardmap.ListView) {
	if o := list.Options(); o != (shardmap.QueueOptions{}) {
		fmt.Fprintf(b, "  %+v\n", o)
	}
	for h := range list.Held() {
		fmt.Fprintf(b, "  held %+v\n", h)
	}
	for n, elem := range list.Counted() {
		fmt.Fprintf(b, "  %x", elem)
		if n > 0 {
			fmt.Fprintf(b, " delivered %d times", n)
		}
		b.WriteByte('\n')
	}
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
