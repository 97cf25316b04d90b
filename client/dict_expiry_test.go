package client

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

func TestTTLOnTheWire(t *testing.T) {
	for _, test := range []struct {
		ttl  time.Duration
		want int64 // 0: ErrValue
	}{
		{time.Nanosecond, 1},
		{time.Millisecond, 1},
		{time.Millisecond + 1, 2},
		{1500 * time.Microsecond, 2},
		{time.Second, 1000},
		{MaxTTL - 1, codec.MaxTimeToLive},
		{MaxTTL, codec.MaxTimeToLive},
		{MaxTTL + 1, 0},
		{MaxTTL + time.Millisecond, 0},
		{math.MaxInt64, 0},
		{0, 0},
		{-1, 0},
		{-time.Hour, 0},
		{math.MinInt64, 0},
	} {
		got, err := wireTTL(test.ttl)
		if got != test.want || errors.Is(err, ErrValue) != (test.want == 0) {
			t.Errorf("%d ns: got %d ms, %v, want %d", test.ttl, got, err, test.want)
		}
	}
}

// TestTTLFrames compares requests with a time to live byte by byte.
func TestTTLFrames(t *testing.T) {
	c := dialPeer(t, startPeer(t), nil)
	d := DictOf[string, int](c, "t")
	minute, keep := d.WithTTL(time.Minute), d.KeepTTL()
	one := func(yield func(string, int) bool) { yield("k", 1) }
	old, v := 1, 2
	for _, test := range []struct {
		name string
		call *call
		want string // the frame after the id
	}{
		{"set", d.set("k", 1), "21 00 a174a16b01"},
		{"set with ttl", minute.set("k", 1), "21 10 60ea000000000000 a174a16b01"},
		{"set, other ttl", minute.WithTTL(1).set("k", 1), "21 10 0100000000000000 a174a16b01"},
		{"set keep", keep.set("k", 1), "21 10 ffffffffffffffff a174a16b01"},
		{"set if", minute.setIf("k", 1, 7), "21 13 0700000000000000 60ea000000000000 a174a16b01"},
		{"set default", minute.setDefault("k", 1), "25 10 60ea000000000000 a174a16b01"},
		{"update", minute.update(one), "26 10 60ea000000000000 a174a16b01"},
		{"increment", minute.increment("k", 1), "2e 10 60ea000000000000 a174a16b01"},
		{"compare and set", minute.compareAndSet("k", &old, &v), "2f 10 60ea000000000000 a174a16b0102"},
		{"get", minute.get("k"), "20 00 a174a16b"},
		{"ttl", d.timeToLive("k"), "31 00 a174a16b"},
		{"expire", d.expire(codec.Request{}, "k", time.Minute), "32 10 60ea000000000000 a174a16b"},
		{"expire, of another ttl", keep.expire(codec.Request{}, "k", time.Minute), "32 10 60ea000000000000 a174a16b"},
		{"persist", minute.persist("k"), "32 10 0000000000000000 a174a16b"},
		{"touch", minute.touch("k"), "33 00 a174a16b"},
	} {
		if err := seal([]*call{test.call}); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got, want := hex.EncodeToString(test.call.frame[8:]), strings.ReplaceAll(test.want, " ", ""); got != want {
			t.Errorf("%s: got %s, want %s", test.name, got, want)
		}
	}
}

