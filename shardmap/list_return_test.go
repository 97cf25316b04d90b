package shardmap

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// newQueue returns a list of n whole numbers and a call for it.
func newQueue(t testing.TB, s *Store, n int) (*List, *Call) {
	t.Helper()
	c := &Call{MayBlock: true, Time: 1000}
	s.SetNow(1000)
	var packed []byte
	for i := range n {
		packed = append(packed, intElem(i)...)
	}
	table, err := s.Create(c, "queue", KindList, packed, n)
	if err != nil {
		t.Fatal(err)
	}
	return table.List(), c
}

func claimNumber(i int) (claim Claim) {
	copy(claim[:], fmt.Sprintf("%016d", i))
	return claim
}

// TestManyReturn: many items with one due time return in short steps, while a view is open: those
// that were leased in the order in which they were taken, delayed ones and dead letters too. The
// memory that the queue needed for them is returned.
func TestManyReturn(t *testing.T) {
	n := 10_000
	if longRun() {
		n = 1_000_000
	}
	take := func(l *List, c *Call, i int) error {
		_, there, err := l.Take(c, nil, claimNumber(i), 100)
		if !there {
			err = errors.Join(err, errors.New("the list is empty"))
		}
		return err
	}
	for name, hold := range map[string]func(l *List, c *Call, i int) error{
		"leased": take, "dead letters": take,
		"delayed": func(l *List, c *Call, i int) error {
			_, err := l.Pop(c, nil, 0)
			return errors.Join(err, l.Put(c, intElem(i), 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := "queue"
			if name == "dead letters" {
				to = "dead"
			}
			manyReturn(t, n, to, hold)
		})
	}
}

// longRun reports whether the tests may take long. Then they also check times.
func longRun() bool { return os.Getenv("CYBERDB_LONG") == "1" }

// manyReturn holds n items of a queue, which return to a list.
func manyReturn(t *testing.T, n int, to string, hold func(l *List, c *Call, i int) error) {
	s := NewStore()
	l, c := newQueue(t, s, n)
	if to != "queue" {
		if err := l.Configure(c, func(o *QueueOptions) error {
			*o = QueueOptions{1, to}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	before := heapNow()
	for i := range n {
		if err := hold(l, c, i); err != nil {
			t.Fatal(err)
		}
	}
	view := s.View()
	s.SetNow(1100)
	runtime.LockOSThread() // its processor time is measured: the machine may be busy
	defer runtime.UnlockOSThread()
	steps, longest, longer := 0, time.Duration(0), 0
	sweeper := Call{MayBlock: true, Time: 1100}
	for more := true; more; steps++ {
		began, returned := threadTime(), 0
		returned, more = s.Sweep(&sweeper)
		if took := threadTime() - began; returned > 0 {
			longest = max(longest, took)
			if took > time.Millisecond {
				longer++
			}
		}
		if returned > maxReturned {
			t.Fatalf("%d returned at once", returned)
		}
	}
	t.Logf("%d steps, the longest took %v, %d more than 1 ms", steps, longest, longer)
	if longer > steps/20 && longRun() && !raceEnabled { // some steps also collect garbage
		t.Errorf("%d of %d steps took more than 1 ms", longer, steps)
	}
	for _, table := range view.Tables() {
		if table.List().Len() != 0 || table.List().HeldLen() != n {
			t.Errorf("the view has %d elements and holds %d", table.List().Len(), table.List().HeldLen())
		}
	}
	view.Close()
	returned := listOf(c, s, to)
	if returned.Len() != n {
		t.Fatalf("%d elements, want %d", returned.Len(), n)
	}
	for i := range n {
		got, err := returned.Get(c, nil, int64(i))
		if err != nil || string(got) != string(intElem(i)) {
			t.Fatalf("element %d is %x: %v", i, got, err)
		}
	}
	if left := heapNow() - before; left > 16*n+1<<20 {
		t.Errorf("%d bytes of %d items are left", left, n)
	}
	runtime.KeepAlive(l)
}

// heapNow returns how many bytes of the heap are in use.
func heapNow() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestDeadLetterPanic: a panic while a dead letter moves leaves both lists poisoned, and no lock
// held.
func TestDeadLetterPanic(t *testing.T) {
	s := NewStore()
	l, c := newQueue(t, s, 3)
	other, err := s.Create(c, "dead", KindList, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Configure(c, func(o *QueueOptions) error {
		*o = QueueOptions{1, "dead"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Take(c, nil, claimNumber(1), 100); err != nil {
		t.Fatal(err)
	}
	receipt := c.Version
	broken := Call{MayBlock: true, Time: 1000, Log: panicLog{}, Effects: &queueLog{}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = l.Nack(&broken, receipt, 0)
	}()
	if poisoned := broken.Release(); poisoned != l.table {
		t.Errorf("poisoned %v", poisoned)
	}
	if err := errors.Join(l.table.Err(), other.Err()); !errors.Is(err, ErrPoisoned) || other.Err() == nil {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"queue", "dead"} { // hangs if a mutex is held
		if err := s.Drop(&Call{}, name); err != nil {
			t.Error(err)
		}
	}
}

// TestDeadLettersNotLocks: options of an older file may name the table of the locks: no list gets
// that name, and the items return to their queue.
func TestDeadLettersNotLocks(t *testing.T) {
	s := NewStore()
	l, c := newQueue(t, s, 1)
	warned := 0
	s.OnNoDeadLetters(func(string, string) { warned++ })
	if err := l.Configure(c, func(o *QueueOptions) error {
		*o = QueueOptions{1, LocksTable}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		if _, there, err := l.Take(c, nil, claimNumber(round), 100); !there || err != nil {
			t.Fatal(there, err)
		}
		if round == 0 {
			if err := l.Nack(c, c.Version, 0); err != nil {
				t.Fatal(err)
			}
			continue
		}
		s.SetNow(1100)
		for more := true; more; {
			_, more = s.Sweep(&Call{MayBlock: true, Time: 1100})
		}
	}
	if _, made := s.Lookup(c, []byte(LocksTable)); made || l.Len() != 1 || warned == 0 {
		t.Errorf("the table of the locks was made: %v; the queue has %d items; %d warnings", made, l.Len(), warned)
	}
}

type panicLog struct{}

func (panicLog) Append(uint64, uint64, int64, []byte) { panic("fault") }

// TestQueuesOfEachOther: two lists that are each other's dead letters, used by several goroutines,
// never wait for each other, and no item is lost.
func TestQueuesOfEachOther(t *testing.T) {
	const items = 300
	s := NewStore()
	s.SetNow(1000)
	names := []string{"a", "b"}
	for i, name := range names {
		c := Call{MayBlock: true, Time: 1000, QueueOptions: QueueOptions{1, names[1-i]}}
		if _, err := s.Create(&c, name, KindList, nil, 0); err != nil {
			t.Fatal(err)
		}
		for k := range items {
			if err := listOf(&c, s, name).Append(&c, intElem(i*items+k)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			c := Call{MayBlock: w > 1, Time: 1000}
			for i := range 2000 {
				l := listOf(&c, s, names[(w+i)%2])
				out, there, err := l.Take(&c, nil, claimNumber(w*10_000+i), 1_000_000)
				if !there || err != nil {
					continue
				}
				receipt, _, _ := msgp.ReadUint64Bytes(out)
				if err := l.Nack(&c, receipt, 0); err != nil {
					t.Errorf("nack: %v", err)
					return
				}
			}
		})
	}
	workers.Wait()
	all := 0
	s.Tables(func(_ string, _ Kind, length int) bool {
		all += length
		return true
	})
	if all != 2*items {
		t.Errorf("%d items, there were %d", all, 2*items)
	}
}
