package persist_test

import (
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// discarding is a disk that forgets what is written to segments, so that a benchmark measures the
// journal alone.
type discarding struct {
	persist.FS
	size int64
}

func (d *discarding) Create(name string) (persist.File, error) {
	f, err := d.FS.Create(name)
	return discardingFile{f, d}, err
}

func (d *discarding) Identify(name string) (persist.FileID, int64, error) {
	id, size, err := d.FS.Identify(name)
	return id, size + d.size, err
}

type discardingFile struct {
	persist.File
	disk *discarding
}

func (f discardingFile) Write(b []byte) (int, error) {
	f.disk.size += int64(len(b))
	return len(b), nil
}

func (f discardingFile) Truncate(int64) error        { return nil }
func (f discardingFile) Allocate(int64, int64) error { return nil }

// BenchmarkJournal is an append of 60 bytes and its share of the writing, in batches of 1000
// operations: by one writer, and by two that take turns, after 16 operations or after each.
func BenchmarkJournal(b *testing.B) {
	b.Run("writers=1", func(b *testing.B) { benchmarkJournal(b, 1, 1) })
	b.Run("writers=2/turn=16", func(b *testing.B) { benchmarkJournal(b, 2, 16) })
	b.Run("writers=2/turn=1", func(b *testing.B) { benchmarkJournal(b, 2, 1) })
}

func benchmarkJournal(b *testing.B, writers int, turn uint64) {
	opt := persist.Options{Policy: persist.Never, SegmentBytes: 1 << 50}
	j, err := persist.OpenJournal(&discarding{FS: fstest.NewDisk()}, "j", opt)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := j.Replay(0, nil); err != nil {
		b.Fatal(err)
	}
	if err := j.StartByHand(1, 0); err != nil {
		b.Fatal(err)
	}
	var buffers []*persist.Buffer
	for range writers {
		buffers = append(buffers, j.Buffer())
	}
	const batch = 1000
	op, now := make([]byte, 60), time.Unix(1, 0)
	lsn, writer := uint64(0), 0
	b.ReportAllocs()
	for b.Loop() {
		lsn++
		if lsn%turn == 0 {
			if writer++; writer == writers {
				writer = 0
			}
		}
		buffers[writer].Append(lsn, 1, 1_700_000_000_000, op)
		if lsn%batch == 0 {
			j.Round(now)
		}
	}
	b.StopTimer()
	if err := j.Err(); err != nil {
		b.Fatal(err)
	}
}
