// Package engine executes requests on tables: the command table, the one way from a request to its
// reply, and the replay of what was logged. It knows no connections and no files: the server is one
// door to it; other wires, a follower of a leader's log, a program with tables of its own can be
// others.
//
// An Engine belongs to a store. It reaches everything else through Env: a log of what is changed, a
// journal, an admission of requests, INFO and SAVE. There are two ways in, and both go through
// Executor.Execute:
//
//   - NewExecutor, for a goroutine that must not be kept waiting, such as an event loop. Execute
//     appends the reply, or its Outcome says what to do instead: hold the reply back for the disk,
//     wait for a table, make the reply of a long read elsewhere, or give the request to Do.
//   - Engine.Do, for a goroutine that may be kept waiting: it returns the whole reply.
//
// A Replayer makes again what a log was told: it is how a journal is read at the start, and how a
// follower follows.
//
// An Engine is for any number of goroutines; an Executor and a Replayer are for one. Requests and
// replies are those of codec/PROTOCOL.md, views into the caller's bytes. DESIGN.md has the way of a
// request and what must stay true.
//
// What callers must not do: change a request's bytes before it is answered, use an Executor after a
// panic without calling Engine.Defect, let a reply with the outcome AwaitsDisk go before the disk
// has its LSN, or forget to close a Stream.
package engine
