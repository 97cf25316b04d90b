package persist_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// envelopes collects complete operations.
type envelopes []persist.Operation

func (e *envelopes) add(op persist.Operation) error {
	op.Extensions, op.Request = cloneOrNil(op.Extensions), cloneOrNil(op.Request)
	*e = append(*e, op)
	return nil
}

func cloneOrNil(b []byte) []byte { return append([]byte(nil), b...) }

// replayAll opens and replays a journal.
func replayAll(t *testing.T, disk *fstest.Disk, opt persist.Options) (*persist.Journal, persist.Recovery, envelopes) {
	t.Helper()
	j, err := persist.OpenJournal(disk, "j", opt)
	if err != nil {
		t.Fatal(err)
	}
	var all envelopes
	info, err := j.Replay(0, all.add)
	if err != nil {
		t.Fatal(err)
	}
	return j, info, all
}

// goldenV1 and goldenV2 are what testdata/v1.log and v2.log hold.
var (
	goldenV1 = envelopes{
		{LSN: 1, N: 1, Request: []byte("first")},
		{LSN: 2, N: 3, Request: []byte("three numbers")},
		{LSN: 5, N: 1},
	}
	goldenV2 = envelopes{
		{LSN: 1, N: 1, Time: goldenTime, Semantics: 1},
		{LSN: 2, N: 1, Time: goldenTime + 5000, Semantics: 1, Request: []byte("first")},
		{LSN: 3, N: 3, Time: goldenTime + 5007, Semantics: 1, Request: []byte("three numbers")},
		{
			LSN: 6, N: 1, Time: goldenTime - 1, Semantics: 3,
			Extensions: []byte{1, 2, 0xab, 0xcd, 4, 0}, Request: []byte("extended"),
		},
	}
)

// TestGoldenSegments: segments of every version are read, for ever. A new version adds a file, and
// changes none.
func TestGoldenSegments(t *testing.T) {
	newest := func() []byte { return goldenJournal(t) }
	for version, want := range map[int]envelopes{1: goldenV1, 2: goldenV2} {
		name := fmt.Sprintf("v%d.log", version)
		data := golden(t, name, newest)
		disk := fstest.NewDisk()
		disk.Put("j/000001.log", data)
		j, info, got := replayAll(t, disk, persist.Options{})
		if !reflect.DeepEqual(got, want) || info.Last != want[len(want)-1].LSN || j.Database() != goldenID {
			t.Errorf("%s: %+v\n%+v", name, got, info)
		}
		if version == 2 && !bytes.Equal(newest(), data) {
			t.Error("segments are written in another way now: that is another version")
		}
	}
}

// TestJournalExample: the journal's example in FORMAT.md is testdata/v2.log, byte for byte.
func TestJournalExample(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Journal, version 2")
	_, section, found := strings.Cut(section, "\n### Example\n")
	section, _, _ = strings.Cut(section, "\n#")
	want := golden(t, "v2.log", nil)
	var got []byte
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		line, _, _ = strings.Cut(strings.TrimSpace(line), "   ") // the explanation follows
		fields := strings.Fields(line)
		if at, err := strconv.ParseUint(fields[0], 16, 16); err != nil || int(at) != len(got) {
			t.Errorf("at byte %d, the line begins with %q", len(got), fields[0])
		}
		b, err := hex.DecodeString(strings.Join(fields[1:], ""))
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		got = append(got, b...)
	}
	if !found || !bytes.Equal(got, want) {
		t.Errorf("the example has\n% x\ninstead of\n% x", got, want)
	}
}

