package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

// TestSweepLags: a server that removes entries late is found to be so late.
func TestSweepLags(t *testing.T) {
	for _, late := range []time.Duration{0, 300 * time.Millisecond} {
		var mu sync.Mutex
		var removed []time.Time // when the server removes each entry
		s := &fakeServer{tamper: func(req codec.Request, reply []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case req.Flags&codec.FlagTimeToLive != 0:
				removed = append(removed, time.Now().Add(time.Duration(req.TTL)*time.Millisecond+late))
			case req.Op == codec.OpDictLen:
				n := 0
				for _, at := range removed {
					if time.Now().Before(at) {
						n++
					}
				}
				reply = codec.AppendReply(nil, &codec.Reply{ID: req.ID, Body: msgp.AppendInt(nil, n)})
			}
			return reply
		}}
		o := DefaultSweepOptions()
		o.Password, o.Targets = fakePassword, []Target{startFake(t, s).Target}
		o.Entries, o.Over, o.Sample = 200, 200*time.Millisecond, time.Millisecond
		report, err := SweepLags(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		got, want := report.Results[0], ms(late)
		if got.Samples == 0 || got.Max < want-100 || got.Max > want+200 || got.P50 > got.P99 || got.P99 > got.Max {
			t.Errorf("late by %v: %+v", late, got)
		}
	}
}
