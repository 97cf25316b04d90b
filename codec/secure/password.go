package secure

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"
)

// KDF has the parameters by which scrypt (RFC 7914) derives a key from the password: N = 2^LogN, r
// = 8, p = 1.
type KDF struct {
	LogN uint8
	Salt [saltBytes]byte
}

// Bounds of KDF.LogN: a server must not make its clients derive cheaper or more expensive keys.
const (
	MinLogN     = 14
	DefaultLogN = 15
	MaxLogN     = 17

	scryptR  = 8
	scryptP  = 1
	keyBytes = 32
)

// ErrKDF is returned, wrapped, for parameters outside the bounds.
var ErrKDF = errors.New("key derivation parameters out of bounds")

// Key derives the shared key from the password: scrypt over its NFC form in UTF-8. It takes about
// 70 ms and 32 MiB at DefaultLogN: once per process, never per connection, never on an event loop.
//
// Errors: ErrKDF, wrapped, if LogN is outside MinLogN to MaxLogN.
func (k KDF) Key(password string) ([]byte, error) {
	if k.LogN < MinLogN || k.LogN > MaxLogN {
		return nil, fmt.Errorf("%w: log2(N) %d is outside %d to %d", ErrKDF, k.LogN, MinLogN, MaxLogN)
	}
	return scrypt.Key(norm.NFC.Bytes([]byte(password)), k.Salt[:], 1<<k.LogN, scryptR, scryptP, keyBytes)
}
