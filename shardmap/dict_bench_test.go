package shardmap

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
	"golang.org/x/sys/unix"
)

// Benchmarks use str keys of 16 characters and bin values of 32 bytes: 17 and 34 bytes encoded.
const benchEntries = 1 << 20

type benchKey [17]byte

func (k *benchKey) set(n uint64) []byte {
	k[0] = 0xb0
	const digits = "0123456789abcdef"
	for i := range 16 {
		k[1+i] = digits[n>>(60-4*i)&15]
	}
	return k[:]
}

func benchValue() []byte { return msgp.AppendBytes(nil, make([]byte, 32)) }

// scattered maps 0, 1, 2 ... below n (a power of two) to the same numbers in another order.
func scattered(i, n uint64) uint64 { return i * 0x9e3779b97f4a7c15 & (n - 1) }

// newBenchDict returns a dict of n entries.
func newBenchDict(b testing.TB, n int) *Dict {
	s := NewStore()
	var c Call
	table, err := s.Create(&c, "bench", KindDict, nil, 0)
	if err != nil {
		b.Fatal(err)
	}
	var key benchKey
	val := benchValue()
	for i := range n {
		if err := table.Dict().Set(&c, key.set(uint64(i)), val); err != nil {
			b.Fatal(err)
		}
	}
	return table.Dict()
}

func BenchmarkDictGet(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var key benchKey
	var dst []byte
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		dst, _ = d.Get(&c, dst[:0], key.set(scattered(i, benchEntries)))
	}
}

func BenchmarkDictSet(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var key benchKey
	val := benchValue()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.LittleEndian.PutUint64(val[2:], i)
		_ = d.Set(&c, key.set(scattered(i, benchEntries)), val)
	}
}

// BenchmarkDictGetTracked is BenchmarkDictGet of a dict that may evict and counts uses.
func BenchmarkDictGetTracked(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	if err := d.Configure(&Call{}, func(o *Options) { o.MaxEntries = 2 * benchEntries }); err != nil {
		b.Fatal(err)
	}
	var c Call
	var key benchKey
	var dst []byte
	for i := uint64(0); b.Loop(); i++ {
		dst, _ = d.Get(&c, dst[:0], key.set(scattered(i, benchEntries)))
	}
}

// BenchmarkDictSetEvicting inserts into a full dict that evicts: each Set evicts an entry.
func BenchmarkDictSetEvicting(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	if err := d.Configure(&Call{}, func(o *Options) { o.MaxEntries = benchEntries }); err != nil {
		b.Fatal(err)
	}
	var c Call
	var key benchKey
	val := benchValue()
	for i := uint64(benchEntries); b.Loop(); i++ {
		_ = d.Set(&c, key.set(i), val)
	}
}

// BenchmarkDictInsert fills dicts of a million entries.
func BenchmarkDictInsert(b *testing.B) {
	var d *Dict
	var c Call
	var key benchKey
	val := benchValue()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		if i%1e6 == 0 {
			d = newBenchDict(b, 0)
		}
		_ = d.Set(&c, key.set(i), val)
	}
}

func BenchmarkDictDeleteInsert(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var key benchKey
	val := benchValue()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		_ = d.Delete(&c, key.set(i))
		_ = d.Set(&c, key.set(i+benchEntries), val)
	}
}

// BenchmarkRename takes all locks of a dict of about 500 shards: an event loop does that.
func BenchmarkRename(b *testing.B) {
	d := newBenchDict(b, 5*benchEntries)
	var c Call
	names := []string{"bench", "other"}
	for i := 0; b.Loop(); i++ {
		if err := d.store.Rename(&c, names[i%2], names[(i+1)%2]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDictPopItem(b *testing.B) {
	for _, n := range []int{1000, benchEntries} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newBenchDict(b, n)
			var c Call
			var key benchKey
			var dst []byte
			val := benchValue()
			for i := uint64(n); b.Loop(); i++ {
				_ = d.Set(&c, key.set(i), val)
				dst, _ = d.PopItem(&c, dst[:0])
			}
		})
	}
}

func BenchmarkDictScan1000(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var dst []byte
	var cursor uint64
	b.ReportAllocs()
	for b.Loop() {
		dst, cursor, _, _ = d.Scan(&c, dst[:0], cursor, 1000)
	}
}

