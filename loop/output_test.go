package loop

import (
	"errors"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

// TestOutputBudget: many clients leave as much unread as each of them may alone. Their requests
// wait, another client is served, and once they read they get everything.
func TestOutputBudget(t *testing.T) {
	t.Parallel()
	const (
		clients    = 20
		requests   = 12
		valueBytes = 1 << 20
		limit      = 16 << 20
	)
	srv := startLimited(t, nil, func(l *limits) { l.outputBytes = limit })
	other := dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false, "k", make([]byte, valueBytes))
	var deaf []*wire
	for range clients {
		w := dial(t, srv)
		for range requests {
			w.write(w.request(codec.OpDictGet, "d", "k"))
		}
		deaf = append(deaf, w)
	}
	most := int64(0)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		other.ok(codec.OpPing)
		most = max(most, srv.Info().UnsentBytes)
	}
	// Each may exceed the limit by the reply before it was reached, and by one more.
	if whole := int64(clients * requests * valueBytes); most > limit+clients*2*valueBytes || most < limit/2 {
		t.Errorf("%d MiB of %d were unsent, the limit is %d", most>>20, whole>>20, limit>>20)
	}
	for i, w := range deaf {
		for n := range requests {
			if reply, err := w.reply(); err != nil || len(reply.Body) < valueBytes {
				t.Fatalf("client %d, reply %d: %d bytes, %v", i, n, len(reply.Body), err)
			}
		}
	}
	for _, w := range deaf { // a read event of their own updates the count
		w.ok(codec.OpPing)
	}
	if n := srv.Info().UnsentBytes; n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// TestLargeRepliesOverBudget: while the clients together have too much unsent, only writes get
// large replies, and no refused request has changed anything.
func TestLargeRepliesOverBudget(t *testing.T) {
	t.Parallel()
	srv := startLimited(t, nil, func(l *limits) { l.outputBytes = 8 << 20 })
	large, other := make([]byte, engine.LargeReplyBytes+1), make([]byte, engine.LargeReplyBytes+2)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "large", large)
	within(t, testTimeout, func() error {
		looks := 0 // in a row: the kernel takes more of it for a while
		for ; looks < 20 && srv.replies.overLimit(); looks++ {
			time.Sleep(20 * time.Millisecond)
		}
		if looks == 20 {
			return nil
		}
		deaf := dial(t, srv)
		deaf.write(append(deaf.request(codec.OpDictGet, "d", "large"), deaf.request(codec.OpDictGet, "d", "large")...))
		time.Sleep(10 * time.Millisecond)
		return errors.New("clients do not leave enough unread")
	})
	w.fails(codec.StatusOverloaded, codec.OpDictGet, "d", "large")
	w.fails(codec.StatusOverloaded, codec.OpDictSetDefault, "d", "large", 1)
	w.fails(codec.StatusOverloaded, codec.OpDictGet, "d", "absent", large)
	w.fails(codec.StatusOverloaded, codec.OpDictPop, "d", "absent", large)
	if got := w.ok(codec.OpDictLen, "d")[0]; got != int64(1) {
		t.Errorf("the dict has %v entries", got)
	}
	for i, val := range []any{w.ok(codec.OpDictSetDefault, "d", "new", other)[0], w.ok(codec.OpDictPop, "d", "new")[0]} {
		if got, _ := val.([]byte); len(got) != len(other) {
			t.Errorf("reply %d has %d bytes, %d were put there", i, len(got), len(other))
		}
	}
	if got := w.ok(codec.OpDictSetDefault, "d", "small", 1)[0]; got != int64(1) {
		t.Errorf("a small value: got %v", got)
	}
}
