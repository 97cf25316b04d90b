package loop

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"cyberdb-fast/codec/secure"
)

// opened returns the client's side of a connection in the middle of a handshake: 0: nothing is
// sent, 1: Hello is, 2: ClientShare is.
func opened(t *testing.T, srv *Server, sent int) *wire {
	t.Helper()
	w := dialSilent(t, srv)
	hs := newClient(testKey, srv.cfg.Encrypt)
	out := hs.Hello(nil)
	for range sent {
		w.write(out)
		n, reply, err := hs.Next(w.in, nil)
		for errors.Is(err, secure.ErrShort) {
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
			n, reply, err = hs.Next(w.in, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.in, out = w.in[n:], reply
	}
	return w
}

// TestMessagesOutOfPlace sends, instead of each message of a handshake, each message that is not
// due there, also those of a server: each is refused as such. None counts as a failed login, and no
// text of the client reaches the log.
func TestMessagesOutOfPlace(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	srv := startServer(t, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	const forged = "all passwords were changed\nlevel=ERROR msg=forged \x1b[2J"
	sent := uint64(0)
	for step, due := range []byte{1, 3, 5} { // Hello, ClientShare, ClientFin
		for _, kind := range []byte{0, 1, 2, 3, 4, 5, 6, 7, 0x7e, 0x7f, 0xff} {
			if kind == due {
				continue
			}
			for _, body := range []string{"\x02" + forged, "\x02" + strings.Repeat("x", 900), ""} {
				w := opened(t, srv, step)
				var first []byte
				if step == 0 {
					first = []byte(secure.Magic)
				}
				w.write(append(append(first, kind, byte(len(body)), byte(len(body)>>8)), body...))
				sent++
				for {
					if err := w.read(); err != nil {
						break
					}
				}
				if len(w.in) < 4 || w.in[0] != 0x7f || secure.RefusalCode(w.in[3]) != secure.RefusedMessage ||
					bytes.Contains(w.in, []byte("forged")) {
					t.Errorf("type %d in the place of %d: %q", kind, due, w.in)
				}
			}
		}
	}
	if info := srv.Info(); info.BadFrames != sent || info.FailedLogins != 0 {
		t.Errorf("%d messages out of place: %d bad frames, %d failed logins", sent, info.BadFrames, info.FailedLogins)
	}
	for _, text := range []string{"forged", "passwords were", "\x1b", "xxxx"} {
		if strings.Contains(log.String(), text) {
			t.Errorf("%q in the log:\n%s", text, log.String())
		}
	}
}
