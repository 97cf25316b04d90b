package secure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Magic is what every native connection starts with. No pickle, RESP, HTTP or TLS stream starts
// with these bytes.
const Magic = "\xf7CDBF\r\n\x1a"

// Sizes and versions of the opening messages. On the wire: do not change.
const (
	// Version is the protocol version that this package speaks.
	Version = 1
	// MaxClientBytes is the most that a client sends before it is authenticated.
	MaxClientBytes = 512

	headerBytes = 3
	nonceBytes  = 32
	saltBytes   = 16
	tagBytes    = 32

	maxRefusalBytes = 1024
)

// Suite says how clients authenticate and how the keys are derived.
type Suite uint8

// SuiteCPace is CPACE-X25519-SHA512, HKDF-SHA-256, AES-256-CTR and HMAC-SHA-256. Number 1 was in
// use before the first release and stays free.
const SuiteCPace Suite = 2

// Options are bits in Hello, Greeting and ClientShare.
const optionEncrypt = 1 // everything after the finished messages is sent in records

// messageType is the first byte of each message.
type messageType uint8

const (
	typeHello       messageType = 1
	typeGreeting    messageType = 2
	typeClientShare messageType = 3
	typeServerShare messageType = 4
	typeClientFin   messageType = 5
	typeServerFin   messageType = 6
	typeRefusal     messageType = 0x7f
)

// RefusalCode says why a server closes a connection.
type RefusalCode uint8

// Refusal codes. On the wire: do not change.
const (
	RefusedTooManyConnections RefusalCode = 1
	RefusedPassword           RefusalCode = 2
	RefusedVersion            RefusalCode = 3
	RefusedSuite              RefusalCode = 4
	RefusedMessage            RefusalCode = 5
	RefusedTimeout            RefusalCode = 6
	RefusedAddress            RefusalCode = 7
	RefusedShutdown           RefusalCode = 8
	RefusedEncryption         RefusalCode = 9
)

// Refusal is the server's last message on a connection that it closes.
type Refusal struct {
	Code RefusalCode
	Text string
}

// Error returns the server's text.
func (r *Refusal) Error() string { return r.Text }

var (
	// ErrShort is returned when the input ends inside a message: read more and try again.
	ErrShort = errors.New("message not complete")
	// ErrNotNative is returned when a connection does not start with Magic.
	ErrNotNative = errors.New("not a native connection")
	// ErrCompute is returned by Server.Next when Server.Compute must be called.
	ErrCompute = errors.New("key exchange must be computed")
	// ErrProof is returned by a client whose server could not prove that it knows the password.
	ErrProof = errors.New("the server does not know the password")
)

// parseMessage takes one message of the wanted type from the front of b.
//
// Errors: ErrShort; a *Refusal with RefusedMessage for any other type or size.
func parseMessage(b []byte, want messageType, minBody, maxBody int) (body []byte, n int, err error) {
	if len(b) < headerBytes {
		return nil, 0, ErrShort
	}
	got, length := messageType(b[0]), int(binary.LittleEndian.Uint16(b[1:]))
	if got != want || length < minBody || length > maxBody {
		return nil, 0, &Refusal{
			RefusedMessage,
			fmt.Sprintf(
				"message type %d of %d bytes where type %d of %d to %d was due",
				got,
				length,
				want,
				minBody,
				maxBody,
			),
		}
	}
	n = headerBytes + length
	if len(b) < n {
		return nil, 0, ErrShort
	}
	return b[headerBytes:n], n, nil
}

// parseServerMessage is parseMessage for a client: a server may send a refusal instead of any
// message.
//
// Errors: those of parseMessage; the server's *Refusal.
func parseServerMessage(b []byte, want messageType, minBody, maxBody int) (body []byte, n int, err error) {
	if len(b) < headerBytes || messageType(b[0]) != typeRefusal {
		return parseMessage(b, want, minBody, maxBody)
	}
	body, _, err = parseMessage(b, typeRefusal, 1, maxRefusalBytes)
	if err != nil {
		return nil, 0, err
	}
	return nil, 0, &Refusal{RefusalCode(body[0]), oneLine(body[1:])}
}

// oneLine replaces each character of a server's text that does not print. The text arrives before
// the server has authenticated, and goes to logs and terminals.
func oneLine(text []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, string(text))
}

func appendMessage(dst []byte, t messageType, body ...[]byte) []byte {
	at := len(dst)
	dst = append(dst, byte(t), 0, 0)
	for _, part := range body {
		dst = append(dst, part...)
	}
	binary.LittleEndian.PutUint16(dst[at+1:], uint16(len(dst)-at-headerBytes))
	return dst
}

// AppendRefusal appends a refusal.
func AppendRefusal(dst []byte, r *Refusal) []byte {
	return appendMessage(dst, typeRefusal, []byte{byte(r.Code)}, []byte(r.Text))
}

// IsServer reports whether the answer to Hello can begin with b, which is not empty.
func IsServer(b []byte) bool {
	return messageType(b[0]) == typeGreeting || messageType(b[0]) == typeRefusal
}

// IsNative reports whether a connection that starts with b can be a native one; sure is false while
// b is too short to tell.
func IsNative(b []byte) (native, sure bool) {
	n := min(len(b), len(Magic))
	if string(b[:n]) != Magic[:n] {
		return false, true
	}
	return true, n == len(Magic)
}
