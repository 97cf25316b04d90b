package persist_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/sequence"
)

// copying is a sink that keeps what it takes.
type copying struct{ all envelopes }

func (c *copying) Take(b *sequence.Batch) error {
	for op := range b.Operations() {
		_ = c.all.add(*op)
	}
	return nil
}

// TestJournalSink: a sink of a journal on a real disk takes what a replay of the files gives, from
// the LSN on at which it was attached. If it acknowledges, Sync waits for it.
func TestJournalSink(t *testing.T) {
	for _, policy := range []persist.Policy{persist.Always, persist.EverySecond, persist.Never} {
		dir := filepath.Join(t.TempDir(), "journal")
		j, _ := startJournal(t, persist.OS, dir, persist.Options{Policy: policy, SegmentBytes: 64 << 10})
		var clock atomic.Uint64
		write := func() {
			var writers sync.WaitGroup
			for range 3 {
				writers.Go(func() {
					b := j.Buffer()
					defer b.Close()
					for range 1000 {
						lsn := clock.Add(1)
						b.Append(lsn, 1, int64(lsn), bytes.Repeat([]byte{byte(lsn)}, int(lsn%90)))
						j.Flush()
					}
				})
			}
			writers.Wait()
		}
		write()
		var sink copying
		a, after, err := j.Attach(&sink, sequence.SinkOptions{Acknowledge: true, MaxBehindBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		write()
		if err := j.Sync(clock.Load()); err != nil {
			t.Fatal(err)
		}
		if taken, _ := a.Taken(); taken != clock.Load() {
			t.Errorf("synced up to %d, and the sink has taken up to %d", clock.Load(), taken)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		<-a.Done()
		again, err := persist.OpenJournal(persist.OS, dir, persist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var want envelopes
		if _, err := again.Replay(0, want.add); err != nil {
			t.Fatal(err)
		}
		if want = want[after:]; !reflect.DeepEqual(sink.all, want) || len(want) == 0 {
			t.Errorf("%v: the sink has %d operations, the files have %d", policy, len(sink.all), len(want))
		}
		if err := a.Err(); !errors.Is(err, persist.ErrClosed) {
			t.Error(err)
		}
	}
}
