package shardmap

import "sync/atomic"

// Kind is the kind of a table: dict, list or locks.
type Kind uint8

// Kinds of tables.
const (
	KindDict Kind = 1
	KindList Kind = 2
	// KindLocks is a dict that only requests about locks change. Nothing is evicted from it.
	KindLocks Kind = 3
)

// LocksTable is the name of the one table of KindLocks. The store gives it to no table by itself.
const LocksTable = "cyberdb:locks"

// String returns Python's name of the kind.
func (k Kind) String() string {
	switch k {
	case KindDict:
		return "dict"
	case KindList:
		return "list"
	case KindLocks:
		return "locks"
	}
	return "unknown"
}

// States of a table.
const (
	present   uint32 = iota
	dropped          // another table, created later, may have its name
	replaced         // all tables were replaced at once; another table may have its name since then
	restoring        // it is not yet in the store
)

// Table is a named dict or list, or the locks, which are a dict. Calls that reach it after it was
// dropped return ErrNoTable.
type Table struct {
	// constant after Create
	store      *Store
	kind       Kind
	createdLSN uint64 // of the creation: the table's position among the tables
	dict       *Dict
	list       *List

	tag atomic.Uint64 // see Tag; it is written once

	// written under all the table's locks: see Options
	aging    bool                   // entries expire by the table's default
	idle     int64                  // after so many milliseconds without a use they do too; 0: never
	tracks   bool                   // uses of entries are counted; written under all the table's locks
	limited  bool                   // the number or the bytes of the entries have a limit; written likewise
	name     atomic.Pointer[string] // written under Store.mu and all the table's locks
	namedLSN uint64                 // of the change that gave it its name; guarded by Store.mu
	// state is written under Store.mu and the table lock, or all the table's locks.
	state atomic.Uint32

	// drain is the progress of the last view that began to drain the table.
	drain atomic.Pointer[drainProgress] // by the view that began last to read the table for the last time

	// filling is the length of a table that is being created, 0 once it is filled.
	filling atomic.Int64

	lock     tableLock
	watchers watchers
	ends     watchers // see WhenEnded
}

// newTable returns an empty table that is not yet in the store.
func newTable(s *Store, name string, kind Kind) *Table {
	t := &Table{store: s, kind: kind, tracks: s.pressure.on && kind != KindLocks}
	t.name.Store(&name)
	if kind != KindList {
		t.dict = newDict(t)
	} else {
		t.list = newList(s, t)
	}
	return t
}

// renamed reports whether the table has another name than the call found it by. False stays true
// while the caller holds a lock of the table.
func (t *Table) renamed(c *Call) bool { return c.foundTable == t && c.foundName != t.name.Load() }

// checkName returns an error if the call may no longer use the table: ErrNoTable if since Lookup no
// table had the name for a moment; ErrBusy if the table was replaced, so that the call is repeated
// on the table that has the name now.
func (t *Table) checkName(c *Call) error {
	switch {
	case t.state.Load() == replaced:
		return ErrBusy
	case t.state.Load() == dropped || t.renamed(c):
		return ErrNoTable
	}
	return nil
}

// unavailable reports whether the call must wait or fail: a long write owns the table, or it has
// another name. False stays true while the caller holds a lock of the table.
func (t *Table) unavailable(c *Call) bool { return t.lock.locked() || t.renamed(c) }

// owned reports whether a long write owns the table.
func (t *Table) owned() bool { return t.lock.locked() && !t.lock.isPoisoned() }

// unlock releases the table lock. If after a panic, it poisons the table.
func (t *Table) unlock(c *Call, h *lockOwner) {
	if c.changing == t { // the write has panicked
		t.poison()
	}
	t.lock.release(h)
}

// poison marks the table's state as unknown. A table whose creation has not yet given it a name is
// not counted, because it cannot be dropped.
func (t *Table) poison() {
	if t.lock.poison() && t.createdLSN > 0 {
		t.store.poisoned.Add(1)
	}
	t.watchers.changed()
	t.ends.changed()
}

// Err returns ErrPoisoned if the table is poisoned: its content is unknown, and Len may be wrong.
func (t *Table) Err() error {
	if t.lock.isPoisoned() {
		return ErrPoisoned
	}
	return nil
}

// Name returns the table's current name.
func (t *Table) Name() string { return *t.name.Load() }

// Kind returns the kind of the table.
func (t *Table) Kind() Kind { return t.kind }

// Tag returns a number that the program keeps with the table; 0: it has kept none.
func (t *Table) Tag() uint64 { return t.tag.Load() }

// SetTag keeps a number with the table, in memory.
func (t *Table) SetTag(tag uint64) { t.tag.Store(tag) }

// Gone reports whether the table was dropped or replaced. It does not come back.
func (t *Table) Gone() bool {
	state := t.state.Load()
	return state == dropped || state == replaced
}

// Dict returns the table as a dict, nil if it is a list; of the locks, what they are kept in.
func (t *Table) Dict() *Dict { return t.dict }

// List returns the table as a list, nil if it is none.
func (t *Table) List() *List { return t.list }

// Len returns the number of entries or elements.
func (t *Table) Len() int {
	if n := t.filling.Load(); n > 0 {
		return int(n)
	}
	if t.dict != nil {
		return t.dict.Len()
	}
	return t.list.Len()
}

// WhenUnlocked calls wake once the long write that owns the table has ended, and returns true. It
// returns false if no write owns the table: a call that got ErrBusy may be repeated immediately.
//
// wake is called on the goroutine of the long write; it must be short and must not call the table.
func (t *Table) WhenUnlocked(wake func()) bool { return t.lock.whenReleased(wake) }
