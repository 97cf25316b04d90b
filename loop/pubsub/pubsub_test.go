package pubsub_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cyberdb-fast/loop/pubsub"
)

const (
	anyNumber = 1 << 30
	plenty    = 1 << 30
)

func subscribe(t *testing.T, r *pubsub.Subscriber, channels, prefixes []string) *pubsub.Subscription {
	t.Helper()
	id, err := r.Subscribe(channels, prefixes)
	if err != nil {
		t.Fatal(err)
	}
	return r.Subscription(id)
}

// publish publishes a text, and returns how many have taken it.
func publish(h *pubsub.Hub, channel, text string) int {
	n, _, _ := h.Publish([]byte(channel), []byte(channel+" "), []byte(text), anyNumber)
	return n
}

func texts(messages [][]byte) (all []string) {
	for _, m := range messages {
		all = append(all, string(m))
	}
	return all
}

// TestOnce: a subscription gets a message once, whatever number of its names match the channel, and
// in the order in which they were published.
func TestOnce(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(plenty)
	r := h.NewSubscriber()
	s := subscribe(t, r, []string{"news", "news", "newspaper", "other"}, []string{"news", "new", "news.", "x"})
	all := subscribe(t, r, nil, []string{""})
	for i, to := range []struct {
		channel string
		n       int
	}{{"news", 2}, {"new", 2}, {"ne", 1}, {"newspaper", 2}, {"other", 2}, {"others", 1}, {"xy", 2}, {"", 1}} {
		if n := publish(h, to.channel, strconv.Itoa(i)); n != to.n {
			t.Errorf("%q went to %d", to.channel, n)
		}
	}
	want := []string{"news 0", "new 1", "newspaper 3", "other 4", "xy 6"}
	if _, got := s.Receive(100); !slices.Equal(texts(got), want) {
		t.Errorf("received %q", texts(got))
	}
	if missed, got := all.Receive(3); missed != 0 || len(got) != 3 {
		t.Errorf("received %q, missed %d", texts(got), missed)
	}
	if _, got := all.Receive(100); len(got) != 5 || string(got[4]) != " 7" {
		t.Errorf("received %q", texts(got))
	}
}

// TestNamesMatch compares which subscriptions get a message with what their names say, while random
// ones come and go.
func TestNamesMatch(t *testing.T) {
	t.Parallel()
	type names struct{ channels, prefixes []string }
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		return strings.Repeat("ab", 2)[:random.IntN(4)] + strings.Repeat("a", random.IntN(3))
	}
	words := func() (all []string) {
		for range random.IntN(5) {
			all = append(all, word())
		}
		return all
	}
	h := pubsub.NewHub(plenty)
	r := h.NewSubscriber()
	known := map[uint64]names{}
	for range 5000 {
		switch random.IntN(3) {
		case 0:
			n := names{words(), words()}
			if id, err := r.Subscribe(n.channels, n.prefixes); err == nil {
				known[id] = n
			} else if len(known) != pubsub.MaxSubscriptions {
				t.Fatal(err)
			}
		case 1:
			for id := range known {
				if !r.Unsubscribe(id) || r.Unsubscribe(id) {
					t.Fatal("a subscription does not end once")
				}
				delete(known, id)
				break
			}
		}
		channel := word()
		publish(h, channel, "")
		for id, n := range known {
			want := slices.Contains(n.channels, channel) ||
				slices.ContainsFunc(n.prefixes, func(p string) bool { return strings.HasPrefix(channel, p) })
			_, got := r.Subscription(id).Receive(10)
			if want != (len(got) == 1) || len(got) > 1 {
				t.Fatalf("%+v got %d messages of %q", n, len(got), channel)
			}
		}
	}
	r.Close()
	if f := h.Figures(); f.Bytes != 0 || f.Subscriptions != 0 || f.Channels != 0 || f.Prefixes != 0 || f.Queued != 0 {
		t.Errorf("after the end: %+v", f)
	}
}

