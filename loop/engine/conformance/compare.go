package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// compareOutcome returns how the server's reply differs from CPython's outcome.
func compareOutcome(model *Oracle, o Operation, reply codec.Reply, want Answer) error {
	if reply.Status != want.Status {
		got := fmt.Sprintf("%.80x", reply.Body)
		if e, err := codec.ParseErrorBody(reply.Status, reply.Body); err == nil {
			got = e.Message
		}
		return fmt.Errorf("status %v (%s), want %v (%.80q)", reply.Status, got, want.Status, want.Body)
	}
	if want.Status != codec.StatusOK {
		return compareError(model, reply, want)
	}
	got, wanted := reply.Body, want.Body
	if o.Op == codec.OpDictScan {
		var err error
		if got, wanted, err = withoutCursor(got, wanted); err != nil {
			return err
		}
	}
	if !bytes.Equal(got, wanted) && !model.Same(got, wanted) {
		at := 0
		for at < min(len(got), len(wanted)) && got[at] == wanted[at] {
			at++
		}
		at = max(at-10, 0)
		return fmt.Errorf(
			"%d bytes, want %d; from %d on %.200x, want %.200x",
			len(got),
			len(wanted),
			at,
			got[at:],
			wanted[at:],
		)
	}
	return nil
}

// compareError compares the text and the key of an error.
func compareError(model *Oracle, reply codec.Reply, want Answer) error {
	got, err := codec.ParseErrorBody(reply.Status, reply.Body)
	if err != nil {
		return err
	}
	if !want.Strict {
		return nil
	}
	text := got.Message
	if cut, isCut := strings.CutSuffix(text, "..."); isCut && len(want.Body) > 200 {
		text, want.Body = cut, want.Body[:min(len(cut), len(want.Body))]
	}
	if text != string(want.Body) {
		return fmt.Errorf("%v: text %q, want %q", got.Status, got.Message, want.Body)
	}
	if !bytes.Equal(got.Key, want.Key) && !model.Same(got.Key, want.Key) {
		return fmt.Errorf("%v: key %x, want %x", got.Status, got.Key, want.Key)
	}
	return nil
}

// withoutCursor takes the cursor from a page of a scan and, from the model's, whether there is
// more.
func withoutCursor(got, want []byte) (gotItems, wantItems []byte, err error) {
	cursor, n, err := govalue.Decode(got)
	if err != nil {
		return nil, nil, err
	}
	more, m, err := govalue.Decode(want)
	if err != nil {
		return nil, nil, err
	}
	if next, isInt := cursor.(int64); !isInt || (next != 0) != more.(bool) {
		return nil, nil, fmt.Errorf("next cursor %v, more items: %v", cursor, more)
	}
	return got[n:], want[m:], nil
}
