package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

func TestEncryptionDiffers(t *testing.T) {
	for _, encrypts := range []bool{true, false} {
		p := startPeer(t)
		p.with(func() { p.encrypt = !encrypts })
		_, err := Open(testContext(t), "", &Options{Addr: p.addr(), Password: peerPassword, Encrypt: encrypts})
		if !errors.Is(err, ErrEncryption) || !errors.Is(err, ErrRefused) ||
			!strings.Contains(err.Error(), "encryption") {
			t.Errorf("client %v, server %v: %v", encrypts, !encrypts, err)
		}
	}
}

// tapped is a connection that records its bytes and, if change is set, changes them as they arrive.
type tapped struct {
	net.Conn
	mu      sync.Mutex
	in, out []byte
	change  func(b []byte)
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.change != nil && n > 0 {
		c.change(b[:n])
	}
	c.in = append(c.in, b[:n]...)
	return n, err
}

func (c *tapped) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, b...)
	return c.Conn.Write(b)
}

// dialTapped returns a client whose only connection is tapped. It is not a plain socket, so the
// writer goroutine writes everything.
func dialTapped(t *testing.T, p *peer) (*Client, *tapped) {
	t.Helper()
	tap := make(chan *tapped, 1)
	c := dialPeer(t, p, func(o *Options) {
		o.Conns = 1
		usual, err := o.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := usual.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			tapped := &tapped{Conn: conn}
			select {
			case tap <- tapped:
			default:
			}
			return tapped, nil
		}
	})
	if err := c.Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return c, <-tap
}

// TestNothingReadable checks that an encrypted connection shows its values in neither direction.
func TestNothingReadable(t *testing.T) {
	const secret = "a secret value on the line"
	for _, encrypts := range []bool{true, false} {
		p := startPeer(t)
		p.with(func() { p.encrypt = encrypts })
		c, tap := dialTapped(t, p)
		d := DictOf[string, string](c, "t")
		ctx := testContext(t)
		if err := d.Set(ctx, "k", secret); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Get(ctx, "k"); got != secret || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		tap.mu.Lock()
		for name, b := range map[string][]byte{"sent": tap.out, "received": tap.in} {
			if bytes.Contains(b, []byte(secret)) == encrypts {
				t.Errorf("encryption %v: the value is in the bytes %s: %v", encrypts, name, !encrypts)
			}
			if bytes.Contains(b, []byte(peerPassword)) {
				t.Errorf("encryption %v: the password is in the bytes %s", encrypts, name)
			}
		}
		tap.mu.Unlock()
	}
}

// TestChangedOnTheLine flips a bit of a reply: the request fails with the reason, and the next one
// uses a new connection.
func TestChangedOnTheLine(t *testing.T) {
	p := startPeer(t)
	p.with(func() { p.encrypt = true })
	c, tap := dialTapped(t, p)
	tap.mu.Lock()
	tap.change = func(b []byte) { b[len(b)-1] ^= 1 }
	tap.mu.Unlock()
	ctx := testContext(t)
	d := DictOf[string, int](c, "t")
	if err := d.Set(
		ctx,
		"k",
		1,
	); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, ErrProtocol) ||
		!errors.Is(err, secure.ErrRecord) {
		t.Errorf("got %v", err)
	}
	if got, err := d.Get(ctx, "k"); got != 1 || err != nil {
		t.Errorf("afterwards: %d, %v", got, err)
	}
}

// TestCutOrEnded checks that the client distinguishes a connection that was cut from one that the
// server closed.
func TestCutOrEnded(t *testing.T) {
	for _, ends := range []bool{true, false} {
		p := startPeer(t)
		p.with(func() { p.encrypt = true })
		p.answer = func(p *peer, _ codec.Request) []byte {
			for conn := range p.conns {
				if r, ok := conn.(*recordConn); ok && ends {
					end, err := r.seal.End(nil)
					if err != nil {
						t.Error(err)
					}
					_, _ = r.Conn.Write(end)
				}
				_ = conn.Close()
			}
			return nil
		}
		c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
		err := c.Dict("t").Set(testContext(t), "k", 1)
		want := "was cut"
		if ends {
			want = "closed"
		}
		if !errors.Is(err, ErrConnectionLost) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("ended %v: %v, want %q", ends, err, want)
		}
	}
}

// TestClientEnds checks that Close ends an encrypted connection with an end record.
func TestClientEnds(t *testing.T) {
	p := startPeer(t)
	p.with(func() { p.encrypt = true })
	ended := make(chan error, 1)
	p.with(func() { p.ended = func(err error) { ended <- err } })
	c := dialPeer(t, p, func(o *Options) { o.Conns = 1 })
	if err := c.Ping(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the server saw %v", err)
	}
}
