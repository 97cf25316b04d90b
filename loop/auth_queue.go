package loop

import (
	"container/heap"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The arithmetic of a login costs 0.1 ms, and any client that connects can ask for it. A few
// workers do it in the background. They take turns between the addresses that have logins waiting,
// and take the oldest login of each. So a flood from one address slows its own logins only.
//
// A wrong password delays the next login of its address; each further one doubles the delay. So
// guessing is slow, and no client is locked out, because the right password is accepted whenever
// its turn comes. Native logins from this machine are never delayed: many local clients share
// its one address. Logins by other protocols (auth_password.go) take turns with them.

const (
	firstLoginDelay = 10 * time.Millisecond // doubled with each wrong password
	maxLoginDelay   = time.Second
	forgetFailures  = 10 * time.Minute // without a further one
	// waiting logins of one address that is delayed: more would fill the server with waiting
	// connections
	maxDelayedLogins = 32
	maxOrigins       = 4096 // remembered without anything waiting
)

// loginWorkers returns how many workers there are: one for two processors, because the loops need
// processors too.
func loginWorkers() int { return min(max(runtime.GOMAXPROCS(0)/2, 1), 8) }

// queuedLogin is a login that waits for its turn. Its methods may be called from any goroutine.
type queuedLogin interface {
	abandoned() bool // its client does not wait for it any more
	takeTurn()       // the worker's part of the login
}

// origin is an address whose logins wait, or failed.
type origin struct {
	addr     netip.Addr
	waiting  []queuedLogin // oldest first
	listed   bool          // in ready or in later
	failures int
	failedAt time.Time
	free     time.Time // when its next login may begin
}

// delay returns how long the next login waits after this one.
func (o *origin) delay(now time.Time) time.Duration {
	if o.failures == 0 || now.Sub(o.failedAt) > forgetFailures {
		return 0
	}
	return min(firstLoginDelay<<min(o.failures-1, 10), maxLoginDelay)
}

// loginQueue hands logins to workers. Its methods may be called from any goroutine.
type loginQueue struct {
	workers int
	waiting atomic.Int64

	mu sync.Mutex
	// guarded by mu
	running int
	origins map[netip.Addr]*origin
	ready   []*origin  // that have logins waiting and may begin; the next one first
	later   originHeap // that have logins waiting and may not begin yet
	timer   *time.Timer
}

func (q *loginQueue) init(workers int) {
	q.workers, q.origins = workers, make(map[netip.Addr]*origin)
}

// abandoned implements queuedLogin.
func (s *session) abandoned() bool { return s.gone.Load() }

// takeTurn implements queuedLogin: it does the arithmetic of the handshake.
func (s *session) takeTurn() {
	defer s.endAfterPanic("panic in a login, connection closed")
	if s.legacy == nil { // CyberDB's wire has no arithmetic, but its turn
		s.auth.login.handshake.Compute()
	}
	s.deferred.ready.Store(true)
	s.wake()
}

// add lets a login wait for a worker. It returns false if too many logins of its address do.
func (q *loginQueue) add(l queuedLogin, from netip.Addr) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	o := q.originLocked(from, now)
	if o.delay(now) > 0 && len(o.waiting) >= maxDelayedLogins {
		q.dropGoneLocked(o)
		if len(o.waiting) >= maxDelayedLogins {
			return false
		}
	}
	o.waiting = append(o.waiting, l)
	q.waiting.Add(1)
	q.enterLocked(o, now)
	q.startLocked()
	return true
}

// dropGoneLocked forgets the logins that were abandoned.
func (q *loginQueue) dropGoneLocked(o *origin) {
	before := len(o.waiting)
	o.waiting = slices.DeleteFunc(o.waiting, queuedLogin.abandoned)
	q.waiting.Add(int64(len(o.waiting) - before))
}

// failed counts a wrong password.
func (q *loginQueue) failed(from netip.Addr) {
	if !from.IsValid() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	o := q.originLocked(from, now)
	if now.Sub(o.failedAt) > forgetFailures {
		o.failures = 0
	}
	o.failures++
	o.failedAt = now
	if !o.listed { // if it is, the delay counts from its next login
		o.free = now.Add(o.delay(now))
	}
}

func (q *loginQueue) originLocked(addr netip.Addr, now time.Time) *origin {
	o := q.origins[addr]
	if o == nil {
		if len(q.origins) >= maxOrigins {
			q.forgetLocked(now)
		}
		o = &origin{addr: addr}
		q.origins[addr] = o
	}
	return o
}

// forgetLocked makes room: origins without anything waiting go, those first whose failures are
// forgotten.
func (q *loginQueue) forgetLocked(now time.Time) {
	for _, all := range []bool{false, true} {
		for addr, o := range q.origins {
			if len(o.waiting) == 0 && (all || o.delay(now) == 0) {
				delete(q.origins, addr)
			}
		}
		if len(q.origins) < maxOrigins/2 {
			return
		}
	}
}

// enterLocked lists an origin that has logins waiting, unless it is listed.
func (q *loginQueue) enterLocked(o *origin, now time.Time) {
	switch {
	case o.listed:
		return
	case o.free.After(now):
		heap.Push(&q.later, o)
	default:
		q.ready = append(q.ready, o)
	}
	o.listed = true
}

// startLocked starts workers for what may begin, and sets the timer for what may begin later.
func (q *loginQueue) startLocked() {
	for n := len(q.ready); n > 0 && q.running < q.workers; n-- {
		q.running++
		go q.run()
	}
	if len(q.later) == 0 {
		return
	}
	wait := time.Until(q.later[0].free)
	if q.timer == nil {
		q.timer = time.AfterFunc(wait, q.tick)
	} else {
		q.timer.Reset(wait)
	}
}

func (q *loginQueue) tick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dueLocked(time.Now())
	q.startLocked()
}

// dueLocked moves the origins whose delay is over to the ready ones.
func (q *loginQueue) dueLocked(now time.Time) {
	for len(q.later) > 0 && !q.later[0].free.After(now) {
		q.ready = append(q.ready, heap.Pop(&q.later).(*origin))
	}
}

// run works until nothing may begin.
func (q *loginQueue) run() {
	for {
		l := q.next()
		if l == nil {
			return
		}
		l.takeTurn()
	}
}

// next takes a login; nil ends the worker.
func (q *loginQueue) next() queuedLogin {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.dueLocked(now)
	for len(q.ready) > 0 {
		o := q.ready[0]
		q.ready[0] = nil
		q.ready = q.ready[1:]
		o.listed = false
		l := q.oldestLocked(o)
		delay := o.delay(now)
		if l != nil && delay > 0 {
			o.free = now.Add(delay)
		}
		switch {
		case len(o.waiting) > 0:
			q.enterLocked(o, now)
		case delay == 0:
			delete(q.origins, o.addr)
		}
		if l != nil {
			return l
		}
	}
	q.running--
	q.startLocked()
	return nil
}

// oldestLocked takes the origin's oldest login that was not abandoned, nil if there is none.
func (q *loginQueue) oldestLocked(o *origin) queuedLogin {
	for len(o.waiting) > 0 {
		l := o.waiting[0]
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
		q.waiting.Add(-1)
		if !l.abandoned() {
			return l
		}
	}
	return nil
}

// originHeap is a container/heap by the time when the origins are free.
type originHeap []*origin

func (h originHeap) Len() int           { return len(h) }
func (h originHeap) Less(i, j int) bool { return h[i].free.Before(h[j].free) }
func (h originHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *originHeap) Push(x any) { *h = append(*h, x.(*origin)) }

// Pop implements heap.Interface.
func (h *originHeap) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return o
}
