package persist_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

var numbersFile = persist.NumbersName(dataFile)

// ending is how a run of a database ends, and what happens to its files before the next one.
type ending struct {
	name string
	then func(t *testing.T, disk *fstest.Disk, rng *rand.Rand) *fstest.Disk
}

var endings = []ending{
	{"power cut", func(_ *testing.T, disk *fstest.Disk, rng *rand.Rand) *fstest.Disk { return disk.PowerCut(rng) }},
	{"killed", func(_ *testing.T, disk *fstest.Disk, _ *rand.Rand) *fstest.Disk { return disk }},
	{"killed, and the last segment is damaged", damageSegment},
	{"killed, and the reservation is gone", func(_ *testing.T, disk *fstest.Disk, _ *rand.Rand) *fstest.Disk {
		_ = disk.Remove(numbersFile)
		return disk
	}},
	{"power cut, and the reservation is damaged", func(_ *testing.T, disk *fstest.Disk, rng *rand.Rand) *fstest.Disk {
		disk = disk.PowerCut(rng)
		if data := disk.Bytes(numbersFile); data != nil {
			data[rng.IntN(64)] ^= 1
			data[4096+rng.IntN(64)] ^= 1
			disk.Put(numbersFile, data)
		}
		return disk
	}},
	{
		"power cut, and one half of the reservation is damaged",
		func(_ *testing.T, disk *fstest.Disk, rng *rand.Rand) *fstest.Disk {
			disk = disk.PowerCut(rng)
			if data := disk.Bytes(numbersFile); data != nil {
				data[4096*rng.IntN(2)+rng.IntN(64)] ^= 1
				disk.Put(numbersFile, data)
			}
			return disk
		},
	},
	{"killed, and copied", func(_ *testing.T, disk *fstest.Disk, _ *rand.Rand) *fstest.Disk { return disk.Copy() }},
	{"killed, and the journal is gone", func(_ *testing.T, disk *fstest.Disk, _ *rand.Rand) *fstest.Disk {
		for _, name := range segmentsOf(disk) {
			_ = disk.Remove(name)
		}
		return disk
	}},
}

// TestReservationSurvivesTwoPowerCuts: a power cut damages one half of the reservation. Whenever
// the power is cut during the next start, the other half, or a new file, says what was reserved.
func TestReservationSurvivesTwoPowerCuts(t *testing.T) {
	rng := seed(t)
	for half := range 2 {
		for range 20 {
			disk := fstest.NewDisk()
			db, err := open(disk, persist.Always, nil)
			if err != nil {
				t.Fatal(err)
			}
			db.work(rng, 5)
			disk = disk.PowerCut(rng)
			data := disk.Bytes(numbersFile)
			data[4096*half+rng.IntN(64)] ^= 1
			disk.Put(numbersFile, data)
			var cuts []*fstest.Disk
			disk.Step = func() { cuts = append(cuts, disk.PowerCut(rng)) }
			if _, err := open(disk, persist.Always, nil); err != nil {
				t.Fatal(err)
			}
			for i, after := range cuts {
				slots, intact := after.Bytes(numbersFile), 0
				for at := 0; at+64 <= len(slots); at += 4096 {
					sum := crc32.Checksum(slots[at:at+60], crc32.MakeTable(crc32.Castagnoli))
					if binary.LittleEndian.Uint32(slots[at+60:]) == sum {
						intact++
					}
				}
				if intact == 0 {
					t.Fatalf("half %d was damaged: at step %d no half is intact", half, i)
				}
			}
		}
	}
}

func damageSegment(_ *testing.T, disk *fstest.Disk, rng *rand.Rand) *fstest.Disk {
	if all := segmentsOf(disk); len(all) > 0 {
		name := all[len(all)-1]
		data := disk.Bytes(name)
		data[rng.IntN(len(data))] ^= 1
		disk.Put(name, data)
	}
	return disk
}

// TestNoLSNTwice: no LSN is assigned twice, under any policy and without a journal, whatever
// way the database ends and whatever that has lost.
func TestNoLSNTwice(t *testing.T) {
	rng := seed(t)
	lossy := 0
	for range 150 {
		disk := fstest.NewDisk()
		_ = disk.MkdirAll("data")
		var assigned [][2]uint64 // the first and the last number of each run
		for run := range 6 {
			start := startOf(persist.Options{Policy: persist.Policy(rng.IntN(3)), Repair: true})
			start.NoJournal = rng.IntN(4) == 0
			first, last, recovered := numbersOfRun(t, disk, start, rng, run == 0)
			for _, earlier := range assigned {
				if first <= earlier[1] && earlier[0] <= last {
					t.Fatalf("%d to %d are assigned, and %d to %d were", first, last, earlier[0], earlier[1])
				}
			}
			if run > 0 && recovered < assigned[run-1][1] {
				lossy++
			}
			assigned = append(assigned, [2]uint64{first, last})
			e := endings[rng.IntN(len(endings))]
			disk = e.then(t, disk, rng)
		}
	}
	if lossy < 20 {
		t.Errorf("operations were lost at %d restarts only: the test shows little", lossy)
	}
}

