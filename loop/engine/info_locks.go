package engine

import (
	"encoding/binary"

	"github.com/bytedance/sonic"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec/value"
	"cyberdb-fast/shardmap"
)

// maxLockFigures is the most grants of which INFO "locks" tells.
const maxLockFigures = 1000

// LockFigures is what INFO "locks" says of a grant: of a lock, or of the lease to compute a key.
type LockFigures struct {
	Name    string `json:"name"` // of the lock, or of the key's table
	Key     string `json:"key,omitempty"`
	Fence   uint64 `json:"fence"`
	LeftMS  int64  `json:"left_ms"` // until the lease ends
	Waiters int    `json:"waiters"` // requests in the line
}

// infoLocks answers INFO "locks". It walks over all grants.
func infoLocks(x *Executor) error {
	var answer struct {
		Locks     []LockFigures `json:"locks"`
		Computing []LockFigures `json:"computing"`
		More      bool          `json:"more"` // there are others
	}
	answer.Locks, answer.Computing = []LockFigures{}, []LockFigures{}
	table, err := x.findLocks()
	if err != nil {
		return err
	}
	if table != nil {
		view, err := table.Dict().View(&x.call)
		if err != nil {
			return err
		}
		defer view.Close()
		now := x.engine.env.Store.Now()
		for e := range view.Drain() {
			if answer.More = len(answer.Locks)+len(answer.Computing) == maxLockFigures; answer.More {
				break
			}
			f, computes, ok := x.lockFigures(e, now)
			switch {
			case !ok:
			case computes:
				answer.Computing = append(answer.Computing, f)
			default:
				answer.Locks = append(answer.Locks, f)
			}
		}
	}
	text, err := sonic.ConfigStd.Marshal(&answer)
	if err == nil {
		x.body = msgp.AppendStringFromBytes(x.body, text)
	}
	return err
}

// lockFigures tells of an entry of the locks.
func (x *Executor) lockFigures(e shardmap.Entry, now int64) (f LockFigures, computes, ok bool) {
	key, _, err := msgp.ReadBytesZC(e.Key)
	if err != nil || len(key) < 1+slotBytes {
		return f, false, false
	}
	f = LockFigures{Fence: e.Place, LeftMS: max(e.Deadline-now, 0) + 1}
	if key[0] == lockEntry {
		line := key[:len(key)-slotBytes]
		f.Name, f.Waiters = string(line[1:]), x.engine.lines.waiting(line)
		return f, false, true
	}
	name := key[1+slotBytes:]
	n := int(binary.BigEndian.Uint16(key[1:]))
	if n > len(name) {
		return f, false, false
	}
	f.Name, f.Waiters = string(name[:n]), x.engine.lines.waiting(key)
	if _, err := value.Check(name[n:]); err == nil {
		f.Key = reprOf(name[n:])
	}
	return f, true, true
}
