package sequence

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Sink is a further consumer of the sequence.
type Sink interface {
	// Take takes the next batch, which is valid until Take returns. It may come before the batch is
	// on disk: see Sequencer.Durable. Calls do not overlap. An error or a panic detaches the sink.
	Take(b *Batch) error
}

// SinkOptions say what a sink may do to the sequence.
type SinkOptions struct {
	// Acknowledge makes Durable wait until the sink has taken a batch. If the sink fails, the
	// sequence breaks.
	Acknowledge bool
	// MaxBehindBytes is how many bytes may wait for the sink, by Operation.Bytes, when a further
	// batch comes. A sink that is behind by more is detached, with ErrBehind. If it acknowledges,
	// operations stay in their buffers instead, until it has caught up.
	MaxBehindBytes int64
}

var (
	// ErrBehind is returned when a sink was too far behind.
	ErrBehind = errors.New("the sink is too far behind")
	// ErrDetached is returned when the sink's owner has detached it.
	ErrDetached = errors.New("the sink was detached")
)

// Attachment is a sink that is attached, or was.
type Attachment struct {
	// constant
	s    *Sequencer
	sink Sink
	opt  SinkOptions
	done chan struct{}

	// guarded by Sequencer.mu
	ready   *sync.Cond // queue or err has changed
	queue   []*Batch
	behind  int64  // bytes of the queue and of the batch that is being taken
	taken   uint64 // the last LSN taken, or the one at which it was attached
	err     error  // why no batch follows those in the queue
	dropped bool   // so was its queue
}

// Attach attaches a sink. It takes every operation after the returned LSN, without a gap, on a
// goroutine of its own. Call it after Start.
//
// Errors: why the sequence is broken; ErrClosed.
func (s *Sequencer) Attach(sink Sink, opt SinkOptions) (a *Attachment, after uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, 0, s.err
	}
	a = &Attachment{s: s, sink: sink, opt: opt, done: make(chan struct{}), ready: sync.NewCond(&s.mu), taken: s.handed}
	s.sinks = append(s.sinks, a)
	go a.run()
	return a, a.taken, nil
}

// Detach detaches the sink, which drops its queue. It does not wait for Take: see Done.
func (a *Attachment) Detach() {
	a.s.mu.Lock()
	a.drop(ErrDetached)
	a.remove()
	a.s.publish() // Durable no longer waits for it
	a.s.mu.Unlock()
	signal(a.s.acked)
}

// Done is closed when the sink was detached, or the sequence has ended and the queue is empty: Take
// is not called again.
func (a *Attachment) Done() <-chan struct{} { return a.done }

// Err returns why the sink takes no more: its own error, ErrBehind, ErrDetached, a *PanicError, or
// why the sequence has ended. nil: it does.
func (a *Attachment) Err() error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.err
}

// Taken returns the last LSN that the sink has taken, and how many bytes wait for it.
func (a *Attachment) Taken() (lsn uint64, behind int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.taken, a.behind
}

// run is the sink's goroutine.
func (a *Attachment) run() {
	defer close(a.done)
	for b := a.next(); b != nil; b = a.next() {
		var err error
		if p := Guarded(func() { err = a.sink.Take(b) }); p != nil {
			err = p
		}
		a.finish(b, err)
	}
}

// next waits for a batch; nil if none follows.
func (a *Attachment) next() *Batch {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for len(a.queue) == 0 {
		if a.err != nil {
			return nil
		}
		a.ready.Wait()
	}
	b := a.queue[0]
	a.queue = slices.Delete(a.queue, 0, 1)
	return b
}

// finish records the result of a Take.
func (a *Attachment) finish(b *Batch, err error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	last := b.Last
	a.behind -= b.Bytes
	s.release(b)
	switch {
	case a.dropped:
	case err != nil && a.opt.Acknowledge: // it stays in the list: Durable must not rise above what it has taken
		a.drop(err)
		s.failLocked(fmt.Errorf("a sink that must acknowledge has failed: %w", err))
		signal(s.urgent)
	case err != nil:
		a.drop(err)
		a.remove()
	default:
		a.taken = last
		if a.opt.Acknowledge {
			s.publish()
			signal(s.acked)
		}
	}
}

// end says that no more batches come. The sink takes what is in its queue. s.mu is held.
func (a *Attachment) end(err error) {
	if a.err == nil {
		a.err = err
	}
	a.ready.Signal()
}

// drop ends the sink and drops its queue. s.mu is held.
func (a *Attachment) drop(err error) {
	a.end(err)
	a.dropped = true
	for _, b := range a.queue {
		a.behind -= b.Bytes
		a.s.release(b)
	}
	a.queue = nil
}

// remove removes the sink from the list of the attached ones. s.mu is held.
func (a *Attachment) remove() {
	a.s.sinks = slices.DeleteFunc(a.s.sinks, func(other *Attachment) bool { return other == a })
}

// put adds a batch to the queue. It returns false if the sink is too far behind: then it is
// dropped. s.mu is held.
func (a *Attachment) put(b *Batch) bool {
	switch {
	case a.err != nil:
		return true
	case !a.opt.Acknowledge && a.behind > a.opt.MaxBehindBytes:
		a.drop(fmt.Errorf("%w: %d bytes wait for it", ErrBehind, a.behind))
		return false
	}
	a.queue = append(a.queue, b)
	a.behind += b.Bytes
	b.holders++
	a.ready.Signal()
	return true
}

// deliver puts a batch into the queue of each attached sink.
func (s *Sequencer) deliver(b *Batch) {
	if b.Count == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handed = b.Last
	s.sinks = slices.DeleteFunc(s.sinks, func(a *Attachment) bool { return !a.put(b) })
	for _, src := range s.sources {
		src.shared = src.shared || src.at > 0 && b.holders > 1
	}
}

// sinkBehind reports whether an acknowledging sink is too far behind.
func (s *Sequencer) sinkBehind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.sinks, func(a *Attachment) bool {
		return a.opt.Acknowledge && a.behind > a.opt.MaxBehindBytes
	})
}
