package loop

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// controlled is a server with files in its own directory.
func controlled(t *testing.T, dir string) *Server {
	t.Helper()
	return startServer(t, func(cfg *Config) {
		cfg.Data = Data{
			File:    filepath.Join(dir, "data.cdb"),
			Fsync:   persist.Always,
			Control: filepath.Join(dir, "control.sock"),
		}
	})
}

// ask sends a line to the control socket and returns the reply.
func ask(t *testing.T, srv *Server, line string) string {
	t.Helper()
	conn, err := net.Dial("unix", srv.cfg.Data.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatal(err)
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// TestControlLoad: a server imports a file that another one saved, in order. Later changes survive
// a crash, with the previous file too.
func TestControlLoad(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	first := controlled(t, from)
	w := dial(t, first)
	someChanges(w)
	if reply := ask(t, first, `{"do":"save","path":"copy.cdb"}`); !strings.Contains(reply, `"ok":true`) {
		t.Fatal(reply)
	}
	want := contentOf(first)
	w.ok(codec.OpDictSet, "d", "after", 1)

	second := controlled(t, to)
	v := dial(t, second)
	v.ok(codec.OpCreateDict, "before", false, "a", 1)
	load := fmt.Sprintf(`{"do":"load","path":%q}`, filepath.Join(from, "copy.cdb"))
	if reply := ask(t, second, load); !strings.Contains(reply, "empty server only") {
		t.Fatal(reply)
	}
	v.ok(codec.OpDrop, "before")
	if reply := ask(t, second, load); !strings.Contains(reply, `"ok":true`) {
		t.Fatal(reply)
	}
	if got := contentOf(second); got != want {
		t.Fatalf("loaded\n%s\ninstead of\n%s", got, want)
	}
	someMore := func() { v.ok(codec.OpDictIncrement, "d", "n", 3) }
	someMore()
	want = keptText(second)

	// As after a crash, from a copy of the files, and from the previous file alone.
	for _, file := range []string{"data.cdb", "data.cdb.prev"} {
		again := crashedCopy(t, to, file)
		if got := keptText(again); got != want {
			t.Fatalf("from %s\n%s\ninstead of\n%s", file, got, want)
		}
		stopServer(t, again)
	}
}

// crashedCopy starts a server on a copy of the files in a directory, with file as the data file,
// and no other.
func crashedCopy(t *testing.T, dir, file string) *Server {
	t.Helper()
	to := t.TempDir()
	copyFile(t, filepath.Join(dir, file), filepath.Join(to, "data.cdb"))
	segments, err := filepath.Glob(filepath.Join(dir, "data.cdb.journal", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for _, name := range segments {
		copyFile(t, name, filepath.Join(to, "data.cdb.journal", filepath.Base(name)))
	}
	return controlled(t, to)
}

// TestControlLoadRaces: while clients create and drop tables a load succeeds or changes nothing,
// and the disk agrees with the memory.
func TestControlLoadRaces(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(conformance.Seed(t), 0))
	from, to := t.TempDir(), t.TempDir()
	first := controlled(t, from)
	w := dial(t, first)
	for i := range 20 {
		w.ok(codec.OpCreateDict, fmt.Sprintf("t%d", i), false, "key", rng.Uint32())
	}
	if reply := ask(t, first, `{"do":"save","path":"copy.cdb"}`); !strings.Contains(reply, `"ok":true`) {
		t.Fatal(reply)
	}
	second := controlled(t, to)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		v := dial(t, second)
		clients.Go(func() {
			for name := 0; ; name++ {
				select {
				case <-stop:
					return
				default:
				}
				v.call(codec.OpCreateList, "mine", false, name)
				v.call(codec.OpDrop, "mine")
			}
		})
	}
	load := fmt.Sprintf(`{"do":"load","path":%q}`, filepath.Join(from, "copy.cdb"))
	done := false
	for range 200 {
		if done = strings.Contains(ask(t, second, load), `"ok":true`); done {
			break
		}
	}
	close(stop)
	clients.Wait()
	loaded := 0
	second.store.Tables(func(name string, _ shardmap.Kind, _ int) bool {
		if strings.HasPrefix(name, "t") {
			loaded++
		}
		return true
	})
	if done && loaded != 20 || !done && loaded != 0 {
		t.Fatalf("done: %v, %d tables are there", done, loaded)
	}
	want := keptText(second)
	if !done {
		t.Log("each load met a table of a client")
		return
	}
	again := crashedCopy(t, to, "data.cdb")
	if got := keptText(again); got != want {
		t.Fatalf("after a crash\n%s\ninstead of\n%s", got, want)
	}
}

// TestControlRefuses: lines without end, silence at the end, and more connections than there are
// slots harm no other client.
func TestControlRefuses(t *testing.T) {
	t.Parallel()
	srv := controlled(t, t.TempDir())
	conn, err := net.Dial("unix", srv.cfg.Data.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = conn.Write([]byte(strings.Repeat("x", controlLineBytes+1))) }()
	if line, err := bufio.NewReader(conn).
		ReadString('\n'); err != nil ||
		!strings.Contains(line, "a request has at most 65536 bytes") {
		t.Fatal(line, err)
	}
	for range controlConns + 2 { // they say nothing
		idle, err := net.Dial("unix", srv.cfg.Data.Control)
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestControlStuckClients: clients of the control socket that send nothing, or do not read, delay
// another client and the end of the server only briefly.
func TestControlStuckClients(t *testing.T) {
	t.Parallel()
	srv := controlled(t, t.TempDir())
	dial(t, srv).ok(codec.OpCreateDict, "d", false, "k", "v")
	var writers sync.WaitGroup
	for i := range 3 * controlConns {
		conn, err := net.Dial("unix", srv.cfg.Data.Control)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			continue
		}
		writers.Go(func() { // it asks until nothing more fits, and does not read
			for err == nil {
				_, err = conn.Write([]byte(strings.Repeat(`{"do":"save"}`+"\n", 100)))
			}
		})
	}
	start := time.Now()
	if reply := ask(t, srv, `{"do":"save","path":"copy.cdb"}`); !strings.Contains(reply, `"ok":true`) {
		t.Fatal(reply)
	}
	t.Logf("answered after %v", time.Since(start))
	start = time.Now()
	stopServer(t, srv)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
	writers.Wait()
}
