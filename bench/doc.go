// Package bench generates load: it drives a server over many connections with many requests in flight, checks every reply,
// and says how many operations were done, how long they took, and what they cost the server.
//
// # Parts
//
//   - Options says what to do; Run, Load and Idle do it and return a Report, a LoadReport, an IdleReport.
//   - workload.go decides which operation comes next and what its key and value are: both are functions of the seed and an
//     item number, so a reply can be checked without keeping a table of what was written.
//   - wire is a protocol: target_native.go speaks cyberdb-fast's frames, target_redis.go RESP. The loops, sizes and clocks are the same for all.
//   - runner.go leads one run through its phases; eventloop.go is the hot path, one per thread, each owning its connections.
//   - process.go reads what the server used from /proc.
//
// # The closed loop
//
// Each connection has a fixed number of slots, the pipeline depth. A request occupies a slot from the moment it is written until its reply has
// been read and checked; then the next request takes the slot. A turn of the event loop makes one read, answers
// everything that came with new requests, and makes one write. Nothing is allocated for an operation. Latency runs from the turn that makes a request to
// the read that brings its reply, so the time in which a reply waits for a busy generator counts too.
//
// # Limits
//
// Linux only: epoll and /proc are used directly. Load replaces the table that it measures; its name must begin with "bench".
package bench
