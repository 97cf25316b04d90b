package loop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"cyberdb-fast/codec"
)

// residentBytes returns the resident memory of the process.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// TestEvictAll writes several times as much as there is memory, in values of very different sizes.
// The server evicts what is not used and refuses nothing, until there are only lists left.
func TestEvictAll(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates too: make check runs it without")
	}
	const used, room, total = 500, int64(96 << 20), int64(300 << 20)
	limit := room + usedByOthers() // not parallel: the limit is the process's
	before := residentBytes(t) - usedByOthers()
	srv := startServer(t, func(cfg *Config) { cfg.MaxMemoryBytes, cfg.EvictAll = limit, true })
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "list", false, "stays")
	w.ok(codec.OpCreateDict, "used", false)
	w.ok(codec.OpCreateDict, "churn", false)
	for i := range used {
		w.ok(codec.OpDictSet, "used", i, "value")
	}
	pick := rand.New(rand.NewPCG(1, 1))
	filling := strings.Repeat("x", 64<<10)
	most := int64(0)
	for written, n := int64(0), 0; written < total; n++ {
		value := filling[:16<<pick.IntN(13)*(8+pick.IntN(8))/16]
		w.ok(codec.OpDictSet, "churn", n, value)
		written += int64(len(value))
		if n%10 == 0 {
			w.call(codec.OpDictGet, "used", n/10%used)
		}
		if n%200 == 0 {
			most = max(most, residentBytes(t)-before)
		}
	}
	if most > limit/10*11 {
		t.Errorf("%d MiB are resident with a limit of %d", most>>20, limit>>20)
	}
	if n := w.ok(codec.OpDictLen, "used")[0].(int64); n < used*9/10 {
		t.Errorf("%d of %d entries that are used were not evicted", n, used)
	}
	if list := w.ok(codec.OpListGet, "list", 0); list[0] != "stays" {
		t.Error(list)
	}
	for n := int64(0); ; n++ {
		if n > 2*limit>>16 {
			t.Fatal("a list grows beyond the limit")
		}
		reply := w.call(codec.OpListAppend, "list", filling)
		if reply.Status == codec.StatusOverloaded {
			break
		}
		if reply.Status != codec.StatusOK {
			t.Fatal(reply.Status)
		}
	}
	if n := w.ok(codec.OpDictLen, "churn")[0].(int64); n > 100 {
		t.Errorf("a list is refused, and there are %d entries to evict", n)
	}
	if list := w.ok(codec.OpListGet, "list", 0); list[0] != "stays" {
		t.Error(fmt.Sprint(list))
	}
}
