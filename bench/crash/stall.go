package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"cyberdb-fast/client"
)

const (
	stalledTable = "stalled"
	stalledBytes = 1 << 20
	stalledReads = 40 // more than the buffers of both sockets take
)

// deafConn stops reading once it is told to.
type deafConn struct {
	net.Conn
	deaf   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (c *deafConn) Read(b []byte) (int, error) {
	if c.deaf.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

func (c *deafConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// stall connects a client that has asked for more than it reads. The server waits for it when it
// ends.
func (srv *server) stall() (end func(), err error) {
	var conn *deafConn
	db, err := srv.connectBy(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		conn = &deafConn{Conn: c, closed: make(chan struct{})}
		return conn, err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	table := client.DictOf[string, string](db, stalledTable)
	_, err = table.Ensure(ctx)
	if err == nil {
		err = table.Set(ctx, "key", strings.Repeat("x", stalledBytes))
	}
	if err != nil {
		cancel()
		_ = db.Close()
		return nil, err
	}
	conn.deaf.Store(true)
	reads := db.Pipeline()
	for range stalledReads {
		table.With(reads).Get("key")
	}
	var reader sync.WaitGroup
	reader.Go(func() { _ = reads.Do(ctx) }) // it ends with the connection
	return func() {
		cancel()
		_ = db.Close()
		reader.Wait()
	}, nil
}