// numbersOfRun runs a database that assigns some LSNs, of which it writes what the policy asks
// for, and is not ended. It returns the first and the last of them, and the last in the files at
// the start.
func numbersOfRun(
	t *testing.T,
	disk *fstest.Disk,
	start persist.Start,
	rng *rand.Rand,
	fresh bool,
) (first, last, recovered uint64) {
	t.Helper()
	r, m, _, err := recoverWith(disk, start)
	if err != nil {
		t.Fatal(err)
	}
	m.last = r.Clock
	if fresh {
		m.last = 0
	}
	first, recovered = m.last+1, r.Last
	if err := r.Numbers.StartByHand(func() uint64 { return m.last }); err != nil {
		t.Fatal(err)
	}
	var b *persist.Buffer
	if r.Journal != nil {
		if err := r.Journal.StartByHand(m.last+1, 0); err != nil {
			t.Fatal(err)
		}
		b = r.Journal.Buffer()
	}
	for i := range 40 + rng.IntN(200) {
		if !r.Numbers.Allow(m.last) {
			_ = r.Numbers.Renew()
			continue
		}
		lsn, n := m.last+1, 1+rng.Uint64N(mostNumbers)
		m.last += n
		if b != nil {
			b.Append(lsn, n, timeOf(lsn), []byte("a"))
			if rng.IntN(8) == 0 {
				r.Journal.Round(time.Unix(int64(i/50), 0))
			}
		}
	}
	return first, m.last, recovered
}

// TestLSNsContinue: after a clean shutdown no LSN is skipped.
func TestLSNsContinue(t *testing.T) {
	disk := fstest.NewDisk()
	rng := seed(t)
	var history *model
	for range 5 {
		db, err := open(disk, persist.EverySecond, history)
		if err != nil {
			t.Fatal(err)
		}
		if history != nil && db.last != history.last {
			t.Fatalf("the clock continues from %d, it was at %d", db.last, history.last)
		}
		db.work(rng, 20)
		history = db.model
	}
}

// TestLSNsRunOut: while no range can be reserved, LSNs are allowed as long as they are
// reserved, and not beyond; that is reported once, and ends when a range can be reserved.
func TestLSNsRunOut(t *testing.T) {
	for _, op := range []string{"edit", "write", "sync", "identify"} {
		var armed atomic.Bool
		disk := fstest.NewDisk()
		faults := &fstest.Faults{FS: disk, Fail: func(_ int, did, name string) error {
			if armed.Load() && did == op && name == numbersFile {
				return syscall.ENOSPC
			}
			return nil
		}}
		var reported []error
		start := startOf(persist.Options{})
		start.Numbers.OnRenew = func(err error) { reported = append(reported, err) }
		db, err := openStart(faults, start, nil)
		if err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		for db.numbers.Allow(db.last) {
			db.do(mostNumbers, []byte("e"))
			_ = db.numbers.Renew()
		}
		least := uint64(numbersRange - 2*mostNumbers)
		if op == "identify" {
			least = numbersRange / 2
		}
		if db.last > numbersRange || db.last < least || len(reported) != 1 || !errors.Is(reported[0], syscall.ENOSPC) ||
			!errors.Is(db.numbers.Err(), syscall.ENOSPC) {
			t.Errorf("%s: refused at %d; reported: %v", op, db.last, reported)
		}
		if again, err := persist.Recover(
			disk.PowerCut(seed(t)),
			startOf(persist.Options{}),
			&loader{model: newModel()},
		); err != nil ||
			again.Clock < db.last {
			t.Errorf("%s: the next start continues from %d, and %d was assigned: %v", op, again.Clock, db.last, err)
		}
		armed.Store(false)
		if op == "identify" { // whether the file is where it was is not asked again
			continue
		}
		if err := db.numbers.Renew(); err != nil || !db.numbers.Allow(db.last) || len(reported) != 2 ||
			reported[1] != nil {
			t.Errorf("%s: still refused: %v, reported: %v", op, err, reported)
		}
	}
}

// TestLSNsReservedAhead: the goroutine reserves the next range while half of the one before is
// left, without being waited for.
func TestLSNsReservedAhead(t *testing.T) {
	start := startOf(persist.Options{})
	start.Numbers = persist.NumbersOptions{Range: 1000, InFlight: 10}
	r, _, _, err := recoverWith(fstest.NewDisk(), start)
	if err != nil {
		t.Fatal(err)
	}
	var clock atomic.Uint64
	if err := r.Numbers.Start(clock.Load); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(30 * time.Second)
	for clock.Load() < 100_000 {
		if r.Numbers.Allow(clock.Load()) {
			clock.Add(10)
		} else if time.Now().After(until) {
			t.Fatalf("refused at %d for ever", clock.Load())
		}
	}
	if err := r.Numbers.Close(0); err != nil {
		t.Fatal(err)
	}
}

