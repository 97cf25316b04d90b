package main

import (
	"errors"
	"net"
	"time"

	"cyberdb-fast/codec"
)

// idlers log in and send nothing more. Connections that send a request now and then stay open.
func idlers(a *attack) error {
	quiet := make(chan error, 1)
	go func() {
		quiet <- each(300, 300, func(int) error {
			c, err := a.enter()
			if err != nil {
				return err
			}
			return c.ends()
		})
	}()
	ask := time.NewTicker(300 * time.Millisecond)
	defer ask.Stop()
	for n := 0; ; n++ {
		select {
		case err := <-quiet:
			if err == nil && n < 2 {
				err = errors.New("closed before the time")
			}
			return err
		case <-ask.C:
			if err := a.control.ok(codec.OpPing); err != nil {
				return err
			}
		}
	}
}

// halfClosed ends its side at every stage of a connection, and waits.
func halfClosed(a *attack) error {
	return each(400, 50, func(i int) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		if i%5 < 3 {
			due, err := c.upTo(i % 5)
			if err != nil {
				return err
			}
			if _, err := c.Write(due[:len(due)-1]); err != nil {
				return err
			}
		} else {
			if err := c.login(); err != nil {
				return err
			}
			if err := c.send(c.request(codec.OpPing)[:6+i%5]); err != nil {
				return err
			}
		}
		if err := c.closeWrite(); err != nil {
			return err
		}
		return c.ends()
	})
}

// cutConn is a connection that is reset after a number of written bytes.
type cutConn struct {
	*net.TCPConn
	left int
}

// Write implements io.Writer. Errors: net.ErrClosed once the connection is reset.
func (c *cutConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b[:min(c.left, len(b))])
	c.left -= n
	if err == nil && n < len(b) {
		_ = c.SetLinger(0)
		_ = c.Close()
		err = net.ErrClosed
	}
	return n, err
}

// resetEverywhere resets connections at every byte of a session.
func resetEverywhere(a *attack) error {
	const table, most = "reset", 1 << 20
	if err := a.control.ok(codec.OpCreateDict, table, false); err != nil {
		return err
	}
	session := func(cut int) (length int, err error) {
		c, err := a.connect()
		if err != nil {
			return 0, err
		}
		wire := &cutConn{c.Conn.(*net.TCPConn), cut}
		defer func() { _ = wire.Close() }()
		c.Conn = wire
		if err := c.login(); err != nil {
			return 0, err
		}
		if err := c.ok(codec.OpDictIncrement, table, "n", 1); err != nil {
			return 0, err
		}
		return cut - wire.left, c.ok(codec.OpDictGet, table, "n")
	}
	length, err := session(most)
	if err != nil {
		return err
	}
	return each(length, 16, func(cut int) error {
		if _, err := session(cut); err == nil {
			return errors.New("a session that was cut continued")
		}
		return nil
	})
}
