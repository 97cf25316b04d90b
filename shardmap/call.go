package shardmap

import (
	"math"
	"sync"
)

// InlineElements is the most elements that an inline call may touch.
const InlineElements = 4096

// Call carries what a call needs besides its arguments, and what it returns besides its result.
// Each event loop and each worker goroutine reuses one Call, so that calls need not allocate. The
// zero Call is ready for use and makes inline calls.
type Call struct {
	// Set by the caller before a call.

	MayBlock  bool    // false: an inline call, which never blocks; true: long work is done, locks are waited for
	HasIf     bool    // act only if the entry's version is IfVersion
	IfVersion uint64  // 0: only if the key is absent; AnyVersion: only if it is present
	Memory    Memory  // lends memory to a long call; nil: no limit
	Log       Log     // records each range of LSNs that the call takes; nil: no record
	Request   []byte  // what Log records; see Log
	Time      int64   // of the store, in milliseconds since 1970 UTC; Log records it
	TTL       int64   // milliseconds that the entries written live, from Time on; or one of the constants
	Effects   Effects // encodes for Log what the call removes by itself; set if Log is
	Options   Options // of the dict that Create makes
	// QueueOptions are those of the list that Create makes.
	QueueOptions QueueOptions
	// Replay marks a logged request that is applied again: what succeeded once has no limits.
	Replay bool

	// Set by the call.

	Version uint64 // of the entry read or written (0: none); after a write, its last LSN
	Found   int    // after GetMany: how many of the keys are there
	Blocker *Table // after ErrBusy: the table whose long write the call met, if it is not the call's own
	// Cost sums up the estimated nanoseconds that inline calls spent on elements; see value.Cost.
	Cost int

	// Set by Lookup.

	foundTable *Table  // the table that was found last
	foundName  *string // the name that it was found by

	// State of the current critical section; see Release.

	locked       *sync.Mutex // the mutex of a shard or a list; nil: none
	lockedToo    *sync.Mutex // that of another list; nil: none
	lockedShards []*shard    // in directory order
	changing     *Table      // the table whose change has taken LSNs and is not complete
	changingToo  *Table      // the other table of that change; nil: none
	pin          *cut        // of the record that is being read without a lock; nil: none

	// Buffers, reused by the next call.

	key        []byte // canonical keys that differ from the given ones
	number     []byte // the result of an increment before it is stored
	batch      []batchItem
	touched    []uint64 // bit i: the batch touches slot i of the directory
	order      merge
	prefetches []lookup // see AddPrefetch
	reserved   int      // entries of the batch that Dict.size counts already
	crowded    bool     // the change has left the dict above its limit
	victims    []victim // entries that are removed; see Dict.forget
	forgotten  []Forgotten
	returned   []Returned // held items that return; see List.returnByEffect
	effect     []byte     // the encoded effect
}

// Times to live that are not milliseconds.
const (
	DefaultTTL = 0  // what the method does without a time to live
	KeepTTL    = -1 // what the entry has; DefaultTTL if it is absent
	ForeverTTL = -2 // no deadline, whatever the table's default is
)

// AnyVersion as Call.IfVersion stands for the version of every entry.
const AnyVersion = math.MaxUint64

// Memory lends memory to calls. It is safe for concurrent use.
type Memory interface {
	// Lend lends so many bytes, or returns an error if they exceed the budget.
	Lend(bytes int) error
	// Return gives back bytes that were lent.
	Return(bytes int)
}

// Estimated nanoseconds per element: to read it, to move it, and to insert or remove it in the
// middle.
const (
	copyCost  = 20
	movedCost = 60
	editCost  = 250
)

// maxRetainedItems bounds the buffers that a Call retains after a long call.
const maxRetainedItems = 4 * InlineElements

// trim frees buffers that a long call has made large.
func (c *Call) trim() {
	if cap(c.batch) > maxRetainedItems {
		c.batch = nil
	}
	if cap(c.key) > 64*maxRetainedItems {
		c.key = nil
	}
}
