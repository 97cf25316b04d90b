package persist_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

var update = flag.Bool(
	"update",
	false,
	"write golden files that are missing; one that is there stays as it is for ever",
)

// goldenID and what follows it are in the golden files, which FORMAT.md shows.
var goldenID = persist.ID{0xc0, 0xff, 0xee, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// goldenTime is the time of the golden journal's store when it was started.
const goldenTime = 1_700_000_000_123

func goldenJournal(t *testing.T) []byte {
	t.Helper()
	disk := fstest.NewDisk()
	j, info, _ := openJournal(t, disk, "j", persist.Options{Database: goldenID}, 0)
	if err := j.StartByHand(info.Last+2, goldenTime); err != nil { // LSN 1 is skipped
		t.Fatal(err)
	}
	b := j.Buffer()
	b.Append(2, 1, goldenTime+5000, []byte("first"))
	b.Append(3, 3, goldenTime+5007, []byte("three numbers"))
	j.RequestSync(5)
	j.Round(stamp.Created)
	b.Add(&persist.Operation{
		LSN: 6, N: 1, Time: goldenTime - 1, Semantics: 3,
		Extensions: []byte{1, 2, 0xab, 0xcd, 4, 0},
		Request:    []byte("extended"),
	})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return disk.Bytes("j/000001.log")
}

func golden(t *testing.T, name string, made func() []byte) []byte {
	t.Helper()
	name = "testdata/" + name
	data, err := os.ReadFile(name)
	if os.IsNotExist(err) && *update {
		data = made()
		err = os.WriteFile(name, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldenFiles are the .cdb files in testdata, by version and codec.
var goldenFiles = map[uint16][]string{
	2: {"v2-raw.cdb", "v2-s2.cdb", "v2-zstd.cdb"},
	3: {"v3-raw.cdb", "v3-s2.cdb", "v3-zstd.cdb"},
}

// goldenContent is what the golden files of a version hold.
func goldenContent(version uint16) *content {
	c := smallContent()
	if version == 2 { // it has no deadlines
		c.tables[0].entries[1].Deadline = 0
	}
	return c
}

// makeGolden writes a file of the present version as in testdata.
func makeGolden(t *testing.T, codec persist.Codec, c *content) []byte {
	t.Helper()
	s := stamp
	s.Database = goldenID
	disk := fstest.NewDisk()
	if _, err := persist.WriteFile(disk, "golden.cdb", s, codec, c.fill); err != nil {
		t.Fatal(err)
	}
	return disk.Bytes("golden.cdb")
}

// TestGoldenFiles: the .cdb files of every version and codec are read, for ever. A new version adds
// files, and changes none.
func TestGoldenFiles(t *testing.T) {
	for version, names := range goldenFiles {
		for codec, name := range names {
			data := golden(t, name, func() []byte { return makeGolden(t, persist.Codec(codec), smallContent()) })
			disk := fstest.NewDisk()
			disk.Put(name, data)
			r, err := persist.Open(disk, name)
			if err != nil {
				t.Fatal(err)
			}
			if info := r.Info(); data[8] != byte(version) || info.Database != goldenID || info.LSN != stamp.LSN ||
				!info.Created.Equal(stamp.Created) || info.Items != 5 {
				t.Errorf("%s: version %d, %+v", name, data[8], info)
			}
			if got, err := load(disk, name, 2); err != nil || got.String() != goldenContent(version).String() {
				t.Errorf("%s: %v\n%v", name, err, got)
			}
		}
	}
	if !bytes.Equal(makeGolden(t, persist.Raw, smallContent()), golden(t, "v3-raw.cdb", nil)) {
		t.Error("v3-raw.cdb is written in another way now: that is another version")
	}
}

// TestGoldenExpiry: a file with options, marks and entries that never expire is read, for ever, and
// each flipped bit of it is detected.
func TestGoldenExpiry(t *testing.T) {
	const name = "v3-expiry.cdb"
	data := golden(t, name, func() []byte { return makeGolden(t, persist.Raw, expiringContent()) })
	if !bytes.Equal(makeGolden(t, persist.Raw, expiringContent()), data) {
		t.Error(name + " is written in another way now: that is another version")
	}
	disk, want := fstest.NewDisk(), expiringContent().String()
	disk.Put(name, data)
	if got, err := load(disk, name, 2); err != nil || got.String() != want {
		t.Fatalf("%v\n%v", err, got)
	}
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			check(t, data, want, fmt.Sprintf("byte %d bit %d", i, bit))
			data[i] ^= 1 << bit
		}
	}
	clear(data[64+40:][:3]) // the table's block
	disk.Put("a.cdb", data)
	if _, err := persist.Salvage(disk, "a.cdb", "b.cdb"); err != nil {
		t.Fatal(err)
	}
	without := expiringContent()
	without.tables[0].Marks = nil // the index has none
	if got, err := load(disk, "b.cdb", 1); err != nil || got.String() != without.String() {
		t.Errorf("salvaged without the table's block: %v\n%v", err, got)
	}
}

// TestGoldenQueue: a file with held items and elements that were delivered is read, for ever, and
// each flipped bit of it is detected. Without a block, the other items are salvaged as they were.
func TestGoldenQueue(t *testing.T) {
	const name = "v3-queue.cdb"
	data := golden(t, name, func() []byte { return makeGolden(t, persist.Raw, queueContent()) })
	if !bytes.Equal(makeGolden(t, persist.Raw, queueContent()), data) {
		t.Error(name + " is written in another way now: that is another version")
	}
	disk, want := fstest.NewDisk(), queueContent().String()
	disk.Put(name, data)
	r, err := persist.Open(disk, name)
	if err != nil {
		t.Fatal(err)
	}
	if jobs := r.Tables()[0]; jobs.Len() != 3 || jobs.Queue.Held != 2 || jobs.Items != 5 {
		t.Errorf("%d elements, %+v", jobs.Len(), jobs.Queue)
	}
	_ = r.Close()
	if got, err := load(disk, name, 2); err != nil || got.String() != want {
		t.Fatalf("%v\n%v", err, got)
	}
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			check(t, data, want, fmt.Sprintf("byte %d bit %d", i, bit))
			data[i] ^= 1 << bit
		}
	}
	held := bytes.Index(data, []byte("\x02\xa1a")) // in the block of held items
	data[held+1] ^= 1
	disk.Put("a.cdb", data)
	if _, err := persist.Salvage(disk, "a.cdb", "b.cdb"); err != nil {
		t.Fatal(err)
	}
	without := queueContent()
	without.tables[0].held = nil
	if got, err := load(disk, "b.cdb", 1); err != nil || got.String() != without.String() {
		t.Errorf("salvaged without the held items: %v\n%v", err, got)
	}
}

// TestGoldenFilesSalvaged: each flipped bit of a file of an older version is detected, and what is
// salvaged is what was written, also without a header.
func TestGoldenFilesSalvaged(t *testing.T) {
	for version, names := range goldenFiles {
		data, want := golden(t, names[persist.Raw], nil), goldenContent(version).String()
		for i := range data {
			for bit := range 8 {
				data[i] ^= 1 << bit
				check(t, data, want, fmt.Sprintf("version %d, byte %d bit %d", version, i, bit))
				data[i] ^= 1 << bit
			}
		}
		disk := fstest.NewDisk()
		clear(data[:40])
		disk.Put("a.cdb", data)
		saved, err := persist.Salvage(disk, "a.cdb", "b.cdb")
		if err != nil {
			t.Fatal(err)
		}
		got, err := load(disk, "b.cdb", 1)
		text := fmt.Sprintf("64 bytes at byte 0: the file's header; the new file has no database id; "+
			"the blocks are those of version %d", version)
		if err != nil || got.String() != want || len(saved.Lost) != 1 || saved.Lost[0].String() != text {
			t.Errorf("without a header: %v, %v\n%v", err, saved.Lost, got)
		}
	}
}
