package pubsub

import "sync"

// Bounds of the queue of one subscription.
const (
	// MaxMessages is how many messages wait in the queue.
	MaxMessages = 1024
	// MaxBytes is how many bytes they have, channel and value as they are received. A subscription
	// misses a message that has more.
	MaxBytes = 1 << 20
)

const (
	entryBytes   = 16 // of a queue's place
	leastEntries = 8  // places of a queue that is not empty, at least
)

// Subscription is the channels and prefixes of one SUBSCRIBE, and what was published to them and
// not yet received.
type Subscription struct {
	id    uint64 // constant
	hub   *Hub
	names []membership // guarded by hub.mu, but for its length
	bytes int          // that hub.memory counts for it, without queue and messages; constant

	mu     sync.Mutex
	ring   []entry // guarded by mu, as all that follows
	first  int     // index of the oldest entry
	n      int     // how many there are
	size   int     // bytes of their messages
	missed uint64  // messages that were missed since the newest entry
	wake   *wakeUp // nil: nothing waits for a message
	holder any     // of the one request that receives or waits to; nil: none
	over   bool
}

// entry is a place in a queue.
type entry struct {
	message *message
	missed  uint64 // messages that were missed before this one, and after the one before
}

type wakeUp struct{ wake func() }

// push puts a message into the queue, and drops the oldest ones if that is full. It returns false
// if the subscription has not taken it: it has missed it, or is over.
func (s *Subscription) push(m *message) (taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	size := m.size - messageBytes
	for s.n == MaxMessages || s.n > 0 && s.size+size > MaxBytes {
		s.dropOldest()
	}
	if s.n == len(s.ring) && !s.grow() {
		if s.n == 0 {
			s.miss()
			return false
		}
		s.dropOldest()
	}
	s.ring[(s.first+s.n)%len(s.ring)] = entry{message: m, missed: s.missed}
	s.n++
	s.size += size
	s.missed = 0
	s.wakeUp()
	return true
}

// lose notes that the subscription has missed a message.
func (s *Subscription) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.miss()
	}
}

// miss is lose with the lock held.
func (s *Subscription) miss() {
	s.missed++
	s.hub.missed.Add(1)
	s.wakeUp()
}

// wakeUp wakes the request that waits. The caller holds mu.
func (s *Subscription) wakeUp() {
	if w := s.wake; w != nil {
		s.wake = nil
		w.wake()
	}
}

// grow makes room for more entries. It returns false if the hub has no memory for them.
func (s *Subscription) grow() bool {
	n := max(leastEntries, 2*len(s.ring))
	missed, ok := s.hub.memory.reserve((n - len(s.ring)) * entryBytes)
	s.hub.missed.Add(uint64(missed))
	if !ok {
		return false
	}
	ring := make([]entry, n)
	for i := range s.n {
		ring[i] = s.ring[(s.first+i)%len(s.ring)]
	}
	s.ring, s.first = ring, 0
	return true
}

// pop takes the oldest entry out, and returns the bytes of its message; nil: it was dropped to make
// room.
func (s *Subscription) pop() (e entry, body []byte) {
	e = s.ring[s.first]
	s.ring[s.first] = entry{}
	s.first = (s.first + 1) % len(s.ring)
	s.n--
	s.size -= e.message.size - messageBytes
	return e, s.hub.memory.leave(e.message, 1)
}

// dropOldest drops the oldest entry: its message is missed, in front of the next.
func (s *Subscription) dropOldest() {
	e, body := s.pop()
	if body != nil {
		s.hub.missed.Add(1)
	}
	s.carry(e.missed + 1)
}

// Receive takes at most limit messages out of the queue, in order. Each is its channel and its
// value, as they were published; the caller must not change them. missed is how many messages were
// missed before the first of them, and after the last of the Receive before. No message was missed
// between two of them: there the next Receive begins.
func (s *Subscription) Receive(limit int) (missed uint64, messages [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.n > 0 && len(messages) < limit {
		next := s.ring[s.first]
		if len(messages) > 0 && (next.missed > 0 || !s.hub.memory.has(next.message)) {
			break
		}
		e, body := s.pop()
		switch missed += e.missed; {
		case body != nil:
			messages = append(messages, body)
		case len(messages) == 0:
			missed++
		default: // dropped since it was looked at
			s.carry(1)
		}
	}
	if len(messages) == 0 {
		missed += s.missed
		s.missed = 0
	}
	if s.n == 0 {
		s.shrink(leastEntries)
	}
	s.hub.delivered.Add(uint64(len(messages)))
	return missed, messages
}

// carry notes that messages were missed in front of the oldest entry.
func (s *Subscription) carry(missed uint64) {
	if s.n > 0 {
		s.ring[s.first].missed += missed
	} else {
		s.missed += missed
	}
}

// shrink gives back the ring of an empty queue if it has more than so many entries.
func (s *Subscription) shrink(most int) {
	if len(s.ring) > most {
		s.hub.memory.unreserve(len(s.ring) * entryBytes)
		s.ring, s.first = nil, 0
	}
}

// Free says whether a request may receive: no other holds the subscription.
func (s *Subscription) Free(holder any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder == nil || s.holder == holder
}

// Hold makes a request, which waits to receive, the only one that may. Release ends that.
func (s *Subscription) Hold(holder any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder = holder
}

// Release ends Hold, if it is holder that holds the subscription.
func (s *Subscription) Release(holder any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == holder {
		s.holder = nil
	}
}

// WhenReady makes wake be called once, when there is something to receive or the subscription ends,
// from any goroutine. The caller looks once more afterwards: what is there already wakes nothing.
// cancel ends it.
func (s *Subscription) WhenReady(wake func()) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &wakeUp{wake}
	s.wake = w
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.wake == w {
			s.wake = nil
		}
	}
}

// end drops what is in the queue, and wakes what waits. The subscription's names are gone.
func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for s.n > 0 {
		s.pop()
	}
	s.shrink(0)
	s.wakeUp()
}