// numbered follows the numbers of the messages that a subscription gets, from 0 on: what it is not
// given, it must be told that it has missed, and where.
type numbered struct {
	t      *testing.T
	next   uint64
	missed uint64
	got    int
}

func (n *numbered) receive(s *pubsub.Subscription, limit int) {
	n.t.Helper()
	missed, messages := s.Receive(limit)
	n.next += missed
	n.missed += missed
	for _, m := range messages {
		number, _, _ := strings.Cut(string(m), " ")
		if number != strconv.FormatUint(n.next, 10) {
			n.t.Fatalf("message %s after %d were received or missed", number, n.next)
		}
		n.next++
		n.got++
	}
}

var zeros = make([]byte, 2*pubsub.MaxBytes)

// sendNumbered publishes a message with a number and so many bytes.
func sendNumbered(h *pubsub.Hub, channel string, number, bytes int) {
	text := strconv.Itoa(number) + " "
	h.Publish([]byte(channel), []byte(text), zeros[:max(0, bytes-len(text))], anyNumber)
}

// TestMissed: a subscription that is slow is told exactly how many messages it has missed, and
// between which others, for whatever reason.
func TestMissed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		limit := []int64{plenty, 300 << 10, 5 << 20}[seed%3]
		h := pubsub.NewHub(limit)
		r := h.NewSubscriber()
		subs := []*pubsub.Subscription{subscribe(t, r, []string{"c"}, nil), subscribe(t, r, nil, []string{"c"})}
		follow := []*numbered{{t: t}, {t: t}}
		size := []int{20, 5000, 50_000, 2 << 20}[random.IntN(4)]
		sent := 10_000_000 / (5000 + size)
		for i := range sent {
			sendNumbered(h, "c", i, random.IntN(size))
			if f := h.Figures(); f.Bytes > limit {
				t.Fatalf("%d bytes are kept, of %d", f.Bytes, limit)
			}
			if random.IntN(400) == 0 {
				sub := random.IntN(2)
				follow[sub].receive(subs[sub], 1+random.IntN(1500))
			}
		}
		for i, sub := range subs {
			for range 2 * sent {
				follow[i].receive(sub, 100)
			}
			if follow[i].next != uint64(sent) {
				t.Fatalf("of %d messages %d were received or missed", sent, follow[i].next)
			}
		}
		f := h.Figures()
		if f.Missed != follow[0].missed+follow[1].missed || f.Delivered != uint64(follow[0].got+follow[1].got) {
			t.Errorf("%+v, %+v %+v", f, follow[0], follow[1])
		}
		if f.Queued != 0 || f.Published != uint64(sent) {
			t.Errorf("%+v", f)
		}
		if r.Close(); h.Figures().Bytes != 0 {
			t.Errorf("after the end: %+v", h.Figures())
		}
	}
}

// TestQueueBounds: a queue has at most MaxMessages messages and MaxBytes bytes, and it is the
// oldest that are missed.
func TestQueueBounds(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(plenty)
	r := h.NewSubscriber()
	s := subscribe(t, r, []string{"c"}, nil)
	for i := range pubsub.MaxMessages + 7 {
		sendNumbered(h, "c", i, 10)
	}
	if missed, got := s.Receive(2000); missed != 7 || len(got) != pubsub.MaxMessages || string(got[0][:2]) != "7 " {
		t.Errorf("missed %d, got %d", missed, len(got))
	}
	for i := range 5 {
		sendNumbered(h, "c", i, pubsub.MaxBytes/4)
	}
	if missed, got := s.Receive(2000); missed != 1 || len(got) != 4 {
		t.Errorf("missed %d, got %d", missed, len(got))
	}
	sendNumbered(h, "c", 0, pubsub.MaxBytes)
	if n, _, _ := h.Publish([]byte("c"), make([]byte, pubsub.MaxBytes), []byte("x"), anyNumber); n != 0 {
		t.Errorf("a message that is too large went to %d", n)
	}
	if missed, got := s.Receive(2000); missed != 0 || len(got) != 1 {
		t.Errorf("missed %d, got %d", missed, len(got))
	}
	if missed, got := s.Receive(2000); missed != 1 || len(got) != 0 {
		t.Errorf("missed %d, got %d", missed, len(got))
	}
}

