package persist

import (
	"errors"
	"fmt"

	"cyberdb-fast/persist/sequence"
)

var (
	// ErrDamaged is in every DamageError: a file does not hold what was written to it.
	ErrDamaged = errors.New("damaged")
	// ErrForeign is returned when a file's first bytes are not those of the expected format.
	ErrForeign = errors.New("not a file of this kind")
	// ErrVersion is in every VersionError: a file has a version, flag or codec that this program
	// does not know.
	ErrVersion = errors.New("written by a newer version")
	// ErrMismatch is returned when a .cdb file and its journal are of different databases, or do
	// not fit in time.
	ErrMismatch = errors.New("data file and journal do not belong together")
	// ErrNotRegular is returned when a name leads to a directory, a pipe, a socket, a device or a
	// link.
	ErrNotRegular = errors.New("not a regular file")
	// ErrLocked is returned when another program, or another open file of this one, holds a lock.
	ErrLocked = errors.New("locked by another program")
	// ErrTaken is returned when a file must not be overwritten.
	ErrTaken = errors.New("refusing to overwrite it")
	// ErrClosed is the error of a closed journal.
	ErrClosed = sequence.ErrClosed
)

// DamageError says where and how a file is damaged.
type DamageError struct {
	File   string
	Offset int64  // in bytes
	Table  string // "" if unknown, or not in a table
	Block  int    // number of the block in a .cdb file, -1 if not in a block
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

// VersionError says that a file has another form than this program reads.
type VersionError struct {
	File           string
	Kind           string // such as "journal segment"
	Version        uint16 // of the file
	Oldest, Newest uint16 // versions of this kind that this program reads
	What           string // the part that is unknown, such as "unknown flags 0x0001"; "": the version
}

// Error names the file, its version, and the versions that this program reads.
func (e *VersionError) Error() string {
	what, reads := "", fmt.Sprintf("versions %d to %d", e.Oldest, e.Newest)
	if e.What != "" {
		what = " with " + e.What
	}
	if e.Oldest == e.Newest {
		reads = fmt.Sprintf("version %d", e.Newest)
	}
	return fmt.Sprintf("%s is a %s of version %d%s, %v: this program reads %s",
		e.File, e.Kind, e.Version, what, ErrVersion, reads)
}

// Is makes errors.Is(err, ErrVersion) true.
func (e *VersionError) Is(target error) bool { return target == ErrVersion }
