package main

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// flagSamples has a value for each flag that has a variable.
var flagSamples = map[string]string{
	"host": "::1", "port": "7", "unix": "s", "unix-mode": "0660", "allow": "10.0.0.0/8,::1", "encrypt": "true",
	"legacy": "true", "legacy-insecure": "true", "keep-opaque": "true", "http": "127.0.0.1:9981",
	"max-con": "20", "timeout": "15m0s", "max-memory": "4GiB", "eviction": "all", "event-loops": "3",
	"dir": "d", "file": "f.cdb", "cycle": "1m0s", "fsync": "no", "no-journal": "true", "repair": "true",
	"exit-on-io-error": "true", "log-format": "json", "log-level": "warn", "print-log": "true",
	"slow-request": "5ms", "large-request": "2MiB", "large-reply": "3KiB", "cpu-profile": "p", "end-with-stdin": "true",
}

// needs returns the flags that a flag needs.
func needs(flag string) []string {
	switch flag {
	case "legacy-insecure", "keep-opaque":
		return []string{"--legacy"}
	case "eviction":
		return []string{"--max-memory=1GiB"}
	}
	return nil
}

// TestEnvironment: the variable of a flag does what the flag does, and what a line of the
// configuration file does; it wins over the file, and the flag over it.
func TestEnvironment(t *testing.T) {
	flags, _ := newFlags()
	flags.VisitAll(func(flag *pflag.Flag) {
		variable := variableOf(flag.Name)
		if variable == "" || flag.Name == "config" {
			return
		}
		sample, found := flagSamples[flag.Name]
		if !found {
			t.Errorf("--%s needs a value in flagSamples", flag.Name)
			return
		}
		read := func(args []string, env map[string]string, file string) *config {
			t.Helper()
			cfg, err := readConfig(t, append(needs(flag.Name), args...), env, file)
			if err != nil {
				t.Fatalf("%v, %v, %q: %v", args, env, file, err)
			}
			cfg.file, cfg.password.configName = "", ""
			return cfg
		}
		same := func(what string, got, want *config) {
			t.Helper()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", what, got, want)
			}
		}
		fallback := flag.DefValue
		byFlag, byDefault := read([]string{"--" + flag.Name + "=" + sample}, nil, ""), read(nil, nil, "")
		if reflect.DeepEqual(byFlag, byDefault) {
			t.Errorf("--%s=%s changes nothing", flag.Name, sample)
		}
		kept := *byFlag
		flagsOf(&kept)
		same("flags made of a config", &kept, byFlag)
		env := map[string]string{variable: sample}
		same(variable, read(nil, env, ""), byFlag)
		same(flag.Name+" in the file", read(nil, nil, flag.Name+" = "+sample), byFlag)
		if fallback == "" {
			return
		}
		same(variable+" and the file", read(nil, env, flag.Name+" = "+fallback), byFlag)
		same(variable+" and the flag", read([]string{"--" + flag.Name + "=" + fallback}, env, ""), byDefault)
	})
}

func TestEnvironmentErrors(t *testing.T) {
	tests := []struct{ variable, value, want string }{
		{"CYBERDB_PORT", "x", "CYBERDB_PORT=x: must be a whole number"},
		{"CYBERDB_PORT", "tcp://10.0.0.1:9980", "Kubernetes"},
		{"CYBERDB_MAX_CON", "", "CYBERDB_MAX_CON=: must be"},
		{"CYBERDB_ENCRYPT", "yes", "CYBERDB_ENCRYPT=yes: must be true or false"},
		{"CYBERDB_ALLOW", "10.1.2.3/8", "CYBERDB_ALLOW=10.1.2.3/8: 10.1.2.3/8 has bits"},
		{"CYBERDB_FSYNC", "often", "must be always, everysec or no"},
		{"CYBERDB_LOG_FORMAT", "xml", "must be text or json"},
		{"CYBERDB_LOG_LEVEL", "loud", "must be debug, info, warn or error"},
		{"CYBERDB_SLOW_REQUEST", "10", "with its unit (10ms"},
		{"CYBERDB_SLOW_REQUEST", "-1s", "with its unit (10ms"},
		{"CYBERDB_LARGE_REPLY", "big", "must be a size"},
		{"CYBERDB_CONFIG", "/not/there", "--config: open /not/there"},
		{"CYBERDB_HOST", "", "nothing to listen on"},
	}
	for _, tt := range tests {
		_, err := readConfig(t, nil, map[string]string{tt.variable: tt.value}, "")
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: got %v, want one line with %q", tt.variable, tt.value, err, tt.want)
		}
	}
	ignored := map[string]string{
		"CYBERDB_URL": "x", "CYBERDB_VERSION": "1.2", "CYBERDB_HELP": "x", "CYBERDB_SERVICE_HOST": "10.0.0.1",
		"CYBERDB_PORT_9980_TCP": "tcp://10.0.0.1:9980", "CYBERDB_": "x",
	}
	if _, err := readConfig(t, nil, ignored, ""); err != nil {
		t.Errorf("a variable of other programs: %v", err)
	}
	if _, err := readConfig(t, []string{"--port", "1"}, map[string]string{"CYBERDB_PORT": "x"}, ""); err != nil {
		t.Errorf("a variable that a flag overrides: %v", err)
	}
}

