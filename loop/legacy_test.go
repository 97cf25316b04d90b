package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
)

// legacyPassword is a password that CyberDB's clients accept.
const legacyPassword = "correct horse battery"

func legacyOn(change func(cfg *Config)) func(cfg *Config) {
	return func(cfg *Config) {
		cfg.Legacy, cfg.Password, cfg.Encrypt = true, legacyPassword, false
		if change != nil {
			change(cfg)
		}
	}
}

// legacyConn is a client of CyberDB's wire.
type legacyConn struct {
	testing.TB
	net.Conn
	cipher *legacy.Cipher
	in     []byte
}

func dialLegacy(t testing.TB, srv *Server) *legacyConn {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &legacyConn{TB: t, Conn: conn, cipher: srv.access.Load().cipher}
}

// say sends a pickle as a message, in pieces of so many bytes; 0: in one piece.
func (c *legacyConn) say(message []byte, piece int) {
	c.Helper()
	if c.cipher != nil {
		message = pickle.AppendBytes(pickle.AppendText(pickle.AppendDict(pickle.Begin(nil)), "content"), message)
		message = pickle.End(pickle.EndDict(message))
		c.cipher.XOR(message, 0)
	}
	if piece == 0 {
		piece = len(message)
	}
	for len(message) > 0 {
		n := min(piece, len(message))
		if _, err := c.Write(message[:n]); err != nil {
			c.Fatal(err)
		}
		message = message[n:]
	}
}

