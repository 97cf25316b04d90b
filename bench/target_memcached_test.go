package bench

import (
	"errors"
	"testing"
)

func TestMemcachedRequests(t *testing.T) {
	w := &memcachedWire{newItems(Fixed(4), Fixed(5), 1)}
	key, value := string(w.items.appendKey(nil, 7)), string(w.items.appendValue(nil, 7))
	for op, want := range map[Op]string{
		OpGet:  "get " + key + "\r\n",
		OpSet:  "set " + key + " 0 0 5\r\n" + value + "\r\n",
		OpIncr: "incr " + key + " 1\r\n",
		opZero: "set " + key + " 0 0 1\r\n0\r\n",
		opRead: "get " + key + "\r\n",
	} {
		if got := string(w.appendRequest(nil, op, 7, 9)); got != want {
			t.Errorf("%s: %q, want %q", op, got, want)
		}
	}
	if _, ok := w.wants(OpAppend); ok {
		t.Error("memcached has lists")
	}
}

func TestMemcachedReplies(t *testing.T) {
	w := &memcachedWire{newItems(Fixed(16), Fixed(32), 1)}
	for input, want := range map[string]string{
		"STORED\r\n":                            "OK",
		"END\r\n":                               "nothing there",
		"NOT_FOUND\r\n":                         "nothing there",
		"12\r\n":                                "a number",
		"VALUE k 0 5\r\nab\r\nc\r\nEND\r\n":     "a value",
		"VALUE k 0 0\r\n\r\nEND\r\n":            "a value",
		"VERSION 1.6.18\r\n":                    "a value",
		"OK\r\n":                                "OK",
		"STAT a 1\r\nSTAT b 2\r\nEND\r\n":       "a value",
		"ERROR\r\n":                             "ERROR: ",
		"SERVER_ERROR out of memory\r\n":        "SERVER_ERROR: out of memory",
		"\r\n":                                  "bad",
		"STORED\n":                              "bad",
		"hello\r\n":                             "bad",
		"VALUE k 0 x\r\n":                       "bad",
		"VALUE k 0 -1\r\n":                      "bad",
		"VALUE k 0 2\r\nabcdefghijklmnopqrstuv": "bad",
		"VALUE k 0 2\r\nab\r\nVALUE l 0 2\r\nab\r\nEN": "bad",
	} {
		var r reply
		n, err := w.parse([]byte(input), &r)
		got := r.describe()
		if err != nil {
			if got = "bad"; !errors.Is(err, errWire) {
				t.Errorf("%q: error %v is not errWire", input, err)
			}
		} else if n != len(input) {
			t.Errorf("%q: %d of %d bytes used", input, n, len(input))
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", input, got, err, want)
		}
	}
}
