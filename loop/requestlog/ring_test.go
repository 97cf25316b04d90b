package requestlog_test

import (
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/requestlog"
)

func entry(table string, i int, took time.Duration) *requestlog.Entry {
	return &requestlog.Entry{
		Op: codec.OpDictGet, Status: codec.StatusKeyError, Table: []byte(table), Key: value.AppendInt(nil, int64(i)),
		Client: "127.0.0.1:1", Queue: time.Millisecond, Execution: took, RequestBytes: 20, ReplyBytes: 30,
	}
}

// TestRing: a ring shows the newest entries, newest first, with ids that count all. What an entry
// was made of may change afterwards.
func TestRing(t *testing.T) {
	t.Parallel()
	r := requestlog.NewRing(3)
	if all, total := r.Latest(); len(all) != 0 || total != 0 {
		t.Errorf("%v, %d entries of an empty ring", all, total)
	}
	for i := range 5 {
		e := entry("users", i, 2500*time.Microsecond)
		r.Add(e)
		e.Table[0], e.Key[0] = 'x', 'x'
	}
	all, total := r.Latest()
	if total != 5 || r.Total() != 5 || len(all) != 3 {
		t.Fatalf("%d entries of %d", len(all), total)
	}
	for i, e := range all {
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(e.Time) {
			t.Errorf("time %s", e.Time)
		}
		e.Time = ""
		if want := (requestlog.Shown{
			ID: uint64(5 - i), Command: "DICT GET", Table: "users", Key: fmt.Sprint(4 - i), Client: "127.0.0.1:1",
			Status: "KeyError", Queue: 1000, Execution: 2500, RequestBytes: 20, ReplyBytes: 30,
		}); e != want {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
}

// TestTail: a tail has what was added after it was asked for and passes its filter, page by page,
// and says how much it has missed. Other tails are not affected.
func TestTail(t *testing.T) {
	t.Parallel()
	tail := requestlog.NewTail()
	keys := func(after int64, f requestlog.Filter, limit int) (keys []string, page requestlog.Page) {
		t.Helper()
		page, ok := tail.Read(after, f, limit)
		if !ok {
			t.Fatal("no room for a tail")
		}
		for _, e := range page.Entries {
			keys = append(keys, e.Table+e.Key)
		}
		return keys, page
	}
	add := func(table string, from, to int, took time.Duration) {
		for i := from; i < to; i++ {
			tail.Add(entry(table, i, took))
		}
	}
	if tail.On() || tail.Add(entry("a", 0, 0)) {
		t.Error("it is on, and was not asked for")
	}
	slowOfA := requestlog.Filter{Table: "a", Least: time.Millisecond}
	got, page := keys(-1, slowOfA, 10)
	if got != nil || page.Next != 0 || !tail.On() {
		t.Errorf("%v, %+v, on is %v", got, page, tail.On())
	}
	add("a", 0, 2, time.Millisecond)
	add("a", 2, 4, time.Microsecond)
	add("b", 4, 6, time.Millisecond)
	if got, page = keys(0, slowOfA, 1); !slices.Equal(got, []string{"a0"}) || page.Next != 1 {
		t.Errorf("%v, %+v", got, page)
	}
	all := requestlog.Filter{}
	if got, page = keys(0, all, 10); !slices.Equal(got, []string{"a0", "a1"}) || page.Next != 2 {
		t.Errorf("before all were asked for: %v, %+v", got, page)
	}
	add("b", 6, 8, 0)
	if got, page = keys(2, all, 10); !slices.Equal(got, []string{"b6", "b7"}) || page.Missed != 0 {
		t.Errorf("%v, %+v", got, page)
	}
	if got, _ = keys(1, slowOfA, 10); !slices.Equal(got, []string{"a1"}) {
		t.Errorf("%v", got)
	}
	add("b", 0, 5000, 0)
	if got, page = keys(4, all, 1000); len(got) != 1000 || got[0] != "b904" || page.Missed != 904 || page.Next != 1908 {
		t.Errorf("%d from %v, next %d, missed %d", len(got), got[0], page.Next, page.Missed)
	}
	if got, page = keys(1<<40, all, 10); got != nil || page.Next != 5004 || page.Missed != 0 {
		t.Errorf("an id of another server: %v, %+v", got, page)
	}
	for i := range requestlog.MaxFilters - 2 {
		keys(-1, requestlog.Filter{Table: fmt.Sprint(i)}, 10)
	}
	if _, ok := tail.Read(-1, requestlog.Filter{Table: "one more"}, 10); ok {
		t.Error("any number of filters")
	}
}

// TestTailEnds: nothing is kept once no client has asked for TailTime.
func TestTailEnds(t *testing.T) {
	t.Parallel()
	tail := requestlog.NewTail()
	asked := time.Now()
	tail.Read(-1, requestlog.Filter{}, 1)
	for tail.Add(entry("a", 0, 0)) {
		if time.Since(asked) > 10*requestlog.TailTime {
			t.Fatal("it does not end")
		}
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(asked); tail.On() || took < requestlog.TailTime {
		t.Errorf("on is %v after %v", tail.On(), took)
	}
}

// TestTailTogether: one tail is added to and read at once, and each entry is seen once or missed.
func TestTailTogether(t *testing.T) {
	t.Parallel()
	const n = 20_000
	tail := requestlog.NewTail()
	tail.Read(-1, requestlog.Filter{}, 1)
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for i := range n {
				tail.Add(entry("a", i, 0))
			}
		})
	}
	seen, after := uint64(0), int64(0)
	for seen < 2*n {
		page, _ := tail.Read(after, requestlog.Filter{}, requestlog.MaxPage)
		seen += page.Missed + uint64(len(page.Entries))
		after = int64(page.Next)
	}
	writers.Wait()
	if seen != 2*n {
		t.Errorf("%d entries of %d", seen, 2*n)
	}
}
