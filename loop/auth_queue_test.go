package loop

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// queued is a login queue whose work takes a millisecond and is recorded.
type queued struct {
	loginQueue
	start time.Time

	guard sync.Mutex
	// guarded by guard; the test reads done and at once nothing waits
	done []string
	at   []time.Duration
}

func newQueued() *queued {
	q := &queued{start: time.Now()}
	q.init(1)
	return q
}

// namedLogin is a login of the queue.
type namedLogin struct {
	q    *queued
	name string
	gone bool // set before the login's turn may come
}

func (l *namedLogin) abandoned() bool { return l.gone }

func (l *namedLogin) takeTurn() {
	time.Sleep(time.Millisecond)
	l.q.guard.Lock()
	defer l.q.guard.Unlock()
	l.q.done, l.q.at = append(l.q.done, l.name), append(l.q.at, time.Since(l.q.start))
}

// login lets a login of an address wait.
func (q *queued) login(from, name string) (*namedLogin, bool) {
	l := &namedLogin{q: q, name: name}
	var addr netip.Addr
	if from != "" {
		addr = netip.MustParseAddr(from)
	}
	return l, q.add(l, addr)
}

// wait returns once no login waits.
func (q *queued) wait() {
	for q.waiting.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * time.Millisecond)
	synctest.Wait()
}

// TestLoginsTakeTurns: a flood from one address does not delay the login of another.
func TestLoginsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueued()
		for i := range 100 {
			q.login("10.0.0.1", fmt.Sprint("flood ", i))
		}
		q.login("10.0.0.2", "a")
		q.login("10.0.0.2", "b")
		q.login("", "local")
		q.wait()
		want := []string{"a", "local", "b"}
		for i, name := range want {
			if at := slices.Index(q.done, name); at < 0 || at > 2*i+6 {
				t.Errorf("%s was login %d", name, at)
			}
		}
		if first := slices.Index(q.done, "flood 1"); slices.Index(q.done, "flood 99") < first || len(q.done) != 103 {
			t.Errorf("%d logins, out of order", len(q.done))
		}
		if len(q.origins) != 0 || q.running != 0 {
			t.Errorf("%d origins and %d workers stay", len(q.origins), q.running)
		}
	})
}

// TestFailedLoginsDelay: wrong passwords delay the next logins of their address, more each time up
// to a second, and no others. A right one is accepted whenever its turn comes.
func TestFailedLoginsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueued()
		guesser, other := "192.0.2.7", "192.0.2.8"
		delay := time.Duration(0)
		for n := range 12 {
			start := time.Now()
			q.login(guesser, "guess")
			q.wait()
			took := q.at[len(q.at)-1] - start.Sub(q.start)
			if took < delay || took > delay+2*time.Millisecond {
				t.Errorf("guess %d took %v, want %v", n, took, delay)
			}
			q.failed(netip.MustParseAddr(guesser))
			delay = min(firstLoginDelay<<n, maxLoginDelay)
		}
		start := time.Now()
		q.login(other, "other")
		q.login("", "local")
		q.login(guesser, "right at last")
		q.wait()
		for i, name := range []string{"other", "local", "right at last"} {
			at := q.at[len(q.at)-3+i] - start.Sub(q.start)
			if q.done[len(q.done)-3+i] != name || (at > 4*time.Millisecond) != (i == 2) {
				t.Errorf("%s after %v, want %s", q.done[len(q.done)-3+i], at, name)
			}
		}
		time.Sleep(forgetFailures + time.Second)
		start = time.Now()
		q.login(guesser, "much later")
		q.wait()
		if took := q.at[len(q.at)-1] - start.Sub(q.start); took > 2*time.Millisecond {
			t.Errorf("ten minutes later it still takes %v", took)
		}
	})
}

// TestLoopbackIsNotDelayed: the one address of many honest clients is never delayed.
func TestLoopbackIsNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueued()
		for range 100 {
			q.failed(originOf(&net.TCPAddr{IP: net.IPv6loopback}))
		}
		start := time.Now()
		q.login("", "local")
		q.wait()
		if took := q.at[0] - start.Sub(q.start); took > 2*time.Millisecond {
			t.Errorf("%v", took)
		}
	})
}

// TestDelayedLoginsAreBounded: an address that is delayed may not fill the server with connections
// that wait; closed ones make room.
func TestDelayedLoginsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueued()
		from := netip.MustParseAddr("192.0.2.7")
		for range 20 {
			q.failed(from)
		}
		var waiting []*namedLogin
		for n := 0; ; n++ {
			s, ok := q.login(from.String(), fmt.Sprint(n))
			if !ok {
				if n != maxDelayedLogins {
					t.Errorf("%d may wait", n)
				}
				break
			}
			waiting = append(waiting, s)
		}
		for _, s := range waiting[:10] {
			s.gone = true
		}
		if _, ok := q.login(from.String(), "after ten have gone"); !ok {
			t.Error("the closed ones make no room")
		}
		if n := q.waiting.Load(); n != maxDelayedLogins-9 {
			t.Errorf("%d wait", n)
		}
		q.wait()
		if len(q.done) != maxDelayedLogins-9 || slices.Contains(q.done, "0") {
			t.Errorf("%d were worked on", len(q.done))
		}
	})
}

// TestOriginsAreBounded: a guesser with many addresses does not fill the memory.
func TestOriginsAreBounded(t *testing.T) {
	q := &loginQueue{}
	q.init(1)
	for i := range 10 * maxOrigins {
		q.failed(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(q.origins) > maxOrigins {
		t.Errorf("%d origins", len(q.origins))
	}
}

func TestOrigins(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1": "invalid IP", "127.8.9.1": "invalid IP", "::1": "invalid IP", "10.1.2.3": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1": "fe80::",
	} {
		if got := originOf(&net.TCPAddr{IP: net.ParseIP(text)}); got.String() != want {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	if got := originOf(&net.UnixAddr{Name: "/s"}); got.IsValid() {
		t.Errorf("a Unix socket: %v", got)
	}
}
