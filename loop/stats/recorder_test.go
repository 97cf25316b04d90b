package stats_test

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/stats"
	"cyberdb-fast/shardmap"
)

// sums is what a plain count says of a command.
type sums struct {
	statuses map[string]uint64
	in, out  uint64
	n        int64
	longest  time.Duration
}

// TestRecorders: random requests, in parts of several event loops and on their own, are counted as
// a plain count says.
func TestRecorders(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	ops := []codec.Opcode{codec.OpDictGet, codec.OpDictSet, codec.OpListLen}
	statuses := []codec.Status{codec.StatusOK, codec.StatusKeyError, codec.StatusDeadlineExceeded}
	tags := []uint64{stats.NoTable, 1<<10 | 1, 2<<10 | 2}
	recorders := []*stats.Recorder{stats.NewRecorder(), stats.NewRecorder()}
	commands, tables := map[string]*sums{}, map[uint64]stats.TableCounts{}
	for range 3000 {
		r, latency, inPart := recorders[rng.IntN(2)], time.Duration(rng.IntN(1e9)), rng.IntN(20)
		for i := range inPart + 1 {
			op, status, tag := ops[rng.IntN(3)], statuses[rng.IntN(3)], tags[rng.IntN(3)]
			if i < inPart {
				r.Request(op, status, i, 2*i, tag, 1, 2)
			} else {
				r.Single(op, status, i, 2*i, latency)
				tag = stats.NoTable
			}
			c := commands[op.String()]
			if c == nil {
				c = &sums{statuses: map[string]uint64{}}
				commands[op.String()] = c
			}
			c.statuses[status.String()]++
			c.in, c.out, c.n, c.longest = c.in+uint64(i), c.out+uint64(2*i), c.n+1, max(c.longest, latency)
			if tag != stats.NoTable {
				counts := tables[tag]
				counts.Add(stats.TableCounts{Requests: 1, Hits: 1, Misses: 2})
				tables[tag] = counts
			}
		}
		r.EndPart(latency)
	}
	total := stats.Merge([]*stats.Copy{recorders[0].Copy(), recorders[1].Copy()})
	if len(total.Commands) != len(ops) {
		t.Errorf("%d commands", len(total.Commands))
	}
	for _, got := range total.Commands {
		want := commands[got.Name]
		if !maps.Equal(got.Statuses, want.statuses) || got.BytesIn != want.in || got.BytesOut != want.out ||
			got.Latency.Count != want.n || got.Latency.Max != want.longest.Microseconds() {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	for tag, want := range tables {
		if got := total.Table(tag); got != want {
			t.Errorf("tag %x: %+v, want %+v", tag, got, want)
		}
	}
	if total.Other != (stats.TableCounts{}) {
		t.Errorf("others %+v", total.Other)
	}
}

// TestRecordingAllocates: counting a request allocates nothing once its command was used.
func TestRecordingAllocates(t *testing.T) {
	r := stats.NewRecorder()
	if allocs := testing.AllocsPerRun(1000, func() {
		r.Request(codec.OpDictGet, codec.StatusOK, 1, 2, stats.NoTable, 0, 0)
		r.Request(codec.OpDictSet, codec.StatusOK, 1, 2, 5<<10|1, 0, 0)
		r.EndPart(time.Millisecond)
		r.Single(codec.OpListLen, codec.StatusOK, 1, 2, time.Hour)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestLatency: quantiles are right to two digits, buckets count what is no longer than their bound,
// and times beyond every bound count in the number and the maximum alone.
func TestLatency(t *testing.T) {
	h := stats.NewHistogram()
	for us := range 1000 {
		h.Record(time.Duration(us+1)*time.Microsecond, 10)
	}
	h.Record(2*time.Hour, 1)
	h.Record(-time.Second, 1)
	l := h.Latency()
	near := func(got, want int64) bool { return got >= want*99/100 && got <= want*101/100+1 }
	if l.Count != 10_002 || !near(l.P50, 500) || !near(l.P90, 900) || !near(l.P99, 990) || !near(l.P999, 999) ||
		l.Max != 2*3600*1e6 || l.SumSeconds < 7200 {
		t.Errorf("%+v", l)
	}
	for _, bucket := range l.Buckets {
		if want := min(bucket[0]*1e6, 1000)*10 + 1; bucket[0] < 60 && !near(int64(bucket[1]), int64(want)) {
			t.Errorf("%v within %v s, want %v", bucket[1], bucket[0], want)
		}
	}
}

// TestTags: the first MaxTables tables have places of their own, the others none, until tables are
// dropped. What was counted of a table that is gone is not counted for its place's next table.
func TestTags(t *testing.T) {
	store, call := shardmap.NewStore(), &shardmap.Call{}
	create := func(name string) *shardmap.Table {
		table, err := store.Create(call, name, shardmap.KindDict, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	var tags stats.Tags
	r := stats.NewRecorder()
	use := func(table *shardmap.Table) uint64 {
		tag := tags.Of(table)
		r.Table(tag, 1, 0)
		return tag
	}
	total := func() *stats.Totals { return stats.Merge([]*stats.Copy{r.Copy()}) }
	given := map[uint64]bool{}
	for i := range stats.MaxTables {
		table := create(strconv.Itoa(i))
		tag := use(table)
		if tag == 0 || given[tag] || use(table) != tag {
			t.Fatalf("table %d has the tag %x", i, tag)
		}
		given[tag] = true
	}
	late := create("late")
	if use(late) != 0 || total().Other.Requests != 1 {
		t.Errorf("beyond the last place: tag %x, others %+v", late.Tag(), total().Other)
	}
	gone, _ := store.Lookup(call, []byte("7"))
	old := gone.Tag()
	if err := store.Drop(call, "7"); err != nil {
		t.Fatal(err)
	}
	tags.Reclaim()
	tag := use(late)
	if tag == 0 || given[tag] || total().Table(tag).Requests != 1 {
		t.Errorf("after a table was dropped: tag %x, %+v", tag, total().Table(tag))
	}
	r.Table(old, 1, 0) // a request that had found the table before
	after := total()
	if after.Table(tag).Requests != 1 || after.Table(old).Requests != 0 || after.Other.Requests != 1+2+1 {
		t.Errorf("the new table %+v, the old one %+v, others %+v", after.Table(tag), after.Table(old), after.Other)
	}
	if use(create("later")) != 0 {
		t.Error("there was no place")
	}
}

// BenchmarkPart is what recording costs in a part of so many requests.
func BenchmarkPart(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r := stats.NewRecorder()
			b.ReportAllocs()
			for range b.N {
				for range n {
					r.Request(codec.OpDictGet, codec.StatusOK, 40, 110, 1<<10|1, 1, 0)
				}
				r.EndPart(50 * time.Microsecond)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
		})
	}
}
