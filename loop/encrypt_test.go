package loop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

func encrypting(cfg *Config) { cfg.Encrypt = true }

// sealed is a client connection that gives the test its records.
type sealed struct {
	*wire
	raw    net.Conn
	seal   *secure.Sealer
	reader *secure.Reader
}

func dialSealed(t testing.TB, srv *Server) *sealed {
	t.Helper()
	w := dial(t, srv)
	conn := w.conn.(*recordConn)
	return &sealed{wire: w, raw: conn.Conn, seal: conn.seal, reader: conn.in}
}

// records seals frames, one record each.
func (s *sealed) records(frames ...[]byte) (all []byte) {
	s.Helper()
	for _, frame := range frames {
		var err error
		if all, err = s.seal.Seal(all, frame); err != nil {
			s.Fatal(err)
		}
	}
	return all
}

// last reads until the connection ends and returns how: io.EOF if the server has ended it in order.
func (s *sealed) last() error {
	s.Helper()
	if err := s.raw.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		s.Fatal(err)
	}
	rest, err := io.ReadAll(s.reader)
	s.in = append(s.in, rest...)
	if err == nil {
		return io.EOF
	}
	return err
}

func TestEncryptionDiffers(t *testing.T) {
	t.Parallel()
	for _, encrypts := range []bool{true, false} {
		var log lockedBuffer
		srv := startServer(
			t,
			func(cfg *Config) { cfg.Encrypt, cfg.Logger = encrypts, slog.New(slog.NewTextHandler(&log, nil)) },
		)
		w := dialSilent(t, srv)
		err := w.handshake(testKey, !encrypts)
		var refusal *secure.Refusal
		if !errors.As(err, &refusal) || refusal.Code != secure.RefusedEncryption {
			t.Errorf("server %v: %v", encrypts, err)
			continue
		}
		if !w.closed() {
			t.Errorf("server %v: the connection stays open", encrypts)
		}
		if text := log.String(); !strings.Contains(text, refusal.Text) || !strings.Contains(text, "127.0.0.1") {
			t.Errorf("server %v: the log says %q", encrypts, text)
		}
	}
}

// TestRecordsCut sends records cut at every byte: the replies do not depend on it.
func TestRecordsCut(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	session := func(s *sealed) []byte {
		return s.records(
			s.request(codec.OpCreateDict, "d", true),
			append(s.request(codec.OpDictSet, "d", "k", "v"), s.request(codec.OpDictGet, "d", "k")...),
			s.request(codec.OpPing),
		)
	}
	length := len(session(dialSealed(t, srv)))
	for cut := range length + 1 {
		s := dialSealed(t, srv)
		all := session(s)
		for _, piece := range [][]byte{all[:cut], all[cut:]} {
			if _, err := s.raw.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			if reply, err := s.reply(); err != nil || reply.Status != codec.StatusOK {
				t.Fatalf("cut at %d: %v, %v", cut, reply.Status, err)
			}
		}
		_ = s.raw.Close()
	}
	s := dialSealed(t, srv)
	for _, b := range session(s) {
		if _, err := s.raw.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if reply, err := s.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Fatalf("byte by byte: %v, %v", reply.Status, err)
		}
	}
}

