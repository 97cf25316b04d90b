package engine

import (
	"log/slog"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// payloadOf returns a function that makes the payload of a request.
func payloadOf(t *testing.T) func(op codec.Opcode, args ...any) []byte {
	return func(op codec.Opcode, args ...any) []byte {
		payload := []byte{byte(op), 0}
		for _, arg := range args {
			var err error
			if payload, err = govalue.Append(payload, arg); err != nil {
				t.Fatal(err)
			}
		}
		return payload
	}
}

// TestReplayRefuses gives a Replayer invalid records.
func TestReplayRefuses(t *testing.T) {
	payload := payloadOf(t)
	record := func(lsn, n uint64, request []byte) Operation { return Operation{LSN: lsn, N: n, Request: request} }
	create := record(1, 1, payload(codec.OpCreateDict, "d", false))
	extended := func(extensions ...byte) []Operation {
		o := create
		o.Extensions = extensions
		return []Operation{o}
	}
	newer := create
	newer.Semantics = Semantics + 1
	for name, c := range map[string]struct {
		records []Operation
		want    string
	}{
		"a gap":               {[]Operation{create, record(3, 1, payload(codec.OpDictSet, "d", 1, 1))}, "1 LSNs from 3 on: the last LSN was 1"},
		"a number again":      {[]Operation{create, create}, "the last LSN was 1"},
		"no numbers":          {[]Operation{record(1, 0, create.Request)}, "0 LSNs"},
		"beyond the clock":    {[]Operation{record(1, 1<<48, nil)}, "the last LSN was 0"},
		"a read":              {[]Operation{create, record(2, 1, payload(codec.OpDictGet, "d", 1))}, "at 2: DICT GET: it changes nothing"},
		"an unknown opcode":   {[]Operation{record(1, 1, []byte{0xff, 0})}, "it changes nothing"},
		"an unknown flag":     {[]Operation{record(1, 1, []byte{byte(codec.OpDictSet), 0x80})}, "at 1: "},
		"a byte":              {[]Operation{record(1, 1, []byte{1})}, "payload of 1 bytes"},
		"no such table":       {[]Operation{record(1, 1, payload(codec.OpDictSet, "d", 1, 1))}, "at 1: DICT SET: "},
		"a torn argument":     {[]Operation{create, record(2, 1, append(payload(codec.OpDictSet, "d", 1), 0xd9, 9))}, "at 2: DICT SET: "},
		"what fails":          {[]Operation{create, record(2, 1, payload(codec.OpDictDelete, "d", 1))}, "at 2: DICT DELETE: "},
		"what takes nothing":  {[]Operation{create, record(2, 1, payload(codec.OpDictClear, "d"))}, "took 0 LSNs, not 1"},
		"newer semantics":     {[]Operation{newer}, "recorded with version 2 of the command semantics, and this program knows up to 1"},
		"unknown extension":   {extended(3, 0, 4, 1, 'x'), "it has the extension 4"},
		"torn extension":      {extended(3, 2, 'x'), "its extensions cannot be parsed"},
		"what takes two more": {[]Operation{create, record(2, 1, payload(codec.OpDictUpdate, "d", 1, 1, 2, 2))}, "took 2 LSNs, not 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReplayer(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
			for i, rec := range c.records {
				err := r.Apply(rec)
				if last := i == len(
					c.records,
				)-1; last && (err == nil || !strings.Contains(err.Error(), c.want)) ||
					!last && err != nil {
					t.Fatalf("record %d: %v, want %q", i, err, c.want)
				}
			}
		})
	}
}

// TestReplayAcceptsWhatWasAccepted replays requests that clients cannot send any more: an earlier
// version recorded them.
func TestReplayAcceptsWhatWasAccepted(t *testing.T) {
	zone := append([]byte{0xc7, 19, value.ExtDateTime, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}, "a/"...)
	key := any(nil)
	for range 40 {
		key = []any{"str", key}
	}
	payload := payloadOf(t)
	r := NewReplayer(Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
	for i, p := range [][]byte{
		payload(codec.OpCreateList, "l", false),
		append(payload(codec.OpListAppend, "l"), zone...),
		append(payload(codec.OpListExtend, "l"), zone...),
		payload(codec.OpListSort, "l", key, false),
	} {
		if err := r.Apply(Operation{LSN: uint64(i + 1), N: 1, Request: p}); err != nil {
			t.Error(err)
		}
	}
}
