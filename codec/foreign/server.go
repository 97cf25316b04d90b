package foreign

import (
	"fmt"
	"strings"
)

// maxQuotedBytes is how much of an unknown server's answer an error quotes.
const maxQuotedBytes = 32

// serverBeginnings are what servers send first, or answer to bytes that they do not understand.
var serverBeginnings = []struct{ text, name string }{
	{"HTTP/", "HTTP"},
	{"<!DOCTYPE", "HTTP"}, // an answer of HTTP/0.9, as the others with <
	{"<!doctype", "HTTP"},
	{"<html", "HTTP"},
	{"<HTML", "HTTP"},
	{"-ERR", "RESP (Redis)"},
	{"-DENIED", "RESP (Redis)"},
	{"-NOAUTH", "RESP (Redis)"},
	{"-LOADING", "RESP (Redis)"},
	{string([]byte{tlsAlert, tlsMajor}), "TLS"},
	{"SSH-", "SSH"},
	{"ERROR\r\n", "memcached's protocol"},
	{"CLIENT_ERROR", "memcached's protocol"},
}

// Server describes a server that has answered b to Hello and is not one of cyberdb-fast's: "speaks
// HTTP, not cyberdb-fast". sure is false while b is too short; the description is then what is
// known so far.
func Server(b []byte) (what string, sure bool) {
	sure = len(b) >= maxQuotedBytes
	could := false
	for _, beginning := range serverBeginnings {
		if isPrefix(b, beginning.text) {
			if len(b) >= len(beginning.text) {
				return fmt.Sprintf("speaks %s, not cyberdb-fast", beginning.name), true
			}
			could = true
		}
	}
	quoted := strings.Trim(fmt.Sprintf("%+q", b[:min(len(b), maxQuotedBytes)]), `"`)
	return fmt.Sprintf("does not speak cyberdb-fast's protocol: its answer begins with \"%s\"", quoted), sure || !could
}
