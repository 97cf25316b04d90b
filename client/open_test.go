package client

import (
	"errors"
	"net"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

func TestWrongPassword(t *testing.T) {
	p := startPeer(t)
	_, err := Open(testContext(t), "cyberdb://:wrong@"+p.addr(), &Options{Encrypt: p.encrypt})
	if !errors.Is(err, ErrWrongPassword) || !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v", err)
	}
	c := dialPeer(t, p, func(o *Options) { o.Password = "wrong" })
	if err := c.Ping(testContext(t)); !errors.Is(err, ErrWrongPassword) || !errors.Is(err, ErrUnsent) {
		t.Fatalf("got %v", err)
	}
}

func TestNotOurServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	if _, err := Open(testContext(t), listener.Addr().String(), &Options{Password: "x"}); !errors.Is(err, ErrProtocol) {
		t.Fatalf("got %v", err)
	}
}

func TestLimitsAreCheckedBeforeSending(t *testing.T) {
	p := startPeer(t)
	p.with(func() { p.limits.MaxFrameBytes, p.limits.MaxValueBytes = 1000, 500 })
	c := dialPeer(t, p, nil)
	ctx := testContext(t)
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	d := c.Dict("t")
	for name, err := range map[string]error{
		"value": d.Set(ctx, "k", make([]byte, 501)),
		"frame": c.List("t").Extend(ctx, make([]byte, 400), make([]byte, 400), make([]byte, 400)),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", codec.MaxTableNameBytes+1)} {
		if err := c.Dict(name).Set(ctx, "k", 1); !errors.Is(err, ErrBadRequest) {
			t.Errorf("name of %d bytes: got %v", len(name), err)
		}
	}
	p.with(func() {
		if len(p.log) != 1 {
			t.Errorf("the server has seen %v", p.log)
		}
	})
}

func TestNewSaltAtMostOnceAMinute(t *testing.T) {
	ring := keyRing{keys: map[keyID][]byte{}, derived: map[string]derivation{}}
	for i, fails := range []bool{false, false, true} {
		_, err := ring.key("host:1", "password", secure.KDF{LogN: secure.MinLogN, Salt: [16]byte{byte(i)}})
		if (err != nil) != fails {
			t.Errorf("salt %d: %v", i, err)
		}
	}
	if _, err := ring.key("host:1", "password", secure.KDF{LogN: secure.MinLogN}); err != nil {
		t.Errorf("a key known already: %v", err)
	}
	if _, err := ring.key("host:1", "corrected", secure.KDF{LogN: secure.MinLogN, Salt: [16]byte{1}}); err != nil {
		t.Errorf("another password for the same salt: %v", err)
	}
	if _, err := ring.key("host:2", "password", secure.KDF{LogN: secure.MaxLogN + 1}); !errors.Is(err, secure.ErrKDF) {
		t.Errorf("got %v", err)
	}
}

func TestURLs(t *testing.T) {
	for _, test := range []struct {
		url, network, addr, password string
		encrypt                      bool
	}{
		{"cyberdb://:pa%20ss@host:1234", "tcp", "host:1234", "pa ss", false},
		{"cyberdb://:p@host/", "tcp", "host:9980", "p", false},
		{"cyberdb://:p@[::1]:12", "tcp", "[::1]:12", "p", false},
		{"unix://:p@/run/cyberdb.sock", "unix", "/run/cyberdb.sock", "p", false},
		{"cyberdbs://:p@host", "tcp", "host:9980", "p", true},
		{"unixs://:p@/run/cyberdb.sock", "unix", "/run/cyberdb.sock", "p", true},
		{"CYBERDB://:p@host", "tcp", "host:9980", "p", false},
		{" cyberdb://:p@host\n", "tcp", "host:9980", "p", false},
		{"unix:/run/s.sock", "unix", "/run/s.sock", "option", false},
		{"unixs:/run/s.sock", "unix", "/run/s.sock", "option", true},
		{"unix://./s.sock", "unix", "./s.sock", "option", false},
		{"unix://:p@../s.sock", "unix", "../s.sock", "p", false},
		{"host:12", "tcp", "host:12", "option", false},
		{"host", "tcp", "host:9980", "option", false},
		{"", "tcp", "127.0.0.1:9980", "option", false},
	} {
		o, err := parseURL(test.url, Options{Password: "option"})
		if err == nil {
			o, err = o.withDefaults()
		}
		if network, addr := o.network(); err != nil || network != test.network || addr != test.addr || o.Password != test.password || o.Encrypt != test.encrypt {
			t.Errorf("%s: got %s %s %q %v, %v", test.url, network, addr, o.Password, o.Encrypt, err)
		}
	}
	if o, err := parseURL("cyberdb://host", Options{Encrypt: true}); err != nil || !o.Encrypt {
		t.Errorf("the option was turned off: %v, %v", o.Encrypt, err)
	}
	for bad, want := range map[string]string{
		"redis://host":                "redis://",
		"https://host":                "https://",
		"cyberdbss://host":            "cyberdbss://",
		"cyberdb://:secret@host/db":   "path",
		"cyberdb://:secret@host/3":    "no numbered databases",
		"cyberdb://:sec%zzret@host":   "percent-encoded",
		"cyberdb://:pa[sec@host":      "percent-encoded",
		"cyberdb://:sec#ret@host":     "percent-encoded",
		"cyberdb://:sec@host#x":       "%23",
		"cyberdb://:sec@host?conns=3": "client.Options",
		"cyberdb://user:sec@host":     "names a user",
		"unix://host/path":            "unix://./path",
		"unix://":                     "no path",
	} {
		if _, err := parseURL(bad, Options{}); err == nil || strings.Contains(err.Error(), "sec") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q and no password", bad, err, want)
		}
	}
}

func TestPasswordFromEnvironment(t *testing.T) {
	t.Setenv("CYBERDB_PASSWORD", "of the environment")
	if o, err := (Options{}).withDefaults(); o.Password != "of the environment" || err != nil {
		t.Errorf("got %q, %v", o.Password, err)
	}
	t.Setenv("CYBERDB_PASSWORD", "")
	t.Setenv("CYBERDB_PASSWORD_FILE", t.TempDir()+"/absent")
	if _, err := (Options{}).withDefaults(); err == nil {
		t.Error("no error for a file that is not there")
	}
}
