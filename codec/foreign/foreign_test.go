package foreign

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cyberdb-fast/codec/secure"
)

// clients are what clients of other protocols send first, and what they are taken for.
var clients = []struct {
	first string
	want  Protocol
}{
	{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP},
	{"HEAD /x HTTP/1.0\r\n\r\n", HTTP},
	{"POST /form HTTP/1.1\r\n", HTTP},
	{"PUT / HTTP/1.1\r\n", HTTP},
	{"PROPFIND /dav HTTP/1.1\r\n", HTTP},
	{"OPTIONS * HTTP/1.1\r\n", HTTP},
	{"CONNECT example.com:443 HTTP/1.1\r\n", HTTP},
	{"GET http://example.com/ HTTP/1.1\r\n", HTTP},
	{"GET /" + strings.Repeat("x", 2*MaxFirstBytes), HTTP},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP},
	{"*1\r\n$4\r\nPING\r\n", RESP},
	{"*2\r\n$7\r\nCOMMAND\r\n$4\r\nDOCS\r\n", RESP},
	{"*1048576\r\n", RESP},
	{"PING\r\n", RESP},
	{"ping\n", RESP},
	{"GET key\r\n", RESP},
	{"GET http\r\n", RESP},
	{"KEYS *\r\n", RESP},
	{"set k \"\xc3\xa9\"\r\n", RESP},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", TLS},
	{"\x16\x03\x03\x00\x10\x01\x00\x00\x0c", TLS},

	{secure.Magic, Unknown},
	{"\x80\x04\x95\x00\x00", Unknown}, // a pickle
	{"\x80\x04K\x01.", Unknown},
	{"I10\n.", Unknown}, // pickles of the first protocols
	{"KA.", Unknown},
	{"MAA.", Unknown},
	{"JAAAA.", Unknown},
	{"SSH-2.0-OpenSSH_9.2\r\n", Unknown},
	{"\x16\x02\x01\x00\x00\x01", Unknown},
	{"\x16\x03\x01\x02\x00\x02", Unknown},
	{"\r\n\r\n", Unknown},
	{"a\n", Unknown},
	{"*\r\n", Unknown},
	{"*123456789\r\n", Unknown},
	{"PING\x00\r\n", Unknown},
	{"PING\rPING\n", Unknown},
	{strings.Repeat("A", MaxFirstBytes), Unknown},
	{strings.Repeat("A", MaxFirstBytes-1) + " ", Unknown},
	{"\x00", Unknown},
	{"\xff\xff\xff\xff", Unknown},
}

func TestClient(t *testing.T) {
	for _, c := range clients {
		if got, sure := Client([]byte(c.first)); got != c.want || !sure {
			t.Errorf("%.40q: %v, %v, want %v", c.first, got, sure, c.want)
		}
		checkGrowing(t, []byte(c.first))
	}
}

// checkGrowing gives Client a stream byte by byte: what it is sure of it says from there on, no
// protocol before the fourth byte, and all before the last.
func checkGrowing(t *testing.T, stream []byte) {
	t.Helper()
	var is Protocol
	decided := false
	for n := range len(stream) + 1 {
		p, sure := Client(stream[:n])
		switch {
		case decided && (p != is || !sure):
			t.Fatalf("%.60q: %v after %v", stream[:n], p, is)
		case !sure && (p != Unknown || n >= MaxFirstBytes):
			t.Fatalf("%.60q: %v, and not sure", stream[:n], p)
		case sure && p != Unknown && n < 4:
			t.Fatalf("%q is answered after %d bytes", stream[:n], n)
		}
		is, decided = p, sure
	}
}

// TestAnswers: one line in the client's language, which says what to do.
func TestAnswers(t *testing.T) {
	for p, wants := range map[Protocol][]string{
		HTTP:    {"HTTP/1.1 400 ", "\r\n\r\nthis is cyberdb-fast, which does not speak HTTP: use a cyberdb-fast client\n"},
		RESP:    {"-ERR this is cyberdb-fast, which does not speak RESP: use a cyberdb-fast client\r\n"},
		TLS:     {"\x15\x03\x01\x00\x02\x02\x28"},
		Unknown: {""},
	} {
		got := string(p.AppendAnswer([]byte("before"), []byte("GET / HTTP/1.1\r\n")))
		for _, want := range wants {
			if !strings.HasPrefix(got, "before") || !strings.Contains(got, want) ||
				len(got) > len("before")+MaxAnswerBytes {
				t.Errorf("%v: %q, want %q in it", p, got, want)
			}
		}
	}
	if got := string(HTTP.AppendAnswer(nil, []byte("HEAD / HTTP/1.1\r\n"))); !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD is answered with a body: %q", got)
	}
}

