package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
)

// campaign is one database whose server is ended again and again.
type campaign struct {
	options
	out     io.Writer // where losses are reported
	notes   int       // reported so far
	stop    chan os.Signal
	rng     *rand.Rand
	work    string // directory, for this campaign alone
	disk    *disk  // nil: the disk keeps its power
	writers []*writer
	shared  *shared
	claim   verdict   // what the next restart is checked against: how the server was ended, and what that may lose
	saved   time.Time // when the last save that succeeded was asked for, or the cycle began
	total   totals
}

// totals are the counts of a campaign.
type totals struct {
	cycles, acked, lost, within, late int
	oldest                            []time.Duration // of each restart that lost something within the window
	unsaved                           int             // lost since the last save, without a journal
	saves                             int64
	orderly                           int            // clean shutdowns
	digests, differ                   int            // comparisons, and how many of them found a difference
	ways                              map[string]int // how often the server was ended in each way
}

const (
	// How long clients write in a cycle.
	leastLoad = 30 * time.Millisecond
	mostLoad  = 170 * time.Millisecond
	// orderlyOneIn: one cycle in this many ends with a clean shutdown.
	orderlyOneIn = 3
	// One cycle in longOneIn of those that may lose something lasts two windows: writes older than
	// one window must survive.
	longOneIn = 16
	// mostNotes is how many losses are reported one by one.
	mostNotes = 10
)

// windows describes the age of the writes that were lost within the window.
func (t *totals) windows() string {
	if t.within == 0 {
		return "nothing was lost under everysec and no"
	}
	slices.Sort(t.oldest)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf(
		"everysec and no lost %d writes in %d cycles, the oldest of a cycle acknowledged %v (median), %v "+
			"(worst) before its end",
		t.within,
		len(t.oldest),
		round(t.oldest[len(t.oldest)/2]),
		round(t.oldest[len(t.oldest)-1]),
	)
}

func newCampaign(opt options, out io.Writer) (*campaign, error) {
	if _, err := os.Stat(opt.server); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "cyberdb-crash")
	if err != nil {
		return nil, err
	}
	c := &campaign{
		options: opt,
		out:     out,
		stop:    make(chan os.Signal, 1),
		work:    work,
		rng:     rand.New(rand.NewPCG(opt.seed, 0)),
		shared:  newShared(),
	}
	c.total.ways = map[string]int{}
	for i := range opt.clients {
		c.writers = append(c.writers, newWriter(i, opt, c.shared))
	}
	if opt.ext4 {
		if c.disk, err = newDisk(work); err != nil {
			return nil, errors.Join(err, os.RemoveAll(work))
		}
	}
	return c, nil
}

// close removes the campaign's disk, and its files unless they are wrong.
func (c *campaign) close(keep bool) error {
	if c.disk != nil {
		if err := c.disk.unmount(); err != nil {
			return err
		}
	}
	if keep {
		return fmt.Errorf("the files are in %s", c.work)
	}
	return os.RemoveAll(c.work)
}

func (c *campaign) binary() binary { return binary{c.server, c.fault} }

// dir is the server's data directory.
func (c *campaign) dir() string {
	if c.disk != nil {
		return filepath.Join(c.disk.mounted, "data")
	}
	return filepath.Join(c.work, "data")
}

// run runs the cycles, and a last restart that checks what the last cycle left.
func (c *campaign) run() error {
	signal.Notify(c.stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(c.stop)
	for ; c.total.cycles < c.cycles; c.total.cycles++ {
		err := c.cycle()
		select {
		case <-c.stop:
			return errors.New("interrupted")
		default:
		}
		if err != nil {
			return fmt.Errorf("cycle %d: %w", c.total.cycles, err)
		}
	}
	srv, err := c.restart("always")
	if err != nil {
		return fmt.Errorf("after the last cycle: %w", err)
	}
	if c.total.acked == 0 {
		return errors.Join(errors.New("nothing was ever acknowledged"), srv.Stop(serverTimeout))
	}
	return srv.Stop(serverTimeout)
}

// cycle is a start, a while of writing, and an end.
func (c *campaign) cycle() error {
	orderly := c.rng.IntN(orderlyOneIn) == 0
	policy := c.policy(orderly)
	window := c.window
	if policy == "always" || policy == noJournal || c.breakIt {
		window = 0
	}
	if c.rng.IntN(8) == 0 {
		if err := c.endWhileStarting(policy); err != nil {
			return err
		}
	}
	srv, err := c.restart(policy)
	if err != nil {
		return err
	}
	load := leastLoad + time.Duration(c.rng.Int64N(int64(mostLoad-leastLoad)))
	if orderly {
		return c.writeToTheEnd(srv, load)
	}
	if window > 0 && (c.disk != nil || c.rng.IntN(longOneIn) == 0) {
		load = 2 * window
	}
	c.saved = time.Now()
	err = c.write(srv, load, func() error { return c.end(srv, window) })
	if policy == noJournal {
		c.claim.since, c.claim.unsaved = c.saved, true
	}
	return err
}

// policy draws a policy. A clean shutdown loses nothing under any of them.
func (c *campaign) policy(orderly bool) string {
	drawn := []string{"always", "everysec", "no", noJournal}[c.rng.IntN(4)]
	switch {
	case c.breakIt:
		return "no"
	case c.disk == nil || orderly:
		return drawn
	case c.total.cycles%8 == 7:
		return "everysec"
	}
	return "always"
}

// writeToTheEnd is a cycle that ends with a clean shutdown.
func (c *campaign) writeToTheEnd(srv *server, load time.Duration) error {
	e := c.drawEnd()
	if e.stalled && !c.breakIt {
		end, err := harness.Stall(srv.Addr(), password, serverTimeout)
		if err != nil {
			return err
		}
		defer end()
	}
	return c.write(srv, load, func() error { return c.endInOrder(srv, e) })
}

// endWhileStarting ends a server that may still be loading.
func (c *campaign) endWhileStarting(policy string) error {
	srv, err := launch(c.binary(), c.dir(), policy)
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(c.rng.Int64N(int64(mostLoad)))) // a random moment, not a wait
	if c.rng.IntN(2) == 0 {
		w := c.drawWay()
		if err := w.end(srv); err != nil || srv.EndsWithin(serverTimeout) {
			return err
		}
		srv.Kill()
		return fmt.Errorf("%s while it started: the server did not end in %v", w.name, serverTimeout)
	}
	return c.cut(srv, c.cutsPower())
}

