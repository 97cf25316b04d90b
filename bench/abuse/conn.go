package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/secure"
)

// defaultTimeout is the default time to wait for a reply or the end of a connection.
const defaultTimeout = 20 * time.Second

// The client's messages of a handshake, in order.
const (
	sendsHello = iota
	sendsShare
	sendsFin
)

// conn is a client connection that may send anything.
type conn struct {
	net.Conn
	key     []byte
	encrypt bool
	// what is sent in place of a message of the handshake; nil: the message
	change func(message int, b []byte) []byte

	hs     *secure.Client
	wire   []byte // received and not parsed: messages, or the plaintext of records
	seal   *secure.Sealer
	opener *secure.Opener
	reader *secure.Reader
	id     uint32
}

// dial connects, from the given address if it is not empty, and sends nothing.
func dial(network, addr, from string, key []byte, encrypt bool) (*conn, error) {
	dialer := net.Dialer{Timeout: defaultTimeout}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := dialer.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, key: key, encrypt: encrypt}, nil
}

// upTo goes through the handshake until a message of the client is due, and returns it.
func (c *conn) upTo(message int) (due []byte, err error) {
	c.hs = secure.NewClient(
		secure.ClientConfig{Key: func(secure.KDF) ([]byte, error) { return c.key, nil }, Encrypt: c.encrypt},
		secure.NewEphemeral(),
	)
	due = c.hs.Hello(nil)
	for n := sendsHello; n < message; n++ {
		if err := c.say(n, due); err != nil {
			return nil, err
		}
		if due, err = c.next(); err != nil {
			return nil, err
		}
	}
	return due, nil
}

// say sends a message of the handshake.
func (c *conn) say(message int, b []byte) error {
	if c.change != nil {
		b = c.change(message, b)
	}
	_, err := c.Write(b)
	return err
}

// next reads the server's next message and returns the client's answer.
func (c *conn) next() ([]byte, error) {
	for {
		n, answer, err := c.hs.Next(c.wire, nil)
		if err == nil {
			c.wire = c.wire[n:]
			return answer, nil
		}
		if !errors.Is(err, secure.ErrShort) {
			return nil, err
		}
		if err := c.receive(defaultTimeout); err != nil {
			return nil, err
		}
	}
}

// login authenticates.
func (c *conn) login() error {
	fin, err := c.upTo(sendsFin)
	if err != nil {
		return err
	}
	if err := c.say(sendsFin, fin); err != nil {
		return err
	}
	if _, err := c.next(); err != nil {
		return err
	}
	c.seal, c.opener = c.hs.Records()
	return nil
}

// receive appends what arrives next, within d, to c.wire.
func (c *conn) receive(d time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	from := io.Reader(c.Conn)
	if c.opener != nil {
		if c.reader == nil { // allocated late: few of ten thousand connections read
			c.reader, c.wire = secure.NewReader(c.Conn, c.opener, c.wire), nil
		}
		from = c.reader
	}
	var buffer [16 << 10]byte
	n, err := from.Read(buffer[:])
	c.wire = append(c.wire, buffer[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// refused returns the code of the refusal that arrives before the connection ends.
func (c *conn) refused() (secure.RefusalCode, error) {
	for {
		_, _, err := secure.NewClient(secure.ClientConfig{}, secure.Ephemeral{}).Next(c.wire, nil)
		if refusal := (*secure.Refusal)(nil); errors.As(err, &refusal) {
			return refusal.Code, nil
		}
		if err := c.receive(defaultTimeout); err != nil {
			return 0, fmt.Errorf("no refusal: %w", err)
		}
	}
}

// ends waits until the server ends the connection.
func (c *conn) ends() error {
	for {
		err := c.receive(defaultTimeout)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return fmt.Errorf("the connection stays open for %v", defaultTimeout)
		}
		if err != nil {
			return nil
		}
		c.wire = c.wire[:0]
	}
}

// reset resets the connection.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// closeWrite ends this side's stream.
func (c *conn) closeWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// raw is a value that is sent unchanged.
type raw []byte

// request makes a frame with the next id.
func (c *conn) request(op codec.Opcode, args ...any) []byte {
	c.id++
	return codec.AppendRequest(nil, &codec.Request{ID: c.id, Op: op, Args: encoded(args...)})
}

func encoded(args ...any) (b []byte) {
	for _, arg := range args {
		if text, ok := arg.(raw); ok {
			b = append(b, text...)
			continue
		}
		var err error
		if b, err = govalue.Append(b, arg); err != nil {
			panic(err) // a fault of the scenario
		}
	}
	return b
}

// send sends frames, in records if the connection is encrypted.
func (c *conn) send(frames []byte) (err error) {
	if c.seal != nil {
		if frames, err = c.seal.Seal(nil, frames); err != nil {
			return err
		}
	}
	_, err = c.Write(frames)
	return err
}

// reply reads the next reply and joins the bodies of its frames.
func (c *conn) reply() (codec.Reply, error) {
	var body []byte
	for {
		reply, n, err := codec.ParseReply(c.wire)
		switch {
		case errors.Is(err, codec.ErrShort):
			if err := c.receive(defaultTimeout); err != nil {
				return reply, err
			}
		case err != nil:
			return reply, err
		default:
			body = append(body, reply.Body...)
			if c.wire = c.wire[n:]; reply.Flags&codec.FlagMore == 0 {
				reply.Body = body
				return reply, nil
			}
		}
	}
}

// call sends a request and reads its reply.
func (c *conn) call(op codec.Opcode, args ...any) (codec.Reply, error) {
	if err := c.send(c.request(op, args...)); err != nil {
		return codec.Reply{}, err
	}
	reply, err := c.reply()
	if err == nil && reply.ID != c.id {
		err = fmt.Errorf("%v: the reply is to request %d, not %d", op, reply.ID, c.id)
	}
	return reply, err
}

// ok is call for a request that must succeed.
func (c *conn) ok(op codec.Opcode, args ...any) error { return c.gets(codec.StatusOK, op, args...) }

// gets is call for a request whose reply must have the status.
func (c *conn) gets(status codec.Status, op codec.Opcode, args ...any) error {
	reply, err := c.call(op, args...)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	if reply.Status == status {
		return nil
	}
	if reply.Status == codec.StatusOK {
		return fmt.Errorf("%v succeeded, want %v", op, status)
	}
	e, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	return fmt.Errorf("%v: %w, want %v", op, e, status)
}
