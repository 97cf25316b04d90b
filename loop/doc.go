// Package loop is the server: it owns the connections and the files, and decides what runs when.
// Package engine executes the requests and knows none of these.
//
// The way of one request: OnTraffic (handler.go) gives the bytes that arrived to the connection's
// session; readEvent (dispatch.go) parses frame after frame, passes each to the engine, and
// answers all of them in one write. execute handles what the engine leaves to the server: replies
// that wait for the disk, tables that are not free, long reads, and requests for the background.
// engine.go gives the engine its journal, admission, INFO and SAVE. Where many connections are busy
// at once, the requests of an iteration are collected and executed together, and so are the replies
// sent (iteration.go).
//
// The engine estimates in nanoseconds what each request takes. The estimate decides two things:
//
//   - A request of more than about a millisecond, or one that waits for something, runs on a
//     goroutine in the background (background.go). Its connection waits for it. A long read cuts a
//     view when its turn comes; its reply is made from the view as the socket drains. A connection
//     also waits while a long write owns the table that its request is for (engine.Blocked).
//   - A connection that has used half a millisecond waits until the loop has served the others
//     (quantum.go).
//
// Goroutines in the background take only the processors that the loops leave. They get them in the
// order in which they ask.
//
// The sweeper (sweeper.go) keeps a coarse clock and the timeouts. It sleeps while no request comes,
// so an idle server sleeps too.
//
// No panic crosses a connection: the function that recovers from one calls
// engine.Engine.ReportPanic, which gives back the locks of the request. A request that panics in
// the middle of its change poisons its table. The next start replays the request, and skips it if
// it panics again (engine.Replayer, recover.go).
//
// A session belongs to its event loop. Fields that other goroutines touch are atomic, and say which
// ones write them. The bytes that gnet hands to OnTraffic are good until it returns. loop is the
// only package that imports gnet.
package loop
