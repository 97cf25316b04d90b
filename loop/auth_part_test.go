package loop

import (
	"sync"
	"testing"
	"time"
)

// TestAuthTimeLeft: a client that has not authenticated has the timeout, without the time of the
// server's work. An authenticated client may be idle as long as is configured, and is not idle
// while it is busy.
func TestAuthTimeLeft(t *testing.T) {
	t.Parallel()
	const start, idle = int64(time.Hour), time.Minute
	a := auth{login: &login{}}
	a.heard(start)
	if !a.expect(5*time.Second) || a.expect(5*time.Second) {
		t.Error("expect does not say what has changed")
	}
	check := func(what string, after, idle time.Duration, busy bool, want time.Duration) {
		t.Helper()
		if got := a.timeLeft(start+int64(after), idle, busy); got != want {
			t.Errorf("%s: %v left, want %v", what, got, want)
		}
	}
	check("before the login", 2*time.Second, idle, true, 3*time.Second)
	check("the clock is behind", -time.Second, idle, false, 5*time.Second)
	a.marks.set(working)
	check("the server works", time.Hour, idle, false, never)
	a.marks.clear(working)
	a.setAuthenticated()
	if a.login != nil {
		t.Error("the login is kept")
	}
	check("idle", 2*time.Second, idle, false, idle-2*time.Second)
	check("busy", 2*time.Hour, idle, true, never)
	check("no idle time", 2*time.Hour, 0, false, never)
	a.marks.set(messageStarted)
	check("a message has begun", 0, 0, false, legacyControlTime)
}

// TestMarksTakenOnce: of many goroutines that take a mark one gets it, and other marks stay.
func TestMarksTakenOnce(t *testing.T) {
	t.Parallel()
	var m marks
	m.set(authenticated)
	for range 100 {
		m.set(timedOut)
		var taken [4]bool
		var wait sync.WaitGroup
		for i := range taken {
			wait.Go(func() { taken[i] = m.take(timedOut) })
		}
		wait.Wait()
		n := 0
		for _, got := range taken {
			if got {
				n++
			}
		}
		if n != 1 || m.has(timedOut) || !m.has(authenticated) {
			t.Fatalf("%d have taken it; marks %b", n, m.bits.Load())
		}
	}
}
