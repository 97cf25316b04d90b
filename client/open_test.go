package client

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
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

// answering starts a server of another protocol. It replies to the first input with answer, in
// pieces of the given size, and closes the connection.
func answering(t *testing.T, answer string, piece int) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			for rest := []byte(answer); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				_, _ = conn.Write(rest[:min(piece, len(rest))])
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// TestOtherServers checks that the error names the protocol and the address, and that what it
// quotes is printable.
func TestOtherServers(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n":       "the server at ADDR speaks HTTP, not cyberdb-fast",
		"-ERR unknown command\r\n":               "the server at ADDR speaks RESP (Redis), not cyberdb-fast",
		"\x15\x03\x01\x00\x02\x02\x46":           "the server at ADDR speaks TLS, not cyberdb-fast",
		"SSH-2.0-OpenSSH_9.2\r\n":                "the server at ADDR speaks SSH, not cyberdb-fast",
		"HTT":                                    `the server at ADDR does not speak cyberdb-fast's protocol: its answer begins with "HTT"`,
		"\x1b[2Jmail\r\n":                        `the server at ADDR does not speak cyberdb-fast's protocol: its answer begins with "\x1b[2J`,
		strings.Repeat("x", 3*maxHandshakeBytes): `the server at ADDR does not speak cyberdb-fast's protocol: its answer begins with "x`,
		string([]byte{2, 1, 0, 'x'}):             "message type 2 of 1 bytes",
		// Hello, which only a client sends; how much of it has come by then depends on the pieces
		string([]byte{1, 3, 0, 1, 1, 0}):           `begins with "\x01`,
		string([]byte{127, 4, 0, 5, 'a', 27, 'b'}): "a\ufffdb",
	} {
		for _, piece := range []int{1, 7, 1 << 20} {
			addr := answering(t, answer, piece)
			_, err := Open(testContext(t), addr, &Options{Password: "x"})
			want := strings.ReplaceAll(want, "ADDR", addr)
			if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), want) ||
				strings.ContainsAny(err.Error(), "\x1b\r\n") {
				t.Errorf("%.20q in pieces of %d: got %v, want %q", answer, piece, err, want)
			}
		}
	}
	if _, err := Open(
		testContext(t),
		answering(t, "", 1),
		&Options{Password: "x"},
	); err == nil ||
		!strings.Contains(err.Error(), unanswered) {
		t.Errorf("no answer: %v", err)
	}
}

// unanswered is part of the error if the server closes the connection without an answer.
const unanswered = "without an answer: is it a cyberdb-fast server, with no TLS in front of it?"

// TestRealOtherServers connects to Go's HTTP server, which is named, and to its TLS server, which
// sends no answer.
func TestRealOtherServers(t *testing.T) {
	plain, encrypted := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.StartTLS()
	for want, server := range map[string]*httptest.Server{"speaks HTTP, not cyberdb-fast": plain, unanswered: encrypted} {
		defer server.Close()
		_, err := Open(testContext(t), server.Listener.Addr().String(), &Options{Password: "x"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
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
			t.Errorf("the server has received %v", p.log)
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

// TestNewSaltsOnThisMachine checks that new servers may follow each other quickly on one local
// port.
func TestNewSaltsOnThisMachine(t *testing.T) {
	for addr, here := range map[string]bool{
		"127.0.0.1:9980": true, "127.8.9.10:1": true, "[::1]:9980": true, "[::ffff:127.0.0.1]:1": true, "localhost:1": true, "LocalHost": true,
		"unix:/run/s.sock": true, "unix:s:1": true,
		"10.0.0.1:1": false, "[::2]:1": false, "[::]:1": false, "0.0.0.0:1": false, "localhost.example:1": false, "127.0.0.1.example:1": false,
	} {
		ring := keyRing{keys: map[keyID][]byte{}, derived: map[string]derivation{}}
		for i := range 4 {
			_, err := ring.key(addr, "password", secure.KDF{LogN: secure.MinLogN, Salt: [16]byte{byte(i)}})
			if (err == nil) != (here || i < 2) {
				t.Errorf("%s, salt %d: %v", addr, i, err)
			}
		}
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
		if network, addr := o.network(); err != nil || network != test.network || addr != test.addr ||
			o.Password != test.password ||
			o.Encrypt != test.encrypt {
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
		if _, err := parseURL(
			bad,
			Options{},
		); err == nil || strings.Contains(err.Error(), "sec") ||
			!strings.Contains(err.Error(), want) {
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
