package persist_test

import (
	"errors"
	"strings"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// saved returns a disk with a .cdb file, the one before it and a journal, and the history.
func saved(t *testing.T, after int) (*fstest.Disk, *database) {
	t.Helper()
	disk := fstest.NewDisk()
	db, err := open(disk, persist.Always, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := seed(t)
	for range 3 {
		for range 10 {
			db.write(rng)
		}
		db.save()
	}
	for range after {
		db.write(rng)
		db.journal.Round(db.now)
	}
	if err := db.journal.Close(); err != nil {
		t.Fatal(err)
	}
	return disk, db
}

// recoverWith recovers and returns the state, with what was warned of.
func recoverWith(disk *fstest.Disk, start persist.Start) (r *persist.Recovered, m *model, warned string, err error) {
	m = newModel()
	start.Warn = func(what string) { warned += what + "\n" }
	r, err = persist.Recover(disk, start, &loader{model: m})
	return r, m, warned, err
}

// segmentsOf returns the names of the journal's segments, in order.
func segmentsOf(disk *fstest.Disk) (segments []string) {
	for _, name := range disk.Names() {
		if strings.HasSuffix(name, ".log") {
			segments = append(segments, name)
		}
	}
	return segments
}

func flip(disk *fstest.Disk, name string, at int) {
	data := disk.Bytes(name)
	data[at] ^= 1
	disk.Put(name, data)
}

// TestRecoverFallsBack: a damaged file is reported, and the previous one with the journal gives
// everything. The damaged one never becomes the previous one.
func TestRecoverFallsBack(t *testing.T) {
	for _, at := range []int{3, 70, 110} { // magic, header of a block, its payload
		disk, db := saved(t, 10)
		if at == 3 {
			data := disk.Bytes(dataFile)
			disk.Put(dataFile, data[:len(data)-1])
		} else {
			flip(disk, dataFile, at)
		}
		r, m, warned, err := recoverWith(disk, startOf(persist.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if r.Last != db.last || m.state() != db.state() || r.Loaded != persist.PrevName(dataFile) {
			t.Fatalf("%+v\n%s\n%s", r, m.state(), db.state())
		}
		if !strings.Contains(warned, dataFile) || !strings.Contains(warned, ".prev") {
			t.Fatal(warned)
		}
		if disk.Bytes(dataFile) != nil || disk.Bytes(dataFile+".damaged") == nil {
			t.Fatal(disk)
		}
		if r, m, _, err = recoverWith(
			disk,
			startOf(persist.Options{}),
		); err != nil || m.state() != db.state() ||
			r.Last != db.last {
			t.Fatal(err)
		}
	}
}

// TestRecoverBothDamaged: with no file that can be read it does not start with less.
func TestRecoverBothDamaged(t *testing.T) {
	disk, _ := saved(t, 10)
	flip(disk, dataFile, 110)
	flip(disk, persist.PrevName(dataFile), 110)
	_, _, _, err := recoverWith(disk, startOf(persist.Options{}))
	if !errors.Is(err, persist.ErrDamaged) || strings.Count(err.Error(), "data.cdb") < 2 {
		t.Fatal(err)
	}
	if disk.Bytes(dataFile) == nil {
		t.Fatal("renamed nevertheless")
	}
}

// TestRecoverMismatch: a file that does not fit the journal is rejected with both names; NoJournal
// and Repair continue with the file.
func TestRecoverMismatch(t *testing.T) {
	other, _ := saved(t, 0)
	for name, file := range map[string][]byte{
		"another database": other.Bytes(dataFile),
		"no file":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			disk, db := saved(t, 200)
			_ = disk.Remove(persist.PrevName(dataFile))
			_ = disk.Remove(dataFile)
			if file != nil {
				disk.Put(dataFile, file)
			}
			segments := segmentsOf(disk)
			for _, name := range segments[:len(segments)-2] { // so that none goes back to the beginning
				_ = disk.Remove(name)
			}
			_, _, _, err := recoverWith(disk, startOf(persist.Options{}))
			if !errors.Is(err, persist.ErrMismatch) || !strings.Contains(err.Error(), dataFile) ||
				!strings.Contains(err.Error(), ".log") {
				t.Fatal(err)
			}
			start := startOf(persist.Options{})
			start.NoJournal = true
			r, m, warned, err := recoverWith(disk, start)
			if err != nil || r.Journal != nil || !strings.Contains(warned, dataFile) || m.state() == db.state() {
				t.Fatal(r, warned, err)
			}
			if file != nil && r.Database == r.File.Database {
				t.Fatal("what is saved from here on would be taken for the journal's")
			}
			r, _, warned, err = recoverWith(disk, startOf(persist.Options{Repair: true}))
			if err != nil || r.Journal == nil || !strings.Contains(warned, "quarantin") {
				t.Fatal(r, warned, err)
			}
			if err := r.Journal.StartByHand(r.Last+1, 0); err != nil {
				t.Fatal(err)
			}
			if err := r.Journal.Close(); err != nil {
				t.Fatal(err)
			}
			if _, _, _, err = recoverWith(disk, startOf(persist.Options{})); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRecoverNoJournal: without a journal there is none made; one that is there and fits is used.
func TestRecoverNoJournal(t *testing.T) {
	disk, db := saved(t, 10)
	start := startOf(persist.Options{})
	start.NoJournal = true
	r, m, _, err := recoverWith(disk, start)
	if err != nil || r.Last != db.last || m.state() != db.state() || r.Journal != nil {
		t.Fatal(r, err)
	}
	disk = fstest.NewDisk()
	r, _, _, err = recoverWith(disk, start)
	if err != nil || r.Last != 0 || r.Journal != nil || r.Database == (persist.ID{}) || len(disk.Names()) > 0 {
		t.Fatal(r, err)
	}
}

// TestRecoverDamagedJournal: damage before the tail stops the start; Repair continues with what
// came before it.
func TestRecoverDamagedJournal(t *testing.T) {
	disk, db := saved(t, 200)
	segments := segmentsOf(disk)
	victim := segments[len(segments)-2]
	flip(disk, victim, 100)
	_, _, _, err := recoverWith(disk, startOf(persist.Options{}))
	if !errors.Is(err, persist.ErrDamaged) || !strings.Contains(err.Error(), victim) ||
		!strings.Contains(err.Error(), "at byte ") {
		t.Fatal(err)
	}
	r, m, warned, err := recoverWith(disk, startOf(persist.Options{Repair: true}))
	if err != nil || m.state() != db.states[r.Last] || r.Last <= r.File.LSN || !strings.Contains(warned, victim) {
		t.Fatal(r, warned, err)
	}
}

// TestRepairWithoutJournal: of a journal with damage before the tail, Repair quarantines what it
// does not use, even with NoJournal: later saves have the LSNs of what was skipped, and a later
// start with the journal must not combine the two.
func TestRepairWithoutJournal(t *testing.T) {
	disk, db := saved(t, 200)
	segments := segmentsOf(disk)
	victim, later := segments[len(segments)-2], segments[len(segments)-1]
	flip(disk, victim, 100)
	damaged, lost := disk.Bytes(victim), disk.Bytes(later)
	start := startOf(persist.Options{})
	start.NoJournal = true
	if _, _, _, err := recoverWith(disk, start); !errors.Is(err, persist.ErrDamaged) || disk.Bytes(later) == nil {
		t.Fatal(err)
	}
	start.Repair = true
	r, m, warned, err := recoverWith(disk, start)
	if err != nil || r.Journal != nil || m.state() != db.states[r.Last] || !strings.Contains(warned, victim) {
		t.Fatal(r, warned, err)
	}
	if string(disk.Bytes(victim+".damaged")) != string(damaged) ||
		string(disk.Bytes(later+".damaged")) != string(lost) {
		t.Fatal("not kept:", disk)
	}
	// The next start has the journal again.
	again, m, warned, err := recoverWith(disk, startOf(persist.Options{}))
	if err != nil || again.Last != r.Last || m.state() != db.states[r.Last] || warned != "" {
		t.Fatal(again, warned, err)
	}
}

// TestRepairTwice: what one repair has quarantined stays when the next one quarantines a file of
// the same name.
func TestRepairTwice(t *testing.T) {
	disk, _ := saved(t, 10)
	first := disk.Bytes(dataFile)
	first[110] ^= 1
	second := append([]byte(nil), first...)
	second[110] ^= 2
	third := append([]byte(nil), first...)
	third[110] ^= 4
	for _, data := range [][]byte{first, second, third} {
		disk.Put(dataFile, data)
		if _, _, _, err := recoverWith(disk, startOf(persist.Options{Repair: true})); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]byte{".damaged": first, ".2.damaged": second, ".3.damaged": third} {
		if string(disk.Bytes(dataFile+name)) != string(want) {
			t.Errorf("%s holds something else: %v", dataFile+name, disk)
		}
	}

	disk, _ = saved(t, 200)
	segments := segmentsOf(disk)
	victim := segments[len(segments)-2]
	whole := disk.Bytes(victim)
	var kept []string
	for i := range 2 {
		disk.Put(victim, whole)
		flip(disk, victim, 100+i)
		kept = append(kept, string(disk.Bytes(victim)))
		r, _, _, err := recoverWith(disk, startOf(persist.Options{Repair: true}))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Journal.StartByHand(r.Last+1, 0); err != nil {
			t.Fatal(err)
		}
		if err := r.Journal.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if string(disk.Bytes(victim+".damaged")) != kept[0] || string(disk.Bytes(victim+".2.damaged")) != kept[1] {
		t.Errorf("they hold something else: %v", disk)
	}
}

// TestRecoverForeign: a file of another kind is not accepted for a damaged one, and stays.
func TestRecoverForeign(t *testing.T) {
	disk, _ := saved(t, 10)
	disk.Put(dataFile, []byte("\x80\x04}q\x00."))
	if _, _, _, err := recoverWith(
		disk,
		startOf(persist.Options{Repair: true}),
	); !errors.Is(err, persist.ErrForeign) ||
		!strings.Contains(err.Error(), dataFile) {
		t.Fatal(err)
	}
}
