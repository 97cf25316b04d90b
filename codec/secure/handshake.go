package secure

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Limits are what a server tells each client about itself.
type Limits struct {
	MaxFrameBytes uint32
	MaxValueBytes uint32
	IdleSeconds   uint32 // 0: never
}

const (
	helloBytes       = 3                                      // oldest version, newest version, options
	greetingBytes    = 1 + 1 + 1 + saltBytes + nonceBytes + 1 // version, options, log2(N), salt, nonce, number of suites; suites follow
	clientShareBytes = 1 + 1 + nonceBytes                     // suite, options, nonce; the suite's share follows
	serverShareBytes = 12                                     // limits; the suite's share follows
	maxSuites        = 16
)

// transcript hashes every message before the proofs, whole.
type transcript struct{ hash.Hash }

func newTranscript() transcript { return transcript{sha256.New()} }

// proof is HMAC-SHA-256 under the shared key over the prover's role and the transcript.
func (t transcript) proof(key []byte, role string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(role))
	mac.Write(t.Sum(nil))
	return mac.Sum(nil)
}

const (
	roleClient = "cyberdb-fast 1 client"
	roleServer = "cyberdb-fast 1 server"
)

// Server is the server's side of one handshake.
type Server struct {
	// constant after NewServer
	key    []byte
	kdf    KDF
	limits Limits
	nonce  [nonceBytes]byte

	// owned by the goroutine that calls Next
	transcript transcript
	step       func(b, out []byte) (n int, reply []byte, err error)
	done       bool
}

// NewServer returns the server's side for one connection. key is kdf.Key of the password; nonce is fresh and random.
func NewServer(key []byte, kdf KDF, limits Limits, nonce [nonceBytes]byte) *Server {
	s := &Server{key: key, kdf: kdf, limits: limits, nonce: nonce, transcript: newTranscript()}
	s.step = s.hello
	return s
}

// Done says whether the client has proved the password and been answered: frames follow.
func (s *Server) Done() bool { return s.done }

// Next takes one message from the front of b and appends the answer to out; n is the number of bytes used.
//
// Errors: ErrShort if the message is not complete; ErrNotNative if the first bytes are not Magic; otherwise a *Refusal, which has been appended to
// out, is to be sent and ends the connection.
func (s *Server) Next(b, out []byte) (n int, reply []byte, err error) {
	n, out, err = s.step(b, out)
	if refusal, ok := err.(*Refusal); ok { //nolint:errorlint // made here, never wrapped
		out = AppendRefusal(out, refusal)
	}
	return n, out, err
}

func (s *Server) hello(b, out []byte) (int, []byte, error) {
	native, sure := IsNative(b)
	if !native {
		return 0, out, ErrNotNative
	}
	if !sure {
		return 0, out, ErrShort
	}
	body, n, err := parseMessage(b[len(Magic):], typeHello, helloBytes, 64)
	if err != nil {
		return 0, out, err
	}
	n += len(Magic)
	if body[0] > Version || body[1] < Version {
		return n, out, &Refusal{RefusedVersion, "this server speaks protocol version 1"}
	}
	if body[2] != 0 {
		return n, out, &Refusal{RefusedEncryption, "this server does not encrypt"}
	}
	s.transcript.Write(b[:n])
	at := len(out)
	out = appendMessage(out, typeGreeting, []byte{Version, 0, s.kdf.LogN}, s.kdf.Salt[:], s.nonce[:], []byte{1, byte(SuiteHMAC)})
	s.transcript.Write(out[at:])
	s.step = s.clientShare
	return n, out, nil
}