// TestFramesOverRecords: frames end and begin anywhere in records, and may be larger than one.
func TestFramesOverRecords(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	s := dialSealed(t, srv)
	s.ok(codec.OpCreateDict, "d", false)
	large := strings.Repeat("x", 5*secure.MaxRecordBytes)
	frames := append(s.request(codec.OpDictSet, "d", "large", large), s.request(codec.OpDictGet, "d", "large")...)
	for _, size := range []int{100_000, 65_537, 1000} {
		var pieces [][]byte
		for rest := frames; len(rest) > 0; {
			n := min(size, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if _, err := s.raw.Write(s.records(pieces...)); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			reply, err := s.reply()
			if err != nil || reply.Status != codec.StatusOK || i == 1 && decodeAll(t, reply.Body)[0] != large {
				t.Fatalf("records of %d: %v, %d bytes, %v", size, reply.Status, len(reply.Body), err)
			}
		}
	}
}

// TestLongReadEncrypted reads a large table while other requests are answered in between.
func TestLongReadEncrypted(t *testing.T) {
	t.Parallel()
	const elements = 300_000
	srv := startServer(t, encrypting)
	w := dial(t, srv)
	w.ok(codec.OpCreateList, "l", false)
	many := make([]any, 1, elements+1)
	many[0] = "l"
	for i := range elements {
		many = append(many, i)
	}
	w.ok(codec.OpListExtend, many...)
	for range 3 {
		w.write(append(w.request(codec.OpListAll, "l"), w.request(codec.OpPing)...))
		got, err := w.replies(w.id-1, 2)
		if err != nil {
			t.Fatal(err)
		}
		values := decodeAll(t, got[0].Body)
		if len(values) != elements || values[elements-1] != int64(elements-1) || got[1].Status != codec.StatusOK {
			t.Fatalf("%d elements, ping %v", len(values), got[1].Status)
		}
	}
}

// TestRecordsTampered changes, repeats and drops records: the server executes nothing of them,
// sends the reason and closes the connection. Others are served.
func TestRecordsTampered(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	other := dial(t, srv)
	other.ok(codec.OpCreateDict, "d", false)
	cases := map[string]func(first, second []byte) []byte{
		"length":   func(first, _ []byte) []byte { first[0] ^= 1; return append(first, make([]byte, 1)...) },
		"too long": func(first, _ []byte) []byte { first[2] = 2; return first },
		"text":     func(first, _ []byte) []byte { first[8] ^= 1; return first },
		"tag":      func(first, _ []byte) []byte { first[len(first)-1] ^= 1; return first },
		"repeated": func(first, _ []byte) []byte { return append(bytes.Clone(first), first...) },
		"dropped":  func(_, second []byte) []byte { return second },
		"plaintext": func(_, _ []byte) []byte {
			return append((&wire{TB: t}).request(codec.OpDictIncrement, "d", "plaintext", 1), make([]byte, 100)...)
		},
	}
	for name, change := range cases {
		s := dialSealed(t, srv)
		first := s.records(s.request(codec.OpDictIncrement, "d", name, 1))
		second := s.records(s.request(codec.OpDictIncrement, "d", name, 1))
		if _, err := s.raw.Write(change(first, second)); err != nil {
			t.Fatal(err)
		}
		if err := s.last(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		want := []any{absent{}}
		if name == "repeated" {
			want[0] = int64(1)
		}
		if got := other.ok(codec.OpDictGetMany, "d", name); got[0] != want[0] {
			t.Errorf("%s: %v was done", name, got)
		}
		reply, err := s.reply()
		for ; err == nil && reply.ID != 0; reply, err = s.reply() {
		}
		if err != nil || reply.Status != codec.StatusBadFrame {
			t.Errorf("%s: %v, %v", name, reply.Status, err)
		}
	}
	if n := srv.Info().BadFrames; n != uint64(len(cases)) {
		t.Errorf("INFO counts %d bad frames", n)
	}
}

// TestEnds: each side's end differs from a cut connection.
func TestEnds(t *testing.T) {
	t.Parallel()
	srv := startServer(t, func(cfg *Config) { cfg.Encrypt, cfg.IdleTimeout = true, time.Second })
	s := dialSealed(t, srv)
	end, err := s.seal.End(s.records(s.request(codec.OpPing)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw.Write(end); err != nil {
		t.Fatal(err)
	}
	if err := s.last(); !errors.Is(err, io.EOF) {
		t.Errorf("after the client's end: %v", err)
	}
	if reply, err := s.reply(); err != nil || reply.Status != codec.StatusOK {
		t.Errorf("what came before the end: %v, %v", reply.Status, err)
	}
	if err := dialSealed(t, srv).last(); !errors.Is(err, io.EOF) {
		t.Errorf("idle: %v", err)
	}
	stopped := dialSealed(t, srv)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := srv.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := stopped.last(); !errors.Is(err, io.EOF) {
		t.Errorf("the server stopped: %v", err)
	}
}

// TestRequestsAfterClientFin: with encryption the first requests may follow ClientFin immediately,
// in the same packet or cut from it anywhere.
func TestRequestsAfterClientFin(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	for cut := range 60 {
		w := dialSilent(t, srv)
		hs := newClient(testKey, true)
		w.write(hs.Hello(nil))
		var fin []byte
		for len(fin) == 0 || fin[0] != 5 { // ClientFin
			n, reply, err := hs.Next(w.in, nil)
			if errors.Is(err, secure.ErrShort) {
				if err := w.read(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if w.in, fin = w.in[n:], reply; fin[0] != 5 {
				w.write(fin)
			}
		}
		seal, opener := hs.Records() // before the server's proof: the client must not believe anything yet
		out, err := seal.Seal(fin, w.request(codec.OpPing))
		if err != nil {
			t.Fatal(err)
		}
		w.write(out[:cut])
		w.write(out[cut:])
		for {
			n, _, err := hs.Next(w.in, nil)
			if err == nil {
				w.in = w.in[n:]
				break
			}
			if !errors.Is(err, secure.ErrShort) {
				t.Fatal(err)
			}
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
		}
		w.conn, w.in = &recordConn{Conn: w.conn, seal: seal, in: secure.NewReader(w.conn, opener, w.in)}, nil
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Fatalf("cut at %d: %v, %v", cut, reply.Status, err)
		}
		_ = w.conn.Close()
	}
}

// TestTooMuchBeforeAuthentication: a client that sends more than a handshake has is refused.
func TestTooMuchBeforeAuthentication(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	w := dialSilent(t, srv)
	hs := newClient(testKey, true)
	w.write(hs.Hello(nil))
	var share []byte
	for share == nil {
		_, reply, err := hs.Next(w.in, nil)
		if share = reply; errors.Is(err, secure.ErrShort) {
			share, err = nil, w.read()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.in = nil
	w.write(append(share, make([]byte, 4*secure.MaxClientBytes)...)) // while the arithmetic is done
	if !w.closed() {
		t.Error("the connection stays open")
	}
	if n := srv.Info().Refused; n != 1 {
		t.Errorf("INFO counts %d refused", n)
	}
}

// TestManyWrongPasswords: wrong passwords from this machine are refused and counted, and do not
// delay a right one.
func TestManyWrongPasswords(t *testing.T) {
	t.Parallel()
	srv := startServer(t, encrypting)
	const guesses = 50
	for range guesses {
		w, err := tryDial(t, srv, make([]byte, 32))
		var refusal *secure.Refusal
		if !errors.As(err, &refusal) || refusal.Code != secure.RefusedPassword {
			t.Fatal(err)
		}
		_ = w.conn.Close()
	}
	start := time.Now()
	dial(t, srv).ok(codec.OpPing)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a right password took %v", took)
	}
	if info := srv.Info(); info.FailedLogins != guesses || info.Refused != guesses || !info.Encrypted ||
		info.WaitingLogins != 0 {
		t.Errorf("INFO: %+v", info)
	}
}

// TestAllowedWithEncryption: a server that encrypts accepts this machine, and others only with
// Config.Allow.
func TestAllowedWithEncryption(t *testing.T) {
	for _, c := range []struct {
		encrypt bool
		allow   string
		addr    string
		want    bool
	}{
		{true, "", "127.0.0.1", true},
		{true, "", "::1", true},
		{true, "", "::ffff:127.0.0.1", true},
		{true, "", "127.0.0.2", false},
		{true, "", "192.0.2.1", false},
		{true, "", "2001:db8::1", false},
		{true, "192.0.2.0/24", "192.0.2.1", true},
		{true, "192.0.2.0/24", "::ffff:192.0.2.1", true},
		{true, "192.0.2.0/24", "127.0.0.1", false},
		{true, "2001:db8::/32", "2001:db8::1", true},
		{true, "::/0", "192.0.2.1", false},
		{false, "", "192.0.2.1", true},
	} {
		cfg := Config{Addr: ":0", Encrypt: c.encrypt, KDF: testKDF}
		if c.allow != "" {
			cfg.Allow = []netip.Prefix{netip.MustParsePrefix(c.allow)}
		}
		cfg, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		srv := &Server{cfg: cfg}
		if err := srv.initAccess(); err != nil {
			t.Fatal(err)
		}
		if got := srv.Allowed(&net.TCPAddr{IP: net.ParseIP(c.addr)}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
