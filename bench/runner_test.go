package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// shortRun returns options for a run that a test can wait for.
func shortRun(target Target) Options {
	o := DefaultOptions()
	o.Target, o.Password = target, fakePassword
	o.Connections, o.Pipeline, o.Keys = 5, 4, 500
	o.Warmup, o.Duration = 5*time.Millisecond, 30*time.Millisecond
	return o
}

func TestRunAgainstAnHonestServer(t *testing.T) {
	// TestRunSpreadsOverTables runs all
	for _, op := range []Op{OpGet, OpSet, OpMixed, OpAppend, OpIndex, OpInsert} {
		for _, shape := range []struct {
			connections, pipeline, threads, valueBytes, cut int
			encrypt                                         bool
		}{
			{1, 1, 1, 32, 0, false},
			{5, 4, 2, 32, 0, false},
			{5, 4, 2, 32, 0, true},
			{3, 16, 1, 1, 7, false},
			{3, 16, 1, 1, 7, true},
			{2, 3, 1, 300_000, 0, false}, // beyond the socket's buffers
			{2, 3, 1, 300_000, 0, true},
		} {
			t.Run(fmt.Sprintf("%s/%+v", op, shape), func(t *testing.T) {
				o := startFake(t, &fakeServer{cut: shape.cut, encrypt: shape.encrypt})
				o.Target.Encrypt = shape.encrypt
				o.Op, o.Connections, o.Pipeline, o.Threads, o.ValueSize = op, shape.connections, shape.pipeline, shape.threads, Fixed(
					shape.valueBytes,
				)
				if o.Op.onceEach() {
					o.Warmup, o.Keys = 0, 20_000
				}
				if shape.valueBytes > 1000 {
					o.Keys = 20
				}
				r, err := Run(context.Background(), o)
				for err == nil && r.Ops == 0 && o.Duration < 10*time.Second { // the machine is busy
					o.Duration *= 4
					r, err = Run(context.Background(), o)
				}
				if err != nil {
					t.Fatal(err)
				}
				if r.Failed() {
					t.Fatalf("%d errors, %d misses: %q", r.Errors, r.Misses, r.Messages)
				}
				if r.Ops == 0 || r.OpsPerSecond <= 0 || r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.P999 ||
					r.P999 > r.Max {
					t.Fatalf("figures do not fit together: %+v", r)
				}
			})
		}
	}
}

// TestRunSpreadsOverTables keeps several tables, drawn unevenly, with sizes that differ.
func TestRunSpreadsOverTables(t *testing.T) {
	for op := range opCount {
		o := startFake(t, &fakeServer{})
		o.Op, o.Tables, o.Zipf, o.KeySize, o.ValueSize = op, 7, 1.1, Size{16, 40}, Size{1, 100}
		if o.Op.onceEach() {
			o.Warmup, o.Keys = 0, 20_000
		}
		r, err := Run(context.Background(), o)
		if err != nil || r.Failed() || r.Ops == 0 || r.Tables != 7 || r.KeySizes != "uniform:16-40" {
			t.Errorf("%s: %v, %+v", op, err, r)
		}
	}
}

// TestRunCountsLostIncrements finds an increment that was acknowledged and undone.
func TestRunCountsLostIncrements(t *testing.T) {
	server := &fakeServer{}
	var increments atomic.Int64
	server.tamper = func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpDictIncrement && increments.Add(1) == 50 {
			server.mu.Lock()
			for key := range server.tables[TablePrefix].dict {
				server.tables[TablePrefix].dict[key] = []byte{0}
			}
			server.mu.Unlock()
		}
		return reply
	}
	o := startFake(t, server)
	o.Op = OpIncr
	r, err := Run(context.Background(), o)
	if err != nil || r.Errors != 1 || !strings.Contains(r.Messages[0], "increments") {
		t.Fatalf("%v: %+v", err, r)
	}
}

