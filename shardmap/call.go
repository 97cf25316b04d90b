package shardmap

import "sync"

// InlineElements is how many elements a call may touch in Inline mode.
const InlineElements = 4096

// Call carries what a call needs besides its arguments, and takes what it gives besides its result.
// Each event loop and each worker goroutine has one of its own and uses it again and again, so that
// calls need not allocate. The zero Call is ready for use, in Inline mode.
type Call struct {
	// Set by the caller before a call.

	MayBlock  bool   // the caller may block: long work is done, gates are waited for
	HasIf     bool   // act only if the entry's version is IfVersion
	IfVersion uint64 // 0: only if the key is absent
	Memory    Memory // lends what a long call needs while it works; nil: there is no limit
	Log       Log    // is told of each number that the call draws; nil: nobody is
	Request   []byte // what Log is told; see Log
	// the call is a recorded one made again: nobody else uses the store, and it draws no number but
	// those that were recorded
	Replay bool

	// Set by the call.

	Version uint64 // of the entry read or written (0: none); for a mutation the last LSN drawn
	// added up: estimated nanoseconds that inline calls took for elements of the table, as
	// value.Cost estimates
	Cost int

	// Set by Lookup.

	foundTable *Table  // the table that was found last
	foundName  *string // and the name that it was found by

	// Of the critical section that the call is in; see Abandon.

	locked       *sync.Mutex // of a shard or a list; nil: none
	lockedShards []*shard    // locked, in directory order
	changing     *Table      // its change has begun to draw numbers, and is not made yet
	pin          *cut        // of the record that is being read without a lock; nil: none

	// Buffers used again by the next call.

	key        []byte // canonical keys that are not their own encoding
	number     []byte // the result of an increment before it is stored
	batch      []batchItem
	touched    []uint64 // bit i: the batch touches slot i of the directory
	order      merge
	prefetches []lookup // see Call.AddPrefetch
}

// Memory lends memory to calls. It is safe for concurrent use.
type Memory interface {
	// Lend lends so many bytes, or returns an error if there is no room for them.
	Lend(bytes int) error
	// Return takes back what Lend has lent.
	Return(bytes int)
}

// What an element takes, in estimated nanoseconds, that is only read, is moved, or is put in or
// taken out in the middle.
const (
	copyCost  = 20
	movedCost = 60
	editCost  = 250
)

// maxKeptItems bounds the buffers that a Call keeps after a long call.
const maxRetainedItems = 4 * InlineElements

// trim lets buffers go that a long call has made large.
func (c *Call) trim() {
	if cap(c.batch) > maxRetainedItems {
		c.batch = nil
	}
	if cap(c.key) > 64*maxRetainedItems {
		c.key = nil
	}
}
