// Package engine executes requests on tables: the command table, the one way from a request to its
// reply, and the replay of what was logged. It knows no connections and no files. The server is one
// door to it; another wire, a follower of a leader's log, or a program with tables of its own may
// be others.
//
// An Engine belongs to a store. It reaches everything else through Env: a log of what is changed, a
// journal, an admission of requests, INFO and SAVE. There are two ways in, and both go through
// Executor.Execute:
//
//   - NewExecutor, for a goroutine that must not block, such as an event loop. Execute appends the
//     reply, or its Outcome says what to do instead: keep the reply until it is on disk, wait for a
//     table, make the reply of a long read elsewhere, or give the request to Do.
//   - Engine.Do, for a goroutine that may block: it returns the complete reply.
//
// A Replayer executes again what a log has recorded: it reads a journal at the start, and a
// follower would use it.
//
// An Engine is for any number of goroutines; an Executor and a Replayer are for one. Requests and
// replies are those of codec/PROTOCOL.md, views into the caller's bytes. DESIGN.md has the path of
// a request and the invariants.
//
// What callers must not do: change a request's bytes before it is answered, use an Executor after a
// panic without calling Engine.ReportPanic, send a reply with the outcome AwaitsDisk before its LSN
// is on disk, or forget to close a Stream.
package engine
