package views_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/views"
	"cyberdb-fast/loop/looptest"
)

// hostile is the name of a table that a terminal must not obey.
const hostile = "evil\x1b[2J\nname"

// busy returns a view of a server in which something happens, and what it has written.
func busy(t *testing.T) (v *views.View, out *bytes.Buffer) {
	t.Helper()
	db := looptest.Client(t)
	ctx := t.Context()
	users, queue := client.DictOf[string, []byte](db, hostile), client.ListOf[int](db, "queue")
	if _, err := users.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.Ensure(ctx, make([]int, 5000)...); err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		if err := users.Set(ctx, fmt.Sprint("key", i%3), make([]byte, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := users.Set(ctx, strings.Repeat("k", 1<<20), nil); err != nil {
		t.Fatal(err)
	}
	out = new(bytes.Buffer)
	return &views.View{DB: db, Out: out, Timeout: 10 * time.Second}, out
}

// TestViews: each view shows what it is for, in text without control characters, and as JSON.
func TestViews(t *testing.T) {
	v, out := busy(t)
	for name, c := range map[string]struct {
		show func(ctx context.Context) error
		says []string
	}{
		"tables":   {v.Tables, []string{"queue", "list", "5,000", `"evil\x1b[2J\nname"`}},
		"big":      {v.Big, []string{"1.0 MiB", "<str of 1.0 MiB>", "'key2'", "queue: the largest of ", "at random places, of 5,000"}},
		"latency":  {v.Latency, []string{"DICT SET", "601", "p99.9"}},
		"hot":      {v.Hot, []string{"one of 64 requests", "'key", "evil", "seen at least  at most"}},
		"locks":    {v.Locks, []string{"no lock is held"}},
		"queues":   {v.Queues, []string{"no queues"}},
		"channels": {v.Channels, []string{"0 subscriptions", "of 128.0 MiB", "0 published"}},
		"slow":     {v.Slow, []string{"slow requests", "large requests", "large replies"}},
		"info":     {func(ctx context.Context) error { return v.Info(ctx, "") }, []string{"connections ", "goroutines "}},
		"stat":     {func(ctx context.Context) error { return v.Stat(ctx, 1) }, []string{"ops/s", "journal lag", "changes"}},
	} {
		out.Reset()
		v.JSON = false
		if err := c.show(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, text := range c.says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s does not say %q:\n%s", name, text, out)
			}
		}
		if strings.ContainsRune(out.String(), 0x1b) {
			t.Errorf("%s has a control character: %q", name, out)
		}
		out.Reset()
		v.JSON = true
		if err := c.show(t.Context()); err != nil || !json.Valid(out.Bytes()) {
			t.Errorf("%s is not JSON: %s, %v", name, out, err)
		}
	}
}

// TestTail: requests on a table are shown while they are executed, until the context ends.
func TestTail(t *testing.T) {
	v, _ := busy(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	v.Out = writer
	var tail sync.WaitGroup
	tail.Go(func() {
		if err := v.Tail(ctx, views.TailFilter{Table: "queue"}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		_ = writer.Close()
	})
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line := make([]byte, 4096)
			n, err := reader.Read(line)
			if err != nil {
				return
			}
			lines <- string(line[:n])
		}
	}()
	if title := <-lines; !strings.HasPrefix(title, "time ") {
		t.Errorf("the title is %q", title)
	}
	queue := client.ListOf[string](v.DB, "queue")
	for seen := false; !seen; {
		if err := queue.Append(ctx, "x"); err != nil {
			t.Fatal(err)
		}
		select {
		case line := <-lines:
			seen = strings.Contains(line, "LIST APPEND") && strings.Contains(line, "queue")
			if !seen {
				t.Fatalf("tail shows %q", line)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	stop()
	for range lines {
	}
	tail.Wait()
}

// TestUnknownSection: what the server does not know is said in one line.
func TestUnknownSection(t *testing.T) {
	v, _ := busy(t)
	if err := v.Info(t.Context(), "nothing"); !errors.Is(err, client.ErrValue) {
		t.Error(err)
	}
}

// TestBigBudget: a table of large entries costs a few MiB, whatever its kind is.
func TestBigBudget(t *testing.T) {
	db := looptest.Client(t)
	ctx := t.Context()
	dict, list := client.DictOf[int, []byte](db, "dict"), client.ListOf[[]byte](db, "list")
	if _, err := dict.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := list.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		large := make([]byte, 1<<20)
		if err := errors.Join(dict.Set(ctx, i, large), list.Append(ctx, large)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	v := &views.View{DB: db, Out: &out, Timeout: 10 * time.Second, JSON: true}
	if err := v.Big(ctx); err != nil {
		t.Fatal(err)
	}
	var s struct {
		Tables []struct {
			LookedAt int `json:"looked_at"`
			Largest  []struct {
				Entry string `json:"entry"`
				Bytes int    `json:"bytes"`
			} `json:"largest"`
		} `json:"tables"`
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || len(s.Tables) != 2 {
		t.Fatalf("%v: %s", err, &out)
	}
	for _, table := range s.Tables {
		if table.LookedAt < 5 || table.LookedAt > 10 || len(table.Largest) != 5 || table.Largest[0].Bytes < 1<<20 ||
			table.Largest[0].Entry == "" {
			t.Errorf("%+v", table)
		}
	}
	out.Reset()
	v.JSON = false
	err := v.Big(ctx)
	if err != nil || !strings.Contains(out.String(), "dict: the largest of the first 8 entries of 30\n") {
		t.Errorf("%v: %s", err, &out)
	}
}

// TestNarrow: no line of a view is longer than the terminal. A view names the columns that it
// leaves out.
func TestNarrow(t *testing.T) {
	v, out := busy(t)
	long := strings.Repeat("long", 60)
	if _, err := client.ListOf[int](v.DB, long).Ensure(t.Context(), 1, 2, 3); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{20, 40, 80, 200} {
		for name, c := range map[string]struct {
			show func(ctx context.Context) error
			says []string
		}{
			"tables":  {v.Tables, []string{"entries", "5,000"}},
			"latency": {v.Latency, []string{"DICT SET", "requests"}},
			"stat":    {func(ctx context.Context) error { return v.Stat(ctx, 1) }, []string{"ops/s", "p99"}},
		} {
			out.Reset()
			v.Width = width
			if err := c.show(t.Context()); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if len(line) > width+1 && !strings.HasPrefix(line, "(no room for: ") {
					t.Errorf("%s at %d columns: %q", name, width, line)
				}
			}
			for _, text := range c.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%s at %d columns does not say %q:\n%s", name, width, text, out)
				}
			}
		}
	}
	out.Reset()
	v.Width = 0
	if err := v.Tables(t.Context()); err != nil || !strings.Contains(out.String(), long[:61]+"...  list  3\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestStatAlone: an idle server does nothing, though stat itself asks it.
func TestStatAlone(t *testing.T) {
	v, out := busy(t)
	v.JSON = true
	if err := v.Stat(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	out.Reset() // its figures may be of the requests before
	if err := v.Stat(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	err := json.Unmarshal(out.Bytes(), &line)
	if err != nil || line["operations_per_second"] != 0.0 || line["p99_us"] != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSlowJSON: all that the view shows is in its JSON.
func TestSlowJSON(t *testing.T) {
	v, out := busy(t)
	v.JSON = true
	if err := v.Slow(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{`"slow":{`, `"large_requests":{`, `"large_replies":{`} {
		if !strings.Contains(out.String(), section) {
			t.Errorf("no %s in %s", section, out)
		}
	}
}

// TestTailOfNoTable: a name that is wrong is said, before anything else.
func TestTailOfNoTable(t *testing.T) {
	v, out := busy(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	_ = v.Tail(ctx, views.TailFilter{Table: "nowhere"}) // it ends with the time
	for _, text := range []string{"(there is no table nowhere now)\n", "queue", "request"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %q in %q", text, out)
		}
	}
}