// hear reads one message; its pickle is that of a whole one.
func (c *legacyConn) hear() ([]byte, error) {
	c.Helper()
	room := make([]byte, 64<<10)
	for {
		plain := bytes.Clone(c.in)
		if c.cipher != nil {
			c.cipher.XOR(plain, 0)
		}
		var u pickle.Unpickler
		root, n, err := u.Parse(plain)
		switch {
		case err == nil && c.cipher != nil:
			c.in = c.in[n:]
			return bytes.Clone(root.Field("content").Text()), nil
		case err == nil:
			c.in = c.in[n:]
			return plain[:n], nil
		case !errors.Is(err, pickle.ErrShort):
			return nil, err
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return nil, err
		}
		n, err = c.Read(room)
		c.in = append(c.in, room[:n]...)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

func pickled(t testing.TB, v any) []byte {
	t.Helper()
	encoded, err := govalue.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pickle.AppendPickle(nil, encoded)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// exchange makes a complete exchange and returns the reply.
func (c *legacyConn) exchange(body []byte, piece int) (reply govalue.Dict, err error) {
	c.Helper()
	for _, message := range [][]byte{pickled(c, (len(body)+200+4095)/4096), body, pickled(c, "ready")} {
		c.say(message, piece)
		answer, err := c.hear()
		if err != nil {
			return nil, err
		}
		var u pickle.Unpickler
		root, _, err := u.Parse(answer)
		if err != nil {
			return nil, err
		}
		if root.Kind() != pickle.Dict {
			continue
		}
		encoded, err := root.Append(nil)
		if err != nil {
			return nil, err
		}
		v, _, err := govalue.Decode(encoded)
		return v.(govalue.Dict), err
	}
	return nil, errors.New("three messages, and no reply")
}

// request makes a request of names and fields; the password is added.
func request(t testing.TB, route string, fields ...any) []byte {
	d := govalue.Dict{{Key: "route", Value: route}}
	for i := 0; i < len(fields); i += 2 {
		d = append(d, govalue.Pair{Key: fields[i], Value: fields[i+1]})
	}
	return pickled(t, append(d, govalue.Pair{Key: "password", Value: legacyPassword}))
}

// done makes an exchange that must succeed, and returns the content.
func (c *legacyConn) done(route string, fields ...any) any {
	c.Helper()
	reply, err := c.exchange(request(c, route, fields...), 0)
	if code, _ := reply.Get("code"); err != nil || code != int64(1) {
		c.Fatalf("%s: %v, %v", route, reply, err)
	}
	if _, echoed := reply.Get("password"); echoed || strings.Contains(fmt.Sprint(reply), legacyPassword) {
		c.Errorf("%s: the reply contains the password: %v", route, reply)
	}
	content, _ := reply.Get("content")
	return content
}

// isClosed waits for the end of the connection.
func (c *legacyConn) isClosed(within time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestLegacyAndNative: both wires work on one port, on the same tables.
func TestLegacyAndNative(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	native, err := tryDial(t, srv, keyOf(t, legacyPassword))
	if err != nil {
		t.Fatal(err)
	}
	c := dialLegacy(t, srv)
	c.done("/create_cyberdict", "table_name", "d", "content", govalue.Dict{{Key: "k", Value: 1}})
	native.ok(codec.OpDictSet, "d", "n", 2)
	if got := fmt.Sprint(c.done("/cyberdict/items", "table_name", "d")); got != "[[k 1] [n 2]]" {
		t.Error(got)
	}
	if got := c.done("/cyberdict/repr", "table_name", "d"); got != "{'k': 1, 'n': 2}" {
		t.Error(got)
	}
}

// TestLegacyObjects: an object that a client of CyberDB would run code to read is sent only to
// clients that are allowed such objects, wherever it comes from.
func TestLegacyObjects(t *testing.T) {
	t.Parallel()
	evil := govalue.Object{Class: "posix.system", Data: []byte("cposix\nsystem\n(S'echo pwned'\ntR.")}
	key, err := testKDF.Key(legacyPassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, opaque := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.LegacyOpaque = opaque }))
		native, err := tryDial(t, srv, key)
		if err != nil {
			t.Fatal(err)
		}
		native.ok(codec.OpCreateDict, "d", true)
		native.ok(codec.OpCreateList, "l", true)
		native.ok(codec.OpDictSet, "d", "k", []any{govalue.Tuple{1, evil}})
		native.ok(codec.OpListAppend, "l", evil)
		c := dialLegacy(t, srv)
		for route, fields := range map[string][]any{
			"/cyberdict/getitem": {"table_name", "d", "key", "k"}, "/cyberdict/get": {"table_name", "d", "key", "k", "default", nil},
			"/cyberdict/setdefault": {"table_name", "d", "key", "k", "default", nil}, "/cyberdict/todict": {"table_name", "d"}, "/cyberdict/items": {"table_name", "d"},
			"/cyberdict/values": {"table_name", "d"}, "/cyberlist/getitem": {"table_name", "l", "index", 0}, "/cyberlist/tolist": {"table_name", "l"},
		} {
			c.say(pickled(t, 1), 0)
			if _, err := c.hear(); err != nil {
				t.Fatal(err)
			}
			c.say(request(t, route, fields...), 0)
			if _, err := c.hear(); err != nil {
				t.Fatal(err)
			}
			c.say(pickled(t, "ready"), 0)
			reply, err := c.hear()
			if err != nil {
				t.Fatal(err)
			}
			if given, refused := bytes.Contains(
				reply,
				[]byte("pwned"),
			), bytes.Contains(
				reply,
				[]byte("--keep-opaque"),
			); given != opaque ||
				refused == opaque {
				t.Errorf("%s, opaque %v: %q", route, opaque, reply)
			}
		}
		if got := c.done("/cyberlist/repr", "table_name", "l"); !strings.Contains(got.(string), "posix.system") {
			t.Errorf("the text: %v", got)
		}
	}
}

// TestLegacyCostlyShortRequests: a short request that asks for much runs in the background, and is
// refused if it asks for too much.
func TestLegacyCostlyShortRequests(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(func(cfg *Config) { cfg.EventLoops = 1 }))
	c := dialLegacy(t, srv)
	c.done("/create_cyberlist", "table_name", "l", "content", []any{})
	huge := new(big.Int).Lsh(big.NewInt(1), 20_000)
	for _, step := range []struct {
		obj  any
		want string
	}{
		{govalue.Range{Start: int64(0), Stop: int64(50_000), Step: int64(1)}, "50000"},
		{strings.Repeat("x", 10_000), "60000"},
		{govalue.Range{Start: int64(7), Stop: int64(-20_000), Step: int64(-3)}, "66669"},
		{govalue.Range{Start: int64(7), Stop: int64(7), Step: int64(-3)}, "66669"},
		{govalue.Range{Start: int64(0), Stop: int64(5_000_000), Step: int64(1)}, "a range of more than 1048576 numbers"},
		{govalue.Range{Start: huge, Stop: new(big.Int).Add(huge, big.NewInt(1_000_000)), Step: int64(1)}, "a range of more than 67108864 bytes of numbers"},
	} {
		reply, err := c.exchange(request(t, "/cyberlist/extend", "table_name", "l", "obj", step.obj), 0)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(reply)
		if code, _ := reply.Get("code"); code == int64(1) {
			got = fmt.Sprint(c.done("/cyberlist/len", "table_name", "l"))
		}
		if !strings.Contains(got, step.want) {
			t.Errorf("%.50v: %.200s, want %s", step.obj, got, step.want)
		}
	}
}

