// Package engine executes requests on tables: the command table, the one way from a request to its
// reply, and the replay of what was logged. It knows no connections and no files. A caller that
// brings requests is called a door: the server's event loops are one, CyberDB's old wire another.
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
// Requests that wait for one thing, such as a lock, stand in a line. A request holds the gate of a
// line while it grants, or while a fence must stay valid.
//
// A Replayer executes again what a log has recorded. At its start the server replays the journal
// with it.
//
// An Engine is for any number of goroutines; an Executor and a Replayer are for one. Requests and
// replies are those of codec/PROTOCOL.md, views into the caller's bytes. DESIGN.md has the path of
// a request and the invariants.
//
// Callers must not
//   - change a request's bytes before it is answered;
//   - use an Executor after a panic without calling Engine.ReportPanic;
//   - send a reply with the outcome AwaitsDisk before its LSN is on disk;
//   - leave a Stream open.
package engine
