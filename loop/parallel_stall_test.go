package loop

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// longestWait bounds how long a connection waits while others do long work. It is far above the
// usual time, for slow and busy machines and the race detector; the log has the figures.
const longestWait = 3 * time.Second

// watcher is a connection that sends requests again and again and records the longest time of a
// reply.
type watcher struct {
	w    *wire
	op   codec.Opcode
	args []any
}

// watch runs the watchers during work and returns the longest wait of each.
func watch(t *testing.T, watchers []watcher, work func()) []time.Duration {
	t.Helper()
	stop := make(chan struct{})
	longest := make([]time.Duration, len(watchers))
	begun := make(chan struct{}, len(watchers))
	var all sync.WaitGroup
	for i, o := range watchers {
		all.Go(func() {
			for first := true; ; first = false {
				start := time.Now()
				if _, err := o.w.do(
					o.op,
					o.args,
					codec.StatusKeyError,
					codec.StatusIndexError,
					codec.StatusNoSuchTable,
				); err != nil {
					t.Error(err)
					begun <- struct{}{}
					return
				}
				longest[i] = max(longest[i], time.Since(start))
				if first {
					begun <- struct{}{}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range watchers {
		<-begun
	}
	work()
	close(stop)
	all.Wait()
	return longest
}

// TestParallelStalls: reading, clearing, dropping and sorting tables of a million entries delays no
// other client; a sort delays only requests for the same list.
func TestParallelStalls(t *testing.T) {
	size := 1_000_000
	if testing.Short() || raceEnabled && !conformance.Long() {
		size = 200_000
	}
	srv := startServerProcess(t, 100, 0)
	w, other, same := srv.dial(), srv.dial(), srv.dial()
	other.ok(codec.OpCreateDict, "other", false, "k", 1)
	elsewhere := watcher{other, codec.OpDictGet, []any{"other", "k"}}
	onDict, onList := watcher{same, codec.OpDictGet, []any{"dict", 5}}, watcher{same, codec.OpListGet, []any{"list", 5}}

	measure := func(name string, other watcher, bound bool, work func()) {
		t.Helper()
		start := time.Now()
		longest := watch(t, []watcher{elsewhere, other}, work)
		t.Logf(
			"%s of %d: %v; longest wait elsewhere %v, on the same table %v",
			name,
			size,
			time.Since(start).
				Round(time.Millisecond),
			longest[0].Round(time.Microsecond),
			longest[1].Round(time.Microsecond),
		)
		if longest[0] > longestWait || bound && longest[1] > longestWait {
			t.Errorf("%s: others waited %v", name, longest)
		}
	}
	request := func(n int, op codec.Opcode, args ...any) func() {
		return func() {
			t.Helper()
			if reply := w.call(op, args...); reply.Status != codec.StatusOK {
				t.Fatalf("%v: %v", op, reply.Status)
			} else if n > 0 && len(reply.Body) < n {
				t.Errorf("%v: %d bytes for %d elements", op, len(reply.Body), n)
			}
		}
	}
	fill := func(op codec.Opcode, name string, each func(dst []byte, i int) []byte) func() {
		return func() {
			t.Helper()
			const batch = 50_000
			for at := 0; at < size; at += batch {
				var packed rawValue
				for i := range batch {
					packed = each(packed, at+i)
				}
				w.ok(op, name, packed)
			}
		}
	}
	entry := func(dst []byte, i int) []byte {
		return msgp.AppendString(msgp.AppendInt(dst, i), fmt.Sprint("value ", i))
	}
	element := func(dst []byte, i int) []byte { return msgp.AppendInt(dst, i*7919%size) }

	w.ok(codec.OpCreateDict, "dict", false)
	measure("filling a dict", onDict, false, fill(codec.OpDictUpdate, "dict", entry))
	measure("items of a dict", onDict, true, request(2*size, codec.OpDictItems, "dict"))
	measure("clear of a dict", onDict, true, request(0, codec.OpDictClear, "dict"))
	fill(codec.OpDictUpdate, "dict", entry)()
	measure("drop of a dict", onDict, true, request(0, codec.OpDrop, "dict"))

	w.ok(codec.OpCreateList, "list", false)
	measure("filling a list", onList, false, fill(codec.OpListExtend, "list", element))
	measure("sort of a list", onList, false, request(0, codec.OpListSort, "list", nil, false))
	measure("sort by key of a list", onList, false, request(0, codec.OpListSort, "list", []any{"neg", nil}, false))
	measure("whole of a list", onList, true, request(size, codec.OpListAll, "list"))
	measure("count in a list", onList, true, request(1, codec.OpListCount, "list", 5))
	measure("clear of a list", onList, true, request(0, codec.OpListClear, "list"))
}
