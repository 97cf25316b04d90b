package loop

import (
	"fmt"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// TestManyDueAtStart: a server starts hours after the leases of many items have ended. It answers
// at once, while they return, and then they are in the order in which they were taken.
func TestManyDueAtStart(t *testing.T) {
	t.Parallel()
	n := 5000
	if conformance.Long() {
		n = 1_000_000
	}
	const each = 1000
	clock, disk := &wallClock{}, newDisk()
	start := func() *Server {
		return startLimited(t, func(cfg *Config) { cfg.Data = dataOn(disk, nil) }, clock.limit)
	}
	srv := start()
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	for i := 0; i < n; i += each {
		var items []any
		var takes []byte
		for k := range each {
			items = append(items, i+k)
		}
		w.ok(codec.OpListExtend, append([]any{"l"}, items...)...)
		first := w.id + 1
		for k := range each {
			takes = append(takes, w.request(codec.OpListTake, "l", claimOf(fmt.Sprint(i+k)), leaseTime, 0)...)
		}
		w.write(takes)
		if _, err := w.replies(first, each); err != nil {
			t.Fatal(err)
		}
	}
	stopServer(t, srv)
	clock.jump(5 * time.Hour)
	began := time.Now()
	w = dial(t, start())
	loaded, longest := time.Since(began), time.Duration(0)
	for length := 0; length < n; {
		asked := time.Now()
		length = int(w.ok(codec.OpListLen, "l")[0].(int64))
		longest = max(longest, time.Since(asked))
		time.Sleep(time.Millisecond) // not to be the only work
	}
	returned := time.Since(began) - loaded
	t.Logf("%d items: loaded in %v, returned in %v, longest request meanwhile %v", n, loaded, returned, longest)
	if longest > max(time.Second, returned/10) { // a server that waits for all takes as long as they
		t.Errorf("a request took %v while items returned", longest)
	}
	for _, at := range []int{0, n / 2, n - 1} {
		if got := w.ok(codec.OpListGet, "l", at)[0]; got != int64(at) {
			t.Errorf("element %d is %v", at, got)
		}
	}
}
