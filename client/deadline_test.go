package client

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cyberdb-fast/codec"
)

// queueOnly is a connection that is never written. Its batches show what would be sent.
func queueOnly() *conn { return &conn{closed: make(chan struct{})} }

// enqueue puts the pipeline of calls into the next batch, with the deadline of ctx.
func (c *conn) enqueue(t testing.TB, ctx context.Context, calls ...*call) {
	t.Helper()
	if err := seal(calls); err != nil {
		t.Fatal(err)
	}
	if err := calls[0].setDeadline(ctx); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range calls {
		c.enqueueLocked(q)
	}
}

// TestDeadlineFrames compares requests with a deadline byte by byte. Time passes only in the
// connection's queue.
func TestDeadlineFrames(t *testing.T) {
	c := dialPeer(t, startPeer(t), nil)
	d := DictOf[string, int](c, "t")
	const never = 0
	for _, test := range []struct {
		name         string
		timeout      time.Duration
		queued       time.Duration
		call         *call
		length, rest string // of the frame: its first four bytes, and everything after the id
	}{
		{"none", never, time.Second, d.get("k"), "0a000000", "20 00 a174a16b"},
		{"seconds", 1500 * time.Millisecond, 0, d.get("k"), "0e000000", "20 04 dc050000 a174a16b"},
		{"after the version", time.Second, 0, d.setIf("k", 1, 7), "17000000", "21 07 0700000000000000 e8030000 a174a16b01"},
		{
			"before the time to live", time.Second, 0, d.WithTTL(time.Minute).setIf("k", 1, 7),
			"1f000000", "21 17 0700000000000000 e8030000 60ea000000000000 a174a16b01",
		},
		{
			"without a version", time.Second, 0, d.persist("k"),
			"16000000", "32 14 e8030000 0000000000000000 a174a16b",
		},
		{"rounded up", 250 * time.Microsecond, 0, d.get("k"), "0e000000", "20 04 01000000 a174a16b"},
		{"queued", time.Second, 300 * time.Millisecond, d.get("k"), "0e000000", "20 04 bc020000 a174a16b"},
		{"over", time.Second, 2 * time.Second, d.get("k"), "0e000000", "20 04 00000000 a174a16b"},
		{"just over", time.Second, time.Second, d.get("k"), "0e000000", "20 04 00000000 a174a16b"},
		{"50 days", 50 * 24 * time.Hour, 0, d.get("k"), "0e000000", "20 04 ffffffff a174a16b"},
		{"290 years", 290 * 365 * 24 * time.Hour, 0, d.get("k"), "0e000000", "20 04 ffffffff a174a16b"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := context.Background()
			if test.timeout != never {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.timeout)
				defer cancel()
			}
			cn := queueOnly()
			cn.enqueue(t, ctx, test.call)
			time.Sleep(test.queued)
			batch, _ := cn.nextBatch()
			got := hex.EncodeToString(batch)
			if want := test.length + "00001000" + strings.ReplaceAll(test.rest, " ", ""); got != want {
				t.Errorf("%s: sent %s, want %s", test.name, got, want)
			}
		})
	}
}

// TestDeadlineIsNeverLater sends requests with random deadlines, which wait for random times in the
// queue of a connection. What a request carries is the time that is left, rounded up.
func TestDeadlineIsNeverLater(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	client := dialPeer(t, startPeer(t), nil)
	d := DictOf[string, int](client, "t")
	synctest.Test(t, func(t *testing.T) {
		cn := queueOnly()
		for range 300 {
			var ends []time.Time
			for range 1 + random.IntN(5) {
				ctx := context.Background()
				var end time.Time
				if random.IntN(3) > 0 {
					end = time.Now().Add(time.Duration(random.Int64N(int64(time.Second))))
					var cancel context.CancelFunc
					ctx, cancel = context.WithDeadline(ctx, end)
					defer cancel()
				}
				calls := []*call{d.get("k"), d.set("k", 1), d.set(strings.Repeat("x", random.IntN(99)), 1)}
				cn.enqueue(t, ctx, calls...)
				for range calls {
					ends = append(ends, end)
				}
				time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
			}
			batch, _ := cn.nextBatch()
			checkDeadlines(t, batch, ends)
		}
	})
}

// checkDeadlines compares the deadlines of the requests in batch with when their contexts end; zero
// is never.
func checkDeadlines(t *testing.T, batch []byte, ends []time.Time) {
	t.Helper()
	for _, end := range ends {
		req, n, err := codec.ParseRequest(batch)
		if err != nil {
			t.Fatal(err)
		}
		batch = batch[n:]
		left, has := deadlineOf(req)
		want := max(0, (time.Until(end) + time.Millisecond - 1).Truncate(time.Millisecond))
		if has == end.IsZero() || has && left != want {
			t.Fatalf("flags %#x, %v; the context ends at %v, so %v are left", req.Flags, left, end, want)
		}
	}
	if len(batch) > 0 {
		t.Fatalf("%d bytes too many", len(batch))
	}
}