// TestTTLOutOfRangeSendsNothing calls every method that takes a time to live, and the same in
// pipelines.
func TestTTLOutOfRangeSendsNothing(t *testing.T) {
	ctx := testContext(t)
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	one := func(yield func(string, int) bool) { yield("k", 1) }
	for _, ttl := range []time.Duration{0, -1, MaxTTL + 1, math.MinInt64, math.MaxInt64} {
		bad, pipe := d.WithTTL(ttl), c.Pipeline()
		errs := map[string]error{
			"Set":        bad.Set(ctx, "k", 1),
			"SetWithTTL": d.SetWithTTL(ctx, "k", 1, ttl),
			"Update":     bad.Update(ctx, one),
			"Expire":     d.Expire(ctx, "k", ttl),
			"Create":     d.CreateWith(ctx, DictOptions{MaxEntries: -1}),
			"Configure":  d.Configure(ctx, DictOptions{MaxBytes: -7}),
		}
		_, errs["SetDefault"] = bad.SetDefault(ctx, "k", 1)
		_, errs["Increment"] = bad.Increment(ctx, "k", 1)
		_, errs["CompareAndSet"] = bad.CompareAndSet(ctx, "k", 1, 2)
		_, errs["SetIfAbsent"] = bad.SetIfAbsent(ctx, "k", 1)
		_, errs["SetVersioned"] = bad.SetVersioned(ctx, "k", 1)
		_, errs["SetIf"] = bad.SetIf(ctx, "k", 1, 5)
		_, errs["Modify"] = bad.Modify(ctx, "k", func(v int, _ bool) (int, error) { return v, nil })
		_, errs["ExpireIf"] = d.ExpireIf(ctx, "k", ttl, 5)
		if ttl != 0 && ttl != None {
			errs["CreateWith"] = d.CreateWith(ctx, DictOptions{TTL: ttl})
			_, errs["EnsureWith"] = d.EnsureWith(ctx, DictOptions{Idle: ttl})
			errs["Configure idle"] = d.Configure(ctx, DictOptions{Idle: ttl})
		}
		for name, add := range map[string]func() *Future[struct{}]{
			"SetWithTTL of a pipeline": func() *Future[struct{}] { return d.With(pipe).SetWithTTL("k", 1, ttl) },
			"Expire of a pipeline":     func() *Future[struct{}] { return d.With(pipe).Expire("k", ttl) },
			"Set of a pipeline":        func() *Future[struct{}] { return bad.With(pipe).Set("k", 1) },
		} {
			d.With(pipe).Set("other", 1)
			future := add()
			errs[name] = pipe.Do(ctx)
			if !errors.Is(future.Err(), ErrValue) {
				t.Errorf("%v, %s: the future has %v", ttl, name, future.Err())
			}
		}
		for name, err := range errs {
			var e *Error
			if !errors.Is(err, ErrValue) || !errors.As(err, &e) || e.Table != "t" {
				t.Errorf("%v, %s: %v", ttl, name, err)
			}
		}
	}
	p.with(func() {
		if len(p.log) != 0 {
			t.Errorf("the server has received %v", p.log)
		}
	})
	if err := DictOf[string, int](c, "").WithTTL(0).Set(ctx, "k", 1); !errors.Is(err, ErrBadRequest) {
		t.Errorf("no name: %v", err)
	}
}

func TestOptionsOnTheWire(t *testing.T) {
	c := dialPeer(t, startPeer(t), nil)
	d := DictOf[string, int](c, "t")
	for _, test := range []struct {
		name string
		call *call
		want string // the arguments after the table's name, as Python shows them
	}{
		{"create without options", d.createWith(&DictOptions{}, false, nil), "False"},
		{"ensure without options", d.createWith(&DictOptions{}, true, []Item[string, int]{{"k", 1}}), "True 'k' 1"},
		{
			"ensure", d.createWith(&DictOptions{TTL: time.Hour, MaxEntries: 5}, true, []Item[string, int]{{"k", 1}}),
			"{'ttl': 3600000, 'max_entries': 5, 'exist_ok': True} 'k' 1",
		},
		{"configure nothing", d.configure(&DictOptions{}), "{}"},
		{
			"configure everything",
			d.configure(&DictOptions{1, 2 * time.Millisecond, 3, 4, NearestDeadline}),
			"{'ttl': 1, 'idle': 2, 'max_entries': 3, 'max_bytes': 4, 'policy': 'ttl'}",
		},
		{
			"remove everything", d.configure(&DictOptions{None, None, None, None, DefaultPolicy}),
			"{'ttl': None, 'idle': None, 'max_entries': None, 'max_bytes': None, 'policy': None}",
		},
	} {
		if err := seal([]*call{test.call}); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		req, _, err := codec.ParseRequest(test.call.frame)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, arg := range split(req.Args)[1:] {
			text, err := value.Repr(arg)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, text)
		}
		if got := strings.Join(got, " "); got != test.want || test.call.args != len(split(req.Args))-1 {
			t.Errorf("%s: got %s (%d arguments), want %s", test.name, got, test.call.args, test.want)
		}
	}
}

func TestFalseTimeToLive(t *testing.T) {
	for _, v := range []any{0, -1, codec.MaxTimeToLive + 1, 1.5, "1", true} {
		body, err := govalue.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := decodeRemaining(&call{reply: body}); err == nil {
			t.Errorf("%v: got %+v", v, r)
		}
	}
}
