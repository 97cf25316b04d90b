package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

func noEnv(string) string { return "" }

func TestParseCommand(t *testing.T) {
	native := func(address string) bench.Target {
		return bench.Target{Scheme: "cyberdb", Network: "tcp", Address: address}
	}
	cases := []struct {
		args string
		want func(c *command)
	}{
		{"", func(*command) {}},
		{"-H 10.0.0.1 -p 1234", func(c *command) { c.options.Target = native("10.0.0.1:1234") }},
		{"-H ::1", func(c *command) { c.options.Target = native("[::1]:9980") }},
		{"-c 1000 -P 1 -d 10s --warmup 1s --op set --json", func(c *command) {
			o := &c.options
			o.Connections, o.Pipeline, o.Duration, o.Warmup, o.Op, c.json = 1000, 1, 10*time.Second, time.Second, bench.OpSet, true
		}},
		{"--keys 5 --key-size 8 --value-size 100 --table bench2 --seed 9 --threads 2 --server-pid 7", func(c *command) {
			o := &c.options
			o.Keys, o.KeyBytes, o.ValueBytes, o.Table, o.Seed, o.Threads, o.ServerPID = 5, 8, 100, "bench2", 9, 2, 7
		}},
		{"--target redis://127.0.0.1:6379", func(c *command) {
			c.options.Target = bench.Target{Scheme: "redis", Network: "tcp", Address: "127.0.0.1:6379"}
		}},
		{"--unix /run/s", func(c *command) {
			c.options.Target = bench.Target{Scheme: "cyberdb", Network: "unix", Address: "/run/s"}
		}},
		{"--unix /run/s --target redis:", func(c *command) {
			c.options.Target = bench.Target{Scheme: "redis", Network: "unix", Address: "/run/s"}
		}},
		{"--load 1000000 --no-run", func(c *command) { c.options.Keys, c.loadOnly = 1_000_000, true }},
		{"--idle -c 10", func(c *command) { c.options.Connections, c.idle = 10, true }},
	}
	for _, tc := range cases {
		want := &command{options: bench.DefaultOptions()}
		tc.want(want)
		got, err := parseCommand(strings.Fields(tc.args), noEnv)
		if err != nil || *got != *want {
			t.Errorf("%q: %+v, %v\nwant %+v", tc.args, got, err, want)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, args := range []string{
		"--bogus", "stray", "-c many", "-p 0", "-p 70000", "--op steal", "-d fast", "--target redis://h", "--target redis://h:1 -p 5",
		"--unix /run/s --target memcached:", "--load 5 --keys 6", "--idle --no-run", "--password-file /nonexistent",
	} {
		var usage *bench.UsageError
		if _, err := parseCommand(strings.Fields(args), noEnv); !errors.As(err, &usage) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line about the usage", args, err)
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	c, err := parseCommand([]string{"--help"}, noEnv)
	if !errors.Is(err, pflag.ErrHelp) {
		t.Fatal(err)
	}
	for _, word := range []string{"-c, --connections", "-P, --pipeline", "--target", "--idle", "--no-run", "CYBERDB_PASSWORD_FILE"} {
		if !strings.Contains(c.help, word) {
			t.Errorf("%s is missing", word)
		}
	}
}

func TestPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from a file \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, args string
		env        map[string]string
		want       string
	}{
		{"none", "", nil, ""},
		{"environment", "", map[string]string{"CYBERDB_PASSWORD": "from env", "CYBERDB_PASSWORD_FILE": file}, "from env"},
		{"file of the environment", "", map[string]string{"CYBERDB_PASSWORD_FILE": file}, "from a file "},
		{"flag", "--password-file=" + file, map[string]string{"CYBERDB_PASSWORD": "from env"}, "from a file "},
		{"never sent to redis", "--target=redis://h:1", map[string]string{"CYBERDB_PASSWORD": "from env"}, ""},
	}
	for _, tc := range cases {
		c, err := parseCommand(strings.Fields(tc.args), func(name string) string { return tc.env[name] })
		if err != nil || c.options.Password != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.name, c.options.Password, err, tc.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{"--help": 0, "--bogus": exitUsage, "--table users": exitUsage, "-c 0": exitUsage, "-p " + port: exitFailed} {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), strings.Fields(args), &stdout, &stderr); code != want {
			t.Errorf("%s: exit code %d, want %d", args, code, want)
		}
		if lines := strings.Count(stderr.String(), "\n"); want != 0 && (lines != 1 || stdout.Len() > 0) {
			t.Errorf("%s: prints %q and %q, want one line of error", args, stdout.String(), stderr.String())
		}
	}
}
