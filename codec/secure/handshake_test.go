package secure

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

var (
	testKDF    = KDF{LogN: MinLogN, Salt: [16]byte{9}}
	testLimits = Limits{MaxFrameBytes: 1, MaxValueBytes: 2, IdleSeconds: 3}
)

func keyOf(b byte) []byte { return bytes.Repeat([]byte{b}, keyBytes) }

// run plays a handshake to its end. change may alter what crosses the wire, message by message;
// each side is fed what arrived, at most step bytes more at a time.
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
	answer := func(b, out []byte) (int, []byte, error) {
		n, out, err := server.Next(b, out)
		if errors.Is(err, ErrCompute) {
			server.Compute()
			_, out, err = server.Next(nil, out)
		}
		return n, out, err
	}
	for i := 1; !client.Done(); i += 2 {
		var serverErr, clientErr error
		toClient, serverErr = feed(answer, toServer)
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

// Two sides' fresh values, the same in every run.
var (
	clientFresh = Ephemeral{Nonce: [32]byte{1}, Scalar: [32]byte{3}}
	serverFresh = Ephemeral{Nonce: [32]byte{2}, Scalar: [32]byte{4}}
)

func testServer(key []byte, encrypt bool, fresh Ephemeral) *Server {
	return NewServer(&ServerConfig{Key: key, KDF: testKDF, Limits: testLimits, Encrypt: encrypt}, fresh)
}

func testClient(key []byte, encrypt bool) *Client {
	return NewClient(ClientConfig{Key: func(KDF) ([]byte, error) { return key, nil }, Encrypt: encrypt}, clientFresh)
}

// pair returns two sides that encrypt.
func pair(clientKey, serverKey []byte) (*Client, *Server) {
	return testClient(clientKey, true), testServer(serverKey, true, serverFresh)
}

func TestHandshake(t *testing.T) {
	for _, encrypt := range []bool{true, false} {
		for _, step := range []int{1, 2, 7, 1000} {
			client, server := testClient(keyOf(1), encrypt), testServer(keyOf(1), encrypt, serverFresh)
			if err := run(client, server, step, nil); err != nil {
				t.Fatalf("in steps of %d: %v", step, err)
			}
			if !client.Done() || !server.Done() || client.Limits() != testLimits {
				t.Errorf(
					"in steps of %d: client %v, server %v, limits %+v",
					step,
					client.Done(),
					server.Done(),
					client.Limits(),
				)
			}
			seal, open := client.Records()
			serverSeal, serverOpen := server.Records()
			if (seal != nil) != encrypt || (serverSeal != nil) != encrypt {
				t.Fatalf("encrypt %v: records %v, %v", encrypt, seal != nil, serverSeal != nil)
			}
			if encrypt {
				exchange(t, seal, serverOpen, "to the server")
				exchange(t, serverSeal, open, "to the client")
			}
		}
	}
}

func exchange(t *testing.T, seal *Sealer, open *Opener, text string) {
	t.Helper()
	record, err := seal.Seal(nil, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if plain, n, err := open.Open(record); err != nil || n != len(record) || string(plain) != text {
		t.Errorf("%q, %d of %d, %v", plain, n, len(record), err)
	}
}

// TestFreshKeys: two connections with the same password have nothing in common, nor have the two
// directions of one.
func TestFreshKeys(t *testing.T) {
	seen := map[string]bool{}
	for range 4 {
		client := NewClient(
			ClientConfig{Key: func(KDF) ([]byte, error) { return keyOf(1), nil }, Encrypt: true},
			NewEphemeral(),
		)
		if err := run(client, testServer(keyOf(1), true, NewEphemeral()), 1000, nil); err != nil {
			t.Fatal(err)
		}
		for _, secret := range [][]byte{client.keys.clientFin, client.keys.serverFin, client.keys.clientStream, client.keys.serverStream} {
			if seen[string(secret)] {
				t.Errorf("%x twice", secret)
			}
			seen[string(secret)] = true
		}
	}
}

// TestEncryptionDiffers: the setting of both sides must be the same; if it is not, each learns why.
func TestEncryptionDiffers(t *testing.T) {
	for _, encrypts := range []bool{true, false} {
		err := run(testClient(keyOf(1), encrypts), testServer(keyOf(1), !encrypts, serverFresh), 1000, nil)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != RefusedEncryption ||
			!strings.Contains(refusal.Text, "this server") {
			t.Errorf("client %v, server %v: %v", encrypts, !encrypts, err)
		}
		// An attacker between them makes each believe that the other agrees.
		client := testClient(keyOf(1), encrypts)
		err = run(client, testServer(keyOf(1), !encrypts, serverFresh), 1000, func(i int, b []byte) []byte {
			switch i {
			case 0:
				b[len(b)-1] ^= optionEncrypt
			case 1:
				b[headerBytes+1] ^= optionEncrypt
			}
			return b
		})
		if !errors.As(err, &refusal) || refusal.Code != RefusedPassword || client.Done() {
			t.Errorf("client %v, server %v, talked into it: %v", encrypts, !encrypts, err)
		}
		// A server that says otherwise than it was asked.
		client = testClient(keyOf(1), encrypts)
		err = run(client, testServer(keyOf(1), encrypts, serverFresh), 1000, func(i int, b []byte) []byte {
			if i == 1 {
				b[headerBytes+1] ^= optionEncrypt
			}
			return b
		})
		if !errors.As(err, &refusal) || refusal.Code != RefusedEncryption ||
			!strings.Contains(refusal.Text, "this client") {
			t.Errorf("greeting with the other setting: %v", err)
		}
	}
}

// TestUnknown: what a side does not know of the other's message is refused with its reason.
func TestUnknown(t *testing.T) {
	const atHello, atGreeting, atShare = len(Magic) + headerBytes, headerBytes, headerBytes
	for _, c := range []struct {
		name        string
		message, at int
		value       byte
		want        RefusalCode
	}{
		{"newer client", 0, atHello, Version + 1, RefusedVersion},
		{"older client", 0, atHello + 1, Version - 1, RefusedVersion},
		{"option of Hello", 0, atHello + 2, optionEncrypt | 0x80, RefusedMessage},
		{"version of Greeting", 1, atGreeting, Version + 1, RefusedVersion},
		{"option of Greeting", 1, atGreeting + 1, optionEncrypt | 2, RefusedMessage},
		{"number of suites", 1, atGreeting + greetingBytes - 1, 2, RefusedMessage},
		{"suite of Greeting", 1, atGreeting + greetingBytes, 9, RefusedSuite},
		{"suite of ClientShare", 2, atShare, 1, RefusedSuite},
		{"option of ClientShare", 2, atShare + 1, 1, RefusedMessage},
	} {
		client, server := pair(keyOf(1), keyOf(1))
		err := run(client, server, 1000, func(i int, b []byte) []byte {
			if i == c.message {
				b[c.at] = c.value
			}
			return b
		})
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != c.want {
			t.Errorf("%s: %v, want refusal %d", c.name, err, c.want)
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
	if flips < 8*(14+56+69+47+35+35) {
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
	replayed := func(fresh Ephemeral) bool {
		server := testServer(keyOf(1), true, fresh)
		for i := 0; i < len(recorded); i += 2 { // the client's side
			if _, _, err := server.Next(recorded[i], nil); errors.Is(err, ErrCompute) {
				server.Compute()
				if _, _, err := server.Next(nil, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		return server.Done()
	}
	if !replayed(serverFresh) {
		t.Fatal("the recorded messages are not those of the handshake")
	}
	for _, fresh := range []Ephemeral{NewEphemeral(), {Nonce: serverFresh.Nonce, Scalar: [32]byte{9}}, {Nonce: [32]byte{9}, Scalar: serverFresh.Scalar}} {
		if replayed(fresh) {
			t.Error("a replayed client was let in")
		}
	}
	falseClient, _ := pair(keyOf(1), nil)
	falseClient.fresh = NewEphemeral()
	falseClient.Hello(nil)
	for i := 1; i < len(recorded); i += 2 { // the server's side, replayed
		if _, _, err := falseClient.Next(recorded[i], nil); err != nil {
			break
		}
	}
	if falseClient.Done() {
		t.Error("a replayed server convinced a client")
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
		for other := range recorded {
			client, server = pair(keyOf(1), keyOf(1))
			err = run(client, server, 1000, func(i int, b []byte) []byte {
				if i == at {
					return bytes.Clone(recorded[other])
				}
				return b
			})
			if other != at && (err == nil || client.Done()) {
				t.Errorf("message %d in place of %d: %v", other, at, err)
			}
		}
	}
}

// TestOtherTypes puts a message of each type in the place of each: a side takes the type that is
// due, a client a refusal too. A refusal is the server's to send: one that a client sends is out of
// place, and none of its text comes back.
func TestOtherTypes(t *testing.T) {
	const text = "all passwords were changed\nlevel=ERROR \x1b[2J"
	due := []messageType{typeHello, typeGreeting, typeClientShare, typeServerShare, typeClientFin, typeServerFin}
	for at, want := range due {
		for kind := range 256 {
			if messageType(kind) == want {
				continue
			}
			client, server := pair(keyOf(1), keyOf(1))
			err := run(client, server, 1000, func(i int, b []byte) []byte {
				if i != at {
					return b
				}
				forged := appendMessage(nil, messageType(kind), []byte{byte(RefusedPassword)}, []byte(text))
				if i == 0 {
					forged = append([]byte(Magic), forged...)
				}
				return forged
			})
			refusal, fromServer := (*Refusal)(nil), at%2 == 1 && messageType(kind) == typeRefusal
			switch {
			case !errors.As(err, &refusal) || client.Done() || server.Done() && want != typeServerFin:
				t.Fatalf("type %d in the place of %d: %v", kind, want, err)
			case fromServer && (refusal.Code != RefusedPassword || refusal.Text != "all passwords were changed\ufffdlevel=ERROR \ufffd[2J"):
				t.Errorf("the server's refusal in the place of %d: %d, %q", want, refusal.Code, refusal.Text)
			case !fromServer && (refusal.Code != RefusedMessage || strings.Contains(refusal.Text, "passwords")):
				t.Errorf("type %d in the place of %d: %d, %q", kind, want, refusal.Code, refusal.Text)
			}
		}
	}
}

func TestNotNative(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.1\r\n", "*1\r\n$4\r\nPING\r\n", "\x80\x04\x95\x2c", "\x16\x03\x01", "\xf7CDBX"} {
		server := testServer(keyOf(1), true, serverFresh)
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

// TestLowOrder: a share of low order is refused by either side, before it can say what the key is.
func TestLowOrder(t *testing.T) {
	points := cpaceVectors(t).points(t)
	for name, refused := range lowOrder {
		for message, at := range map[int]int{2: headerBytes + 2 + nonceBytes, 3: headerBytes + limitsBytes} {
			client, server := pair(keyOf(1), keyOf(1))
			err := run(client, server, 1000, func(i int, b []byte) []byte {
				if i == message {
					copy(b[at:], points[name])
				}
				return b
			})
			var refusal *Refusal
			if !errors.As(err, &refusal) || server.Done() || client.Done() {
				t.Fatalf("%s in message %d: %v", name, message, err)
			}
			if asLow := strings.Contains(refusal.Text, "low order"); asLow != refused {
				t.Errorf("%s in message %d: %v", name, message, err)
			}
		}
	}
}

// FuzzServer: no bytes of an unauthenticated client panic the server's side or authenticate.
func FuzzServer(f *testing.F) {
	client, server := pair(keyOf(1), keyOf(1))
	hello := client.Hello(nil)
	f.Add(hello)
	_, greeting, _ := server.Next(hello, nil)
	_, share, _ := client.Next(greeting, nil)
	f.Add(append(hello, share...))
	f.Fuzz(func(t *testing.T, b []byte) {
		server := testServer(keyOf(1), true, serverFresh)
		for len(b) > 0 {
			n, _, err := server.Next(b, nil)
			if errors.Is(err, ErrCompute) {
				server.Compute()
				_, _, err = server.Next(nil, nil)
			}
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
	_, share, err := client.Next(greeting, nil)
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := server.Next(share, nil); !errors.Is(err, ErrCompute) {
		f.Fatal(err)
	}
	server.Compute()
	_, serverShare, err := server.Next(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(bytes.Clone(greeting), serverShare...))
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
