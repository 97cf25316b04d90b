package engine

import (
	"encoding/binary"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

const (
	// maxLockFigures is the most grants of which INFO "locks" tells.
	maxLockFigures = 1000
	// locksPage is how many grants are read at once.
	locksPage = 256
)

// LockFigures is what INFO "locks" says of a grant.
type LockFigures struct {
	Kind    string `json:"kind"` // "lock", or "compute": the lease of a key that is computed once
	Name    string `json:"name"` // of the lock, or of the table
	Slot    int    `json:"slot"` // of a semaphore
	Fence   uint64 `json:"fence"`
	LeftMS  int64  `json:"left_ms"`
	Waiters int    `json:"waiters"`
}

// LocksHeld returns how many locks and leases of computations are held; some may have just ended.
func (e *Engine) LocksHeld() int {
	table, ok := e.env.Store.Lookup(&shardmap.Call{}, locksTable)
	if !ok || table.Kind() != shardmap.KindLocks {
		return 0
	}
	return table.Len()
}

// infoLocks answers INFO "locks".
func infoLocks(x *Executor) error {
	var answer struct {
		Held  int           `json:"held"`
		Locks []LockFigures `json:"locks"`
		More  bool          `json:"more"` // there are others
	}
	answer.Locks = []LockFigures{}
	table, err := x.findLocks()
	if err != nil {
		return err
	}
	if table != nil {
		answer.Held = table.Len()
		if answer.Locks, err = x.grants(table.Dict()); err != nil {
			return err
		}
		answer.More = len(answer.Locks) == maxLockFigures && answer.Held > maxLockFigures
	}
	return x.answerJSON(&answer)
}

// grants returns what is held, at most maxLockFigures, the oldest first.
func (x *Executor) grants(locks *shardmap.Dict) (all []LockFigures, err error) {
	all = []LockFigures{}
	var page []byte
	for cursor := uint64(0); ; {
		n := 0
		if page, cursor, n, err = locks.Scan(&x.call, page[:0], cursor, locksPage); err != nil {
			return all, err
		}
		rest := page
		for range n {
			size := value.Size(rest)
			encoded := rest[:size]
			rest = rest[size:]
			rest = rest[value.Size(rest):]
			h, err := x.heldAt(encoded)
			if err != nil {
				return all, err
			}
			if h.place == 0 {
				continue // it has ended
			}
			if all = append(all, x.grantFigures(encoded, &h)); len(all) == maxLockFigures {
				return all, nil
			}
		}
		if cursor == 0 {
			return all, nil
		}
	}
}

// grantFigures returns what is shown of a grant with an encoded key.
func (x *Executor) grantFigures(encoded []byte, h *held) LockFigures {
	key, _, _ := msgp.ReadBytesZC(encoded)
	line := key
	f := LockFigures{Fence: h.place, LeftMS: h.left}
	if len(key) > slotBytes && key[0] == lockEntry {
		line = key[:len(key)-slotBytes]
		f.Slot = int(binary.BigEndian.Uint16(key[len(line):]))
	}
	f.Kind, f.Name = lineName(line)
	f.Waiters = x.engine.lines.waiting(line)
	return f
}