// deadlineOf returns the time that a request carries.
func deadlineOf(req codec.Request) (left time.Duration, has bool) {
	if req.Flags&codec.FlagDeadline == 0 {
		return 0, false
	}
	at := 2
	if req.Flags&codec.FlagIfVersion != 0 {
		at += ifVersionBytes
	}
	return time.Duration(binary.LittleEndian.Uint32(req.Payload[at:])) * time.Millisecond, true
}

// TestDeadlineOfResentRead lets the connection of a read break. The read is sent again with the
// time that is left then.
func TestDeadlineOfResentRead(t *testing.T) {
	p := startPeer(t)
	var mu sync.Mutex
	var sent []time.Duration
	p.answer = func(p *peer, req codec.Request) []byte {
		left, _ := deadlineOf(req)
		mu.Lock()
		defer mu.Unlock()
		if sent = append(sent, left); len(sent) == 1 {
			for conn := range p.conns {
				_ = conn.Close()
			}
			return nil
		}
		return ok(req.ID, []byte{5})
	}
	c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
	const timeout = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if v, err := DictOf[string, int](c, "t").Get(ctx, "k"); v != 5 || err != nil {
		t.Fatalf("got %d, %v", v, err)
	}
	left := time.Until(deadline(ctx))
	// the pause before the second connection is at least half of firstBackoff
	mu.Lock()
	defer mu.Unlock()
	if len(sent) != 2 || sent[0] > timeout || sent[1] > sent[0]-firstBackoff/2+time.Millisecond || sent[1] < left {
		t.Errorf("the requests carried %v; %v are left now", sent, left)
	}
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

// TestDeadlineExceeded tells the reply DeadlineExceeded, after which nothing has changed, from a
// context that ended in the client.
func TestDeadlineExceeded(t *testing.T) {
	p := startPeer(t)
	late := func(_ *peer, req codec.Request) []byte {
		if _, has := deadlineOf(req); !has {
			return ok(req.ID, nil)
		}
		return failure(req.ID, &codec.Error{Status: codec.StatusDeadlineExceeded, Message: "too late", Table: "t"})
	}
	p.answer = late
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	ctx := testContext(t)
	pipe := c.Pipeline()
	first, second := d.With(pipe).Set("k", 1), d.With(pipe).Get("k")
	items, failed := d.All(ctx)
	for range items {
		t.Error("the loop saw an item")
	}
	for what, err := range map[string]error{
		"a request": d.Set(ctx, "k", 1), "a pipeline": pipe.Do(ctx), "its first request": first.Err(),
		"its second request": second.Err(), "a long read": failed(),
	} {
		var e *Error
		if !errors.Is(err, ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) ||
			e.Table != "t" || e.Message != "too late" || !strings.Contains(err.Error(), "nothing was done") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.Set(t.Context(), "k", 1); err != nil {
		t.Errorf("without a deadline: %v", err)
	}
	p.with(func() { p.answer = func(*peer, codec.Request) []byte { return nil } })
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := d.Set(short, "k", 1); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrDeadlineExceeded) {
		t.Errorf("a context that ended while the client waited: %v", err)
	}
}

// TestEndedContextSendsNothing checks that a request whose context is over is not sent.
func TestEndedContextSendsNothing(t *testing.T) {
	p := startPeer(t)
	c := dialPeer(t, p, nil)
	d := DictOf[string, int](c, "t")
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	pipe := c.Pipeline()
	d.With(pipe).Set("k", 1)
	items, failed := d.All(over)
	for range items {
		t.Error("the loop saw an item")
	}
	for what, err := range map[string]error{
		"a request": d.Set(over, "k", 1), "a pipeline": pipe.Do(over), "a long read": failed(),
	} {
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrDeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.with(func() {
		if len(p.log) != 1 {
			t.Errorf("the server has received %v", p.log)
		}
	})
}

// TestDeadlineCountsInTheFrame sends the largest request that the server accepts. With a deadline
// it is too large, which must not cost the connection.
func TestDeadlineCountsInTheFrame(t *testing.T) {
	p := startPeer(t)
	const limit = 100
	p.with(func() { p.limits.MaxFrameBytes = limit })
	c := dialPeer(t, p, nil)
	d := DictOf[string, string](c, "t")
	if err := c.Ping(t.Context()); err != nil { // the client knows the limit now
		t.Fatal(err)
	}
	const header = codec.HeaderBytes - 4 + len("_t") + len("_k") + 2 // and the value's own
	largest := strings.Repeat("x", limit-header)
	if err := d.Set(t.Context(), "k", largest); err != nil {
		t.Errorf("the largest request: %v", err)
	}
	if err := d.Set(t.Context(), "k", largest+"x"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a larger one: %v", err)
	}
	ctx := testContext(t)
	if err := d.Set(ctx, "k", largest[deadlineBytes:]); err != nil {
		t.Errorf("the largest with a deadline: %v", err)
	}
	if err := d.Set(ctx, "k", largest[deadlineBytes-1:]); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a larger one with a deadline: %v", err)
	}
}
