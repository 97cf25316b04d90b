package loop

import (
	"sync/atomic"
	"time"
)

// maxStoreTime bounds the time of the store, in milliseconds since 1970 UTC. It leaves room for
// arithmetic in microseconds.
const maxStoreTime = 1 << 52

// storeTime is the time of the store, which changes carry: the maximum of the wall clock, and of
// the last time plus the monotonic time that has passed since. So it never goes back, and continues
// at normal speed if the wall clock is set back.
//
// It is monotonic time plus the largest difference between the two clocks that was ever seen. That
// difference only rises, so any goroutine may read the time without a lock.
type storeTime struct {
	wall  func(now time.Time) time.Time // constant; nil: the wall clock is the system's
	start time.Time                     // constant; where monotonic time begins
	ahead atomic.Int64                  // of monotonic time, in microseconds
}

func (c *storeTime) init(wall func(now time.Time) time.Time) {
	c.wall, c.start = wall, time.Now()
	c.now()
}

// monotonic returns the time since the server was started, which no setting of a clock changes.
func (c *storeTime) monotonic() time.Duration { return time.Since(c.start) }

// now returns the time of the store, in milliseconds since 1970 UTC.
func (c *storeTime) now() int64 {
	now, _ := c.read()
	return now
}

// read returns now and monotonic as of one moment.
func (c *storeTime) read() (now int64, monotonic time.Duration) {
	wall := time.Now()
	monotonic = wall.Sub(c.start)
	if c.wall != nil {
		wall = c.wall(wall)
	}
	passed := monotonic.Microseconds()
	return (passed + c.raise(wall.UnixMicro()-passed)) / 1000, monotonic
}

// startAt makes the time at least that, in milliseconds since 1970 UTC: the highest time on disk.
func (c *storeTime) startAt(milliseconds int64) {
	c.raise(1000*min(max(milliseconds, 0), maxStoreTime) - c.monotonic().Microseconds())
}

// raise makes ahead at least that, and returns it.
func (c *storeTime) raise(ahead int64) int64 {
	for {
		highest := c.ahead.Load()
		if ahead <= highest {
			return highest
		}
		if c.ahead.CompareAndSwap(highest, ahead) {
			return ahead
		}
	}
}

// readTime reads the time of the store for the requests that the event loop executes next. They
// have arrived now, unless the caller says otherwise.
func (l *eventLoop) readTime() {
	now, began := l.srv.time.read()
	l.exec.Call().Time, l.began = now, began
	l.srv.store.SetNow(now)
	l.arrived, l.record.partStarted = l.began, l.began
}