func (s *Server) clientShare(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeClientShare, clientShareBytes, clientShareBytes)
	if err != nil {
		return 0, out, err
	}
	if Suite(body[0]) != SuiteHMAC {
		return n, out, &Refusal{RefusedSuite, "this server knows suite 1 only"}
	}
	s.transcript.Write(b[:n])
	var limits [serverShareBytes]byte
	binary.LittleEndian.PutUint32(limits[0:], s.limits.MaxFrameBytes)
	binary.LittleEndian.PutUint32(limits[4:], s.limits.MaxValueBytes)
	binary.LittleEndian.PutUint32(limits[8:], s.limits.IdleSeconds)
	at := len(out)
	out = appendMessage(out, typeServerShare, limits[:])
	s.transcript.Write(out[at:])
	s.step = s.clientFin
	return n, out, nil
}

func (s *Server) clientFin(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeClientFin, tagBytes, tagBytes)
	if err != nil {
		return 0, out, err
	}
	if !hmac.Equal(body, s.transcript.proof(s.key, roleClient)) {
		return n, out, &Refusal{RefusedPassword, "wrong password"}
	}
	s.done = true
	return n, appendMessage(out, typeServerFin, s.transcript.proof(s.key, roleServer)), nil
}

// Client is the client's side of one handshake.
type Client struct {
	// constant after NewClient
	key   func(KDF) ([]byte, error)
	nonce [nonceBytes]byte

	// owned by the goroutine that calls Next
	transcript transcript
	step       func(b, out []byte) (n int, reply []byte, err error)
	secret     []byte
	limits     Limits
	done       bool
}

// NewClient returns the client's side for one connection. key derives the shared key from the server's parameters and should
// remember it; nonce is fresh and random.
func NewClient(key func(KDF) ([]byte, error), nonce [nonceBytes]byte) *Client {
	c := &Client{key: key, nonce: nonce, transcript: newTranscript()}
	c.step = c.greeting
	return c
}

// Hello appends the client's first message to out.
func (c *Client) Hello(out []byte) []byte {
	at := len(out)
	out = append(out, Magic...)
	out = appendMessage(out, typeHello, []byte{Version, Version, 0})
	c.transcript.Write(out[at:])
	return out
}

// Done says whether both sides have proved the password: frames follow.
func (c *Client) Done() bool { return c.done }

// Limits returns the server's limits; they are valid once Done.
func (c *Client) Limits() Limits { return c.limits }

// Next takes one message from the front of b and appends the answer to out; n is the number of bytes used.
//
// Errors: ErrShort if the message is not complete; a *Refusal if the server refuses; ErrProof if the server does not know the password; ErrKDF,
// wrapped; the error of the key function.
func (c *Client) Next(b, out []byte) (n int, reply []byte, err error) { return c.step(b, out) }

func (c *Client) greeting(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeGreeting, greetingBytes+1, greetingBytes+maxSuites)
	if err != nil {
		return 0, out, err
	}
	kdf := KDF{LogN: body[2], Salt: [saltBytes]byte(body[3 : 3+saltBytes])}
	if c.secret, err = c.key(kdf); err != nil {
		return 0, out, err
	}
	c.transcript.Write(b[:n])
	at := len(out)
	out = appendMessage(out, typeClientShare, []byte{byte(SuiteHMAC), 0}, c.nonce[:])
	c.transcript.Write(out[at:])
	c.step = c.serverShare
	return n, out, nil
}

func (c *Client) serverShare(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeServerShare, serverShareBytes, serverShareBytes)
	if err != nil {
		return 0, out, err
	}
	c.transcript.Write(b[:n])
	c.limits = Limits{
		MaxFrameBytes: binary.LittleEndian.Uint32(body[0:]),
		MaxValueBytes: binary.LittleEndian.Uint32(body[4:]),
		IdleSeconds:   binary.LittleEndian.Uint32(body[8:]),
	}
	c.step = c.serverFin
	return n, appendMessage(out, typeClientFin, c.transcript.proof(c.secret, roleClient)), nil
}

func (c *Client) serverFin(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeServerFin, tagBytes, tagBytes)
	if err != nil {
		return 0, out, err
	}
	if !hmac.Equal(body, c.transcript.proof(c.secret, roleServer)) {
		return 0, out, ErrProof
	}
	c.done = true
	return n, out, nil
}
