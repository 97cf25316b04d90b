package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
)

// write writes a file of its owner alone.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload: SIGHUP makes the server read the configuration file and the password file again.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf, secret := filepath.Join(dir, "conf"), filepath.Join(dir, "secret")
	write(t, secret, testPassword+"\n")
	first := "password-file = " + secret + "\nslow-request = 20ms\nmax-con = 50\nlarge-reply = 1MiB\n"
	write(t, conf, first)
	d := startDaemon(t, dir, func(c *harness.Config) {
		c.Change = dropPassword
	}, "--config", conf, "--large-request=2MiB")
	reload := func(text string) {
		t.Helper()
		d.signal(syscall.SIGHUP)
		d.logs(text)
	}
	reload(`level=INFO msg="reloaded: nothing has changed"`)

	write(t, conf, first+"log-level = warning\n")
	reload(`level=ERROR msg="not reloaded: nothing has changed" error="` + conf + `:5: log-level = warning: must be`)

	write(t, secret, "another\n")
	write(t, conf, strings.NewReplacer("= 20ms", "= 5ms", "= 50", "= 60").Replace(first)+
		"allow = 10.0.0.0/8\ntimeout = 1h\nlarge-request = 7MiB\n")
	reload(`msg=reloaded changed="password; allow: default -> 10.0.0.0/8; timeout: 0 -> 1h0m0s; ` +
		`slow-request: 20ms -> 5ms" need_restart=max-con`)
	if err := d.db.Ping(t.Context()); err != nil {
		t.Errorf("a client that has logged in: %v", err)
	}
	url := "unix://" + filepath.Join(dir, "s")
	if db, err := client.Open(
		t.Context(),
		url,
		&client.Options{Password: testPassword, DialTimeout: testTimeout},
	); !errors.Is(
		err,
		client.ErrWrongPassword,
	) {
		t.Errorf("the first password: %v", err)
		_ = db.Close()
	}
	db, err := client.Open(t.Context(), url, &client.Options{Password: "another", DialTimeout: testTimeout})
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()

	write(t, conf, first+"log-level = error\n")
	reload(`msg=reloaded changed="allow: 10.0.0.0/8 -> default; timeout: 1h0m0s -> 0; ` +
		`log-level: info -> error; slow-request: 5ms -> 20ms"`)
	if strings.Contains(d.Log(), "another") {
		t.Error("the log has a password")
	}
}

// TestConfigure: the control socket changes settings until the next reload, and reloads.
func TestConfigure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDaemon(t, dir, nil)
	control := filepath.Join(dir, controlFile)
	for _, step := range []struct{ line, want string }{
		{
			`{"do":"configure","settings":{"slow-request":"5ms","log-level":"warn"}}`,
			`{"ok":true,"changed":["log-level: info -> warn","slow-request: 10ms -> 5ms"],"need_restart":[]}`,
		},
		{`{"do":"configure","settings":{"slow-request":"5ms"}}`, `{"ok":true,"changed":[],"need_restart":[]}`},
		{`{"do":"configure","settings":{"slow-request":"5"}}`, `slow-request = 5: must be a time with its unit`},
		{`{"do":"configure","settings":{"log-level":"info","timeout":"x"}}`, `timeout = x: must be`},
		{`{"do":"configure","settings":{"port":"5"}}`, `\"port\" cannot change while the server runs: these can: allow, timeout`},
		{`{"do":"configure","settings":{"password":"secret word"}}`, `\"password\" cannot change`},
		{`{"do":"configure","settings":{"allow":"10.0.0.0/8,::1"}}`, `["allow: default -> 10.0.0.0/8,::1/128"]`},
		{`{"do":"configure","settings":{"allow":""}}`, `["allow: 10.0.0.0/8,::1/128 -> default"]`},
		{`{"do":"reload"}`, `{"ok":true,"changed":["log-level: warn -> info","slow-request: 5ms -> 10ms"],"need_restart":[]}`},
		{`{"do":"where"}`, fmt.Sprintf(`{"ok":true,"address":"","unix":%q,"encrypted":false}`, filepath.Join(dir, "s"))},
	} {
		if got := askControl(t, control, step.line); !strings.Contains(got, step.want) {
			t.Errorf("%s: got %s, want %s", step.line, got, step.want)
		}
	}
	askControl(t, control, `{"do":"configure","settings":{"slow-request":"7ms","large-reply":"9KiB"}}`)
	for section, threshold := range map[string]string{"slow": `"threshold_ms":7`, "large_replies": `"threshold_bytes":9216`} {
		got, err := d.db.InfoSection(t.Context(), section, nil)
		if err != nil || !strings.Contains(string(got), threshold) {
			t.Errorf("INFO %s: %s, %v, without %s", section, got, err, threshold)
		}
	}
	d.signal(syscall.SIGTERM)
	if code := d.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(d.Log(), "secret word") {
		t.Error("the log has a password")
	}
}

// TestConfigureReach: a server with its own password refuses to lose the list of its clients.
func TestConfigureReach(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := harness.Launch(harness.Config{
		Binary: "cyberdb-fast", Dir: dir, Password: testPassword, Session: true, Change: dropPassword,
		Flags: []string{"--host=0.0.0.0", "--allow=127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	if err := d.AwaitListening(testTimeout); err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	control := filepath.Join(dir, controlFile)
	got := askControl(t, control, `{"do":"configure","settings":{"allow":""}}`)
	if !strings.Contains(got, "the password was generated here") {
		t.Error(got)
	}
	got = askControl(t, control, `{"do":"where"}`)
	if _, port, err := net.SplitHostPort(
		d.Addr(),
	); err != nil ||
		!strings.Contains(got, `"address":"127.0.0.1:`+port+`"`) {
		t.Errorf("%s is at %s", d.Addr(), got)
	}
}
