package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cyberdb-fast/client"
)

const (
	largeBytes = 24 << 20 // more than the buffers of both sockets take
	heardBytes = 64 << 10
)

// deafConn stops reading, once told to, after a part of a large reply.
type deafConn struct {
	net.Conn
	told   atomic.Bool
	left   int // owned by the reader
	deaf   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (c *deafConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		close(c.deaf)
		<-c.closed
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(b)
	if c.told.Load() {
		c.left -= n
	}
	return n, err
}

func (c *deafConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// stall ADDRESS: until the script ends, a client there has asked for more than it reads.
func stall(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stall ADDRESS")
	}
	end, err := stallAt(args[0], ts.Getenv("CYBERDB_PASSWORD"))
	ts.Check(err)
	ts.Defer(end)
}

// stallAt connects a client that has asked for more than it reads, until end is called.
func stallAt(addr, password string) (end func(), err error) {
	var conn *deafConn
	db, err := client.New(client.Options{
		Addr: addr, Password: password, Conns: 1,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			conn = &deafConn{Conn: c, left: heardBytes, deaf: make(chan struct{}), closed: make(chan struct{})}
			return conn, err
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	large := client.DictOf[string, string](db, "large")
	var reader sync.WaitGroup
	end = func() {
		cancel()
		_ = db.Close()
		reader.Wait()
	}
	if err := errors.Join(large.Create(ctx), large.Set(ctx, "key", strings.Repeat("x", largeBytes))); err != nil {
		end()
		return nil, err
	}
	conn.told.Store(true)
	reader.Go(func() { _, _ = large.Get(ctx, "key") })
	select {
	case <-conn.deaf:
		return end, nil
	case <-ctx.Done():
		end()
		return nil, errors.New("the reply did not begin")
	}
}

// stopping ADDRESS: the server there takes no more connections, or soon will not.
func stopping(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stopping ADDRESS")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", args[0])
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = conn.Close()
		} else if !errors.Is(err, syscall.ECONNRESET) { // the listener was closed with this connection in it
			ts.Fatalf("%v", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("the server goes on taking connections")
		}
	}
}
