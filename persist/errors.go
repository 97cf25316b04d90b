package persist

import (
	"errors"
	"fmt"
)

var (
	// ErrDamaged is found in every error that says that a file does not hold what was written to
	// it: a DamageError.
	ErrDamaged = errors.New("damaged")
	// ErrForeign is returned when a file is none of ours, by its first bytes.
	ErrForeign = errors.New("not a file of this kind")
	// ErrVersion is returned when a file is of a version, or uses a flag or codec, that this
	// program does not know.
	ErrVersion = errors.New("written by a newer version")
	// ErrMismatch is returned when a .cdb file and the journal beside it are not of one database,
	// or not of one time.
	ErrMismatch = errors.New("data file and journal do not belong together")
	// ErrNotRegular is returned when a name leads to a directory, a pipe, a socket, a device or a
	// link.
	ErrNotRegular = errors.New("not a regular file")
	// ErrLocked is returned when another program, or another open file of this one, holds a lock.
	ErrLocked = errors.New("locked by another program")
	// ErrTaken is returned when a file must not be written over.
	ErrTaken = errors.New("it is not written over")
	// ErrClosed is what a closed journal is broken by.
	ErrClosed = errors.New("journal closed")
)

// DamageError tells where a file is damaged and how.
type DamageError struct {
	File   string
	Offset int64  // in bytes
	Table  string // "" if it is none's, or unknown
	Block  int    // number of the block in a .cdb file, -1 if it is not in one
	What   string
}

// Error names the file, the table, the block and the offset.
func (e *DamageError) Error() string {
	where := ""
	if e.Table != "" {
		where += fmt.Sprintf(", table %q", e.Table)
	}
	if e.Block >= 0 {
		where += fmt.Sprintf(", block %d", e.Block)
	}
	return fmt.Sprintf("%s%s, at byte %d: %s", e.File, where, e.Offset, e.What)
}

// Is makes errors.Is(err, ErrDamaged) true.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }
