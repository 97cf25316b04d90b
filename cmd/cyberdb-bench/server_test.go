package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/bench"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
)

const testPassword = "correct horse"

// TestMain makes the test binary an echo server when a run has started it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == echoCommand {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// startServer starts the real server on a free port and a Unix socket.
func startServer(t *testing.T, encrypt bool) (address, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "socket")
	server, err := loop.Start(loop.Config{
		Addr: "127.0.0.1:0", Unix: socket, MaxConns: 60, Password: testPassword, Encrypt: encrypt,
		KDF: secure.KDF{LogN: secure.MinLogN}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("CYBERDB_PASSWORD", testPassword)
	return server.Addr().String(), socket
}

func TestAgainstTheServer(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		t.Run(fmt.Sprint("encrypt ", encrypt), func(t *testing.T) { measureAll(t, encrypt) })
	}
}

func measureAll(t *testing.T, encrypt bool) {
	address, socket := startServer(t, encrypt)
	short := "-d 50ms --warmup 10ms --keys 2000 --json "
	if encrypt {
		short += "--encrypt "
	}
	for _, args := range []string{
		"--op get -c 50 -P 16",
		"--op get -c 1 -P 1",
		"--op set -c 10 -P 8 --value-size 5000",
		"--op append -c 10 -P 16",
		"--op index -c 10 -P 16",
		"--op mixed -c 10 -P 16 --key-size 24 --threads 2",
		"--op incr -c 4 -P 4",
		"--rate 5000 -c 4 -P 4",
		"--callers 10",
		"--callers 10 --op lock",
		"--callers 10 --op take --keys 100000",
		"--callers 10 --op wake",
		"--op get -c 4 -P 2 --value-size 600000 --keys 10 -d 500ms",
	} {
		for _, where := range []string{" --target cyberdb://" + address, " --unix " + socket} {
			var stdout, stderr bytes.Buffer
			line := short + args + where
			if code := run(context.Background(), strings.Fields(line), &stdout, &stderr); code != 0 {
				t.Errorf("%s: exit code %d: %s%s", line, code, stderr.String(), stdout.String())
				continue
			}
			var report struct{ Ops, Errors, Misses int }
			if err := json.Unmarshal(
				stdout.Bytes(),
				&report,
			); err != nil || report.Ops == 0 ||
				report.Errors+report.Misses != 0 {
				t.Errorf("%s: %v: %s", line, err, stdout.String())
			}
		}
	}
}

// TestHitRatios measures a dict with a limit. A loop that is a fifth longer than the cache tells it
// from one without, and from one that evicts the oldest.
func TestHitRatios(t *testing.T) {
	address, _ := startServer(t, false)
	var stdout, stderr bytes.Buffer
	line := "hitratio --entries 500 --warmup 20000 --requests 20000 --workload zipf-1.0,loop --json --target cyberdb://"
	if code := run(context.Background(), strings.Fields(line+address), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var report bench.HitReport
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Full != 500 || r.End != 500 || r.Percent < 50 || r.Percent > 85 {
			t.Errorf("%+v", r)
		}
	}
	if len(report.Results) != 2 {
		t.Errorf("%d results", len(report.Results))
	}
}

func TestServerRefuses(t *testing.T) {
	address, _ := startServer(t, false)
	cases := []struct{ name, password, args, want string }{
		{"wrong password", "guess", "", "wrong password"},
		{"encryption", testPassword, "--encrypt", "this server does not encrypt"},
		{"one connection too many", testPassword, "-c 100", "refuses connection"},
	}
	for _, c := range cases {
		t.Setenv("CYBERDB_PASSWORD", c.password)
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), strings.Fields("--target cyberdb://"+address+" "+c.args), &stdout, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), c.want) ||
			strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, %q; want one line with %q", c.name, code, stderr.String(), c.want)
		}
	}
}

// TestComparesAndKeeps runs two targets in turn, keeps the runs, and makes the report from them.
func TestComparesAndKeeps(t *testing.T) {
	address, _ := startServer(t, false)
	folder := t.TempDir()
	results, document, html, later := filepath.Join(
		folder,
		"get.jsonl",
	), filepath.Join(
		folder,
		"B.md",
	), filepath.Join(
		folder,
		"a.html",
	), filepath.Join(
		folder,
		"b.html",
	)
	if err := os.WriteFile(document, []byte("<!-- bench get -->\n<!-- bench end -->\n"), readable); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"--target cyberdb://" + address + " --target gnet-echo:2 -c 1,4 -P 4 --repeat 2 -d 20ms --warmup 5ms --keys 100 --json --out " + results + " --html " + html,
		"--target cyberdb://" + address + " --callers 10 -d 20ms --warmup 5ms --keys 100 --out " + results,
		"--target cyberdb://" + address + " --rate 2000 -c 2 -d 50ms --warmup 5ms --keys 100 --out " + results,
		"report --markdown " + document + " --tables " + filepath.Join(folder, "tables.md") + " --html " + later + " " + results,
	} {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), strings.Fields(line), &stdout, &stderr); code != 0 {
			t.Fatalf("%s: exit code %d: %s%s", line, code, stderr.String(), stdout.String())
		}
	}
	for path, want := range map[string][]string{
		document:                           {"| gnet echo, 2 event loops |", "cyberdb-fast Go client", "get-bars.svg", "tables.md#get"},
		html:                               {"<svg", "gnet-echo:2", "Throughput by connections"},
		later:                              {"<svg", "cyberdb-fast Go client"},
		filepath.Join(folder, "tables.md"): {"gnet-echo:2", "cyberdb-bench --target", "get-connections-1.svg", "get-percentiles-"},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range want {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s: %q is missing", filepath.Base(path), word)
			}
		}
	}
	kept, err := os.ReadFile(results)
	if err != nil || bytes.Count(kept, []byte("\n")) != 2*2*2+2 {
		t.Errorf("%d runs kept, %v", bytes.Count(kept, []byte("\n")), err)
	}
}

func TestReportRefuses(t *testing.T) {
	for _, args := range []string{"report", "report x.jsonl", "report --html h --bogus x", "report --markdown m x.jsonl", "serve-gnet-echo", "serve-gnet-echo many"} {
		var stdout, stderr bytes.Buffer
		if code := run(
			context.Background(),
			strings.Fields(args),
			&stdout,
			&stderr,
		); code != exitUsage ||
			strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, %q", args, code, stderr.String())
		}
	}
}
