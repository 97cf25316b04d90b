package shardmap

import "errors"

// Errors of a call that did nothing and can be repeated, in another way or later.
var (
	// ErrLong is returned when an inline call would do more than InlineElements elements of work,
	// or wait for something as long. Repeat it with Call.MayBlock set, on a goroutine that may
	// block.
	ErrLong = errors.New("too much work for an inline call")
	// ErrTooLarge is returned by GetMany when the values found exceed MaxResultBytes. Ask for fewer
	// at once.
	ErrTooLarge = errors.New("result too large")
	// ErrBusy is returned when a long write owns the table, or when the table was replaced. Look it
	// up again; Table.WhenUnlocked says when.
	ErrBusy = errors.New("table is owned by a long write")
)

// Errors about tables.
var (
	// ErrNoTable is returned when no table has the name, or when the table was dropped.
	ErrNoTable = errors.New("no such table")
	// ErrTableExists is returned by Create and Rename when the name is taken.
	ErrTableExists = errors.New("table exists")
	// ErrNotEmpty is returned by Adopt when store is not empty.
	ErrNotEmpty = errors.New("store is not empty")
	// ErrPoisoned is returned when a panic has left the table in an unknown state. It can only be
	// dropped; see Call.Release.
	ErrPoisoned = errors.New("table state unknown after an internal error")
	// ErrClock is returned by Adopt and Replace when the LSN that they shall take is already
	// assigned.
	ErrClock = errors.New("LSN already assigned")
	// ErrOutdated is returned by a Listing when too many tables were dropped or renamed since it
	// began, or when all were replaced. List again.
	ErrOutdated = errors.New("list of tables out of date")
	// ErrKind is returned when the kind of a table is unknown or does not fit the call.
	ErrKind = errors.New("wrong table kind")
)

// Errors about entries.
var (
	// ErrVersion is returned when the entry's version is not Call.IfVersion. Call.Version is the
	// version found.
	ErrVersion = errors.New("version mismatch")
	// ErrNoKey is returned when a dict does not have the key (Python: KeyError with that key).
	ErrNoKey = errors.New("no such key")
	// ErrFull is returned when a dict with a limit has no room, and nothing that it may evict.
	ErrFull = errors.New("dict is full")
	// ErrPopEmpty is returned by Pop on an empty list (Python: IndexError).
	ErrPopEmpty error = errPopEmpty
	// ErrEmpty is returned by PopItem on an empty dict (Python: KeyError).
	ErrEmpty = errors.New("table is empty")
)
