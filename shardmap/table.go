package shardmap

import "sync/atomic"

// Kind is what a table is: a dict or a list.
type Kind uint8

// Kinds of tables.
const (
	KindDict Kind = 1
	KindList Kind = 2
)

// String returns Python's name of the kind.
func (k Kind) String() string {
	switch k {
	case KindDict:
		return "dict"
	case KindList:
		return "list"
	}
	return "unknown"
}

// What has become of a table.
const (
	present  uint32 = iota
	dropped         // nobody bears its name, or another table that was created later
	replaced        // all tables were replaced at once: perhaps another bears its name since that very moment
)

// Table is a named dict or list. A table that is dropped while a call is on its way to it answers
// ErrNoTable.
type Table struct {
	// constant after Create
	store      *Store
	kind       Kind
	createdLSN uint64 // LSN of the creation: the table's place among the tables
	dict       *Dict
	list       *List

	name     atomic.Pointer[string] // written under Store.mu and all the table's locks
	namedLSN uint64                 // LSN of the present name; guarded by Store.mu
	// present, dropped or replaced; written under Store.mu and the table's gate or all its locks
	state atomic.Uint32

	drain atomic.Pointer[drainProgress] // by the view that began last to read the table for the last time

	filling atomic.Int64 // how many elements the table is being created with, 0: it is filled

	lock tableLock
}

// newTable returns an empty table that is not yet among the store's.
func newTable(s *Store, name string, kind Kind) *Table {
	t := &Table{store: s, kind: kind}
	t.name.Store(&name)
	if kind == KindDict {
		t.dict = newDict(t)
	} else {
		t.list = newList(s, t)
	}
	return t
}

// renamed tells whether the table bears another name than the one the call found it by. A false
// holds good as long as the caller keeps a lock of the table.
func (t *Table) renamed(c *Call) bool { return c.foundTable == t && c.foundName != t.name.Load() }

// checkName returns an error if no call may use the table any more that found it by the name that this
// call did: ErrNoTable, for there was a moment since when no table had that name; ErrBusy if the
// table was replaced, so that the call is made again on the table that bears the name now.
func (t *Table) checkName(c *Call) error {
	switch {
	case t.state.Load() == replaced:
		return ErrBusy
	case t.state.Load() == dropped || t.renamed(c):
		return ErrNoTable
	}
	return nil
}

// unavailable tells whether the call cannot be made now: a long write owns the table, or it has another
// name. A false holds good as long as the caller keeps a lock of the table.
func (t *Table) unavailable(c *Call) bool { return t.lock.locked() || t.renamed(c) }

// owned tells whether a long write owns the table.
func (t *Table) owned() bool { return t.lock.locked() && !t.lock.isPoisoned() }

// unlock gives up the ownership of the table.
func (t *Table) unlock(c *Call, h *lockOwner) {
	if c.changing == t { // the write has panicked
		t.poison()
	}
	t.lock.release(h)
}

// poison marks the table as left half changed. One whose creation has not come so far that it has a
// name is not counted: nobody can drop it.
func (t *Table) poison() {
	if t.lock.poison() && t.createdLSN > 0 {
		t.store.poisoned.Add(1)
	}
}

// Err returns ErrPoisoned if the table is spoiled: nobody knows what it holds, nor whether Len is
// right.
func (t *Table) Err() error {
	if t.lock.isPoisoned() {
		return ErrPoisoned
	}
	return nil
}

// Name returns the table's present name.
func (t *Table) Name() string { return *t.name.Load() }

// Kind returns what the table is.
func (t *Table) Kind() Kind { return t.kind }

// Dict returns the table as a dict, nil if it is a list.
func (t *Table) Dict() *Dict { return t.dict }

// List returns the table as a list, nil if it is a dict.
func (t *Table) List() *List { return t.list }

// Len returns how many entries or elements the table holds.
func (t *Table) Len() int {
	if n := t.filling.Load(); n > 0 {
		return int(n)
	}
	if t.dict != nil {
		return t.dict.Len()
	}
	return t.list.Len()
}

// WhenUnlocked has wake called once the long write that owns the table has ended. False: nothing owns it,
// the call that met ErrBusy may be made again at once.
//
// wake is called on the goroutine of the long write; it must be short and not call the table.
func (t *Table) WhenUnlocked(wake func()) bool { return t.lock.whenReleased(wake) }
