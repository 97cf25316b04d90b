package engine

import (
	"errors"
	"fmt"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// executeExtended is Execute for a request with extensions: one with IF FENCE is executed only
// while its lock is held with that fence. It holds the gate of the lock meanwhile, so that no other
// request gets the lock.
func (x *Executor) executeExtended(out []byte, req *codec.Request, problem error) []byte {
	x.extended = true
	defer func() { x.extended = false }()
	f, fenced, err := codec.ParseExtensions(req.Extensions)
	if problem != nil || err != nil || !fenced || x.call.Replay {
		if problem == nil {
			problem = err
		}
		return x.Execute(out, req, problem)
	}
	if x.gate, err = appendFenceKey(nil, &f); err != nil {
		x.gate = nil
		return x.Execute(out, req, err)
	}
	gate := x.gate
	if !x.engine.lines.enter(gate) {
		x.gate = nil
		x.reset(req)
		x.Outcome = Waits
		_ = x.waitOutside(gate)
		return out
	}
	defer func() {
		x.gate = nil
		x.engine.lines.exit(gate)
	}()
	err = x.checkFence(&f)
	if errors.Is(err, shardmap.ErrBusy) {
		locks := x.Table
		x.reset(req)
		x.Outcome, x.Table = Blocked, locks
		return out
	}
	return x.Execute(out, req, err)
}

// appendFenceKey appends the key of the line of what a fence is of.
func appendFenceKey(dst []byte, f *codec.Fence) ([]byte, error) {
	if f.Lock != nil {
		return appendLockLine(dst, f.Lock), nil
	}
	return appendComputeLine(dst, f.Table, f.Key)
}

// checkFence returns an error unless the fence is the present one.
func (x *Executor) checkFence(f *codec.Fence) error {
	x.call.Cost = 0
	if f.Lock == nil {
		h, err := x.leaseOf(x.gate)
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
