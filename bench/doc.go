// Package bench generates load: it drives a server over many connections with many requests in
// flight, checks every reply, and says how many operations were done, how long they took, and what
// they cost the server.
//
// # Parts
//
//   - Options says what to do; Run, Load and Idle do it and return a Report, a LoadReport, an
//     IdleReport. A Plan makes many runs, several targets in turn; Summarize and NewSeries say what
//     they come to; Results reads what was kept of them.
//   - op.go lists the operations. A stream (workload.go) yields those of one connection, evenly
//     drawn or by zipf.go; items (items.go) gives each item number its key and its value. All
//     follow from the seed alone, so a reply can be checked without keeping a table of what was
//     written.
//   - dial.go opens the connections, with pauses when the server's backlog is full.
//   - A wire (wire.go) is a protocol: target_native.go speaks cyberdb-fast's frames,
//     target_redis.go RESP, target_memcached.go memcached's text, target_legacy.go the original
//     CyberDB's pickles, target_echo.go to a server that gives back what it gets. The loops, sizes
//     and clocks are the same for all.
//   - runner.go leads one run through its phases; eventloop.go is the hot path, one per thread,
//     each owning its connections; check.go compares each reply with its request, verify.go what
//     the tables hold at the end with what was acknowledged.
//   - callers.go drives a client library instead, with goroutines. python.go sums up what
//     client/python/bench.py measured of Python's.
//   - process.go reads what the server used from /proc, machine.go what the machine is.
//   - Package page makes HTML, pictures and Markdown of reports.
//
// # The closed loop
//
// Each connection has a fixed number of slots, the pipeline depth. A request occupies a slot from
// the moment it is written until its reply has been read and checked; then the next request takes
// the slot. A turn of the event loop makes one read, answers everything that came with new
// requests, and makes one write. Nothing is allocated for an operation. Latency runs from the turn
// that makes a request to the read that brings its reply, so the time in which a reply waits for a
// busy generator counts too.
//
// # The open loop
//
// With Options.Rate requests have a timetable (pace.go), and latency runs from when a request was
// due.
//
// # Limits
//
// Linux only: epoll (epoll_pwait2, Linux 5.11) and /proc are used directly. Load replaces the table
// that it measures; its name must begin with "bench".
package bench
