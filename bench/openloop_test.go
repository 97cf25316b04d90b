package bench

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

func TestOpenLoopKeepsItsRate(t *testing.T) {
	for _, threads := range []int{1, 2} {
		o := startFake(t, &fakeServer{})
		o.Rate, o.Threads, o.Duration = 5000, threads, 200*time.Millisecond
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		// the loops begin and end apart from each other when the machine is busy
		if due := o.Rate * r.Seconds; r.Failed() || math.Abs(float64(r.Ops+r.Unsent)-due) > 0.2*due {
			t.Errorf(
				"%d threads: %d requests and %d unsent in %v s at a rate of %v",
				threads,
				r.Ops,
				r.Unsent,
				r.Seconds,
				o.Rate,
			)
		}
	}
}

// TestOpenLoopChargesForAStall lets the server sleep once: the requests that were due meanwhile
// count with the time they waited.
func TestOpenLoopChargesForAStall(t *testing.T) {
	const stall = 100 * time.Millisecond
	var gets atomic.Int64
	o := startFake(t, &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpDictGet && gets.Add(1) == 300 {
			<-time.After(stall)
		}
		return reply
	}})
	o.Connections, o.Pipeline, o.Warmup, o.Rate, o.Duration = 1, 2, 0, 2000, 500*time.Millisecond
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	// 200 of 1000 requests fall into the stall; a closed loop would have asked two
	h, err := r.Histogram()
	if err != nil {
		t.Fatal(err)
	}
	if p90 := time.Duration(h.ValueAtQuantile(90)); p90 < stall/5 || r.Failed() {
		t.Errorf("p90 %v after a stall of %v: %d operations, %d unsent", p90, stall, r.Ops, r.Unsent)
	}
}

func TestOpenLoopReportsUnsent(t *testing.T) {
	o := startFake(t, &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpDictGet {
			<-time.After(time.Millisecond)
		}
		return reply
	}})
	o.Connections, o.Pipeline, o.Rate, o.Duration = 1, 1, 20_000, 100*time.Millisecond
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if due := o.Rate * r.Seconds; float64(r.Unsent) < 0.8*due || r.P50 < 10_000 {
		t.Errorf("%d sent, %d unsent of %.0f, p50 %v us", r.Ops, r.Unsent, due, r.P50)
	}
}

func TestRunEndsWithItsRequests(t *testing.T) {
	for _, rate := range []float64{0, 20_000} {
		o := startFake(t, &fakeServer{})
		o.Requests, o.Threads, o.Rate = 1001, 2, rate
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Ops != 1001 || r.Failed() {
			t.Errorf("rate %v: %d operations, %d errors", rate, r.Ops, r.Errors)
		}
	}
}
