package client

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// stuckConn is a connection whose writes block from the call of stick until it is closed. To the
// client it is not a plain socket.
type stuckConn struct {
	net.Conn
	mu      sync.Mutex
	stuck   bool
	waiting chan struct{} // receives when a write blocks
	closed  chan struct{}
	once    sync.Once
}

func (c *stuckConn) stick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = true
}

func (c *stuckConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	stuck := c.stuck
	c.mu.Unlock()
	if stuck {
		c.waiting <- struct{}{}
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestUnsentIsSentAgain ends a connection with two writes on it. The write in progress is lost; the
// pending one is sent on the next connection.
func TestUnsentIsSentAgain(t *testing.T) {
	p := startPeer(t)
	first := &stuckConn{waiting: make(chan struct{}, 1), closed: make(chan struct{})}
	c := dialPeer(t, p, func(o *Options) {
		o.Conns = 1
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if first.Conn == nil {
				first.Conn = conn
				return first, err
			}
			return conn, err
		}
	})
	ctx := testContext(t)
	d := DictOf[string, int](c, "t")
	if err := d.Set(ctx, "before", 1); err != nil {
		t.Fatal(err)
	}
	first.stick()
	results := make(chan error, 2)
	go func() { results <- d.Set(ctx, "written", 1) }()
	<-first.waiting
	done := make(chan error, 1)
	go func() { done <- d.Set(ctx, "pending", 1) }()
	cn := c.slots[0].conn.Load()
	waitUntil(t, "the second write is pending", func() bool {
		cn.mu.Lock()
		defer cn.mu.Unlock()
		return len(cn.pending) > 0
	})
	_ = first.Close()
	if err := <-results; !errors.Is(err, ErrConnectionLost) {
		t.Errorf("the write in progress: got %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the pending write: %v", err)
	}
	if v, err := d.Get(ctx, "pending"); v != 1 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
}

func TestUnixSocket(t *testing.T) {
	p := startPeer(t)
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
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
			go p.serve(conn)
		}
	}()
	c, err := Open(testContext(t), "unix://"+path, &Options{Password: peerPassword, Encrypt: p.encrypt})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ping(testContext(t)); err != nil {
		t.Error(err)
	}
}
