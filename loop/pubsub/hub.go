package pubsub

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// MaxNameBytes is the length of a channel's name, and of a prefix.
	MaxNameBytes = 1024
	// namesAtOnce is how many names are entered or removed before others get the lock.
	namesAtOnce = 64
	// subscriptionBytes and nameBytes are what a subscription takes, and each of its names besides
	// its bytes.
	subscriptionBytes = 320
	nameBytes         = 200
)

// Hub has all subscriptions of a server.
type Hub struct {
	memory memory
	ids    atomic.Uint64 // of subscriptions: none is used again

	subscriptions                atomic.Int64
	published, delivered, missed atomic.Uint64

	mu       sync.RWMutex
	channels map[string]*name // guarded by mu
	prefixes map[string]*name // guarded by mu
	lengths  lengths          // of prefixes; guarded by mu

	receivers sync.Pool // of *[]*Subscription
}

// name is a channel or a prefix that is subscribed to.
type name struct {
	text   string
	prefix bool
	subs   []member
}

// member is a subscription to a name, which is the i-th of its names.
type member struct {
	sub *Subscription
	i   int
}

// membership is a name of a subscription, in which it is the i-th member.
type membership struct {
	name *name
	i    int
}

// lengths has how many prefixes of each length there are.
type lengths struct {
	counts [MaxNameBytes + 1]int32
	used   [MaxNameBytes/64 + 1]uint64 // a bit for each length of which there are some
}

func (l *lengths) add(n int) {
	l.counts[n]++
	l.used[n/64] |= 1 << (n % 64)
}

func (l *lengths) remove(n int) {
	if l.counts[n]--; l.counts[n] == 0 {
		l.used[n/64] &^= 1 << (n % 64)
	}
}

// NewHub returns a hub whose subscriptions, with all that they keep, have at most so many bytes.
func NewHub(limit int64) *Hub {
	h := &Hub{channels: make(map[string]*name), prefixes: make(map[string]*name)}
	h.receivers.New = func() any { return new([]*Subscription) }
	h.memory.init(limit)
	return h
}

// Publish puts a message into the queues of all subscriptions to a channel, whose name is also
// encoded. Of more than most subscriptions it does nothing, and returns false. n is how many have
// taken the message. The cost is about that of the work, in nanoseconds.
func (h *Hub) Publish(channel, encoded, val []byte, most int) (n, cost int, ok bool) {
	list := h.receivers.Get().(*[]*Subscription)
	defer func() {
		clear(*list)
		if *list = (*list)[:0]; cap(*list) <= maxPooled {
			h.receivers.Put(list)
		}
	}()
	cost = h.collect(channel, list)
	if len(*list) > most {
		return 0, cost, false
	}
	h.published.Add(1)
	if len(*list) == 0 {
		return 0, cost, true
	}
	cost += len(*list) * costOfPush
	return h.deliver(*list, encoded, val), cost, true
}

const (
	maxPooled    = 4096 // places of a list that is used again
	costOfPush   = 150  // nanoseconds for each subscription
	costOfLookup = 40   // for each length that prefixes have
)

// collect appends the subscriptions to a channel to list. None is there twice, since no two names
// of one subscription match the same channel.
func (h *Hub) collect(channel []byte, list *[]*Subscription) (cost int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	found := h.channels[string(channel)]
	found.appendTo(list)
	for word, set := range h.lengths.used {
		for ; set != 0; set &= set - 1 {
			n := word*64 + bits.TrailingZeros64(set)
			if n > len(channel) {
				return cost
			}
			cost += costOfLookup + n/16
			found = h.prefixes[string(channel[:n])]
			found.appendTo(list)
		}
	}
	return cost
}

// appendTo appends the subscriptions to a name; nil has none.
func (n *name) appendTo(list *[]*Subscription) {
	if n == nil {
		return
	}
	for i := range n.subs {
		*list = append(*list, n.subs[i].sub)
	}
}

// deliver puts a message into the queues of subscriptions, and returns how many have taken it.
func (h *Hub) deliver(to []*Subscription, parts ...[]byte) (taken int) {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	var m *message
	if size <= MaxBytes {
		var missed int
		m, missed = h.memory.add(len(to), parts...)
		h.missed.Add(uint64(missed))
	}
	if m == nil {
		for _, s := range to {
			s.lose()
		}
		return 0
	}
	for _, s := range to {
		if s.push(m) {
			taken++
		}
	}
	if taken < len(to) {
		h.memory.leave(m, len(to)-taken)
	}
	return taken
}

// enter makes the subscription a member of its names, some at a time.
func (h *Hub) enter(s *Subscription, channels, prefixes []string) {
	for len(channels)+len(prefixes) > 0 {
		h.mu.Lock()
		for range namesAtOnce {
			switch {
			case len(channels) > 0:
				h.join(s, channels[0], h.channels, false)
				channels = channels[1:]
			case len(prefixes) > 0:
				h.join(s, prefixes[0], h.prefixes, true)
				prefixes = prefixes[1:]
			}
		}
		h.mu.Unlock()
	}
}

// join makes the subscription a member of one name. The caller holds mu.
func (h *Hub) join(s *Subscription, text string, among map[string]*name, prefix bool) {
	n := among[text]
	if n == nil {
		n = &name{text: text, prefix: prefix}
		among[text] = n
		if prefix {
			h.lengths.add(len(text))
		}
	}
	s.names = append(s.names, membership{n, len(n.subs)})
	n.subs = append(n.subs, member{s, len(s.names) - 1})
}

// remove ends the subscription's memberships, some at a time.
func (h *Hub) remove(s *Subscription) {
	for last := len(s.names); last > 0; {
		h.mu.Lock()
		for end := max(0, last-namesAtOnce); last > end; {
			last--
			h.leave(s.names[last])
		}
		s.names = s.names[:last]
		h.mu.Unlock()
	}
}

// leave ends one membership. The caller holds mu.
func (h *Hub) leave(of membership) {
	n := of.name
	last := len(n.subs) - 1
	moved := n.subs[last]
	n.subs[of.i] = moved
	moved.sub.names[moved.i].i = of.i
	n.subs[last] = member{}
	n.subs = n.subs[:last]
	if cap(n.subs) > 64 && last < cap(n.subs)/4 {
		n.subs = append(make([]member, 0, 2*last), n.subs...)
	}
	switch {
	case last > 0:
	case n.prefix:
		delete(h.prefixes, n.text)
		h.lengths.remove(len(n.text))
	default:
		delete(h.channels, n.text)
	}
}
