package persist_test

import (
	"errors"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// FuzzFile reads, checks and salvages anything as a .cdb file. Nothing may panic, or take much
// memory; what loads completely, loads again identically once it has been written.
func FuzzFile(f *testing.F) {
	for codec := range persist.Codec(3) {
		disk := fstest.NewDisk()
		if _, err := persist.WriteFile(disk, "a.cdb", stamp, codec, smallContent().fill); err != nil {
			f.Fatal(err)
		}
		f.Add(disk.Bytes("a.cdb"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := fstest.NewDisk()
		disk.Put("a.cdb", data)
		got, err := load(disk, "a.cdb", 2)
		if err == nil {
			write(t, disk, "b.cdb", got, persist.S2)
			if again, err := load(disk, "b.cdb", 1); err != nil || again.String() != got.String() {
				t.Fatalf("written again, it is another: %v", err)
			}
		}
		if _, err := persist.Salvage(disk, "a.cdb", "c.cdb"); err != nil {
			return
		}
		saved, err := load(disk, "c.cdb", 1)
		if err != nil {
			t.Fatalf("what was salvaged cannot be read: %v", err)
		}
		if got != nil && err == nil && len(got.tables) > len(saved.tables) {
			t.Fatal("salvaging lost a table")
		}
	})
}

// FuzzSegment replays anything as the last segment of a journal, without and with Repair, and
// continues from there.
func FuzzSegment(f *testing.F) {
	disk := fstest.NewDisk()
	j, err := persist.OpenJournal(disk, "j", persist.Options{Policy: persist.Always})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := j.Replay(0, nil); err != nil {
		f.Fatal(err)
	}
	if err := j.StartByHand(1, 0); err != nil {
		f.Fatal(err)
	}
	b := j.Buffer()
	b.Append(1, 1, 0, []byte("one"))
	b.Append(2, 3, 0, nil)
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(disk.Bytes("j/000001.log"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, repair := range []bool{false, true} {
			disk := fstest.NewDisk()
			disk.Put("j/000001.log", data)
			j, err := persist.OpenJournal(disk, "j", persist.Options{Repair: repair})
			if err != nil {
				if repair && errors.Is(err, persist.ErrDamaged) {
					t.Fatalf("not repaired: %v", err)
				}
				continue
			}
			var got ops
			info, err := j.Replay(0, got.add)
			if err != nil {
				if repair && errors.Is(err, persist.ErrDamaged) {
					t.Fatalf("not repaired: %v", err)
				}
				continue
			}
			if info.Last >= 1<<48 {
				continue
			}
			if err := j.StartByHand(info.Last+1, 0); err != nil {
				t.Fatal(err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if _, again, all := openJournal(
				t,
				disk,
				"j",
				persist.Options{},
				0,
			); again.Last != info.Last ||
				len(all) != len(got) {
				t.Fatalf("replayed again: %+v after %+v", again, info)
			}
		}
	})
}
