package engine

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// searchTime is how long TestCostSearch looks: go test ./loop/engine -run TestCostSearch -search
// 10m.
var searchTime = flag.Duration("search", 3*time.Second, "how long TestCostSearch looks for expensive requests")

const (
	// mostOnLoop is how much processor time a request of at most maxGenomeBytes may take on an
	// event loop.
	mostOnLoop = 5 * time.Millisecond
	// mostOff is how many times the estimate it may take, beyond offSlack.
	mostOff  = 5
	offSlack = 100 * time.Microsecond
	// measuredTries is how often a request that takes too long is measured: the shortest time
	// counts.
	measuredTries = 5
	// raceSlows is how many times longer all takes under the race detector.
	raceSlows = 20
)

// stage executes scenes.
type stage struct {
	testing.TB
	engine *Engine
}

// measured is what a scene took.
type measured struct {
	took     time.Duration // of the processor, on the event loop
	estimate time.Duration
	outcome  Outcome
	status   codec.Status
}

// within says whether the times are as they should be.
func (m measured) within() bool {
	took := m.took
	if raceEnabled {
		took /= raceSlows
	}
	return took <= mostOnLoop && took <= mostOff*m.estimate+offSlack
}

func cpuTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}

// perform makes the tables of a scene, executes its request as an event loop does, and drops the
// tables.
func (st *stage) perform(s *scene) (m measured) {
	blocking := shardmap.Call{MayBlock: true}
	create := func(name string, kind shardmap.Kind, packed []byte, each int) bool {
		n := 0
		for b := packed; len(b) > 0; n++ {
			size, err := value.Check(b)
			if err != nil {
				return false
			}
			b = b[size:]
		}
		_, err := st.engine.Store().Create(&blocking, name, kind, packed, n/each)
		return err == nil
	}
	defer func() {
		for _, name := range []string{"d", "l", "new"} {
			_ = st.engine.Store().Drop(&blocking, name)
		}
	}()
	if !create("l", shardmap.KindList, s.list, 1) || !create("d", shardmap.KindDict, s.dict, 2) {
		return m
	}
	frame := codec.AppendRequest(nil, &codec.Request{ID: 1, Op: s.op, Args: s.args})
	x := st.engine.NewExecutor()
	out := make([]byte, 0, 2<<20)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := cpuTime()
	req, _, err := codec.ParseRequest(frame)
	x.Execute(out, &req, err)
	m = measured{cpuTime() - start, time.Duration(x.Cost), x.Outcome, x.Status}
	if x.Outcome == Streams {
		x.Stream.Close()
	}
	return m
}

// measure performs a scene, again if it takes too long: the processor may have been busy with
// something else.
func (st *stage) measure(s *scene) measured {
	m := st.perform(s)
	for n := 1; n < measuredTries && !m.within(); n++ {
		if again := st.perform(s); again.took < m.took {
			m = again
		}
	}
	return m
}

func (m measured) String() string {
	return fmt.Sprintf("%v, estimated %v, outcome %d, %v", m.took, m.estimate, m.outcome, m.status)
}

func newStage(t testing.TB) *stage {
	return &stage{t, New(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})}
}

