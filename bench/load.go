package bench

import (
	"context"
	"fmt"
)

// load creates the tables again and fills them, on its own connections.
func (r *runner) load(ctx context.Context, op Op, entries int) error {
	loop, err := r.openLoader(ctx, op)
	if err != nil {
		return err
	}
	defer loop.close()
	if r.options.Loaded {
		return nil
	}
	_, err = r.fill(ctx, loop, op, entries)
	return err
}

// openLoader opens the connections that load the tables, asks the server what it is, and makes the
// tables, empty, unless they are loaded.
func (r *runner) openLoader(ctx context.Context, op Op) (*eventLoop, error) {
	const dictConnections, inFlightBytes, overhead, mostInFlight = 4, 2 << 20, 128, 128
	connections := dictConnections
	if op.usesList() {
		connections = 1 // the order counts
	}
	sockets, err := dial(ctx, r.options.Target, r.wire, connections)
	if err != nil {
		return nil, err
	}
	pipeline := min(max(inFlightBytes/(r.items.values.Max+overhead), 1), mostInFlight)
	if r.options.Target.legacy() {
		pipeline = 1
	}
	loop, err := r.newLoop(sockets, 0, 1, &loopSpec{pipeline: pipeline})
	if err != nil {
		return nil, err
	}
	if err := r.findServer(); err != nil {
		loop.close()
		return nil, err
	}
	if r.version, err = r.wire.version(r.asker(loop)); err == nil && !r.options.Loaded {
		err = r.wire.prepare(op, r.asker(loop))
	}
	if err != nil {
		loop.close()
		return nil, fmt.Errorf("table %q at %s: %w", r.options.Table, r.options.Target, err)
	}
	return loop, nil
}

// asker asks over the loop's first connection, which has nothing in flight.
func (r *runner) asker(loop *eventLoop) asker {
	return func(request []byte) (reply, error) { return loop.conns[0].ask(r.wire, request) }
}

// fill makes one request for each of the first entries through the loop, and returns the counts.
func (r *runner) fill(ctx context.Context, loop *eventLoop, op Op, entries int) (*tally, error) {
	for i, c := range loop.conns {
		c.stream = sequentialStream(op, entries, i, len(loop.conns))
	}
	r.phase.Store(int32(phaseWarmUp))
	stop := context.AfterFunc(ctx, func() { r.phase.Store(int32(phaseDrain)) })
	defer stop()
	if err := loop.run(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ErrInterrupted
	}
	t := &loop.tally
	if t.errors > 0 {
		return nil, fmt.Errorf(
			"loading %d entries into %s: %d errors, the first: %s",
			entries,
			r.options.Target,
			t.errors,
			t.messages[0],
		)
	}
	return t, nil
}
