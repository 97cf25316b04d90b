package secure

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"golang.org/x/crypto/scrypt"
)

var (
	testKDF    = KDF{LogN: MinLogN, Salt: [16]byte{9}}
	testLimits = Limits{MaxFrameBytes: 1, MaxValueBytes: 2, IdleSeconds: 3}
)

func keyOf(b byte) []byte { return bytes.Repeat([]byte{b}, keyBytes) }

// run plays a handshake to its end. change may alter what crosses the wire, message by message; each side is fed what arrived, at most
// step bytes more at a time.
func run(client *Client, server *Server, step int, change func(i int, message []byte) []byte) error {
	toServer, toClient := client.Hello(nil), []byte(nil)
	if change != nil {
		toServer = change(0, toServer)
	}
	feed := func(next func(b, out []byte) (int, []byte, error), in []byte) (out []byte, err error) {
		for arrived := 0; ; {
			arrived = min(arrived+step, len(in))
			n, reply, err := next(in[:arrived], out)
			switch {
			case errors.Is(err, ErrShort) && arrived == len(in):
				return out, err
			case errors.Is(err, ErrShort):
				continue
			case err != nil:
				return reply, err
			}
			out, in, arrived = reply, in[n:], arrived-n
			if len(in) == 0 {
				return out, nil
			}
		}
	}
	for i := 1; !client.Done(); i += 2 {
		var serverErr, clientErr error
		toClient, serverErr = feed(server.Next, toServer)
		if change != nil {
			toClient = change(i, toClient)
		}
		if len(toClient) == 0 {
			return serverErr
		}
		if toServer, clientErr = feed(client.Next, toClient); clientErr != nil {
			return errors.Join(clientErr, serverErr)
		}
		if change != nil && len(toServer) > 0 {
			toServer = change(i+1, toServer)
		}
	}
	return nil
}

func pair(clientKey, serverKey []byte) (*Client, *Server) {
	client := NewClient(func(KDF) ([]byte, error) { return clientKey, nil }, [32]byte{1})
	return client, NewServer(serverKey, testKDF, testLimits, [32]byte{2})
}

func TestHandshake(t *testing.T) {
	for _, step := range []int{1, 2, 7, 1000} {
		client, server := pair(keyOf(1), keyOf(1))
		if err := run(client, server, step, nil); err != nil {
			t.Fatalf("in steps of %d: %v", step, err)
		}
		if !client.Done() || !server.Done() || client.Limits() != testLimits {
			t.Errorf("in steps of %d: client %v, server %v, limits %+v", step, client.Done(), server.Done(), client.Limits())
		}
	}
}

func TestWrongPassword(t *testing.T) {
	client, server := pair(keyOf(1), keyOf(2))
	err := run(client, server, 1000, nil)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Code != RefusedPassword {
		t.Errorf("got %v, want refusal %d", err, RefusedPassword)
	}
	if server.Done() || client.Done() {
		t.Error("a side went on")
	}
}

// TestEveryBit flips each bit of each message in turn: the client is never done.
func TestEveryBit(t *testing.T) {
	flips := 0
	for message := range 6 {
		for bit := 0; ; bit++ {
			client, server := pair(keyOf(1), keyOf(1))
			beyond := false
			err := run(client, server, 1000, func(i int, b []byte) []byte {
				if i == message {
					if beyond = bit/8 >= len(b); !beyond {
						b[bit/8] ^= 1 << (bit % 8)
					}
				}
				return b
			})
			if beyond {
				break
			}
			flips++
			if err == nil || client.Done() {
				t.Fatalf("message %d with bit %d flipped: err %v, done %v", message, bit, err, client.Done())
			}
		}
	}
	if flips < 6*100 {
		t.Fatalf("only %d bits flipped", flips)
	}
}

