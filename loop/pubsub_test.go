package loop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/pubsub"
)

// subscribe returns the number of a new subscription.
func (w *wire) subscribe(channels, prefixes []any) int64 {
	w.Helper()
	return w.ok(codec.OpSubscribe, channels, prefixes)[0].(int64)
}

// receive returns how many messages were missed, and the channels and values received.
func (w *wire) receive(sub int64, limit int, wait any) (missed int64, messages []any) {
	w.Helper()
	all := w.ok(codec.OpReceive, sub, limit, wait)
	return all[0].(int64), all[1:]
}

func names(all ...any) []any { return append([]any{}, all...) }

// TestPublish: a message goes to the subscriptions to its channel, each gets it once and in order,
// and one that waits gets it at once.
func TestPublish(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	publisher, w, clock := dial(t, srv), dial(t, srv), srv.store.Clock()
	if n := publisher.ok(codec.OpPublish, "news", 1)[0]; n != int64(0) {
		t.Errorf("without subscriptions it went to %v", n)
	}
	sub := w.subscribe(names("news", "other"), names("new", "x."))
	all := w.subscribe(names(), names(""))
	if missed, got := w.receive(sub, 10, 0); missed != 0 || len(got) != 0 {
		t.Errorf("missed %d, got %v before anything is published", missed, got)
	}
	for _, m := range []struct {
		channel string
		to      int64
	}{{"news", 2}, {"newspaper", 2}, {"x", 1}, {"x.y", 2}, {"other", 2}} {
		if n := publisher.ok(codec.OpPublish, m.channel, names(m.channel, nil, 1.5))[0]; n != m.to {
			t.Errorf("%s went to %v", m.channel, n)
		}
	}
	missed, got := w.receive(sub, 3, nil)
	want := "0 [news [news <nil> 1.5] newspaper [newspaper <nil> 1.5] x.y [x.y <nil> 1.5]]"
	if text := fmt.Sprint(missed, got); text != want {
		t.Errorf("received %s", text)
	}
	if missed, got := w.receive(sub, 3, nil); missed != 0 || len(got) != 2 {
		t.Errorf("received %v, missed %d", got, missed)
	}
	if _, got := w.receive(all, 1000, 0); len(got) != 10 {
		t.Errorf("received %v", got)
	}
	w.write(w.request(codec.OpReceive, sub, 10, nil))
	waiting := w.id
	w.ok(codec.OpPing) // the connection goes on
	publisher.ok(codec.OpPublish, "news", "now")
	reply, err := w.reply()
	if err != nil || reply.ID != waiting || fmt.Sprint(decodeAll(t, reply.Body)) != "[0 news now]" {
		t.Errorf("received %v %v %v", reply.ID, reply.Status, err)
	}
	start := time.Now()
	if missed, got := w.receive(sub, 10, 50); missed != 0 || len(got) != 0 || time.Since(start) < 50*time.Millisecond {
		t.Errorf("received %v, missed %d, after %v", got, missed, time.Since(start))
	}
	for _, ended := range []bool{true, false} {
		if w.ok(codec.OpUnsubscribe, sub)[0] != ended {
			t.Errorf("UNSUBSCRIBE did not return %v", ended)
		}
	}
	if n := publisher.ok(codec.OpPublish, "news", 1)[0]; n != int64(1) {
		t.Errorf("it went to %v", n)
	}
	if srv.store.Clock() != clock {
		t.Error("messages are changes")
	}
}

// TestReceiveAlone: of one subscription one RECEIVE waits. It ends with the subscription, its
// deadline and its connection, and then another may.
func TestReceiveAlone(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	sub := w.subscribe(names("c"), names())
	w.write(w.request(codec.OpReceive, sub, 10, nil))
	first := w.id
	w.fails(codec.StatusValueError, codec.OpReceive, sub, 10, nil)
	w.fails(codec.StatusValueError, codec.OpReceive, sub, 10, 0)
	other.ok(codec.OpPublish, "c", 1)
	if reply, err := w.reply(); err != nil || reply.ID != first || reply.Status != codec.StatusOK {
		t.Fatalf("%+v, %v", reply, err)
	}
	w.id++
	w.write(codec.AppendRequest(nil, &codec.Request{
		ID: w.id, Op: codec.OpReceive, Flags: codec.FlagDeadline, Deadline: 30, Args: encodeArgs(t, sub, 10, nil),
	}))
	if reply, err := w.reply(); err != nil || reply.Status != codec.StatusDeadlineExceeded {
		t.Fatalf("%+v, %v", reply, err)
	}
	w.write(w.request(codec.OpReceive, sub, 10, nil))
	waiting := w.id
	if w.write(w.request(codec.OpUnsubscribe, sub)); w.ended(waiting).Status != codec.StatusKeyError {
		t.Error("RECEIVE did not end with its subscription")
	}
}

