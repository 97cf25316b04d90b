package persist_test

import (
	"errors"
	"reflect"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/persist/sequence"
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
		if _, err := persist.WriteFile(disk, "b.cdb", stamp, codec, expiringContent().fill); err != nil {
			f.Fatal(err)
		}
		f.Add(disk.Bytes("b.cdb"))
		if _, err := persist.WriteFile(disk, "c.cdb", stamp, codec, queueContent().fill); err != nil {
			f.Fatal(err)
		}
		f.Add(disk.Bytes("c.cdb"))
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

// FuzzOperations parses anything as the operations of a record, in both versions. Nothing panics,
// and what can be parsed is written again as the same operations.
func FuzzOperations(f *testing.F) {
	ext := persist.Operation{
		LSN:        1,
		N:          2,
		Time:       -5,
		Semantics:  3,
		Extensions: []byte{1, 1, 7, 4, 0},
		Request:    []byte("x"),
	}
	f.Add(uint16(2), persist.AppendOperation(nil, &ext, 1<<40))
	f.Add(uint16(2), []byte{2, 1, 0, 0, 2, 1, 0x7e, 2, 'o', 'k'})
	f.Add(uint16(1), []byte{1, 5, 'f', 'i', 'r', 's', 't', 3, 0})
	f.Fuzz(func(t *testing.T, version uint16, payload []byte) {
		const first, start = 7, 1_700_000_000_000
		version = 1 + version%2
		all, ok := persist.Operations(version, payload, first, start)
		if !ok {
			return
		}
		var again []byte
		next, before := uint64(first), int64(start)
		for i := range all {
			op := &all[i]
			if op.LSN != next || op.N < 1 || op.N > sequence.MaxNumbers ||
				version == 1 && (op.Time != 0 || op.Semantics != 0) {
				t.Fatalf("%+v", op)
			}
			if version == 2 && (op.Semantics < 1 || !sequence.ValidExtensions(op.Extensions)) {
				t.Fatalf("%+v", op)
			}
			again = persist.AppendOperation(again, op, before)
			next, before = op.LSN+op.N, op.Time
		}
		if version == 1 {
			return
		}
		if same, ok := persist.Operations(2, again, first, start); !ok || !reflect.DeepEqual(same, all) {
			t.Fatalf("written again, it is %+v instead of %+v", same, all)
		}
	})
}
