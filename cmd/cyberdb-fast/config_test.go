package main

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// readConfig reads the settings as the command does, with a configuration file of this text if it
// is not empty.
func readConfig(t *testing.T, args []string, env map[string]string, file string) (*config, error) {
	t.Helper()
	if file != "" {
		name := filepath.Join(t.TempDir(), "cyberdb.conf")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", name}, args...)
	}
	s := newServer(args, os.Stdout, nil)
	root := newRoot(s, os.Stdout, os.Stderr)
	root.RunE = func(*cobra.Command, []string) error {
		return s.flags.complete(s.cfg, func(key string) (string, bool) { v, ok := env[key]; return v, ok })
	}
	root.SetArgs(args)
	err := root.Execute()
	var refused *exitError
	if errors.As(err, &refused) {
		err = refused.reason
	}
	return s.cfg, err
}

func TestSettings(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := []struct {
		name string
		args string
		file string
		want func(*config) // changes the defaults to what must come out
	}{
		{"nothing", "", "", func(*config) {}},
		{"short flags", "-c 20 -H ::1 -p 7", "", func(c *config) { c.maxConns, c.host, c.port = 20, "::1", 7 }},
		{
			"long flags",
			"--max-con 20 --host=::1 --port=7",
			"",
			func(c *config) { c.maxConns, c.host, c.port = 20, "::1", 7 },
		},
		{"seconds", "--timeout 900", "", func(c *config) { c.idle = 15 * time.Minute }},
		{"time with unit", "--timeout 15m", "", func(c *config) { c.idle = 15 * time.Minute }},
		{"never", "--timeout 0", "", func(*config) {}},
		{"part of a second", "--timeout 1ms", "", func(c *config) { c.idle = time.Second }},
		{"networks", "--allow 10.0.0.0/8,::1 --allow ::ffff:1.2.3.4", "", func(c *config) {
			c.allow = []netip.Prefix{prefix("10.0.0.0/8"), prefix("::1/128"), prefix("1.2.3.4/32")}
		}},
		{"switches", "--print-log --unix a.sock --dir d --event-loops 3", "", func(c *config) {
			c.log.requests, c.unix, c.dir, c.eventLoops = true, "a.sock", "d", 3
		}},
		{
			"file",
			"",
			"# comment\n\nport = 7 # why\n\tmax-con=20\r\nprint-log = true\nallow = 1.1.1.1\nallow = 2.0.0.0/8\n",
			func(c *config) {
				c.port, c.maxConns, c.log.requests = 7, 20, true
				c.allow = []netip.Prefix{prefix("1.1.1.1/32"), prefix("2.0.0.0/8")}
			},
		},
		{
			"flags win over the file",
			"--port 8 --allow 3.3.3.3",
			"port = 7\nallow = 1.1.1.1\ndir = \" x #\"",
			func(c *config) {
				c.port, c.dir = 8, " x #"
				c.allow = []netip.Prefix{prefix("3.3.3.3/32")}
			},
		},
		{"memory", "--max-memory 4GiB", "", func(c *config) { c.memory = 4 << 30 }},
		{"memory, short", "--max-memory 512m", "", func(c *config) { c.memory = 512 << 20 }},
		{"memory, bytes", "--max-memory 100000000", "", func(c *config) { c.memory = 100_000_000 }},
		{"memory, none", "--max-memory 0", "max-memory = 1G", func(*config) {}},
		{"encryption", "--encrypt", "", func(c *config) { c.encrypt = true }},
		{"encryption off", "--encrypt=false", "encrypt = true", func(*config) {}},
		{"socket's mode", "--unix s --unix-mode 0660", "", func(c *config) { c.unix, c.unixMode = "s", 0o660 }},
		{
			"socket's mode, from the file",
			"--unix s",
			"unix-mode = 666",
			func(c *config) { c.unix, c.unixMode = "s", 0o666 },
		},
		{"no TCP", "--host= --unix s", "", func(c *config) { c.host, c.unix = "", "s" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := readConfig(t, strings.Fields(tt.args), nil, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			cfg.file, cfg.password.configName = "", ""
			_, want := newFlags()
			tt.want(want)
			if !reflect.DeepEqual(cfg, want) {
				t.Errorf("got %+v\nwant %+v", cfg, want)
			}
		})
	}
}

func TestSettingErrors(t *testing.T) {
	tests := []struct{ args, file, want string }{
		{"--max-conn 5", "", "unknown flag: --max-conn; --help"},
		{"-z", "", "'z' in -z; --help"},
		{"start", "", `unexpected argument "start"`},
		{"--port", "", "--port"},
		{"-p 65536", "", "from 0 to 65535"},
		{"-c 0", "", "from 1 to 1048576"},
		{"-c 99999999999999999999", "", "from 1 to 1048576"},
		{"--event-loops -1", "", "from 0 to 256"},
		{"--timeout soon", "", "900"},
		{"--timeout=-1", "", "900"},
		{"--timeout 4294967296", "", "900"},
		{"--max-memory 63M", "", "at least 64MiB"},
		{"--max-memory much", "", "512MiB"},
		{"--max-memory 1X", "", "512MiB"},
		{"--max-memory 99999999T", "", "512MiB"},
		{"--max-memory=-1G", "", "512MiB"},
		{"--max-memory=", "", "512MiB"},
		{"--allow 10.1.2.3/8", "", "write 10.0.0.0/8 for the network, or 10.1.2.3 for"},
		{"--allow 10.0.0.0/33", "", "neither an address"},
		{"--unix-mode 0460", "", "let the owner read and write"},
		{"--unix-mode 01600", "", "let the owner read and write"},
		{"--unix-mode 680", "", "octal permissions"},
		{"--unix-mode rw", "", "octal permissions"},
		{"--allow localhost", "", "neither an address"},
		{"--allow fe80::1%eth0", "", "neither an address"},
		{"--allow ::ffff:10.0.0.0/104", "", "neither an address"},
		{"--allow 1.1.1.1,", "", "neither an address"},
		{"--host=", "", "nothing to listen on"},
		{"--dir=", "", "--dir: needs"},
		{"--unix " + strings.Repeat("x", 104), "", "104 bytes"},
		{"--config /does/not/exist", "", "--config: open /does/not/exist"},
		{"", "max-conn = 5", `cyberdb.conf:1: unknown key "max-conn"`},
		{"", "\nport = x", "cyberdb.conf:2: port = x: must be"},
		{"", "print-log = yes", "cyberdb.conf:1: print-log = yes: must be true or false"},
		{"", "port 5", `cyberdb.conf:1: not a "key = value"`},
		{"", "[section]\n", `cyberdb.conf:1: not a "key = value"`},
		{"", "port = 5\nport = 6", "cyberdb.conf:2: port is already set on line 1"},
		{"", "help = true", "cyberdb.conf:1: help is allowed only on the command line"},
		{"", "dir = \"x", "cyberdb.conf:1: dir: the value is not a string"},
		{"", "dir = \"x\" y", "cyberdb.conf:1: dir: unexpected text after"},
		{"", "dir = \xff", "cyberdb.conf:1: dir: the value is not UTF-8"},
	}
	for _, tt := range tests {
		_, err := readConfig(t, strings.Fields(tt.args), nil, tt.file)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("args %q, file %q: got %v, want one line with %q", tt.args, tt.file, err, tt.want)
		}
	}
}

