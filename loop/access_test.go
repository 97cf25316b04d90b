package loop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/secure"
)

// TestSetPassword: a new password is for new logins, the old one for none; clients stay.
func TestSetPassword(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	old := dial(t, srv)
	if err := srv.SetPassword("another"); err != nil {
		t.Fatal(err)
	}
	old.ok(codec.OpPing)
	refusedWith(t, secure.RefusedPassword, func() (*wire, error) { return tryDial(t, srv, testKey) })
	key, err := testKDF.Key("another")
	if err != nil {
		t.Fatal(err)
	}
	w, err := tryDial(t, srv, key)
	if err != nil {
		t.Fatal(err)
	}
	w.ok(codec.OpPing)
	peer := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	if err := srv.Authenticate(t.Context(), peer, testPassword); !errors.Is(err, ErrPassword) {
		t.Errorf("the old password by another protocol: %v", err)
	}
	if err := srv.Authenticate(t.Context(), peer, "another"); err != nil {
		t.Errorf("the new password by another protocol: %v", err)
	}
}

// TestSetLegacyPassword: CyberDB's wire has the password in each request. A password that it cannot
// have changes nothing.
func TestSetLegacyPassword(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.Encrypt = encrypt }))
		if err := srv.SetPassword(strings.Repeat("x", 100)); !errors.Is(err, legacy.ErrPassword) {
			t.Errorf("a long password: %v", err)
		}
		if _, err := tryDial(t, srv, keyOf(t, legacyPassword)); err != nil {
			t.Errorf("a login with the first password: %v", err)
		}
		if err := srv.SetPassword("another"); err != nil {
			t.Fatal(err)
		}
		if reply, err := dialLegacy(t, srv).exchange(request(t, "/connect"), 0); err == nil {
			t.Errorf("the first password is answered %v", reply)
		}
		right := pickled(t, govalue.Dict{{Key: "route", Value: "/connect"}, {Key: "password", Value: "another"}})
		if _, err := dialLegacy(t, srv).exchange(right, 0); err != nil {
			t.Errorf("the new password: %v", err)
		}
	}
}

// TestSetAllow: the networks count for new connections; with encryption the default is this
// machine.
func TestSetAllow(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	old := dial(t, srv)
	srv.SetAllow([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	old.ok(codec.OpPing)
	refusedWith(t, secure.RefusedAddress, func() (*wire, error) { return tryDial(t, srv, testKey) })
	srv.SetAllow(nil)
	dial(t, srv).ok(codec.OpPing)
	elsewhere := &net.TCPAddr{IP: net.IPv4(10, 1, 1, 1)}
	if got := srv.Allowed(elsewhere); got != !srv.cfg.Encrypt {
		t.Errorf("without a list, another machine may connect: %v", got)
	}
}

// TestSetIdleTimeout: connections that are idle for longer than the new time are closed.
func TestSetIdleTimeout(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpPing)
	srv.SetIdleTimeout(time.Second)
	_ = w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := w.conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %d bytes, %v", n, err)
	}
	if n := srv.Info().IdleClosed; n != 1 {
		t.Errorf("%d idle connections are closed", n)
	}
}

// TestControlSettings: the control socket says how to connect, and passes on changes of settings.
func TestControlSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startServer(t, func(cfg *Config) {
		cfg.Encrypt, cfg.Unix = true, filepath.Join(dir, "s")
		cfg.Data = Data{File: filepath.Join(dir, "data.cdb"), Control: filepath.Join(dir, "control.sock")}
		cfg.Change = func(_ *Server, settings map[string]string) (Changes, error) {
			if settings["port"] != "" {
				return Changes{}, errors.New("not the port")
			}
			return Changes{Made: []string{fmt.Sprint(settings)}, NeedRestart: []string{"dir"}}, nil
		}
	})
	for _, test := range []struct{ line, want string }{
		{`{"do":"where"}`, fmt.Sprintf(`{"ok":true,"address":%q,"unix":%q,"encrypted":true}`, srv.Addr(), srv.cfg.Unix)},
		{`{"do":"reload"}`, `{"ok":true,"changed":["map[]"],"need_restart":["dir"]}`},
		{`{"do":"configure","settings":{"a":"b"}}`, `{"ok":true,"changed":["map[a:b]"],"need_restart":["dir"]}`},
		{`{"do":"configure","settings":{"port":"1"}}`, `{"ok":false,"error":"not the port"}`},
		{`{"do":"configure"}`, `{"ok":false,"error":"configure needs settings: `},
		{`{"do":"configure","settings":7}`, `{"ok":false,"error":"a request is one line of JSON`},
	} {
		if got := ask(t, srv, test.line); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.line, got, test.want)
		}
	}
	plain := controlled(t, t.TempDir())
	if got := ask(t, plain, `{"do":"reload"}`); !strings.Contains(got, "does not change settings") {
		t.Error(got)
	}
}

func TestReachable(t *testing.T) {
	for listens, want := range map[string]string{
		"0.0.0.0:7": "127.0.0.1:7", "[::]:7": "127.0.0.1:7", "[::1]:7": "[::1]:7", "10.1.1.1:7": "10.1.1.1:7",
	} {
		addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(listens))
		if got := reachable(*addr).String(); got != want {
			t.Errorf("%s is reached at %s, want %s", listens, got, want)
		}
	}
}

// TestAlive: a server whose event loop is held does not answer.
func TestAlive(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) { cfg.EventLoops = 1 })
	dial(t, srv).ok(codec.OpPing)
	if err := srv.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := holdLoop(t, srv)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := srv.Alive(ctx); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "1 of 1 event loops") {
		t.Errorf("held: %v", err)
	}
	release()
	if err := srv.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	stopServer(t, srv)
	if err := srv.Alive(t.Context()); err == nil {
		t.Error("a server that has ended is alive")
	}
}
