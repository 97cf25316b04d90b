package loop

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cyberdb-fast/loop/requestlog"
)

// Thresholds say which requests are logged (INFO "slow", "large_requests", "large_replies").
type Thresholds struct {
	SlowRequest  time.Duration // that take longer to execute; 0: none
	LargeRequest int           // whose frames have more bytes; 0: none
	LargeReply   int           // whose replies have more bytes; 0: none
}

// loggedRequests is how many entries each log of requests keeps.
const loggedRequests = 128

// requestLogs are the logs of requests. Any goroutine may use them.
type requestLogs struct {
	slow, largeRequests, largeReplies *requestlog.Ring // constant
	tail                              *requestlog.Tail // constant

	// execution is the time beyond which a request is slow. bytes is the size of a request and its
	// reply together beyond which it is looked at: -1 while there is a tail.
	execution, bytes atomic.Int64

	mu         sync.Mutex
	thresholds Thresholds // guarded by mu
}

func (l *requestLogs) init(t Thresholds) {
	l.slow = requestlog.NewRing(loggedRequests)
	l.largeRequests = requestlog.NewRing(loggedRequests)
	l.largeReplies = requestlog.NewRing(loggedRequests)
	l.tail = requestlog.NewTail()
	l.set(t)
}

// set sets the thresholds.
func (l *requestLogs) set(t Thresholds) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thresholds = t
	l.watch()
}

// get returns the thresholds.
func (l *requestLogs) get() Thresholds {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.thresholds
}

// tailChanged notes that a tail has begun or ended.
func (l *requestLogs) tailChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch()
}

// watch sets execution and bytes. The caller has locked mu.
func (l *requestLogs) watch() {
	t := &l.thresholds
	l.execution.Store(int64(orNever(int(t.SlowRequest))))
	bytes := min(orNever(t.LargeRequest), orNever(t.LargeReply))
	if l.tail.On() {
		bytes = -1
	}
	l.bytes.Store(int64(bytes))
}

// orNever returns a threshold that is never reached for 0.
func orNever(threshold int) int {
	if threshold <= 0 {
		return math.MaxInt
	}
	return threshold
}

// SetThresholds changes which requests are logged from now on.
func (srv *Server) SetThresholds(t Thresholds) { srv.logs.set(t) }
