package loop

import (
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// TestStatesEnd: every state is reached from running, every state leads to closed, a session that
// ends executes no more requests, and nothing leads out of closed.
func TestStatesEnd(t *testing.T) {
	t.Parallel()
	reached := func(from state) (bits uint16) {
		for next := to(from); next != bits; {
			bits = next
			for s := range states {
				if bits&to(s) != 0 {
					next |= transitions[s]
				}
			}
		}
		return bits
	}
	if all := uint16(1<<states - 1); reached(running) != all {
		t.Errorf("from running %b are reached, not %b", reached(running), all)
	}
	for s := range states {
		if reached(s)&to(closed) == 0 {
			t.Errorf("%v does not lead to closed", s)
		}
		if s >= closing && reached(s)&(1<<closing-1) != 0 {
			t.Errorf("%v leads back to a state that executes requests", s)
		}
		if s.leadsTo(s) {
			t.Errorf("%v leads to itself", s)
		}
	}
	if transitions[closed] != 0 {
		t.Error("closed leads somewhere")
	}
}

// TestStatesInDesign: DESIGN.md has the transitions that the code has.
func TestStatesInDesign(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| ([^|]*) \\|$")
	drawn := map[string]string{}
	_, section, _ := strings.Cut(string(text), "## States")
	section, _, _ = strings.Cut(section, "## Parts")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		drawn[m[1]] = m[2]
	}
	for s := range states {
		var next []string
		for n := range states {
			if s.leadsTo(n) {
				next = append(next, n.String())
			}
		}
		want := strings.Join(next, ", ")
		if want == "" {
			want = "-"
		}
		if got, ok := drawn[s.String()]; !ok || got != want {
			t.Errorf("DESIGN.md has %v lead to %q, the code to %q", s, got, want)
		}
	}
	if len(drawn) != int(states) {
		t.Errorf("DESIGN.md draws %d states, the code has %d", len(drawn), states)
	}
}

// TestInvalidTransition: a transition that is not in the table is logged and counted, and ends the
// session. A session that ends already keeps its state.
func TestInvalidTransition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, next, want state }{
		{running, paused, paused}, {paused, blocked, closing}, {lingering, running, lingering}, {closed, running, closed},
	} {
		var log bytes.Buffer
		srv := &Server{log: slog.New(slog.NewTextHandler(&log, nil))}
		srv.engine = engine.New(engine.Env{Store: shardmap.NewStore(), Logger: srv.log})
		s := &session{srv: srv, state: c.from}
		s.setState(c.next)
		drawn := c.want == c.next
		if s.state != c.want || drawn != (log.Len() == 0) ||
			!drawn && !strings.Contains(log.String(), c.next.String()) {
			t.Errorf("%v to %v: %v, log %q", c.from, c.next, s.state, log.String())
		}
	}
}

// TestSessionMemory: what an idle connection costs is mostly its session.
func TestSessionMemory(t *testing.T) {
	t.Parallel()
	const most = 224 // a size class of the allocator
	if size := unsafe.Sizeof(session{}); size > most {
		t.Errorf("a session has %d bytes, and %d may be", size, most)
	}
}
