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

// maxHandshakeBytes limits the server's handshake messages; the longest is a refusal.
const maxHandshakeBytes = 4096

// dialed is a socket on which both sides have authenticated.
type dialed struct {
	socket net.Conn
	limits secure.Limits
	rest   []byte         // input that followed the handshake
	sealer *secure.Sealer // nil: the connection is not encrypted
	opener *secure.Opener
}

// dial connects and authenticates.
func dial(ctx context.Context, o *Options) (dialed, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	network, addr := o.network()
	conn, err := o.Dial(ctx, network, addr)
	if err != nil {
		return dialed{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	result, err := handshake(conn, o)
	if !stop() { // ctx has ended, so conn's deadline is in the past or about to be
		err = fmt.Errorf("not authenticated within %s", o.DialTimeout)
	}
	if err != nil {
		_ = conn.Close()
		return dialed{}, fmt.Errorf("opening %s: %w", o.Addr, refused(err))
	}
	return result, nil
}

// handshake authenticates both sides: PROTOCOL.md, "Opening a connection".
func handshake(conn net.Conn, o *Options) (dialed, error) {
	c := secure.NewClient(secure.ClientConfig{
		Key:     func(kdf secure.KDF) ([]byte, error) { return keys.key(o.Addr, o.Password, kdf) },
		Encrypt: o.Encrypt,
	}, secure.NewEphemeral())
	if _, err := conn.Write(c.Hello(nil)); err != nil {
		return dialed{}, err
	}
	buf, err := readFirst(conn, o.Addr, make([]byte, 0, maxHandshakeBytes))
	if err != nil {
		return dialed{}, err
	}
	for !c.Done() {
		n, reply, err := c.Next(buf, nil)
		switch {
		case err == nil:
			buf = buf[n:]
			if len(reply) > 0 {
				if _, err := conn.Write(reply); err != nil {
					return dialed{}, err
				}
			}
			continue
		case !errors.Is(err, secure.ErrShort):
			return dialed{}, asProtocol(err)
		case len(buf) == cap(buf):
			return dialed{}, fmt.Errorf("%w: the server's handshake message is too long", ErrProtocol)
		}
		read, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return dialed{}, err
		}
		buf = buf[:len(buf)+read]
	}
	result := dialed{socket: conn, limits: c.Limits(), rest: buf}
	result.sealer, result.opener = c.Records()
	return result, nil
}

// readFirst appends the beginning of the server's answer to buf. If another kind of server answers,
// it reads as much as it needs to identify the protocol, and returns ErrProtocol with its name.
func readFirst(conn net.Conn, addr string, buf []byte) ([]byte, error) {
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) == 0 && errors.Is(err, io.EOF):
			return nil, fmt.Errorf(
				"%w: the server closed the connection without an answer: is it a cyberdb-fast server, with no "+
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

// asProtocol turns the handshake's error for an unexpected message into ErrProtocol. A refusal that
// the server sent stays as it is.
func asProtocol(err error) error {
	var refusal *secure.Refusal
	if errors.As(err, &refusal) && refusal.Code == secure.RefusedMessage {
		return fmt.Errorf("%w: %s", ErrProtocol, refusal.Text)
	}
	return err
}
