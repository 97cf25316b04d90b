package shardmap

import "testing"

// TestQueueFigures: what a list says of itself as a queue is what happened.
func TestQueueFigures(t *testing.T) {
	t.Parallel()
	s, now := NewStore(), int64(1000)
	c := Call{MayBlock: true, Time: now}
	s.SetNow(now)
	table, err := s.Create(&c, "queue", KindList, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := table.List()
	if err := l.Configure(&c, func(o *QueueOptions) error { *o = QueueOptions{2, "dead"}; return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := l.Put(&c, []byte{byte(i)}, int64(i/3)*1000); err != nil {
			t.Fatal(err)
		}
	}
	is := func(when string, want QueueFigures) {
		t.Helper()
		want.Options = QueueOptions{2, "dead"}
		if got := l.QueueFigures(); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	take := func(n int) (receipts []uint64) {
		t.Helper()
		for i := range n {
			if _, there, err := l.Take(&c, nil, Claim{byte(now), byte(i)}, 100); !there || err != nil {
				t.Fatal(there, err)
			}
			receipts = append(receipts, c.Version)
		}
		return receipts
	}
	pass := func(ms int64) {
		now += ms
		c.Time = now
		s.SetNow(now)
		for more := true; more; {
			_, more = s.Sweep(&c)
		}
	}
	is("put", QueueFigures{Delayed: 1})
	first := take(3)
	is("taken", QueueFigures{Leased: 3, Delayed: 1, Taken: 3})
	if err := l.Ack(&c, first[0]); err != nil {
		t.Fatal(err)
	}
	if err := l.Nack(&c, first[1], 0); err != nil {
		t.Fatal(err)
	}
	is("answered", QueueFigures{Leased: 1, Delayed: 1, Taken: 3})
	pass(200)
	is("one lease has ended", QueueFigures{Delayed: 1, Taken: 3, Expired: 1})
	second := take(2)
	if err := l.Nack(&c, second[0], 0); err != nil {
		t.Fatal(err)
	}
	pass(900)
	is("two are dead, one is due", QueueFigures{Taken: 5, Expired: 1, Dead: 2})
	if dead, ok := s.Lookup(&c, []byte("dead")); !ok || dead.Len() != 2 || table.Len() != 1 {
		t.Errorf("the dead letters: %v", ok)
	}
}
