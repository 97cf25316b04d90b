package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// redisWire speaks RESP2. Entries are keys of the database, or fields of hashes with the names of
// the tables; lists have these names too.
type redisWire struct {
	items    *items
	tables   tables
	commands [opTotal][]command // by table
}

// command is the fixed and the variable parts of a request.
type command struct {
	front []byte // up to the first word that differs from request to request
	back  []byte // after the last such word
	words [2]word
}

// word is a part of a command that differs from request to request.
type word uint8

const (
	noWord word = iota
	keyWord
	valueWord
	indexWord
	pivotWord // the value in the middle of the list
)

// redisRequest is the words of a command, where {t} stands for the table's name,
// {k} for the key and so on.
type redisRequest struct {
	text  string
	reply replyKind
}

var redisRequests = [opTotal]redisRequest{
	OpGet:     {"GET {k}", replyValue},
	OpSet:     {"SET {k} {v}", replyOK},
	OpHGet:    {"HGET {t} {k}", replyValue},
	OpHSet:    {"HSET {t} {k} {v}", replyNumber},
	OpIncr:    {"INCR {k}", replyNumber},
	OpHIncr:   {"HINCRBY {t} {k} 1", replyNumber},
	OpAppend:  {"RPUSH {t} {v}", replyNumber},
	OpIndex:   {"LINDEX {t} {i}", replyValue},
	OpInsert:  {"LINSERT {t} BEFORE {p} {v}", replyNumber},
	OpPop:     {"RPOP {t}", replyValue},
	OpPopLeft: {"LPOP {t}", replyValue},
	opZero:    {"SET {k} 0", replyOK},
	opHZero:   {"HSET {t} {k} 0", replyNumber},
	opRead:    {"GET {k}", replyValue},
	opHRead:   {"HGET {t} {k}", replyValue},
}

var wordsOf = map[string]word{"{k}": keyWord, "{v}": valueWord, "{i}": indexWord, "{p}": pivotWord}

func newRedisWire(tables tables, items *items) *redisWire {
	w := &redisWire{items: items, tables: tables}
	for op, request := range redisRequests {
		if request.text == "" {
			continue
		}
		for _, name := range tables.names {
			w.commands[op] = append(w.commands[op], newCommand(request.text, name))
		}
	}
	return w
}

func newCommand(text, table string) (c command) {
	words := strings.Fields(text)
	c.front = fmt.Appendf(nil, "*%d\r\n", len(words))
	found := 0
	for _, text := range words {
		kind, differs := wordsOf[text]
		switch {
		case differs:
			c.words[found] = kind
			found++
		case text == "{t}":
			c.front = appendBulk(c.front, table)
		case found == 0:
			c.front = appendBulk(c.front, text)
		default:
			c.back = appendBulk(c.back, text)
		}
	}
	return c
}

// respCommand returns a complete command.
func respCommand(words ...string) []byte {
	out := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, text := range words {
		out = appendBulk(out, text)
	}
	return out
}

// appendBulk appends a bulk string.
func appendBulk(dst []byte, text string) []byte {
	return append(append(appendBulkHead(dst, len(text)), text...), "\r\n"...)
}

// appendBulkHead appends the header of a bulk string of n bytes.
func appendBulkHead(dst []byte, n int) []byte {
	return append(strconv.AppendUint(append(dst, '$'), uint64(n), 10), "\r\n"...)
}

func (w *redisWire) ordered() bool { return true }

func (w *redisWire) wants(op Op) (replyKind, bool) {
	return redisRequests[op].reply, redisRequests[op].text != ""
}

func (w *redisWire) appendRequest(dst []byte, op Op, item, _ uint32) []byte {
	c := &w.commands[op][w.tables.of(item)]
	dst = append(dst, c.front...)
	for _, kind := range c.words {
		switch kind {
		case noWord:
			continue
		case keyWord:
			dst = w.items.appendKey(appendBulkHead(dst, w.items.keyBytes(item)), item)
		case valueWord:
			dst = w.items.appendValue(appendBulkHead(dst, w.items.valueBytes(item)), item)
		case pivotWord:
			middle := w.tables.middleOf(item)
			dst = w.items.appendValue(appendBulkHead(dst, w.items.valueBytes(middle)), middle)
		case indexWord:
			dst = appendBulkNumber(dst, uint64(w.tables.index(item)))
			continue
		}
		dst = append(dst, "\r\n"...)
	}
	return append(dst, c.back...)
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
	if !op.usesList() && !op.anyOf(OpHSet, opHZero) {
		return nil // loading overwrites every key
	}
	for _, name := range w.tables.names {
		if _, err := ask(respCommand("DEL", name)); err != nil {
			return err
		}
	}
	return nil
}

func (w *redisWire) entries(ask asker) (total int64, err error) {
	for _, name := range w.tables.names {
		r, err := ask(respCommand("LLEN", name))
		if err != nil {
			return 0, err
		}
		total += r.number
	}
	return total, nil
}

func (w *redisWire) version(ask asker) (string, error) {
	r, err := ask(respCommand("INFO", "server"))
	if err != nil {
		return "", err
	}
	known := map[string]string{}
	for line := range strings.Lines(string(r.text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		known[name] = value
	}
	if version := known["valkey_version"]; version != "" {
		return "valkey " + version, nil
	}
	return strings.TrimSpace("redis " + known["redis_version"]), nil
}

func (w *redisWire) open() (opening, error) {
	return question{"redis", respCommand("PING"), w.parse}, nil
}
