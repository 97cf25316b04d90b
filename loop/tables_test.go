package loop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// tooManyTables is how many the event loop does not list by itself.
const tooManyTables = 1025

// manyTables makes n lists whose names have so many bytes, and returns the names.
func manyTables(w *wire, prefix string, n, nameBytes int) []string {
	w.Helper()
	names := make([]string, n)
	for from := 0; from < n; from += 1000 {
		var out []byte
		to := min(from+1000, n)
		for i := from; i < to; i++ {
			name := fmt.Sprintf("%s%d ", prefix, i)
			names[i] = name + strings.Repeat("n", max(nameBytes-len(name), 0))
			out = append(out, w.request(codec.OpCreateList, names[i], false)...)
		}
		w.write(out)
		for range to - from {
			w.receives(codec.StatusOK)
		}
	}
	return names
}

// receives reads a reply and checks its status.
func (w *wire) receives(want codec.Status) codec.Reply {
	w.Helper()
	reply, err := w.reply()
	if err != nil || reply.Status != want {
		w.Fatalf("status %v, want %v: %v", reply.Status, want, err)
	}
	return reply
}

// listedAs checks a list of tables: the names in this order, each a list of the length.
func listedAs(t *testing.T, got []any, names []string, length func(i int) int) {
	t.Helper()
	if len(got) != 3*len(names) {
		t.Fatalf("%d tables, want %d", len(got)/3, len(names))
	}
	for i, name := range names {
		if got[3*i] != name || got[3*i+1] != "list" || got[3*i+2] != int64(length(i)) {
			t.Fatalf("table %d: %v, want %.20q, a list of %d", i, got[3*i:3*i+3], name, length(i))
		}
	}
}

// TestTablesInPipelineOrder asks for the list of many tables in a pipeline of changes of the same
// client: each list shows the changes before it, and none after it.
func TestTablesInPipelineOrder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, tooManyTables, 4000} {
		srv := startServer(t, nil)
		w := dial(t, srv)
		names := manyTables(w, "t", n, 30)
		var out []byte
		const rounds = 5
		for range rounds {
			out = append(out, w.request(codec.OpTables)...)
			out = append(out, w.request(codec.OpListAppend, names[n-1], "x")...)
			out = append(out, w.request(codec.OpRename, names[0], "other")...)
			out = append(out, w.request(codec.OpTables)...)
			out = append(out, w.request(codec.OpRename, "other", names[0])...)
		}
		w.write(out)
		replies := map[uint32][]any{}
		first := w.id + 1 - 5*rounds
		for range 5 * rounds {
			reply := w.receives(codec.StatusOK)
			replies[reply.ID-first] = decodeAll(t, reply.Body)
		}
		renamed := append([]string{"other"}, names[1:]...)
		for round := range rounds {
			for _, list := range []struct {
				at, grown int
				names     []string
			}{{5 * round, round, names}, {5*round + 3, round + 1, renamed}} {
				listedAs(t, replies[uint32(list.at)], list.names, func(i int) int {
					if i == n-1 {
						return list.grown
					}
					return 0
				})
			}
		}
		noneLeft(t, srv, 1)
	}
}

// TestTablesOfSlowReaders: clients ask for the list of many tables with long names and do not read.
// Little is unsent for each, no other client is delayed, and they get the list of the moment when
// they asked, although all tables are dropped meanwhile.
func TestTablesOfSlowReaders(t *testing.T) {
	t.Parallel()
	const nameBytes, readers = 1000, 20
	tables := 20_000
	if raceEnabled { // a client that reads nothing for 30 s is closed
		tables = 8_000
	}
	srv := startServer(t, nil)
	other := dial(t, srv)
	names := manyTables(other, "t", tables, nameBytes)
	var deaf []*wire
	for range readers {
		w := dial(t, srv)
		w.write(w.request(codec.OpTables))
		deaf = append(deaf, w)
	}
	within(t, testTimeout, func() error {
		if n := srv.streams.Load(); n != readers {
			return fmt.Errorf("%d lists under way", n)
		}
		return nil
	})
	within(t, testTimeout, func() error { // each list has 20 MB
		if unread := srv.Info().UnsentBytes; unread == 0 || unread > readers*3*streamAheadBytes {
			return fmt.Errorf("%d clients that do not read have %d MiB waiting", readers, unread>>20)
		}
		return nil
	})
	start := time.Now()
	other.ok(codec.OpPing)
	for i, name := range names {
		other.write(other.request(codec.OpDrop, name))
		if i%500 == 499 {
			for range 500 {
				other.receives(codec.StatusOK)
			}
		}
	}
	if took := time.Since(start); took > testTimeout {
		t.Errorf("dropping all took %v", took)
	}
	for _, w := range deaf {
		listedAs(t, decodeAll(t, w.receives(codec.StatusOK).Body), names, func(int) int { return 0 })
	}
	if got := other.ok(codec.OpTables); len(got) != 0 {
		t.Errorf("%d tables are left", len(got)/3)
	}
	noneLeft(t, srv, readers+1)
}

// TestTablesOutOfDate: a client that reads the list while tables are created and dropped all the
// time gets an error, before much is kept for it.
func TestTablesOutOfDate(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, deaf := dial(t, srv), dial(t, srv)
	const stay = 16_000
	manyTables(w, "stays ", stay, 1000)
	deaf.write(deaf.request(codec.OpTables))
	for range 6 { // 8,000 tables that count 3 kB each
		names := manyTables(w, "goes ", 8_000, 1000)
		var out []byte
		for _, name := range names {
			out = append(out, w.request(codec.OpDrop, name)...)
		}
		go func() { _, _ = w.conn.Write(out) }()
		for range names {
			w.receives(codec.StatusOK)
		}
		for range 16 { // slow, but not stalled
			if err := deaf.read(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if e, err := codec.ParseErrorBody(
		codec.StatusOverloaded,
		deaf.receives(codec.StatusOverloaded).Body,
	); err != nil ||
		!strings.Contains(e.Message, "ask again") {
		t.Errorf("%v, %v", e, err)
	}
	if got := deaf.ok(codec.OpTables); len(got) != 3*stay {
		t.Errorf("asked again: %d tables", len(got)/3)
	}
	noneLeft(t, srv, 2)
}

// TestLegacyTables: CyberDB's clients get the list of many tables too.
func TestLegacyTables(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	w, err := tryDial(t, srv, nativeKey(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	manyTables(w, "t", tooManyTables, 20)
	got, ok := dialLegacy(t, srv).done("/print_tables").([]any)
	if !ok || len(got) != tooManyTables {
		t.Errorf("%T of %d", got, len(got))
	}
}

// nativeKey is the key of a server whose password may be the legacy one.
func nativeKey(t *testing.T, srv *Server) []byte {
	key, err := srv.cfg.KDF.Key(srv.cfg.Password)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
