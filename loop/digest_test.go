package loop

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// digest returns what INFO "digest" answers.
func (w *wire) digest() (d engine.Digest) {
	w.Helper()
	if err := json.Unmarshal([]byte(w.ok(codec.OpInfo, "digest")[0].(string)), &d); err != nil {
		w.Fatal(err)
	}
	return d
}

// fileDigestOf returns the digest of the server's file.
func fileDigestOf(t *testing.T, fsys persist.FS) engine.Digest {
	t.Helper()
	r, err := persist.Open(fsys, "data/data.cdb")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum, err := FileDigest(r, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Digest{Digest: sum.String(), LSN: r.Info().LSN, Tables: sum.Tables, Items: sum.Items}
}

// randomValue returns a value that may be hashable, and may equal nothing.
func randomValue(rng *rand.Rand, hashable bool) any {
	switch n := rng.IntN(30); n {
	case 0:
		return math.NaN()
	case 1:
		return govalue.Tuple{1, math.Float64frombits(0x7ff8000000000000 | rng.Uint64N(4))}
	case 2, 3, 4, 5:
		return []any{1, 1.0, true, "1"}[n-2] // three equal keys
	case 6:
		return strings.Repeat("long", rng.IntN(100_000))
	case 7:
		if !hashable {
			return []any{1, randomValue(rng, false)}
		}
	}
	return rng.IntN(1000)
}

// randomChanges makes about n random changes.
func randomChanges(w *wire, rng *rand.Rand, n int) {
	w.Helper()
	for _, name := range []string{"a", "b", "longer name"} {
		w.ok(codec.OpCreateDict, "dict "+name, true)
		w.ok(codec.OpCreateList, "list "+name, true)
	}
	w.ok(codec.OpCreateDict, "gone", true, 1, 1)
	w.ok(codec.OpDrop, "gone")
	for range n {
		name := []string{"a", "b", "longer name"}[rng.IntN(3)]
		switch rng.IntN(6) {
		case 0, 1, 2:
			w.ok(codec.OpDictSet, "dict "+name, randomValue(rng, true), randomValue(rng, false))
		case 3:
			w.ok(codec.OpDictPop, "dict "+name, randomValue(rng, true), nil)
		case 4:
			v := randomValue(rng, false)
			w.ok(codec.OpListExtend, "list "+name, v, v)
		case 5:
			w.ok(codec.OpListInsert, "list "+name, rng.IntN(10), randomValue(rng, false))
		}
	}
}

// TestDigestOfServerAndFile: a server, its file and the server after a restart have the same
// digest, whether the restart reads the file, the journal or both. A change gives another.
func TestDigestOfServerAndFile(t *testing.T) {
	t.Parallel()
	seed := conformance.Seed(t)
	for name, noJournal := range map[string]bool{"journal": false, "no journal": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			disk := newDisk()
			options := func(d *Data) { d.NoJournal = noJournal }
			srv := keptServer(t, disk, options)
			seen := map[string]bool{}
			for range 4 {
				w := dial(t, srv)
				randomChanges(w, rng, 300)
				if noJournal { // which would not have them
					setWithDeadline(t, srv, "dict a", 1<<41+rng.Int64N(1<<40))
				}
				w.ok(codec.OpSave)
				want := w.digest()
				if seen[want.Digest] || want.Items == 0 || want.Tables != 6 {
					t.Fatalf("digest %+v after changes", want)
				}
				seen[want.Digest] = true
				if got := fileDigestOf(t, disk); got != want {
					t.Fatalf("file %+v, server %+v", got, want)
				}
				if !noJournal { // the journal has more than the file
					w.ok(codec.OpListAppend, "list a", "after the save")
					want = w.digest()
				}
				stopServer(t, srv)
				srv = keptServer(t, disk, options)
				got := dial(t, srv).digest()
				if got.LSN < want.LSN {
					t.Errorf("LSN %d after a restart, %d before", got.LSN, want.LSN)
				}
				if got.LSN = want.LSN; got != want {
					t.Fatalf("after a restart %+v, before %+v", got, want)
				}
			}
		})
	}
}

func setWithDeadline(t *testing.T, srv *Server, name string, deadline int64) {
	t.Helper()
	c := shardmap.Call{TTL: 1 + deadline}
	d, found := srv.store.Lookup(&c, []byte(name))
	if !found {
		t.Fatal("no table " + name)
	}
	for _, key := range []byte{1, 2, 3} {
		if err := d.Dict().Set(&c, []byte{key}, []byte{0xc0}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDigestUnderWrites: many connections ask for digests while others write. Each digest shows
// what its own connection has changed before, and views do not stay open.
func TestDigestUnderWrites(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	dial(t, srv).ok(codec.OpCreateList, "l", false)
	var all sync.WaitGroup
	const writers, rounds = 8, 50
	for range writers {
		w := dial(t, srv)
		all.Go(func() {
			before := uint64(0)
			for range rounds {
				if _, err := w.do(codec.OpListAppend, []any{"l", 1}); err != nil {
					t.Error(err)
					return
				}
				reply, err := w.do(codec.OpInfo, []any{"digest"})
				var d engine.Digest
				if err == nil {
					err = json.Unmarshal([]byte(reply[0].(string)), &d)
				}
				if err != nil || d.Items <= before {
					t.Errorf("%d items after %d and an addition: %v", d.Items, before, err)
					return
				}
				before = d.Items
			}
		})
	}
	all.Wait()
	if d := dial(t, srv).digest(); d.Items != writers*rounds || srv.Info().Views != 0 {
		t.Errorf("%+v at the end, %d views", d, srv.Info().Views)
	}
}

// BenchmarkDigest computes the digest of a dict of 1 M entries, with keys of 16 and values of 32
// bytes, on one goroutine.
func BenchmarkDigest(b *testing.B) {
	srv := startServer(b, nil)
	w := dial(b, srv)
	w.ok(codec.OpCreateDict, "d", false)
	const n, batch = 1_000_000, 1000
	for i := 0; i < n; i += batch {
		args := []any{"d"}
		for k := i; k < i+batch; k++ {
			args = append(args, fmt.Sprintf("key-%012d", k), strings.Repeat("v", 32))
		}
		w.ok(codec.OpDictUpdate, args...)
	}
	for b.Loop() {
		if d := w.ok(codec.OpInfo, "digest"); !strings.Contains(d[0].(string), `"items":1000000`) {
			b.Fatal(d)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
