package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"cyberdb-fast/codec/foreign"
	"cyberdb-fast/codec/secure"
)

// maxGreeting bounds what is read before the server's proof; its longest message is a refusal.
const maxGreeting = 4096

// opened is a connection on which both sides have proved the password.
type opened struct {
	conn   net.Conn
	limits secure.Limits
	rest   []byte         // what was read behind the server's proof
	seal   *secure.Sealer // nil: the connection is not encrypted
	opener *secure.Opener
}

// dial connects and proves the password.
func dial(ctx context.Context, o *Options) (opened, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	network, addr := o.network()
	conn, err := o.Dial(ctx, network, addr)
	if err != nil {
		return opened{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	result, err := handshake(conn, o)
	if !stop() { // the deadline of conn is in the past, or about to be
		err = fmt.Errorf("no proof within %s", o.DialTimeout)
	}
	if err != nil {
		_ = conn.Close()
		return opened{}, fmt.Errorf("opening %s: %w", o.Addr, refused(err))
	}
	return result, nil
}

// handshake runs the opening messages of PROTOCOL.md.
func handshake(conn net.Conn, o *Options) (opened, error) {
	c := secure.NewClient(secure.ClientConfig{
		Key:     func(kdf secure.KDF) ([]byte, error) { return keys.key(o.Addr, o.Password, kdf) },
		Encrypt: o.Encrypt,
	}, secure.NewEphemeral())
	if _, err := conn.Write(c.Hello(nil)); err != nil {
		return opened{}, err
	}
	buf, err := readFirst(conn, o.Addr, make([]byte, 0, maxGreeting))
	if err != nil {
		return opened{}, err
	}
	for !c.Done() {
		n, reply, err := c.Next(buf, nil)
		switch {
		case err == nil:
			buf = buf[n:]
			if len(reply) > 0 {
				if _, err := conn.Write(reply); err != nil {
					return opened{}, err
				}
			}
			continue
		case !errors.Is(err, secure.ErrShort):
			return opened{}, asProtocol(err)
		case len(buf) == cap(buf):
			return opened{}, fmt.Errorf("%w: the server's opening message is too long", ErrProtocol)
		}
		read, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return opened{}, err
		}
		buf = buf[:len(buf)+read]
	}
	result := opened{conn: conn, limits: c.Limits(), rest: buf}
	result.seal, result.opener = c.Records()
	return result, nil
}

// readFirst reads the beginning of the server's answer to Hello into buf, and more of it if that is
// needed to tell what a server speaks that is none of ours. Errors: ErrProtocol, wrapped, of such a
// server.
func readFirst(conn net.Conn, addr string, buf []byte) ([]byte, error) {
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) == 0 && errors.Is(err, io.EOF):
			return nil, fmt.Errorf(
				"%w: the server ended the connection without an answer: is it a cyberdb-fast server, with no "+
					"TLS in front of it?",
				err,
			)
		case len(buf) == 0:
			return nil, err
		case secure.IsServer(buf):
			return buf, nil
		}
		if what, sure := foreign.Server(buf); sure || err != nil {
			return nil, fmt.Errorf("%w: the server at %s %s", ErrProtocol, addr, what)
		}
	}
}

// asProtocol marks a server's message that the handshake did not expect; a refusal that the server
// itself sent stays one.
func asProtocol(err error) error {
	var refusal *secure.Refusal
	if errors.As(err, &refusal) && refusal.Code == secure.RefusedMessage {
		return fmt.Errorf("%w: %s", ErrProtocol, refusal.Text)
	}
	return err
}