// restart starts the server on the data directory and checks what it holds.
func (c *campaign) restart(policy string) (*server, error) {
	copied, err := c.copyFiles()
	if err != nil {
		return nil, err
	}
	srv, err := startServer(c.binary(), c.dir(), policy)
	if err != nil {
		return nil, err
	}
	v := c.claim
	err = srv.asked(func(ctx context.Context, db *client.Client) error {
		return c.shared.checkLeases(ctx, db, &v)
	})
	if err := errors.Join(err, c.compareDigests(srv, copied, policy), c.check(srv, &v)); err != nil {
		srv.Kill()
		return nil, err
	}
	t := &c.total
	t.acked += v.acked
	t.lost += v.lost
	t.late += v.late
	switch {
	case v.unsaved:
		t.unsaved += v.within
	case v.within > 0:
		t.within += v.within
		t.oldest = append(t.oldest, v.oldest)
	}
	if v.lost > 0 && c.notes < mostNotes {
		c.notes++
		fmt.Fprintf(c.out, "cycle %d, ended by %s, lost %d acknowledged writes: %s\n",
			t.cycles, v.way, v.lost, strings.Join(v.notes, "; "))
	}
	return srv, nil
}

func (c *campaign) check(srv *server, v *verdict) error {
	return srv.asked(func(ctx context.Context, db *client.Client) error {
		for _, w := range c.writers {
			if err := w.check(ctx, db, v); err != nil {
				return err
			}
		}
		if err := c.shared.check(ctx, db, v); err != nil {
			return err
		}
		return c.shared.checkVersions(ctx, db, len(c.writers))
	})
}

// write lets all clients write and one save, until the server has been ended.
func (c *campaign) write(srv *server, load time.Duration, end func() error) error {
	var clients sync.WaitGroup
	var ended atomic.Bool
	for _, w := range c.writers {
		clients.Go(func() { w.run(srv) })
	}
	pause := time.Duration(c.rng.Int64N(int64(mostLoad)))
	var unsaved error
	clients.Go(func() { unsaved = c.save(srv, pause, &ended) })
	time.Sleep(load) // the length of the cycle
	err := end()
	ended.Store(true)
	clients.Wait()
	err = errors.Join(err, unsaved)
	for _, w := range c.writers {
		err = errors.Join(err, w.err)
	}
	return err
}

// save saves repeatedly, with pauses.
func (c *campaign) save(srv *server, pause time.Duration, ended *atomic.Bool) error {
	db, err := srv.connect()
	if err != nil {
		return nil // the server has ended
	}
	defer db.Close()
	for !ended.Load() {
		time.Sleep(pause)
		asked := time.Now()
		if err := db.Save(context.Background()); err != nil {
			if isEnd(err, c.disk != nil) {
				return nil
			}
			return fmt.Errorf("saving: %w", err)
		}
		c.total.saves++
		c.saved = asked
	}
	return nil
}

// end ends the server, or cuts the power, while clients write; sometimes during its last save.
func (c *campaign) end(srv *server, window time.Duration) error {
	if c.rng.IntN(12) == 0 {
		if err := c.drawWay().end(srv); err != nil {
			return err
		}
		// a random moment, not a wait
		time.Sleep(time.Duration(c.rng.Int64N(int64(40 * time.Millisecond))))
	}
	power := c.cutsPower()
	c.claim = verdict{way: "kill -9", end: time.Now(), power: power}
	if power {
		c.claim.way = "a power cut"
	}
	c.claim.since = windowBefore(c.claim.end, window)
	c.total.ways[c.claim.way]++
	return c.cut(srv, power)
}

// cutsPower draws whether the next end is a power cut: three times in four, if the disk can lose
// power.
func (c *campaign) cutsPower() bool { return c.disk != nil && c.rng.IntN(4) > 0 }

// cut kills the server; before that, it may cut the power of its disk.
func (c *campaign) cut(srv *server, power bool) error {
	if !power {
		srv.Kill()
		return nil
	}
	err := c.disk.cut()
	srv.Kill()
	return errors.Join(err, c.disk.remount())
}
