package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// redisWire speaks RESP2: GET, SET, RPUSH, LINDEX. Dict entries are keys of the database; the list is the key named as the table.
type redisWire struct {
	table string
	items *items
	get   template
	set   template
	push  template
	index []byte // LINDEX up to its last argument
}

func newRedisWire(table string, items *items) *redisWire {
	w := &redisWire{table: table, items: items}
	key, value := string(make([]byte, items.keyBytes)), string(make([]byte, items.valueBytes))
	w.get.frame = respCommand(2, "GET")
	w.get.keyAt = w.get.appendBulk(key)
	w.set.frame = respCommand(3, "SET")
	w.set.keyAt = w.set.appendBulk(key)
	w.set.valueAt = w.set.appendBulk(value)
	w.push.frame = respCommand(3, "RPUSH", table)
	w.push.valueAt = w.push.appendBulk(value)
	w.index = respCommand(3, "LINDEX", table)
	return w
}

// respCommand returns the front of a command of count words, or all of it.
func respCommand(count int, words ...string) []byte {
	t := template{frame: fmt.Appendf(nil, "*%d\r\n", count)}
	for _, word := range words {
		t.appendBulk(word)
	}
	return t.frame
}

// appendBulk appends a bulk string and returns where its text begins.
func (t *template) appendBulk(text string) (at int) {
	t.frame = fmt.Appendf(t.frame, "$%d\r\n", len(text))
	at = len(t.frame)
	t.frame = append(append(t.frame, text...), "\r\n"...)
	return at
}

func (w *redisWire) ordered() bool { return true }

func (w *redisWire) wants(op Op) replyKind {
	switch op {
	case OpGet, OpIndex:
		return replyValue
	case OpAppend:
		return replyNumber
	default:
		return replyOK
	}
}

func (w *redisWire) appendRequest(dst []byte, op Op, item, _ uint32) []byte {
	at := len(dst)
	switch op {
	case OpGet:
		dst = append(dst, w.get.frame...)
		w.items.putKey(dst[at+w.get.keyAt:], item)
	case OpSet:
		dst = append(dst, w.set.frame...)
		w.items.putKey(dst[at+w.set.keyAt:], item)
		w.items.putValue(dst[at+w.set.valueAt:], item)
	case OpAppend:
		dst = append(dst, w.push.frame...)
		w.items.putValue(dst[at+w.push.valueAt:], item)
	default:
		dst = appendBulkNumber(append(dst, w.index...), uint64(item))
	}
	return dst
}

// appendBulkNumber appends a number as a bulk string.
func appendBulkNumber(dst []byte, number uint64) []byte {
	var room [20]byte
	digits := strconv.AppendUint(room[:0], number, 10)
	dst = strconv.AppendUint(append(dst, '$'), uint64(len(digits)), 10)
	dst = append(append(dst, "\r\n"...), digits...)
	return append(dst, "\r\n"...)
}

// maxBulkBytes is RESP's own limit of a bulk string.
const maxBulkBytes = 512 << 20

func (w *redisWire) parse(b []byte, r *reply) (int, error) {
	const longestNumber = 32
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, nil
	}
	if end < 2 || b[end-1] != '\r' {
		return 0, fmt.Errorf("%w: line %q", errWire, b[:min(end+1, longestNumber)])
	}
	line, n := b[1:end-1], end+1
	switch b[0] {
	case '+':
		r.kind, r.text = replyOK, line
		return n, nil
	case '-':
		r.fail("", line)
		return n, nil
	case ':':
		number, ok := parseDecimal(line)
		if !ok {
			return 0, badNumber(line)
		}
		r.kind, r.number = replyNumber, number
		return n, nil
	case '$':
		length, ok := parseDecimal(line)
		if !ok || length < -1 || length > maxBulkBytes {
			return 0, badNumber(line)
		}
		return parseBulk(b, n, int(length), r)
	}
	return 0, fmt.Errorf("%w: type %q", errWire, b[0])
}

// parseBulk reads the text of a bulk string that begins at b[at]; length -1 is "nothing there".
func parseBulk(b []byte, at, length int, r *reply) (int, error) {
	if length < 0 {
		r.kind = replyMissing
		return at, nil
	}
	n := at + length + 2
	if len(b) < n {
		return 0, nil
	}
	if b[n-2] != '\r' || b[n-1] != '\n' {
		return 0, fmt.Errorf("%w: bulk string of %d bytes ends elsewhere", errWire, length)
	}
	r.kind, r.text = replyValue, b[at:n-2]
	return n, nil
}

func badNumber(line []byte) error {
	return fmt.Errorf("%w: number %q", errWire, line[:min(len(line), 32)])
}

// parseDecimal reads an integer of at most 18 digits.
func parseDecimal(b []byte) (number int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, digit := range b {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		number = number*10 + int64(digit-'0')
	}
	if negative {
		number = -number
	}
	return number, true
}

func (w *redisWire) prepare(op Op, ask asker) error {
	if !op.usesList() {
		return nil // loading overwrites every key
	}
	_, err := ask(respCommand(2, "DEL", w.table))
	return err
}

func (w *redisWire) entries(ask asker) (int64, error) {
	r, err := ask(respCommand(2, "LLEN", w.table))
	return r.number, err
}

func (w *redisWire) open() (opening, error) { return redisOpening{w}, nil }

// redisOpening sends PING and awaits its answer, so that a connection that the server does not want is known at once.
type redisOpening struct{ wire *redisWire }

func (o redisOpening) begin(out []byte) []byte { return append(out, respCommand(1, "PING")...) }

func (o redisOpening) advance(in, out []byte) (n int, answer []byte, done bool, err error) {
	var r reply
	n, err = o.wire.parse(in, &r)
	if err == nil && n > 0 && r.kind == replyFailure {
		err = errors.New("redis: " + r.describe())
	}
	return n, out, n > 0 && err == nil, err
}