// TestNumbersFileMoved: once the file is not where it was, nothing is allowed, and the error says
// so.
func TestNumbersFileMoved(t *testing.T) {
	for name, move := range map[string]func(disk *fstest.Disk){
		"removed": func(disk *fstest.Disk) { _ = disk.Remove(numbersFile) },
		"replaced": func(disk *fstest.Disk) {
			data := disk.Bytes(numbersFile)
			_ = disk.Remove(numbersFile)
			disk.Put(numbersFile, data)
		},
		"cut": func(disk *fstest.Disk) {
			f, _ := disk.Edit(numbersFile)
			_ = f.Truncate(10)
		},
	} {
		disk := fstest.NewDisk()
		db, err := open(disk, persist.Always, nil)
		if err != nil {
			t.Fatal(err)
		}
		move(disk)
		err = db.numbers.Check()
		if err == nil || !strings.Contains(err.Error(), numbersFile) || db.numbers.Allow(db.last) ||
			db.numbers.Err() == nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "cut" && !errors.Is(err, persist.ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLSNsOfCopies: a copy of a running database's files and the original assign different
// LSNs from then on, and so does the copy that is put back in the original's place.
func TestLSNsOfCopies(t *testing.T) {
	rng := seed(t)
	for run := range 60 {
		disk := fstest.NewDisk()
		_ = disk.MkdirAll("data")
		start := func() persist.Start {
			start := startOf(persist.Options{Policy: persist.Policy(rng.IntN(3))})
			start.NoJournal = run%4 == 0
			return start
		}
		numbersOfRun(t, disk, start(), rng, true)
		backup := disk.Copy()
		var assigned [][2]uint64
		for _, disk := range []*fstest.Disk{disk, disk, backup.Copy(), backup.Copy(), backup} {
			first, last, _ := numbersOfRun(t, disk, start(), rng, false)
			for _, other := range assigned {
				if first <= other[1] && other[0] <= last {
					t.Fatalf("run %d: %d to %d are assigned, and %d to %d were", run, first, last, other[0], other[1])
				}
			}
			assigned = append(assigned, [2]uint64{first, last})
		}
	}
}

// TestLSNsOfNewDatabase: two new databases at one place begin at different LSNs.
func TestLSNsOfNewDatabase(t *testing.T) {
	first, _, _, err := recoverWith(fstest.NewDisk(), startOf(persist.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	second, _, _, err := recoverWith(fstest.NewDisk(), startOf(persist.Options{}))
	if err != nil || first.Clock == second.Clock || first.Clock >= 1<<40 || second.Clock >= 1<<40 {
		t.Fatal(first.Clock, second.Clock, err)
	}
}

// TestTornTailBeforeFile: a torn tail stays one after a server without a journal has saved and shut
// down cleanly.
func TestTornTailBeforeFile(t *testing.T) {
	disk := fstest.NewDisk()
	db, err := open(disk, persist.EverySecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		db.append(0, 1, []byte("sax"))
		db.journal.Round(db.now)
	}
	killed := disk.Bytes(firstSegment)
	disk.Put(firstSegment, killed[:len(killed)-1])
	start := startOf(persist.Options{})
	start.NoJournal = true
	r, m, _, err := recoverWith(disk, start)
	if err != nil {
		t.Fatal(err)
	}
	m.last = r.Clock
	if err := r.Numbers.StartByHand(func() uint64 { return m.last }); err != nil {
		t.Fatal(err)
	}
	m.do(1, []byte("sby"))
	m.do(1, nil)
	if _, err := persist.WriteFile(
		disk,
		dataFile,
		persist.Stamp{Database: r.Database, LSN: m.last},
		persist.Codec(0),
		m.content().fill,
	); err != nil {
		t.Fatal(err)
	}
	if err := r.Numbers.Close(m.last); err != nil {
		t.Fatal(err)
	}
	again, after, _, err := recoverWith(disk, startOf(persist.Options{}))
	if err != nil || after.state() != m.state() || again.Clock != m.last {
		t.Fatal(again, err)
	}
}

// TestCutAfterOrderlyEnd: of a journal that was closed nothing can be torn: what is missing at its
// end is damage, and an older copy of the files is reported.
func TestCutAfterOrderlyEnd(t *testing.T) {
	disk := fstest.NewDisk()
	db, err := open(disk, persist.EverySecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		db.append(0, 1, []byte("sax"))
		db.journal.RequestSync(db.last)
		db.journal.Round(db.now)
	}
	older := disk.Bytes(firstSegment)
	db.append(0, 1, []byte("sbx"))
	db.close()
	whole := disk.Bytes(firstSegment)
	disk.Put(firstSegment, whole[:len(older)+10])
	if _, _, _, err := recoverWith(disk, startOf(persist.Options{})); !errors.Is(err, persist.ErrDamaged) {
		t.Errorf("cut inside a record: %v", err)
	}
	disk.Put(firstSegment, older)
	r, _, warned, err := recoverWith(disk, startOf(persist.Options{}))
	if err != nil || !strings.Contains(warned, "shut down cleanly") || r.Clock != db.last {
		t.Errorf("cut between two records: the clock is %d, %q, %v", r.Clock, warned, err)
	}
}
