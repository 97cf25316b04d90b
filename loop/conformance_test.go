package loop

import (
	"errors"
	"fmt"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// TestConformance compares random operations on dicts and lists, through a real server, with
// CPython: the outcomes and, now and then, all tables. CYBERDB_OPS sets their number, CYBERDB_SEED
// the seed.
func TestConformance(t *testing.T) {
	t.Parallel()
	n := 220_000
	if raceEnabled {
		n = 50_000
	}
	w := dial(t, startServer(t, nil))
	conformance.Check(
		t,
		func(ops []conformance.Operation) []codec.Reply { return pipelined(w, ops) },
		conformance.Count(t, n, 20_000),
	)
}

// pipelined sends all operations at once and returns their replies in the same order, whatever
// order they came in.
func pipelined(w *wire, ops []conformance.Operation) []codec.Reply {
	w.Helper()
	first := w.id + 1
	var out []byte
	for _, o := range ops {
		w.id++
		out = o.Frame(out, w.id)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := w.conn.Write(out)
		sent <- err
	}()
	replies, err := w.replies(first, len(ops))
	if err != nil {
		w.Fatal(err)
	}
	if err := <-sent; err != nil {
		w.Fatal(err)
	}
	return replies
}

// replies reads the replies to n requests, ids from first on, whose frames may stand between one
// another.
func (w *wire) replies(first uint32, n int) ([]codec.Reply, error) {
	all := make([]codec.Reply, n)
	whole := make([]bool, n)
	for missing := n; missing > 0; {
		frame, used, err := codec.ParseReply(w.in)
		if errors.Is(err, codec.ErrShort) {
			if err := w.read(); err != nil {
				return nil, fmt.Errorf("%d of %d replies missing: %w", missing, n, err)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		i := frame.ID - first
		if i >= uint32(n) || whole[i] {
			return nil, fmt.Errorf(
				"a frame for request %d, which waits for none: %v %.60x",
				frame.ID,
				frame.Status,
				frame.Body,
			)
		}
		w.in = w.in[used:]
		reply := &all[i]
		body := append(reply.Body, frame.Body...)
		if frame.Status != codec.StatusOK {
			body = append([]byte(nil), frame.Body...) // what came before an error is void
		}
		if reply.ID == 0 {
			*reply = frame
		}
		reply.Status, reply.Body = frame.Status, body
		if frame.Flags&codec.FlagMore == 0 {
			whole[i] = true
			missing--
		}
	}
	return all, nil
}