// TestLegacyCutAnywhere: messages arrive in pieces of any size, plain and encrypted.
func TestLegacyCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.Encrypt = encrypt }))
		c := dialLegacy(t, srv)
		text := strings.Repeat("0123456789", 3000)
		c.done("/create_cyberdict", "table_name", "d", "content", govalue.Dict{})
		for _, piece := range []int{1, 7, 4096, 4097} {
			if piece == 1 {
				text = text[:300]
			}
			if _, err := c.exchange(
				request(t, "/cyberdict/setitem", "table_name", "d", "key", piece, "value", text),
				piece,
			); err != nil {
				t.Fatalf("pieces of %d: %v", piece, err)
			}
			if got := c.done("/cyberdict/getitem", "table_name", "d", "key", piece); got != text {
				t.Errorf("pieces of %d: %.50v", piece, got)
			}
		}
	}
}

// TestLegacyNothingHangs: what the original answers with silence is answered or closed immediately;
// nothing is executed, and the server continues.
func TestLegacyNothingHangs(t *testing.T) {
	t.Parallel()
	for _, encrypt := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.Encrypt = encrypt }))
		for name, messages := range map[string][][]byte{
			"an announcement that is a text":   {pickled(t, "1")},
			"one that is a float":              {pickled(t, 1.0)},
			"of no blocks":                     {pickled(t, 0)},
			"of a negative number":             {pickled(t, -1)},
			"of too many":                      {pickled(t, 1<<20)},
			"one that calls something":         {[]byte("cos\nsystem\n(S'echo pwned'\ntR.")},
			"half of one":                      {{0x80, 4, 0x95}},
			"a text without an end":            {[]byte("Vabc")},
			"no pickle":                        {{0xff, 0xff}},
			"a request that is a list":         {pickled(t, 1), pickled(t, []any{1, 2})},
			"one that is garbage":              {pickled(t, 1), []byte("garbage")},
			"one without a password":           {pickled(t, 1), pickled(t, govalue.Dict{{Key: "route", Value: "/connect"}})},
			"one with another":                 {pickled(t, 1), pickled(t, govalue.Dict{{Key: "route", Value: "/connect"}, {Key: "password", Value: "x"}})},
			"one that is not done when it is":  {pickled(t, 1), append([]byte("}("), bytes.Repeat([]byte{'N'}, 5000)...)},
			"no answer to the reply's number":  {pickled(t, 1), request(t, "/connect"), pickled(t, "steady")},
			"half of an answer":                {pickled(t, 1), request(t, "/connect"), {0x80, 4, 0x8c}},
			"a native connection's beginning?": {[]byte("\xf7CDB\x00")},
		} {
			c := dialLegacy(t, srv)
			for i, message := range messages {
				c.say(message, 0)
				if i < len(messages)-1 {
					if _, err := c.hear(); err != nil {
						t.Errorf("%s: message %d: %v", name, i, err)
					}
				}
			}
			if !c.isClosed(2 * time.Second) {
				t.Errorf("%s, encrypted %v: the connection is open", name, encrypt)
			}
		}
		for name, body := range map[string][]byte{
			"an unknown route":         request(t, "/nope"),
			"a route that is no text":  pickled(t, govalue.Dict{{Key: "route", Value: 5}, {Key: "password", Value: legacyPassword}}),
			"no route":                 pickled(t, govalue.Dict{{Key: "password", Value: legacyPassword}}),
			"no key":                   request(t, "/cyberdict/getitem", "table_name", "t"),
			"a list as a table's name": request(t, "/create_cyberdict", "table_name", []any{1}, "content", govalue.Dict{}),
			"a sort text":              request(t, "/cyberlist/sort", "table_name", "t", "key", "import os", "reverse", false),
		} {
			reply, err := dialLegacy(t, srv).exchange(body, 0)
			if code, _ := reply.Get("code"); err != nil || code != int64(0) {
				t.Errorf("%s: %v, %v", name, reply, err)
			}
		}
		if info := srv.Info(); info.Panics > 0 {
			t.Errorf("%d panics", info.Panics)
		}
		dialLegacy(t, srv).done("/connect")
	}
}

// TestLegacyWrongPassword: a wrong password closes the connection and is counted, in the first
// request and in a later one.
func TestLegacyWrongPassword(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	wrong := pickled(t, govalue.Dict{{Key: "route", Value: "/connect"}, {Key: "password", Value: legacyPassword + "0"}})
	for range 3 {
		if reply, err := dialLegacy(t, srv).exchange(wrong, 0); err == nil {
			t.Fatalf("answered with %v", reply)
		}
	}
	c := dialLegacy(t, srv)
	c.done("/connect")
	if reply, err := c.exchange(wrong, 0); err == nil {
		t.Fatalf("answered with %v", reply)
	}
	within(t, 2*time.Second, func() error {
		if n := srv.Info().FailedLogins; n != 4 {
			return fmt.Errorf("%d failed logins", n)
		}
		return nil
	})
}

