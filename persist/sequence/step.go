package sequence

import (
	"fmt"
	"slices"
	"time"
)

// gap counts for how long an operation has been missing.
type gap struct {
	lsn       uint64
	checks    int
	lastCheck time.Time
}

// A gap normally lasts nanoseconds: from assigning an LSN to appending. It lasts longer if the
// writer is not scheduled in between. A gap that is still there at check number maxGapChecks is a
// bug; it would keep all later operations off the disk. Counting checks, at least gapCheckInterval
// apart, instead of time allows for a process that was stopped.
const (
	gapCheckInterval = 100 * time.Millisecond
	maxGapChecks     = 100
)

// run is the sequencer's goroutine.
func (s *Sequencer) run() {
	defer close(s.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.kick:
			if delay := s.file.Delay(); delay > 0 {
				timer.Reset(delay)
				continue
			}
		case <-s.urgent:
		case <-timer.C:
		case <-s.acked:
			s.guard(s.notify)
			if !s.held {
				continue
			}
		case <-s.stop:
			return
		}
		s.Step(time.Now())
		s.schedule(timer)
	}
}

// schedule sets the timer for the next step that is due by itself.
func (s *Sequencer) schedule(timer *time.Timer) {
	if s.broken.Load() { // nothing will be synced any more
		return
	}
	if s.missing.lsn > 0 {
		timer.Reset(gapCheckInterval)
	} else if after, ok := s.file.Wake(); ok {
		timer.Reset(after)
	}
}

// Step takes what was appended, and hands the operations without a gap before them to all sinks.
func (s *Sequencer) Step(now time.Time) {
	s.guard(func() {
		if err := s.step(now); err != nil {
			s.breakWith(err)
		}
	})
}

func (s *Sequencer) step(now time.Time) error {
	s.armed.Store(false)
	if s.held = !s.last && s.sinkBehind(); !s.held {
		s.collect()
	}
	if s.broken.Load() {
		s.discard()
		s.notify()
		return nil
	}
	b := s.newBatch()
	s.merge(b)
	if !s.held { // otherwise what is missing may wait in a buffer
		if err := s.checkGap(now); err != nil {
			return err
		}
	}
	s.deliver(b)
	if err := s.file.Write(now, b, s.want.Load()); err != nil {
		return err
	}
	s.mu.Lock()
	s.release(b)
	s.mu.Unlock()
	return nil
}

// checkGap returns an error if an operation is missing for too long.
func (s *Sequencer) checkGap(now time.Time) error {
	g := &s.missing
	switch {
	case !s.waiting():
		*g = gap{}
	case g.lsn != s.next:
		*g = gap{s.next, 1, now}
	case now.Sub(g.lastCheck) >= gapCheckInterval:
		if g.checks++; g.checks > maxGapChecks {
			return s.errMissing()
		}
		g.lastCheck = now
	}
	return nil
}

// waiting reports whether operations wait for one before them.
func (s *Sequencer) waiting() bool {
	return slices.ContainsFunc(s.sources, func(src *source) bool { return len(src.chunks) > 0 })
}

func (s *Sequencer) errMissing() error {
	first := uint64(0)
	for _, src := range s.sources {
		if lsn := src.head(); lsn != 0 && (first == 0 || lsn < first) {
			first = lsn
		}
	}
	return fmt.Errorf("operation %d was never appended, but %d was", s.next, first)
}

// guard calls f. A panic in f breaks the sequence.
func (s *Sequencer) guard(f func()) {
	if p := Guarded(f); p != nil {
		_ = Guarded(func() { s.breakWith(p) }) // the panic may be that of a callback
	}
}

// breakWith stops everything: whether what was written is on disk is no longer known.
func (s *Sequencer) breakWith(err error) {
	s.fail(fmt.Errorf("cannot write the journal: %w", err))
	s.discard()
	s.notify()
}

// discard frees what can never be written.
func (s *Sequencer) discard() {
	for _, src := range s.sources {
		src.chunks, src.at = nil, 0
	}
}

func (s *Sequencer) notify() {
	if s.opt.OnSync != nil {
		s.opt.OnSync()
	}
}
