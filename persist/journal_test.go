package persist_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// ops is what a replay gives: the operations with their LSNs.
type ops []string

func (o *ops) add(op persist.Operation) error {
	*o = append(*o, fmt.Sprintf("%d+%d %q", op.LSN, op.N, op.Request))
	return nil
}

// openJournal opens and replays a journal, ready to be started.
func openJournal(
	t *testing.T,
	fsys persist.FS,
	dir string,
	opt persist.Options,
	after uint64,
) (*persist.Journal, persist.Recovery, ops) {
	t.Helper()
	var all ops
	j, err := persist.OpenJournal(fsys, dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	info, err := j.Replay(after, all.add)
	if err != nil {
		t.Fatal(err)
	}
	return j, info, all
}

// startByHand is openJournal and StartByHand.
func startByHand(t *testing.T, fsys persist.FS, dir string, opt persist.Options) (*persist.Journal, uint64) {
	t.Helper()
	j, info, _ := openJournal(t, fsys, dir, opt, 0)
	if err := j.StartByHand(info.Last+1, 0); err != nil {
		t.Fatal(err)
	}
	return j, info.Last
}

// startJournal is openJournal and Start.
func startJournal(t *testing.T, fsys persist.FS, dir string, opt persist.Options) (*persist.Journal, uint64) {
	t.Helper()
	j, info, _ := openJournal(t, fsys, dir, opt, 0)
	if err := j.Start(info.Last+1, 0); err != nil {
		t.Fatal(err)
	}
	return j, info.Last
}

// TestJournalWriters: many writers take LSNs and append at once, under every policy, on a real
// disk. Each operation is replayed once, in order; it is on disk when Sync returns.
func TestJournalWriters(t *testing.T) {
	for _, policy := range []persist.Policy{persist.Always, persist.EverySecond, persist.Never} {
		t.Run(policy.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			var synced atomic.Int64
			opt := persist.Options{
				Policy:       policy,
				SegmentBytes: 64 << 10,
				KeptBytes:    keptBytes,
				OnSync:       func() { synced.Add(1) },
			}
			j, _ := startJournal(t, persist.OS, dir, opt)
			var clock atomic.Uint64
			var writers sync.WaitGroup
			const each = 2000
			for w := range 8 {
				writers.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 0))
					b := j.Buffer()
					defer b.Close()
					for i := range each {
						n := 1 + rng.Uint64N(3)
						lsn := clock.Add(n) - n + 1
						if rng.IntN(10) == 0 {
							runtime.Gosched() // others append later LSNs first
						}
						size := 8 + rng.IntN(50)
						if rng.IntN(200) == 0 {
							size = keptBytes - 2 + rng.IntN(4)
						}
						op := make([]byte, size)
						binary.LittleEndian.PutUint64(op, lsn)
						b.Append(lsn, n, 0, op)
						if i%16 == 0 {
							j.Flush()
						}
						if i%500 == 0 {
							if err := j.Sync(lsn); err != nil {
								t.Error(err)
							}
							if j.Durable() < lsn || j.Written() < lsn {
								t.Errorf("synced, and durable only up to %d of %d", j.Durable(), lsn)
							}
						}
					}
				})
			}
			writers.Wait()
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if j.Durable() != clock.Load() || synced.Load() == 0 || j.Pending() != 0 {
				t.Fatalf(
					"durable up to %d of %d, %d syncs, %d bytes pending",
					j.Durable(),
					clock.Load(),
					synced.Load(),
					j.Pending(),
				)
			}
			next, count := uint64(1), 0
			j2, err := persist.OpenJournal(persist.OS, dir, persist.Options{})
			if err != nil {
				t.Fatal(err)
			}
			info, err := j2.Replay(0, func(op persist.Operation) error {
				if name := binary.LittleEndian.Uint64(op.Request); op.LSN != next || name != op.LSN {
					return fmt.Errorf("operation %d, which calls itself %d, instead of %d", op.LSN, name, next)
				}
				next += op.N
				count++
				return nil
			})
			if err != nil || count != 8*each || info.Last != clock.Load() || info.Truncation != nil ||
				info.Segments < 3 {
				t.Fatalf("%d operations, %+v: %v", count, info, err)
			}
		})
	}
}

