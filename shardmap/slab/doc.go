// Package slab allocates blocks of memory outside the Go heap, so that gigabytes of data cost the
// garbage collector neither time nor headroom.
//
// Terms. A block has MinBlock to MaxBlock bytes, in sizes 1/8 of a power of two apart (at most 1/8
// is unused), or more, rounded up to MinBlock. A region is 4 MiB of mapped memory, divided into
// blocks of one size. Blocks above MaxBlock are mapped one by one.
//
// Memory becomes resident when it is first used, so a region costs only the blocks allocated in it.
// A free block stays resident for reuse, until free blocks exceed a quarter of those in use (and 8
// MiB): then their memory is returned to the system, in the background. A region without blocks in
// use is unmapped, also in the background.
//
// An Allocator is safe for concurrent use. Blocks must not hold Go pointers. An Allocator that is
// no longer referenced unmaps all its memory, so users of its blocks must keep it reachable.
//
// Under the race detector, blocks are Go memory, and freed ones are overwritten, so that it finds a
// use after Free.
package slab
