package foreign

import (
	"bytes"
	"fmt"
)

// Protocol is the protocol of a client that is not one of cyberdb-fast's.
type Protocol uint8

// Protocols that can be answered.
const (
	Unknown Protocol = iota
	HTTP             // HTTP/1, and HTTP/2 without TLS
	RESP             // Redis's, and any other that begins with a line that begins with a word
	TLS
)

// String returns the protocol's name.
func (p Protocol) String() string {
	switch p {
	case HTTP:
		return "HTTP"
	case RESP:
		return "RESP"
	case TLS:
		return "TLS"
	}
	return "an unknown protocol"
}

const (
	// MaxFirstBytes is the number of bytes that Client uses.
	MaxFirstBytes = 256
	// MaxAnswerBytes is the size of the longest answer.
	MaxAnswerBytes = 320
	// leastBytes is how many bytes a client must have sent before it gets an answer.
	leastBytes = 4

	maxCountDigits = 8  // of a RESP array
	maxMethodBytes = 16 // of an HTTP request
)

// Client recognizes the protocol of a client whose first bytes are b; sure is false while b is too
// short. Except for Unknown, no protocol is sure before the client has sent four bytes. A sure
// result holds for all longer inputs.
func Client(b []byte) (p Protocol, sure bool) {
	b = b[:min(len(b), MaxFirstBytes)]
	switch {
	case len(b) == 0:
		return Unknown, false
	case b[0] == '*':
		return array(b)
	case b[0] == tlsHandshake:
		return tlsRecord(b)
	case isLetter(b[0]):
		return line(b)
	}
	return Unknown, true
}

// TLS record types and a handshake message type, of RFC 8446.
const (
	tlsAlert       = 0x15
	tlsHandshake   = 0x16
	tlsMajor       = 0x03
	tlsClientHello = 0x01
)

// tlsRecord recognizes a record that may hold a ClientHello: type, version (two bytes), length (two
// bytes), the message's type.
func tlsRecord(b []byte) (Protocol, bool) {
	switch {
	case len(b) > 1 && b[1] != tlsMajor, len(b) > 5 && b[5] != tlsClientHello:
		return Unknown, true
	case len(b) < 6:
		return Unknown, false
	}
	return TLS, true
}

// array recognizes the header of a RESP array: "*2\r\n".
func array(b []byte) (Protocol, bool) {
	digits := 0
	for digits < maxCountDigits && 1+digits < len(b) && isDigit(b[1+digits]) {
		digits++
	}
	switch rest := b[1+digits:]; {
	case len(rest) == 0 && digits < maxCountDigits:
		return Unknown, false
	case digits == 0 || !isPrefix(rest, "\r\n"):
		return Unknown, true
	case len(rest) < 2:
		return Unknown, false
	}
	return RESP, true
}

// line recognizes a first line that begins with a letter: that of an HTTP request, or any other
// that begins with a word.
func line(b []byte) (Protocol, bool) {
	word := 0
	for word < len(b) && isLetter(b[word]) {
		word++
	}
	if word < len(b) && b[word] == ' ' {
		if p, sure := request(b[:word], b[word+1:]); p == HTTP || !sure {
			return p, sure
		}
	}
	if word < len(b) && b[word] != ' ' && b[word] != '\r' && b[word] != '\n' {
		return Unknown, true
	}
	end := bytes.IndexFunc(b, func(r rune) bool { return r < ' ' && r != '\t' })
	if end < 0 || string(b[end:]) == "\r" {
		return Unknown, len(b) == MaxFirstBytes
	}
	whole := bytes.HasPrefix(b[end:], []byte("\n")) || bytes.HasPrefix(b[end:], []byte("\r\n"))
	if !whole || word < 2 || bytes.IndexByte(b, '\n') < leastBytes-1 {
		return Unknown, true
	}
	return RESP, true
}

// request recognizes the beginning of an HTTP request: a method, and a path, a URL or "*".
func request(method, target []byte) (Protocol, bool) {
	if len(method) < 3 || len(method) > maxMethodBytes || !bytes.Equal(method, bytes.ToUpper(method)) {
		return Unknown, true
	}
	targets := []string{"/", "http://", "https://"}
	switch string(method) {
	case "CONNECT":
		return HTTP, true
	case "OPTIONS", "PRI":
		targets = append(targets, "* HTTP/")
	}
	sure := true
	for _, t := range targets {
		if bytes.HasPrefix(target, []byte(t)) {
			return HTTP, true
		}
		sure = sure && !isPrefix(target, t)
	}
	return Unknown, sure
}

// isPrefix reports whether b and text agree as far as both go.
func isPrefix(b []byte, text string) bool {
	n := min(len(b), len(text))
	return string(b[:n]) == text[:n]
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// AppendAnswer appends the answer to a client whose first bytes are first: one line that says what
// this server is, in the client's protocol. It is at most MaxAnswerBytes. Close the connection
// after it.
func (p Protocol) AppendAnswer(dst, first []byte) []byte {
	text := fmt.Sprintf("this is cyberdb-fast, which does not speak %v: use a cyberdb-fast client", p)
	switch p {
	case HTTP:
		dst = fmt.Appendf(
			dst,
			"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "+
				"%d\r\nConnection: close\r\n\r\n",
			len(text)+1,
		)
		if bytes.HasPrefix(first, []byte("HEAD ")) { // answered without a body
			return dst
		}
		return append(append(dst, text...), '\n')
	case RESP:
		return append(append(append(dst, "-ERR "...), text...), "\r\n"...)
	case TLS: // an alert: fatal, handshake_failure
		return append(dst, tlsAlert, tlsMajor, 1, 0, 2, 2, 40)
	}
	return dst
}