// TestJournalSyncsByItself: everysec syncs without a caller that waits or flushes.
func TestJournalSyncsByItself(t *testing.T) {
	synced := make(chan struct{}, 100)
	j, _ := startJournal(t, fstest.NewDisk(), "j", persist.Options{OnSync: func() { synced <- struct{}{} }})
	b := j.Buffer()
	b.Append(1, 1, 0, []byte("a"))
	<-synced
	if j.Durable() != 1 {
		t.Fatal(j.Durable())
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestJournalRequestSync: a requested sync does not wait for the policy.
func TestJournalRequestSync(t *testing.T) {
	j, _ := startJournal(t, fstest.NewDisk(), "j", persist.Options{Policy: persist.Never})
	b := j.Buffer()
	for lsn := uint64(1); lsn < 100; lsn++ {
		b.Append(lsn, 1, 0, []byte("a"))
		if err := j.Sync(lsn); err != nil || j.Durable() < lsn {
			t.Fatal(err, j.Durable())
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(1000); !errors.Is(err, persist.ErrClosed) {
		t.Fatal(err)
	}
}

// manual returns a started journal without a flusher, with operations 1 to n of size bytes, one
// record each, all synced but the last unsynced.
func manual(t *testing.T, disk *fstest.Disk, n, unsynced, size int) *persist.Journal {
	t.Helper()
	j, last := startByHand(t, disk, "j", persist.Options{Policy: persist.Never, SegmentBytes: 4000})
	b := j.Buffer()
	for i := range uint64(n) {
		lsn := last + i + 1
		b.Append(lsn, 1, 0, slices.Repeat([]byte{byte('a' + lsn%26)}, size))
		if int(i) < n-unsynced {
			j.RequestSync(lsn)
		}
		j.Round(time.Unix(int64(i), 0))
	}
	return j
}

// TestJournalGap: what has a gap before it waits, in memory, for what is missing; if it never
// comes, closing says so.
func TestJournalGap(t *testing.T) {
	disk := fstest.NewDisk()
	j := manual(t, disk, 3, 0, 5)
	a, b := j.Buffer(), j.Buffer()
	b.Append(5, 2, 0, []byte("late"))
	j.RequestSync(6)
	j.Round(time.Unix(9, 0))
	if j.Durable() != 3 || j.Pending() == 0 {
		t.Fatal(j.Durable(), j.Pending())
	}
	a.Append(4, 1, 0, []byte("missing"))
	j.Round(time.Unix(9, 0))
	if j.Durable() != 6 || j.Pending() != 0 {
		t.Fatal(j.Durable(), j.Pending())
	}
	b.Append(8, 1, 0, []byte("lost"))
	if err := j.Close(); err == nil || !strings.Contains(err.Error(), "7") {
		t.Fatal(err)
	}
	_, info, all := openJournal(t, disk, "j", persist.Options{}, 3)
	if want := (ops{`4+1 "missing"`, `5+2 "late"`}); !slices.Equal(all, want) || info.Last != 6 {
		t.Fatal(all, info)
	}
}

// TestJournalGapNeverFilled: an operation that never comes breaks the journal, after many looks,
// instead of keeping all others in memory for ever.
func TestJournalGapNeverFilled(t *testing.T) {
	j := manual(t, fstest.NewDisk(), 3, 0, 5)
	b := j.Buffer()
	b.Append(5, 1, 0, []byte("after the gap"))
	now := time.Unix(100, 0)
	for looks := 0; j.Err() == nil; looks++ {
		if looks > 1000 {
			t.Fatal("still waiting")
		}
		j.Round(now)
		j.Round(now.Add(time.Hour * time.Duration(looks%2))) // a process that was stopped looks once
		now = now.Add(150 * time.Millisecond)
	}
	if err := j.Err(); !strings.Contains(err.Error(), "operation 4") || now.Sub(time.Unix(100, 0)) < 5*time.Second {
		t.Fatal(now, err)
	}
	if j.Durable() != 3 || j.Pending() != 0 {
		t.Fatal(j.Durable(), j.Pending())
	}
}

// TestJournalFallingLSNs: LSNs that do not rise break the journal instead of being written in
// disorder.
func TestJournalFallingLSNs(t *testing.T) {
	j := manual(t, fstest.NewDisk(), 0, 0, 0)
	b := j.Buffer()
	b.Append(1, 3, 0, []byte("a"))
	b.Append(3, 1, 0, []byte("b"))
	if j.Err() == nil {
		t.Fatal("taken")
	}
	j.Round(time.Unix(9, 0))
	if j.Durable() != 0 || j.Close() == nil {
		t.Fatal(j.Durable())
	}
}

// TestJournalRefusalIsReported: OnSync is called when an invalid operation breaks the journal.
func TestJournalRefusalIsReported(t *testing.T) {
	reported := make(chan struct{}, 100)
	j, _ := startJournal(t, fstest.NewDisk(), "j", persist.Options{OnSync: func() { reported <- struct{}{} }})
	j.Buffer().Append(1, 0, 0, nil)
	<-reported
	if err := j.Err(); err == nil || j.Close() == nil {
		t.Fatal(err)
	}
}

// TestJournalDrop: segments go when the older file covers them, and not before.
func TestJournalDrop(t *testing.T) {
	disk := fstest.NewDisk()
	j := manual(t, disk, 300, 0, 30)
	size := j.Size()
	if err := j.DropBefore(10); err != nil || j.Size() != size {
		t.Fatal(j.Size(), size, err)
	}
	if err := j.DropBefore(200); err != nil || j.Size() >= size {
		t.Fatal(j.Size(), size, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, info, all := openJournal(t, disk, "j", persist.Options{}, 200)
	if len(all) != 100 || info.Last != 300 {
		t.Fatal(info)
	}
	again, err := persist.OpenJournal(disk, "j", persist.Options{DataFile: "data.cdb"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = again.Replay(20, all.add)
	if !errors.Is(err, persist.ErrMismatch) || !strings.Contains(err.Error(), "data.cdb") ||
		!strings.Contains(err.Error(), ".log") {
		t.Fatal(err)
	}
	if err := j.DropBefore(1000); err != nil || len(disk.Names()) != 1 {
		t.Fatal(disk, err)
	}
}

// TestJournalDropOfMissing: a segment that another program has removed does not prevent dropping
// the others.
func TestJournalDropOfMissing(t *testing.T) {
	disk := fstest.NewDisk()
	j := manual(t, disk, 300, 0, 30)
	if err := disk.Remove(disk.Names()[0]); err != nil {
		t.Fatal(err)
	}
	if err := j.DropBefore(300); err != nil || len(disk.Names()) != 1 {
		t.Fatal(disk, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestJournalRestarts: starts that write nothing leave no segments, and the LSNs continue.
func TestJournalRestarts(t *testing.T) {
	disk := fstest.NewDisk()
	if err := manual(t, disk, 2, 0, 5).Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := manual(t, disk, 0, 0, 5).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(disk.Names()) != 2 {
		t.Fatal(disk)
	}
	j, info, _ := openJournal(t, disk, "j", persist.Options{}, 0)
	if info.Last != 2 {
		t.Fatal(info)
	}
	if err := j.StartByHand(2, 0); err == nil {
		t.Fatal("started at a number that is in use")
	}
}

// TestJournalOfOther: a journal of another database is refused with both names.
func TestJournalOfOther(t *testing.T) {
	disk := fstest.NewDisk()
	if err := manual(t, disk, 2, 0, 5).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := persist.OpenJournal(disk, "j", persist.Options{Database: persist.NewID(), DataFile: "other.cdb"})
	if !errors.Is(err, persist.ErrMismatch) || !strings.Contains(err.Error(), "other.cdb") ||
		!strings.Contains(err.Error(), "000001.log") {
		t.Fatal(err)
	}
}

// replayChanged replays a segment that was changed: what comes out must be a beginning of what was
// written.
func replayChanged(t *testing.T, changed []byte, want ops, how string, more ...[]byte) (persist.Recovery, int, error) {
	t.Helper()
	disk := fstest.NewDisk()
	disk.Put("j/000001.log", changed)
	for i, b := range more {
		disk.Put(fmt.Sprintf("j/%06d.log", i+2), b)
	}
	j, err := persist.OpenJournal(disk, "j", persist.Options{})
	if err != nil {
		return persist.Recovery{}, 0, err
	}
	var got ops
	info, err := j.Replay(0, got.add)
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
		t.Fatalf("%s: wrong data:\n%q instead of\n%q", how, got, want)
	}
	return info, len(got), err
}

// TestJournalReserves: under Always zeros are written ahead of the records; a killed process leaves
// them, which loses nothing and is no cut. A segment that is closed has none, and zeros anywhere
// but at the end of the last segment are damage.
func TestJournalReserves(t *testing.T) {
	disk := fstest.NewDisk()
	opt := persist.Options{Policy: persist.Always, SegmentBytes: 4000}
	j, _ := startByHand(t, disk, "j", opt)
	b := j.Buffer()
	for lsn := uint64(1); lsn <= 6; lsn++ {
		b.Append(lsn, 1, 0, slices.Repeat([]byte{byte('a' + lsn)}, 1000))
		j.Round(time.Unix(int64(lsn), 0))
	}
	first, second := disk.Bytes("j/000001.log"), disk.Bytes("j/000002.log")
	if len(first) >= 4000 || first[len(first)-1] == 0 || j.Size() >= int64(len(first)+len(second)) {
		t.Fatalf("segments of %d and %d bytes, the journal has %d", len(first), len(second), j.Size())
	}
	if len(second) != 4000 || second[len(second)-1] != 0 {
		t.Fatalf("a segment of %d bytes, with nothing reserved", len(second))
	}

	killed, info, all := openJournal(t, disk, "j", opt, 0)
	if len(all) != 6 || info.Truncation != nil {
		t.Fatalf("%d operations, cut: %v", len(all), info.Truncation)
	}
	if err := killed.StartByHand(7, 0); err != nil {
		t.Fatal(err)
	}
	killed.Buffer().Append(7, 1, 0, []byte("g"))
	if err := killed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range disk.Names() {
		if data := disk.Bytes(name); len(data) >= 4000 {
			t.Errorf("%s has %d bytes after the end", name, len(data))
		}
	}
	if _, info, all := openJournal(t, disk, "j", opt, 0); len(all) != 7 || info.Truncation != nil {
		t.Fatalf("%d operations, cut: %v", len(all), info.Truncation)
	}

	name := disk.Names()[len(disk.Names())-1]
	whole := disk.Bytes(name)
	disk.Put(name, append(whole, make([]byte, 1<<20+1)...))
	if _, info, all := openJournal(t, disk, "j", opt, 0); len(all) != 7 || info.Truncation == nil {
		t.Fatalf("%d operations, and more zeros than are reserved are no torn tail", len(all))
	}
	disk.Put(name, whole)

	disk.Put("j/000001.log", append(first, make([]byte, 4000)...))
	again, err := persist.OpenJournal(disk, "j", opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Replay(
		0,
		new(ops).add,
	); !errors.Is(err, persist.ErrDamaged) ||
		!strings.Contains(err.Error(), "j/000001.log") {
		t.Fatalf("zeros after a segment that is not the last: %v", err)
	}
}

// segmentOf returns a small segment, and what is in it. Its last operation, if unsynced is not 0,
// was never synced.
func segmentOf(t *testing.T, unsynced int) ([]byte, ops) {
	t.Helper()
	disk := fstest.NewDisk()
	j := manual(t, disk, 6, unsynced, 11)
	if unsynced == 0 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, _, want := openJournal(t, disk, "j", persist.Options{}, 0)
	if len(want) != 6 {
		t.Fatal(want)
	}
	return disk.Bytes("j/000001.log"), want
}

// TestSegmentEveryFlip: each bit flipped, one at a time, of what was on disk is rejected with file
// and offset. In what was never synced it may be taken for a torn tail, which is reported and cut
// off.
func TestSegmentEveryFlip(t *testing.T) {
	for _, unsynced := range []int{0, 2} {
		data, want := segmentOf(t, unsynced)
		// of the last record, which says that all before it is on disk
		last := len(data) - persist.RecordHeaderBytes
		for i := range data {
			for bit := range 8 {
				how := fmt.Sprintf("%d unsynced, byte %d bit %d", unsynced, i, bit)
				data[i] ^= 1 << bit
				info, n, err := replayChanged(t, data, want, how)
				data[i] ^= 1 << bit
				switch {
				case err == nil && info.Truncation == nil:
					t.Fatalf("%s: not detected", how)
				case err == nil && n < 6-unsynced-1:
					t.Fatalf("%s: what was on disk is gone without an error", how)
				case err == nil && unsynced == 0 && i < last:
					t.Fatalf("%s: damage was taken for a torn tail", how)
				case err != nil && (!errors.Is(err, persist.ErrDamaged) && !errors.Is(err, persist.ErrForeign) && !errors.Is(err, persist.ErrVersion) ||
					!strings.Contains(err.Error(), "j/000001.log")):
					t.Fatalf("%s: %v", how, err)
				}
			}
		}
	}
}

// TestSegmentEveryTruncation: the last segment, cut anywhere, gives a beginning of what was in it;
// an earlier one is refused.
func TestSegmentEveryTruncation(t *testing.T) {
	data, want := segmentOf(t, 0)
	next := fstest.NewDisk()
	next.Put("j/000001.log", data)
	if err := manual(t, next, 1, 0, 5).Close(); err != nil {
		t.Fatal(err)
	}
	second := next.Bytes("j/000002.log")
	for n := range data {
		how := fmt.Sprintf("cut at %d", n)
		if _, _, err := replayChanged(t, data[:n], want, how); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		for _, tail := range [][]byte{make([]byte, 1), make([]byte, 100), []byte("not a record at all, but long enough to be one")} {
			if n < 64 && n+len(tail) > 64 {
				continue // a header that is damaged, not one that was never written
			}
			if _, _, err := replayChanged(
				t,
				append(slices.Clone(data[:n]), tail...),
				want,
				how+" and a tail",
			); err != nil {
				t.Fatalf("%s and a tail: %v", how, err)
			}
		}
		// Without its last record, which has no operations, a segment is complete.
		_, got, err := replayChanged(t, data[:n], append(slices.Clone(want), `7+1 "hhhhh"`), how, second)
		if n == len(data)-persist.RecordHeaderBytes {
			if err != nil || got != 7 {
				t.Fatal(got, err)
			}
			continue
		}
		if !errors.Is(err, persist.ErrDamaged) {
			t.Fatalf("%s, with a segment after it: %v", how, err)
		}
	}
}

// TestJournalRepair: with Repair a damaged journal is used up to the damage, the rest is
// quarantined, and the journal continues from there.
func TestJournalRepair(t *testing.T) {
	disk := fstest.NewDisk()
	if err := manual(t, disk, 300, 0, 30).Close(); err != nil {
		t.Fatal(err)
	}
	names := disk.Names()
	data := disk.Bytes(names[1])
	data[len(data)/2] ^= 1
	disk.Put(names[1], data)
	j, err := persist.OpenJournal(disk, "j", persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all ops
	if _, err := j.Replay(0, all.add); !errors.Is(err, persist.ErrDamaged) || !strings.Contains(err.Error(), names[1]) {
		t.Fatal(err)
	}
	j, info, before := openJournal(t, disk, "j", persist.Options{Repair: true}, 0)
	if info.Truncation == nil || !info.Truncation.Damaged || info.Truncation.File != names[1] ||
		info.Last != uint64(len(before)) ||
		len(before) < 80 {
		t.Fatal(info)
	}
	if err := j.StartByHand(info.Last+1, 0); err != nil {
		t.Fatal(err)
	}
	j.Buffer().Append(info.Last+1, 1, 0, []byte("new"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, after := openJournal(t, disk, "j", persist.Options{}, 0)
	if want := append(before, fmt.Sprintf("%d+1 %q", info.Last+1, "new")); !slices.Equal(after, want) {
		t.Fatal(after)
	}
	if aside := disk.Bytes(names[1] + ".damaged"); !slices.Equal(aside, data) {
		t.Fatal("the damaged segment has not been kept")
	}
	for _, name := range names[2:] {
		if disk.Bytes(name+".damaged") == nil {
			t.Fatal(name, disk)
		}
	}
}

// TestJournalRepairHeader: with Repair a segment with a damaged header is quarantined.
func TestJournalRepairHeader(t *testing.T) {
	disk := fstest.NewDisk()
	if err := manual(t, disk, 300, 0, 30).Close(); err != nil {
		t.Fatal(err)
	}
	names := disk.Names()
	data := disk.Bytes(names[1])
	data[20] ^= 1
	disk.Put(names[1], data)
	if _, err := persist.OpenJournal(disk, "j", persist.Options{}); !errors.Is(err, persist.ErrDamaged) {
		t.Fatal(err)
	}
	j, info, before := openJournal(t, disk, "j", persist.Options{Repair: true}, 0)
	if len(info.Quarantined) != 1 || info.Truncation == nil || len(before) < 40 || len(before) >= 200 {
		t.Fatal(info, len(before))
	}
	if err := j.StartByHand(info.Last+1, 0); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, after := openJournal(t, disk, "j", persist.Options{}, 0); !slices.Equal(after, before) {
		t.Fatal(after)
	}
}
