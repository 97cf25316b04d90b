package sequence_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/persist/sequence"
)

var seedFlag = flag.Uint64("seed", 0, "seed of what is drawn by chance; 0 draws one and prints it")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

const keptBytes = 2000

// request is the request of an operation: its bytes follow from its LSN and its length.
func request(lsn uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(lsn + uint64(i))
	}
	return b
}

// operation returns a random operation.
func operation(rng *rand.Rand, lsn uint64) sequence.Operation {
	op := sequence.Operation{
		LSN:       lsn,
		N:         1 + rng.Uint64N(3),
		Time:      rng.Int64() - rng.Int64(),
		Semantics: 1 + rng.Uint64N(9),
	}
	size := rng.IntN(100)
	switch rng.IntN(50) {
	case 0:
		size = keptBytes - 2 + rng.IntN(5)
	case 1:
		size = rng.IntN(100_000)
	}
	op.Request = request(lsn, size)
	if rng.IntN(10) == 0 {
		op.Extensions = append([]byte{byte(rng.IntN(100)), 3}, request(lsn, 3)...)
	}
	return op
}

// reader checks that operations follow one another, and that their bytes are intact.
type reader struct {
	mu    sync.Mutex
	next  uint64
	count int
	err   error // what was wrong
}

func (r *reader) read(b *sequence.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count, bytes := 0, int64(0)
	for op := range b.Operations() {
		switch {
		case op.LSN != r.next:
			r.err = fmt.Errorf("operation %d instead of %d", op.LSN, r.next)
		case !slices.Equal(op.Request, request(op.LSN, len(op.Request))):
			r.err = fmt.Errorf("operation %d has other bytes", op.LSN)
		case len(op.Extensions) > 0 && !slices.Equal(op.Extensions[2:], request(op.LSN, 3)):
			r.err = fmt.Errorf("operation %d has other extensions", op.LSN)
		}
		if count == 0 && b.First != op.LSN {
			r.err = fmt.Errorf("a batch from %d on begins at %d", b.First, op.LSN)
		}
		r.next = op.LSN + op.N
		bytes += op.Bytes()
		count++
	}
	if count != b.Count || bytes != b.Bytes || count > 0 && b.Last != r.next-1 {
		r.err = fmt.Errorf("%d operations with %d bytes up to %d, but the batch has %+v", count, bytes, r.next-1, b)
	}
	r.count += count
}

func (r *reader) check(t *testing.T, who string, last uint64) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.next != last+1 {
		t.Errorf("%s: read up to %d of %d: %v", who, r.next-1, last, r.err)
	}
}

// file is a File that reads batches, and syncs each.
type file struct {
	reader
	s      *sequence.Sequencer
	fail   error
	closed bool
}

func (f *file) Write(_ time.Time, b *sequence.Batch, _ uint64) error {
	if f.fail != nil {
		return f.fail
	}
	if f.read(b); b.Count > 0 {
		f.s.Synced(b.Last)
	}
	return nil
}

func (f *file) Delay() time.Duration        { return time.Millisecond }
func (f *file) Wake() (time.Duration, bool) { return 0, false }
func (f *file) Close() error                { f.closed = true; return nil }

// begin returns a Sequencer that is to be stepped by hand, and its file.
func begin(opt sequence.Options) (*sequence.Sequencer, *file) {
	opt.KeptBytes = keptBytes
	s := sequence.New(opt)
	f := &file{reader: reader{next: 1}, s: s}
	s.Begin(1, f)
	return s, f
}

// taking is a sink that reads batches, and calls before, if not nil, first.
type taking struct {
	reader
	before func(b *sequence.Batch) error
}

func (k *taking) Take(b *sequence.Batch) error {
	if k.before != nil {
		if err := k.before(b); err != nil {
			return err
		}
	}
	k.read(b)
	return nil
}

func attach(
	t *testing.T,
	s *sequence.Sequencer,
	before func(*sequence.Batch) error,
	opt sequence.SinkOptions,
) (*taking, *sequence.Attachment) {
	t.Helper()
	k := &taking{before: before}
	k.mu.Lock()
	defer k.mu.Unlock()
	a, after, err := s.Attach(k, opt)
	if err != nil {
		t.Fatal(err)
	}
	k.next = after + 1
	return k, a
}

// ample is a bound that is not reached.
const ample = 1 << 40

// writer appends operations in an order that leaves gaps for a while.
type writer struct {
	rng     *rand.Rand
	buffers []*sequence.Buffer
	waiting [][]sequence.Operation // assigned, not yet appended, by buffer
	last    uint64
}

func newWriter(rng *rand.Rand, s *sequence.Sequencer, buffers int) *writer {
	w := &writer{rng: rng, waiting: make([][]sequence.Operation, buffers)}
	for range buffers {
		w.buffers = append(w.buffers, s.Buffer())
	}
	return w
}

