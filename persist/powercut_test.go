package persist_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
)

// powercuts runs databases on disks that lose power, and looks at what is left.
type powercuts struct {
	rng     *rand.Rand
	breakIt bool
	limit   int

	states  int
	lost    uint64 // acknowledged operations that were not there
	acked   uint64
	failure error // the first that is not a loss
}

func (p *powercuts) done() bool { return p.states >= p.limit || p.failure != nil }

// run runs one database on a disk from recovery to its end, and cuts the power at each of its
// steps.
func (p *powercuts) run(disk *fstest.Disk, history *model, depth int) {
	var db *database
	acked := uint64(0)
	if history != nil {
		acked = p.acked
	}
	disk.Step = func() {
		h := history
		if db != nil {
			h = db.model
			acked = db.acked.Load()
			if !p.breakIt {
				acked = max(acked, db.journal.Durable())
			}
		}
		if h != nil && p.rng.IntN(3) == 0 {
			p.cut(disk, h, acked, depth)
		}
	}
	var err error
	if db, err = open(disk, persist.Policy(p.rng.IntN(3)), history); err != nil {
		p.failure = err
		return
	}
	db.ackEarly = p.breakIt
	db.work(p.rng, 25)
	if err := db.journal.Err(); !errors.Is(err, persist.ErrClosed) {
		p.failure = err
	}
	if db.unsaved != nil {
		p.failure = db.unsaved
	}
}

// cut cuts the power several times at one step.
func (p *powercuts) cut(disk *fstest.Disk, h *model, acked uint64, depth int) {
	for range 4 {
		if p.done() {
			return
		}
		after := disk.PowerCut(p.rng)
		p.states++
		var lost *lostError
		switch err := verify(after, h, acked); {
		case errors.As(err, &lost) && p.breakIt:
			p.lost += lost.operations
			continue
		case err != nil:
			p.failure = err
			return
		}
		if depth < 3 && p.rng.IntN(40) == 0 { // on it goes from there
			before := p.acked
			p.acked = acked
			p.run(after, h, depth+1)
			p.acked = before
		}
	}
}

// TestPowerCut cuts the power at every step of databases that write, save, rotate, drop, recover
// and recover from that. What was acknowledged must be there, and what is there must be what the
// database held at one instant.
func TestPowerCut(t *testing.T) {
	p := powercuts{rng: seed(t), limit: *statesFlag, breakIt: *breakFlag}
	if p.limit == 0 {
		p.limit = 20_000
	}
	for !p.done() {
		disk := fstest.NewDisk()
		disk.NoLinks = p.rng.IntN(4) == 0
		p.run(disk, nil, 0)
	}
	var lost *lostError
	if errors.As(p.failure, &lost) {
		p.lost += lost.operations
	}
	t.Logf("powercut: %d states, %d acknowledged writes lost", p.states, p.lost)
	if p.failure != nil || p.lost > 0 {
		t.Fatal(p.failure)
	}
}

// TestPowerCutFindsFaults: a database that acknowledges before the sync is caught.
func TestPowerCutFindsFaults(t *testing.T) {
	p := powercuts{rng: seed(t), limit: 1000, breakIt: true}
	for !p.done() {
		p.run(fstest.NewDisk(), nil, 0)
	}
	if p.failure != nil || p.lost == 0 {
		t.Fatalf("%d lost writes found in %d states: %v", p.lost, p.states, p.failure)
	}
}
