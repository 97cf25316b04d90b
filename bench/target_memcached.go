package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// memcachedWire speaks memcached's text protocol (doc/protocol.txt): get, set, incr. It has no
// tables and no lists.
type memcachedWire struct{ items *items }

// maxMemcachedKey is the protocol's longest key.
const maxMemcachedKey = 250

func (w *memcachedWire) ordered() bool { return true }

func (w *memcachedWire) wants(op Op) (replyKind, bool) {
	switch op {
	case OpGet, opRead:
		return replyValue, true
	case OpSet, opZero:
		return replyOK, true
	case OpIncr:
		return replyNumber, true
	default:
		return 0, false
	}
}

func (w *memcachedWire) appendRequest(dst []byte, op Op, item, _ uint32) []byte {
	switch op {
	case OpGet, opRead:
		return append(w.items.appendKey(append(dst, "get "...), item), "\r\n"...)
	case OpIncr:
		return append(w.items.appendKey(append(dst, "incr "...), item), " 1\r\n"...)
	case opZero:
		return append(w.items.appendKey(append(dst, "set "...), item), " 0 0 1\r\n0\r\n"...)
	default:
		dst = append(w.items.appendKey(append(dst, "set "...), item), " 0 0 "...)
		dst = append(strconv.AppendUint(dst, uint64(w.items.valueBytes(item)), 10), "\r\n"...)
		return append(w.items.appendValue(dst, item), "\r\n"...)
	}
}

const memcachedEnd = "END\r\n"

func (w *memcachedWire) parse(b []byte, r *reply) (int, error) {
	const longestLine = 2048
	end := bytes.IndexByte(b, '\n')
	if end < 0 && len(b) < longestLine {
		return 0, nil
	}
	if end < 1 || b[end-1] != '\r' {
		return 0, fmt.Errorf("%w: line %.32q", errWire, b)
	}
	line, n := b[:end-1], end+1
	switch word, rest, _ := bytes.Cut(line, []byte(" ")); string(word) {
	case "VALUE":
		return parseMemcachedValue(b, n, rest, r)
	case "STAT":
		return parseMemcachedStats(b, r)
	case "END", "NOT_FOUND":
		r.kind = replyMissing
	case "STORED", "OK":
		r.kind = replyOK
	case "VERSION":
		r.kind, r.text = replyValue, rest
	case "ERROR", "CLIENT_ERROR", "SERVER_ERROR", "NOT_STORED", "EXISTS":
		r.fail(string(word), rest)
	default:
		number, ok := parseDecimal(line)
		if !ok {
			return 0, fmt.Errorf("%w: line %.32q", errWire, line)
		}
		r.kind, r.number = replyNumber, number
	}
	return n, nil
}

// parseMemcachedValue reads what follows "VALUE ": key, flags, length; the value begins at b[at].
func parseMemcachedValue(b []byte, at int, head []byte, r *reply) (int, error) {
	length, ok := parseDecimal(head[bytes.LastIndexByte(head, ' ')+1:])
	if !ok || length < 0 || length > maxBulkBytes {
		return 0, badNumber(head)
	}
	valueEnd := at + int(length)
	n := valueEnd + len("\r\n"+memcachedEnd)
	if len(b) < n {
		return 0, nil
	}
	if string(b[valueEnd:n]) != "\r\n"+memcachedEnd {
		return 0, fmt.Errorf("%w: value of %d bytes ends elsewhere", errWire, length)
	}
	r.kind, r.text = replyValue, b[at:valueEnd]
	return n, nil
}

// parseMemcachedStats reads all lines of "STAT NAME VALUE" as one text.
func parseMemcachedStats(b []byte, r *reply) (int, error) {
	const mostBytes = 64 << 10
	at := bytes.Index(b, []byte("\r\n"+memcachedEnd))
	if at < 0 {
		if len(b) > mostBytes {
			return 0, fmt.Errorf("%w: statistics of over %d bytes", errWire, mostBytes)
		}
		return 0, nil
	}
	at += len("\r\n")
	r.kind, r.text = replyValue, b[:at]
	return at + len(memcachedEnd), nil
}

func (w *memcachedWire) prepare(Op, asker) error { return nil } // loading overwrites every key

func (w *memcachedWire) entries(asker) (int64, error) { return 0, errors.New("memcached has no lists") }

func (w *memcachedWire) version(ask asker) (string, error) {
	r, err := ask([]byte("version\r\n"))
	return "memcached " + string(r.text), err
}

func (w *memcachedWire) open() (opening, error) {
	return question{"memcached", []byte("version\r\n"), w.parse}, nil
}

// question is the opening of a protocol that has none: a request without effect. It shows
// immediately whether the server refuses the connection.
type question struct {
	server  string
	request []byte
	parse   func(b []byte, r *reply) (n int, err error)
}

func (q question) begin(out []byte) []byte { return append(out, q.request...) }

func (q question) advance(in, out []byte) (n int, answer []byte, done bool, err error) {
	var r reply
	n, err = q.parse(in, &r)
	if err == nil && n > 0 && r.kind == replyFailure {
		err = errors.New(q.server + ": " + r.describe())
	}
	return n, out, n > 0 && err == nil, err
}
