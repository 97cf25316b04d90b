package persist_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"cyberdb-fast/persist"
)

// benchEntries is n entries with keys of 16 and values of 32 bytes, as encoded.
func benchEntries(n int) func(w *persist.Writer) error {
	return func(w *persist.Writer) error {
		if err := w.Table(persist.Table{Name: "bench", Kind: persist.Dict, Created: 1}); err != nil {
			return err
		}
		rng := rand.New(rand.NewPCG(1, 2))
		key, val := make([]byte, 17), make([]byte, 34)
		for i := range uint64(n) {
			key = fmt.Appendf(key[:0], "\xb0key-%012d", i)
			val[0], val[1] = 0xc4, 32
			for at := 2; at < len(val); at += 8 {
				binary.LittleEndian.PutUint64(val[at:], rng.Uint64()&0x3f3f3f3f3f3f3f3f|0x4040404040404040)
			}
			if err := w.Entry(persist.Entry{Key: key, Val: val, Place: i + 2, Version: i + 2}); err != nil {
				return err
			}
		}
		return nil
	}
}

const benchItems = 2_000_000

// BenchmarkWriteFile writes 2 M entries to the disk of the test's directory.
func BenchmarkWriteFile(b *testing.B) {
	for _, codec := range []persist.Codec{persist.Raw, persist.S2, persist.Zstd} {
		b.Run(fmt.Sprint("codec=", codec), func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "bench.cdb")
			b.SetBytes(benchItems * (17 + 34))
			b.ReportAllocs()
			for b.Loop() {
				info, err := persist.WriteFile(persist.OS, name, stamp, codec, benchEntries(benchItems))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(info.Bytes)/benchItems, "B/entry")
			}
		})
	}
}

type countingLoader struct{ n, bytes int }

func (*countingLoader) Table(persist.Table) error { return nil }

func (c *countingLoader) Block(b *persist.Block) error {
	for e := range b.Entries() {
		c.n++
		c.bytes += len(e.Key) + len(e.Val)
	}
	return nil
}

// BenchmarkLoad reads, checks and takes apart 2 M entries.
func BenchmarkLoad(b *testing.B) {
	name := filepath.Join(b.TempDir(), "bench.cdb")
	if _, err := persist.WriteFile(persist.OS, name, stamp, persist.S2, benchEntries(benchItems)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchItems * (17 + 34))
	b.ReportAllocs()
	for b.Loop() {
		r, err := persist.Open(persist.OS, name)
		if err != nil {
			b.Fatal(err)
		}
		var c countingLoader
		if err := r.Load(2, &c, nil); err != nil || c.n != benchItems {
			b.Fatal(c, err)
		}
		_ = r.Close()
	}
}

// BenchmarkAppend is one writer's 60-byte operations, while the flusher works.
func BenchmarkAppend(b *testing.B) {
	j, _ := startBenchJournal(b, persist.Never)
	buf := j.Buffer()
	op := make([]byte, 60)
	lsn := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		lsn++
		buf.Append(lsn, 1, 0, op)
	}
	b.StopTimer()
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSync is one writer that waits for the disk after each operation.
func BenchmarkSync(b *testing.B) {
	j, _ := startBenchJournal(b, persist.Always)
	buf := j.Buffer()
	op := make([]byte, 60)
	lsn := uint64(0)
	for b.Loop() {
		lsn++
		buf.Append(lsn, 1, 0, op)
		if err := j.Sync(lsn); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplay replays 60-byte operations.
func BenchmarkReplay(b *testing.B) {
	j, dir := startBenchJournal(b, persist.Never)
	buf := j.Buffer()
	op := make([]byte, 60)
	const n = 2_000_000
	for lsn := range uint64(n) {
		buf.Append(lsn+1, 1, 0, op)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		j, err := persist.OpenJournal(persist.OS, dir, persist.Options{})
		if err != nil {
			b.Fatal(err)
		}
		info, err := j.Replay(0, func(persist.Operation) error { return nil })
		if err != nil || info.Operations != n {
			b.Fatal(info, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func startBenchJournal(b *testing.B, policy persist.Policy) (j *persist.Journal, dir string) {
	b.Helper()
	dir = filepath.Join(b.TempDir(), "journal")
	j, err := persist.OpenJournal(persist.OS, dir, persist.Options{Policy: policy})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := j.Replay(0, nil); err != nil {
		b.Fatal(err)
	}
	if err := j.Start(1, 0); err != nil {
		b.Fatal(err)
	}
	return j, dir
}