// assign assigns LSNs to an operation of any buffer, to be appended later.
func (w *writer) assign() {
	op := operation(w.rng, w.last+1)
	w.last = op.LSN + op.N - 1
	i := w.rng.IntN(len(w.buffers))
	w.waiting[i] = append(w.waiting[i], op)
}

// append appends up to n operations of any buffer.
func (w *writer) append(n int) {
	i := w.rng.IntN(len(w.buffers))
	for range min(n, len(w.waiting[i])) {
		w.buffers[i].Add(&w.waiting[i][0])
		w.waiting[i] = w.waiting[i][1:]
	}
}

func (w *writer) appendAll() {
	for i := range w.waiting {
		for j := range w.waiting[i] {
			w.buffers[i].Add(&w.waiting[i][j])
		}
		w.waiting[i] = nil
	}
}

// TestSequence: the operations of several writers, appended in any order, are handed to the file
// and to all sinks in the order of their LSNs, without a gap and with their bytes.
func TestSequence(t *testing.T) {
	rng := newRand(t)
	for range 15 {
		s, f := begin(sequence.Options{})
		w := newWriter(rng, s, 1+rng.IntN(4))
		sinks := map[*taking]*sequence.Attachment{}
		for range 200 {
			for range rng.IntN(40) {
				w.assign()
				if rng.IntN(3) > 0 {
					w.append(rng.IntN(4))
				}
			}
			if rng.IntN(4) == 0 {
				w.appendAll()
			}
			if rng.IntN(40) == 0 {
				k, a := attach(t, s, nil, sequence.SinkOptions{MaxBehindBytes: ample, Acknowledge: rng.IntN(2) == 0})
				sinks[k] = a
			}
			s.Step(time.Unix(0, 0))
		}
		w.appendAll()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		f.check(t, "the file", w.last)
		for k, a := range sinks {
			<-a.Done()
			k.check(t, "a sink", w.last)
			if err := a.Err(); !errors.Is(err, sequence.ErrClosed) {
				t.Error(err)
			}
		}
		if !f.closed || s.Durable() != w.last {
			t.Errorf("durable up to %d of %d", s.Durable(), w.last)
		}
	}
}

// TestInvalidOperation: what the sequence cannot hold breaks it, instead of being written.
func TestInvalidOperation(t *testing.T) {
	for name, op := range map[string]sequence.Operation{
		"no LSN":                   {LSN: 2, N: 0, Semantics: 1},
		"too many LSNs":            {LSN: 2, N: sequence.MaxNumbers + 1, Semantics: 1},
		"an LSN twice":             {LSN: 1, N: 1, Semantics: 1},
		"no semantics":             {LSN: 2, N: 1},
		"semantics of 33 bits":     {LSN: 2, N: 1, Semantics: 1 << 32},
		"extensions that end":      {LSN: 2, N: 1, Semantics: 1, Extensions: []byte{1, 2, 3}},
		"tags that do not ascend":  {LSN: 2, N: 1, Semantics: 1, Extensions: []byte{1, 0, 1, 0}},
		"extensions too long":      {LSN: 2, N: 1, Semantics: 1, Extensions: append([]byte{1, 0x80, 0x80, 4}, make([]byte, 64<<10)...)},
		"a tag that is no varuint": {LSN: 2, N: 1, Semantics: 1, Extensions: []byte{0x80}},
	} {
		s, f := begin(sequence.Options{})
		b := s.Buffer()
		b.Append(1, 1, 0, nil)
		s.Step(time.Unix(0, 0))
		b.Add(&op)
		if s.Err() == nil {
			t.Errorf("%s: taken", name)
		}
		s.Step(time.Unix(0, 0))
		f.check(t, name, 1)
	}
}

// TestRetainedRequest: the slice of a long request is not written to, whatever its capacity.
func TestRetainedRequest(t *testing.T) {
	s, f := begin(sequence.Options{})
	b := s.Buffer()
	long := request(1, 64<<10)
	b.Append(1, 1, 0, long)
	for lsn := uint64(2); lsn < 10_000; lsn++ {
		b.Append(lsn, 1, 0, request(lsn, 100))
		if lsn == 10 || lsn == 9999 { // all chunks that are kept for reuse are used in between
			s.Step(time.Unix(0, 0))
		}
	}
	if !slices.Equal(long, request(1, 64<<10)) {
		t.Error("it was")
	}
	f.check(t, "the file", 9999)
}

type sinkFunc func(b *sequence.Batch) error

func (f sinkFunc) Take(b *sequence.Batch) error { return f(b) }

// discarding is a File that reads batches, and keeps nothing.
type discarding struct{}

func (discarding) Write(_ time.Time, b *sequence.Batch, _ uint64) error {
	for range b.Operations() {
	}
	return nil
}