func TestPasswordLayers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"flag", "env", "config"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+" file\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	flag := []string{"--password-file", "flag"}
	envText := map[string]string{"CYBERDB_PASSWORD": "env text"}
	envFile := map[string]string{"CYBERDB_PASSWORD_FILE": "env"}
	both := maps.Clone(envText)
	maps.Copy(both, envFile)
	tests := []struct {
		name string
		args []string
		env  map[string]string
		file string
		want string // the password, or what the error says
	}{
		{"flag", flag, both, "password = c", "flag file"},
		{"flag, text", []string{"--password", "flag text"}, both, "password = c", "flag text"},
		{
			"flags twice",
			[]string{"--password", "x", "--password-file", "flag"},
			nil,
			"",
			"error: --password and --password-file are both set",
		},
		{"environment", nil, envText, "password = c", "env text"},
		{"environment, file", nil, envFile, "password-file = config", "env file"},
		{"config", nil, nil, "password = \" c # \"", " c # "},
		{"config, file", nil, nil, "password-file = config", "config file"},
		{"environment twice", nil, both, "", "error: CYBERDB_PASSWORD and CYBERDB_PASSWORD_FILE are both set"},
		{"config twice", nil, nil, "password = c\npassword-file = config", "password-file are both set"},
		{
			"empty variable",
			nil,
			map[string]string{"CYBERDB_PASSWORD": ""},
			"",
			"error: CYBERDB_PASSWORD: the password is empty",
		},
		{"no name", []string{"--password-file="}, nil, "", "error: --password-file: needs the name"},
		{"no file", []string{"--password-file", "none"}, nil, "", "error: --password-file: open none: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := readConfig(t, tt.args, tt.env, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := cfg.password.read(nil)
			got := p.text
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPasswordFiles(t *testing.T) {
	tests := []struct{ text, want, err string }{
		{"secret", "secret", ""},
		{"secret\n", "secret", ""},
		{"secret\r\n", "secret", ""},
		{" pass phrase \n", " pass phrase ", ""},
		{strings.Repeat("x", maxPasswordBytes) + "\r\n", strings.Repeat("x", maxPasswordBytes), ""},
		{"", "", "empty"},
		{"\n", "", "empty"},
		{"a\nb\n", "", "one line"},
		{"a\n\n", "", "one line"},
		{"a\x00", "", "one line"},
		{"\xff", "", "UTF-8"},
		{strings.Repeat("x", maxPasswordBytes+1), "", "longer"},
		{strings.Repeat("x", 1<<20), "", "longer"},
	}
	name := filepath.Join(t.TempDir(), "file")
	for _, tt := range tests {
		if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := readPasswordFile("--password-file", name)
		if tt.err == "" && (err != nil || p.text != tt.want || p.file != name || p.warnings != nil) {
			t.Errorf("%.20q: got %+v, %v", tt.text, p, err)
		}
		if tt.err != "" &&
			(err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), name)) {
			t.Errorf("%.20q: got %v, want an error with %q and the file", tt.text, err, tt.err)
		}
	}
}

// FuzzSettings: no text makes the parser fail otherwise than by an error that names a line, and
// what it takes it takes again when written back with quoted values.
func FuzzSettings(f *testing.F) {
	f.Add("port = 1 # c\nallow=x\nallow=y\ndir = \"a\\tb\" # c\n")
	f.Add("a = \"\nb = #\n = c\nd=`x`")
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parseSettings("f", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("%v does not name the file", err)
			}
			return
		}
		var again strings.Builder
		for _, s := range settings {
			again.WriteString(s.key + " = " + strconv.Quote(s.value) + "\n")
		}
		twice, err := parseSettings("f", []byte(again.String()))
		if err != nil || len(twice) != len(settings) {
			t.Fatalf("%q: %v", again.String(), err)
		}
		for i := range twice {
			if twice[i].key != settings[i].key || twice[i].value != settings[i].value {
				t.Fatalf("got %+v, want %+v", twice[i], settings[i])
			}
		}
	})
}