// TestMisspelt: a variable that is nearly a setting's is named, with the setting and without its
// value. Those of other programs are not.
func TestMisspelt(t *testing.T) {
	const value = "=a secret"
	flags, _ := newFlags()
	for name, want := range map[string]string{
		"CYBERDB_MAX_MEMRY":    "did you mean CYBERDB_MAX_MEMORY?",
		"CYBERDB_MAXMEMORY":    "did you mean CYBERDB_MAX_MEMORY?",
		"CYBERDB_PASSWROD":     "did you mean CYBERDB_PASSWORD?",
		"CYBERDB_PRT":          "did you mean CYBERDB_PORT?",
		"CYBERDB_LARGE_REQEST": "did you mean CYBERDB_LARGE_REQUEST?",
		"CYBERDB_NOJOURNAL":    "did you mean CYBERDB_NO_JOURNAL?",
		"cyberdb_encrypt":      "did you mean CYBERDB_ENCRYPT?",
	} {
		warnings := flags.misspelt([]string{"HOME=/root", name + value})
		if len(warnings) != 1 || !strings.Contains(warnings[0], name) || !strings.HasSuffix(warnings[0], want) ||
			strings.Contains(warnings[0], "secret") {
			t.Errorf("%s: %q, want one line with %q", name, warnings, want)
		}
	}
	for _, name := range []string{
		"CYBERDB_MAX_MEMORY", "CYBERDB_PASSWORD_FILE", "CYBERDB_URL", "CYBERDB_CONFIG", "CYBERDB_SERVICE_HOST",
		"CYBERDB_SERVICE_PORT", "CYBERDB_PORT_9980_TCP", "CYBERDB_PORT_9980_TCP_ADDR", "CYBERDB_NAME", "CYBERDB_SIZE",
		"CYBERDB_VERSION", "CYBERDB_HELP", "CYBERDB_USER", "CYBERDB_ROLE", "CYBERDB_", "CYBERDB", "DB_MAX_MEMRY",
	} {
		if warnings := flags.misspelt([]string{name + value}); len(warnings) > 0 {
			t.Errorf("%s: %q", name, warnings)
		}
	}
}

// TestConfigByVariable: the configuration file may be named by its variable.
func TestConfigByVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(file, []byte("port = 7\nlog-level = error\nallow = ::1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := readConfig(t, nil, map[string]string{"CYBERDB_CONFIG": file, "CYBERDB_ALLOW": "1.1.1.1"}, "")
	if err != nil || cfg.port != 7 || cfg.log.level != slog.LevelError || len(cfg.allow) != 1 ||
		cfg.allow[0] != netip.MustParsePrefix("1.1.1.1/32") {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestThresholds(t *testing.T) {
	cfg, err := readConfig(t, strings.Fields("--slow-request 1.5s --large-request 0 --large-reply 10KiB"), nil, "")
	if err != nil || cfg.log.slow != 1500*time.Millisecond || cfg.log.largeRequest != 0 ||
		cfg.log.largeReply != 10<<10 {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

// TestSizes: a size is shown so that it can be given again.
func TestSizes(t *testing.T) {
	for _, bytes := range []int64{0, 1, 1023, 1 << 10, 1<<10 + 1, 3 << 20, 5 << 30, 5<<30 + 1<<20} {
		var again int64
		if err := (&size{&again, 0}).Set((&size{&bytes, 0}).String()); err != nil || again != bytes {
			t.Errorf("%d bytes are shown as %s, which is %d: %v", bytes, (&size{&bytes, 0}).String(), again, err)
		}
	}
}