func (discarding) Delay() time.Duration        { return time.Hour }
func (discarding) Wake() (time.Duration, bool) { return 0, false }
func (discarding) Close() error                { return nil }

// TestAllocations: in the steady state operations are neither copied to new memory nor counted by
// new objects, with and without a sink.
func TestAllocations(t *testing.T) {
	for _, attached := range []bool{false, true} {
		s := sequence.New(sequence.Options{KeptBytes: keptBytes})
		s.Begin(1, discarding{})
		b, c := s.Buffer(), s.Buffer()
		took := make(chan struct{})
		if attached {
			if _, _, err := s.Attach(sinkFunc(func(b *sequence.Batch) error {
				for range b.Operations() {
				}
				took <- struct{}{}
				return nil
			}), sequence.SinkOptions{MaxBehindBytes: ample}); err != nil {
				t.Fatal(err)
			}
		}
		op, lsn := request(1, 60), uint64(0)
		allocations := testing.AllocsPerRun(100, func() {
			for range 1000 {
				b.Append(lsn+1, 1, 0, op)
				c.Append(lsn+2, 1, 0, op)
				lsn += 2
			}
			s.Step(time.Unix(0, 0))
			if attached {
				<-took
			}
		})
		if allocations > 20 {
			t.Errorf("%.0f allocations for 2000 operations; attached: %v", allocations, attached)
		}
	}
}

// TestUnderLoad: writers append on goroutines while sinks come and go. Each takes what follows its
// LSN.
func TestUnderLoad(t *testing.T) {
	var synced atomic.Int64
	s, f := begin(sequence.Options{OnSync: func() { synced.Add(1) }})
	s.Start()
	var clock sync.Mutex
	last := uint64(0)
	var writers, owners sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		writers.Go(func() {
			b := s.Buffer()
			defer b.Close()
			for i := range 20_000 {
				clock.Lock()
				last++
				lsn := last
				clock.Unlock()
				size := 20
				if i%500 == 0 {
					size = keptBytes + i
				}
				b.Append(lsn, 1, int64(i), request(lsn, size))
				if i%1000 == 0 {
					s.Flush()
				}
			}
		})
	}
	for i := range 3 {
		owners.Go(func() {
			for round := 0; ; round++ {
				k, a := attach(t, s, nil, sequence.SinkOptions{MaxBehindBytes: 1 << 20, Acknowledge: i == 0})
				select {
				case <-stop:
				case <-time.After(time.Duration(1+round%5) * time.Millisecond):
				}
				a.Detach()
				<-a.Done()
				taken, behind := a.Taken()
				k.mu.Lock()
				if k.err != nil || k.next <= taken {
					t.Errorf("a sink has taken up to %d, and read up to %d: %v", taken, k.next-1, k.err)
				}
				k.mu.Unlock()
				if err := a.Err(); behind != 0 ||
					!errors.Is(err, sequence.ErrDetached) && !errors.Is(err, sequence.ErrBehind) {
					t.Errorf("%d bytes wait for a detached sink: %v", behind, err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	if err := s.Sync(last); err != nil || s.Durable() < last || synced.Load() == 0 {
		t.Error(s.Durable(), err)
	}
	close(stop)
	owners.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f.check(t, "the file", last)
	if _, _, err := s.Attach(&taking{}, sequence.SinkOptions{}); !errors.Is(err, sequence.ErrClosed) {
		t.Error(err)
	}
}

// TestValidExtensions: what can be taken apart into tags that ascend is valid, and nothing else.
func TestValidExtensions(t *testing.T) {
	rng := newRand(t)
	for range 10_000 {
		b := make([]byte, rng.IntN(12))
		for i := range b {
			b[i] = byte(rng.IntN(4))
		}
		if want := splits(b, -1); sequence.ValidExtensions(b) != want {
			t.Fatalf("% x: valid is %v", b, !want)
		}
	}
}

// splits is ValidExtensions for tags and lengths of one byte.
func splits(b []byte, tag int) bool {
	switch {
	case len(b) == 0:
		return true
	case len(b) < 2 || int(b[0]) <= tag || int(b[1]) > len(b)-2:
		return false
	}
	return splits(b[2+b[1]:], int(b[0]))
}

// FuzzValidExtensions: nothing panics, and what is valid has tags that ascend.
func FuzzValidExtensions(f *testing.F) {
	f.Add([]byte{1, 2, 0xab, 0xcd, 4, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if !sequence.ValidExtensions(b) {
			return
		}
		for before := int64(-1); len(b) > 0; {
			tag, n := binary.Uvarint(b)
			length, m := binary.Uvarint(b[n:])
			if before >= 0 && tag <= uint64(before) {
				t.Fatalf("tag %d after %d", tag, before)
			}
			b = b[n+m+int(length):]
			if before = int64(tag); before < 0 {
				return
			}
		}
	})
}
