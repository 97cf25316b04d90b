// Package loop is the server: connections, the command table and the one apply that every change of data goes through.
//
// The way of one request, all of it in session.go: OnTraffic gives the bytes that arrived to the connection's session; turn
// parses frame after frame, executes each through the command table (command.go; bodies in tables.go, dict.go, list.go) and answers
// all of them in one write. Where many connections are busy at once, the requests of a round are collected and executed together (batch.go), and so are the
// replies sent (round.go).
//
// An event loop estimates in nanoseconds what each request takes. value.Cost estimates the arguments
// before the request is executed. Calls of shardmap count what they read and compare, and end with
// shardmap.ErrLong when that is too much. The estimate decides two things:
//
//   - A request of more than about a millisecond, or one that waits for something, runs on a
//     goroutine in the background (beside.go). Its connection waits for it. A long read is made from
//     a view that was cut in its turn, its reply as the socket drains. A connection also waits while
//     a long write owns the table that its request is for (shardmap.ErrBusy).
//   - A connection that has used half a millisecond waits until the loop has served the others
//     (quantum.go).
//
// Goroutines in the background take only the processors that the loops leave. They get them in the
// order in which they ask.
//
// The sweeper (sweeper.go) keeps a coarse clock and the timeouts. It sleeps while no request comes, so that an idle server does.
//
// No panic crosses a connection: whoever recovers from one calls Server.defect (defect.go), which gives back the locks that the request held. A request that
// panics in the middle of its change closes its table; a start makes it again, and leaves it out if it panics again (replay.go, recover.go).
//
// A session belongs to its event loop; fields that others touch are atomic and say who writes them. The bytes that gnet hands
// to OnTraffic are good until it returns. loop is the only room that imports gnet.
package loop
