package secure

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
)

// Limits are what a server tells its clients about itself.
type Limits struct {
	MaxFrameBytes uint32
	MaxValueBytes uint32
	IdleSeconds   uint32 // 0: never
}

// Sizes of the messages' bodies.
const (
	helloBytes    = 3  // oldest version, newest version, options
	maxHelloBytes = 64 // later versions may send more
	// version, options, log2(N), salt, nonce, number of suites; suites follow
	greetingBytes    = 1 + 1 + 1 + saltBytes + nonceBytes + 1
	clientShareBytes = 1 + 1 + nonceBytes + shareBytes // suite, options, nonce, share
	limitsBytes      = 12
	serverShareBytes = limitsBytes + shareBytes // limits, share
	maxSuites        = 16
)

// ServerConfig is what all handshakes of a server have in common.
type ServerConfig struct {
	Key     []byte // KDF.Key of the password
	KDF     KDF
	Limits  Limits
	Encrypt bool // records follow the handshake; the client must have the same setting
}

// Server is the server's side of one handshake.
type Server struct {
	// constant after NewServer
	cfg   *ServerConfig
	fresh Ephemeral

	// owned by the goroutine that calls Next, or Compute between two calls of it
	transcript  transcript
	step        func(b, out []byte) (n int, reply []byte, err error)
	clientNonce [nonceBytes]byte
	clientShare [shareBytes]byte
	answer      []byte // ServerShare, made by Compute
	problem     error  // error of Compute
	keys        *schedule
	done        bool
}

// NewServer returns the server's side for one connection.
func NewServer(cfg *ServerConfig, fresh Ephemeral) *Server {
	s := &Server{cfg: cfg, fresh: fresh, transcript: newTranscript()}
	s.step = s.hello
	return s
}

// Done reports whether the client has authenticated and been answered: frames follow, in records if
// the server encrypts.
func (s *Server) Done() bool { return s.done }

// Records returns the two directions of an encrypted connection, nil for a plain one; call it once,
// when Done.
func (s *Server) Records() (*Sealer, *Opener) {
	if !s.cfg.Encrypt {
		return nil, nil
	}
	return newSealer(s.keys.serverStream), newOpener(s.keys.clientStream)
}

// Next takes one message from the front of b and appends the answer to out; n is the number of
// bytes used.
//
// Errors: ErrShort if the message is not complete; ErrCompute after the client's share (which n
// counts): call Compute, then Next again, which appends ServerShare and uses no bytes of b;
// ErrNotNative if the first bytes are not Magic; otherwise a *Refusal, which was appended to out:
// send it and close the connection.
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
	body, n, err := parseMessage(b[len(Magic):], typeHello, helloBytes, maxHelloBytes)
	if err != nil {
		return 0, out, err
	}
	n += len(Magic)
	if body[0] > Version || body[1] < Version {
		return n, out, &Refusal{RefusedVersion, fmt.Sprintf("this server speaks protocol version %d", Version)}
	}
	if body[2] != encryptOption(s.cfg.Encrypt) {
		return n, out, s.otherOptions(body[2])
	}
	s.transcript.Write(b[:n])
	at := len(out)
	out = appendMessage(
		out,
		typeGreeting,
		[]byte{Version, encryptOption(s.cfg.Encrypt), s.cfg.KDF.LogN},
		s.cfg.KDF.Salt[:],
		s.fresh.Nonce[:],
		[]byte{1, byte(SuiteCPace)},
	)
	s.transcript.Write(out[at:])
	s.step = s.share
	return n, out, nil
}

// otherOptions refuses a client whose options are not the server's.
func (s *Server) otherOptions(options byte) *Refusal {
	switch {
	case options&^optionEncrypt != 0:
		return &Refusal{RefusedMessage, fmt.Sprintf("options %#x are not known to this server", options&^optionEncrypt)}
	case s.cfg.Encrypt:
		return &Refusal{
			RefusedEncryption,
			"this server encrypts and the client does not: turn encryption on in the client",
		}
	default:
		return &Refusal{
			RefusedEncryption,
			"this server does not encrypt and the client does: start the server with --encrypt, or turn " +
				"encryption off in the client",
		}
	}
}

func encryptOption(on bool) byte {
	if on {
		return optionEncrypt
	}
	return 0
}

func (s *Server) share(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeClientShare, clientShareBytes, clientShareBytes)
	if err != nil {
		return 0, out, err
	}
	if Suite(body[0]) != SuiteCPace {
		return n, out, &Refusal{RefusedSuite, fmt.Sprintf("this server knows suite %d only", SuiteCPace)}
	}
	if body[1] != 0 {
		return n, out, &Refusal{RefusedMessage, fmt.Sprintf("share options %#x are not known to this server", body[1])}
	}
	copy(s.clientNonce[:], body[2:])
	copy(s.clientShare[:], body[2+nonceBytes:])
	s.transcript.Write(b[:n])
	s.step = s.idle
	return n, out, ErrCompute
}

// idle is the step while Compute must be called.
func (s *Server) idle(_, out []byte) (int, []byte, error) { return 0, out, ErrCompute }

// Compute does the arithmetic of the key exchange, about 120 us: do not call it on an event loop.
// Call it once, when Next has returned ErrCompute.
func (s *Server) Compute() {
	s.step = s.answerShare
	scalar, err := s.fresh.scalar()
	if err != nil {
		s.problem = err
		return
	}
	sid := sessionID(&s.clientNonce, &s.fresh.Nonce)
	share, err := multiply(scalar, cpaceGenerator(s.cfg.Key, channel, sid))
	if err != nil {
		s.problem = err
		return
	}
	isk, err := cpaceKey(scalar, sid, s.clientShare[:], s.clientShare[:], nil, share, nil)
	if err != nil {
		s.problem = err
		return
	}
	var limits [limitsBytes]byte
	binary.LittleEndian.PutUint32(limits[0:], s.cfg.Limits.MaxFrameBytes)
	binary.LittleEndian.PutUint32(limits[4:], s.cfg.Limits.MaxValueBytes)
	binary.LittleEndian.PutUint32(limits[8:], s.cfg.Limits.IdleSeconds)
	s.answer = appendMessage(nil, typeServerShare, limits[:], share)
	s.transcript.Write(s.answer)
	s.keys, s.problem = newSchedule(isk, s.transcript.Sum(nil))
}

func (s *Server) answerShare(_, out []byte) (int, []byte, error) {
	if s.problem != nil {
		return 0, out, &Refusal{RefusedMessage, s.problem.Error()}
	}
	out = append(out, s.answer...)
	s.step = s.fin
	return 0, out, nil
}

func (s *Server) fin(b, out []byte) (int, []byte, error) {
	body, n, err := parseMessage(b, typeClientFin, tagBytes, tagBytes)
	if err != nil {
		return 0, out, err
	}
	if !hmac.Equal(body, s.keys.clientFin) {
		return n, out, &Refusal{RefusedPassword, "wrong password"}
	}
	s.done = true
	return n, appendMessage(out, typeServerFin, s.keys.serverFin), nil
}
