// Package loop is the server: connections, the command table and the one apply that every change of data goes through.
//
// The way of one request, all of it in session.go: OnTraffic gives the bytes that arrived to the connection's session; turn
// parses frame after frame, executes each through the command table (command.go; bodies in tables.go, dict.go, list.go) and answers
// all of them in one write. Where many connections are busy at once, the requests of a round are collected and executed together (batch.go), and so are the
// replies sent (round.go).
//
// Nothing on an event loop does more than a few thousand elements of work or waits for anything. What is larger runs on a
// goroutine beside it (beside.go): a long write while its connection is parked, a long read from a view that was cut in
// its turn, its reply made as the socket drains. A connection whose table is owned by a long write is parked too (shardmap.ErrBusy).
//
// The sweeper (sweeper.go) keeps a coarse clock and the timeouts. It sleeps while no request comes, so that an idle server does.
//
// No panic crosses a connection: whoever recovers from one calls Server.defect (defect.go), which gives back the locks that the request held. A request that
// panics in the middle of its change closes its table; a start makes it again, and leaves it out if it panics again (replay.go, recover.go).
//
// A session belongs to its event loop; fields that others touch are atomic and say who writes them. The bytes that gnet hands
// to OnTraffic are good until it returns. loop is the only room that imports gnet.
package loop
