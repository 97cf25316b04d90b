package bench

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"cyberdb-fast/codec/legacy"
	"cyberdb-fast/codec/pickle"
)

func newTestLegacyWire(t testing.TB, password string, encrypted bool, keys, values Size) *legacyWire {
	t.Helper()
	w, err := newLegacyWire(newTables("bench", 2, 10), password, encrypted, newItems(keys, values, 1))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestLegacyRepliesAsRecorded reads what the original server sent.
func TestLegacyRepliesAsRecorded(t *testing.T) {
	cases := []struct{ name, input, want string }{
		{"count", "80044b012e", "a step of an exchange"},
		{"ready", "80049509000000000000008c057265616479942e", "a step of an exchange"},
		{"done", "80049522000000000000007d94288c04636f6465944b018c0870617373776f7264948c0631323334353694752e", "OK"},
		{
			"number",
			"8004952e000000000000007d94288c04636f6465944b018c07636f6e74656e74944b018c0870617373776f7264948c0631323334353694752e",
			"a number",
		},
		{
			"KeyError",
			"80049551000000000000007d94288c04636f6465944b008c09457863657074696f6e948c086275696c74696e73948c084b65794572726f729493948c046e6f706594859452948c0870617373776f7264948c0631323334353694752e",
			"nothing there",
		},
		{"refused", "80047d288c04636f64654b00752e", "CyberDB: refused "},
		{"no pickle", "ff", "bad"},
		{"a stop alone", "2e", "bad"},
		{"a list", "80045d2e", "bad"},
	}
	w := newTestLegacyWire(t, "123456", false, Fixed(16), Fixed(32))
	for _, c := range cases {
		input, err := hex.DecodeString(c.input)
		if err != nil {
			t.Fatal(err)
		}
		var r reply
		n, err := w.parse(append(input, "more"...), &r)
		got := r.describe()
		if err != nil {
			if got = "bad"; !errors.Is(err, errWire) {
				t.Errorf("%s: error %v is not errWire", c.name, err)
			}
		} else if n != len(input) {
			t.Errorf("%s: %d of %d bytes used", c.name, n, len(input))
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.name, got, err, c.want)
		}
		for cut := range len(input) {
			if n, err := w.parse(input[:cut], &r); err == nil && n != 0 {
				t.Errorf("%s: the first %d bytes are taken for a message", c.name, cut)
			}
		}
	}
}

// TestLegacyCipherAsRecorded compares with a message that the original client sent.
func TestLegacyCipherAsRecorded(t *testing.T) {
	w := newTestLegacyWire(t, "hWjYvVdqRC", true, Fixed(16), Fixed(32))
	stream, err := hex.DecodeString("50438652bc7833a4b00011b9474e4f6e8fa67fbe7aa03be88c8c2045231282d39ebb877a929273b5")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(stream))
	if w.cipher.XOR(got, 0); string(got) != string(stream) {
		t.Errorf("key stream %x, want %x", got, stream)
	}
	for _, password := range []string{"", strings.Repeat("x", 33), "pässword"} {
		if _, err := legacy.NewCipher(password); err == nil {
			t.Errorf("%q is taken for a password", password)
		}
	}
}

// TestLegacyRequestsByCPython lets Python's own pickle read the requests.
func TestLegacyRequestsByCPython(t *testing.T) {
	const script = `
import pickle, sys
for line in sys.stdin:
    print(list(pickle.loads(bytes.fromhex(line)).items()))
`
	var input, want strings.Builder
	for _, size := range []int{4, 300, 70_000} {
		w := newTestLegacyWire(t, "123456", false, Fixed(min(size, 300)), Fixed(size))
		for _, op := range []Op{OpGet, OpSet, OpAppend} {
			const item = 7
			key, value := string(w.items.appendKey(nil, item)), string(w.items.appendValue(nil, item))
			input.WriteString(hex.EncodeToString(w.appendBody(nil, op, item)) + "\n")
			line := "[('route', '" + legacyRequests[op].route + "'), ('table_name', 'bench.1'), "
			if op != OpAppend {
				line += "('key', '" + key + "'), "
			}
			if op != OpGet {
				line += "('value', '" + value + "'), "
			}
			want.WriteString(line + "('password', '123456')]\n")
		}
	}
	python := exec.Command("python3", "-c", script)
	python.Stdin = strings.NewReader(input.String())
	if got, err := python.Output(); err != nil || string(got) != want.String() {
		t.Errorf("%v: %.2000s\nwant %.2000s", err, got, want.String())
	}
}

