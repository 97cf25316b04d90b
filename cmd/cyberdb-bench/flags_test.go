package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"cyberdb-fast/bench"
)

func noEnv(string) string { return "" }

// aim sets the targets.
func aim(c *command, targets ...bench.Target) {
	c.plan.Targets, c.plan.Options.Target = targets, targets[0]
}

func TestParseCommand(t *testing.T) {
	native := func(address string) bench.Target {
		return bench.Target{Scheme: "cyberdb", Network: "tcp", Address: address}
	}
	cases := []struct {
		args string
		want func(c *command)
	}{
		{"", func(*command) {}},
		{"-H 10.0.0.1 -p 1234", func(c *command) { aim(c, native("10.0.0.1:1234")) }},
		{"-H ::1", func(c *command) { aim(c, native("[::1]:9980")) }},
		{"-c 1000 -P 1 -d 10s --warmup 1s --op set --json", func(c *command) {
			o := &c.plan.Options
			o.Connections, o.Pipeline, o.Duration, o.Warmup, o.Op, c.json = 1000, 1, 10*time.Second, time.Second, bench.OpSet, true
			c.plan.Connections, c.plan.Pipelines = []int{1000}, []int{1}
		}},
		{"--keys 5 --key-size 8 --value-size 100 --table bench2 --seed 9 --threads 2 --server-pid 7", func(c *command) {
			o := &c.plan.Options
			o.Keys, o.KeySize, o.ValueSize, o.Table, o.Seed, o.Threads, o.ServerPID = 5, bench.Fixed(
				8,
			), bench.Fixed(
				100,
			), "bench2", 9, 2, 7
		}},
		{"--target redis://127.0.0.1:6379", func(c *command) {
			aim(c, bench.Target{Scheme: "redis", Network: "tcp", Address: "127.0.0.1:6379"})
		}},
		{"--unix /run/s", func(c *command) {
			aim(c, bench.Target{Scheme: "cyberdb", Network: "unix", Address: "/run/s"})
		}},
		{"--unix /run/s --target redis:", func(c *command) {
			aim(c, bench.Target{Scheme: "redis", Network: "unix", Address: "/run/s"})
		}},
		{"--encrypt -H ::1", func(c *command) {
			aim(c, bench.Target{Scheme: "cyberdb", Network: "tcp", Address: "[::1]:9980", Encrypt: true})
		}},
		{"--unix /run/s --target cyberdbs:", func(c *command) {
			aim(c, bench.Target{Scheme: "cyberdb", Network: "unix", Address: "/run/s", Encrypt: true})
		}},
		{"--target cyberdbs://h:1 --target redis://h:2", func(c *command) {
			aim(
				c,
				bench.Target{Scheme: "cyberdb", Network: "tcp", Address: "h:1", Encrypt: true},
				bench.Target{Scheme: "redis", Network: "tcp", Address: "h:2"},
			)
		}},
		{
			"-c 1,50 -P 1 -P 16 --repeat 3 --interleave=false --target gnet-echo:2 --target legacy-encrypted://h:1",
			func(c *command) {
				aim(
					c,
					bench.Target{Scheme: "gnet-echo", Network: "tcp", Loops: 2},
					bench.Target{Scheme: "legacy-encrypted", Network: "tcp", Address: "h:1"},
				)
				c.plan.Connections, c.plan.Pipelines, c.plan.Repeat, c.plan.Interleave = []int{
					1,
					50,
				}, []int{
					1,
					16,
				}, 3, false
				c.plan.Options.Connections, c.plan.Options.Pipeline = 1, 1
			},
		},
		{
			"--op hmixed --ratio 1:1 --tables 4 --zipf 0.99 --key-size uniform:16-40 --value-size uniform:1-9 --requests 10 --rate 5",
			func(c *command) {
				o := &c.plan.Options
				o.Op, o.Ratio, o.Tables, o.Zipf, o.Requests, o.Rate = bench.OpHMixed, bench.Ratio{
					Reads:  1,
					Writes: 1,
				}, 4, 0.99, 10, 5
				o.KeySize, o.ValueSize = bench.Size{Min: 16, Max: 40}, bench.Size{Min: 1, Max: 9}
			},
		},
		{
			"--out r.jsonl --html r.html --callers 8",
			func(c *command) { c.out, c.html, c.callers = "r.jsonl", "r.html", 8 },
		},
		{"--load 1000000 --no-run", func(c *command) { c.plan.Options.Keys, c.loadOnly = 1_000_000, true }},
		{
			"--idle -c 10",
			func(c *command) { c.plan.Options.Connections, c.plan.Connections, c.idle = 10, []int{10}, true },
		},
	}
	for _, tc := range cases {
		want := &command{
			plan: bench.Plan{
				Options:     bench.DefaultOptions(),
				Repeat:      1,
				Interleave:  true,
				Connections: []int{50},
				Pipelines:   []int{16},
			},
		}
		want.plan.Targets = []bench.Target{want.plan.Options.Target}
		tc.want(want)
		got, err := parseCommand(strings.Fields(tc.args), noEnv)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v\nwant %+v", tc.args, got, err, want)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, args := range []string{
		"--bogus", "stray", "-c many", "-p 0", "-p 70000", "--op steal", "-d fast", "--target redis://h", "--target redis://h:1 -p 5",
		"--unix /run/s --target memcached:", "--unix /run/s --target redis: --target cyberdb:", "--repeat 0", "--server-pid 1 --target gnet-echo --target gnet-echo:2", "--ratio 9", "--key-size big",
		"--idle --repeat 2", "--callers 5 -c 1,2", "--load 5 --keys 6", "--encrypt --target redis://h:1", "--encrypt --target cyberdb://h:1 --target legacy://h:1", "--idle --no-run", "--password-file /nonexistent",
	} {
		var usage *bench.UsageError
		if _, err := parseCommand(
			strings.Fields(args),
			noEnv,
		); !errors.As(err, &usage) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line about the usage", args, err)
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	c, err := parseCommand([]string{"--help"}, noEnv)
	if !errors.Is(err, pflag.ErrHelp) {
		t.Fatal(err)
	}
	for _, word := range []string{"-c, --connections", "-P, --pipeline", "--target", "--idle", "--no-run", "CYBERDB_PASSWORD_FILE", "popleft", "LINSERT", "gnet-echo:LOOPS"} {
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
		{
			"environment",
			"",
			map[string]string{"CYBERDB_PASSWORD": "from env", "CYBERDB_PASSWORD_FILE": file},
			"from env",
		},
		{"file of the environment", "", map[string]string{"CYBERDB_PASSWORD_FILE": file}, "from a file "},
		{"flag", "--password-file=" + file, map[string]string{"CYBERDB_PASSWORD": "from env"}, "from a file "},
		{"never sent to redis", "--target=redis://h:1", map[string]string{"CYBERDB_PASSWORD": "from env"}, ""},
	}
	for _, tc := range cases {
		c, err := parseCommand(strings.Fields(tc.args), func(name string) string { return tc.env[name] })
		if err != nil || c.plan.Options.Password != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.name, c.plan.Options.Password, err, tc.want)
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

func TestProgressIsForTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if show, clear := progress(file); show != nil {
		t.Error("progress goes to a file")
	} else {
		clear()
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes of progress in a file, %v", info.Size(), err)
	}
}
