// Package slab hands out blocks of memory from outside the Go heap, so that gigabytes of data cost
// the garbage collector nothing and leave no headroom to it.
//
// Terms. A block is MinBlock to MaxBlock bytes, an eighth of a power of two apart (at most 1/8 is
// unused), or more, rounded up to MinBlock. A region is 4 MiB of mapped memory that is cut into
// blocks of one size. Blocks above MaxBlock are mapped one by one.
//
// Memory becomes resident when it is first touched: a region costs only what was cut from it. A
// free block stays resident, to be handed out again, until free blocks come to a quarter of those
// in use (and to 8 MiB): then the system gets their memory back, in the background. A region
// without blocks in use is unmapped, in the background too.
//
// An Allocator may be used from any goroutine. Blocks must not hold Go pointers. When the Allocator
// itself is no longer referenced, all its memory is unmapped: whoever uses blocks must keep the
// Allocator reachable.
//
// With the race detector on, blocks are Go memory instead and freed ones are overwritten, so that a
// use after Free is found.
package slab
