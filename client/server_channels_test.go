package client_test

import (
	"context"
	"testing"
	"time"

	"cyberdb-fast/client"
)

// TestSlowSubscriber does not receive for a while: it is told how many messages it has missed.
func TestSlowSubscriber(t *testing.T) {
	c, ctx := startServer(t).Client(t, nil), t.Context()
	sub, err := client.SubscribeTo[int](ctx, c, client.Channels{Names: []string{"c"}})
	if err != nil {
		t.Fatal(err)
	}
	const messages = 5000
	for i := range messages {
		if n, err := c.Publish(ctx, "c", i); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := c.Publish(ctx, "c", -1); err != nil {
		t.Fatal(err)
	}
	received, missed, last := 0, 0, -1
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for received+missed <= messages {
		m, err := sub.Receive(soon)
		if err != nil {
			break // the last ones were missed
		}
		if m.Value >= 0 && m.Value <= last {
			t.Fatalf("%d after %d", m.Value, last)
		}
		received++
		missed += m.Missed
		last = m.Value
	}
	total, gaps := sub.Missed()
	if received == 0 || total == 0 || received+total != messages+1 || gaps != 0 {
		t.Errorf("received %d, missed %d (%d), %d gaps", received, missed, total, gaps)
	}
}
