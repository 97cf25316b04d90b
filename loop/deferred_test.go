package loop

import (
	"errors"
	"testing"

	"cyberdb-fast/codec"
)

// TestDeferredReplies: replies leave in order once their changes are on disk, and as errors if the
// disk fails; a session without any has no buffer for them.
func TestDeferredReplies(t *testing.T) {
	t.Parallel()
	reply := func(id uint32) []byte {
		frame, at := codec.BeginReply(nil, id, codec.StatusOK)
		codec.EndFrame(frame, at)
		return frame
	}
	parse := func(frames []byte) (ids []uint32, failed int) {
		for len(frames) > 0 {
			r, n, err := codec.ParseReply(frames)
			if err != nil {
				t.Fatal(err)
			}
			ids, frames = append(ids, r.ID), frames[n:]
			if r.Status == codec.StatusNotDurable {
				failed++
			}
		}
		return ids, failed
	}
	var d deferred
	if d.pendingDurable() != 0 || d.long != nil {
		t.Error("it has room for replies before there is one")
	}
	for lsn := uint64(1); lsn <= 3; lsn++ {
		if first := d.addDurable(reply(uint32(lsn)), pendingMark{lsn: lsn}); first != (lsn == 1) {
			t.Errorf("reply %d: first is %v", lsn, first)
		}
	}
	var sizes, failures int
	taken := func(m *pendingMark, replyBytes int) {
		sizes += replyBytes
		if m.status == codec.StatusNotDurable {
			failures++
		}
	}
	out, _ := d.long.durable.take(nil, 2, nil, taken)
	if sizes != len(out) || failures != 0 {
		t.Errorf("%d bytes are reported of %d, %d failures", sizes, len(out), failures)
	}
	if ids, failed := parse(out); len(ids) != 2 || ids[0] != 1 || ids[1] != 2 || failed != 0 {
		t.Errorf("replies %v, %d of them errors", ids, failed)
	}
	if d.pendingDurable() != len(reply(3)) {
		t.Errorf("%d bytes wait", d.pendingDurable())
	}
	out, n := d.long.durable.take(nil, 2, errors.New("broken"), taken)
	if failures != 1 {
		t.Errorf("%d failures are told", failures)
	}
	if ids, failed := parse(out); len(ids) != 1 || ids[0] != 3 || failed != 1 || n != 1 {
		t.Errorf("replies %v, %d of them errors, %d counted", ids, failed, n)
	}
	if d.pendingDurable() != 0 {
		t.Errorf("%d bytes wait", d.pendingDurable())
	}
}
