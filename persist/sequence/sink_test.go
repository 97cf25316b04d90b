package sequence_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/persist/sequence"
)

// steps appends operations and makes n steps. In between some wait for one before them.
func (w *writer) steps(s *sequence.Sequencer, n int) {
	for range n {
		for range 20 {
			w.assign()
			w.append(1)
		}
		s.Step(time.Unix(0, 0))
	}
	w.appendAll()
	s.Step(time.Unix(0, 0))
}

// failingSinks are the ways in which a sink fails.
var failingSinks = map[string]struct {
	take func(release <-chan struct{}) error
	is   func(err error) bool
}{
	"error": {
		func(<-chan struct{}) error { return errors.ErrUnsupported },
		func(err error) bool { return errors.Is(err, errors.ErrUnsupported) },
	},
	"panic": {
		func(<-chan struct{}) error { panic("defect") },
		func(err error) bool {
			var panicked *sequence.PanicError
			return errors.As(err, &panicked) && panicked.Value == "defect" && len(panicked.Stack) > 0
		},
	},
	"slow": {
		func(release <-chan struct{}) error { <-release; return nil },
		func(err error) bool { return errors.Is(err, sequence.ErrBehind) },
	},
}

// TestSinkFails: a sink that fails, panics or is too slow is detached with a reason, and neither
// the file nor another sink notices. What it still reads stays as it was.
func TestSinkFails(t *testing.T) {
	for name, failing := range failingSinks {
		t.Run(name, func(t *testing.T) {
			s, f := begin(sequence.Options{})
			w := newWriter(newRand(t), s, 3)
			release := make(chan struct{})
			var count atomic.Int64
			fails := func(*sequence.Batch) error {
				if count.Add(1) < 5 {
					return nil
				}
				return failing.take(release)
			}
			bound := int64(ample)
			if name == "slow" {
				bound = 100_000
			}
			bad, a := attach(t, s, fails, sequence.SinkOptions{MaxBehindBytes: bound})
			good, other := attach(t, s, nil, sequence.SinkOptions{MaxBehindBytes: ample})
			for a.Err() == nil {
				w.steps(s, 3)
				time.Sleep(10 * time.Microsecond)
			}
			for range 60_000 { // more than the chunks that are kept for reuse
				w.assign()
			}
			w.appendAll()
			w.steps(s, 100)
			close(release)
			<-a.Done()
			if err := a.Err(); !failing.is(err) {
				t.Errorf("detached by %v", err)
			}
			bad.mu.Lock()
			if bad.err != nil {
				t.Errorf("the sink has read: %v", bad.err)
			}
			bad.mu.Unlock()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			<-other.Done()
			f.check(t, "the file", w.last)
			good.check(t, "the other sink", w.last)
			if s.Durable() != w.last {
				t.Errorf("durable up to %d of %d", s.Durable(), w.last)
			}
		})
	}
}

// TestAcknowledgingSinkFails: the sequence breaks, with the reason; what the sink has not taken
// does not become durable.
func TestAcknowledgingSinkFails(t *testing.T) {
	for _, name := range []string{"error", "panic"} {
		t.Run(name, func(t *testing.T) {
			reported := make(chan error, 100)
			var s *sequence.Sequencer
			s, f := begin(sequence.Options{OnSync: func() { reported <- s.Err() }})
			s.Start()
			fails := func(b *sequence.Batch) error {
				if b.Last < 5 {
					return nil
				}
				return failingSinks[name].take(nil)
			}
			_, a := attach(t, s, fails, sequence.SinkOptions{Acknowledge: true, MaxBehindBytes: ample})
			other, _ := attach(t, s, nil, sequence.SinkOptions{Acknowledge: true, MaxBehindBytes: ample})
			b := s.Buffer()
			for lsn := uint64(1); lsn < 5; lsn++ {
				b.Append(lsn, 1, 0, request(lsn, 10))
				if err := s.Sync(lsn); err != nil || s.Durable() != lsn {
					t.Fatalf("durable up to %d of %d: %v", s.Durable(), lsn, err)
				}
			}
			b.Append(5, 1, 0, request(5, 10))
			err := s.Sync(5)
			if err == nil || !failingSinks[name].is(err) || !strings.Contains(err.Error(), "acknowledge") {
				t.Errorf("waiting gave %v", err)
			}
			for err := range reported {
				if err != nil {
					break
				}
			}
			b.Append(6, 1, 0, request(6, 10))
			<-a.Done()
			if again := s.Close(); !errors.Is(again, err) || s.Durable() != 4 || !failingSinks[name].is(a.Err()) {
				t.Errorf("durable up to %d, closing gave %v, the sink %v", s.Durable(), again, a.Err())
			}
			f.check(t, "the file", 5)
			other.mu.Lock()
			defer other.mu.Unlock()
			if other.err != nil {
				t.Error(other.err)
			}
		})
	}
}

