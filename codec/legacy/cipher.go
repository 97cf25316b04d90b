package legacy

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"unicode/utf8"
)

// MaxPasswordBytes is the longest password that a CyberDB client accepts.
const MaxPasswordBytes = 32

var (
	// ErrPassword is returned for a password that CyberDB clients do not accept.
	ErrPassword = errors.New("CyberDB's clients take passwords of 1 to 32 bytes")
	// ErrKey is returned for a password from which CyberDB clients cannot derive a key.
	ErrKey = errors.New("CyberDB's encryption takes passwords of 1 to 32 ASCII characters")
)

// CheckPassword returns an error if CyberDB's clients cannot use this password. Errors:
// ErrPassword; ErrKey if they encrypt.
func CheckPassword(password string, encrypt bool) error {
	switch {
	case password == "" || len(password) > MaxPasswordBytes:
		return ErrPassword
	case encrypt && utf8.RuneCountInString(password) != len(password):
		return ErrKey
	}
	return nil
}

// Cipher is CyberDB's encryption: AES-256 in GCM's counter mode, without a tag. Key and nonce are
// derived from the password and are the same for every message of every connection in both
// directions. So there is one key stream, and two messages suffice to break it.
//
//	key    the password, filled up with zeros ("0") to 32 characters
//	nonce  the first 16 hexadecimal digits of PBKDF2-HMAC-SHA256(key, salt key, 1 iteration)
type Cipher struct {
	block cipher.Block
	first [aes.BlockSize]byte // the counter of the key stream's first block
	begin []byte              // the cached beginning of the key stream
}

// beginBytes is how much of the key stream is cached.
const beginBytes = 64 << 10

// NewCipher returns the cipher of a password. Errors: those of CheckPassword.
func NewCipher(password string) (*Cipher, error) {
	if err := CheckPassword(password, true); err != nil {
		return nil, err
	}
	const keyBytes, nonceBytes = 32, 16
	key := password + strings.Repeat("0", keyBytes-len(password))
	derived, err := pbkdf2.Key(sha256.New, key, []byte(key), 1, keyBytes)
	if err != nil {
		return nil, err
	}
	c := &Cipher{}
	if c.block, err = aes.NewCipher([]byte(key)); err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(c.block, nonceBytes)
	if err != nil {
		return nil, err
	}
	nonce := hex.EncodeToString(derived)[:nonceBytes]
	c.begin = gcm.Seal(nil, []byte(nonce), make([]byte, beginBytes), nil)[:beginBytes]
	// GCM makes its first counter by a hash, which crypto/cipher does not expose
	c.block.Decrypt(c.first[:], c.begin[:aes.BlockSize])
	return c, nil
}

// XOR encrypts or decrypts, in place, bytes of a message from offset at on.
func (c *Cipher) XOR(b []byte, at int) {
	if at < len(c.begin) {
		n := subtle.XORBytes(b, b, c.begin[at:])
		b, at = b[n:], at+n
	}
	for len(b) > 0 {
		n := c.beyond(b, at)
		b, at = b[n:], at+n
	}
}

// beyond is XOR after the cached part of the key stream. It stops where the last four bytes of the
// counter, in which GCM counts, would start again at 0.
func (c *Cipher) beyond(b []byte, at int) int {
	counter := c.first
	low := binary.BigEndian.Uint32(counter[12:]) + uint32(at/aes.BlockSize)
	binary.BigEndian.PutUint32(counter[12:], low)
	skip := at % aes.BlockSize
	left := (math.MaxUint32-uint64(low)+1)*aes.BlockSize - uint64(skip)
	n := int(min(uint64(len(b)), left))
	stream := cipher.NewCTR(c.block, counter[:])
	var skipped [aes.BlockSize]byte
	stream.XORKeyStream(skipped[:skip], skipped[:skip])
	stream.XORKeyStream(b[:n], b[:n])
	return n
}
