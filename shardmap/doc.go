// Package shardmap keeps named tables, Python dicts and lists of encoded values, in memory.
//
// A Store holds Tables; a Table is a Dict or a List. Every method of these is atomic, and every
// mutation has numbers (LSNs) of the store's one clock. A View shows what the store, or one table,
// held between two numbers, while writers go on. Calls made on an event loop never do, nor wait
// for, long work: they end with ErrLong or ErrBusy instead (see Call). DESIGN.md tells how it is
// done.
//
// Callers must not
//   - pass keys and values that are not checked encodings (value.Check);
//   - use what a view yielded after the next step or after Close;
//   - leave a view open for long: what it shows is not freed;
//   - read a table of a view once it was drained;
//   - go on with a Call that has panicked without Call.Release;
//   - set Call.MayBlock on an event loop, or use one Call from two goroutines at once.
//
// All types but Call may be used from any goroutine.
//
// # Lock order
//
// Take locks from the top down; of one line, only one unless it says otherwise.
//
//	gate (its owner keeps it over many steps)
//	Store.mu
//	shard.mu, several in directory order; or List.mu
//	Dict.mu (the directory changes)
//	Store.viewsMu
//	cut.mu
//	graveyard.mu
//	slab.Allocator's, gate.mu, whatever a Log takes
//
// Waiting for a gate to open is allowed only without any lock.
package shardmap
