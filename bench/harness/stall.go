package harness

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cyberdb-fast/client"
)

const (
	stalledTable = "stalled"
	stalledBytes = 1 << 20
	stalledReads = 40 // more than the buffers of both sockets hold
	heardBytes   = 64 << 10
)

// deafConn stops reading after a part of the replies, once asked is set.
type deafConn struct {
	net.Conn
	asked  atomic.Bool
	left   int           // owned by the reader
	deaf   chan struct{} // closed once it has stopped
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
	if c.asked.Load() {
		c.left -= n
	}
	return n, err
}

func (c *deafConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Stall connects a client that requests more than it reads, until end is called. A server that
// shuts down waits for it. The address is one for client.Open; the server gets a table named
// "stalled".
//
// Errors: those of the client; the server did not begin to reply within the time.
func Stall(addr, password string, within time.Duration) (end func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	var conn *deafConn
	db, err := client.Open(ctx, addr, &client.Options{
		Password: password, Conns: 1, WaitTimeout: time.Millisecond,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			conn = &deafConn{Conn: c, left: heardBytes, deaf: make(chan struct{}), closed: make(chan struct{})}
			return conn, err
		},
	})
	if err != nil {
		cancel()
		return nil, err
	}
	var reader sync.WaitGroup
	end = func() {
		cancel()
		_ = db.Close()
		reader.Wait()
	}
	table := client.DictOf[string, string](db, stalledTable)
	_, err = table.Ensure(ctx)
	if err == nil {
		err = table.Set(ctx, "key", strings.Repeat("x", stalledBytes))
	}
	if err != nil {
		end()
		return nil, err
	}
	conn.asked.Store(true)
	reads := db.Pipeline()
	for range stalledReads {
		table.With(reads).Get("key")
	}
	reader.Go(func() { _ = reads.Do(ctx) }) // it ends with the connection
	select {
	case <-conn.deaf:
		return end, nil
	case <-ctx.Done():
		end()
		return nil, errors.New("the reply did not begin")
	}
}
