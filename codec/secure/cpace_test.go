package secure

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// cpaceFile is appendix B of draft-irtf-cfrg-cpace-21 for CPACE-X25519-SHA512, as JSON.
type cpaceFile struct {
	Exchange map[string]string `json:"G_25519"`
	Points   map[string]string `json:"X25519_points"`
}

func cpaceVectors(t testing.TB) (f cpaceFile) {
	t.Helper()
	text, err := os.ReadFile("testdata/cpace_x25519_sha512.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f cpaceFile) points(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for name, text := range f.Points {
		all[name] = unhex(t, text)
	}
	return all
}

// lowOrder says which of the draft's points must be refused. The others are of low order only for
// an X25519 that does not clear bit 255 of its input; RFC 7748 asks for that, and with it they are
// points like any other.
var lowOrder = map[string]bool{
	"Invalid Y0":  true,
	"Invalid Y1":  true,
	"Invalid Y2":  true,
	"Invalid Y3":  true,
	"Invalid Y4":  true,
	"Invalid Y5":  true,
	"Invalid Y7":  true,
	"Invalid Y6":  false,
	"Invalid Y8":  false,
	"Invalid Y9":  false,
	"Invalid Y10": false,
	"Invalid Y11": false,
}

func TestCPaceVectors(t *testing.T) {
	vectors := cpaceVectors(t)
	v := map[string][]byte{}
	for name, text := range vectors.Exchange {
		v[name] = unhex(t, text)
	}
	generator := cpaceGenerator(v["PRS"], v["CI"], v["sid"])
	ya, err := ecdh.X25519().NewPrivateKey(v["ya"])
	if err != nil {
		t.Fatal(err)
	}
	yb, err := ecdh.X25519().NewPrivateKey(v["yb"])
	if err != nil {
		t.Fatal(err)
	}
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	shareA, shareB := must(multiply(ya, generator)), must(multiply(yb, generator))
	for name, got := range map[string][]byte{
		"g": generator, "Ya": shareA, "Yb": shareB, "K": must(multiply(ya, shareB)),
	} {
		if !bytes.Equal(got, v[name]) {
			t.Errorf("%s is %x, want %x", name, got, v[name])
		}
	}
	for name, key := range map[string][]byte{
		"initiator": must(cpaceKey(ya, v["sid"], shareB, shareA, v["ADa"], shareB, v["ADb"])),
		"responder": must(cpaceKey(yb, v["sid"], shareA, shareA, v["ADa"], shareB, v["ADb"])),
	} {
		if !bytes.Equal(key, v["ISK_IR"]) {
			t.Errorf("key of the %s is %x, want %x", name, key, v["ISK_IR"])
		}
	}
	points := vectors.points(t)
	if len(points) != len(lowOrder) {
		t.Errorf("%d points, want %d", len(points), len(lowOrder))
	}
	for name, refused := range lowOrder {
		_, err := cpaceKey(ya, v["sid"], points[name], shareA, nil, points[name], nil)
		if errors.Is(err, errShare) != refused {
			t.Errorf("%s: %v, want refused %v", name, err, refused)
		}
	}
}

// TestGeneratorLengths: the padding before sid and CI depends on the password's length.
func TestGeneratorLengths(t *testing.T) {
	seen := map[string]int{}
	for n := range 300 {
		g := string(cpaceGenerator(make([]byte, n), channel, make([]byte, 64)))
		if other, twice := seen[g]; twice {
			t.Errorf("%d and %d bytes have the same generator", other, n)
		}
		seen[g] = n
	}
}

// BenchmarkServerHandshake is all that one login costs the server.
func BenchmarkServerHandshake(b *testing.B) {
	key := keyOf(1)
	client, server := pair(key, key)
	hello := client.Hello(nil)
	_, greeting, _ := server.Next(hello, nil)
	_, share, _ := client.Next(greeting, nil)
	cfg := &ServerConfig{Key: key, KDF: testKDF, Limits: testLimits, Encrypt: true}
	b.ReportAllocs()
	for b.Loop() {
		s := NewServer(cfg, NewEphemeral())
		_, out, _ := s.Next(hello, nil)
		_, out, _ = s.Next(share, out)
		s.Compute()
		if _, _, err := s.Next(nil, out); err != nil {
			b.Fatal(err)
		}
	}
}