// TestOutOfPlace replays, reflects and cuts messages: refused, or waited for in vain, never done.
func TestOutOfPlace(t *testing.T) {
	var recorded [][]byte
	client, server := pair(keyOf(1), keyOf(1))
	if err := run(client, server, 1000, func(_ int, b []byte) []byte {
		recorded = append(recorded, bytes.Clone(b))
		return b
	}); err != nil {
		t.Fatal(err)
	}
	server = NewServer(keyOf(1), testKDF, testLimits, [32]byte{3})
	for i := 0; i < len(recorded); i += 2 { // the client's side, replayed
		if _, _, err := server.Next(recorded[i], nil); err != nil {
			break
		}
	}
	if server.Done() {
		t.Error("a replayed client was let in")
	}
	for at := range recorded {
		client, server := pair(keyOf(1), keyOf(1))
		err := run(client, server, 1000, func(i int, b []byte) []byte {
			if i == at {
				return b[:len(b)-1]
			}
			return b
		})
		if !errors.Is(err, ErrShort) || client.Done() {
			t.Errorf("message %d cut: %v", at, err)
		}
		client, server = pair(keyOf(1), keyOf(1))
		err = run(client, server, 1000, func(i int, b []byte) []byte {
			if i == at && i > 0 {
				return bytes.Clone(recorded[i-1]) // what the other side just sent
			}
			return b
		})
		if at > 0 && (err == nil || client.Done()) {
			t.Errorf("message %d reflected: %v", at, err)
		}
	}
}

func TestNotNative(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1\r\n", "*1\r\n$4\r\nPING\r\n", "\x80\x04\x95\x2c", "\x16\x03\x01", "\xf7CDBX"} {
		server := NewServer(keyOf(1), testKDF, testLimits, [32]byte{})
		if _, _, err := server.Next([]byte(first), nil); !errors.Is(err, ErrNotNative) {
			t.Errorf("%q: %v", first, err)
		}
	}
}

// TestKDFBounds: a server may not make its clients derive keys cheaper or dearer than the bounds.
func TestKDFBounds(t *testing.T) {
	for _, logN := range []uint8{0, MinLogN - 1, MaxLogN + 1, 255} {
		if _, err := (KDF{LogN: logN}).Key("x"); !errors.Is(err, ErrKDF) {
			t.Errorf("log2(N) %d: %v", logN, err)
		}
	}
}

// TestNormalForm: a password typed with combining characters is the one typed without.
func TestNormalForm(t *testing.T) {
	a, err := testKDF.Key("p\u00e4ss")
	if err != nil {
		t.Fatal(err)
	}
	b, err := testKDF.Key("pa\u0308ss")
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("%x, %x, %v", a, b, err)
	}
}

// TestScryptVector is the third test vector of RFC 7914, section 12: the library is what we take it for.
func TestScryptVector(t *testing.T) {
	key, err := scrypt.Key([]byte("pleaseletmein"), []byte("SodiumChloride"), 16384, 8, 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	const want = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
	if got := hex.EncodeToString(key); got != want {
		t.Errorf("got %s", got)
	}
}

// FuzzServer: no bytes of a stranger panic the server's side or are let in.
func FuzzServer(f *testing.F) {
	client, _ := pair(keyOf(1), keyOf(1))
	f.Add(client.Hello(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		server := NewServer(keyOf(1), testKDF, testLimits, [32]byte{2})
		for len(b) > 0 {
			n, _, err := server.Next(b, nil)
			if err != nil {
				break
			}
			b = b[n:]
		}
		if server.Done() {
			t.Error("let in")
		}
	})
}

// FuzzClient: no bytes of a false server panic the client's side or convince it.
func FuzzClient(f *testing.F) {
	_, server := pair(keyOf(1), keyOf(1))
	client, _ := pair(keyOf(1), keyOf(1))
	_, greeting, err := server.Next(client.Hello(nil), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(greeting)
	f.Fuzz(func(t *testing.T, b []byte) {
		client, _ := pair(keyOf(1), keyOf(1))
		client.Hello(nil)
		for len(b) > 0 {
			n, _, err := client.Next(b, nil)
			if err != nil {
				break
			}
			b = b[n:]
		}
		if client.Done() {
			t.Error("convinced")
		}
	})
}