func TestServer(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n":          "speaks HTTP, not cyberdb-fast",
		"<!DOCTYPE HTML>\n<html>":               "speaks HTTP, not cyberdb-fast",
		"-ERR unknown command '\xf7CDBF'\r\n":   "speaks RESP (Redis), not cyberdb-fast",
		"-DENIED Redis is running in protected": "speaks RESP (Redis), not cyberdb-fast",
		"\x15\x03\x03\x00\x02\x02\x46":          "speaks TLS, not cyberdb-fast",
		"SSH-2.0-OpenSSH_9.2\r\n":               "speaks SSH, not cyberdb-fast",
		"ERROR\r\n":                             "speaks memcached's protocol, not cyberdb-fast",
		"220 mail.example.com ESMTP\r\n":        `does not speak cyberdb-fast's protocol: its answer begins with "220 mail.example.com ESMTP\r\n"`,
		"\x00\x1b[2J\u202e":                     `does not speak cyberdb-fast's protocol: its answer begins with "\x00\x1b[2J\u202e"`,
		"HTT":                                   `does not speak cyberdb-fast's protocol: its answer begins with "HTT"`,
	} {
		if got, sure := Server([]byte(answer)); got != want || sure != (answer != "HTT") {
			t.Errorf("%q: %q, %v, want %q", answer, got, sure, want)
		}
	}
}

// TestProtocolAnswers compares the table in PROTOCOL.md with the code.
func TestProtocolAnswers(t *testing.T) {
	text, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- answers: checked by TestProtocolAnswers -->")
	table, _, _ = strings.Cut(table, "### ")
	rows := regexp.MustCompile("(?m)^\\| `(\".*?\")`.*? \\| (\\w+) \\| `(\".*?\")`").FindAllStringSubmatch(table, -1)
	if len(rows) != 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		first, err := strconv.Unquote(row[1])
		want, err2 := strconv.Unquote(row[3])
		if err != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", row[0], err, err2)
		}
		p, sure := Client([]byte(first))
		if got := string(p.AppendAnswer(nil, []byte(first))); p.String() != row[2] || got != want || !sure {
			t.Errorf("%q: %v, %v, %q, and PROTOCOL.md says %s, %q", first, p, sure, got, row[2], want)
		}
	}
}

// FuzzFirstBytes: whatever comes first, in whatever pieces, has one answer that stays, small, and
// none of the native protocol's or a pickle's is taken for another's.
func FuzzFirstBytes(f *testing.F) {
	for _, c := range clients {
		f.Add([]byte(c.first))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkGrowing(t, b[:min(len(b), 2*MaxFirstBytes)])
		p, _ := Client(b)
		if native, _ := secure.IsNative(b); p != Unknown && (native || b[0] == 0x80) {
			t.Fatalf("%q is taken for %v", b, p)
		}
		answer := p.AppendAnswer(nil, b)
		if len(answer) > MaxAnswerBytes || (len(answer) > 0) != (p != Unknown) || len(answer) > 0 && len(b) < 4 {
			t.Fatalf("%q is answered with %q", b, answer)
		}
	})
}

// FuzzForeignServer: an error about any answer is one line of printable ASCII, and short; what is
// sure stays.
func FuzzForeignServer(f *testing.F) {
	for _, s := range serverBeginnings {
		f.Add([]byte(s.text + " and more"))
	}
	f.Add([]byte("220 \x1b[31m\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		what, sure := Server(b)
		if len(what) > 300 || strings.ContainsFunc(what, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q: %q", b, what)
		}
		if more, still := Server(
			append(bytes.Clone(b), b...),
		); sure &&
			(!still || strings.HasPrefix(what, "speaks") && more != what) {
			t.Fatalf("%q: %q, then %q", b, what, more)
		}
		if len(b) >= maxQuotedBytes && !sure {
			t.Fatalf("%q: not sure", b)
		}
	})
}
