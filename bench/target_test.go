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
		items := newItems(Fixed(16), Fixed(valueBytes), 1)
		w := newNativeWire(newTables("bench", 1, 1000), "", false, items)
		key, value := items.appendKey(nil, 77), items.appendValue(nil, 77)
		name := msgp.AppendString(nil, "bench")
		cases := []struct {
			op   Op
			code codec.Opcode
			args []byte
		}{
			{OpGet, codec.OpDictGet, msgp.AppendStringFromBytes(name, key)},
			{OpSet, codec.OpDictSet, msgp.AppendStringFromBytes(msgp.AppendStringFromBytes(name, key), value)},
			{OpAppend, codec.OpListAppend, msgp.AppendStringFromBytes(name, value)},
			{OpHSet, codec.OpDictSet, msgp.AppendStringFromBytes(msgp.AppendStringFromBytes(name, key), value)},
			{OpIndex, codec.OpListGet, append(name[:len(name):len(name)], 0xce, 0, 0, 0, 77)},
			{
				OpInsert,
				codec.OpListInsert,
				msgp.AppendStringFromBytes(append(name[:len(name):len(name)], 0xce, 0, 0, 500>>8, 500&0xff), value),
			},
			{OpPop, codec.OpListPop, name},
			{OpPopLeft, codec.OpListPopLeft, name},
			{OpIncr, codec.OpDictIncrement, append(msgp.AppendStringFromBytes(name, key), 1)},
			{opZero, codec.OpDictSet, append(msgp.AppendStringFromBytes(name, key), 0)},
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
	w := newRedisWire(newTables("bench", 3, 9), newItems(Fixed(4), Fixed(5), 1))
	const item = 7 // the third element of bench.1, whose middle is item 4
	key, value, pivot := string(
		w.items.appendKey(nil, item),
	), string(
		w.items.appendValue(nil, item),
	), string(
		w.items.appendValue(nil, 4),
	)
	cases := []struct {
		op   Op
		want string
	}{
		{OpGet, "GET " + key},
		{OpSet, "SET " + key + " " + value},
		{OpIncr, "INCR " + key},
		{opZero, "SET " + key + " 0"},
		{OpHGet, "HGET bench.1 " + key},
		{OpHSet, "HSET bench.1 " + key + " " + value},
		{OpHIncr, "HINCRBY bench.1 " + key + " 1"},
		{OpAppend, "RPUSH bench.1 " + value},
		{OpIndex, "LINDEX bench.1 2"},
		{OpInsert, "LINSERT bench.1 BEFORE " + pivot + " " + value},
		{OpPop, "RPOP bench.1"},
		{OpPopLeft, "LPOP bench.1"},
	}
	for _, c := range cases {
		if got, want := string(
			w.appendRequest(nil, c.op, item, 9),
		), string(
			respCommand(strings.Fields(c.want)...),
		); got != want {
			t.Errorf("%s: %q, want %q", c.op, got, want)
		}
	}
	if got := string(appendBulkNumber(nil, 4_294_967_295)); got != "$10\r\n4294967295\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(respCommand("GET", "k")); got != "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" {
		t.Errorf("%q", got)
	}
}

func TestRedisReplies(t *testing.T) {
	w := newRedisWire(newTables("bench", 1, 1), newItems(Fixed(16), Fixed(32), 1))
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
	for _, seed := range []string{
		":\r\n", "+OK\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "-E\r\n", "\x09\x00\x00\x00\x01\x00\x00\x00\x00\x00\xa2ab", "\x06\x00\x00\x00\x01\x00\x00\x00\x01\x00",
		"VALUE k 0 3\r\nabc\r\nEND\r\n", "STORED\r\n", "\x80\x04K\x01.", "\x80\x04}(\x8c\x04codeK\x01\x8c\x07content\x8c\x01vu.",
	} {
		f.Add([]byte(seed))
	}
	items, tables := newItems(Fixed(16), Fixed(32), 1), newTables("bench", 1, 1)
	native := newNativeWire(tables, "", false, items)
	plain, err := newLegacyWire(tables, fakePassword, false, items)
	if err != nil {
		f.Fatal(err)
	}
	encrypted, err := newLegacyWire(tables, fakePassword, true, items)
	if err != nil {
		f.Fatal(err)
	}
	wires := []wire{newRedisWire(tables, items), native, &memcachedWire{items}, &echoWire{native, 1}, plain, encrypted}
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
			if m, err := w.parse(
				input[:n],
				&again,
			); err != nil || m != n || again.kind != r.kind ||
				string(again.text) != string(r.text) {
				t.Fatalf("without what follows: n %d, then %d (%v); %+v, then %+v", n, m, err, r, again)
			}
			_ = r.describe()
		}
	})
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"cyberdb://127.0.0.1:9980": {Scheme: SchemeNative, Network: "tcp", Address: "127.0.0.1:9980"},
		"redis://localhost:6379/":  {Scheme: SchemeRedis, Network: "tcp", Address: "localhost:6379"},
		"cyberdb://[::1]:9980":     {Scheme: SchemeNative, Network: "tcp", Address: "[::1]:9980"},
		"cyberdbs://[::1]:9980":    {Scheme: SchemeNative, Network: "tcp", Address: "[::1]:9980", Encrypt: true},
		"gnet-echo":                {Scheme: SchemeEcho, Network: "tcp", Loops: 1},
		"gnet-echo:2":              {Scheme: SchemeEcho, Network: "tcp", Loops: 2},
		"memcached://h:11211":      {Scheme: SchemeMemcached, Network: "tcp", Address: "h:11211"},
		"legacy-encrypted://h:1":   {Scheme: SchemeLegacyEncrypted, Network: "tcp", Address: "h:1"},
	} {
		if got, err := ParseTarget(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "127.0.0.1:9980", "redis://", "redis://host", "mysql://h:1", "rediss://h:1", "redis://h:1/0", "redis://:1", "://", "gnet-echo:0", "gnet-echo:x", "gnet-echo://h:1"} {
		var usage *UsageError
		if _, err := ParseTarget(text); !errors.As(err, &usage) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}
