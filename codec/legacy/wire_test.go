package legacy_test

import (
	"bytes"
	"errors"
	"testing"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
)

// TestWireExchange: the steps of one exchange, with what may follow a request's pickle, plain and
// encrypted.
func TestWireExchange(t *testing.T) {
	cipher, err := legacy.NewCipher("123456")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*legacy.Cipher{nil, cipher} {
		server, client := legacy.NewWire(c), legacy.NewWire(c)
		var u pickle.Unpickler
		next := func(b []byte) []byte {
			t.Helper()
			message, err := server.Next(b, &u)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Clone(message)
		}
		count := client.Seal(nil, pickle.End(pickle.AppendInt(pickle.Begin(nil), 1)))
		if next(bytes.Clone(count[:4])) != nil {
			t.Error("a message before it is whole")
		}
		server = legacy.NewWire(c)
		answer, err := server.Counted(nil, next(count), &u)
		if err != nil {
			t.Fatal(err)
		}
		if message, err := legacy.NewWire(c).Next(answer, &u); err != nil || !legacy.IsReady(message, &u) {
			t.Errorf("answered with %x, %v", answer, err)
		}
		request := pickle.End(
			pickle.EndDict(pickle.AppendText(pickle.AppendText(pickle.AppendDict(pickle.Begin(nil)), "a"), "b")),
		)
		if got := next(append(client.Seal(nil, request), "after"...)); !bytes.Equal(got, request) {
			t.Errorf("the request is %q", got)
		}
		server.Answered(nil, 5000)
		late := append([]byte("late"), client.Seal(nil, pickle.End(pickle.AppendText(pickle.Begin(nil), "ready")))...)
		if got := next(late); !legacy.IsReady(got, &u) {
			t.Errorf("%q is not ready", got)
		}
		server.Done()
		if server.Step() != legacy.AwaitCount {
			t.Errorf("step %d", server.Step())
		}
	}
}

// TestWireIsSmall: messages before a request, and its wrapping, have few objects: without the
// password a client cannot make the server build many.
func TestWireIsSmall(t *testing.T) {
	cipher, err := legacy.NewCipher("123456")
	if err != nil {
		t.Fatal(err)
	}
	var u pickle.Unpickler
	many := append(append([]byte("}("), bytes.Repeat([]byte{'N'}, 3000)...), "u."...)
	sealed := bytes.Clone(many)
	cipher.XOR(sealed, 0)
	for _, w := range []struct {
		wire  *legacy.Wire
		bytes []byte
	}{{legacy.NewWire(nil), many}, {legacy.NewWire(cipher), sealed}} {
		message, err := w.wire.Next(w.bytes, &u)
		if err == nil {
			_, err = w.wire.Counted(nil, message, &u)
		}
		if !errors.Is(err, legacy.ErrGarbage) {
			t.Errorf("%v", err)
		}
	}
}
