package eval_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/codec/value"
)

// items returns a sequence of so many items, which ends with an error if that is not nil, and
// counts how often it is read.
func items(kind eval.SequenceKind, count int, failure error) (s *eval.Sequence, reads *int) {
	reads = new(int)
	return &eval.Sequence{
		Kind: kind,
		Each: func(_ context.Context, yield func(key, val govalue.Encoded) bool) error {
			*reads++
			for i := range count {
				val, err := govalue.Append(nil, i)
				if err != nil || !yield(value.AppendStr(nil, "k"), val) {
					return err
				}
			}
			return failure
		},
	}, reads
}

// TestPrintIncomplete: what an error has cut off is no complete literal, and the error that is
// printed next begins a line.
func TestPrintIncomplete(t *testing.T) {
	lost := errors.New("the connection is lost")
	for _, c := range []struct {
		kind  eval.SequenceKind
		form  eval.Form
		count int
		want  string
	}{
		{eval.Items, eval.Form{}, 2, "{'k': 0, 'k': 1\n"},
		{eval.Items, eval.Form{Rows: true}, 2, "{'k': 0,\n 'k': 1\n"},
		{eval.Items, eval.Form{JSON: true}, 1, `{"$dict":[["k",0]` + "\n"},
		{eval.Pairs, eval.Form{}, 1, "[('k', 0)\n"},
		{eval.Items, eval.Form{}, 0, ""},
	} {
		s, _ := items(c.kind, c.count, lost)
		var out bytes.Buffer
		if err := eval.Print(t.Context(), &out, s, c.form); !errors.Is(err, lost) || out.String() != c.want {
			t.Errorf("%+v prints %q, %v", c, out.String(), err)
		}
	}
}

// stopped takes some bytes, and no more.
type stopped struct{ room int }

func (s *stopped) Write(b []byte) (int, error) {
	if s.room -= len(b); s.room < 0 {
		return 0, errors.New("full")
	}
	return len(b), nil
}

// TestPrintStreams: a dict is read once, and only as far as it is written, in JSON too.
func TestPrintStreams(t *testing.T) {
	for _, form := range []eval.Form{{}, {JSON: true}} {
		s, reads := items(eval.Items, 1e9, nil)
		if err := eval.Print(t.Context(), &stopped{1 << 16}, s, form); err == nil || *reads != 1 {
			t.Errorf("%+v: read %d times, %v", form, *reads, err)
		}
	}
}
