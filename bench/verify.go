package bench

import (
	"context"
	"errors"
	"fmt"
)

// verify compares the contents of the tables with the acknowledged changes.
func (r *runner) verify(ctx context.Context, t *tally) {
	if t.errors+t.misses > 0 {
		return
	}
	if err := errors.Join(r.verifyLists(t), r.verifyCounters(ctx, t)); err != nil {
		t.fail(1, "%v", err)
	}
}

func (r *runner) verifyLists(t *tally) error {
	if !r.options.Op.anyOf(OpAppend, OpInsert, OpPop, OpPopLeft, OpQueue) {
		return nil
	}
	length, err := r.wire.entries(r.asker(r.loops[0]))
	if err != nil {
		return fmt.Errorf("length of the lists: %w", err)
	}
	_, loaded := r.options.Op.loadOp(r.options.Keys)
	if due := int64(loaded) + int64(t.added) - int64(t.removed); length != due {
		return fmt.Errorf(
			"the lists have %d elements after %d loaded, %d added and %d removed",
			length,
			loaded,
			t.added,
			t.removed,
		)
	}
	return nil
}

func (r *runner) verifyCounters(ctx context.Context, t *tally) error {
	op, counts := r.options.Op.counterRead()
	if !counts {
		return nil
	}
	sockets, err := dial(ctx, r.options.Target, r.wire, 1)
	if err != nil {
		return err
	}
	const inFlight = 128
	loop, err := r.newLoop(sockets, 0, 1, &loopSpec{pipeline: inFlight})
	if err != nil {
		return err
	}
	defer loop.close()
	read, err := r.fill(ctx, loop, op, r.options.Keys)
	if err != nil {
		return err
	}
	if read.counted != int64(t.increased) || read.misses > 0 {
		return fmt.Errorf(
			"the counters sum up to %d, %d of them missing, after %d increments",
			read.counted,
			read.misses,
			t.increased,
		)
	}
	return nil
}