func TestPlanTakesTurns(t *testing.T) {
	first, second := startFake(t, &fakeServer{}), startFake(t, &fakeServer{})
	plan := Plan{
		Options:     first,
		Targets:     []Target{first.Target, second.Target},
		Connections: []int{1, 3},
		Pipelines:   []int{2},
		Repeat:      2,
		Interleave:  true,
	}
	for plan.Interleave, plan.Options.Op = range map[bool]Op{true: OpGet, false: OpAppend} {
		var got, want []string
		for _, connections := range plan.Connections {
			for i := range 4 {
				target := plan.Targets[i%2]
				if !plan.Interleave {
					target = plan.Targets[i/2]
				}
				want = append(want, fmt.Sprintf("%s %d", target, connections))
			}
		}
		var runs []*Report
		err := plan.Run(context.Background(), nil, func(r *Report) error {
			got = append(got, fmt.Sprintf("%s %d", r.Target, r.Connections))
			runs = append(runs, r)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("interleave %v: %v: %q, want %q", plan.Interleave, err, got, want)
		}
		if all := NewSeries(
			runs,
		).Summary; len(all) != 4 || all[0].Ratio != 1 || all[0].Runs != 2 ||
			all[1].Target != plan.Targets[1].String() {
			t.Errorf("summary %+v", all)
		}
	}
}

// TestRunSeesThroughLies recognizes and counts every kind of wrong reply.
func TestRunSeesThroughLies(t *testing.T) {
	const idAt, statusAt = 4, 8
	another := newItems(Fixed(16), Fixed(32), 99)
	foreign := another.appendValue(nil, 1)
	cases := []struct {
		name    string
		tamper  func(reply []byte) []byte
		miss    bool
		message string
	}{
		{"one bit of the value", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, false, "another value"},
		{
			"the value of another seed",
			func(b []byte) []byte { return append(b[:len(b)-32], foreign...) },
			false,
			"another value",
		},
		{
			"a shorter value",
			func(b []byte) []byte { return reframed(b[:codec.HeaderBytes], 0xa1, 'x') },
			false,
			"another value",
		},
		{"no value", func(b []byte) []byte { return reframed(b[:codec.HeaderBytes]) }, false, "OK"},
		{"a number", func(b []byte) []byte { return reframed(b[:codec.HeaderBytes], 7) }, false, "a number"},
		{"a boolean", func(b []byte) []byte { return reframed(b[:codec.HeaderBytes], 0xc3) }, false, "true"},
		{"a list", func(b []byte) []byte { return reframed(b[:codec.HeaderBytes], 0x90) }, false, "unexpected type"},
		{"a value cut short", func(b []byte) []byte { return reframed(b[:len(b)-1]) }, false, "not one value"},
		{"bytes after the value", func(b []byte) []byte { return reframed(b, 0) }, false, "not one value"},
		{"more to come", func(b []byte) []byte { codec.SetMore(b, 0); return b }, false, "further frames"},
		{"KeyError", func(b []byte) []byte { b[statusAt] = byte(codec.StatusKeyError); return b }, true, ""},
		{
			"Overloaded",
			func(b []byte) []byte { b[statusAt] = byte(codec.StatusOverloaded); return b },
			false,
			"Overloaded",
		},
		{
			"id 0",
			func(b []byte) []byte { b[idAt], b[idAt+1], b[idAt+2], b[idAt+3] = 0, 0, 0, 0; return b },
			false,
			"not sent",
		},
		{"an id never used", func(b []byte) []byte { b[idAt+3] = 0xff; return b }, false, "not sent"},
		{"the reply twice", func(b []byte) []byte { return append(b, b...) }, false, "not sent"},
		{"a length out of bounds", func(b []byte) []byte { b[3] = 0xff; return b }, false, "bad frame"},
		{"the connection closed", func([]byte) []byte { return nil }, false, "connection"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var gets atomic.Int64
			server := &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
				if req.Op == codec.OpDictGet && gets.Add(1) == 100 {
					return c.tamper(reply)
				}
				return reply
			}}
			o := startFake(t, server)
			r, err := Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if c.miss {
				if r.Misses != 1 || r.Errors != 0 {
					t.Fatalf("%d misses and %d errors (%q), want 1 and 0", r.Misses, r.Errors, r.Messages)
				}
				return
			}
			if r.Errors == 0 || r.Misses != 0 || !strings.Contains(strings.Join(r.Messages, "\n"), c.message) {
				t.Fatalf(
					"%d errors, %d misses, messages %q; want errors that say %q",
					r.Errors,
					r.Misses,
					r.Messages,
					c.message,
				)
			}
		})
	}
}

// reframed is the frame with more bytes at its end and its length corrected.
func reframed(frame []byte, more ...byte) []byte {
	frame = append(frame, more...)
	codec.EndFrame(frame, 0)
	return frame
}

// TestRunCountsLostAppends finds an append that was acknowledged and not done.
func TestRunCountsLostAppends(t *testing.T) {
	server := &fakeServer{}
	var appends atomic.Int64
	server.tamper = func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpListAppend && appends.Add(1) == 50 {
			server.mu.Lock()
			table := server.tables[TablePrefix]
			table.list = table.list[:len(table.list)-1]
			server.mu.Unlock()
		}
		return reply
	}
	o := startFake(t, server)
	o.Op = OpAppend
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors != 1 || !strings.Contains(r.Messages[0], "elements after") {
		t.Fatalf("%d errors, %q", r.Errors, r.Messages)
	}
}

// TestRunTakesRepliesInAnyOrder holds back one reply of each connection for as long as others come.
func TestRunTakesRepliesInAnyOrder(t *testing.T) {
	var held []byte
	server := &fakeServer{}
	server.tamper = func(req codec.Request, reply []byte) []byte {
		if req.Op != codec.OpDictGet {
			return reply
		}
		if held == nil {
			held = reply
			return []byte{}
		}
		both := append(reply, held...)
		held = nil
		return both
	}
	o := startFake(t, server)
	o.Connections, o.Pipeline = 1, 4 // an even number in flight: no reply is held back for good
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() || r.Ops == 0 {
		t.Fatalf("%+v", r)
	}
}

func TestRunInterruptedReportsWhatWasMeasured(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var gets atomic.Int64
	o := startFake(t, &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpDictGet && gets.Add(1) == 5000 {
			cancel()
		}
		return reply
	}})
	o.Warmup, o.Duration = 0, time.Hour
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ops < 4000 || r.Failed() || r.Seconds > 60 {
		t.Fatalf("%+v", r)
	}
}

func TestRunInterruptedBeforeMeasuring(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := startFake(t, &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
		if req.Op == codec.OpDictSet {
			cancel()
		}
		return reply
	}})
	if _, err := Run(ctx, o); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want ErrInterrupted", err)
	}
}
