package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

// keyStream is the one key stream that the original CyberDB hides every message with: AES-256 in GCM's counter mode, without a tag, with a key and a
// nonce that follow from the password. It hides nothing from someone who records two messages; here it serves to compare speeds alone.
type keyStream struct{ bytes []byte }

// legacyStreamBytes is the longest message.
const legacyStreamBytes = 1 << 20

func newKeyStream(password string) (*keyStream, error) {
	const keyBytes, nonceBytes = 32, 16
	if password == "" || len(password) > keyBytes || utf8.RuneCountInString(password) != len(password) {
		return nil, errors.New("the original CyberDB encrypts with passwords of 1 to 32 ASCII characters alone")
	}
	key := []byte(password + strings.Repeat("0", keyBytes-len(password)))
	derived, err := pbkdf2.Key(sha256.New, string(key), key, 1, keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, nonceBytes)
	if err != nil {
		return nil, err
	}
	nonce := hex.EncodeToString(derived)[:nonceBytes]
	return &keyStream{gcm.Seal(nil, []byte(nonce), make([]byte, legacyStreamBytes), nil)[:legacyStreamBytes]}, nil
}

// xor encrypts or decrypts a message; what is beyond the longest is left as it is in dst.
func (s *keyStream) xor(dst, src []byte) { subtle.XORBytes(dst, src, s.bytes) }
