package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// way is a request for a clean shutdown.
type way struct {
	name string
	end  func(*server) error
}

// ways are all of them. A server of a campaign is started on a terminal, and with --end-with-stdin.
var ways = []way{
	{"SIGTERM", signalled(syscall.SIGTERM)},
	{"SIGTERM to the group", groupSignalled(syscall.SIGTERM)},
	{"SIGINT", signalled(syscall.SIGINT)},
	{"SIGINT to the group", groupSignalled(syscall.SIGINT)},
	{"SIGHUP", signalled(syscall.SIGHUP)},
	{"SIGHUP to the group", groupSignalled(syscall.SIGHUP)},
	{"SIGQUIT", signalled(syscall.SIGQUIT)},
	{"SIGQUIT to the group", groupSignalled(syscall.SIGQUIT)},
	{"end of input", func(srv *server) error { return srv.CloseInput() }},
	{"hang-up", func(srv *server) error { return srv.HangUp() }},
}

func signalled(sig syscall.Signal) func(*server) error {
	return func(srv *server) error { return srv.Signal(sig) }
}

func groupSignalled(sig syscall.Signal) func(*server) error {
	return func(srv *server) error { return srv.SignalGroup(sig) }
}

const (
	// mostGap is the longest time between the first and the second request to end.
	mostGap = 2 * time.Second
	// deliberate is how long after the first signal a second one cuts the shutdown short.
	deliberate = 1100 * time.Millisecond
)

// orderlyEnd is a drawn clean shutdown.
type orderlyEnd struct {
	first, second way // second may be empty
	gap           time.Duration
	stalled       bool // a client delays the shutdown until it is cut short
}

func (e *orderlyEnd) String() string {
	if e.second.name == "" {
		return e.first.name
	}
	return fmt.Sprintf("%s, then %s after %v", e.first.name, e.second.name, e.gap.Round(time.Millisecond))
}

func (c *campaign) drawWay() way { return ways[c.rng.IntN(len(ways))] }

// kind is the name under which the end is counted.
func (e *orderlyEnd) kind() string {
	if e.second.name == "" {
		return e.first.name
	}
	return "two of these"
}

// drawEnd takes the ways in turn, each alone and then with a second one after it.
func (c *campaign) drawEnd() *orderlyEnd {
	e := &orderlyEnd{first: ways[c.total.orderly/2%len(ways)]}
	c.total.orderly++
	if c.total.orderly%2 == 0 {
		e.second, e.gap = c.drawWay(), time.Duration(c.rng.Int64N(int64(mostGap)))
		e.stalled = c.rng.IntN(2) == 0
	}
	return e
}

// endInOrder shuts the server down. Nothing may be lost, even if the power fails right after it.
func (c *campaign) endInOrder(srv *server, e *orderlyEnd) error {
	c.claim = verdict{way: e.String(), end: time.Now()}
	c.total.ways[e.kind()]++
	if err := e.first.end(srv); err != nil {
		return fmt.Errorf("%s: %w", e.first.name, err)
	}
	if c.breakIt { // as a server that does not flush at its end
		srv.Kill()
		return nil
	}
	start := time.Now()
	if e.second.name != "" && !srv.EndsWithin(e.gap) {
		_ = e.second.end(srv) // it may have ended since
	}
	if e.stalled && !srv.EndsWithin(time.Until(start.Add(deliberate))) {
		_ = signalled(syscall.SIGTERM)(srv)
	}
	if !srv.EndsWithin(serverTimeout) {
		srv.Kill()
		return fmt.Errorf("%v: the server did not end in %v", e, serverTimeout)
	}
	if err := e.check(srv); err != nil {
		return fmt.Errorf("%v: %w\n%s", e, err, srv.Log())
	}
	if c.disk == nil {
		return nil
	}
	return errors.Join(c.disk.cut(), c.disk.remount())
}

// check checks the exit code and the log.
func (e *orderlyEnd) check(srv *server) error {
	code, log := srv.ExitCode(), srv.Log()
	cutShort := strings.Contains(log, "stopping immediately")
	switch {
	case code != 0 && (code != 1 || !cutShort && !e.stalled):
		return fmt.Errorf("exit code %d", code)
	case !strings.Contains(log, "every change is on disk"):
		return errors.New("the log does not say that every change is on disk")
	}
	return nil
}

// ends lists how often the servers were ended in each way.
func (t *totals) ends() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(t.ways)) {
		all = append(all, fmt.Sprintf("%s %d", name, t.ways[name]))
	}
	return strings.Join(all, ", ")
}
