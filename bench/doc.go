// Package bench generates load. It drives a server over many connections with many requests in
// flight and checks every reply. It reports how many operations were done, how long they took, and
// what they cost the server.
//
// # Parts
//
//   - Options describe a run. Run, Load and Idle return a Report, a LoadReport and an IdleReport. A
//     Plan makes many runs, several targets in turn. Summarize and NewSeries have the medians;
//     Results reads the files of --out.
//   - op.go lists the operations. A stream (workload.go) yields the requests of one connection,
//     drawn evenly or by zipf.go. items (items.go) gives each item number its key and its value.
//     All of them follow from the seed, so a reply can be checked without a table of what was
//     written.
//   - dial.go opens the connections and backs off while the server's backlog is full.
//   - A wire (wire.go) is a protocol: target_native.go has cyberdb-fast's frames, target_redis.go
//     RESP, target_memcached.go memcached's text, target_legacy.go the original CyberDB's pickles,
//     target_echo.go frames for an echo server. Loops, sizes and clocks are the same for all.
//   - runner.go takes one run through its phases. eventloop.go is the hot path: one loop per
//     thread, with its own connections. check.go compares each reply with its request, verify.go
//     the final contents of the tables with the acknowledged changes.
//   - callers.go drives a client library instead, with goroutines; waiters.go has those that wait.
//     goclient makes the Go client such a library. python.go summarizes the runs of
//     client/python/bench.py.
//   - process.go reads the CPU time and memory of the server from /proc, machine.go describes the
//     machine.
//   - Package page makes HTML, charts and Markdown of reports.
//
// # The closed loop
//
// Each connection has a fixed number of slots, the pipeline depth. A request occupies a slot from
// the moment it is written until its reply has been read and checked; then the next request takes
// the slot. For a readable connection the event loop makes one read, fills the slots of all replies
// in it with new requests, and makes one write. An operation allocates nothing. Latency runs from
// the start of the iteration that makes a request to the read that has its reply. So it includes
// the time in which a reply waits for a busy generator.
//
// # The open loop
//
// With Options.Rate requests have a timetable (pace.go). Latency runs from when a request was due.
//
// # Limits
//
// Linux only: epoll (epoll_pwait2, Linux 5.11) and /proc are used directly. Load drops the table
// that it measures; the table's name must begin with "bench".
package bench