// holding returns a started or a manual sequence with an acknowledging sink that is too far behind:
// it takes operation 1 until it is released. Operation 3 waits for operation 2, which is still in
// its buffer.
func holding(
	t *testing.T,
	start bool,
) (s *sequence.Sequencer, f *file, k *taking, a *sequence.Attachment, release chan struct{}) {
	t.Helper()
	s, f = begin(sequence.Options{})
	if start {
		s.Start()
	}
	release = make(chan struct{})
	k, a = attach(t, s, func(*sequence.Batch) error { <-release; return nil }, sequence.SinkOptions{Acknowledge: true})
	b, c := s.Buffer(), s.Buffer()
	b.Append(1, 1, 0, request(1, 10))
	c.Append(3, 1, 0, request(3, 10))
	for behind := int64(0); behind == 0; _, behind = a.Taken() {
		if start {
			time.Sleep(time.Millisecond)
		} else {
			s.Step(time.Unix(0, 0))
		}
	}
	b.Append(2, 1, 0, request(2, 10))
	return s, f, k, a, release
}

// TestAcknowledgingSinkSlow: nothing is durable before the sink has taken it. While it is too far
// behind, operations stay in their buffers, for as long as it takes, and nothing is amiss.
func TestAcknowledgingSinkSlow(t *testing.T) {
	s, f, k, a, release := holding(t, false)
	for now := time.Unix(0, 0); now.Before(time.Unix(3600, 0)); now = now.Add(time.Second) {
		s.Step(now)
	}
	if s.Durable() != 0 || s.Err() != nil {
		t.Errorf("durable up to %d: %v", s.Durable(), s.Err())
	}
	f.check(t, "the file", 1)
	release <- struct{}{}
	for s.Durable() < 1 {
		time.Sleep(time.Millisecond)
	}
	s.Step(time.Unix(3600, 0))
	f.check(t, "the file", 3)
	if s.Durable() != 1 {
		t.Errorf("durable up to %d", s.Durable())
	}
	close(release)
	for s.Durable() < 3 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-a.Done()
	k.check(t, "the sink", 3)
}

// TestHeldSequenceContinues: the sequencer's goroutine continues by itself when an acknowledging
// sink has caught up, or is detached.
func TestHeldSequenceContinues(t *testing.T) {
	for _, detach := range []bool{false, true} {
		s, f, _, a, release := holding(t, true)
		time.Sleep(20 * time.Millisecond)
		if s.Durable() != 0 {
			t.Errorf("durable up to %d", s.Durable())
		}
		if detach {
			a.Detach()
		} else {
			close(release)
		}
		for until := time.Now().Add(10 * time.Second); s.Durable() < 3; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("durable up to %d", s.Durable())
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		f.check(t, "the file", 3)
		if detach {
			close(release)
		}
		<-a.Done()
	}
}

// TestHeldSequenceCloses: closing writes everything and does not wait for a slow sink. The sink
// takes the rest afterwards, and Durable says so.
func TestHeldSequenceCloses(t *testing.T) {
	s, f, k, a, release := holding(t, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f.check(t, "the file", 3)
	if s.Durable() != 0 {
		t.Errorf("durable up to %d", s.Durable())
	}
	close(release)
	<-a.Done()
	k.check(t, "the sink", 3)
	if s.Durable() != 3 {
		t.Errorf("durable up to %d", s.Durable())
	}
}

// TestSinkOfBrokenSequence: when the file fails, a sink takes what is in its queue and gets the
// reason.
func TestSinkOfBrokenSequence(t *testing.T) {
	s, f := begin(sequence.Options{})
	w := newWriter(newRand(t), s, 1)
	k, a := attach(t, s, nil, sequence.SinkOptions{MaxBehindBytes: ample})
	w.steps(s, 10)
	f.fail = errors.ErrUnsupported
	last := w.last
	w.steps(s, 1)
	<-a.Done()
	if err := a.Err(); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(s.Err(), errors.ErrUnsupported) {
		t.Error(err, s.Err())
	}
	k.check(t, "the sink", w.last) // it may have what the file has not
	if s.Durable() != last {
		t.Errorf("durable up to %d instead of %d", s.Durable(), last)
	}
}
