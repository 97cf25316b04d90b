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
	for i := range 300 {
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
		"tables":  {v.Tables, []string{"queue", "list", "5,000", `"evil\x1b[2J\nname"`}},
		"big":     {v.Big, []string{"1.0 MiB", "<str of 1.0 MiB>", "'key2'", "queue: the largest of 2,048"}},
		"latency": {v.Latency, []string{"DICT SET", "301", "p99.9"}},
		"hot":     {v.Hot, []string{"one of 64 requests", "'key", "evil"}},
		"slow":    {v.Slow, []string{"slow requests", "large requests", "large replies"}},
		"info":    {func(ctx context.Context) error { return v.Info(ctx, "") }, []string{"connections ", "goroutines "}},
		"stat":    {func(ctx context.Context) error { return v.Stat(ctx, 1) }, []string{"ops/s", "journal lag", "changes"}},
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