// TestVersionErrors: a segment of a later version, or with something in it that this version does
// not know, is refused with its name, its version and what is read.
func TestVersionErrors(t *testing.T) {
	const reads = ", written by a newer version: this program reads versions 1 to 2"
	for _, c := range []struct {
		golden string
		change func(header []byte)
		want   string
	}{
		{"v2.log", func(h []byte) { h[8] = 3 }, "of version 3" + reads},
		{"v2.log", func(h []byte) { h[8], h[9] = 0, 1 }, "of version 256" + reads},
		{"v2.log", func(h []byte) { h[8] = 0 }, "of version 0" + reads},
		{"v2.log", func(h []byte) { h[11] = 0x80 }, "of version 2 with unknown flags 0x8000" + reads},
		{"v1.log", func(h []byte) { h[10] = 1 }, "of version 1 with unknown flags 0x0001" + reads},
		{"v2.log", func(h []byte) { h[12] = 1 }, "of version 2 with values in fields that must be zero" + reads},
		{"v2.log", func(h []byte) { h[59] = 1 }, "of version 2 with values in fields that must be zero" + reads},
		{"v1.log", func(h []byte) { h[48] = 1 }, "of version 1 with values in fields that must be zero" + reads},
	} {
		data := golden(t, c.golden, nil)
		c.change(data)
		binary.LittleEndian.PutUint32(data[60:], checksum(data[:60]))
		for _, data := range [][]byte{data, data[:persist.SegmentHeaderBytes]} {
			disk := fstest.NewDisk()
			disk.Put("j/000001.log", data)
			_, err := persist.OpenJournal(disk, "j", persist.Options{Repair: true})
			var version *persist.VersionError
			if want := "j/000001.log is a journal segment " + c.want; err == nil || err.Error() != want ||
				!errors.Is(err, persist.ErrVersion) || !errors.As(err, &version) {
				t.Errorf("%v\ninstead of\n%s", err, want)
			}
		}
	}
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// segmentV1 returns a segment of version 1, with one record for each list of operations.
func segmentV1(number uint64, records ...envelopes) []byte {
	le := binary.LittleEndian
	b := append([]byte{0x89, 'C', 'D', 'J', '\r', '\n', 0x1a, '\n', 1, 0}, make([]byte, 6)...)
	b = append(b, goldenID[:]...)
	seed := checksum(le.AppendUint64(goldenID[:], number))
	b = le.AppendUint64(le.AppendUint64(b, number), records[0][0].LSN)
	b = append(b, make([]byte, 12)...)
	b = le.AppendUint32(b, checksum(b))
	for _, record := range records {
		var payload []byte
		for _, op := range record {
			payload = binary.AppendUvarint(binary.AppendUvarint(payload, op.N), uint64(len(op.Request)))
			payload = append(payload, op.Request...)
		}
		h := le.AppendUint32(make([]byte, 4), checksum(payload))
		h = le.AppendUint32(le.AppendUint32(h, uint32(len(payload))), uint32(len(record)))
		h = le.AppendUint64(le.AppendUint64(h, record[0].LSN), 0)
		le.PutUint32(h, crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), h[4:]))
		b = append(append(b, h...), payload...)
	}
	return b
}

