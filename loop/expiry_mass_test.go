package loop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// massEntries is how many entries the tests of this file let expire at once.
func massEntries() int {
	if testing.Short() || raceEnabled && !conformance.Long() {
		return 100_000
	}
	return 1_000_000
}

// fillLiving gives a dict n entries that expire then, from key 0 on.
func fillLiving(w *wire, table string, n int, until time.Time) {
	w.Helper()
	const most = 10_000
	for first := 0; first < n; first += most {
		args := msgp.AppendString(nil, table)
		for i := first; i < min(first+most, n); i++ {
			args = msgp.AppendString(msgp.AppendInt(args, i), "a value")
		}
		w.id++
		w.write(codec.AppendRequest(nil, &codec.Request{
			ID:    w.id,
			Op:    codec.OpDictUpdate,
			Flags: codec.FlagTimeToLive,
			TTL:   time.Until(until).Milliseconds(),
			Args:  args,
		}))
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			w.Fatal(reply.Status, err)
		}
	}
}

// untilLength asks for the length of a dict until it is n, and returns how long that took.
func untilLength(w *wire, table string, n int64) time.Duration {
	w.Helper()
	start := time.Now()
	for w.ok(codec.OpDictLen, table)[0] != n {
		if time.Since(start) > testTimeout {
			w.Fatalf("%s has the length %v, not %d", table, w.ok(codec.OpDictLen, table), n)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// expiringServer is a server in its own process whose clock a test sets.
type expiringServer struct {
	*expiryCampaign
	now int64
}

func startExpiring(t *testing.T) *expiringServer {
	t.Helper()
	s := &expiringServer{&expiryCampaign{T: t, dir: t.TempDir()}, expiryStart}
	s.start(s.now, 0)
	return s
}

// pass lets the clock jump.
func (s *expiringServer) pass(d time.Duration) {
	s.Helper()
	s.now += d.Milliseconds()
	s.jump(s.now)
}

// TestMassExpiry: while very many entries that expire at once are removed, the server answers
// others, lengths do not count them, and POPITEM finds what has not expired.
func TestMassExpiry(t *testing.T) {
	n := massEntries()
	s := startExpiring(t)
	w := s.conns[0]
	w.ok(codec.OpCreateDict, "d", false, "stays", 1)
	w.ok(codec.OpCreateDict, "other", false, "k", 1)

	fillLiving(w, "d", n, time.Now().Add(time.Hour))
	longestOf := func(what string, work func()) {
		t.Helper()
		longest := watch(t, []watcher{
			{s.conns[1], codec.OpDictGet, []any{"other", "k"}},
			{s.conns[2], codec.OpDictGet, []any{"d", "stays"}},
		}, work)
		t.Logf("%s: the longest waits were %v, and %v on the table", what, longest[0], longest[1])
		for _, wait := range longest {
			if wait > longestWait {
				t.Errorf("%s: a request waited for %v", what, wait)
			}
		}
	}
	longestOf("nothing expired", func() { time.Sleep(time.Second) })
	longestOf(fmt.Sprintf("%d entries expired at once", n), func() {
		s.pass(2 * time.Hour)
		time.Sleep(time.Second) // they are removed
	})
	untilLength(w, "d", 1)

	fillLiving(w, "d", n, time.Now().Add(time.Hour))
	longestOf(fmt.Sprintf("POPITEM over %d expired entries", n), func() {
		s.pass(2 * time.Hour)
		start := time.Now()
		if got := w.ok(codec.OpDictPopItem, "d"); got[0] != "stays" {
			t.Errorf("POPITEM took %v", got)
		}
		t.Logf("POPITEM took %v", time.Since(start))
	})
	w.fails(codec.StatusKeyError, codec.OpDictPopItem, "d")
	untilLength(w, "d", 0)

	until := time.Now().Add(3*time.Second + time.Duration(n)*10*time.Microsecond)
	fillLiving(w, "d", n, until)
	time.Sleep(time.Until(until) + 100*time.Millisecond) // what a length may be late by
	got := w.ok(codec.OpDictLen, "d")[0].(int64)
	t.Logf("100 ms after %d entries expired on an idle server, %d are counted", n, got)
	if late := untilLength(w, "d", 0); late > longestWait {
		t.Errorf("the length was right after %v", late)
	}
	s.server.end()
}

// TestStartAfterHours: a server that was down while very many entries expired shows none of them,
// and answers immediately.
func TestStartAfterHours(t *testing.T) {
	n := massEntries()
	s := startExpiring(t)
	w := s.conns[0]
	w.ok(codec.OpCreateDict, "d", false, "stays", 1)
	fillLiving(w, "d", n, time.Now().Add(time.Hour))
	w.ok(codec.OpSave)
	s.kill()
	begun := time.Now()
	s.now += (12 * time.Hour).Milliseconds()
	s.start(s.now, 0)
	started := time.Now()
	w = s.conns[0]
	longest := watch(t, []watcher{{s.conns[1], codec.OpDictGet, []any{"d", "stays"}}}, func() {
		for i := range 100 {
			w.fails(codec.StatusKeyError, codec.OpDictGet, "d", i*n/100)
		}
		if got := w.ok(codec.OpDictKeys, "d"); len(got) != 1 || got[0] != "stays" {
			t.Errorf("after a restart there are %d keys", len(got))
		}
		untilLength(w, "d", 1)
	})
	t.Logf("started with %d expired entries in %v, the length was right after %v, the longest wait was %v",
		n, started.Sub(begun), time.Since(started), longest[0])
	if longest[0] > longestWait {
		t.Errorf("a request waited for %v", longest[0])
	}
	s.server.end()
}

// TestVolatileRest: an idle server whose entries expire in an hour wakes up at most twenty times a
// second.
func TestVolatileRest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector wakes up by itself")
	}
	const most, watched = 20, 5 * time.Second
	n := massEntries()
	s := startExpiring(t)
	s.conns[0].ok(codec.OpCreateDict, "d", false)
	fillLiving(s.conns[0], "d", n, time.Now().Add(time.Hour))
	pid := s.server.cmd.Process.Pid
	within(t, 2*testTimeout, func() error { // what the requests have made it do ends some time
		before := voluntarySwitches(t, pid)
		time.Sleep(watched)
		rate := float64(voluntarySwitches(t, pid)-before) / watched.Seconds()
		if rate > most {
			return fmt.Errorf(
				"with %d entries that expire in an hour, an idle server wakes up %.1f times a second",
				n,
				rate,
			)
		}
		t.Logf("%d entries expire in an hour: %.1f wake-ups a second", n, rate)
		return nil
	})
	s.server.end()
}

// voluntarySwitches returns how often the threads of a process have waited.
func voluntarySwitches(t *testing.T, pid int) (n int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Skipf("no threads in /proc: %v", err)
	}
	for _, name := range files {
		status, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		_, line, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
		line, _, _ = strings.Cut(line, "\n")
		count, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	return n
}
