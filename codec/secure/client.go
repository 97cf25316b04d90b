package secure

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
)

// ClientConfig is what all handshakes of a client have in common.
type ClientConfig struct {
	// Key returns KDF.Key of the password for the server's parameters. It should cache the result.
	Key     func(KDF) ([]byte, error)
	Encrypt bool // records follow the handshake; the server must have the same setting
}

// Client is the client's side of one handshake.
type Client struct {
	// constant after NewClient
	cfg   ClientConfig
	fresh Ephemeral

	// owned by the goroutine that calls Next
	transcript transcript
	step       func(b, out []byte) (n int, reply []byte, err error)
	exchange   clientExchange
	keys       *schedule
	limits     Limits
	done       bool
}

// NewClient returns the client's side for one connection.
func NewClient(cfg ClientConfig, fresh Ephemeral) *Client {
	c := &Client{cfg: cfg, fresh: fresh, transcript: newTranscript()}
	c.step = c.greeting
	return c
}

// Hello appends the client's first message to out; it is called once, first.
func (c *Client) Hello(out []byte) []byte {
	at := len(out)
	out = append(out, Magic...)
	out = appendMessage(out, typeHello, []byte{Version, Version, encryptOption(c.cfg.Encrypt)})
	c.transcript.Write(out[at:])
	return out
}

// Done reports whether both sides have authenticated: frames follow, in records if the client
// encrypts.
func (c *Client) Done() bool { return c.done }

// Limits returns the server's limits; they are valid once Done.
func (c *Client) Limits() Limits { return c.limits }

// Records returns the two directions of an encrypted connection, nil for a plain one; call it once,
// when Done.
func (c *Client) Records() (*Sealer, *Opener) {
	if !c.cfg.Encrypt {
		return nil, nil
	}
	return newSealer(c.keys.clientStream), newOpener(c.keys.serverStream)
}

// Next takes one message from the front of b and appends the answer to out; n is the number of
// bytes used. The arithmetic takes about 120 us in all.
//
// Errors: ErrShort if the message is not complete; a *Refusal if the server refuses or sends an
// unacceptable message; ErrProof if the server does not know the password; ErrKDF, wrapped; the
// error of the key function.
func (c *Client) Next(b, out []byte) (n int, reply []byte, err error) { return c.step(b, out) }

func (c *Client) greeting(b, out []byte) (int, []byte, error) {
	body, n, err := parseServerMessage(b, typeGreeting, greetingBytes+1, greetingBytes+maxSuites)
	if err != nil {
		return 0, out, err
	}
	if err := c.acceptable(body); err != nil {
		return 0, out, err
	}
	kdf := KDF{LogN: body[2], Salt: [saltBytes]byte(body[3 : 3+saltBytes])}
	key, err := c.cfg.Key(kdf)
	if err != nil {
		return 0, out, err
	}
	serverNonce := [nonceBytes]byte(body[3+saltBytes:])
	if err := c.exchange.begin(key, sessionID(&c.fresh.Nonce, &serverNonce), &c.fresh); err != nil {
		return 0, out, err
	}
	c.transcript.Write(b[:n])
	at := len(out)
	out = appendMessage(out, typeClientShare, []byte{byte(SuiteCPace), 0}, c.fresh.Nonce[:], c.exchange.share)
	c.transcript.Write(out[at:])
	c.step = c.serverShare
	return n, out, nil
}

// acceptable checks a Greeting's version, options and suites.
func (c *Client) acceptable(body []byte) error {
	suites := body[greetingBytes:]
	switch {
	case body[0] != Version:
		return &Refusal{
			RefusedVersion,
			fmt.Sprintf("the server speaks protocol version %d, this client %d", body[0], Version),
		}
	case body[1]&optionEncrypt == 0 && c.cfg.Encrypt:
		return &Refusal{
			RefusedEncryption,
			"the server does not encrypt and this client does: start the server with --encrypt, or turn " +
				"encryption off in the client",
		}
	case body[1]&optionEncrypt != 0 && !c.cfg.Encrypt:
		return &Refusal{
			RefusedEncryption,
			"the server encrypts and this client does not: turn encryption on in the client",
		}
	case body[1]&^optionEncrypt != 0:
		return &Refusal{
			RefusedMessage,
			fmt.Sprintf("greeting options %#x are not known to this client", body[1]&^optionEncrypt),
		}
	case int(body[greetingBytes-1]) != len(suites):
		return &Refusal{RefusedMessage, "the greeting's list of suites is not as long as it says"}
	case bytes.IndexByte(suites, byte(SuiteCPace)) < 0:
		return &Refusal{RefusedSuite, fmt.Sprintf("the server does not know suite %d", SuiteCPace)}
	}
	return nil
}

func (c *Client) serverShare(b, out []byte) (int, []byte, error) {
	body, n, err := parseServerMessage(b, typeServerShare, serverShareBytes, serverShareBytes)
	if err != nil {
		return 0, out, err
	}
	isk, err := c.exchange.end(body[limitsBytes:])
	if err != nil {
		return 0, out, &Refusal{RefusedMessage, err.Error()}
	}
	c.transcript.Write(b[:n])
	if c.keys, err = newSchedule(isk, c.transcript.Sum(nil)); err != nil {
		return 0, out, err
	}
	c.limits = Limits{
		MaxFrameBytes: binary.LittleEndian.Uint32(body[0:]),
		MaxValueBytes: binary.LittleEndian.Uint32(body[4:]),
		IdleSeconds:   binary.LittleEndian.Uint32(body[8:]),
	}
	c.step = c.serverFin
	return n, appendMessage(out, typeClientFin, c.keys.clientFin), nil
}

func (c *Client) serverFin(b, out []byte) (int, []byte, error) {
	body, n, err := parseServerMessage(b, typeServerFin, tagBytes, tagBytes)
	if err != nil {
		return 0, out, err
	}
	if !hmac.Equal(body, c.keys.serverFin) {
		return 0, out, ErrProof
	}
	c.done = true
	return n, out, nil
}

// clientExchange is the initiator's part of CPace.
type clientExchange struct {
	scalar     *ecdh.PrivateKey
	sid, share []byte
}

func (e *clientExchange) begin(key, sid []byte, fresh *Ephemeral) (err error) {
	if e.scalar, err = fresh.scalar(); err != nil {
		return err
	}
	e.sid = sid
	e.share, err = multiply(e.scalar, cpaceGenerator(key, channel, sid))
	return err
}

// end returns the intermediate session key. Errors: errShare.
func (e *clientExchange) end(serverShare []byte) ([]byte, error) {
	return cpaceKey(e.scalar, e.sid, serverShare, e.share, nil, serverShare, nil)
}
