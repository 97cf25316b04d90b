package secure

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"golang.org/x/crypto/scrypt"
)

// TestPrimitives: the libraries are what they are taken for, by the test vectors of the standards.
func TestPrimitives(t *testing.T) {
	hmacOf := func(key, data []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write(data)
		return hex.EncodeToString(mac.Sum(nil))
	}
	hkdfOf := func(secret, salt []byte, info string, n int) string {
		key, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(key)
	}
	scryptOf := func(password, salt string, n, r, p int) string {
		key, err := scrypt.Key([]byte(password), []byte(salt), n, r, p, 64)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(key)
	}
	ctrOf := func(key, counter, text string) string {
		block, err := aes.NewCipher(unhex(t, key))
		if err != nil {
			t.Fatal(err)
		}
		b := unhex(t, text)
		cipher.NewCTR(block, unhex(t, counter)).XORKeyStream(b, b)
		return hex.EncodeToString(b)
	}
	count := func(from, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(from + i)
		}
		return b
	}
	long := bytes.Repeat([]byte{0xaa}, 131)
	for _, c := range []struct{ name, got, want string }{
		{"RFC 4231, 4.2", hmacOf(bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"RFC 4231, 4.3", hmacOf([]byte("Jefe"), []byte("what do ya want for nothing?")), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"RFC 4231, 4.4", hmacOf(long[:20], bytes.Repeat([]byte{0xdd}, 50)), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{"RFC 4231, 4.5", hmacOf(count(1, 25), bytes.Repeat([]byte{0xcd}, 50)), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{"RFC 4231, 4.6, cut to 16", hmacOf(bytes.Repeat([]byte{0x0c}, 20), []byte("Test With Truncation"))[:32], "a3b6167473100ee06e0c796c2955552b"},
		{"RFC 4231, 4.7", hmacOf(long, []byte("Test Using Larger Than Block-Size Key - Hash Key First")), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{"RFC 4231, 4.8", hmacOf(long, []byte("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.")), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
		{"RFC 5869, A.1", hkdfOf(bytes.Repeat([]byte{0x0b}, 22), count(0, 13), string(count(0xf0, 10)), 42), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"RFC 5869, A.2", hkdfOf(count(0, 80), count(0x60, 80), string(count(0xb0, 80)), 82), "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{"RFC 5869, A.3", hkdfOf(bytes.Repeat([]byte{0x0b}, 22), nil, "", 42), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
		{"RFC 7914, 12, first", scryptOf("", "", 16, 1, 1), "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
		{"RFC 7914, 12, second", scryptOf("password", "NaCl", 1024, 8, 16), "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
		{"RFC 7914, 12, third", scryptOf("pleaseletmein", "SodiumChloride", 16384, 8, 1), "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
		{
			"SP 800-38A, F.5.5", ctrOf("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
				"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"), "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
		},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s", c.name, c.got)
		}
	}
}
