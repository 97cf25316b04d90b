package loop

import (
	"context"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/loop/wheel"
)

const (
	// tick is the resolution of timers.
	tick = time.Millisecond
	// maxDue is how many timers are looked at in one iteration of an event loop.
	maxDue = 1024
)

// timers are the timers of an event loop, in monotonic time. One timer of the system stands for
// them all: it is set to the next tick at which the wheel has work, and to none if there is no
// timer. Owned by the event loop.
type timers struct {
	clock *storeTime // constant
	post  func()     // makes the event loop call serve; constant
	again func()     // makes it call serve in its next iteration; constant
	wheel wheel.Wheel
	alarm *time.Timer // nil: it was never set
	set   int64       // the tick that alarm is set to; 0: none
	more  bool        // serve is to be called again
}

// now returns the last tick that has begun.
func (t *timers) now() int64 { return int64(t.clock.monotonic() / tick) }

// add makes a timer due at a time, or up to two ticks later.
func (t *timers) add(timer *wheel.Timer, at time.Duration) {
	t.wheel.Advance(t.now(), 0) // if nothing is due
	t.wheel.Add(timer, int64((at-1)/tick)+1)
	t.setAlarm()
}

func (t *timers) remove(timer *wheel.Timer) { t.wheel.Remove(timer) }

// serve tells the owners of the timers that are due.
func (t *timers) serve() {
	t.set = 0
	if t.more = !t.wheel.Advance(t.now(), maxDue); t.more {
		t.again()
		return
	}
	t.setAlarm()
}

// setAlarm sets the alarm, unless it comes early enough.
func (t *timers) setAlarm() {
	next, ok := t.wheel.Next()
	if !ok || t.set > 0 && t.set <= next {
		return
	}
	t.set = max(next, 1)
	wait := time.Duration(next)*tick - t.clock.monotonic()
	if t.alarm == nil {
		t.alarm = time.AfterFunc(wait, t.post)
	} else {
		t.alarm.Reset(wait)
	}
}

// end stops the alarm, once the event loop has ended.
func (t *timers) end() {
	if t.alarm != nil {
		t.alarm.Stop()
	}
}

// startTimers initializes the timers of the event loop.
func (l *eventLoop) startTimers(el gnet.EventLoop) {
	serve := gnet.RunnableFunc(func(context.Context) error {
		l.timers.serve()
		return nil
	})
	l.timers.clock = &l.srv.time
	l.timers.post = func() { _ = el.Execute(context.Background(), serve) } // fails if the loop ends
	l.timers.again = func() { l.queue.waker.wake() }
	resume := gnet.RunnableFunc(func(context.Context) error {
		l.resumeWoken()
		return nil
	})
	l.woken.post = func() { _ = el.Execute(context.Background(), resume) }
}
