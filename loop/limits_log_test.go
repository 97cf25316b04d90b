package loop

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimitedLog: a message that comes a thousand times a second is logged once a second, with the
// number of those that were suppressed.
func TestLimitedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		log := limitedLog{
			log:   slog.New(slog.NewTextHandler(&out, nil)),
			every: time.Second,
			last:  make(map[string]*limitedMessage),
		}
		for range 3000 {
			log.warn("connection refused", slog.String("peer", "192.0.2.7:1"))
			time.Sleep(time.Millisecond)
		}
		log.warn("cannot accept connections")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "192.0.2.7") || !strings.Contains(lines[3], "cannot accept") {
			t.Fatalf("%d lines:\n%s", len(lines), out.String())
		}
		for i, line := range lines[:3] {
			if logged := strings.Contains(line, "suppressed=999"); logged != (i > 0) {
				t.Errorf("line %d: %s", i, line)
			}
		}
	})
}