// fakeLegacy is an original server with one dict, enough for the generator.
type fakeLegacy struct {
	wire   *legacyWire
	silent bool // about its password, as cyberdb-fast is

	mu   sync.Mutex
	dict map[string]string // guarded by mu
}

// serve answers until the listener is closed and every client has gone.
func (s *fakeLegacy) serve(t *testing.T, listener net.Listener) {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			defer conn.Close()
			s.converse(t, conn)
		})
	}
}

func (s *fakeLegacy) converse(t *testing.T, conn net.Conn) {
	var input []byte
	receive := func() (message pickle.Object, ok bool) {
		buffer := make([]byte, legacyBlock)
		for {
			message, n, err := new(legacyReader).message(input, s.wire.cipher)
			if err == nil && n > 0 {
				input = append([]byte(nil), input[n:]...)
				return message, true
			}
			more, err := conn.Read(buffer)
			if err != nil {
				return pickle.Object{}, false
			}
			input = append(input, buffer[:more]...)
		}
	}
	send := func(message []byte) bool {
		_, err := conn.Write(message)
		return err == nil
	}
	for {
		count, ok := receive()
		if blocks, isInt := count.Int(); !ok || !isInt || blocks != 1 || !send(s.wire.ready) {
			return
		}
		request, ok := receive()
		if !ok {
			return
		}
		answer := s.answer(request)
		if !send(s.wire.appendCount(nil, len(answer))) {
			return
		}
		if ready, ok := receive(); !ok || !ready.IsText(legacyReady) || !send(answer) {
			t.Error("something else in the place of ready")
			return
		}
	}
}

func (s *fakeLegacy) answer(request pickle.Object) []byte {
	text := func(name string) string { return string(request.Field(name).Text()) }
	code, content := int64(1), []byte(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch text("route") {
	case "/connect", "/create_cyberdict":
	case "/delete_table":
		clear(s.dict)
	case "/cyberdict/setitem":
		s.dict[text("key")] = text("value")
	case "/cyberdict/getitem":
		content = pickle.AppendText(nil, s.dict[text("key")])
	default:
		code = 0
	}
	body := pickle.AppendInt(pickle.AppendText(pickle.AppendDict(pickle.Begin(nil)), "code"), code)
	if content != nil {
		body = append(pickle.AppendText(body, "content"), content...)
	}
	if s.silent {
		return s.wire.seal(nil, pickle.End(pickle.EndDict(body)))
	}
	return s.wire.seal(nil, append(body, s.wire.tail...))
}

func TestRunAgainstTheLegacyWire(t *testing.T) {
	cases := []struct {
		scheme string
		silent bool
		name   string
	}{
		{SchemeLegacy, false, "the original CyberDB"},
		{SchemeLegacyEncrypted, false, "the original CyberDB, encrypted"},
		{SchemeLegacy, true, "cyberdb-fast --legacy"},
	}
	for _, c := range cases {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &fakeLegacy{
			wire: newTestLegacyWire(
				t,
				fakePassword,
				c.scheme == SchemeLegacyEncrypted,
				Fixed(16),
				Fixed(32),
			),
			silent: c.silent,
			dict:   map[string]string{},
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.serve(t, listener)
		}()
		o := shortRun(Target{Scheme: c.scheme, Network: "tcp", Address: listener.Addr().String()})
		o.Op, o.Keys = OpMixed, 50
		r, err := Run(context.Background(), o)
		listener.Close()
		<-served
		if err != nil || r.Failed() || r.Ops == 0 || r.Pipeline != 1 || r.Asked != o.Pipeline || r.Server != c.name {
			t.Fatalf("%s: %v, %+v", c.name, err, r)
		}
	}
}
