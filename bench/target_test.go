package bench

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
)

func TestNativeRequestsAreWhatTheServerReads(t *testing.T) {
	for _, valueBytes := range []int{5, 32, 200, 70_000} {
		items := newItems(16, valueBytes, 1)
		w := newNativeWire("bench", "", items)
		key, value := make([]byte, 16), make([]byte, valueBytes)
		items.putKey(key, 77)
		items.putValue(value, 77)
		name := msgp.AppendString(nil, "bench")
		cases := []struct {
			op   Op
			code codec.Opcode
			args []byte
		}{
			{OpGet, codec.OpDictGet, msgp.AppendStringFromBytes(name, key)},
			{OpSet, codec.OpDictSet, msgp.AppendStringFromBytes(msgp.AppendStringFromBytes(name, key), value)},
			{OpAppend, codec.OpListAppend, msgp.AppendStringFromBytes(name, value)},
			{OpIndex, codec.OpListGet, append(name, 0xce, 0, 0, 0, 77)},
		}
		for _, c := range cases {
			stream := w.appendRequest([]byte("before"), c.op, 77, 0xabcdef01)
			req, n, err := codec.ParseRequest(stream[len("before"):])
			if err != nil || n != len(stream)-len("before") {
				t.Fatalf("%s: n %d, %v", c.op, n, err)
			}
			if req.ID != 0xabcdef01 || req.Op != c.code || req.Flags != 0 || string(req.Args) != string(c.args) {
				t.Errorf("%s: %+v", c.op, req)
			}
		}
	}
}

func TestRedisRequests(t *testing.T) {
	w := newRedisWire("bench", newItems(4, 4, 1))
	key := make([]byte, 4)
	w.items.putKey(key, 1234567)
	cases := []struct {
		op   Op
		want string
	}{
		{OpGet, "*2\r\n$3\r\nGET\r\n$4\r\nKKKK\r\n"},
		{OpSet, "*3\r\n$3\r\nSET\r\n$4\r\nKKKK\r\n$4\r\nKKKK\r\n"},
		{OpAppend, "*3\r\n$5\r\nRPUSH\r\n$5\r\nbench\r\n$4\r\nKKKK\r\n"},
		{OpIndex, "*3\r\n$6\r\nLINDEX\r\n$5\r\nbench\r\n$7\r\n1234567\r\n"},
	}
	for _, c := range cases {
		want := strings.ReplaceAll(c.want, "KKKK", string(key))
		if got := string(w.appendRequest(nil, c.op, 1234567, 9)); got != want {
			t.Errorf("%s: %q, want %q", c.op, got, want)
		}
	}
	if got := string(appendBulkNumber(nil, 4_294_967_295)); got != "$10\r\n4294967295\r\n" {
		t.Errorf("%q", got)
	}
}

func TestRedisReplies(t *testing.T) {
	w := newRedisWire("bench", newItems(16, 32, 1))
	cases := []struct {
		input string
		want  string
	}{
		{"+OK\r\n", "OK"},
		{"-ERR no such thing\r\n", "ERR no such thing"},
		{":12\r\n", "a number 12"},
		{":-3\r\n", "a number -3"},
		{"$5\r\nab\r\nc\r\n", "a value \"ab\\r\\nc\""},
		{"$0\r\n\r\n", "a value \"\""},
		{"$-1\r\n", "nothing there"},
		{"*0\r\n", "bad"},
		{":\r\n", "bad"},
		{":1x\r\n", "bad"},
		{":1234567890123456789\r\n", "bad"},
		{"$-2\r\n", "bad"},
		{"$999999999999\r\n", "bad"},
		{"$2\r\nabcd", "bad"},
		{"+OK\n", "bad"},
		{"\n", "bad"},
	}
	for _, c := range cases {
		var r reply
		n, err := w.parse([]byte(c.input), &r)
		got := r.describe()
		switch {
		case err != nil:
			if got = "bad"; !errors.Is(err, errWire) {
				t.Errorf("%q: error %v is not errWire", c.input, err)
			}
		case n != len(c.input):
			t.Errorf("%q: %d of %d bytes used", c.input, n, len(c.input))
		case r.kind == replyNumber:
			got += fmt.Sprintf(" %d", r.number)
		case r.kind == replyValue:
			got += fmt.Sprintf(" %q", r.text)
		}
		if got != c.want {
			t.Errorf("%q: %s (%v), want %s", c.input, got, err, c.want)
		}
		for cut := range len(c.input) {
			if n, err := w.parse([]byte(c.input[:cut]), &r); err == nil && n != 0 {
				t.Errorf("%q is taken for a reply", c.input[:cut])
			}
		}
	}
}

func FuzzReplies(f *testing.F) {
	for _, seed := range []string{":\r\n", "+OK\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "-E\r\n", "\x09\x00\x00\x00\x01\x00\x00\x00\x00\x00\xa2ab", "\x06\x00\x00\x00\x01\x00\x00\x00\x01\x00"} {
		f.Add([]byte(seed))
	}
	items := newItems(16, 32, 1)
	wires := []wire{newRedisWire("bench", items), newNativeWire("bench", "", items)}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, w := range wires {
			var r reply
			n, err := w.parse(input, &r)
			if n < 0 || n > len(input) || (err != nil && !errors.Is(err, errWire)) {
				t.Fatalf("n %d of %d, error %v", n, len(input), err)
			}
			if n == 0 {
				continue
			}
			var again reply
			if m, err := w.parse(input[:n], &again); err != nil || m != n || again.kind != r.kind || string(again.text) != string(r.text) {
				t.Fatalf("without what follows: n %d, then %d (%v); %+v, then %+v", n, m, err, r, again)
			}
			_ = r.describe()
		}
	})
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"cyberdb://127.0.0.1:9980": {SchemeNative, "tcp", "127.0.0.1:9980"},
		"redis://localhost:6379/":  {SchemeRedis, "tcp", "localhost:6379"},
		"cyberdb://[::1]:9980":     {SchemeNative, "tcp", "[::1]:9980"},
	} {
		if got, err := ParseTarget(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "127.0.0.1:9980", "redis://", "redis://host", "mysql://h:1", "redis://h:1/0", "redis://:1", "://"} {
		var usage *UsageError
		if _, err := ParseTarget(text); !errors.As(err, &usage) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}
