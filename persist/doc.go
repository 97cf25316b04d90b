// Package persist keeps tables on disk: .cdb files, which hold what a database held at one moment,
// and the journal, which holds every operation since. FORMAT.md is the exact text of all files.
//
// The package knows no tables and no operations: a table is a kind, a name and a sequence of
// encoded keys and values; an operation is a number on the store's clock (its LSN) and bytes.
//
//	WriteFile, Writer      a .cdb file, written in bounded memory beside the one that it replaces
//	Open, Reader           reads, checks, lists and salvages one
//	Journal, Buffer        the write-ahead log: writers append to their own buffers, one flusher writes and syncs for all
//	Numbers                the LSNs that may be assigned: ranges reserved on disk, so that none is assigned twice
//	Recover                what a start does: newest good .cdb file, then the journal from there
//	FS, File, OS           the few file operations that all of this is made of; persist/fstest has doubles that cut the power and fail
//
// A Journal and its Buffers say which of their methods may be called from where; a Writer and a
// Reader belong to one goroutine.
//
// Callers must not acknowledge an operation as durable before Journal.Durable has reached its last
// LSN, must not go on changing data once Journal.Err says that the journal is broken, and must drop
// segments only below the LSN of the .prev file.
package persist