// TestSlowDoNotHurt: subscriptions that never receive keep the hub at its limit. One that receives
// misses nothing.
func TestSlowDoNotHurt(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(8 << 20)
	slow := h.NewSubscriber()
	for i := range 20 {
		subscribe(t, slow, nil, []string{"", strconv.Itoa(i)})
		subscribe(t, slow, []string{fmt.Sprint("own", i)}, nil)
	}
	r := h.NewSubscriber()
	s, follow := subscribe(t, r, []string{"c"}, nil), &numbered{t: t}
	for i := range 20_000 {
		sendNumbered(h, fmt.Sprint("own", i%20), i, 5000)
		sendNumbered(h, "c", i, 3000)
		if i%10 == 9 {
			follow.receive(s, 100)
		}
	}
	if follow.missed != 0 || follow.got != 20_000 {
		t.Errorf("got %d, missed %d", follow.got, follow.missed)
	}
	f := h.Figures()
	if f.Bytes < f.LimitBytes/2 || f.Bytes > f.LimitBytes {
		t.Errorf("%+v", f)
	}
	if slow.Close(); h.Figures().Bytes > 10_000 {
		t.Errorf("after the end of the slow ones: %+v", h.Figures())
	}
}

// TestBounds: one connection has so many subscriptions and names, and all so much memory.
func TestBounds(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(1800 << 10)
	r := h.NewSubscriber()
	var ids []uint64
	for range pubsub.MaxSubscriptions {
		id, err := r.Subscribe([]string{"c"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := r.Subscribe([]string{"c"}, nil); !errors.Is(err, pubsub.ErrSubscriptions) {
		t.Error(err)
	}
	r.Unsubscribe(ids[0])
	var many []string
	for i := range pubsub.MaxNames {
		many = append(many, fmt.Sprintf("name%04d", i))
	}
	if _, err := r.Subscribe(many, nil); !errors.Is(err, pubsub.ErrNames) {
		t.Error(err)
	}
	if _, err := r.Subscribe(many[len(ids)-1:], nil); err != nil {
		t.Error(err)
	}
	other := h.NewSubscriber()
	if _, err := other.Subscribe(many[:1000], many[1000:2000]); err != nil {
		t.Error(err)
	}
	if _, err := h.NewSubscriber().Subscribe(nil, many); !errors.Is(err, pubsub.ErrMemory) {
		t.Error(err)
	}
	r.Close()
	if _, err := r.Subscribe([]string{"c"}, nil); !errors.Is(err, pubsub.ErrClosed) {
		t.Error(err)
	}
	if r.Subscription(ids[1]) != nil || other.Subscription(ids[1]) != nil {
		t.Error("a subscription of a closed connection is found")
	}
}

// TestMost: a message to more subscriptions than the caller has time for goes to none.
func TestMost(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(plenty)
	var subs []*pubsub.Subscription
	for range 1000 {
		subs = append(subs, subscribe(t, h.NewSubscriber(), []string{"c"}, nil))
	}
	if _, _, ok := h.Publish([]byte("c"), []byte("c"), nil, 999); ok || h.Figures().Published != 0 {
		t.Error("it is published")
	}
	n, cost, ok := h.Publish([]byte("c"), []byte("c"), nil, 1000)
	if n != 1000 || !ok || cost < 10_000 {
		t.Errorf("it went to %d, cost %d, %v", n, cost, ok)
	}
	for _, s := range subs {
		if missed, got := s.Receive(10); missed != 0 || len(got) != 1 {
			t.Fatalf("missed %d, got %d", missed, len(got))
		}
	}
	if h.Figures().Queued != 0 {
		t.Errorf("%+v", h.Figures())
	}
}

// TestWake: who waits is woken once, by a message, a missed one, or the end.
func TestWake(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(plenty)
	r := h.NewSubscriber()
	id, err := r.Subscribe([]string{"c"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Subscription(id)
	woken := 0
	wake := func() { woken++ }
	for i, happen := range []func(){
		func() { publish(h, "c", "x"); publish(h, "c", "y") },
		func() { h.Publish([]byte("c"), nil, make([]byte, pubsub.MaxBytes+1), anyNumber) },
		func() { r.Unsubscribe(id) },
	} {
		s.WhenReady(wake)
		if woken != i {
			t.Fatal("it is woken by nothing")
		}
		if happen(); woken != i+1 {
			t.Fatalf("event %d woke it %d times", i, woken-i)
		}
	}
	s = subscribe(t, r, []string{"c"}, nil)
	s.WhenReady(wake)()
	if publish(h, "c", "x"); woken != 3 {
		t.Error("it is woken after it was canceled")
	}
	one, two := new(int), new(int)
	if !s.Free(one) || !s.Free(nil) {
		t.Error("it is held")
	}
	if s.Hold(one); !s.Free(one) || s.Free(two) || s.Free(nil) {
		t.Error("it is not held by one alone")
	}
	if s.Release(two); s.Free(two) {
		t.Error("another released it")
	}
	if s.Release(one); !s.Free(two) {
		t.Error("it is still held")
	}
}

// TestNames lists what is subscribed to.
func TestNames(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(plenty)
	r := h.NewSubscriber()
	subscribe(t, r, []string{"a", "b"}, []string{"p"})
	subscribe(t, r, []string{"a"}, nil)
	names, more := h.Names(3)
	got := map[pubsub.Name]bool{}
	for _, n := range names {
		got[n] = true
	}
	want := map[pubsub.Name]bool{{"a", false, 2}: true, {"b", false, 1}: true, {"p", true, 1}: true}
	if !maps.Equal(got, want) || more {
		t.Errorf("%v, %v", names, more)
	}
	if names, more := h.Names(2); len(names) != 2 || !more {
		t.Errorf("%v, %v", names, more)
	}
}

// TestConcurrent: publishers, subscribers that come and go, and slow ones at once. Each publisher's
// messages arrive in order, all are received or missed, and nothing is left at the end.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	h := pubsub.NewHub(400 << 10)
	const publishers, messages = 4, 3000
	var publishing, all sync.WaitGroup
	var ended atomic.Bool
	followed := h.NewSubscriber()
	for p := range publishers {
		s, follow := subscribe(t, followed, []string{fmt.Sprint("p", p)}, nil), &numbered{t: t}
		all.Go(func() {
			for over := false; !over; {
				over = ended.Load()
				for before := uint64(anyNumber); before != follow.next; {
					before = follow.next
					follow.receive(s, 10)
				}
			}
			if follow.next != messages {
				t.Errorf("publisher %d: %d messages were received or missed", p, follow.next)
			}
		})
	}
	for p := range publishers {
		publishing.Go(func() {
			for i := range messages {
				sendNumbered(h, fmt.Sprint("p", p), i, 500)
			}
		})
	}
	for i := range 4 {
		all.Go(func() {
			for !ended.Load() {
				r := h.NewSubscriber()
				id, err := r.Subscribe([]string{"p1"}, []string{"p2", "x"})
				if err != nil {
					t.Error(err)
					return
				}
				r.Subscription(id).Receive(i)
				r.Subscription(id).WhenReady(func() {})
				if i%2 == 0 {
					r.Unsubscribe(id)
				}
				r.Close()
			}
		})
	}
	publishing.Wait()
	ended.Store(true)
	all.Wait()
	followed.Close()
	if f := h.Figures(); f.Bytes != 0 || f.Subscriptions != 0 || f.Queued != 0 || f.Channels+f.Prefixes != 0 {
		t.Errorf("after the end: %+v", f)
	}
}

// BenchmarkPublish publishes to so many subscriptions, which never receive.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := pubsub.NewHub(plenty)
			for range n {
				if _, err := h.NewSubscriber().Subscribe([]string{"channel"}, nil); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				h.Publish([]byte("channel"), []byte("channel"), zeros[:100], anyNumber)
			}
		})
	}
}