func BenchmarkDictUpdate100(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var key benchKey
	var packed []byte
	val := benchValue()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		packed = packed[:0]
		for j := range uint64(100) {
			packed = append(append(packed, key.set(scattered(100*i+j, benchEntries))...), val...)
		}
		_ = d.Update(&c, packed, 100)
	}
}

// BenchmarkDictViewEntries reads whole dicts through views; one operation is one entry.
func BenchmarkDictViewEntries(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	for b.Loop() {
		v, err := d.View(&Call{})
		if err != nil {
			b.Fatal(err)
		}
		for range v.Entries() {
		}
		v.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
}

// BenchmarkDictSlowestSet fills a dict with 5 million entries and reports the slowest single calls,
// in processor time, so that other processes do not count.
func BenchmarkDictSlowestSet(b *testing.B) {
	const n = 5_000_000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		d := newBenchDict(b, 0)
		var c Call
		var key benchKey
		val := benchValue()
		slow := make([]time.Duration, 0, n)
		for i := range uint64(n) {
			key.set(i)
			start := threadTime()
			_ = d.Set(&c, key[:], val)
			slow = append(slow, threadTime()-start)
		}
		slices.Sort(slow)
		b.ReportMetric(float64(slow[n-1].Microseconds()), "max-µs")
		b.ReportMetric(float64(slow[n-10].Microseconds()), "10th-µs")
		b.ReportMetric(float64(slow[n-100].Microseconds()), "100th-µs") // a split: there are about 600
		b.ReportMetric(float64(slow[n-n/1000].Nanoseconds()), "p99.9-ns")
	}
}

// threadTime returns the processor time that this thread has taken.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}

func BenchmarkDictGetMany100(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var key benchKey
	var keys, dst []byte
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		keys = keys[:0]
		for j := range uint64(100) {
			keys = append(keys, key.set(scattered(100*i+j, benchEntries))...)
		}
		dst, _ = d.GetMany(&c, dst[:0], keys, 100)
	}
}

// BenchmarkDictGetPrefetched reads keys one by one that were expected, 16 at a time.
func BenchmarkDictGetPrefetched(b *testing.B) {
	d := newBenchDict(b, benchEntries)
	var c Call
	var keys [16]benchKey
	var dst []byte
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		if i%16 == 0 {
			for j := range keys {
				c.AddPrefetch(d, keys[j].set(scattered(i+uint64(j), benchEntries)))
			}
			c.Prefetch()
		}
		dst, _ = d.Get(&c, dst[:0], keys[i%16][:])
	}
}

// BenchmarkDrainUnderWriters drains a view of 2 M entries, as a save does, while 65,000 scattered
// keys a second are overwritten, which is half of what c50 P1 makes on 2 processors. peak is the
// largest resident set meanwhile, divided by the one before.
func BenchmarkDrainUnderWriters(b *testing.B) {
	const n, perSecond, pause = 2_000_000, 65_000, 2 * time.Millisecond
	d := newBenchDict(b, n)
	for b.Loop() {
		runtime.GC()
		before := residentBytes()
		stop, peak, written := make(chan struct{}), before, 0
		var writer sync.WaitGroup
		writer.Go(func() {
			var c Call
			var key benchKey
			val, start := benchValue(), time.Now()
			for running := true; running; {
				for ; float64(written) < perSecond*time.Since(start).Seconds(); written++ {
					if err := d.Set(&c, key.set(uint64(written)*0x9e3779b97f4a7c15%n), val); err != nil {
						b.Error(err)
						return
					}
				}
				peak = max(peak, residentBytes())
				select {
				case <-stop:
					running = false
				case <-time.After(pause):
				}
			}
		})
		view, entries, start := d.store.View(), 0, time.Now()
		for _, table := range view.Tables() {
			for range table.Dict().Drain() {
				if entries++; entries%2000 == 0 {
					time.Sleep(time.Millisecond) // a save compresses and writes
				}
			}
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "drain-ms")
		view.Close()
		close(stop)
		writer.Wait()
		b.ReportMetric(float64(peak)/float64(before), "peak")
		b.ReportMetric(float64(written), "writes")
	}
}
