package loop

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// usedByOthers returns what the process uses after other tests, in bytes.
func usedByOthers() int64 {
	runtime.GC()
	var m memoryLimit
	m.init(math.MaxInt64, false, shardmap.NewStore())
	m.end()
	return m.used.Load()
}

// TestMemoryLimit fills a server until it refuses data: it stays below its limit, continues reading
// and deleting, and accepts data again once there is room.
func TestMemoryLimit(t *testing.T) {
	const room, valueBytes = 192 << 20, 256 << 10
	limit := room + usedByOthers() // not parallel: the limit is the process's
	srv := startServer(t, func(cfg *Config) { cfg.MaxMemoryBytes = limit })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	value := strings.Repeat("x", valueBytes)
	const enough = 100 // refusals in a row: not only what the garbage collector has not got to
	stored, inARow := 0, 0
	var last codec.Reply
	for n := 0; inARow < enough && stored < 2*int(limit)/valueBytes; n++ {
		if last = w.call(codec.OpDictSet, "d", n, value); last.Status == codec.StatusOK {
			stored, inARow = stored+1, 0
			continue
		}
		inARow++
	}
	refused, err := codec.ParseErrorBody(last.Status, last.Body)
	if err != nil || last.Status != codec.StatusOverloaded {
		t.Fatalf("after %d MiB: %v, %v", stored*valueBytes>>20, last.Status, err)
	}
	if !strings.Contains(refused.Message, fmt.Sprintf("%d MiB", limit>>20)) ||
		!strings.Contains(refused.Message, "--max-memory") {
		t.Errorf("the error says %q", refused.Message)
	}
	if bytes := stored * valueBytes; bytes < room/8 || bytes > int(limit) {
		t.Errorf("%d MiB were stored of %d", bytes>>20, limit>>20)
	}
	if got := w.ok(codec.OpDictLen, "d"); got[0] != int64(stored) {
		t.Errorf("%v entries, want %d", got, stored)
	}
	if got := w.ok(codec.OpDictGet, "d", 0); got[0] != value {
		t.Error("the first value is not the one that was stored")
	}
	if got := w.ok(codec.OpDictGetOrCompute, "d", 0, ownerOf("one"), leaseTime, 0, nil); got[1] != value {
		t.Error("GET OR COMPUTE has not the first value")
	}
	w.ok(codec.OpDictDelete, "d", 0)
	w.ok(codec.OpDictClear, "d")
	within(t, testTimeout, func() error {
		if reply := w.call(codec.OpDictSet, "d", "again", value); reply.Status != codec.StatusOK {
			return errors.New(reply.Status.String())
		}
		return nil
	})
	if info := srv.Info(); info.MaxMemoryBytes != limit {
		t.Errorf("INFO says %d", info.MaxMemoryBytes)
	}
}
