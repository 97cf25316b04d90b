// Package persist stores tables on disk: in .cdb files, which hold a database at one instant, and
// in the journal, which holds every operation since. FORMAT.md specifies all files.
//
// The package does not interpret tables and operations. A table is a kind, a name and a sequence of
// encoded keys and values; an operation is bytes with an LSN, a number of the store's clock, a time
// and a version of what the bytes mean. It reads no clock for what it records.
//
//	WriteFile, Writer      write a .cdb file in bounded memory, next to the one that it replaces
//	Open, Reader           read, check and list a .cdb file; Salvage repairs one
//	Journal, Buffer        the write-ahead log: one goroutine writes what all writers have appended;
//	                       persist/sequence orders that, and hands it to further sinks
//	Numbers                the reserved LSNs, so that none is assigned twice
//	Recover                load the newest intact .cdb file, then replay the journal from there
//	FS, File, OS           the file operations; persist/fstest has test doubles
//
// A Journal and its Buffers document which methods may be called from where. A Writer and a Reader
// are not safe for concurrent use.
//
// Callers must not acknowledge an operation as durable before Journal.Durable has reached its last
// LSN. They must not change data once Journal.Err reports a broken journal. They must drop segments
// only up to the LSN of the .prev file.
package persist
