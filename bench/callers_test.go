package bench

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// honest returns a library that answers from the items themselves.
func honest(o Options) *Library {
	items := newItems(o.KeySize, o.ValueSize, o.Seed)
	values := map[string]string{}
	for item := range uint32(o.Keys) {
		values[string(items.appendKey(nil, item))] = string(items.appendValue(nil, item))
	}
	return &Library{
		Name: "honest", Connections: 2,
		Get: func(_ context.Context, key string) (string, error) { return values[key], nil },
		Set: func(_ context.Context, key, value string) error {
			if values[key] != value {
				return errors.New("a key with another's value")
			}
			return nil
		},
	}
}

func TestRunCallers(t *testing.T) {
	for _, op := range []Op{OpGet, OpSet, OpMixed} {
		o := startFake(t, &fakeServer{})
		o.Op = op
		r, err := RunCallers(context.Background(), o, 20, honest(o))
		if err != nil || r.Failed() || r.Ops == 0 || r.Goroutines != 20 || r.Client != "honest" ||
			*r.AllocsPerOp > 0.5 ||
			r.P50 > r.Max {
			t.Errorf("%s: %v, %+v", op, err, r)
		}
	}
}

func TestRunCallersEndsWithItsRequests(t *testing.T) {
	o := startFake(t, &fakeServer{})
	o.Requests, o.Duration = 1234, time.Hour
	r, err := RunCallers(context.Background(), o, 7, honest(o))
	if err != nil || r.Failed() || r.Ops != 1234 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestRunCallersSeesThroughLies(t *testing.T) {
	o := startFake(t, &fakeServer{})
	library := honest(o)
	truth, calls := library.Get, atomic.Int64{}
	library.Get = func(ctx context.Context, key string) (string, error) {
		value, err := truth(ctx, key)
		switch calls.Add(1) {
		case 100:
			return value[1:] + "x", err
		case 200:
			return "", errors.New("gone")
		}
		return value, err
	}
	r, err := RunCallers(context.Background(), o, 5, library)
	if err != nil || r.Errors != 2 || !strings.Contains(strings.Join(r.Messages, "\n"), "another value") {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestRunCallersOwnOperations measures what only a library does. The time of a call is what it
// says, and a call that has nothing left to do is not counted.
func TestRunCallersOwnOperations(t *testing.T) {
	o := startFake(t, &fakeServer{})
	o.Op, o.Duration = OpTake, time.Minute
	library := honest(o)
	var left atomic.Int64
	left.Store(2000)
	library.Calls = map[Op]Call{OpTake: func(context.Context, int) (time.Duration, bool, error) {
		time.Sleep(time.Millisecond)
		switch n := left.Add(-1); {
		case n < 0:
			return 0, false, nil
		case n == 5:
			return 0, true, errors.New("expired")
		}
		return time.Second, true, nil
	}}
	o.Warmup = 20 * time.Millisecond
	r, err := RunCallers(context.Background(), o, 4, library)
	if err != nil || r.Errors != 1 || r.Ops == 0 || r.Ops > 2000 || r.P50 < 0.9e6 {
		t.Errorf("%v, %+v", err, r)
	}
	left.Store(3)
	if _, err = RunCallers(
		context.Background(),
		o,
		4,
		library,
	); err == nil ||
		!strings.Contains(err.Error(), "--keys") {
		t.Errorf("done before the warm-up: %v", err)
	}
	var usage *UsageError
	if _, err = Run(context.Background(), o); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--callers") {
		t.Errorf("without a library: %v", err)
	}
}

func TestRunCallersNeedsAWorkingLibrary(t *testing.T) {
	o := startFake(t, &fakeServer{})
	library := honest(o)
	library.Get = func(context.Context, string) (string, error) { return "", errors.New("no route") }
	if _, err := RunCallers(
		context.Background(),
		o,
		5,
		library,
	); err == nil ||
		!strings.Contains(err.Error(), "honest at cyberdb://") {
		t.Errorf("error %v", err)
	}
}

func TestRunCallersRefuses(t *testing.T) {
	for _, with := range []func(o *Options){
		func(o *Options) { o.Op = OpAppend }, func(o *Options) { o.Rate = 5 }, func(o *Options) { o.Tables = 2 },
	} {
		o := DefaultOptions()
		with(&o)
		var usage *UsageError
		if _, err := RunCallers(context.Background(), o, 5, &Library{}); !errors.As(err, &usage) {
			t.Errorf("error %v", err)
		}
	}
}
