package pubsub

import (
	"errors"
	"slices"
	"strings"
	"sync"
)

// Bounds of one subscriber.
const (
	MaxSubscriptions = 64
	MaxNames         = 4096 // of all its subscriptions together
)

// Errors of Subscribe.
var (
	ErrSubscriptions = errors.New("the connection has as many subscriptions as one may have")
	ErrNames         = errors.New("the connection subscribes to as many channels and prefixes as one may")
	ErrMemory        = errors.New("the subscriptions of all clients take as much memory as they may")
	ErrClosed        = errors.New("the connection is closed")
)

// Subscriber has the subscriptions of one connection.
type Subscriber struct {
	hub *Hub // constant

	mu     sync.Mutex
	subs   map[uint64]*Subscription // guarded by mu
	names  int                      // of all of them; guarded by mu
	closed bool                     // guarded by mu
}

// NewSubscriber returns a subscriber without subscriptions.
func (h *Hub) NewSubscriber() *Subscriber {
	return &Subscriber{hub: h, subs: make(map[uint64]*Subscription)}
}

// Subscribe subscribes to channels, and to all channels whose names begin with one of prefixes, and
// returns the number of the subscription. What is published from then on is received. A channel
// that several of the names match counts once. Errors: ErrSubscriptions, ErrNames, ErrMemory;
// ErrClosed after Close.
func (r *Subscriber) Subscribe(channels, prefixes []string) (id uint64, err error) {
	channels, prefixes = distinct(channels, prefixes)
	n := len(channels) + len(prefixes)
	s := &Subscription{hub: r.hub, bytes: subscriptionBytes + n*nameBytes, names: make([]membership, 0, n)}
	for _, text := range slices.Concat(channels, prefixes) {
		s.bytes += len(text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return 0, ErrClosed
	case len(r.subs) >= MaxSubscriptions:
		return 0, ErrSubscriptions
	case r.names+n > MaxNames:
		return 0, ErrNames
	}
	missed, ok := r.hub.memory.reserve(s.bytes)
	r.hub.missed.Add(uint64(missed))
	if !ok {
		return 0, ErrMemory
	}
	s.id = r.hub.ids.Add(1)
	r.subs[s.id] = s
	r.names += n
	r.hub.subscriptions.Add(1)
	r.hub.enter(s, channels, prefixes)
	return s.id, nil
}

// distinct leaves out each name that another one covers, so that no channel is matched twice.
func distinct(channels, prefixes []string) (fewerChannels, fewerPrefixes []string) {
	prefixes = slices.Sorted(slices.Values(prefixes))
	for _, p := range prefixes { // a prefix comes right before what it covers
		if last := len(fewerPrefixes) - 1; last < 0 || !strings.HasPrefix(p, fewerPrefixes[last]) {
			fewerPrefixes = append(fewerPrefixes, p)
		}
	}
	for _, c := range slices.Compact(slices.Sorted(slices.Values(channels))) {
		// of the prefixes that remain, only the last one up to c can cover it
		i, same := slices.BinarySearch(fewerPrefixes, c)
		if !same && (i == 0 || !strings.HasPrefix(c, fewerPrefixes[i-1])) {
			fewerChannels = append(fewerChannels, c)
		}
	}
	return fewerChannels, fewerPrefixes
}

// Subscription returns one of the subscriptions; nil: there is none with this number.
func (r *Subscriber) Subscription(id uint64) *Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.subs[id]
}

// Unsubscribe ends a subscription, and drops what it has not received. It returns false if there is
// none with this number.
func (r *Subscriber) Unsubscribe(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subs[id]
	if s == nil {
		return false
	}
	delete(r.subs, id)
	r.end(s)
	return true
}

// end ends a subscription. The caller holds mu.
func (r *Subscriber) end(s *Subscription) {
	r.names -= len(s.names)
	r.hub.remove(s)
	s.end()
	r.hub.memory.unreserve(s.bytes)
	r.hub.subscriptions.Add(-1)
}

// Close ends all subscriptions. Subscribe fails from then on.
func (r *Subscriber) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, s := range r.subs {
		r.end(s)
	}
	clear(r.subs)
}
