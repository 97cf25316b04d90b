package loop

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop/engine"
)

// encrypted makes every server of these tests encrypt: go test ./loop -encrypted.
var encrypted = flag.Bool("encrypted", false, "run the tests with encryption")

// testTimeout is how long a test waits for what must happen: on a busy machine it waits for the
// processor too.
const testTimeout = 30 * time.Second

const testPassword = "correct horse battery staple"

// testKDF has a fixed salt, so that the key is derived once per test process.
var testKDF = secure.KDF{LogN: secure.MinLogN, Salt: [16]byte{1, 2, 3}}

var testKey = func() []byte {
	key, err := testKDF.Key(testPassword)
	if err != nil {
		panic(err)
	}
	return key
}()

// startServer starts a server on a free port of the loopback address and stops it when the test
// ends.
func startServer(t testing.TB, change func(cfg *Config)) *Server {
	t.Helper()
	return startLimited(t, change, nil)
}

// startLimited is startServer with other limits than those of the Config.
func startLimited(t testing.TB, change func(cfg *Config), limit func(l *limits)) *Server {
	t.Helper()
	cfg := Config{
		Addr: "127.0.0.1:0", MaxConns: 100, EventLoops: 2, Password: testPassword, KDF: testKDF, Version: "test",
		Encrypt: *encrypted, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	limits := cfg.limits()
	if limit != nil {
		limit(&limits)
	}
	srv, err := start(cfg, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := srv.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return srv
}

// commandsWith returns the protocol's command table with some rows more, for Config.Commands.
func commandsWith(rows map[codec.Opcode]engine.Command) *engine.Commands {
	all := engine.Protocol()
	for op, row := range rows {
		all[op] = row
	}
	return all
}

// wire is one client connection that sends and receives complete frames.
type wire struct {
	testing.TB
	conn net.Conn
	in   []byte
	id   uint32
}

// dial connects and authenticates.
func dial(t testing.TB, srv *Server) *wire {
	t.Helper()
	w, err := tryDial(t, srv, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func tryDial(t testing.TB, srv *Server, key []byte) (*wire, error) {
	t.Helper()
	conn, err := net.Dial(srv.Addr().Network(), srv.Addr().String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	w := &wire{TB: t, conn: conn}
	if err = w.handshake(key, srv.cfg.Encrypt); err != nil {
		_ = conn.Close()
	}
	return w, err
}

// newClient returns the client's side of a handshake with the key.
func newClient(key []byte, encrypt bool) *secure.Client {
	return secure.NewClient(
		secure.ClientConfig{Key: func(secure.KDF) ([]byte, error) { return key, nil }, Encrypt: encrypt},
		secure.NewEphemeral(),
	)
}

func (w *wire) handshake(key []byte, encrypt bool) error {
	hs := newClient(key, encrypt)
	out := hs.Hello(nil)
	for !hs.Done() {
		if _, err := w.conn.Write(out); err != nil {
			return err
		}
		n, reply, err := hs.Next(w.in, nil)
		for errors.Is(err, secure.ErrShort) {
			if err := w.read(); err != nil {
				return err
			}
			n, reply, err = hs.Next(w.in, nil)
		}
		if err != nil {
			return err
		}
		w.in, out = w.in[n:], reply
	}
	if seal, opener := hs.Records(); seal != nil {
		w.conn = &recordConn{Conn: w.conn, seal: seal, in: secure.NewReader(w.conn, opener, w.in)}
		w.in = nil
	}
	return nil
}

// recordConn is a connection that seals what is written and opens what is read.
type recordConn struct {
	net.Conn
	seal *secure.Sealer
	in   *secure.Reader
}

func (c *recordConn) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *recordConn) Write(b []byte) (int, error) {
	records, err := c.seal.Seal(nil, b)
	if err == nil {
		_, err = c.Conn.Write(records)
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite ends what is sent, without the record that ends a stream.
func (c *recordConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// read adds what arrives to w.in.
func (w *wire) read() error {
	if err := w.conn.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		return err
	}
	var buf [16 << 10]byte
	n, err := w.conn.Read(buf[:])
	w.in = append(w.in, buf[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

func (w *wire) write(b []byte) {
	w.Helper()
	if _, err := w.conn.Write(b); err != nil {
		w.Fatal(err)
	}
}

// args encodes arguments; a rawValue is added unchanged.
type rawValue []byte

func encodeArgs(t testing.TB, args ...any) (b []byte) {
	t.Helper()
	for _, arg := range args {
		if raw, ok := arg.(rawValue); ok {
			b = append(b, raw...)
			continue
		}
		var err error
		if b, err = govalue.Append(b, arg); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// request makes a frame with the next id.
func (w *wire) request(op codec.Opcode, args ...any) []byte {
	w.Helper()
	w.id++
	return codec.AppendRequest(nil, &codec.Request{ID: w.id, Op: op, Args: encodeArgs(w, args...)})
}

// reply reads one complete reply, its frames joined. The connection's end is an error.
func (w *wire) reply() (codec.Reply, error) {
	var whole codec.Reply
	var body []byte
	for {
		reply, n, err := codec.ParseReply(w.in)
		if errors.Is(err, codec.ErrShort) {
			if err := w.read(); err != nil {
				return whole, err
			}
			continue
		}
		if err != nil {
			return whole, err
		}
		if body == nil {
			whole = reply
		}
		body = append(body, reply.Body...)
		w.in = w.in[n:]
		if reply.Flags&codec.FlagMore == 0 {
			whole.Status, whole.Body = reply.Status, body
			if reply.Status != codec.StatusOK {
				whole.Body = append([]byte(nil), reply.Body...)
			}
			return whole, nil
		}
	}
}

// call sends a request and returns its reply.
func (w *wire) call(op codec.Opcode, args ...any) codec.Reply {
	w.Helper()
	w.write(w.request(op, args...))
	reply, err := w.reply()
	if err != nil {
		w.Fatalf("%v: %v", op, err)
	}
	if reply.ID != w.id {
		w.Fatalf("%v: reply to request %d, sent %d", op, reply.ID, w.id)
	}
	return reply
}

// ok is call for a request that must succeed; it returns the body's values.
func (w *wire) ok(op codec.Opcode, args ...any) []any {
	w.Helper()
	reply := w.call(op, args...)
	if reply.Status != codec.StatusOK {
		e, _ := codec.ParseErrorBody(reply.Status, reply.Body)
		w.Fatalf("%v%v: %v", op, args, e)
	}
	return decodeAll(w, reply.Body)
}

// fails is call for a request that must fail with the given status.
func (w *wire) fails(status codec.Status, op codec.Opcode, args ...any) *codec.Error {
	w.Helper()
	reply := w.call(op, args...)
	if reply.Status != status {
		w.Fatalf("%v%v: status %v, want %v", op, args, reply.Status, status)
	}
	e, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil {
		w.Fatal(err)
	}
	return e
}

// closed says whether the server closes the connection.
func (w *wire) closed() bool {
	for {
		if err := w.read(); err != nil {
			var timeout net.Error
			return !errors.As(err, &timeout) || !timeout.Timeout()
		}
	}
}

// absent is what decodeAll returns for codec.Absent.
type absent struct{}

func decodeAll(t testing.TB, b []byte) (all []any) {
	t.Helper()
	for len(b) > 0 {
		if b[0] == codec.Absent {
			all, b = append(all, absent{}), b[1:]
			continue
		}
		v, n, err := govalue.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		all, b = append(all, v), b[n:]
	}
	return all
}
