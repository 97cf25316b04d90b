package persist_test

import (
	"bytes"
	"flag"
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

// TestGoldenFiles: the .cdb files of every version and codec are read, for ever. A new version adds
// files, and changes none.
func TestGoldenFiles(t *testing.T) {
	for codec, name := range []string{"v2-raw.cdb", "v2-s2.cdb", "v2-zstd.cdb"} {
		s := stamp
		s.Database = goldenID
		made := func() []byte {
			disk := fstest.NewDisk()
			if _, err := persist.WriteFile(disk, name, s, persist.Codec(codec), smallContent().fill); err != nil {
				t.Fatal(err)
			}
			return disk.Bytes(name)
		}
		data := golden(t, name, made)
		disk := fstest.NewDisk()
		disk.Put(name, data)
		r, err := persist.Open(disk, name)
		if err != nil {
			t.Fatal(err)
		}
		if info := r.Info(); info.Database != goldenID || info.LSN != s.LSN || !info.Created.Equal(s.Created) ||
			info.Items != 5 {
			t.Errorf("%s: %+v", name, info)
		}
		if got, err := load(disk, name, 2); err != nil || got.String() != smallContent().String() {
			t.Errorf("%s: %v\n%v", name, err, got)
		}
		if codec == 0 && !bytes.Equal(made(), data) {
			t.Errorf("%s is written in another way now: that is another version", name)
		}
	}
}