// TestLegacyUnauthenticatedInput: the input of all connections that have not authenticated is
// bounded together; authenticated ones continue.
func TestLegacyUnauthenticatedInput(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	srv := startLimited(t, legacyOn(nil), func(l *limits) { l.unauthenticatedBytes = most })
	proven := dialLegacy(t, srv)
	proven.done("/create_cyberlist", "table_name", "l", "content", []any{})
	begun := request(t, "/cyberlist/append", "table_name", "l", "value", strings.Repeat("x", 300<<10))
	var all []*legacyConn
	for range 5 {
		c := dialLegacy(t, srv)
		c.say(pickled(t, 100), 0)
		if _, err := c.hear(); err != nil {
			t.Fatal(err)
		}
		c.say(begun[:len(begun)-1], 0)
		all = append(all, c)
	}
	within(t, testTimeout, func() error {
		if n := srv.Info().Overrun; n != 2 {
			return fmt.Errorf("%d connections closed, %d bytes counted", n, srv.legacy.unauthenticated.Load())
		}
		return nil
	})
	if counted := srv.legacy.unauthenticated.Load(); counted > most {
		t.Errorf("%d bytes counted", counted)
	}
	proven.done("/cyberlist/append", "table_name", "l", "value", strings.Repeat("y", 2*most))
	for _, c := range all {
		c.Close()
	}
	within(t, testTimeout, func() error {
		if counted := srv.legacy.unauthenticated.Load(); counted != 0 {
			return fmt.Errorf("%d bytes counted", counted)
		}
		return nil
	})
}

// TestLegacyAuthTimeout: a client may send nothing for long. One that has begun a message must go
// on; a native one must authenticate.
func TestLegacyAuthTimeout(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	silent, begun, native := dialLegacy(t, srv), dialLegacy(t, srv), dialLegacy(t, srv)
	begun.say(pickled(t, 2), 0)
	if _, err := begun.hear(); err != nil {
		t.Fatal(err)
	}
	body := request(t, "/connect")
	if _, err := begun.Write(body[:20]); err != nil {
		t.Fatal(err)
	}
	if _, err := native.Write([]byte("\xf7CDBF")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for name, c := range map[string]*legacyConn{"legacy": begun, "native": native} {
		if !c.isClosed(handshakeTime + 2*time.Second) {
			t.Errorf("%s: open after %v", name, time.Since(start))
		}
	}
	if took := time.Since(start); took < handshakeTime-time.Second {
		t.Errorf("closed after %v already", took)
	}
	silent.done("/connect")
}

// TestLegacyOnThisMachineAlone: other machines may not use CyberDB's wire, unless the Config says
// so.
func TestLegacyOnThisMachineAlone(t *testing.T) {
	t.Parallel()
	elsewhere := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}
	for _, insecure := range []bool{false, true} {
		srv := startServer(t, legacyOn(func(cfg *Config) { cfg.LegacyInsecure = insecure }))
		s := newSession(srv, elsewhere)
		s.beginLegacy()
		if s.ends() == insecure {
			t.Errorf("insecure %v: closing is %v", insecure, s.ends())
		}
	}
}

// TestLegacyStop: a server that stops ends the exchanges that have begun, and waits for no other
// client.
func TestLegacyStop(t *testing.T) {
	t.Parallel()
	srv := startServer(t, legacyOn(nil))
	idle, busy := dialLegacy(t, srv), dialLegacy(t, srv)
	idle.done("/connect")
	busy.done(
		"/create_cyberdict",
		"table_name",
		"d",
		"content",
		govalue.Dict{{Key: 1, Value: strings.Repeat("v", 500_000)}},
	)
	busy.say(pickled(t, 1), 0)
	if _, err := busy.hear(); err != nil {
		t.Fatal(err)
	}
	busy.say(request(t, "/cyberdict/todict", "table_name", "d"), 0)
	if _, err := busy.hear(); err != nil { // the reply is announced
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		stopped <- srv.Stop(ctx)
	}()
	busy.say(pickled(t, "ready"), 0)
	if reply, err := busy.hear(); err != nil || len(reply) < 500_000 {
		t.Errorf("%d bytes of the reply, %v", len(reply), err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
