package client

import (
	"context"
	"errors"
	"flag"
	"net"
	"sync"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/codec/value"
)

// peer is a server for tests of the connection. It speaks the protocol, has one flat dict, and can
// be made to misbehave.
type peer struct {
	t        testing.TB
	listener net.Listener
	kdf      secure.KDF
	key      []byte
	limits   secure.Limits
	encrypt  bool

	mu    sync.Mutex
	conns map[net.Conn]bool // true: authenticated
	dict  map[string][]byte
	log   []codec.Opcode // of the requests applied, in order

	// answer, if set, replaces the usual handling: it returns the frames to send.
	answer func(p *peer, req codec.Request) []byte
	// constant, if set before the first connection, is the body of every reply.
	constant []byte
	// ended, if set before the first connection, is called with the error that ended each one.
	ended func(error)
	// split, if set, is the size in bytes of the pieces in which replies are sent.
	split int
}

// encrypted makes every server of these tests encrypt: go test ./client -encrypted.
var encrypted = flag.Bool("encrypted", false, "run the tests with encryption")

const peerPassword = "correct horse"

var peerSalt = [16]byte{1, 2, 3}

// peerKey is derived once for all tests, as a process does.
var peerKey = sync.OnceValues(func() (secure.KDF, []byte) {
	kdf := secure.KDF{LogN: secure.MinLogN, Salt: peerSalt}
	key, err := kdf.Key(peerPassword)
	if err != nil {
		panic(err)
	}
	return kdf, key
})

func startPeer(t testing.TB) *peer {
	t.Helper()
	return startPeerWith(t, nil)
}

func startPeerWith(t testing.TB, constant []byte) *peer {
	t.Helper()
	p := &peer{
		t:        t,
		constant: constant,
		limits:   secure.Limits{MaxFrameBytes: codec.MaxFrameBytes, MaxValueBytes: value.MaxValueBytes},
		encrypt:  *encrypted,
	}
	p.kdf, p.key = peerKey()
	p.conns, p.dict = map[net.Conn]bool{}, map[string][]byte{}
	p.listen("127.0.0.1:0")
	t.Cleanup(p.stop)
	return p
}

func (p *peer) addr() string { return p.listener.Addr().String() }

func (p *peer) listen(addr string) {
	p.t.Helper()
	var err error
	if p.listener, err = net.Listen("tcp", addr); err != nil {
		p.t.Fatal(err)
	}
	listener := p.listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
}

// stop closes the listener and all connections, as a killed server does.
func (p *peer) stop() {
	_ = p.listener.Close()
	p.kill()
}

// kill closes all connections.
func (p *peer) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	clear(p.conns)
}

// with runs f with mu held.
func (p *peer) with(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *peer) serve(conn net.Conn) {
	defer conn.Close()
	p.with(func() { p.conns[conn] = false })
	raw := conn
	conn, buf, err := p.open(conn)
	p.with(func() {
		delete(p.conns, raw)
		p.conns[conn] = err == nil
	})
	defer p.with(func() { delete(p.conns, conn) })
	if p.constant != nil {
		p.serveConstant(conn)
		return
	}
	for err == nil {
		var out []byte
		used := 0
		for {
			req, n, err := codec.ParseRequest(buf[used:])
			if err != nil {
				break
			}
			used += n
			p.with(func() { out = append(out, p.handle(req)...) })
		}
		buf = append([]byte(nil), buf[used:]...)
		if err = p.send(conn, out); err == nil {
			buf, err = readMore(conn, buf)
		}
	}
	p.with(func() {
		if p.ended != nil {
			p.ended(err)
		}
	})
}

