package sequence

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is the error of a closed sequence.
var ErrClosed = errors.New("journal closed")

// File is the first sink: it stores the sequence. Its methods are called on the sequencer's
// goroutine, or by Close.
//
// An error or a panic breaks the sequence.
type File interface {
	// Write writes a batch, which may be empty, and syncs if that is due: by now, or because
	// everything up to the LSN want must be synced. It calls Sequencer.Synced after a sync.
	Write(now time.Time, b *Batch, want uint64) error
	// Delay returns for how long an operation may stay in memory if no caller waits for it.
	Delay() time.Duration
	// Wake returns after what time Write must be called even if nothing is appended; ok is false if
	// it need not be.
	Wake() (after time.Duration, ok bool)
	// Close ends the file. If the sequence is not broken, it must be on disk afterwards.
	Close() error
}

// Options are the settings of a Sequencer.
type Options struct {
	KeptBytes int    // a longer request is retained, not copied
	Semantics uint64 // Operation.Semantics of what Buffer.Append adds; 0: 1

	// OnSync, if not nil, is called on the sequencer's goroutine, or by Close: after each sync,
	// after Durable has risen, and once when the sequence breaks. It must not block.
	OnSync func()
}

// Sequencer makes the sequence. Its methods are safe for concurrent use.
type Sequencer struct {
	// constant after Start
	opt     Options
	file    File // nil if the sequence has never begun
	started bool // there is a goroutine
	stop    chan struct{}
	ended   chan struct{}
	kick    chan struct{} // something was appended
	urgent  chan struct{} // a caller is waiting
	acked   chan struct{} // an acknowledging sink has taken a batch

	armed    atomic.Bool   // kick was sent since the last step
	broken   atomic.Bool   // err is set
	want     atomic.Uint64 // must be synced whatever the File's policy; RequestSync raises it
	appended atomic.Int64  // Bytes of all operations, what is announced, and what buffers count ahead
	synced   atomic.Uint64 // the last LSN on disk
	durable  atomic.Uint64 // of that and what acknowledging sinks have taken, the least

	mu      sync.Mutex
	changed *sync.Cond    // durable or err has changed
	err     error         // guarded by mu
	buffers []*Buffer     // guarded by mu
	sinks   []*Attachment // guarded by mu
	handed  uint64        // the last LSN in a batch; guarded by mu
	free    [][]byte      // chunks for reuse; guarded by mu
	batches []*Batch      // for reuse; guarded by mu
	closing sync.Once

	// owned by the sequencer's goroutine
	sources []*source
	next    uint64 // the next LSN
	missing gap    // what next waits for
	held    bool   // an acknowledging sink is too far behind: nothing is collected
	last    bool   // this is the last step
}

// New returns a Sequencer, to be started.
func New(opt Options) *Sequencer {
	if opt.Semantics == 0 {
		opt.Semantics = 1
	}
	s := &Sequencer{
		opt:    opt,
		stop:   make(chan struct{}),
		ended:  make(chan struct{}),
		kick:   make(chan struct{}, 1),
		urgent: make(chan struct{}, 1),
		acked:  make(chan struct{}, 1),
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Begin sets the first LSN, up to which everything is on disk, and the file, before Start.
func (s *Sequencer) Begin(next uint64, file File) {
	s.next, s.handed, s.file = next, next-1, file
	s.synced.Store(next - 1)
	s.durable.Store(next - 1)
}

// Start starts the sequencer's goroutine. Without it, call Step.
func (s *Sequencer) Start() {
	s.started = true
	go s.run()
}

// fail breaks the sequence, once.
func (s *Sequencer) fail(err error) {
	s.mu.Lock()
	s.failLocked(err)
	s.mu.Unlock()
}

func (s *Sequencer) failLocked(err error) {
	if s.err == nil {
		s.err = err
		s.broken.Store(true)
		for _, a := range s.sinks {
			a.end(err)
		}
	}
	s.changed.Broadcast()
}

// Fail breaks the sequence with an error.
func (s *Sequencer) Fail(err error) {
	s.fail(err)
	signal(s.urgent) // a step reports it
}

// Synced publishes that everything up to an LSN is on disk. The File calls it.
func (s *Sequencer) Synced(lsn uint64) {
	s.synced.Store(lsn)
	s.mu.Lock()
	s.publish()
	s.mu.Unlock()
	s.notify()
}

// publish determines what is durable. s.mu is held.
func (s *Sequencer) publish() {
	durable := s.synced.Load()
	for _, a := range s.sinks {
		if a.opt.Acknowledge {
			durable = min(durable, a.taken)
		}
	}
	if durable > s.durable.Load() {
		s.durable.Store(durable)
		s.changed.Broadcast()
	}
}

// Durable returns the last LSN up to which all operations are on disk, and taken by all
// acknowledging sinks.
func (s *Sequencer) Durable() uint64 { return s.durable.Load() }

// Err returns why the sequence is broken, nil if it is not. A broken sequence does not retry: what
// was not durable stays so, and what is appended is dropped.
func (s *Sequencer) Err() error {
	if !s.broken.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Appended returns the Bytes of all operations so far, those announced included, and at most 4 KiB
// more for each buffer that has operations.
func (s *Sequencer) Appended() int64 { return s.appended.Load() }

// Announce announces that n bytes may be appended; with -n, that they were or will not be.
func (s *Sequencer) Announce(n int) { s.appended.Add(int64(n)) }

// Flush hands on soon what was appended so far. It does not wait.
func (s *Sequencer) Flush() {
	if s.armed.Load() {
		signal(s.urgent)
	}
}

// RequestSync requests a sync of everything up to an LSN, whatever the File's policy. It does not
// wait.
func (s *Sequencer) RequestSync(lsn uint64) {
	for {
		want := s.want.Load()
		if want >= lsn || s.want.CompareAndSwap(want, lsn) {
			break
		}
	}
	if s.synced.Load() < lsn {
		signal(s.urgent)
	}
}

// Sync returns when everything up to an LSN is durable, or the error that prevents it. All these
// operations must have been appended, or be about to.
func (s *Sequencer) Sync(lsn uint64) error {
	s.RequestSync(lsn)
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.durable.Load() < lsn && s.err == nil {
		s.changed.Wait()
	}
	if s.durable.Load() >= lsn {
		return nil
	}
	return s.err
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Close writes and syncs what was appended and ends the sequence and the file. Nothing may be
// appended afterwards. It does not wait for attached sinks: each takes what is left in its queue.
//
// Errors: why the sequence is broken; or that an operation is missing whose LSN was assigned.
func (s *Sequencer) Close() error {
	s.closing.Do(func() {
		if s.started {
			close(s.stop)
			<-s.ended
		}
		if s.file != nil { // else it has never begun
			s.want.Store(^uint64(0))
			s.last = true
			s.Step(time.Now())
			s.guard(s.closeFile)
		}
		s.fail(ErrClosed)
	})
	if err := s.Err(); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

func (s *Sequencer) closeFile() {
	if err := s.file.Close(); err != nil {
		s.breakWith(err)
	}
	if s.waiting() {
		s.fail(s.errMissing())
	}
}
