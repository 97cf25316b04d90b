package shardmap

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v3"
)

// The figures of DESIGN.md for this storage, compared with one xsync.MapOf entry per key:
//
//	go test -run '^$' -bench Compare -benchtime 1x ./shardmap
//
// Each case runs in a fresh process and prints one row of a Markdown table. B/entry is the growth
// of the resident set divided by the entries; GC is the processor time of one forced collection
// with the entries in place.

// keyspace is what both storages can do.
type keyspace interface {
	set(key, val []byte)
	get(key []byte) int
}

type dictSpace struct {
	dict *Dict
	call Call
	dst  []byte
}

func (s *dictSpace) set(key, val []byte) { _ = s.dict.Set(&s.call, key, val) }

func (s *dictSpace) get(key []byte) int {
	s.dst, _ = s.dict.Get(&s.call, s.dst[:0], key)
	return len(s.dst)
}

// mapSpace copies values in and out, as a server must.
type mapSpace struct {
	m   *xsync.MapOf[string, []byte]
	dst []byte
}

func (s *mapSpace) set(key, val []byte) { s.m.Store(string(key), bytes.Clone(val)) }

func (s *mapSpace) get(key []byte) int {
	val, _ := s.m.Load(string(key))
	s.dst = append(s.dst[:0], val...)
	return len(s.dst)
}

const childEnv = "CYBERDB_COMPARE_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		compareChild(spec)
		return
	}
	os.Exit(m.Run())
}

func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{1_000_000, 5_000_000} {
		for _, kind := range []string{"dict", "xsync"} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				for b.Loop() {
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", childEnv, kind, n))
					out, err := cmd.CombinedOutput()
					if err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
					b.Logf("\n%s", out)
					reportRow(b, string(out))
				}
			})
		}
	}
}

// reportRow reports the figures of a row as metrics.
func reportRow(b *testing.B, row string) {
	cells := strings.Split(row, "|")
	for i, unit := range []string{"insert-ns", "get-ns", "set-ns", "B/entry", "GC-ms"} {
		if figure, err := strconv.ParseFloat(strings.TrimSpace(cells[3+i]), 64); err == nil {
			b.ReportMetric(figure, unit)
		}
	}
}

// compareChild measures one storage and prints a row: storage, entries, insert, get, set in ns,
// B/entry, GC in ms.
func compareChild(spec string) {
	var kind string
	var n uint64
	if _, err := fmt.Sscan(spec, &kind, &n); err != nil {
		panic(err)
	}
	var space keyspace
	if kind == "dict" {
		s := &dictSpace{}
		table, err := NewStore().Create(&s.call, "compare", KindDict, nil, 0)
		if err != nil {
			panic(err)
		}
		s.dict = table.Dict()
		space = s
	} else {
		space = &mapSpace{m: xsync.NewMapOf[string, []byte]()}
	}
	var key benchKey
	val := benchValue()
	before := residentBytes()
	insert := perCall(n, func(i uint64) { space.set(key.set(i), val) })
	resident := residentBytes() - before
	get := perCall(n, func(i uint64) { space.get(key.set(i * 7919 % n)) })
	set := perCall(n, func(i uint64) { space.set(key.set(i*7919%n), val) })
	gcBefore := gcSeconds()
	runtime.GC()
	runtime.GC()
	gc := (gcSeconds() - gcBefore) / 2
	fmt.Printf(
		"| %s | %d | %.0f | %.0f | %.0f | %.1f | %.1f |\n",
		kind,
		n,
		insert,
		get,
		set,
		float64(resident)/float64(n),
		gc*1e3,
	)
	runtime.KeepAlive(space)
}

func perCall(n uint64, f func(i uint64)) (ns float64) {
	start := time.Now()
	for i := range n {
		f(i)
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// residentBytes returns the resident set of this process.
func residentBytes() int {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	if err != nil {
		panic(err)
	}
	return pages * os.Getpagesize()
}

// gcSeconds returns the processor time that garbage collection has taken.
func gcSeconds() float64 {
	samples := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(samples)
	return samples[0].Value.Float64()
}