// TestUnparsableRecord: a last record that matches its checksum, and whose operations cannot be
// parsed, is damage: a torn one would not match.
func TestUnparsableRecord(t *testing.T) {
	disk := fstest.NewDisk()
	disk.Put("j/000001.log", segmentV1(1,
		envelopes{{LSN: 1, N: 1, Request: []byte("a")}},
		envelopes{{LSN: 2, N: 0, Request: []byte("an operation without LSNs")}},
	))
	j, err := persist.OpenJournal(disk, "j", persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = j.Replay(0, func(persist.Operation) error { return nil }); !errors.Is(err, persist.ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}

// TestJournalUpgrade: a journal of version 1 is continued in version 2: both are replayed from one
// directory.
func TestJournalUpgrade(t *testing.T) {
	disk := fstest.NewDisk()
	want := envelopes{
		{LSN: 1, N: 2, Request: []byte("old")},
		{LSN: 3, N: 1, Request: bytes.Repeat([]byte("long"), 100)},
		{LSN: 4, N: 1},
		{LSN: 5, N: 1, Request: []byte("older")},
	}
	disk.Put("j/000001.log", segmentV1(1, want[:1], want[1:2]))
	disk.Put("j/000002.log", append(segmentV1(2, want[2:]), "torn"...))
	for start := range 3 {
		j, info, got := replayAll(t, disk, persist.Options{})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("start %d: %+v", start, got)
		}
		now := int64(1000 * start)
		if err := j.StartByHand(info.Last+1, now); err != nil {
			t.Fatal(err)
		}
		op := persist.Operation{LSN: info.Last + 1, N: 1, Time: now + 1, Semantics: 1, Request: []byte("new")}
		j.Buffer().Add(&op)
		want = append(want, op)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// randomOperations returns operations from LSN first on. Their times go back and forth.
func randomOperations(rng *rand.Rand, first uint64, count int) (all envelopes) {
	const tenYears = 10 * 366 * 24 * 3600 * 1000
	now := int64(goldenTime)
	for range count {
		op := persist.Operation{LSN: first, N: 1 + rng.Uint64N(5), Semantics: 1 + rng.Uint64N(3)}
		switch rng.IntN(20) {
		case 0:
			now += rng.Int64N(2*tenYears) - tenYears
		case 1:
			op.N = 1 << rng.IntN(33)
		case 2:
			op.Semantics = 1 << rng.IntN(32)
		default:
			now += rng.Int64N(200) - 100
		}
		for tag := uint64(0); rng.IntN(4) == 0; {
			tag += 1 + rng.Uint64N(200)
			value := randomBytes(rng, 200)
			op.Extensions = binary.AppendUvarint(binary.AppendUvarint(op.Extensions, tag), uint64(len(value)))
			op.Extensions = append(op.Extensions, value...)
		}
		if size := rng.IntN(300); size > 20 {
			op.Request = randomBytes(rng, size)
		}
		if rng.IntN(100) == 0 {
			op.Request = make([]byte, keptBytes-10+rng.IntN(20))
		}
		op.Request = cloneOrNil(op.Request)
		op.Time = now
		first += op.N
		all = append(all, op)
	}
	return all
}

// TestOperationRoundTrip: operations come back as they were appended, by several writers, in any
// number of records and segments; Recovery.Time is the highest of their times.
func TestOperationRoundTrip(t *testing.T) {
	rng := seed(t)
	for range 60 {
		disk := fstest.NewDisk()
		opt := persist.Options{Policy: persist.Policy(rng.IntN(3)), KeptBytes: keptBytes, SegmentBytes: 20_000}
		j, _ := startByHand(t, disk, "j", opt)
		buffers := []*persist.Buffer{j.Buffer(), j.Buffer(), j.Buffer()}
		want := randomOperations(rng, 1, 1+rng.IntN(800))
		highest := int64(0)
		for i := range want {
			buffers[rng.IntN(3)].Add(&want[i])
			highest = max(highest, want[i].Time)
			if rng.IntN(30) == 0 {
				j.Round(time.Unix(int64(i), 0))
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		_, info, got := replayAll(t, disk, opt)
		for i := range min(len(got), len(want)) {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("operation %d: %+v instead of %+v", i, got[i], want[i])
			}
		}
		if len(got) != len(want) || info.Time != highest {
			t.Fatalf("%d of %d operations, the highest time is %d, not %d", len(got), len(want), info.Time, highest)
		}
	}
}

// TestRecoveredTime: the highest time on disk is that of operations, of the segments, or of the
// .cdb file, and a segment keeps it when those before it are dropped.
func TestRecoveredTime(t *testing.T) {
	disk := fstest.NewDisk()
	db, err := open(disk, persist.Always, nil)
	if err != nil {
		t.Fatal(err)
	}
	highest := int64(0)
	check := func(want int64) {
		t.Helper()
		if r, _, _, err := recoverWith(disk, startOf(persist.Options{})); err != nil || r.Time != want {
			t.Fatalf("the highest time is %d instead of %d: %v", r.Time, want, err)
		}
	}
	check(0)
	for range 200 {
		lsn := db.append(0, 1, append([]byte("sa"), make([]byte, 100)...))
		highest = max(highest, timeOf(lsn))
		db.journal.Round(db.now)
	}
	check(highest)
	if err := db.journal.DropBefore(db.last); err != nil {
		t.Fatal(err)
	}
	if n := len(segmentsOf(disk)); n != 1 {
		t.Fatalf("%d segments", n)
	}
	db.close()
	saved := persist.Stamp{Database: db.id, LSN: db.last, Created: time.UnixMilli(highest)}
	for _, later := range []int64{0, 1234} {
		saved.Created = saved.Created.Add(time.Duration(later) * time.Millisecond)
		if _, err := persist.WriteFile(disk, dataFile, saved, persist.Raw, db.content().fill); err != nil {
			t.Fatal(err)
		}
		check(highest + later)
	}
}

// journalBytes returns how many bytes the operations take in the journal, in version 2, if each is
// alone in its record, or if all are in one.
func journalBytes(t *testing.T, ops envelopes, alone bool) int64 {
	t.Helper()
	j, _ := startByHand(t, fstest.NewDisk(), "j", persist.Options{})
	b, before := j.Buffer(), j.BytesWritten()
	for i := range ops {
		b.Add(&ops[i])
		if alone {
			j.Round(time.Unix(0, 0))
		}
	}
	j.Round(time.Unix(0, 0))
	n := j.BytesWritten() - before
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOperationCost: what an operation takes more than in version 1, as FORMAT.md says.
func TestOperationCost(t *testing.T) {
	const count = 2000
	millisecond := func(i int) int64 { return int64(i / 100) } // 100 operations each
	after := func(d time.Duration) func(int) int64 { return func(int) int64 { return d.Milliseconds() } }
	for _, c := range []struct {
		what  string
		alone bool
		time  func(i int) int64
		more  int64
	}{
		{"full records", false, millisecond, 2},
		{"alone, after 63 ms", true, after(63 * time.Millisecond), 2},
		{"alone, after 8 s", true, after(8 * time.Second), 3},
		{"alone, after 17 minutes", true, after(17 * time.Minute), 4},
		{"alone, after 37 hours", true, after(37 * time.Hour), 5},
	} {
		var ops envelopes
		var records []envelopes
		for i := range count { // DICT SET, a key of 16 and a value of 32 bytes
			op := persist.Operation{LSN: uint64(i + 1), N: 1, Time: c.time(i), Semantics: 1, Request: make([]byte, 60)}
			ops = append(ops, op)
			records = append(records, envelopes{op})
		}
		if !c.alone {
			records = []envelopes{ops}
		}
		v1 := int64(len(segmentV1(1, records...)) - persist.SegmentHeaderBytes)
		v2 := journalBytes(t, ops, c.alone)
		t.Logf("%s: %.2f bytes, %.2f in version 1", c.what, float64(v2)/count, float64(v1)/count)
		if v2-v1 != c.more*count {
			t.Errorf("%s: %d bytes more for %d operations", c.what, v2-v1, count)
		}
	}
}

// TestTimeOfSkipped: Recovery.Time counts the operations that the .cdb file has too: after a load,
// the file may be older than they are.
func TestTimeOfSkipped(t *testing.T) {
	disk := fstest.NewDisk()
	j, _ := startByHand(t, disk, "j", persist.Options{})
	b := j.Buffer()
	b.Append(1, 1, goldenTime, []byte("late"))
	j.Round(time.Unix(0, 0))
	b.Append(2, 1, 1, []byte("early"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for after := range uint64(3) {
		if _, info, _ := openJournal(t, disk, "j", persist.Options{}, after); info.Time != goldenTime {
			t.Errorf("after LSN %d: the highest time is %d, not %d", after, info.Time, int64(goldenTime))
		}
	}
}
