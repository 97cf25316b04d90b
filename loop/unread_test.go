package loop

import (
	"testing"
	"time"

	"cyberdb-fast/codec"
)

// TestUnreadTogether has many clients leave unread what each of them may: together they may not. Their requests wait, another client is served, and
// once they read everything comes.
func TestUnreadTogether(t *testing.T) {
	t.Parallel()
	const (
		clients    = 20
		requests   = 12
		valueBytes = 1 << 20
		limit      = 16 << 20
	)
	srv := startServer(t, func(cfg *Config) { cfg.unreadBytes = limit })
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
		most = max(most, srv.Info().UnreadBytes)
	}
	// Each may be over by the reply that it was given when there was room still, and by one.
	if whole := int64(clients * requests * valueBytes); most > limit+clients*2*valueBytes || most < limit/2 {
		t.Errorf("%d MiB of %d were unread, the limit is %d", most>>20, whole>>20, limit>>20)
	}
	for i, w := range deaf {
		for n := range requests {
			if reply, err := w.reply(); err != nil || len(reply.Body) < valueBytes {
				t.Fatalf("client %d, reply %d: %d bytes, %v", i, n, len(reply.Body), err)
			}
		}
	}
	for _, w := range deaf { // a turn of their own brings the count up to date
		w.ok(codec.OpPing)
	}
	if n := srv.Info().UnreadBytes; n != 0 {
		t.Errorf("%d bytes still count as unread", n)
	}
}
