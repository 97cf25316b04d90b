package loop

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestInputKeepsBytes: an input returns every byte once, in order, however the bytes arrive and
// however many of them are used up each time.
func TestInputKeepsBytes(t *testing.T) {
	t.Parallel()
	want := make([]byte, 3000)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for arrive := 1; arrive < 70; arrive += 3 {
		for use := 1; use < 70; use += 5 {
			var in input
			var got []byte
			for rest := want; len(rest) > 0 || len(in.rest()) > 0; {
				n := min(arrive, len(rest))
				pending := in.pending(rest[:n])
				used := min(use, len(pending))
				got = append(got, pending[:used]...)
				in.save(pending, used, rest[:n])
				rest = rest[n:]
			}
			if !bytes.Equal(got, want) || !in.empty() {
				t.Fatalf("%d arrive, %d are used up each time: got %d bytes of %d", arrive, use, len(got), len(want))
			}
		}
	}
}

// TestInputGrowsOnce: a large frame is not copied again once half of it has arrived.
func TestInputGrowsOnce(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	frame := binary.LittleEndian.AppendUint32(nil, size)
	frame = append(frame, make([]byte, size+codec.HeaderBytes-4)...)
	var in input
	moves, last := 0, 0
	for rest := frame; len(rest) > 1; {
		n := min(64<<10, len(rest)-1)
		pending := in.pending(rest[:n])
		in.save(pending, 0, rest[:n])
		rest = rest[n:]
		if len(in.rest()) <= size/2 {
			last = cap(in.buffer.B)
		} else if c := cap(in.buffer.B); c != last {
			moves, last = moves+1, c
		}
	}
	if moves > 1 {
		t.Errorf("moved %d times after half of it had arrived", moves)
	}
}

// TestInputBudget: the budget counts buffered input beyond uncountedBytes. It refuses what exceeds
// it, and old input once more than half of it is in use.
func TestInputBudget(t *testing.T) {
	t.Parallel()
	var clock coarseClock
	start := time.Unix(1000, 0)
	clock.init(start)
	budget := &requestBudget{limit: 1 << 20, time: time.Second}
	keep := func(in *input, n int) {
		in.save(in.pending(make([]byte, n)), 0, make([]byte, n))
	}
	var small, old, large input
	keep(&small, uncountedBytes)
	if err := small.exceeds(budget, &clock); err != nil || budget.bytes.Load() != 0 {
		t.Errorf("small: %v, %d counted", err, budget.bytes.Load())
	}
	keep(&old, 400<<10)
	if err := old.exceeds(budget, &clock); err != nil || budget.bytes.Load() != 400<<10 {
		t.Errorf("old: %v, %d counted", err, budget.bytes.Load())
	}
	clock.set(start.Add(2 * time.Second))
	if err := old.exceeds(budget, &clock); err != nil {
		t.Errorf("closed while there is room: %v", err)
	}
	keep(&large, 200<<10)
	if err := large.exceeds(budget, &clock); err != nil {
		t.Errorf("large: %v", err)
	}
	if err := old.exceeds(budget, &clock); err == nil || err.Status != codec.StatusOverloaded {
		t.Errorf("the old one stays: %v", err)
	}
	keep(&large, 800<<10)
	if err := large.exceeds(budget, &clock); err == nil || err.Status != codec.StatusOverloaded {
		t.Errorf("the one beyond the limit stays: %v", err)
	}
	for _, in := range []*input{&small, &old, &large} {
		in.count(budget, 0, &clock)
	}
	if n := budget.bytes.Load(); n != 0 {
		t.Errorf("%d bytes stay counted", n)
	}
	if !budget.admit(1<<20) || budget.admit(1) {
		t.Error("admit does not go by the limit")
	}
}
