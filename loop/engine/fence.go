package engine

import (
	"errors"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// executeExtended is Execute for a request with extensions: one with IF FENCE is executed only
// while its lock, its lease to compute, or both are held with these fences. It holds their gates
// meanwhile, so that no other request gets what they are of. It never waits for one gate while it
// holds another.
func (x *Executor) executeExtended(out []byte, req *codec.Request, problem error) []byte {
	x.extended = true
	defer func() { x.extended = false }()
	var both [2]codec.Fence
	fences, err := codec.ParseExtensions(both[:0], req.Extensions)
	if problem == nil {
		problem = err
	}
	if problem != nil || len(fences) == 0 || x.call.Replay {
		return x.Execute(out, req, problem)
	}
	defer x.exitGates()
	shut, err := x.enterGates(fences)
	switch {
	case err != nil:
		return x.Execute(out, req, err)
	case shut != nil:
		x.reset(req)
		x.Outcome, x.shut = Blocked, shut // later requests of the connection do not overtake it
		return out
	}
	err = x.checkFences(fences)
	x.Cost += x.call.Cost
	if errors.Is(err, shardmap.ErrBusy) {
		locks := x.Table
		x.reset(req)
		x.Outcome, x.Table = Blocked, locks
		return out
	}
	return x.Execute(out, req, err)
}

// enterGates takes the gates of what the fences are of, in their order, until another request holds
// one: shut is its key. x.gates are those that it has.
func (x *Executor) enterGates(fences []codec.Fence) (shut []byte, err error) {
	for i := range fences {
		gate, err := appendFenceKey(nil, &fences[i])
		if err != nil {
			return nil, err
		}
		if !x.engine.lines.enter(gate) {
			return gate, nil
		}
		x.gates = append(x.gates, gate)
	}
	return nil, nil
}

// exitGates opens the gates that the request holds for its whole execution.
func (x *Executor) exitGates() {
	for _, gate := range x.gates {
		x.engine.lines.exit(gate)
	}
	clear(x.gates)
	x.gates = x.gates[:0]
}

// appendFenceKey appends the key of the line of what a fence is of.
func appendFenceKey(dst []byte, f *codec.Fence) ([]byte, error) {
	if f.Lock != nil {
		return appendLockLine(dst, f.Lock), nil
	}
	return appendComputeLine(dst, f.Table, f.Key)
}

// checkFences returns an error unless all fences are the present ones. x.gates are their gates.
func (x *Executor) checkFences(fences []codec.Fence) error {
	x.call.Cost = 0
	for i := range fences {
		if err := x.checkFence(&fences[i], x.gates[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkFence returns an error unless the fence is the present one. line is the key of its line.
func (x *Executor) checkFence(f *codec.Fence, line []byte) error {
	if f.Lock == nil {
		h, err := x.leaseOf(line)
		if err != nil || h.place == f.Number && h.place != 0 {
			return err
		}
		return lostError(fmt.Sprintf("the lease of %s in %q", reprOf(f.Key), f.Table), h.place)
	}
	present := uint64(0)
	h, err := x.findHeld(f.Lock, func(h *held) bool {
		if present == 0 {
			present = h.place
		}
		return h.place == f.Number || brokenFence
	})
	if err != nil || h.place != 0 {
		return err
	}
	return lostError(fmt.Sprintf("lock %q", f.Lock), present)
}