// ended returns the reply to a request, of those that come next.
func (w *wire) ended(id uint32) codec.Reply {
	w.Helper()
	for {
		reply, err := w.reply()
		if err != nil {
			w.Fatal(err)
		}
		if reply.ID == id {
			return reply
		}
	}
}

// TestPublishBadInput: bad input gets a typed error that says what is wrong, and the connection
// goes on.
func TestPublishBadInput(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w, other := dial(t, srv), dial(t, srv)
	sub, foreign := w.subscribe(names("c"), names()), other.subscribe(names("c"), names())
	long, many := strings.Repeat("x", pubsub.MaxNameBytes+1), make([]any, pubsub.MaxNames+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, bad := range []struct {
		status codec.Status
		op     codec.Opcode
		args   []any
		says   string
	}{
		{codec.StatusValueError, codec.OpPublish, names("", 1), "1 to 1024 bytes, this one has 0"},
		{codec.StatusValueError, codec.OpPublish, names(long, 1), "this one has 1025"},
		{codec.StatusTypeError, codec.OpPublish, names(7, 1), "a channel's name is a str of 1 to 1024 bytes, not int"},
		{codec.StatusTypeError, codec.OpPublish, names([]byte("c"), 1), "not bytes"},
		{codec.StatusBadArguments, codec.OpPublish, names("c"), "PUBLISH takes 2 arguments, not 1"},
		{codec.StatusTypeError, codec.OpSubscribe, names("c", names()), "channels of SUBSCRIBE are a list of str, not str"},
		{codec.StatusTypeError, codec.OpSubscribe, names(names(), nil), "prefixes of SUBSCRIBE are a list of str"},
		{codec.StatusTypeError, codec.OpSubscribe, names(names("a", nil), names()), "a channel's name is a str"},
		{codec.StatusValueError, codec.OpSubscribe, names(names("a", ""), names()), "this one has 0"},
		{codec.StatusValueError, codec.OpSubscribe, names(names(), names(long)), "a prefix is a str of 0 to 1024 bytes"},
		{codec.StatusValueError, codec.OpSubscribe, names(names(), names()), "at least one"},
		{codec.StatusOverloaded, codec.OpSubscribe, names(many, names()), "4096"},
		{codec.StatusOverloaded, codec.OpSubscribe, names(many[:3000], many[3000:]), "4096"},
		{codec.StatusKeyError, codec.OpReceive, names(foreign, 1, 0), "this connection has no subscription 2"},
		{codec.StatusKeyError, codec.OpReceive, names(-1, 1, 0), "no subscription -1"},
		{codec.StatusKeyError, codec.OpReceive, names(uint64(math.MaxUint64), 1, 0), "no subscription"},
		{codec.StatusTypeError, codec.OpReceive, names("1", 1, 0), "a subscription is an int, not str"},
		{codec.StatusTypeError, codec.OpReceive, names(true, 1, 0), "not bool"},
		{codec.StatusValueError, codec.OpReceive, names(sub, 0, 0), "limit of RECEIVE is 1 to 1000, not 0"},
		{codec.StatusValueError, codec.OpReceive, names(sub, 1001, 0), "not 1001"},
		{codec.StatusTypeError, codec.OpReceive, names(sub, 1.0, 0), "limit of RECEIVE is an int, not float"},
		{codec.StatusValueError, codec.OpReceive, names(sub, 1, -1), "wait is 0 to 3155760000000, not -1"},
		{codec.StatusTypeError, codec.OpReceive, names(sub, 1, math.NaN()), "wait is an int, not float"},
		{codec.StatusTypeError, codec.OpReceive, names(sub, 1, true), "wait is an int, not bool"},
		{codec.StatusTypeError, codec.OpUnsubscribe, names("1"), "a subscription is an int, not str"},
	} {
		if e := w.fails(bad.status, bad.op, bad.args...); !strings.Contains(e.Message, bad.says) {
			t.Errorf("%v%.60v: %s", bad.op, bad.args, e.Message)
		}
	}
	if w.ok(codec.OpUnsubscribe, foreign)[0] != false {
		t.Error("another connection's subscription is ended")
	}
	for i := range pubsub.MaxSubscriptions - 1 {
		w.subscribe(names(fmt.Sprint(i)), names())
	}
	e := w.fails(codec.StatusOverloaded, codec.OpSubscribe, names("c"), names())
	if !strings.Contains(e.Message, "64") {
		t.Error(e.Message)
	}
	other.ok(codec.OpPublish, "c", 1)
	if _, got := w.receive(sub, 1, nil); len(got) != 2 {
		t.Errorf("received %v", got)
	}
}

// TestMissedMessages: a subscriber that is slow is told exactly how many messages it has missed,
// and where.
func TestMissedMessages(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	publisher, w := dial(t, srv), dial(t, srv)
	sub := w.subscribe(names("c"), names())
	const sent = 5000
	publish := func(from, to int) {
		var frames []byte
		for i := from; i < to; i++ {
			frames = append(frames, publisher.request(codec.OpPublish, "c", i)...)
		}
		publisher.write(frames)
		for range to - from {
			if reply, err := publisher.reply(); err != nil || reply.Status != codec.StatusOK {
				t.Fatalf("%+v, %v", reply, err)
			}
		}
	}
	next, lost := int64(0), int64(0)
	receive := func() (n int) {
		missed, got := w.receive(sub, 700, 0)
		lost += missed
		next += missed
		for i := 0; i < len(got); i += 2 {
			if got[i+1] != next {
				t.Fatalf("got %v, and the next is %d", got[i+1], next)
			}
			next++
		}
		return len(got) + int(missed)
	}
	for at := 0; at < sent; {
		to := min(sent, at+rand.IntN(2500))
		publish(at, to)
		at = to
		receive()
	}
	for receive() > 0 {
	}
	if next != sent || lost == 0 {
		t.Errorf("of %d messages %d were received or missed; %d missed", sent, next, lost)
	}
	if f := srv.engine.Messages(); f.Missed != uint64(lost) || f.Published != sent || f.Queued != 0 {
		t.Errorf("%+v", f)
	}
	if n := publisher.ok(codec.OpPublish, "c", make([]byte, pubsub.MaxBytes))[0]; n != int64(0) {
		t.Errorf("a message that is too large went to %v", n)
	}
	if missed, got := w.receive(sub, 1, nil); missed != 1 || len(got) != 0 {
		t.Errorf("missed %d, got %v", missed, got)
	}
}

// TestManySubscribers: a message to 2,000 subscriptions, which is more than an event loop passes to
// by itself, reaches all, in order with those before and after it. Nothing is left when their
// connections are lost, also while they wait.
func TestManySubscribers(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	publisher := dial(t, srv)
	const conns, each = 40, 50
	type one struct {
		w    *wire
		subs []int64
	}
	var all []one
	for range conns {
		o := one{w: dial(t, srv)}
		for i := range each {
			o.subs = append(o.subs, o.w.subscribe(names("c", fmt.Sprint(i)), names("p")))
		}
		all = append(all, o)
	}
	start := time.Now()
	var frames []byte
	for i := range 20 {
		frames = append(frames, publisher.request(codec.OpPublish, []string{"c", "pp"}[i%2], i)...)
	}
	publisher.write(frames)
	for range 20 {
		reply, err := publisher.reply()
		if err != nil || fmt.Sprint(decodeAll(t, reply.Body)) != fmt.Sprint([]int{conns * each}) {
			t.Fatalf("%+v, %v", reply, err)
		}
	}
	t.Logf("20 messages to %d subscriptions in %v", conns*each, time.Since(start))
	for _, o := range all {
		for _, sub := range o.subs {
			missed, got := o.w.receive(sub, 100, 0)
			if missed != 0 || len(got) != 40 {
				t.Fatalf("missed %d, got %v", missed, got)
			}
			for i := range 20 {
				if got[2*i+1] != int64(i) {
					t.Fatalf("message %d is %v", i, got[2*i+1])
				}
			}
			o.w.write(o.w.request(codec.OpReceive, sub, 1, nil))
		}
		o.w.ok(codec.OpPing)
	}
	if info := srv.Info(); info.WaitingRequests != conns*each || info.Waits["RECEIVE"] != conns*each {
		t.Errorf("%d requests wait: %v", info.WaitingRequests, info.Waits)
	}
	for _, o := range all {
		_ = o.w.conn.Close()
	}
	within(t, testTimeout, func() error {
		f := srv.engine.Messages()
		if f.Subscriptions+f.Bytes+f.Queued != 0 || f.Channels+f.Prefixes != 0 || srv.waiting.Load() != 0 {
			return fmt.Errorf("%+v, %d waiters", f, srv.waiting.Load())
		}
		return nil
	})
	if n := publisher.ok(codec.OpPublish, "c", 1)[0]; n != int64(0) {
		t.Errorf("it went to %v", n)
	}
}

// TestMessageMemory: messages that nobody receives take no more than the budget, and a subscriber
// that receives gets all of its own meanwhile.
func TestMessageMemory(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	srv := startLimited(t, nil, func(l *limits) { l.messageBytes = limit })
	publisher, slow, w := dial(t, srv), dial(t, srv), dial(t, srv)
	for i := range 20 {
		slow.subscribe(names(fmt.Sprint(i)), names())
	}
	sub := w.subscribe(names("mine"), names())
	next := int64(0)
	for i := range 200 {
		publisher.ok(codec.OpPublish, fmt.Sprint(i%20), make([]byte, 100_000))
		publisher.ok(codec.OpPublish, "mine", i)
		if i%5 == 4 {
			missed, got := w.receive(sub, 100, 0)
			if missed != 0 || len(got) != 10 {
				t.Fatalf("missed %d, got %v", missed, got)
			}
			next += 5
		}
		if f := srv.engine.Messages(); f.Bytes > limit {
			t.Fatalf("%+v", f)
		}
	}
	subscribed := 0
	for range 100 {
		conn := dial(t, srv)
		many := names()
		for i := range 4000 {
			many = append(many, fmt.Sprint("channel", i))
		}
		if reply := conn.call(codec.OpSubscribe, many, names()); reply.Status == codec.StatusOverloaded {
			e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
			if !strings.Contains(e.Message, "memory") {
				t.Error(e.Message)
			}
			break
		}
		subscribed++
	}
	if subscribed == 0 || subscribed > 10 {
		t.Errorf("%d times 4,000 channels are subscribed to, within %d bytes", subscribed, limit)
	}
}

// TestPublishRace: many connections publish, subscribe, receive and are lost at once. Nothing is
// left.
func TestPublishRace(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	var group sync.WaitGroup
	conns := make([]*wire, 8)
	for i := range conns {
		conns[i] = dial(t, srv)
	}
	for i, w := range conns {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0))
			subs := []int64{0}
			for range 400 {
				sub := subs[random.IntN(len(subs))]
				switch random.IntN(6) {
				case 0:
					reply := w.call(
						codec.OpSubscribe,
						names("a", fmt.Sprint(random.IntN(5))),
						names(fmt.Sprint(random.IntN(3))),
					)
					if reply.Status == codec.StatusOK {
						subs = append(subs, decodeAll(t, reply.Body)[0].(int64))
					}
				case 1:
					w.ok(codec.OpUnsubscribe, sub)
				case 2, 3:
					w.call(codec.OpReceive, sub, 1+random.IntN(10), random.IntN(3))
				default:
					w.ok(codec.OpPublish, fmt.Sprint(random.IntN(5)), i)
				}
			}
			w.write(w.request(codec.OpReceive, subs[len(subs)-1], 1, nil))
			w.write(w.request(codec.OpPublish, "a", 1))
			_ = w.conn.Close()
		})
	}
	group.Wait()
	within(t, testTimeout, func() error {
		f := srv.engine.Messages()
		if f.Subscriptions+f.Bytes+f.Queued != 0 || f.Channels+f.Prefixes != 0 || srv.waiting.Load() != 0 {
			return fmt.Errorf("%+v, %d waiters", f, srv.waiting.Load())
		}
		return nil
	})
	if n := srv.engine.Panics() + srv.counters.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}
