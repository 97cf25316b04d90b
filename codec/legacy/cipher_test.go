package legacy_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"cyberdb-fast/codec/legacy"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCipherVectors: key streams and messages are those of the Python package obj-encrypt.
func TestCipherVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/crypto_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Password  string `json:"password"`
			KeyStream string `json:"keystream_first_256_hex"`
			Messages  []map[string]any
		} `json:"vectors"`
		Odd []struct {
			Password string `json:"password"`
			KeyBytes int    `json:"key_bytes"`
		} `json:"odd_passwords"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	messages := 0
	for _, v := range file.Vectors {
		c, err := legacy.NewCipher(v.Password)
		if err != nil {
			t.Fatal(err)
		}
		stream := make([]byte, 256)
		c.XOR(stream, 0)
		if want := unhex(t, v.KeyStream); !bytes.Equal(stream, want) {
			t.Errorf("%q: key stream %x, want %x", v.Password, stream, want)
		}
		for _, m := range v.Messages {
			plain, _ := m["outer_pickle"].(string)
			cipher, _ := m["ciphertext"].(string)
			if plain == "" || cipher == "" {
				t.Fatalf("a message with the fields %v", m)
			}
			got := unhex(t, plain)
			c.XOR(got, 0)
			if !bytes.Equal(got, unhex(t, cipher)) {
				t.Errorf("%q: %s becomes %x, want %s", v.Password, plain, got, cipher)
			}
			messages++
		}
	}
	if len(file.Vectors) != 8 || messages != 48 {
		t.Errorf("%d passwords, %d messages", len(file.Vectors), messages)
	}
	for _, odd := range file.Odd {
		if _, err := legacy.NewCipher(odd.Password); (err == nil) != (odd.KeyBytes == 32 && odd.Password != "") {
			t.Errorf("%q, of which Python makes a key of %d bytes: %v", odd.Password, odd.KeyBytes, err)
		}
	}
}

// TestCipherAnywhere: a message that is deciphered piece by piece is the same, after the part of
// the key stream that is kept too.
func TestCipherAnywhere(t *testing.T) {
	c, err := legacy.NewCipher("123456")
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, 300_001)
	c.XOR(whole, 0)
	for _, size := range []int{1, 7, 16, 4096, 65535, 65537} {
		pieces := make([]byte, len(whole))
		for at := 0; at < len(pieces); at += size {
			if size == 1 && at == 70_000 {
				c.XOR(pieces[at:], at)
				break
			}
			c.XOR(pieces[at:min(at+size, len(pieces))], at)
		}
		if !bytes.Equal(pieces, whole) {
			t.Errorf("pieces of %d bytes differ", size)
		}
	}
}

// TestPasswords: what CyberDB's clients take.
func TestPasswords(t *testing.T) {
	for _, c := range []struct {
		password string
		encrypt  bool
		want     error
	}{
		{"123456", true, nil},
		{"密码", false, nil},
		{"密码", true, legacy.ErrKey},
		{"", false, legacy.ErrPassword},
		{"0123456789abcdef0123456789ABCDEF", true, nil},
		{"0123456789abcdef0123456789ABCDEFG", false, legacy.ErrPassword},
	} {
		if err := legacy.CheckPassword(c.password, c.encrypt); !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.password, err)
		}
	}
}
