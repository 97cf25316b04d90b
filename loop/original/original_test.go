package original

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
)

const (
	password         = "123456"
	tutorialPassword = "hWjYvVdqRC"
)

// original returns a program of the environment that has the original package.
func original(t testing.TB, program string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(cache, "cyberdb-fast", "peers", "bin", program)
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("the original CyberDB is the other side here, and it is missing: .ci/original installs it (%v)", err)
	}
	return name
}

// run runs a script of testdata to its end and returns what it printed.
func run(t testing.TB, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(
		ctx,
		original(t, "python"),
		append([]string{"-B", filepath.Join("testdata", script)}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out, &stderr)
	}
	return string(out)
}

// serve starts this server and returns its port.
func serve(t testing.TB, password, mode string) (*loop.Server, string) {
	t.Helper()
	srv, err := loop.Start(loop.Config{
		Addr:     "127.0.0.1:0",
		Password: password,
		Encrypt:  mode == "encrypted",
		Legacy:   true,
		KDF:      secure.KDF{LogN: secure.MinLogN},
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return srv, strconv.Itoa(srv.Addr().(*net.TCPAddr).Port)
}

// freePort returns a port on which no program listens.
func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// serveOriginal starts the original server and returns its port.
func serveOriginal(t testing.TB, mode string) string {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(original(t, "python"), "-B", "testdata/serve.py", port, mode)
	start(t, cmd)
	listens(t, port)
	return port
}

// start starts a program that ends with the test.
func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Signal(os.Interrupt)
		ended := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		ended.Stop()
		if t.Failed() {
			t.Logf("%s printed\n%s", cmd.Args[0], &out)
		}
	})
}

// listens waits until a program listens on a port.
func listens(t testing.TB, port string) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-again.C {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return
		}
	}
	t.Fatalf("no program listens on port %s", port)
}

// TestEveryMethod: every method of CyberDict and CyberList, and those of the proxy, has the same
// result, or the same error, against this server and against the original one.
func TestEveryMethod(t *testing.T) {
	for _, mode := range []string{"plain", "encrypted"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, port := serve(t, password, mode)
			sameLines(
				t,
				run(t, "methods.py", port, password, mode),
				run(t, "methods.py", serveOriginal(t, mode), password, mode),
				190,
			)
		})
	}
}

// TestEveryRequest: requests by hand, with odd keys, indexes, slices, sort keys and announcements,
// have the same replies.
func TestEveryRequest(t *testing.T) {
	t.Parallel()
	_, port := serve(t, password, "plain")
	sameLines(t, run(t, "requests.py", port), run(t, "requests.py", serveOriginal(t, "plain")), 300)
}

// sameLines compares what a script has printed against two servers, at least so many lines.
func sameLines(t *testing.T, ours, original string, least int) {
	t.Helper()
	got, want := strings.Split(ours, "\n"), strings.Split(original, "\n")
	if len(want) < least || len(got) != len(want) {
		t.Fatalf("%d lines, and %d of the original", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s\nthe original: %s", got[i], want[i])
		}
	}
}

// TestOwnClasses: objects of a program's own classes are refused by name, or kept unopened and
// given back, as keys too.
func TestOwnClasses(t *testing.T) {
	t.Parallel()
	for _, opaque := range []bool{false, true} {
		srv, err := loop.Start(loop.Config{
			Addr:         "127.0.0.1:0",
			Password:     password,
			Legacy:       true,
			LegacyOpaque: opaque,
			KDF:          secure.KDF{LogN: secure.MinLogN},
			Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := "refused TypeError things.Point is not among the types\n"
		if opaque {
			want = "Point(1, 2) Colour.RED [Point(3, 4)] key\n"
		}
		if got := run(t, "own.py", strconv.Itoa(srv.Addr().(*net.TCPAddr).Port)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := srv.Stop(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

// TestLargeValues: values of 100 kB, 1 MB and 3 MB arrive whole, both ways, on fresh connections,
// each time.
func TestLargeValues(t *testing.T) {
	for _, mode := range []string{"plain", "encrypted"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, port := serve(t, password, mode)
			times := "5"
			if testing.Short() {
				times = "1"
			}
			if got := run(t, "large.py", port, mode, times); got != "all there\n" {
				t.Error(got)
			}
		})
	}
}

// TestTutorial: the tutorial's application, run as the tutorial runs it, with four processes of
// gevent workers.
func TestTutorial(t *testing.T) {
	t.Parallel()
	srv, port := serve(t, tutorialPassword, "encrypted")
	options := client.Options{Password: tutorialPassword, DialTimeout: time.Minute}
	db, err := client.Open(t.Context(), "cyberdbs://"+srv.Addr().String(), &options)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	centre := client.DictOf[string, string](db, "centre")
	if err := centre.CreateFrom(t.Context(), maps.All(map[string]string{"content": "Hello CyberDB!"})); err != nil {
		t.Fatal(err)
	}
	visits := client.ListOf[int](db, "visits")
	if _, err := visits.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	web := freePort(t)
	cmd := exec.Command(original(t, "gunicorn"), "-w", "4", "-k", "gevent", "-b", "127.0.0.1:"+web, "app:app")
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), "CYBERDB_PORT="+port, "PYTHONDONTWRITEBYTECODE=1")
	start(t, cmd)
	listens(t, web)

	const requests = 200
	var all sync.WaitGroup
	for n := range requests {
		all.Go(func() {
			path, want := "/", `"content":"Hello CyberDB!"`
			if n%2 == 1 {
				path, want = fmt.Sprintf("/visit/%d", n), `"code":1`
			}
			if got, err := get("http://127.0.0.1:" + web + path); err != nil || !strings.Contains(got, want) {
				t.Errorf("%s: %s, %v", path, got, err)
			}
		})
	}
	all.Wait()
	seen, err := visits.Values(t.Context())
	if err != nil || len(seen) != requests/2 {
		t.Errorf("%d visits, %v", len(seen), err)
	}
}

func get(url string) (string, error) {
	answer, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// TestTogether: a native client and one of CyberDB change the same tables at the same time, and see
// each other's values.
func TestTogether(t *testing.T) {
	t.Parallel()
	const times = 300
	srv, port := serve(t, password, "plain")
	options := client.Options{Password: password, DialTimeout: time.Minute}
	db, err := client.Open(t.Context(), "cyberdb://"+srv.Addr().String(), &options)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	shared, meeting := client.ListOf[any](db, "shared"), client.DictOf[string, map[string]any](db, "meeting")
	if _, err := shared.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := meeting.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var python string
	var both sync.WaitGroup
	both.Go(func() { python = run(t, "together.py", port, strconv.Itoa(times)) })
	both.Go(func() {
		for n := range times {
			if err := shared.Append(t.Context(), []any{"go", n}); err != nil {
				t.Error(err)
				return
			}
			if err := meeting.Set(t.Context(), "go", map[string]any{"n": n}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	both.Wait()
	if want := fmt.Sprintf("%d {'n': %d}\n", times, times-1); python != want {
		t.Errorf("the CyberDB client saw %q, not %q", python, want)
	}
	all, err := shared.Len(t.Context())
	if err != nil || all != 2*times {
		t.Errorf("%d elements, %v", all, err)
	}
	theirs, err := meeting.Get(t.Context(), "python")
	if err != nil || theirs["n"] != int64(times-1) {
		t.Errorf("the native client sees %v, %v", theirs, err)
	}
}
