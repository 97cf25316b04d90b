// Package shardmap stores named tables in memory: Python dicts and lists of encoded values.
//
// A Store holds Tables; a Table is a Dict or a List. Every method is atomic, and every change has
// LSNs of the store's one clock. A View shows the store, or one table, at one instant while writers
// continue. Inline calls, which event loops make, never do long work or wait for it: they return
// ErrLong or ErrBusy instead (see Call). DESIGN.md describes the implementation.
//
// Callers must not
//   - pass keys and values that are not checked encodings (value.Check);
//   - use what a view yielded after the next step or after Close;
//   - leave a view open for long: what it shows is not freed;
//   - read a table of a view after draining it;
//   - reuse a Call that has panicked before Call.Release;
//   - set Call.MayBlock on an event loop, or use one Call on two goroutines at once.
//
// All types but Call are safe for concurrent use.
//
// # Lock order
//
// Take locks from the top down, and only one per line unless it says otherwise.
//
//	table lock (its owner keeps it over many steps)
//	Store.mu
//	shard.mu, several in directory order; or List.mu, two in order of the tables' creation
//	Dict.mu (changes of the directory)
//	Store.viewsMu
//	cut.mu
//	reclaimer.mu
//	slab.Allocator.mu, tableLock.mu, the locks of a Log
//
// Wait for a table lock only while holding no lock.
package shardmap
