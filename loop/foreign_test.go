package loop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
)

// everyKind starts a server of each kind: first bytes are looked at with and without CyberDB's
// wire, plain and encrypted.
func everyKind(t *testing.T, f func(t *testing.T, srv *Server)) {
	for _, encrypt := range []bool{false, true} {
		for _, withLegacy := range []bool{false, true} {
			t.Run(fmt.Sprintf("encrypt %v, legacy %v", encrypt, withLegacy), func(t *testing.T) {
				t.Parallel()
				f(t, startServer(t, func(cfg *Config) {
					cfg.Encrypt, cfg.Legacy = encrypt, withLegacy
					if withLegacy {
						cfg.Password = legacyPassword
					}
				}))
			})
		}
	}
}

// send sends first, in pieces of so many bytes (0: in one piece), and returns the complete answer,
// and how the connection ended.
func send(t *testing.T, srv *Server, first []byte, piece int) (answer string, err error) {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	go func() {
		for len(first) > 0 {
			n := len(first)
			if piece > 0 {
				n = min(n, piece)
			}
			if _, err := conn.Write(first[:n]); err != nil {
				return // it was answered before
			}
			first = first[n:]
		}
	}()
	b, err := io.ReadAll(conn)
	return string(b), err
}

const (
	answerHTTP = "this is cyberdb-fast, which does not speak HTTP: use a cyberdb-fast client\n"
	answerRESP = "-ERR this is cyberdb-fast, which does not speak RESP: use a cyberdb-fast client\r\n"
)

// TestForeignClients: a client of another protocol gets one line in its own protocol that says what
// this server is, and the connection ends in order.
func TestForeignClients(t *testing.T) {
	t.Parallel()
	everyKind(t, func(t *testing.T, srv *Server) {
		for first, want := range map[string]string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n":               answerHTTP,
			"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":           answerHTTP,
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                answerHTTP,
			"*1\r\n$4\r\nPING\r\n":                            answerRESP,
			"PING\r\n":                                        answerRESP,
			"INFO server\r\n":                                 answerRESP,
			"\x16\x03\x01\x00\xc5\x01\x00\x00\xc1\x03\x03abc": "\x15\x03\x01\x00\x02\x02\x28",
			"\r\n\r\n":         "",
			"\x00\x00\x00\x08": "",
		} {
			for _, piece := range []int{0, 1, 3} {
				got, err := send(t, srv, []byte(first), piece)
				if !strings.HasSuffix(got, want) || want == "" && got != "" ||
					want == answerHTTP && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
					t.Errorf("%q in pieces of %d: %q, %v", first, piece, got, err)
				}
				if err != nil && want != "" {
					t.Errorf("%q in pieces of %d: %v", first, piece, err)
				}
			}
		}
		noneLeft(t, srv, 0)
		// there, garbage is what a wrong password makes
		info, guesses := srv.Info(), srv.cfg.Legacy && srv.cfg.Encrypt
		if info.FailedLogins > 0 && !guesses || info.Panics > 0 || info.Refused+info.BadFrames+info.FailedLogins < 27 {
			t.Errorf("%+v", info)
		}
		w, err := tryDial(t, srv, nativeKey(t, srv))
		if err != nil {
			t.Fatal(err)
		}
		w.ok(0x01)
	})
}

// TestForeignLibraries: Go's own clients of HTTP and TLS say what the server says. A request with a
// large body reads its answer too.
func TestForeignLibraries(t *testing.T) {
	t.Parallel()
	everyKind(t, func(t *testing.T, srv *Server) {
		url, client := "http://"+srv.Addr().
			String()+
			"/x", http.Client{
			Transport: &http.Transport{DisableKeepAlives: true},
			Timeout:   testTimeout,
		}
		for name, ask := range map[string]func() (*http.Response, error){
			"GET":  func() (*http.Response, error) { return client.Get(url) },
			"HEAD": func() (*http.Response, error) { return client.Head(url) },
			"POST": func() (*http.Response, error) {
				return client.Post(url, "text/plain", bytes.NewReader(make([]byte, 1<<20)))
			},
		} {
			answer, err := ask()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			want := answerHTTP
			if name == "HEAD" {
				want = ""
			}
			if answer.StatusCode != http.StatusBadRequest || string(body) != want || err != nil {
				t.Errorf("%s: %s %q, %v", name, answer.Status, body, err)
			}
		}
		_, err := tls.Dial("tcp", srv.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err == nil || !strings.Contains(err.Error(), "remote error: tls: handshake failure") {
			t.Errorf("TLS: %v", err)
		}
		noneLeft(t, srv, 0)
	})
}

// TestForeignDoesNotEnd: a client that continues after its answer, or stops in the middle of its
// request, does not keep its slot.
func TestForeignDoesNotEnd(t *testing.T) {
	t.Parallel()
	everyKind(t, func(t *testing.T, srv *Server) {
		for _, first := range []string{"GET / HTTP/1.1\r\n", "PIN", "*", "\x16\x03"} {
			w := dialSilent(t, srv)
			w.write([]byte(first))
			if first[0] == 'G' { // it goes on and on
				go func() {
					for {
						if _, err := w.conn.Write(make([]byte, 1000)); err != nil {
							return
						}
					}
				}()
			}
		}
		noneLeft(t, srv, 0)
	})
}

// TestLegacyIsNotForeign: the first bytes of CyberDB's own clients, one at a time, are never
// another protocol's.
func TestLegacyIsNotForeign(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.Encrypt = encrypt }))
		c := dialLegacy(t, srv)
		c.say(pickled(t, 2), 1)
		if ready, err := c.hear(); err != nil || !legacy.IsReady(ready, new(pickle.Unpickler)) {
			t.Errorf("encrypt %v: %q, %v", encrypt, ready, err)
		}
	}
}

// TestLogOfUnauthenticated: what a client of CyberDB's wire sends before its password was seen is
// in the log on one line, quoted and short.
func TestLogOfUnauthenticated(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"m\x1b[2J level=ERROR msg=forged", strings.Repeat("x", 3000)} {
		var log lockedBuffer
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }))
		if _, err := send(t, srv, []byte("\x80\x04c"+name+"\nevil\n."), 0); err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(log.String())
		if strings.Contains(text, "\x1b") || strings.Contains(text, "\n") || len(text) > 600 ||
			!strings.Contains(text, "not a message of CyberDB") {
			t.Errorf("%d bytes in the log: %q", len(text), text)
		}
	}
}
