package loop

import (
	"context"
	"sync"
	"time"

	"github.com/bytedance/sonic"
	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/stats"
)

const (
	// figuresAge is how old the figures of the event loops may be: many readers share one reading.
	figuresAge = 100 * time.Millisecond
	// loopTime is how long an event loop has to give its figures. One that is busy for longer is
	// shown as it was last.
	loopTime = 250 * time.Millisecond
)

// figures are what the event loops have recorded, as it was last read.
type figures struct {
	mu     sync.Mutex // locked while they are read
	read   time.Time
	totals *stats.Totals // constant
}

// Stats returns what the event loops have recorded. It is up to 100 ms old, and the part of an
// event loop that did not answer is older. It may wait for 250 ms; do not call it on an event loop.
func (srv *Server) Stats() *stats.Totals {
	f := &srv.figures
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.totals != nil && time.Since(f.read) < figuresAge {
		return f.totals
	}
	srv.tags.Reclaim()
	copies := srv.copyRecords()
	f.totals, f.read = stats.Merge(copies), time.Now()
	return f.totals
}

// copyRecords has each event loop copy its record, and returns the copies.
func (srv *Server) copyRecords() (copies []*stats.Copy) {
	srv.loopsMu.Lock()
	copied, asked := make(chan struct{}, len(srv.loops)), 0
	loops := make([]*eventLoop, 0, len(srv.loops))
	for el, l := range srv.loops {
		loops = append(loops, l)
		if l.askForCopy(el, copied) {
			asked++
		}
	}
	srv.loopsMu.Unlock()
	timeout := time.NewTimer(loopTime)
	defer timeout.Stop()
	for over := false; asked > 0 && !over; asked-- {
		select {
		case <-copied:
		case <-timeout.C:
			over = true
		case <-srv.ending:
			over = true
		}
	}
	for _, l := range loops {
		copies = append(copies, l.record.copied.Load())
	}
	return copies
}

// askForCopy makes the event loop copy its record. It returns false if no copy will come soon: the
// loop has not answered the last time, or has ended.
func (l *eventLoop) askForCopy(el gnet.EventLoop, copied chan<- struct{}) bool {
	r := &l.record
	if !r.asked.CompareAndSwap(false, true) {
		return false
	}
	err := el.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		r.copied.Store(r.stats.Copy())
		r.asked.Store(false)
		copied <- struct{}{}
		return nil
	}))
	if err != nil {
		r.asked.Store(false)
	}
	return err == nil
}

// infoCommands answers INFO "commands".
func (srv *Server) infoCommands(engine.Parameters) ([]byte, error) {
	return sonic.ConfigStd.Marshal(struct {
		Commands []stats.Command `json:"commands"`
	}{append([]stats.Command{}, srv.Stats().Commands...)})
}

// syncTimes are how long the syncs of the journal took.
type syncTimes struct {
	mu    sync.Mutex
	times *stats.Histogram // nil: there was none; guarded by mu
}

func (s *syncTimes) record(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = stats.NewHistogram()
	}
	s.times.Record(d, 1)
}

// latency returns what INFO tells of them.
func (s *syncTimes) latency() stats.Latency {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = stats.NewHistogram()
	}
	return s.times.Latency()
}
