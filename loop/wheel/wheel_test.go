package wheel

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// timer is a timer of a test. A model is what a slow, simple implementation says of all of them.
type timer struct {
	Timer
	id    int
	model *model
}

// model is a wheel, and what must be due.
type model struct {
	testing.TB
	wheel   Wheel
	now     int64
	timers  []*timer
	due     map[*timer]int64 // the active timers
	fired   []*timer
	inFired func(t *timer)
}

func newModel(tb testing.TB, n int) *model {
	m := &model{TB: tb, due: make(map[*timer]int64)}
	for i := range n {
		t := &timer{id: i, model: m}
		t.Owner = t
		m.timers = append(m.timers, t)
	}
	return m
}

// Due implements Owner.
func (t *timer) Due() {
	m := t.model
	tick, ok := m.due[t]
	if !ok || tick > m.now || t.Active() {
		m.Fatalf("timer %d, due at %d (%v), fires at %d", t.id, tick, ok, m.now)
	}
	delete(m.due, t)
	m.fired = append(m.fired, t)
	if m.inFired != nil {
		m.inFired(t)
	}
}

func (m *model) add(t *timer, tick int64) {
	m.wheel.Add(&t.Timer, tick)
	m.due[t] = tick
}

func (m *model) remove(t *timer) {
	_, want := m.due[t]
	delete(m.due, t)
	if got := m.wheel.Remove(&t.Timer); got != want {
		m.Fatalf("Remove of timer %d: %v", t.id, got)
	}
}

// advance moves the wheel, in steps of limit timers, and checks what fires, and in which order.
func (m *model) advance(tick int64, limit int) {
	var want []*timer
	for t, at := range m.due {
		if at <= tick {
			want = append(want, t)
		}
	}
	due := make(map[*timer]int64)
	for _, t := range want {
		due[t] = max(m.due[t], m.now)
	}
	m.now = tick
	m.fired = m.fired[:0]
	for !m.wheel.Advance(tick, limit) {
	}
	if m.inFired != nil {
		return
	}
	if !slices.IsSortedFunc(m.fired, func(a, b *timer) int { return cmp.Compare(due[a], due[b]) }) {
		m.Fatalf("up to %d timers fire in the wrong order", tick)
	}
	for _, t := range m.fired {
		delete(due, t)
	}
	if len(due) > 0 || len(m.fired) != len(want) {
		m.Fatalf("up to %d %d timers fire, and %d must", tick, len(m.fired), len(want))
	}
}

// check compares what the wheel says of itself. Next may be early: at most as many times as there
// are levels.
func (m *model) check() {
	first := int64(math.MaxInt64)
	for _, at := range m.due {
		first = min(first, at)
	}
	next, ok := m.wheel.Next()
	if ok != (len(m.due) > 0) || m.wheel.Len() != len(m.due) {
		m.Fatalf("%d timers, next %v; there are %d", m.wheel.Len(), ok, len(m.due))
	}
	if ok && next > max(first, m.now) {
		m.Fatalf("next is %d, but one is due at %d", next, first)
	}
	if ok && next < m.now {
		m.Fatalf("next is %d at %d", next, m.now)
	}
}

// randomTick returns a tick that is near now as often as it is far from it.
func randomTick(r *rand.Rand, now int64) int64 {
	return now - 10 + min(r.Int64N(1<<(4+r.IntN(59))), math.MaxInt64-now)
}

// TestModel: random operations do what a simple implementation does.
func TestModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		m := newModel(t, 1+r.IntN(100))
		for range 500 {
			one := m.timers[r.IntN(len(m.timers))]
			switch r.IntN(4) {
			case 0, 1:
				m.add(one, randomTick(r, m.now))
			case 2:
				m.remove(one)
			default:
				m.advance(max(m.now, min(randomTick(r, m.now), m.now+1<<r.IntN(40))), 1+r.IntN(20))
			}
			m.check()
		}
		m.advance(math.MaxInt64, 7)
		m.check()
	}
}

// TestNextReachesTimers: a caller that advances the wheel to what Next says, and no further, gets
// each timer at its tick, in few steps.
func TestNextReachesTimers(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{0, 1, 63, 64, 65, 4095, 4096, 3_600_000, 1 << 40, math.MaxInt64} {
		for _, from := range []int64{0, 1, 63, 64, 5000, 1 << 39} {
			if from > at {
				continue
			}
			m := newModel(t, 1)
			m.advance(from, 1)
			m.add(m.timers[0], at)
			steps := 0
			for ; len(m.due) > 0; steps++ {
				next, _ := m.wheel.Next()
				m.advance(next, 100)
			}
			if m.now != at || steps > levels {
				t.Errorf("from %d: a timer for %d fires at %d, after %d steps", from, at, m.now, steps)
			}
		}
	}
}

// TestDueChangesWheel: owners add and remove timers while they are told.
func TestDueChangesWheel(t *testing.T) {
	t.Parallel()
	m := newModel(t, 50)
	rounds := 0
	m.inFired = func(one *timer) {
		if rounds++; rounds < 1000 {
			m.add(one, m.now)
			m.remove(m.timers[(one.id+1)%50])
			m.add(m.timers[(one.id+2)%50], m.now-5+int64(one.id))
		}
	}
	for _, one := range m.timers {
		m.add(one, 100)
	}
	m.advance(200, 3)
	m.check()
	m.advance(300, 3)
	m.check()
	if rounds < 1000 || len(m.due) > 0 {
		t.Errorf("%d rounds, %d timers left", rounds, len(m.due))
	}
}

// TestSameTick: timers of one tick fire in the order in which they were added.
func TestSameTick(t *testing.T) {
	t.Parallel()
	m := newModel(t, 100)
	for _, one := range m.timers {
		m.add(one, 100_000)
	}
	m.advance(100_000, 9)
	for i, one := range m.fired {
		if one.id != i {
			t.Fatalf("timer %d fires as number %d", one.id, i)
		}
	}
}

// TestAllocations: a wheel allocates nothing.
func TestAllocations(t *testing.T) {
	m := newModel(t, 64)
	for _, one := range m.timers {
		one.Owner = quiet{}
	}
	now := int64(0)
	if n := testing.AllocsPerRun(100, func() {
		for i, one := range m.timers {
			m.wheel.Add(&one.Timer, now+1<<(i%bits.UintSize/2))
		}
		now += 5000
		for !m.wheel.Advance(now, 10) {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// quiet is an owner that does nothing.
type quiet struct{}

func (quiet) Due() {}

// FuzzWheel: any operations do what a simple implementation does.
func FuzzWheel(f *testing.F) {
	f.Add([]byte{0, 1, 200, 2, 1, 3, 5, 77, 3, 3, 60, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := newModel(t, 16)
		for ; len(ops) >= 3; ops = ops[3:] {
			one, by := m.timers[ops[0]>>4], int64(ops[2])<<(ops[1]%54)
			tick := m.now + min(by, math.MaxInt64-m.now)
			switch ops[0] & 3 {
			case 0, 1:
				m.add(one, tick)
			case 2:
				m.remove(one)
			default:
				m.advance(tick, 1+int(ops[1]>>4))
			}
			m.check()
		}
	})
}

// BenchmarkAddRemove adds and removes one timer among many.
func BenchmarkAddRemove(b *testing.B) {
	m := newModel(b, 1<<16)
	r := rand.New(rand.NewPCG(1, 2))
	for _, one := range m.timers {
		m.wheel.Add(&one.Timer, r.Int64N(3_600_000))
	}
	var t Timer
	for b.Loop() {
		m.wheel.Add(&t, 5000)
		m.wheel.Remove(&t)
	}
}