// serveConstant gives every request the same answer, without allocating.
func (p *peer) serveConstant(conn net.Conn) {
	in, out := make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	for {
		n, err := conn.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		in, out = in[:len(in)+n], out[:0]
		used := 0
		for {
			req, n, err := codec.ParseRequest(in[used:])
			if err != nil {
				break
			}
			used += n
			out = codec.AppendReply(out, &codec.Reply{ID: req.ID, Body: p.constant})
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
		in = in[:copy(in, in[used:])]
	}
}

func readMore(conn net.Conn, buf []byte) ([]byte, error) {
	part := make([]byte, 64<<10)
	n, err := conn.Read(part)
	return append(buf, part[:n]...), err
}

func (p *peer) send(conn net.Conn, out []byte) error {
	piece := len(out)
	p.with(func() {
		if p.split > 0 {
			piece = p.split
		}
	})
	for len(out) > 0 {
		n, err := conn.Write(out[:min(piece, len(out))])
		if err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}

// open runs the server's side of the handshake. The connection that it returns seals and opens if
// the peer encrypts.
func (p *peer) open(conn net.Conn) (_ net.Conn, buf []byte, err error) {
	var s *secure.Server
	p.with(func() {
		s = secure.NewServer(
			&secure.ServerConfig{Key: p.key, KDF: p.kdf, Limits: p.limits, Encrypt: p.encrypt},
			secure.NewEphemeral(),
		)
	})
	for !s.Done() {
		n, out, err := s.Next(buf, nil)
		if errors.Is(err, secure.ErrCompute) {
			s.Compute()
			_, out, err = s.Next(nil, out)
		}
		if len(out) > 0 {
			if err := p.send(conn, out); err != nil {
				return conn, nil, err
			}
		}
		switch {
		case errors.Is(err, secure.ErrShort):
			if buf, err = readMore(conn, buf); err != nil {
				return conn, nil, err
			}
		case err != nil:
			return conn, nil, err
		}
		buf = buf[n:]
	}
	if seal, opener := s.Records(); seal != nil {
		return &recordConn{Conn: conn, seal: seal, in: secure.NewReader(conn, opener, buf)}, nil, nil
	}
	return conn, buf, nil
}

// recordConn is a connection that seals what is written and opens what is read.
type recordConn struct {
	net.Conn
	seal    *secure.Sealer
	in      *secure.Reader
	records []byte
}

func (c *recordConn) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *recordConn) Write(b []byte) (n int, err error) {
	if c.records, err = c.seal.Seal(c.records[:0], b); err != nil {
		return 0, err
	}
	if _, err = c.Conn.Write(c.records); err != nil {
		return 0, err
	}
	return len(b), nil
}

// handle answers one request; mu is held.
func (p *peer) handle(req codec.Request) []byte {
	if p.answer != nil {
		return p.answer(p, req)
	}
	return p.usual(req)
}

func (p *peer) usual(req codec.Request) []byte {
	p.log = append(p.log, req.Op)
	args := split(req.Args)
	switch req.Op {
	case codec.OpPing:
		return ok(req.ID, nil)
	case codec.OpDictSet:
		p.dict[string(args[1])] = append([]byte(nil), args[2]...)
		return ok(req.ID, nil)
	case codec.OpDictGet:
		v, found := p.dict[string(args[1])]
		if !found {
			return failure(
				req.ID,
				&codec.Error{Status: codec.StatusKeyError, Message: "absent", Table: "t", Key: args[1]},
			)
		}
		return ok(req.ID, v)
	}
	return failure(req.ID, &codec.Error{Status: codec.StatusUnknownOpcode, Message: "not in this test"})
}

func split(b []byte) (args [][]byte) {
	for len(b) > 0 {
		_, n, err := govalue.Decode(b)
		if err != nil {
			return args
		}
		args, b = append(args, b[:n]), b[n:]
	}
	return args
}

func ok(id uint32, body []byte) []byte {
	return codec.AppendReply(nil, &codec.Reply{ID: id, Body: body})
}

func failure(id uint32, e *codec.Error) []byte {
	return codec.AppendReply(nil, &codec.Reply{ID: id, Status: e.Status, Body: codec.AppendErrorBody(nil, e)})
}

// dialPeer returns a client of p.
func dialPeer(t testing.TB, p *peer, change func(*Options)) *Client {
	t.Helper()
	o := Options{Addr: p.addr(), Password: peerPassword, Encrypt: p.encrypt}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
