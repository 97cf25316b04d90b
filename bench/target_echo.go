package bench

import (
	"errors"
	"fmt"

	"cyberdb-fast/codec"
)

// echoWire sends cyberdb-fast's frames to a server that returns what it receives: the highest
// throughput that a server could reach on this machine.
type echoWire struct {
	native *nativeWire
	loops  int
}

func (w *echoWire) ordered() bool { return true }

func (w *echoWire) wants(op Op) (replyKind, bool) {
	_, ok := w.native.wants(op)
	return replyEcho, ok && op.anyOf(OpGet, OpSet, OpHGet, OpHSet)
}

func (w *echoWire) appendRequest(dst []byte, op Op, item, id uint32) []byte {
	return w.native.appendRequest(dst, op, item, id)
}

func (w *echoWire) parse(b []byte, r *reply) (int, error) {
	request, n, err := codec.ParseRequest(b)
	if errors.Is(err, codec.ErrShort) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errWire, err)
	}
	r.id, r.kind, r.text = request.ID, replyEcho, b[:n]
	return n, nil
}

func (w *echoWire) prepare(Op, asker) error { return nil }

func (w *echoWire) entries(asker) (int64, error) { return 0, errors.New("an echo has no lists") }

func (w *echoWire) version(asker) (string, error) {
	return fmt.Sprintf("gnet echo, %d event loops", w.loops), nil
}

func (w *echoWire) open() (opening, error) {
	ping := codec.AppendRequest(nil, &codec.Request{ID: controlID, Op: codec.OpPing})
	return question{"echo", ping, w.parse}, nil
}
