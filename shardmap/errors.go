package shardmap

import "errors"

// Errors of a call that did nothing and may be made again, in another way or at another time.
var (
	// ErrLong is returned when an inline call would do more than InlineElements elements of work,
	// or wait for what takes as long. Make it again with Call.MayBlock set, on a goroutine that may
	// block.
	ErrLong = errors.New("too much work for an inline call")
	// ErrTooLarge is returned by GetMany when the values found have more than MaxResultBytes. Ask
	// for less at once.
	ErrTooLarge = errors.New("result too large")
	// ErrBusy is returned when a long write owns the table, or when the table was replaced: look it
	// up again. Table.Wait tells when it is over.
	ErrBusy = errors.New("table is owned by a long write")
)

// Errors about tables.
var (
	// ErrNoTable is returned when no table has the name, or when the table was dropped.
	ErrNoTable = errors.New("no such table")
	// ErrTableExists is returned by Create and Rename when the name is taken.
	ErrTableExists = errors.New("table exists")
	// ErrNotEmpty is returned by Adopt when there are tables.
	ErrNotEmpty = errors.New("the store has tables")
	// ErrPoisoned is returned when a defect has left the table half changed. It can be dropped, and
	// nothing else; see Call.Release.
	ErrPoisoned = errors.New("table left half changed by a defect")
	// ErrClock is returned by Adopt and Replace when the clock has come to the number that they are
	// to draw.
	ErrClock = errors.New("the clock is too far")
	// ErrOutdated is returned by a Listing when too many tables were dropped or renamed since it
	// began, or all were replaced. List again.
	ErrOutdated = errors.New("the list of tables is out of date")
	// ErrKind is returned when a table is not of the kind that was asked for.
	ErrKind = errors.New("wrong table kind")
)

// Errors about entries.
var (
	// ErrVersion is returned when the entry's version is not Call.IfVersion. Call.Version holds the
	// version found.
	ErrVersion = errors.New("version mismatch")
	// ErrNoKey is returned when a dict does not hold the key asked for (Python: KeyError with that
	// key).
	ErrNoKey = errors.New("no such key")
	// ErrEmpty is returned by PopItem on an empty dict (Python: KeyError).
	ErrEmpty = errors.New("table is empty")
)