// badGenomes are requests that were expensive once.
var badGenomes = [][]byte{
	scriptOf(codec.OpDictGet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 4, 0, 15, 7, 2, 0, 0, 105, 0, 0),
	scriptOf(codec.OpListCount, 10, 0, 2, 0, 0, 174, 0, 0, 0, 0, 0, 0, 1, 11, 255),
	{0x25, 0x0a, 2, 0, 0, 0xae, 0, 0, 0xba, 0, 0, 0x69, 2, 0x0b, 0xff},
	{
		0x2b,
		0x3f,
		0x2e,
		0x24,
		0x1d,
		0xcb,
		0xfe,
		0x90,
		0x51,
		0x1b,
		0x7d,
		0x3a,
		0xc2,
		0x1a,
		0x08,
		0xcf,
		0x7f,
		0xb8,
		0x80,
		0xde,
		0x52,
		0x17,
		0x4f,
		0x26,
		0xb7,
		0x99,
		0x4e,
		0xd9,
		0x04,
		0x4d,
		0xe8,
		0x2e,
		0xda,
		0x53,
		0xff,
		0xf0,
		0x95,
		0xf7,
		0x9e,
		0xc4,
		0x36,
		0x26,
		0xfb,
		0x9c,
		0xe2,
		0x94,
		0x51,
	},
	scriptOf(codec.OpListSort, 6, 0, 17, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	scriptOf(codec.OpDictUpdate, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 15, 6, 2, 3, 0, 100),
	scriptOf(codec.OpDictGetMany, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 2, 0, 0, 120),
	scriptOf(codec.OpDictIncrement, 0, 2, 0, 0, 0, 0, 0, 0, 4, 11, 0, 11, 4, 11, 3, 11),
	scriptOf(codec.OpDictCompareAndSet, 0, 2, 0, 0, 0, 11, 9, 0, 0, 0, 4, 0, 17, 6, 2, 0, 12),
}

// scriptOf is a genome of an opcode and what follows.
func scriptOf(op codec.Opcode, rest ...byte) []byte {
	return append([]byte{byte(slices.Index(genomeOps, op))}, rest...)
}

// FuzzCost makes a request and the tables that it finds of any bytes, and executes it as an event
// loop does: it does not take long there, nor much longer than the estimate that the loop divides
// its time by.
func FuzzCost(f *testing.F) {
	for _, b := range badGenomes {
		f.Add(b)
	}
	st := newStage(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		st.TB = t
		s, ok := (&genome{b: b}).scene()
		if !ok {
			return
		}
		if m := st.measure(&s); !m.within() {
			t.Errorf("%v with %d bytes of arguments: %v", s.op, len(s.args), m)
		}
	})
}

// found is a genome and what it took.
type found struct {
	op     codec.Opcode
	genome []byte
	bytes  int
	measured
}

func (f *found) perByte() float64 { return float64(f.took) / float64(max(f.bytes, 64)) }

// TestCostSearch climbs: it changes the most expensive request of an opcode so far, in time or in
// time for each byte, and keeps what is more expensive.
func TestCostSearch(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	st := newStage(t)
	longest, densest := map[codec.Opcode]*found{}, map[codec.Opcode]*found{}
	failed := map[codec.Opcode]bool{}
	try := func(b []byte) {
		s, ok := (&genome{b: b}).scene()
		if !ok {
			return
		}
		f := &found{s.op, b, len(s.args), st.measure(&s)}
		if f.estimate == 0 { // its tables could not be made
			return
		}
		if !f.within() && !failed[s.op] {
			failed[s.op] = true
			t.Errorf("%v with %d bytes of arguments: %v; genome %x", s.op, f.bytes, f.measured, b)
		}
		if best := longest[s.op]; best == nil || f.took > best.took {
			longest[s.op] = f
		}
		if best := densest[s.op]; best == nil || f.perByte() > best.perByte() {
			densest[s.op] = f
		}
	}
	for _, b := range badGenomes {
		try(b)
	}
	tried := 0
	for end := time.Now().Add(*searchTime); time.Now().Before(end); tried++ {
		op := genomeOps[rng.IntN(len(genomeOps))]
		from := longest[op]
		if rng.IntN(2) == 0 {
			from = densest[op]
		}
		if from == nil || rng.IntN(8) == 0 {
			from = &found{genome: randomGenome(rng, op)}
		}
		try(mutated(rng, from.genome))
	}
	all := slices.Collect(func(yield func(*found) bool) {
		for _, f := range longest {
			if !yield(f) {
				return
			}
		}
	})
	slices.SortFunc(all, func(a, b *found) int { return int(b.took - a.took) })
	t.Logf("%d requests tried; the longest of each opcode:", tried)
	for _, f := range all[:min(len(all), 12)] {
		t.Logf(
			"%-20v %6d bytes, %v; genome %x; most for a byte: %.0f ns",
			f.op,
			f.bytes,
			f.measured,
			f.genome,
			densest[f.op].perByte(),
		)
	}
}

func randomGenome(rng *rand.Rand, op codec.Opcode) []byte {
	b := make([]byte, 24+rng.IntN(24))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return scriptOf(op, b...)
}

// mutated returns a genome with a few changes after its opcode.
func mutated(rng *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + rng.IntN(3) {
		at := 1 + rng.IntN(len(b)-1)
		switch rng.IntN(4) {
		case 0:
			b = slices.Insert(b, at, byte(rng.Uint32()))
		case 1:
			if len(b) > 8 {
				b = slices.Delete(b, at, at+1)
			}
		case 2:
			b[at] += byte(rng.IntN(5)) - 2
		default:
			b[at] = byte(rng.Uint32())
		}
	}
	return b
}
